"""Traces: each comes to its end, hangs together, and armed protection is counted apart (I6)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from mutable_core.ids import derived_id
from mutable_core.messages import (
    AnyBody,
    Approved,
    DiscrepancyFound,
    DrillOrdered,
    Envelope,
    InputRejected,
    NothingProposed,
    OrderAccepted,
    OrderBlocked,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    OrderUnknown,
    OrderWithheld,
    ProposalMade,
    Reconciled,
    Refused,
    RowReceived,
    SliceClosed,
    SourceEnded,
    StatementWanted,
    VenueStated,
    Verified,
    leg_id,
)
from mutable_core.traces import Traces
from tests.graveyard.makers import good_facts
from tests.makers import a_fill, a_lease, a_proposal, a_run, an_envelope, an_observation, an_order, some_grounds
from tests.mutable_core.test_book import VERDICT

ROW = RowReceived("s", 1, "bar", "A", 1, 1, ("1",) * 6)
DRILL = DrillOrdered("no_stop")
REJECTED = InputRejected("A", 1, "stale", "")
QUIET = NothingProposed("A", "no_signal")
OBSERVED = an_observation()
PROPOSAL = a_proposal()
PROPOSED = ProposalMade(PROPOSAL)
REFUSED = Refused(PROPOSAL.proposal_id, "A", "d", 1, good_facts(), VERDICT, some_grounds())
APPROVED = Approved(PROPOSAL.proposal_id, "A", "d", 1, good_facts(), VERDICT, some_grounds(), 1, 1, 1)
ORDER = an_order(proposal_id=PROPOSAL.proposal_id)
KEY = ORDER.client_order_id
INTENDED = OrderIntended(ORDER, "d", 1, 1, 1)
BARE = OrderIntended(an_order(proposal_id=PROPOSAL.proposal_id, stop_price=None, target_price=None), "d", 1, 1, 1)
ONLY_STOP = OrderIntended(an_order(proposal_id=PROPOSAL.proposal_id, target_price=None), "d", 1, 1, 1)
WITHHELD = OrderWithheld(PROPOSAL.proposal_id, KEY, "rate_limited")
ACCEPTED = OrderAccepted(1, KEY)
FILLED = a_fill(ORDER)
PARTLY = a_fill(ORDER, quantity=Decimal(50), remaining=Decimal(50))
EXPIRED = OrderExpired(3, KEY)


def verified(outcome: Any) -> Verified:
    return Verified(PROPOSAL.proposal_id, outcome)


def leg_filled(leg: Any, left: int = 0) -> OrderFilled:
    key = leg_id(KEY, leg)
    return a_fill(ORDER, client_order_id=key, leg=leg, side="sell", remaining=Decimal(left))


def leg_cancelled(leg: Any) -> OrderCancelled:
    return OrderCancelled(9, leg_id(KEY, leg), "other_leg_filled")


def a_trace(*bodies: AnyBody, trace: str = "t", first_seq: int = 1) -> list[Envelope]:
    """Messages of one trace; each is caused by the one before."""
    trace_id, log = derived_id(trace), []
    for number, body in enumerate(bodies):
        log.append(
            an_envelope(
                body,
                seq=first_seq + number,
                id=derived_id(trace, str(number)) if number else trace_id,
                trace_id=trace_id,
                cause_id=log[-1].id if log else trace_id,
                depth=number,
            )
        )
    return log


def read(log: list[Envelope]) -> Traces:
    traces = Traces()
    for envelope in log:
        traces.seen(envelope)
    return traces


DECIDED = (ROW, OBSERVED, PROPOSED, APPROVED)


@pytest.mark.parametrize(
    ("what", "bodies", "incomplete", "protecting"),
    [
        ("a row nobody answered", (ROW,), 1, 0),
        ("a row observed only", (ROW, OBSERVED), 1, 0),
        ("a row refused at the gate", (ROW, REJECTED), 0, 0),
        ("a row that led to nothing", (ROW, OBSERVED, QUIET), 0, 0),
        ("a proposal without verdict", (ROW, OBSERVED, PROPOSED), 1, 0),
        ("a refusal nobody looked at", (ROW, OBSERVED, PROPOSED, REFUSED), 1, 0),
        ("a refusal verified", (ROW, OBSERVED, PROPOSED, REFUSED, verified("refused")), 0, 0),
        ("a discrepancy instead", (ROW, PROPOSED, REFUSED, DiscrepancyFound("x", "verdict_mismatch", "")), 1, 0),
        ("a drill not answered", (DRILL,), 1, 0),
        ("a drill refused", (DRILL, PROPOSED, REFUSED, verified("refused")), 0, 0),
        ("an approval without order", DECIDED, 1, 0),
        ("withheld", (*DECIDED, WITHHELD, verified("withheld")), 0, 0),
        ("an order without answer", (*DECIDED, INTENDED), 1, 0),
        ("unknown", (*DECIDED, INTENDED, OrderUnknown(KEY)), 1, 0),
        ("unknown, then lost", (*DECIDED, INTENDED, OrderUnknown(KEY), OrderBlocked(KEY, "never_arrived"), verified("withheld")), 0, 0),
        ("accepted and still working", (*DECIDED, INTENDED, ACCEPTED, verified("accepted")), 1, 0),
        ("rejected by the venue", (*DECIDED, INTENDED, OrderRejected(1, KEY, "no"), verified("rejected")), 0, 0),
        ("rejected, not verified", (*DECIDED, INTENDED, OrderRejected(1, KEY, "no")), 1, 0),
        ("blocked at the door", (*DECIDED, INTENDED, OrderBlocked(KEY, "lease_stale"), verified("withheld")), 0, 0),
        ("expired", (*DECIDED, INTENDED, ACCEPTED, verified("accepted"), EXPIRED), 0, 0),
        ("cancelled", (*DECIDED, INTENDED, ACCEPTED, verified("accepted"), OrderCancelled(3, KEY, "by_us")), 0, 0),
        ("partly filled", (*DECIDED, INTENDED, ACCEPTED, verified("accepted"), PARTLY), 1, 0),
        ("filled, nothing protects it", (*DECIDED, BARE, ACCEPTED, verified("accepted"), FILLED), 0, 0),
        ("filled and protected", (*DECIDED, INTENDED, ACCEPTED, verified("accepted"), FILLED), 0, 1),
        ("filled, only a stop", (*DECIDED, ONLY_STOP, ACCEPTED, verified("accepted"), FILLED), 0, 1),
        ("only a stop, and it filled",
         (*DECIDED, ONLY_STOP, ACCEPTED, verified("accepted"), FILLED, leg_filled("stop")), 0, 0),
        ("partly filled, then expired", (*DECIDED, INTENDED, ACCEPTED, verified("accepted"), PARTLY, EXPIRED), 0, 1),
        ("the stop filled in part",
         (*DECIDED, INTENDED, ACCEPTED, verified("accepted"), FILLED, leg_filled("stop", 5)), 0, 1),
        ("the stop filled, the target stands",
         (*DECIDED, INTENDED, ACCEPTED, verified("accepted"), FILLED, leg_filled("stop")), 0, 1),
        ("the stop filled, the target cancelled",
         (*DECIDED, INTENDED, ACCEPTED, verified("accepted"), FILLED, leg_filled("stop"), leg_cancelled("target")), 0, 0),
        ("the target filled, the stop cancelled",
         (*DECIDED, INTENDED, ACCEPTED, verified("accepted"), FILLED, leg_filled("target"), leg_cancelled("stop")), 0, 0),
        ("the position closed by others",
         (*DECIDED, INTENDED, ACCEPTED, verified("accepted"), FILLED, leg_cancelled("stop"), leg_cancelled("target")), 0, 0),
    ],
)  # fmt: skip
def test_a_trace_has_ended_when_nothing_is_awaited_of_it(what: str, bodies, incomplete: int, protecting: int) -> None:
    traces = read(a_trace(*bodies))
    assert (traces.begun, traces.incomplete, traces.protecting, traces.broken) == (1, incomplete, protecting, [])


@pytest.mark.parametrize(
    "bodies",
    [
        (SliceClosed(1, 1),),
        (SliceClosed(1, 1), StatementWanted(1), VenueStated(0, 0, (), ()), Reconciled(0, 0, 0, 0, 0)),
        (SourceEnded(3),),
        (a_lease(0),),
        (a_run(),),
    ],
)
def test_what_awaits_nothing_begins_no_trace_that_could_stay_open(bodies) -> None:
    traces = read(a_trace(*bodies))
    assert (traces.begun, traces.incomplete, traces.protecting, traces.broken) == (0, 0, 0, [])


def test_traces_are_counted_each_for_itself() -> None:
    log = [
        *a_trace(ROW, REJECTED, trace="a"),
        *a_trace(ROW, trace="b", first_seq=3),
        *a_trace(ROW, OBSERVED, QUIET, trace="c", first_seq=4),
        *a_trace(ROW, OBSERVED, trace="d", first_seq=7),
    ]
    traces = read(log)
    assert (traces.begun, traces.incomplete) == (4, 2)


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_message_whose_cause_is_not_in_its_trace_is_broken_and_named(at: int) -> None:
    log = a_trace(ROW, OBSERVED, PROPOSED, REFUSED, verified("refused"))
    stranger = a_trace(ROW, trace="other")[0].id
    log[at] = an_envelope(
        log[at].body, seq=log[at].seq, id=log[at].id, trace_id=log[at].trace_id, cause_id=stranger, depth=at
    )
    traces = read(log)
    assert traces.broken == [at + 1]
    assert traces.incomplete == 1


def test_a_cause_that_stands_later_is_no_cause() -> None:
    """I6: each later message names a cause that stands earlier in the same trace."""
    log = a_trace(ROW, OBSERVED, QUIET)
    swapped = [log[0], log[2], log[1]]
    assert (read(swapped).broken, read(swapped).incomplete) == ([3], 1)


@pytest.mark.parametrize("body", [REJECTED, QUIET, PROPOSED, verified("refused"), INTENDED, FILLED, EXPIRED])
def test_a_deed_in_a_trace_that_never_began_is_broken(body: AnyBody) -> None:
    lost = an_envelope(body, seq=7, trace_id=derived_id("nowhere"), depth=3)
    traces = read([lost])
    assert (traces.broken, traces.incomplete) == ([7], 1)


def test_a_deed_in_a_trace_that_has_ended_is_broken() -> None:
    log = a_trace(ROW, OBSERVED, QUIET, PROPOSED)
    assert read(log).broken == [4]


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_trace_that_is_cut_before_its_end_is_incomplete(cut: int) -> None:
    whole = a_trace(*DECIDED, BARE, ACCEPTED, verified("accepted"), PARTLY, a_fill(ORDER, venue_seq=3))
    traces = read(whole[:cut])
    assert traces.incomplete == (1 if cut < len(whole) else 0)
