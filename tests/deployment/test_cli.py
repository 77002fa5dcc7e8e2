"""The command line: what is wrong gets one line and an exit code; what is right gets one JSON object."""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet
import pytest

from deployment import run_synthetic_loop
from mutable_core.journal import verify
from mutable_core.messages import InputRejected, Observed, RowReceived
from tests.deployment.conftest import Asked
from tests.faults.processes import (
    LOADED,
    TOP,
    ark,
    bars_file,
    ended,
    envelopes_of,
    environment,
    eventually,
    free_port,
    journal_of,
    one_line,
    said,
    started,
)

RUN = ("run", "--until-end", "--json")


# -- what is wrong --------------------------------------------------------------------------------------------------


class Wrong(NamedTuple):
    """Words of a command, and what the line must name. `{}` is a folder of the test's own."""

    arguments: tuple[str, ...]
    names: str
    code: int = 2
    env: dict[str, str] = {}  # noqa: RUF012 - never changed


WRONG: dict[str, Wrong] = {
    "no command": Wrong((), "COMMAND"),
    "unknown command": Wrong(("trade",), "trade"),
    "unknown option": Wrong((*RUN, "--bypass"), "--bypass"),
    "an option shortened": Wrong(("run", "--until"), "--until"),
    "a word too many": Wrong(("verify", "{}", "again"), "again"),
    "unknown source": Wrong((*RUN, "--source", "bloomberg"), "bloomberg"),
    "empty source": Wrong((*RUN, "--source", ""), "embedded"),
    "a source with a line break": Wrong((*RUN, "--source", "blo\nomberg"), "omberg"),
    "embedded with more": Wrong((*RUN, "--source", "embedded:2"), "embedded"),
    "no rows": Wrong((*RUN, "--source", "synthetic:0"), "synthetic"),
    "rows that are no number": Wrong((*RUN, "--source", "synthetic:many"), "many"),
    "a file without a name": Wrong((*RUN, "--source", "file:"), "file:"),
    "no such file": Wrong((*RUN, "--source", "file:{}/none.csv"), "none.csv"),
    "no such file, on two lines": Wrong((*RUN, "--source", "file:{}/no\nne.csv"), "ne.csv"),
    "a file that is a folder": Wrong((*RUN, "--source", "file:{}"), "{}"),
    "speed 0": Wrong((*RUN, "--speed", "0"), "--speed"),
    "speed -1": Wrong((*RUN, "--speed", "-1"), "--speed"),
    "speed nan": Wrong((*RUN, "--speed", "nan"), "--speed"),
    "speed inf": Wrong((*RUN, "--speed", "inf"), "--speed"),
    "speed fast": Wrong((*RUN, "--speed", "fast"), "--speed"),
    "seed x": Wrong((*RUN, "--seed", "x"), "--seed"),
    "port x": Wrong((*RUN, "--port", "x"), "--port"),
    "port too great": Wrong((*RUN, "--port", "70000"), "70000"),
    "port below 0": Wrong((*RUN, "--port", "-1"), "-1"),
    "no such host": Wrong((*RUN, "--port", "0", "--host", "no.such.host.invalid"), "--host"),
    "an address of another machine": Wrong((*RUN, "--port", "0", "--host", "192.0.2.1"), "192.0.2.1"),
    "a state folder that is a file": Wrong((*RUN, "--state", "{}/file"), "file", 1),
    "unknown variable": Wrong((*RUN,), "ARK_CASHH", env={"ARK_CASHH": "1"}),
    "cash below 0": Wrong((*RUN,), "ARK_CASH", env={"ARK_CASH": "-1"}),
    "cash that is no number": Wrong((*RUN,), "ARK_CASH", env={"ARK_CASH": "NaN"}),
    "cash without end": Wrong((*RUN,), "ARK_CASH", env={"ARK_CASH": "Infinity"}),
    "cash with three decimals": Wrong((*RUN,), "ARK_CASH", env={"ARK_CASH": "1.001"}),
    "currency": Wrong((*RUN,), "ARK_CURRENCY", env={"ARK_CURRENCY": "dollars"}),
    "port variable": Wrong((*RUN,), "ARK_METRICS_PORT", env={"ARK_METRICS_PORT": "http"}),
    "unknown strategy": Wrong((*RUN,), "martingale", env={"ARK_STRATEGIES": "martingale"}),
    "a variable read by another command": Wrong(("verify",), "ARK_CASHH", env={"ARK_CASHH": "1"}),
    "verify of nothing": Wrong(("verify", "{}/none"), "none"),
    "replay of nothing": Wrong(("replay", "{}/none"), "none"),
    "verify of an empty folder": Wrong(("verify", "{}"), "{}"),
    "verify without a state": Wrong(("verify",), "none", env={"ARK_STATE_DIR": "{}/none"}),
    "why without a state": Wrong(("why", "1"), "ark run", env={"ARK_STATE_DIR": "{}/none"}),
    "why nothing": Wrong(("why",), "ID"),
    "rules without a verb": Wrong(("rules",), "action"),
    "rules broken": Wrong(("rules", "break"), "break"),
}


