"""The lease: fresh while somebody asks, renewed at half term, ended when nobody does, revoked for good (I9)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mutable_core.clock import DAY_NS, SECOND_NS
from mutable_core.messages import DiscrepancyFound, Inspection, LeaseGranted, SliceClosed, StatementWanted
from tests.makers import DAY_1_NS, a_lease, an_envelope, an_inspection
from watchdog.lease import TERM_NS, LeaseKeeper

FOUND = an_envelope(DiscrepancyFound("x", "books_differ", "cash"), seq=9)


class Watch:
    """A keeper with a monotonic clock that the test moves, and a log that folds its grants."""

    def __init__(self) -> None:
        self.mono_ns = 1_000
        self.inspections: list[Inspection] = []
        self.found = an_inspection()
        self.keeper = LeaseKeeper(self.inspect, lambda: self.mono_ns)

    def inspect(self) -> Inspection:
        self.inspections.append(self.found)
        return self.found

    def due(self, now_ns: int) -> LeaseGranted | None:
        grant = self.keeper.due(now_ns)
        if grant is not None:
            self.keeper.granted(an_envelope(grant))
        return grant


def test_a_term_is_what_the_rule_allows() -> None:
    """Rule 20: a lease of at most 5 s."""
    assert TERM_NS == 5 * SECOND_NS


def test_before_anybody_asks_there_is_no_lease() -> None:
    watch = Watch()
    assert not watch.keeper.is_fresh()
    assert watch.keeper.remaining_ns() == 0


def test_the_first_grant_is_due_at_once_and_says_until_when() -> None:
    assert Watch().due(DAY_1_NS) == a_lease()


@pytest.mark.parametrize(
    ("later_ns", "renewed"),
    [
        (0, False),
        (1, False),
        (TERM_NS // 2 - 1, False),
        (TERM_NS // 2, True),
        (TERM_NS, True),
        (DAY_NS, True),
        (-1, True),  # the log's clock never goes back; a lease from the future would refuse everything
    ],
)
def test_it_is_renewed_at_half_term_in_log_time(later_ns: int, renewed: bool) -> None:
    watch = Watch()
    watch.due(DAY_1_NS)
    now = DAY_1_NS + later_ns
    assert watch.due(now) == (a_lease(now) if renewed else None)


def test_every_grant_states_what_an_inspection_of_that_moment_found() -> None:
    """The rules read it from the log: a grant without a look, or with yesterday's look, would be a promise."""
    watch = Watch()
    first = watch.due(DAY_1_NS)
    watch.found = an_inspection(seal_faults=("expired",), venue_is_up=False, keystore_exposed=2)
    assert watch.due(DAY_1_NS + 1) is None
    assert watch.inspections == [an_inspection()], "nobody looks without granting"
    second = watch.due(DAY_1_NS + TERM_NS)
    assert first is not None
    assert second is not None
    assert (first.inspection, second.inspection) == (an_inspection(), watch.found)


def test_an_inspection_that_fails_grants_nothing() -> None:
    """I2: what could not be looked at is not vouched for."""

    def blind() -> Inspection:
        raise OSError("no such folder")

    keeper = LeaseKeeper(blind, lambda: 0)
    with pytest.raises(OSError, match="no such folder"):
        keeper.due(DAY_1_NS)


def test_a_grant_that_was_replayed_counts_as_given() -> None:
    """After a restart the log's grant still stands in log time; the monotonic half begins anew when asked."""
    watch = Watch()
    watch.keeper.granted(an_envelope(a_lease()))
    assert not watch.keeper.is_fresh()
    assert watch.due(DAY_1_NS + 1) is None
    assert watch.keeper.is_fresh()


@pytest.mark.parametrize(("passed_ns", "fresh"), [(0, True), (TERM_NS - 1, True), (TERM_NS, False), (DAY_NS, False)])
def test_when_nobody_asks_any_more_it_ends_on_the_monotonic_clock(passed_ns: int, fresh: bool) -> None:
    """A dead watchdog and a cut link look the same: no lease."""
    watch = Watch()
    watch.due(DAY_1_NS)
    watch.mono_ns += passed_ns
    assert watch.keeper.is_fresh() is fresh
    assert watch.keeper.remaining_ns() == max(0, TERM_NS - passed_ns)


def test_asking_keeps_it_alive_also_where_the_log_stands_still() -> None:
    watch = Watch()
    for _ in range(10):
        watch.due(DAY_1_NS)
        watch.mono_ns += TERM_NS - 1
        assert watch.keeper.is_fresh()
    watch.mono_ns += 1
    assert not watch.keeper.is_fresh()


def test_a_lease_that_ended_can_be_given_again() -> None:
    watch = Watch()
    watch.due(DAY_1_NS)
    watch.mono_ns += DAY_NS
    assert not watch.keeper.is_fresh()
    assert watch.due(DAY_1_NS + DAY_NS) is not None
    assert watch.keeper.is_fresh()


@pytest.mark.parametrize(
    ("revoke", "why"),
    [
        (lambda keeper: keeper.revoke("an operator said so"), "an operator said so"),
        (lambda keeper: keeper.found(FOUND), "books_differ at row 9"),
    ],
)
def test_a_revocation_is_for_good_and_says_why(revoke, why: str) -> None:
    watch = Watch()
    watch.due(DAY_1_NS)
    revoke(watch.keeper)
    assert (watch.keeper.is_fresh(), watch.keeper.remaining_ns(), watch.keeper.revoked) == (False, 0, why)
    for later in range(10):
        watch.mono_ns += SECOND_NS
        assert watch.due(DAY_1_NS + later * TERM_NS) is None
        watch.keeper.granted(an_envelope(a_lease()))
        assert not watch.keeper.is_fresh()
        assert watch.keeper.remaining_ns() == 0


def test_the_first_reason_for_a_revocation_stands() -> None:
    keeper = LeaseKeeper(an_inspection, lambda: 0)
    keeper.found(FOUND)
    keeper.revoke("later")
    assert keeper.revoked == "books_differ at row 9"


def test_only_a_discrepancy_revokes_and_only_a_grant_grants() -> None:
    watch = Watch()
    watch.due(DAY_1_NS)
    watch.keeper.found(an_envelope(StatementWanted(1)))
    watch.keeper.granted(an_envelope(SliceClosed(1, 1)))
    assert watch.keeper.is_fresh()
    assert watch.due(DAY_1_NS) is None


@given(st.lists(st.tuples(st.sampled_from(["ask", "wait", "revoke"]), st.integers(0, 2 * TERM_NS)), max_size=30))
def test_always_fresh_means_asked_within_the_term_and_never_revoked(acts) -> None:
    watch, asked_ns, revoked, now = Watch(), None, False, DAY_1_NS
    for act, amount in acts:
        if act == "ask":
            now += amount
            asked_ns = watch.mono_ns
            grant = watch.due(now)
            assert grant is None or (grant.granted_ns, grant.until_ns) == (now, now + TERM_NS)
            assert grant is None or not revoked
        elif act == "wait":
            watch.mono_ns += amount
        else:
            revoked = True
            watch.keeper.revoke("test")
        expected = not revoked and asked_ns is not None and watch.mono_ns - asked_ns < TERM_NS
        assert watch.keeper.is_fresh() is expected
