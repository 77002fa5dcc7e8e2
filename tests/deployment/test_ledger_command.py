"""`ark ledger`: what it prints sums to zero, equals a second account, and can be taken away whole or not at all."""

from __future__ import annotations

import csv
import json
import re
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from deployment.topology.state_dir import JOURNAL
from mutable_core.clock import DAY_NS
from mutable_core.journal import Journal, checked_rows
from mutable_core.messages import AnyBody, PositionLine, VenueStated, encode
from tests.deployment.conftest import Asked
from tests.deployment.handmade import HandmadeSource, a_house, finished, trading
from tests.makers import DAY_1_NS, a_fill, a_run, an_envelope, an_observation, an_order
from tests.mutable_core.plain_accounts import PlainAccounts

MILLION = 10**6
ACTIONS = {
    "balance": ("balance",),
    "journal": ("journal",),
    "nav": ("nav", "--every", "1d"),
    "export": ("export", "--format", "csv", "--out", "table"),
}


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with one run: trades of one strategy in two instruments, a split, statements."""
    state = tmp_path_factory.mktemp("ledger")
    house = a_house(state / "run", HandmadeSource(70), trading())
    house.start()
    finished(house)
    house.close()
    return state


def written(folder: Path, *bodies: AnyBody, account: str = "paper") -> Path:
    """A small run of its own, one day apart."""
    folder.mkdir(parents=True)
    journal = Journal.open(folder / JOURNAL)
    for seq, body in enumerate((a_run(account=account), an_observation(), *bodies), 1):
        journal.append(encode(an_envelope(body, seq=seq, ts_ns=DAY_1_NS + seq * DAY_NS)), seq)
    journal.commit()
    journal.close()
    return folder / JOURNAL


def answer(asked: Asked, state: Path, *words: str, code: int = 0) -> Any:
    said = asked("ledger", *words, "--json", env={"ARK_STATE_DIR": str(state)})
    assert said.returncode == code, (said.stdout, said.stderr)
    return json.loads(said.stdout.splitlines()[-1])


def test_balances_equal_a_second_account_at_any_moment(state: Path, asked: Asked) -> None:
    rows = [one.envelope for one in checked_rows(state / "run" / JOURNAL)]
    seqs = sorted({*Random(1).sample(range(1, len(rows)), 8), len(rows)})
    plain = PlainAccounts()
    for envelope in rows:
        plain.take(envelope)
        if envelope.seq not in seqs:
            continue
        [account] = answer(asked, state, "balance", "--at", str(envelope.seq))["accounts"]
        assert account["trial_balance_micros"] == 0
        assert account["nav"]["cash_micros"] == plain.cash_micros()
        assert account["nav"]["nav_micros"] == plain.nav_micros()
        for part in account["sub_ledgers"]:
            assert sum(part["balances"].values()) == 0
            assert part["fees_micros"] == plain.fees[part["strategy"]]
    assert plain.realised, "a run without trades would equal anything"


def test_the_run_agrees_with_its_venue(state: Path, asked: Asked) -> None:
    [account] = answer(asked, state, "balance")["accounts"]
    assert account["venue_statements"] > 0
    assert account["finding"] == ""


def test_a_venue_that_states_something_else_is_a_finding(tmp_path: Path, asked: Asked) -> None:
    order = an_order(stop_price=None, target_price=None)
    line = PositionLine("A", 1)
    written(tmp_path / "run", a_fill(order), VenueStated(1, 1, (line,), ()))
    said = answer(asked, tmp_path, "balance", code=1)
    assert said["ok"] is False
    assert "row 4" in said["accounts"][0]["finding"]
    assert asked("ledger", "balance", env={"ARK_STATE_DIR": str(tmp_path)}).returncode == 1
    assert answer(asked, tmp_path, "balance", "--at", "3")["ok"] is True


def test_accounts_stand_side_by_side(tmp_path: Path, asked: Asked) -> None:
    """Every journal of the state folder; one account where it is named."""
    order = an_order(stop_price=None, target_price=None)
    written(tmp_path / "one", account="alpha")
    written(tmp_path / "two", a_fill(order), account="beta")
    accounts = answer(asked, tmp_path, "balance")["accounts"]
    assert [one["account"] for one in accounts] == ["alpha", "beta"]
    [beta] = answer(asked, tmp_path, "balance", "--account", "beta")["accounts"]
    assert beta["sub_ledgers"][0]["positions"][0]["instrument"] == "A"
    assert [one["account"] for one in answer(asked, tmp_path, "nav", "--account", "alpha")["accounts"]] == ["alpha"]
    postings = answer(asked, tmp_path, "journal", "--account", "beta")["postings"]
    assert {line["account"] for line in postings} == {"beta"}
    [one] = answer(asked, tmp_path, "balance", "--journal", str(tmp_path / "one"))["accounts"]
    assert one["account"] == "alpha"


def test_of_several_journals_those_that_do_not_reach_a_time_are_left_out(tmp_path: Path, asked: Asked) -> None:
    written(tmp_path / "short", account="alpha")
    written(tmp_path / "long", an_observation(), an_observation(), account="beta")
    day_4 = "2024-10-08T00:00:00Z"
    assert [one["account"] for one in answer(asked, tmp_path, "balance", "--at", day_4)["accounts"]] == ["beta"]
    for words in (("balance", "--at", "2"), ("journal", "--to", "2"), ("journal", "--from", "2")):
        assert asked("ledger", *words, env={"ARK_STATE_DIR": str(tmp_path)}).returncode == 2
    assert asked("ledger", "balance", "--at", "1999-01-01", env={"ARK_STATE_DIR": str(tmp_path)}).returncode == 2


def test_one_strategy_may_be_asked_for(state: Path, asked: Asked) -> None:
    [account] = answer(asked, state, "balance", "--strategy", "alternating")["accounts"]
    assert [part["strategy"] for part in account["sub_ledgers"]] == ["alternating"]
    postings = answer(asked, state, "journal", "--strategy", "alternating")["postings"]
    assert {line["strategy"] for line in postings} == {"alternating", "house"}  # the house pays for it
    assert "capital" not in {line["what"] for line in postings}


def test_the_journal_is_cut_by_moments(state: Path, asked: Asked) -> None:
    """After `--from`, up to `--to`: together they are all."""
    lines = answer(asked, state, "journal")["postings"]
    middle = lines[len(lines) // 2]["seq"]
    early = answer(asked, state, "journal", "--to", str(middle))["postings"]
    late = answer(asked, state, "journal", "--from", str(middle))["postings"]
    assert early + late == lines
    assert early[-1]["seq"] <= middle < late[0]["seq"]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_an_export_is_the_whole_ledger(state: Path, asked: Asked, tmp_path: Path, form: str) -> None:
    """Sums of the lines are the balances that `balance` says; micros and decimals are the same numbers."""
    out = tmp_path / "table"
    said = answer(asked, state, "export", "--format", form, "--out", str(out))
    with out.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file)) if form == "csv" else [json.loads(line) for line in file]
    assert said["postings"] == len(lines) > 100
    sums: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for line in lines:
        assert Decimal(line["amount"]) * MILLION == int(line["amount_micros"])
        sums[line["strategy"]][line["ledger_account"]] += int(line["amount_micros"])
    [account] = answer(asked, state, "balance")["accounts"]
    assert sums == {part["strategy"]: part["balances"] for part in account["sub_ledgers"]}
    assert list(lines[0]) == [
        "run", "account", "seq", "number", "ts_ns", "trace_id", "what", "subject", "strategy", "ledger_account",
        "amount_micros", "amount", "quantity_atoms", "quantity",
    ]  # fmt: skip


def test_an_export_of_an_altered_journal_leaves_what_was_there(state: Path, asked: Asked, tmp_path: Path) -> None:
    """Whole, or not at all: a table that was exported before stays as it was."""
    rows = [one.row for one in checked_rows(state / "run" / JOURNAL)]
    data = bytearray((state / "run" / JOURNAL).read_bytes())
    at = next(found for row in rows[len(rows) // 2 :] if (found := data.find(row[8:40])) > 0)
    data[at + 20] ^= 1
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / JOURNAL).write_bytes(data)
    out = tmp_path / "table.csv"
    out.write_text("before")
    said = asked("ledger", "export", "--format", "csv", "--out", str(out), "--journal", str(tmp_path / "bad" / JOURNAL))
    assert said.returncode == 1
    assert out.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad", "table.csv"]


def test_names_leave_without_what_is_private(tmp_path: Path, asked: Asked) -> None:
    """An account that is called by its number, or by a person's address."""
    written(tmp_path / "run", account="ada@example.org 123456789")
    out = tmp_path / "table.csv"
    answer(asked, tmp_path, "export", "--format", "csv", "--out", str(out))
    shown = (
        out.read_text() + json.dumps(answer(asked, tmp_path, "balance")) + json.dumps(answer(asked, tmp_path, "nav"))
    )
    shown += asked("ledger", "journal", env={"ARK_STATE_DIR": str(tmp_path)}).stdout
    assert "ada@" not in shown
    assert "123456789" not in shown
    assert "1000000000000" in shown  # amounts are no account numbers