def _asked_wrongly(wrong: Wrong, tmp_path: Path) -> tuple[list[str], dict[str, str], str]:
    """Words, environment and what the line must name, in a folder of the test's own."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "file").write_text("not a folder")
    given = {"ARK_STATE_DIR": str(tmp_path / "state")} | wrong.env
    env = {name: value.replace("{}", str(folder)) for name, value in given.items()}
    return [word.replace("{}", str(folder)) for word in wrong.arguments], env, wrong.names.replace("{}", str(folder))


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_gets_one_line_and_a_code(tmp_path: Path, asked: Asked, case: str) -> None:
    """2: as it was asked, it cannot be done. Stdout stays empty and nothing is written."""
    words, env, names = _asked_wrongly(WRONG[case], tmp_path)
    ran = asked(*words, env=env)
    assert ran.returncode == WRONG[case].code, ran.stderr
    assert names in one_line(ran)
    assert not list((tmp_path / "state").rglob("journal.sqlite"))


@pytest.mark.parametrize(
    "case", ["unknown option", "no such file", "unknown variable", "a state folder that is a file"]
)
def test_a_process_says_the_same(tmp_path: Path, case: str) -> None:
    """One of each family of the table above, from outside."""
    words, env, names = _asked_wrongly(WRONG[case], tmp_path)
    ran = ark(*words, env=env)
    assert ran.returncode == WRONG[case].code, ran.stderr
    assert names in one_line(ran)


WRONG_LOOPS = {
    "no such option": ("--durations", "3"),
    "a loop of nothing": ("--duration", "0"),
    "a loop of nan": ("--duration", "nan"),
    "a loop of text": ("--duration", "long"),
    "0 Hz": ("--hz", "0"),
    "half a hertz": ("--hz", "0.5"),
    "drills at no time": ("--inject-every", "-1"),
}


@pytest.mark.parametrize("case", WRONG_LOOPS)
def test_a_loop_asked_for_wrongly_gets_one_line(capfd: pytest.CaptureFixture[str], case: str) -> None:
    with pytest.raises(SystemExit) as stop:
        run_synthetic_loop.main(WRONG_LOOPS[case])
    said = capfd.readouterr()
    assert WRONG_LOOPS[case][0] in one_line(subprocess.CompletedProcess((), 2, said.out, said.err))
    assert stop.value.code == 2


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _half_a_gzip(path: Path) -> None:
    path.write_bytes(gzip.compress(bars_file(path, days=300).read_bytes()))
    _half(path)


def _half_a_parquet(path: Path) -> None:
    table = pa.table({name: [str(n) for n in range(1, 999)] for name in ("ts_ns", "open", "high", "low", "close")})
    pyarrow.parquet.write_table(table, path)
    _half(path)


def _tampered_gzip(path: Path) -> None:
    data = bytearray(gzip.compress(bars_file(path, days=300).read_bytes()))
    data[len(data) // 2] ^= 0x55
    path.write_bytes(data)


WRONG_FILES: dict[str, Callable[[Path], object]] = {
    "half a gzip": _half_a_gzip,
    "a gzip with a wrong byte": _tampered_gzip,
    "half a parquet": _half_a_parquet,
    "only the magic of a parquet": lambda path: path.write_bytes(b"PAR1PAR1"),
    "only the magic of a gzip": lambda path: path.write_bytes(b"\x1f\x8b"),
    "empty": lambda path: path.write_bytes(b""),
    "a header only": lambda path: path.write_text("date,symbol,open,high,low,close,volume\n"),
    "wrong columns": lambda path: path.write_text("when,what,how_much\n1,A,2\n"),
    "no time": lambda path: path.write_text("symbol,open,high,low,close\nA,1,1,1,1\n"),
    "no readable time": lambda path: path.write_text("date,open,high,low,close\nyesterday,1,1,1,1\n"),
    "a column twice": lambda path: path.write_text("date,open,open,high,low,close\n2020-01-01,1,1,1,1,1\n"),
    "a row too long": lambda path: path.write_text("date,open,high,low,close\n2020-01-01,1,1,1,1,9,9\n"),
    "a row cut short": lambda path: path.write_text("date,open,high,low,close\n2020-01-01,1,1,1,1\n2020-01-02,1,"),
    "binary": lambda path: path.write_bytes(bytes(range(256)) * 40),
    "no utf-8": lambda path: path.write_bytes(b"date,open,high,low,close\n2020-01-01,1,1,1,\xff\xfe\n"),
    "an option chain": lambda path: path.write_text("ts_ns,strike,open,high,low,close\n1,1,1,1,1,1\n"),
}


@pytest.mark.parametrize("what", WRONG_FILES)
def test_a_file_that_is_no_market_data_gets_one_line(tmp_path: Path, asked: Asked, what: str) -> None:
    path = tmp_path / "data.csv"
    WRONG_FILES[what](path)
    ran = asked(*RUN, "--source", f"file:{path}", "--state", str(tmp_path / "state"))
    assert ran.returncode == 2, ran.stderr
    assert "data.csv" in one_line(ran)
    assert not list((tmp_path / "state").rglob("journal.sqlite"))


ODD_NAMES = {
    "spaces": "my data.csv",
    "a line break": "da\nta.csv",
    "dots": "...csv",
    "a percent sign": "100%?.csv",
    "another alphabet": "データ.csv",
    "a quotation mark": "o'hara\".csv",
    "long": "x" * 240 + ".csv",
    "no utf-8": os.fsdecode(b"da\xffta.csv"),
}


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_good_file_may_be_called_anything(tmp_path: Path, asked: Asked, name: str) -> None:
    """It runs, or one line says why not; what a person calls a file is never a traceback."""
    bars = bars_file(tmp_path / "bars.csv", days=3).rename(tmp_path / ODD_NAMES[name])
    state = tmp_path / "state"
    ran = ark(*RUN, "--source", f"file:{bars}", "--state", str(state)) if name == "no utf-8" else asked(
        *RUN, "--source", f"file:{bars}", "--state", str(state)
    )  # fmt: skip
    if ran.returncode:
        assert ran.returncode == 2, ran.stderr
        one_line(ran)
    else:
        assert said(ran)["observations"] == 12
        assert verify(journal_of(state)).ok


def test_a_taken_port_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = ark("run", "--source", "synthetic:10", "--port", str(port), "--state", str(tmp_path / "state"))
    assert ran.returncode == 2
    assert str(port) in one_line(ran)
    assert not (tmp_path / "state").exists()


def test_a_second_instance_is_told_who_has_the_state(tmp_path: Path) -> None:
    state, port = str(tmp_path / "state"), free_port()
    with started("run", "--source", "synthetic", "--port", str(port), "--state", state) as first:
        eventually(lambda: list(Path(state).glob("*/journal.sqlite")), "the first has begun")
        for arguments in (("--port", "0"), ("--until-end",)):
            second = ark("run", "--source", "synthetic", *arguments, "--state", state)
            assert second.returncode == 2
            assert str(first.pid) in one_line(second)
        assert first.poll() is None
        first.send_signal(signal.SIGTERM)
        assert ended(first).returncode == 0
    again = ark(*RUN, "--source", "synthetic:20", "--state", state)
    assert again.returncode == 0, again.stderr


def test_a_journal_of_another_format_is_refused(tmp_path: Path) -> None:
    """Neither read as ours nor written to: not by a run, and not by a verifier that would call it whole."""
    state = tmp_path / "state"
    assert ark(*RUN, "--source", "synthetic:50", "--state", str(state)).returncode == 0
    journal = journal_of(state)
    connection = sqlite3.connect(journal)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = journal.read_bytes()
    for arguments in ((*RUN, "--source", "synthetic:50", "--state", str(state)), ("replay", str(journal))):
        ran = ark(*arguments)
        assert ran.returncode in (1, 2)
        assert "99" in one_line(ran)
    verified = ark("verify", str(journal))
    assert verified.returncode in (1, 2)
    assert "99" in verified.stdout + verified.stderr
    assert journal.read_bytes() == before


def test_a_venue_log_that_was_altered_is_refused(tmp_path: Path) -> None:
    state, bars = tmp_path / "state", bars_file(tmp_path / "bars.csv", days=20)
    arguments = (*RUN, "--source", f"file:{bars}", "--state", str(state))
    assert ark(*arguments, env=LOADED).returncode == 0
    log = journal_of(state).with_name("venue.log")
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 1
    log.write_bytes(data)
    ran = ark(*arguments, env=LOADED)
    assert ran.returncode == 1
    assert "venue.log" in one_line(ran)


def test_a_venue_log_that_is_gone_is_never_taken_for_agreement(tmp_path: Path) -> None:
    """I8: books with positions and a venue that knows of none do not agree."""
    state, bars = tmp_path / "state", bars_file(tmp_path / "bars.csv", days=20)
    arguments = (*RUN, "--source", f"file:{bars}", "--state", str(state))
    speed = ("--speed", str(86_400 * 20))
    with started(*arguments, *speed, env=LOADED) as process:
        eventually(lambda: [p for p in state.glob("*/venue.log") if p.stat().st_size > 8_000], "orders are sent")
        process.send_signal(signal.SIGTERM)
        ended(process)
    journal_of(state).with_name("venue.log").unlink()
    ran = ark(*arguments, env=LOADED)
    assert ran.returncode == 1, ran.stdout
    if ran.stdout:
        assert said(ran)["reconciled"] is False
    else:
        one_line(ran)


def test_a_reader_that_hangs_up_is_no_failure(tmp_path: Path) -> None:
    """`ark agents | head -1`"""
    ran = subprocess.run(
        ["bash", "-c", f'set -o pipefail; "{sys.executable}" -m deployment rules list | true'],
        cwd=TOP, env=environment({"PYTHONUNBUFFERED": ""}), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert ran.stderr == ""
    assert ran.returncode == 0


@pytest.mark.parametrize("words", [("agents",), ("verify", "--help")])
def test_a_reader_that_has_hung_up_before_a_short_answer_is_no_failure(words: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ran = subprocess.run(
            [sys.executable, "-m", "deployment", *words], cwd=TOP, env=environment({"PYTHONUNBUFFERED": ""}), stdout=writer,
            stderr=subprocess.PIPE, text=True, check=False, timeout=60,
        )  # fmt: skip
    finally:
        os.close(writer)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_ctrl_c_while_it_starts_is_no_traceback(tmp_path: Path) -> None:
    """At any moment from the first import on."""
    for moment in range(6):
        state = tmp_path / str(moment)
        with started("run", "--source", "synthetic", "--port", "0", "--state", str(state)) as process:
            eventually(lambda: _cpu_ticks(process.pid) >= 8 * (moment + 1), "it has begun")  # noqa: B023
            process.send_signal(signal.SIGINT)
            ran = ended(process)
        assert "Traceback" not in ran.stderr, (moment, ran.stderr)
        assert ran.returncode in (0, 130, -signal.SIGINT)


def _cpu_ticks(pid: int) -> int:
    """CPU time so far, in hundredths of a second."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 1 << 30
    return int(fields[11]) + int(fields[12])


