"""Envelopes as the bus hands them to the Tap."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from graveyard.words import Facts, Proposal, Verdict, Violation
from monitoring.tap import Tap
from mutable_core.ids import derived_id
from mutable_core.messages import (
    AnyBody,
    Approved,
    DiscrepancyFound,
    Envelope,
    Finding,
    InputRejected,
    NothingProposed,
    Observed,
    OrderFilled,
    OrderRejected,
    Outcome,
    ProposalMade,
    Refused,
    RejectReason,
    RowReceived,
    Trade,
    Verified,
)
from tests.makers import an_observation as an_observed
from tests.makers import some_grounds

SECOND = 1_000_000_000
MILLI = 1_000_000

NO_FACTS = Facts(**dict.fromkeys(field.name for field in msgspec.structs.fields(Facts)))


def trace(n: int) -> str:
    return derived_id("trace", str(n))


def an_envelope(body: AnyBody, *, of: int = 1) -> Envelope:
    return Envelope(
        seq=1,
        id=derived_id("message", str(of)),
        author="somebody",
        trace_id=trace(of),
        cause_id=trace(of),
        depth=0,
        ts_event_ns=0,
        ts_seen_ns=0,
        body=body,
    )


def a_row() -> RowReceived:
    return RowReceived(
        source="test", row=1, form="trade", symbol="AAPL", ts_ns=0, interval_ns=0, values=("100", "1", "N")
    )


def an_observation() -> Observed:
    trade = Trade(price=Decimal(100), size=Decimal(1))
    return an_observed(instrument="AAPL", interval_ns=0, market=trade)


def a_rejected_input(reason: RejectReason = "duplicate") -> InputRejected:
    return InputRejected(symbol="AAPL", row=1, reason=reason, detail="")


def nothing_proposed() -> NothingProposed:
    return NothingProposed(instrument="AAPL", reason="no_signal")


def a_proposal_made(of: int = 1) -> ProposalMade:
    return ProposalMade(
        Proposal(
            proposal_id=derived_id("proposal", str(of)),
            account="paper",
            strategy="donchian",
            instrument="AAPL",
            side="buy",
            quantity=Decimal(1),
            limit_price=Decimal(100),
            stop_price=None,
            target_price=None,
            reason="because of a breakout",
            evidence=(),
        )
    )


def approved(of: int = 1) -> Approved:
    return Approved(
        proposal_id=derived_id("proposal", str(of)),
        instrument="AAPL",
        digest="",
        position=1,
        facts=NO_FACTS,
        verdict=Verdict(approved=True, heard=9, ruleset="", violations=()),
        grounds=some_grounds(),
        hold_micros=0,
        hold_risk_micros=0,
        expires_ns=0,
    )


def a_violation(rule: int, clause: int = 0) -> Violation:
    return Violation(
        rule=rule, clause=clause, severity="HIGH", measured=2, limit=1, margin=-1, unit="bp", why="too much"
    )


def refused(*violations: Violation, of: int = 1) -> Refused:
    return Refused(
        proposal_id=derived_id("proposal", str(of)),
        instrument="AAPL",
        digest="",
        position=1,
        facts=NO_FACTS,
        verdict=Verdict(approved=False, heard=9, ruleset="", violations=violations),
        grounds=some_grounds(),
    )


def verified(outcome: Outcome = "accepted", of: int = 1) -> Verified:
    return Verified(proposal_id=derived_id("proposal", str(of)), outcome=outcome)


def a_fill(*, leg: str = "entry", remaining: str = "0") -> OrderFilled:
    return OrderFilled(
        venue_seq=1,
        client_order_id="c1",
        instrument="AAPL",
        leg=leg,
        side="buy",
        price=Decimal(100),
        quantity=Decimal(1),
        fee_micros=0,
        remaining=Decimal(remaining),
    )


def a_rejected_order() -> OrderRejected:
    return OrderRejected(venue_seq=1, client_order_id="c1", reason="closed")


def a_discrepancy(finding: Finding = "verdict_mismatch") -> DiscrepancyFound:
    return DiscrepancyFound(subject="x", finding=finding, detail="")


class HandClock:
    """A monotonic clock that moves when it is told to."""

    def __init__(self, now_ns: int = 1_000 * SECOND) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns

    def pass_(self, seconds: float) -> None:
        self.now_ns += round(seconds * SECOND)


def a_day_of(tap: Tap, *, decisions: int, first: int = 0, at_ns: int = 0) -> None:
    """A few of everything: quiet rows, rejected rows, and decisions of which every third is refused."""
    for n in range(first, first + decisions):
        is_refused = n % 3 == 2
        answer = refused(a_violation(1 + n % 26), of=n) if is_refused else approved(n)
        outcome: Outcome = "refused" if is_refused else "accepted"
        for body in (a_row(), an_observation(), a_proposal_made(n), answer, verified(outcome, n)):
            tap.seen(an_envelope(body, of=n), at_ns)
    for body in (a_row(), nothing_proposed(), a_row(), a_rejected_input(), a_fill(), a_rejected_order()):
        tap.seen(an_envelope(body, of=-1), at_ns)
    tap.seen(an_envelope(a_discrepancy("books_differ")), at_ns)
    tap.committed(decisions, MILLI, 0)
