"""Inputs that are valid but rare, or wrong in one cell: each was found by somebody who tried to break the house."""

from __future__ import annotations

import csv
import datetime as dt
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from tests.faults.processes import ark, one_line, said

START = dt.date(2015, 1, 1)


def ran(path: Path, tmp_path: Path) -> Any:
    return ark("run", "--until-end", "--json", "--source", f"file:{path}", "--state", str(tmp_path / "state"))


def busy_seconds(path: Path, *, prints: int) -> Path:
    """Trades with stamps in whole seconds, `prints` of them in the first second of each minute."""
    chance, price = Random(3), 100.0
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["symbol", "ts_ns", "price", "size"])
        for minute in range(150):
            price *= 1 + chance.gauss(0.0008, 0.002)
            for second in [0] * prints + [20, 40]:
                ts_ns = (1_500_000_000 // 60 * 60 + minute * 60 + second) * 10**9
                rows.writerow(["T", ts_ns, f"{price:.2f}", 100])
    return path


def daily(path: Path, rows: list[tuple[str, float, float]]) -> Path:
    """Bars of one day each: symbol, close, adjusted close."""
    days: dict[str, int] = {}
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["date", "symbol", "open", "high", "low", "close", "volume", "adj_close"])
        for symbol, close, adjusted in rows:
            day = START + dt.timedelta(days=days.setdefault(symbol, 0))
            days[symbol] += 1
            out.writerow([day, symbol, *[f"{close:.2f}"] * 4, 1_000_000, f"{adjusted:.6f}" if adjusted else ""])
    return path


@pytest.mark.parametrize("prints", [60, 70, 200])
def test_any_number_of_prints_in_one_moment_is_fine(tmp_path: Path, prints: int) -> None:
    done = ran(busy_seconds(tmp_path / "t.csv", prints=prints), tmp_path)
    summary = said(done)
    assert done.returncode == 0, done.stderr
    assert summary["discrepancies"] == 0
    assert summary["proposals"] == summary["approvals"] > 0


def test_a_reverse_split_of_any_size_is_no_windfall_and_no_ruin(tmp_path: Path) -> None:
    chance, rows, price = Random(5), [], 40.0
    for day in range(320):
        price *= 1 + chance.gauss(-0.004, 0.012)
        if day == 200:
            price *= 50
        rows.append(("S", price, 0.0))
    summary = said(ran(daily(tmp_path / "r.csv", rows), tmp_path))
    assert summary["discrepancies"] == 0
    assert Decimal(900_000) < Decimal(summary["end_equity"]) < Decimal(1_200_000)


def test_one_wrong_adjusted_close_pays_no_dividend(tmp_path: Path) -> None:
    chance, good, price = Random(7), [], 100.0
    for _ in range(200):
        price *= 1 + chance.gauss(0.001, 0.01)
        good.append(("S", price, price))
    wrong = [(name, close, adjusted * (1.15 if n % 40 == 39 else 1)) for n, (name, close, adjusted) in enumerate(good)]
    right = said(ran(daily(tmp_path / "a.csv", good), tmp_path / "a"))
    slipped = said(ran(daily(tmp_path / "b.csv", wrong), tmp_path / "b"))
    assert slipped["end_equity"] == right["end_equity"]


def test_a_file_that_was_lost_almost_entirely_is_a_finding(tmp_path: Path) -> None:
    """Newest first, as some vendors write: nothing but the first row can be taken, and that is said."""
    path = daily(tmp_path / "f.csv", [("S", 100 + day / 10, 0.0) for day in range(60)])
    head, *lines = path.read_text().splitlines()
    path.write_text("\n".join([head, *reversed(lines)]) + "\n")
    done = ran(path, tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert said(done)["rejected_by_reason"] == {"time_backwards": 59}


def test_a_garbage_row_stamped_years_ahead_moves_no_other_row(tmp_path: Path) -> None:
    chance, rows, price = Random(11), [], 100.0
    for day in range(400):
        price *= 1 + chance.gauss(0.001, 0.012)
        if day == 280:
            price /= 2
        rows.append(("S", price, price if day >= 280 else price / 2))
    path = daily(tmp_path / "f.csv", rows)
    right = said(ran(path, tmp_path / "right"))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:200], "2030-01-01,S,NaN,NaN,NaN,NaN,1,", *lines[200:]]) + "\n")
    done = ran(path, tmp_path / "wrong")
    summary = said(done)
    assert done.returncode == 0, done.stderr
    assert summary["rejected_inputs"] == right["rejected_inputs"] + 1
    same = ("observations", "proposals", "orders", "fills", "end_equity")
    assert {name: summary[name] for name in same} == {name: right[name] for name in same}


@pytest.mark.parametrize("unit", [1, 1_000, 1_000_000])
def test_times_in_other_units_are_no_nanoseconds(tmp_path: Path, unit: int) -> None:
    path = tmp_path / "u.csv"
    lines = [f"{(1_600_000_000 + 60 * n) * unit},100,100,100,100,10" for n in range(50)]
    path.write_text("\n".join(["ts_ns,open,high,low,close,volume", *lines]) + "\n")
    done = ran(path, tmp_path)
    assert done.returncode == 2
    assert one_line(done)


def test_an_empty_state_folder_is_an_accident(tmp_path: Path) -> None:
    done = ark("run", "--until-end", "--json", "--source", "synthetic:50", env={"ARK_STATE_DIR": ""}, timeout_s=60)
    assert done.returncode == 2
    assert one_line(done)


def test_why_explains_no_decision_that_was_not_named(tmp_path: Path) -> None:
    """The digest of the rules stands in every verdict, and is the name of none."""
    done = ran(busy_seconds(tmp_path / "t.csv", prints=3), tmp_path)
    journal = said(done)["journal"]
    ruleset = msgspec.json.decode(ark("rules", "list", "--json").stdout)["ruleset"]
    for text in (ruleset[:8], ruleset[5:21]):
        asked = ark("why", text, "--journal", journal)
        assert asked.returncode == 2
        assert one_line(asked)
