"""What an adversary found once: each line here was approved, or broke something, before it was mended."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from graveyard.words import Facts
from mutable_core.clock import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS
from mutable_core.ids import derived_id
from mutable_core.messages import (
    AccountHalted,
    ApprovalAwaited,
    Approved,
    HaltOrdered,
    LeaseGranted,
    OperationApproved,
    OperationAsked,
    Quote,
    Refused,
)
from tests.makers import a_lease, a_proposal, a_run, an_observation
from tests.mutable_core.docket_log import a_market, held, rules_broken
from tests.people import PEOPLE, signed


def facts_of(said: Any) -> Facts:
    assert isinstance(said, Approved | Refused)
    return said.facts


def test_an_old_resume_does_not_lift_a_newer_halt() -> None:
    """Rules 13, 14, 26: what people signed was the halt that they saw."""
    log, good = a_market(HaltOrdered("global", "", "reduce_only", "ann", "prices"), run=a_run(people=PEOPLE))
    log.hear(OperationAsked(derived_id("resume"), "resume", "global", "", "ann", "prices agree again"))
    awaited = log.last(ApprovalAwaited)
    log.hear(signed(awaited, "bob"))
    log.hear(HaltOrdered("global", "", "halted", "ann", "fire"))
    log.hear(signed(awaited, "eve"))
    assert not any(isinstance(row.body, OperationApproved) for row in log.rows)
    log.propose(a_proposal(good))
    assert 14 in rules_broken(log.said[0])


def test_two_opposite_orders_of_one_slice_do_not_both_pass() -> None:
    """Rule 2: an approved order crosses from the moment of its approval, not first from its intent."""
    log, good = a_market()
    log.propose(a_proposal(good, limit_price=Decimal(101), target_price=Decimal(110)))
    assert isinstance(log.said[0], Approved)
    log.propose(
        a_proposal(
            good, proposal_id="2" * 32, side="sell", limit_price=Decimal(100), stop_price=Decimal(103),
            target_price=Decimal(90),
        )
    )  # fmt: skip
    assert facts_of(log.said[0]).own_orders_crossed == 1
    assert 2 in rules_broken(log.said[0])


@pytest.mark.parametrize("price", ["NaN", "sNaN", "Infinity", "-Infinity", "0", "-1", "1E+20"])
def test_a_reduction_without_a_price_is_refused(price: str) -> None:
    """Rule 5: such an order could not be compared with its own intent after a crash."""
    log, good = a_market()
    log.hear(held("A", 100))
    log.propose(
        a_proposal(
            good, side="sell", limit_price=Decimal(price), stop_price=None, target_price=None, quantity=Decimal(10)
        )
    )
    assert facts_of(log.said[0]).is_opening == 0
    assert 5 in rules_broken(log.said[0])


def test_a_limit_far_beyond_the_market_counts_as_the_loss_that_it_is() -> None:
    """Rule 6: bought at 150 where the market is 100, it has lost 50 before its stop at 149 is near."""
    log, good = a_market()
    log.propose(
        a_proposal(
            good, quantity=Decimal(300), limit_price=Decimal(150), stop_price=Decimal(149), target_price=Decimal(152)
        )
    )
    assert facts_of(log.said[0]).day_loss_after_micros == 300 * 50 * 10**6


def test_a_full_halt_that_was_ordered_is_no_reason_to_halt_the_account() -> None:
    log, good = a_market()
    log.hear(held("A", 100))
    log.hear(HaltOrdered("instrument", "A", "halted", "ann", "stop"))
    log.propose(a_proposal(good, side="sell", stop_price=None, target_price=None, quantity=Decimal(10)))
    assert 14 in rules_broken(log.said[0])
    assert not any(isinstance(said, AccountHalted) for said in log.said)


def test_slow_evidence_does_not_make_an_old_quote_young() -> None:
    """Rule 21: the instrument is as fresh as its own kind of data asks."""
    log, _ = a_market()
    quote = Quote(Decimal(100), Decimal(100), Decimal(10**6), Decimal(10**6))
    log.hear(an_observation("A", market=quote, interval_ns=0))
    log.later(20 * HOUR_NS)
    bar = log.hear(an_observation("B", "100", interval_ns=DAY_NS))
    log.hear(a_lease(log.now_ns))
    log.propose(a_proposal(bar.id))
    assert 21 in rules_broken(log.said[0])


def test_a_lease_of_somebody_else_lets_nothing_open() -> None:
    log, good = a_market()
    log.now_ns += 6 * SECOND_NS
    lease = a_lease(log.now_ns)
    log.hear(LeaseGranted("joey", lease.granted_ns, lease.until_ns, lease.inspection))
    log.propose(a_proposal(good))
    assert 20 in rules_broken(log.said[0])


def test_an_endless_reason_is_refused_and_costs_no_more_than_a_long_one() -> None:
    """Rule 24 refuses it for its length; what looks for private things reads its beginning only."""
    log, good = a_market()
    log.propose(a_proposal(good, reason="1-" * 500_000))
    assert 24 in rules_broken(log.said[0])


def test_a_price_that_was_let_through_late_is_as_old_as_the_market_that_it_tells_of() -> None:
    """Rule 9: what a held Kyle says when he is released was seen now, and is minutes old."""
    log, _ = a_market()
    late = log.hear(an_observation("A", interval_ns=MINUTE_NS, row=2), ts_event_ns=log.now_ns - 10 * MINUTE_NS)
    said = log.propose(a_proposal(late.id))
    assert (facts_of(said).evidence_age_ns, facts_of(said).market_age_ns) == (9 * MINUTE_NS, 9 * MINUTE_NS)
    assert isinstance(said, Refused)


def test_a_clock_that_runs_ahead_makes_no_price_fresh() -> None:
    log, _ = a_market()
    ahead = log.hear(an_observation("A", interval_ns=MINUTE_NS, row=2), ts_event_ns=log.now_ns + HOUR_NS)
    log.now_ns += MINUTE_NS
    assert facts_of(log.propose(a_proposal(ahead.id))).evidence_age_ns == MINUTE_NS