# -- what is right --------------------------------------------------------------------------------------------------


class Ended(NamedTuple):
    state: Path
    bars: Path
    journal: Path
    ran: subprocess.CompletedProcess[str]
    summary: dict[str, Any]

    @property
    def arguments(self) -> tuple[str, ...]:
        return (*RUN, "--source", f"file:{self.bars}")


@pytest.fixture(scope="module")
def run_ended(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    folder = tmp_path_factory.mktemp("ended")
    bars, state = bars_file(folder / "bars.csv", days=30), folder / "state"
    ran = ark(*RUN, "--source", f"file:{bars}", "--state", str(state), env=LOADED)
    assert ran.returncode == 0, ran.stderr
    return Ended(state, bars, journal_of(state), ran, said(ran))


KEYS = {
    "observations": int, "proposals": int, "approvals": int, "refusals": int, "orders": int, "fills": int,
    "rejected_inputs": int, "traces": int, "traces_incomplete": int, "verdicts_recomputed": int,
    "verdict_mismatches": int, "journal_rows": int, "journal_head": str, "journal_ok": bool, "start_equity": str,
    "end_equity": str, "currency": str, "reconciled": bool, "elapsed_s": float,
}  # fmt: skip


def test_a_run_to_the_end_says_what_it_promises(run_ended: Ended) -> None:
    summary = run_ended.summary
    assert {key: type(summary[key]) for key in KEYS} == KEYS
    assert summary["observations"] == 120
    assert summary["orders"] > 50
    assert summary["approvals"] + summary["refusals"] == summary["proposals"] == summary["verdicts_recomputed"]
    assert summary["traces_incomplete"] == summary["verdict_mismatches"] == 0
    assert summary["journal_ok"] is summary["reconciled"] is True
    assert run_ended.ran.stderr == ""


def test_without_json_the_same_is_said_for_a_person(run_ended: Ended) -> None:
    ran = ark("run", "--until-end", *run_ended.arguments[3:], "--state", str(run_ended.state), env=LOADED)
    assert ran.returncode == 0
    assert run_ended.summary["journal_head"] in ran.stdout


def test_every_command_answers_with_one_object(run_ended: Ended) -> None:
    journal = str(run_ended.journal)
    decision = next(e for e in envelopes_of(run_ended.journal) if e.kind == "decision.approved")
    commands = (
        ("verify", journal), ("replay", journal), ("agents",), ("rules", "list"),
        ("why", decision.body.proposal_id, "--journal", journal),  # type: ignore[union-attr]
    )  # fmt: skip
    for command in commands:
        ran = ark(*command, "--json")
        assert ran.returncode == 0, (command, ran.stderr)
        assert said(ran), command
        assert ran.stderr == ""


def test_without_a_path_the_newest_journal_of_the_state_folder_is_meant(run_ended: Ended, asked: Asked) -> None:
    decision = next(e for e in envelopes_of(run_ended.journal) if e.kind == "decision.approved")
    for command in (("verify",), ("replay",), ("why", str(decision.seq)), ("why", decision.trace_id)):
        ran = asked(*command, "--json", env={"ARK_STATE_DIR": str(run_ended.state)})
        assert ran.returncode == 0, (command, ran.stderr)
        assert said(ran)["journal"] == str(run_ended.journal)


def test_why_says_inputs_rules_verdict_and_life(run_ended: Ended) -> None:
    order = next(e for e in envelopes_of(run_ended.journal) if e.kind == "order.intended")
    wanted = order.body.order.client_order_id  # type: ignore[union-attr]
    answer = said(ark("why", wanted, "--journal", str(run_ended.journal), "--json"))
    assert answer["approved"] is True
    assert answer["inputs"]
    assert all(one["age_s"] >= 0 for one in answer["inputs"])
    assert {"rule", "measured", "limit", "margin", "holds"} <= set(answer["rules"][0])
    assert "order.intended" in [event["kind"] for event in answer["life"]]
    assert "order.filled" in [event["kind"] for event in answer["life"]]


@pytest.mark.parametrize("unknown", ["deadbeefdeadbeef", "999999999", "0", "-1", "x' OR 1=1", "%", "", "f" * 300])
def test_an_unknown_decision_gets_one_line(run_ended: Ended, asked: Asked, unknown: str) -> None:
    ran = asked("why", "--journal", str(run_ended.journal), "--json", "--", unknown)
    assert ran.returncode == 2, ran.stderr
    one_line(ran)


def test_an_id_without_a_decision_gets_one_line(run_ended: Ended, asked: Asked) -> None:
    """The genesis row, a row of the market that led to nothing, a common word of eight letters."""
    ids = {"1", next(e.id for e in envelopes_of(run_ended.journal) if e.kind == "control.run_started"), "deadbeef"}
    for one in ids:
        ran = asked("why", one, "--journal", str(run_ended.journal), "--json")
        assert ran.returncode == 2, (one, ran.stdout)
        one_line(ran)


def test_the_module_is_the_command(run_ended: Ended) -> None:
    command = Path(sys.executable).with_name("ark")
    if not command.exists():
        pytest.skip("`ark` is not installed beside this interpreter")
    for arguments in (["verify", str(run_ended.journal), "--json"], ["bogus"]):
        both = [
            subprocess.run([*how, *arguments], cwd=TOP, env=environment(), capture_output=True, text=True, check=False)
            for how in ([str(command)], [sys.executable, "-m", "deployment"])
        ]
        assert both[0].returncode == both[1].returncode
        assert both[0].stdout == both[1].stdout
        assert both[0].stderr == both[1].stderr


def test_the_same_seed_gives_the_same_journal_and_another_another(tmp_path: Path) -> None:
    heads = []
    for number, seed in enumerate((4, 4, 5)):
        ran = ark(
            *RUN, "--source", "synthetic:3000", "--seed", str(seed), "--state", str(tmp_path / str(number)), env=LOADED
        )
        assert ran.returncode == 0, ran.stderr
        heads.append(said(ran)["journal_head"])
    assert heads[0] == heads[1] != heads[2]


def test_two_runs_in_one_state_folder_keep_apart(tmp_path: Path) -> None:
    """Another seed is another run: it neither resumes the first nor spoils it."""
    heads = {}
    for seed in ("1", "2", "1"):
        ran = ark(*RUN, "--source", "synthetic:400", "--seed", seed, "--state", str(tmp_path))
        assert ran.returncode == 0, ran.stderr
        assert heads.setdefault(seed, said(ran)["journal_head"]) == said(ran)["journal_head"]
    assert len(list(tmp_path.glob("*/journal.sqlite"))) == 2


GARBAGE = (
    ("not_finite", ("NaN", "11", "9", "10", "100")),
    ("not_finite", ("10", "inf", "9", "10", "100")),
    ("malformed", ("ten", "11", "9", "10", "100")),
    ("malformed", ("", "11", "9", "10", "100")),
    ("malformed", ("1_0", "11", "9", "10", "100")),
    ("not_positive", ("-10", "11", "9", "10", "100")),
    ("not_positive", ("10", "11", "0", "10", "100")),
    ("not_positive", ("10", "11", "9", "10", "-5")),
    ("high_below_low", ("10", "8", "9", "8.5", "100")),
    ("not_finite", ("10", "11", "9", "-inf", "100")),
    ("malformed", ("10", "11", "9", "0x10", "100")),
)


def test_garbage_among_good_rows_is_counted_and_loses_nothing(tmp_path: Path) -> None:
    """Every row of the file is in the journal, and is either observed or rejected with its reason."""
    path = tmp_path / "bars.csv"
    lines = bars_file(path, days=40, symbols=1).read_text().splitlines()
    for place, (_, cells) in enumerate(GARBAGE):
        lines.insert(5 + 3 * place, f"2015-01-{4 + 2 * place:02d},S0,{','.join(cells)}")
    path.write_text("\n".join(lines) + "\n")
    ran = ark(*RUN, "--source", f"file:{path}", "--state", str(tmp_path / "state"), env=LOADED)
    assert ran.returncode == 0, ran.stderr
    summary, bodies = said(ran), [e.body for e in envelopes_of(journal_of(tmp_path / "state"))]
    assert summary["observations"] + summary["rejected_inputs"] == len(lines) - 1
    received = {body.row: body for body in bodies if isinstance(body, RowReceived)}
    assert sorted(received) == list(range(1, len(lines)))
    outcomes = sorted(body.row for body in bodies if isinstance(body, Observed | InputRejected))
    assert outcomes == sorted(received)
    rejected = {received[body.row].values[:5]: body.reason for body in bodies if isinstance(body, InputRejected)}
    assert {cells: rejected.get(cells) for _, cells in GARBAGE} == {cells: reason for reason, cells in GARBAGE}
    assert sum(summary["rejected_by_reason"].values()) == summary["rejected_inputs"]


SHARED = TOP.parent / "shared" / "data"


@pytest.mark.parametrize("name", ["bars_1m_us_equities.parquet", "index_1d_volatility_family.csv.gz"])
def test_shared_data_that_was_never_seen_runs(tmp_path: Path, name: str) -> None:
    if not (SHARED / name).is_file():
        pytest.skip("../shared/data is not here")
    ran = ark(*RUN, "--source", f"file:{SHARED / name}", "--state", str(tmp_path / "state"))
    if ran.returncode == 2:
        one_line(ran)
        return
    assert ran.returncode == 0, ran.stderr
    summary = said(ran)
    assert summary["traces_incomplete"] == summary["verdict_mismatches"] == 0
    assert summary["reconciled"] is summary["journal_ok"] is True


def test_a_state_folder_that_was_copied_resumes_elsewhere(run_ended: Ended, tmp_path: Path) -> None:
    """A backup is a copy of the folder: no path of it is written inside."""
    shutil.copytree(run_ended.state, tmp_path / "copy")
    ran = ark(*run_ended.arguments, "--state", str(tmp_path / "copy"), env=LOADED)
    assert ran.returncode == 0, ran.stderr
    assert said(ran)["journal_head"] == run_ended.summary["journal_head"]
    assert str(run_ended.state).encode() not in journal_of(tmp_path / "copy").read_bytes()


def test_another_account_is_another_run(run_ended: Ended, tmp_path: Path) -> None:
    """What the outcome depends on is in the name of the run: other money never resumes this one."""
    shutil.copytree(run_ended.state, tmp_path / "copy")
    ran = ark(*run_ended.arguments, "--state", str(tmp_path / "copy"), env=LOADED | {"ARK_CASH": "5000"})
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["start_equity"] == "5000"
    assert len(list((tmp_path / "copy").glob("*/journal.sqlite"))) == 2


def test_the_bars_that_this_test_made_are_what_it_says(run_ended: Ended) -> None:
    with run_ended.bars.open() as file:
        assert sum(1 for _ in csv.DictReader(file)) == run_ended.summary["observations"]
