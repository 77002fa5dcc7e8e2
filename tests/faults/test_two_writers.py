"""Two that would write the same: the second is refused and told who holds it, and a journal never has two ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agents.kenny.venues.simulated import SimulatedVenue
from deployment.topology.state_dir import StateDir
from mutable_core.journal import Journal, verify
from mutable_core.messages import RunStarted
from tests.faults.cases import Case, folder_in_memory, wild_bars
from tests.faults.processes import (
    LOADED,
    TOP,
    ark,
    bytes_of,
    ended,
    envelopes_of,
    environment,
    eventually,
    journal_of,
    one_line,
    started,
)

pytestmark = pytest.mark.faults

WRITER = """
import sys
from pathlib import Path
from mutable_core.errors import ArkError
from mutable_core.journal import Journal
journal = Journal.open(Path(sys.argv[1]))
print(journal.seq, flush=True)
for line in sys.stdin:
    try:
        for number in range(int(line)):
            journal.append(b"row %d of %s" % (number, sys.argv[2].encode()), 0)
        journal.commit()
        print("committed", flush=True)
    except ArkError as error:
        print(error, flush=True)
"""


class Writer:
    """A process of its own that has the journal open."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._asked, self._told = process.stdin, process.stdout
        self.seq = int(self._told.readline())

    def ask(self, rows: int) -> None:
        self._asked.write(f"{rows}\n")
        self._asked.flush()

    def answer(self) -> str:
        return self._told.readline().strip()

    def commit(self, rows: int) -> str:
        self.ask(rows)
        return self.answer()


@contextmanager
def writers(journal: Path, count: int) -> Iterator[list[Writer]]:
    """So many processes with the same journal open, all at the same row."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, journal, f"writer {number}"], cwd=TOP, env=environment(), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for number in range(count)
    ]  # fmt: skip
    try:
        yield [Writer(process) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def rows_in(path: Path) -> list[bytes]:
    journal = Journal.open(path)
    try:
        return list(journal.rows())
    finally:
        journal.close()


def test_four_writers_that_commit_at_once_leave_one_chain(tmp_path: Path) -> None:
    """Each stands at row 0; whoever is first is in, the rest are told so and take nothing more."""
    path = tmp_path / "journal.sqlite"
    Journal.open(path).close()
    with writers(path, 4) as four:
        for number, writer in enumerate(four):
            writer.ask(1 + number)
        answers = [writer.answer() for writer in four]
        assert answers.count("committed") == 1
        winner = answers.index("committed")
        assert four[winner].commit(1 + winner) == "committed"
        for number, writer in enumerate(four):
            if number != winner:
                assert "takes nothing more" in writer.commit(1)
    assert rows_in(path) == [b"row %d of writer %d" % (row, winner) for row in range(1 + winner)] * 2


@pytest.mark.parametrize("longer", [1, 3, 7], ids=["shorter", "as long", "longer"])
def test_a_writer_that_fell_behind_cannot_go_on_from_where_it_was(tmp_path: Path, longer: int) -> None:
    """Whatever the lengths of the two commits: there is no place in the chain for the second one."""
    path = tmp_path / "journal.sqlite"
    first = Journal.open(path)
    with writers(path, 1) as (other,):
        for number in range(3):
            first.append(b"row %d" % number, 0)
        first.commit()
        refused = other.commit(longer)
    assert refused != "committed"
    assert path.name in refused
    first.append(b"row 3", 0)
    first.commit()
    first.close()
    assert rows_in(path) == [b"row %d" % number for number in range(4)]


def test_a_house_beside_which_somebody_writes_stops_and_sends_nothing(tmp_path: Path) -> None:
    """Nobody is kept from a file by a promise: the intruder is in, and the house notices at its next commit."""
    bars = wild_bars(tmp_path / "bars.csv", days=60)
    state = tmp_path / "state"
    words = ("run", "--until-end", "--json", "--source", f"file:{bars}", "--state", str(state))
    with started(*words, "--speed", str(86_400 * 20), env=LOADED) as house:
        eventually(lambda: bytes_of(state, "venue.log") > 5_000, "orders are sent")
        house.send_signal(signal.SIGSTOP)
        intruder = Journal.open(journal_of(state))
        intruder.append(b"a row of nobody's", 0)
        intruder.commit()
        seq = intruder.seq
        intruder.close()
        house.send_signal(signal.SIGCONT)
        ran = ended(house)
    assert ran.returncode == 1, ran.stderr
    assert "another process has written to the journal" in one_line(ran)
    report = verify(journal_of(state))
    assert (report.ok, report.first_bad_row) == (False, seq)
    assert ark(*words, env=LOADED).returncode == 1, "the intruder's row was adopted"


def test_a_state_folder_is_one_processs(cases: tuple[Case, Case]) -> None:
    """The second is refused before it has touched anything, and names the first."""
    case = cases[0]
    with folder_in_memory() as folder, StateDir(folder / "state"):
        before = sorted((folder / "state").rglob("*"))
        ran = case.run(folder / "state")
        assert ran.code == 2
        assert f"process {os.getpid()}" in ran.err
        assert len(ran.err.splitlines()) == 1
        assert sorted((folder / "state").rglob("*")) == before
    with folder_in_memory() as folder:
        with StateDir(folder / "state"):
            pass
        case.assert_ends_the_same(folder / "state")


def test_a_venue_log_is_one_processs(cases: tuple[Case, Case], tmp_path: Path) -> None:
    case = cases[0]
    with folder_in_memory() as folder:
        state = folder / "state"
        assert case.run(state).code == 0
        begun = next(envelopes_of(journal_of(state))).body
        assert isinstance(begun, RunStarted)
        log = journal_of(state).with_name("venue.log")
        venue = SimulatedVenue.open(log, cash_micros=begun.cash_micros, instruments=begun.instruments)
        ran = case.run(state)
        venue.close()
        assert ran.code == 2
        assert len(ran.err.splitlines()) == 1
        assert "venue" in ran.err
        case.assert_ends_the_same(state)
