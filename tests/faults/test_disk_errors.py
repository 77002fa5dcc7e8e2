"""Every way in which a disk refuses, at every kind of call, early and late: one line, nothing sent, nothing retried.

The kernel itself refuses (`syscalls.py`): a failed fsync here is followed by a disk that works again, which is how a
program that tries again is caught. After a failed fsync the pages may be gone; only a new process that reads the disk
may go on.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.faults.cases import Case, folder_in_memory
from tests.faults.nursery import Death
from tests.faults.syscalls import SYNCS, WRITES, Call, Plan

pytestmark = pytest.mark.faults

WAL, VENUE = "journal.sqlite-wal", "venue.log"
REFUSALS = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS)
MOMENTS = tuple(
    (error, share)
    for error, shares in zip(REFUSALS, ((0, 0.6), (0.1, 0.8), (0.3, 0.85), (0.4, 0.8)), strict=True)
    for share in shares
)
"""Each refusal early and late in the run; 0 is the first such call, while the journal is opened."""


@pytest.fixture
def state() -> Iterator[Path]:
    with folder_in_memory() as folder:
        yield folder / "state"


def moment(case: Case, share: float, names: tuple[str, ...], *files: str) -> int:
    """The number of that call among its kind, so far into the undisturbed run."""
    of_kind = sum(call.name in names and call.file.endswith(files) for call in case.calls)
    assert of_kind, f"an undisturbed run makes no call of {names} on {files}"
    return 1 + int(share * of_kind)


def assert_stopped(case: Case, state: Path, ran: Death) -> None:
    """Exit code 1 and one line that names the disk; what is there is a whole beginning; it goes on from there."""
    assert ran.code == 1, ran.err
    assert ran.out == ""
    lines = ran.err.splitlines()
    assert len(lines) == 1, ran.err
    assert lines[0].startswith("ark: ")
    case.assert_whole_prefix(state, ran)
    case.assert_ends_the_same(state)


def after_the_fault(ran: Death) -> list[Call]:
    at = next(index for index, call in enumerate(ran.calls) if call.was != "done")
    return list(ran.calls[at + 1 :])


@pytest.mark.parametrize(("error", "share"), MOMENTS, ids=str)
def test_an_fsync_that_fails_once_ends_the_process_and_is_never_tried_again(
    cases: tuple[Case, Case], state: Path, error: int, share: float
) -> None:
    """The disk works again at once; a second try would succeed, and prove nothing."""
    case = cases[0]
    at = moment(case, share, SYNCS, WAL)
    ran = case.run(state, plan=Plan(below=str(state), names=SYNCS, files=(WAL,), at=at, then="fail", error=error))
    assert not [call for call in after_the_fault(ran) if call.file.endswith(WAL) and call.name in WRITES], (
        "the journal took more"
    )
    assert_stopped(case, state, ran)


@pytest.mark.parametrize(("error", "share"), MOMENTS, ids=str)
def test_a_journal_that_cannot_be_written_ends_the_process(
    cases: tuple[Case, Case], state: Path, error: int, share: float
) -> None:
    """Half of one write succeeds before the disk is full: what a real one does."""
    case = cases[0]
    at = moment(case, share, WRITES, WAL)
    plan = Plan(
        below=str(state), names=WRITES, files=(WAL,), at=at, then="fail", error=error, lasting=True,
        part=0.5 if error in {errno.ENOSPC, errno.EDQUOT} else 0.0,
    )  # fmt: skip
    assert_stopped(case, state, case.run(state, plan=plan))


@pytest.mark.parametrize(("error", "share"), MOMENTS[1::2], ids=str)
def test_a_venue_log_that_cannot_be_written_ends_the_process(
    cases: tuple[Case, Case], state: Path, error: int, share: float
) -> None:
    case = cases[0]
    at = moment(case, share, WRITES, VENUE)
    plan = Plan(
        below=str(state), names=WRITES, files=(VENUE,), at=at, then="fail", error=error, lasting=True,
        part=0.5 if error in {errno.ENOSPC, errno.EDQUOT} else 0.0,
    )  # fmt: skip
    assert_stopped(case, state, case.run(state, plan=plan))


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("chunk", range(2))
def test_whatever_call_fails_it_is_one_line_or_no_matter(cases: tuple[Case, Case], chunk: int, lasting: bool) -> None:
    """Any call on any file of the state folder: folders made, locks, notes, truncations, renames, checkpoints."""
    failing(cases[0], Random(chunk), 6, lasting=lasting)


@pytest.mark.nightly
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("chunk", range(100, 110))
def test_whatever_call_fails_it_is_one_line_or_no_matter_nightly(
    cases: tuple[Case, Case], chunk: int, lasting: bool
) -> None:
    failing(cases[chunk % 2], Random(chunk), 200, lasting=lasting)


def failing(case: Case, chance: Random, times: int, *, lasting: bool) -> None:
    with folder_in_memory() as folder:
        for number in range(times):
            state, error = folder / str(number), chance.choice(REFUSALS)
            at = chance.randrange(len(case.calls)) + 1
            ran = case.run(state, plan=Plan(below=str(state), at=at, then="fail", error=error, lasting=lasting))
            if ran.code == 0:  # it was no matter: a checkpoint may come later, a file may be left behind
                case.assert_whole_prefix(state, ran)
                case.assert_ends_the_same(state)
            else:
                assert_stopped(case, state, ran)
