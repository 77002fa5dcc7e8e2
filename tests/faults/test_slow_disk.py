"""A disk that takes its time: orders wait for it, the books are the same, and what took too long is not sent late."""

from __future__ import annotations

from pathlib import Path

import pytest

from mutable_core.clock import SECOND_NS
from mutable_core.messages import OrderBlocked, OrderIntended
from tests.faults.cases import Case, folder_in_memory
from tests.faults.processes import assert_nothing_sent_undurable, envelopes_of, journal_of, venue_events
from tests.faults.syscalls import SYNCS, WRITES, Call, Plan
from watchdog.lease import TERM_NS

pytestmark = pytest.mark.faults

WAL, VENUE = "journal.sqlite-wal", "venue.log"


def test_on_a_slow_disk_orders_wait_and_the_books_are_the_same(cases: tuple[Case, Case]) -> None:
    """Every fsync takes 50 to 500 ms longer; the venue is never told before the fsync is over."""
    case = cases[0]
    with folder_in_memory() as folder:
        state = folder / "state"
        ran = case.run(state, plan=Plan(below=str(state), names=SYNCS, files=(WAL,), delays_ms=(50, 90, 50, 500)))
        assert ran.code == 0, ran.err
        case.assert_same(state)
        assert_nothing_overtakes_the_disk(ran.calls)


def assert_nothing_overtakes_the_disk(calls: tuple[Call, ...]) -> None:
    """I3, as the kernel saw it: whenever the venue was told something, the journal had no write without its fsync."""
    is_synced, told = True, 0
    for call in calls:
        if call.file.endswith(WAL):
            is_synced = call.name in SYNCS
        elif call.file.endswith(VENUE) and call.name in WRITES:
            assert is_synced
            told += 1
    assert told > 5


def test_an_order_whose_commit_outlasts_the_lease_is_blocked_and_never_sent(cases: tuple[Case, Case]) -> None:
    """I9: the lease ends on the monotonic clock while the disk works; the order is dropped, said so, and not sent late."""
    case = cases[0]
    with folder_in_memory() as folder:
        state = folder / "state"
        first = first_commit_of_an_order(case)
        late_ms = (TERM_NS + SECOND_NS // 5) // 1_000_000
        delays = (*(0,) * (first - 1), late_ms, *(0,) * 10_000)
        ran = case.run(state, plan=Plan(below=str(state), names=SYNCS, files=(WAL,), delays_ms=delays))
        assert ran.code == 0, ran.err
        assert_blocked(journal_of(state))
        assert_nothing_sent_undurable(journal_of(state))


def first_commit_of_an_order(case: Case) -> int:
    """The number of the fsync of the WAL that precedes the first order at the venue."""
    kinds = [call for call in case.calls if call.file.endswith((WAL, VENUE)) and call.name in {*SYNCS, "write"}]
    written = [index for index, call in enumerate(kinds) if call.file.endswith(VENUE)]
    return written[1] - 1  # the first frame of the venue's log is its opening, written before the first commit


def assert_blocked(journal: Path) -> None:
    bodies = [envelope.body for envelope in envelopes_of(journal)]
    blocked = {body.client_order_id for body in bodies if isinstance(body, OrderBlocked)}
    assert {body.reason for body in bodies if isinstance(body, OrderBlocked)} == {"lease_stale"}
    intended = {body.order.client_order_id for body in bodies if isinstance(body, OrderIntended)}
    heard = {event.client_order_id.partition(".")[0] for event in venue_events(journal)}
    assert blocked <= intended
    assert heard == intended - blocked
    assert heard, "the run did not go on"