def test_the_nav_series_is_what_balance_says_at_each_end(state: Path, asked: Asked) -> None:
    [account] = answer(asked, state, "nav", "--every", "7d")["accounts"]
    assert len(account["nav"]) > 5
    for point in account["nav"]:
        [then] = answer(asked, state, "balance", "--at", str(point["seq"]))["accounts"]
        assert point["nav_micros"] == then["nav"]["nav_micros"]
        assert int(point["until_ns"]) % (7 * DAY_NS) == 0 or point is account["nav"][-1]
        assert int(point["ts_ns"]) <= int(point["until_ns"])
    assert account["nav"][-1]["until_ns"] == account["nav"][-1]["ts_ns"]  # the log ends before its period does
    [by_rows] = answer(asked, state, "nav", "--every", "100")["accounts"]
    assert [point["seq"] % 100 for point in by_rows["nav"][:-1]] == [0] * (len(by_rows["nav"]) - 1)


def test_what_the_strategies_earned_is_what_the_account_gained(state: Path, asked: Asked) -> None:
    said = asked("ledger", "balance", env={"ARK_STATE_DIR": str(state)}).stdout
    earned = [Decimal(text) for text in re.findall(r"earned (-?[0-9.]+) = realised", said)]
    [worth] = re.findall(r"NAV ([0-9.]+) = capital ([0-9.]+)", said)
    assert len(earned) > 1
    assert sum(earned) == Decimal(worth[0]) - Decimal(worth[1])


@pytest.mark.parametrize("action", ["balance", "journal", "nav"])
def test_people_get_lines(state: Path, asked: Asked, action: str) -> None:
    said = asked("ledger", *ACTIONS[action], env={"ARK_STATE_DIR": str(state)})
    assert said.returncode == 0
    assert len(said.stdout.splitlines()) > 5


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    "words",
    [
        ("--account", "nobody"),
        ("--strategy", "nothing"),
        ("--at", "tomorrow"),
        ("--from", "2012-99-99"),
        ("--every", "1w"),
        ("--journal", "/nowhere"),
        ("--format", "xml"),
    ],
)
def test_what_is_not_there_is_one_clear_line(
    state: Path, asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    said = asked("ledger", *ACTIONS[action], *words, env={"ARK_STATE_DIR": str(state)})
    assert said.returncode == 2
    assert said.stdout == ""
    assert len(said.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_without_a_journal_there_is_nothing_to_say(tmp_path: Path, asked: Asked) -> None:
    assert asked("ledger", "balance", env={"ARK_STATE_DIR": str(tmp_path)}).returncode == 2
