"""The wall clock jumps five minutes, this way and that: nothing that is decided, ordered or permitted rests on it."""

from __future__ import annotations

import signal

import pytest

from mutable_core.clock import SECOND_NS
from mutable_core.journal import checked_rows, verify
from mutable_core.messages import OrderBlocked
from mutable_core.state_manager import StateManager
from tests.faults.cases import Case, folder_in_memory
from tests.faults.processes import journal_of
from tests.faults.syscalls import Plan

pytestmark = pytest.mark.faults
JUMPS_S = (-300.0, 300.0, 0.0)
PACED = ("--speed", str(86_400 * 40))  # six days in a fifth of a second


def test_a_paced_run_ends_the_same_though_its_clock_jumps(cases: tuple[Case, Case]) -> None:
    """The journal, the books, the venue: byte for byte; and no order was held back for a lease that seemed to end."""
    case = cases[0]
    with folder_in_memory() as folder:
        ran = case.run(folder / "state", *PACED, jumps_s=JUMPS_S)
        assert ran.code == 0, ran.err
        case.assert_same(folder / "state")
        rows = list(checked_rows(journal_of(folder / "state")))
        assert not [row for row in rows if isinstance(row.envelope.body, OrderBlocked)]
        stamps = [row.stamp_ns for row in rows]
        assert stamps == sorted(stamps)
        assert stamps[-1] - stamps[0] < 60 * SECOND_NS, "they took part in a jump"


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_killed_and_started_again_under_a_jumping_clock_it_ends_the_same(
    cases: tuple[Case, Case], share: float
) -> None:
    """A machine without a battery: it starts in the past, and is corrected while it runs."""
    case = cases[0]
    with folder_in_memory() as folder:
        state = folder / "state"
        at = int(share * len(case.calls))
        killed = case.run(state, jumps_s=JUMPS_S, plan=Plan(below=str(state), at=at))
        assert killed.code == -signal.SIGKILL, killed.err
        case.assert_whole_prefix(state, killed)
        again = case.run(state, jumps_s=JUMPS_S)
        assert again.code == 0, again.err
        case.assert_same(state)


def test_starts_whose_clock_went_back_keep_the_order_of_versions(cases: tuple[Case, Case]) -> None:
    """Versions and rows are ordered by their numbers; what a later start writes is later, whatever its clock says."""
    case = cases[0]
    with folder_in_memory() as folder:
        state = folder / "state"
        for jump_s in (300.0, -300.0, 0.0):
            ran = case.run(state, jumps_s=(jump_s,))
            assert ran.code == 0, ran.err
        case.assert_same(state)
        assert verify(journal_of(state)).ok
        with StateManager.open(state / "state.sqlite") as manager:
            report = manager.verify()
            assert report.ok, report.finding
            assert [entry.version for entry in manager.history("house", "boot")] in ([1, 2, 3], [3, 2, 1])
