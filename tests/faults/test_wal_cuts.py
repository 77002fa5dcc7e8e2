"""The WAL that a killed process left behind, cut at every 512 bytes: what opens is a beginning, never anything else.

A disk writes sectors. Whatever part of the WAL a power cut leaves, the journal that opens holds the first so many
commits, whole, and says so; a run that is resumed from there ends as the undisturbed one did, or refuses in one line,
where the venue knows of orders that the cut took from us.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from mutable_core.journal import Journal, verify
from tests.faults.cases import Case, folder_in_memory
from tests.faults.processes import journal_of
from tests.faults.syscalls import WRITES, Plan

pytestmark = pytest.mark.faults
SECTOR = 512
DATABASE, WAL = "journal.sqlite", "journal.sqlite-wal"


class Left(NamedTuple):
    """What a killed process left: its state folder, and the two files of its journal."""

    case: Case
    state: Path
    database: bytes
    wal: bytes

    def cut(self, folder: Path, size: int) -> Path:
        """The journal as a disk leaves it that kept so many bytes of the WAL."""
        (folder / DATABASE).write_bytes(self.database)
        (folder / WAL).write_bytes(self.wal[:size])
        (folder / f"{DATABASE}-shm").unlink(missing_ok=True)
        return folder / DATABASE


@pytest.fixture(scope="module")
def left(cases: tuple[Case, Case]) -> Iterator[Left]:
    """Killed as it began to fold the WAL into the database: everything is in the WAL."""
    case = cases[0]
    files = [call.file.rpartition("/")[2] for call in case.calls if call.name in WRITES]
    before = len(files) - 1 - files[::-1].index(WAL)
    at = files[:before].count(DATABASE) + 1
    with folder_in_memory() as folder:
        state = folder / "state"
        ran = case.run(state, plan=Plan(below=str(state), names=WRITES, files=(f"/{DATABASE}",), at=at))
        assert ran.code == -signal.SIGKILL, ran.err
        journal = journal_of(state)
        wal = journal.with_name(WAL).read_bytes()
        assert case.assert_whole_prefix(state, ran) == len(case.rows)
        assert 100_000 < len(wal) < 2_000_000
        yield Left(case, state, journal.read_bytes(), wal)


@pytest.mark.parametrize("part", range(4))
def test_a_wal_cut_anywhere_opens_as_a_beginning(left: Left, tmp_path: Path, part: int) -> None:
    """Every 512 bytes; the shorter the WAL the shorter the beginning, and each that occurs is verified."""
    seen: dict[int, int] = {}
    with folder_in_memory() as folder:
        for size in range(part * SECTOR, len(left.wal) + 1, 4 * SECTOR):
            journal = Journal.open(left.cut(folder, size))
            rows = list(journal.rows())
            assert rows == left.case.rows[: len(rows)], f"cut at byte {size}"
            assert journal.seq == journal.durable_seq == len(rows)
            assert len(rows) >= max(seen, default=0), f"cut at byte {size}: fewer rows than a shorter WAL held"
            journal.close()
            if len(rows) not in seen:
                seen[len(rows)] = size
                assert_verifies(folder / DATABASE, len(rows))
    assert len(seen) > 10
    assert max(seen) >= len(left.case.rows) // 2


def assert_verifies(path: Path, rows: int) -> None:
    """Whole; or, where a checkpoint beside it names more rows, cut off, and nothing else."""
    report = verify(path)
    assert report.rows == rows
    assert report.ok or report.first_bad_row == rows + 1, report.finding


@pytest.mark.parametrize("share", [0.02, 0.35, 0.7, 0.99])
def test_a_run_goes_on_from_a_cut_wal_or_refuses_in_one_line(left: Left, share: float) -> None:
    """What was fsynced is there, on an honest disk; on another nothing is adopted silently."""
    with folder_in_memory() as folder:
        state = shutil.copytree(left.state, folder / "state")
        left.cut(journal_of(state).parent, int(share * len(left.wal)) // SECTOR * SECTOR)
        ran = left.case.run(state)
        if ran.code == 0:
            left.case.assert_same(state)
        else:
            assert ran.code == 1
            assert len(ran.err.splitlines()) == 1
            assert "Traceback" not in ran.err
