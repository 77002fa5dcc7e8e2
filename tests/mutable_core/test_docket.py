"""The facts: folded from the log, one table each; nothing is taken from the proposer's word."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graveyard.words import Evidence, Facts, Proposal
from mutable_core.clock import DAY_NS, MINUTE_NS, SECOND_NS
from mutable_core.docket import APPROVAL_TERM_NS
from mutable_core.docket.folding import RECENT_PER_INSTRUMENT
from mutable_core.ids import derived_id
from mutable_core.messages import (
    ALWAYS,
    AnyBody,
    Approved,
    CorporateActionObserved,
    Grounds,
    Mandate,
    OrderExpired,
    OrderIntended,
    OrderWithheld,
    Quote,
    Refused,
    Trade,
    decode,
    encode,
)
from mutable_core.money import ATOMS_PER_UNIT
from tests.makers import (
    DAY_VOLUME_ATOMS,
    a_proposal,
    a_run,
    an_envelope,
    an_observation,
    an_order,
)
from tests.mutable_core.docket_log import (
    EQUITY,
    MILLION,
    NOW,
    Log,
    Vetted,
    a_market,
    a_reduction,
    facts,
    held,
    rules_broken,
)


def test_an_ordinary_proposal_is_approved_and_these_are_its_facts() -> None:
    """Buys 100 A at 100 with a stop at 98 and a target at 104, a million in the account."""
    log, observation_id = a_market()
    said = log.ask(a_proposal(observation_id))
    assert isinstance(said, Approved), said.verdict.violations
    assert said.grounds == Grounds("p" * 64, 4, (3,), 3, 1, 3, 2, 0, ())
    assert (said.hold_micros, said.hold_risk_micros, said.expires_ns) == (
        10_000 * MILLION,
        200 * MILLION,
        NOW + APPROVAL_TERM_NS,
    )
    assert said.facts == Facts(
        is_order=1,
        is_opening=1,
        is_buy=1,
        quantity_atoms=100 * ATOMS_PER_UNIT,
        entry_price_atoms=100 * ATOMS_PER_UNIT,
        order_notional_micros=10_000 * MILLION,
        equity_micros=EQUITY,
        day_start_equity_micros=EQUITY,
        exposure_after_micros=10_000 * MILLION,
        gross_after_micros=10_000 * MILLION,
        day_loss_after_micros=200 * MILLION,
        instruments_after=1,
        has_stop=1,
        stop_distance_atoms=2 * ATOMS_PER_UNIT,
        stop_on_tick=1,
        has_target=1,
        target_distance_atoms=4 * ATOMS_PER_UNIT,
        instrument_restricted=0,
        evidence_not_public=0,
        evidence_embargoed=0,
        recent_orders=0,
        recent_cancels=0,
        own_orders_crossed=0,
        own_orders_layered=0,
        bar_volume_atoms=10**6 * ATOMS_PER_UNIT,
        day_volume_atoms=DAY_VOLUME_ATOMS,
        day_traded_micros=1_000_000_000 * MILLION,
        rise_bp=0,
        filed_catalysts=0,
        own_broadcasts=0,
        others_signals=0,
        approvals_before=0,
        approval_term_ns=30 * SECOND_NS,
        log_position=4,
        vetoes_standing=0,
        disables_override=0,
        halt_level=0,
        kill_path_age_ns=0,
        outgoing_private=0,
        consents_missing=0,
        text_unredacted=0,
        credentials_in_clear=0,
        keystore_exposed=0,
        ruleset_matches=1,
        seal_signatures=2,
        seal_faults=0,
        seal_age_ns=0,
        lease_age_ns=0,
        lease_term_ns=5 * SECOND_NS,
        evidence_count=1,
        evidence_unresolved=0,
        evidence_mismatched=0,
        evidence_unattested=0,
        evidence_malformed=0,
        evidence_age_ns=0,
        evidence_age_max_ns=DAY_NS * 3 // 2,
        market_age_ns=0,
        sources_apart_bp=0,
        reason_chars=len("a test wants this order"),
        actions_last_minute=1,
        burst_tokens=10,
        causal_depth=0,
        repeats_last_minute=1,
        instrument_in_mandate=1,
        strategy_in_mandate=1,
        side_in_mandate=1,
        session_in_mandate=1,
        day_notional_after_micros=10_000 * MILLION,
        mandate_day_notional_micros=10**13,
        venue_is_up=1,
        is_irreversible=0,
        snapshot_age_ns=10**18,
        people=0,
        people_age_ns=0,
        price_drift_bp=0,
    )


# -- what it would cost -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "limit", "stop", "worst"),
    [
        ("buy", "100", "98", 100),
        ("buy", "100", "102", 100),  # a stop on the wrong side makes nothing cheaper
        ("buy", "100", None, 100),
        ("sell", "100", "102", 102),  # a short at its stop costs more than at its limit
        ("sell", "100", "98", 100),
        ("sell", "100", None, 100),
    ],
)
def test_the_worst_price_of_a_sale_is_its_stop(side: str, limit: str, stop: str | None, worst: int) -> None:
    log, observation_id = a_market()
    asked = {"side": side, "limit_price": Decimal(limit), "stop_price": None if stop is None else Decimal(stop)}
    found = facts(log, observation_id, **asked)
    assert found.exposure_after_micros == found.gross_after_micros == worst * 100 * MILLION
    assert found.day_notional_after_micros == worst * 100 * MILLION


@pytest.mark.parametrize(("stop", "risk"), [("98", 200), ("99.99", 1), ("103", 300), (None, 10_000)])
def test_the_risk_is_to_the_stop_and_without_one_it_is_everything(stop: str | None, risk: int) -> None:
    log, observation_id = a_market()
    found = facts(log, observation_id, stop_price=None if stop is None else Decimal(stop))
    assert found.day_loss_after_micros == risk * MILLION


def test_exposure_is_rounded_up() -> None:
    """A tenth of a micro counts as one: exposure is never understated."""
    log, observation_id = a_market()
    tiny = {"quantity": Decimal("0.00000001"), "limit_price": Decimal("0.01"), "stop_price": Decimal("0.009")}
    assert facts(log, observation_id, **tiny).exposure_after_micros == 1


def test_exposure_and_gross_count_positions_at_their_mark_and_holds() -> None:
    log, observation_id = a_market(held("A", 50), held("B", -30, "10"), B="10", C="100")
    log.hear(an_observation("B", "12"))
    log.propose(a_proposal(observation_id, proposal_id="1" * 32, instrument="C", quantity=Decimal(20)))
    log.propose(a_proposal(observation_id, proposal_id="2" * 32, quantity=Decimal(10)))
    found = facts(log, observation_id, quantity=Decimal(1))
    assert found.exposure_after_micros == (50 + 10 + 1) * 100 * MILLION
    assert found.gross_after_micros == ((50 + 10 + 1 + 20) * 100 + 30 * 12) * MILLION
    assert found.instruments_after == 3
    assert found.equity_micros == EQUITY - 60 * MILLION
    # lost on B, and four stops of 2 below
    assert found.day_loss_after_micros == (60 + (10 + 1 + 20) * 2) * MILLION


def test_proposals_that_fit_alone_cannot_pass_together() -> None:
    """I5: each is 4 % of equity, the limit is 10 %; an approval holds what it may cost from its own moment on."""
    log, observation_id = a_market()
    first, second, third = (
        a_proposal(observation_id, proposal_id=str(number) * 32, quantity=Decimal(400)) for number in (1, 2, 3)
    )
    assert all(log.ask(one).verdict.approved for one in (first, second, third))
    log.propose(first)
    log.propose(second)
    assert rules_broken(log.ask(third)) == {5}


@pytest.mark.parametrize(("third", "passes"), [("200", True), ("200.00000001", False), ("201", False)])
def test_the_limit_with_holds_is_exact(third: str, passes: bool) -> None:
    log, observation_id = a_market()
    for number in (1, 2):
        log.propose(a_proposal(observation_id, proposal_id=str(number) * 32, quantity=Decimal(400)))
    asked = a_proposal(observation_id, proposal_id="3" * 32, quantity=Decimal(third))
    assert log.ask(asked).verdict.approved is passes


def ended(proposal: Proposal, ending: str) -> AnyBody:
    order_id = derived_id("o", proposal.proposal_id)
    return (
        OrderExpired(1, order_id)
        if ending == "expired"
        else OrderWithheld(proposal.proposal_id, order_id, "not_approved")
    )


@pytest.mark.parametrize("ending", ["expired", "withheld"])
def test_what_an_order_no_longer_needs_another_may_have(ending: str) -> None:
    log, observation_id = a_market()
    first = a_proposal(observation_id, proposal_id="1" * 32, quantity=Decimal(500))
    second = a_proposal(observation_id, proposal_id="2" * 32, quantity=Decimal(500))
    third = a_proposal(observation_id, proposal_id="3" * 32, quantity=Decimal(500))
    log.propose(first)
    log.propose(second)
    assert not log.ask(third).verdict.approved
    if ending == "expired":
        order = an_order(client_order_id=derived_id("o", first.proposal_id), proposal_id=first.proposal_id)
        log.hear(OrderIntended(order, "d", 1, 1, 1))
    log.hear(ended(first, ending))
    assert log.ask(third).verdict.approved


def test_a_hold_that_was_noted_at_once_is_not_noted_twice_when_the_approval_is_heard() -> None:
    log, observation_id = a_market()
    proposal = a_proposal(observation_id)
    before = log.docket.book
    said = log.propose(proposal)
    noted = log.docket.book
    assert noted != before
    log.hear(said)
    assert log.docket.book == noted


def test_a_refusal_holds_nothing_and_costs_no_action() -> None:
    log, observation_id = a_market()
    for number in range(3):
        refused = log.propose(a_proposal(observation_id, proposal_id=str(number) * 32, reason="short"))
        assert not refused.verdict.approved
    found = facts(log, observation_id, strategy="other")
    assert (found.exposure_after_micros, found.actions_last_minute, found.burst_tokens) == (10_000 * MILLION, 1, 10)


@pytest.mark.parametrize(
    ("positions", "asked", "count"),
    [
        ((), "A", 1),
        (("A",), "A", 1),
        (("B", "C", "D", "E"), "A", 5),
        (("B", "C", "D", "E", "F"), "A", 6),
        (("A", "B", "C", "D", "E"), "A", 5),
    ],
)
def test_instruments_with_a_position_or_a_hold_are_counted_once(positions, asked: str, count: int) -> None:
    log, observation_id = a_market(B="100", C="100", D="100", E="100", F="100")
    for name in positions:
        log.hear(held(name, 10))
    vetted = log.ask(a_proposal(observation_id, instrument=asked))
    assert vetted.facts.instruments_after == count
    assert (10 in rules_broken(vetted)) is (count > 5)


def test_a_day_counts_its_own_notional_only() -> None:
    log, observation_id = a_market()
    log.propose(a_proposal(observation_id, proposal_id="1" * 32))
    assert facts(log, observation_id).day_notional_after_micros == 20_000 * MILLION
    log.now_ns += DAY_NS
    tomorrow = log.hear(an_observation())
    assert facts(log, tomorrow.id).day_notional_after_micros == 10_000 * MILLION


def test_the_days_loss_counts_from_the_equity_that_the_day_began_with() -> None:
    log, _ = a_market(held("A", 1_000))
    log.now_ns += DAY_NS
    log.hear(an_observation(close="90"))
    seen = log.hear(an_observation(close="95"))
    asked = {"quantity": Decimal(1), "limit_price": Decimal(95), "stop_price": Decimal(93)}
    found = facts(log, seen.id, **asked)
    assert (found.day_start_equity_micros, found.equity_micros) == (EQUITY, EQUITY - 5_000 * MILLION)
    assert found.day_loss_after_micros == 5_002 * MILLION


# -- reductions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("position", "side", "quantity", "is_opening"),
    [
        (0, "buy", "10", 1),
        (0, "sell", "10", 1),
        (100, "buy", "10", 1),
        (100, "sell", "10", 0),
        (100, "sell", "100", 0),
        (100, "sell", "100.00000001", 1),
        (100, "sell", "101", 1),  # larger than the position: it opens the other side
        (-100, "sell", "10", 1),
        (-100, "buy", "100", 0),
        (-100, "buy", "101", 1),
        (100, "sell", "0", 1),  # nothing reduces nothing
        (100, "sell", "-10", 1),
        (100, "buy", "-10", 1),
        (100, "sell", "NaN", None),
    ],
)
def test_only_what_strictly_reduces_is_a_reduction(position: int, side: str, quantity: str, is_opening) -> None:
    log, observation_id = a_market(*([held("A", position)] if position else []))
    found = facts(log, observation_id, side=side, quantity=Decimal(quantity))
    assert found.is_opening == is_opening


def test_reductions_under_way_are_counted() -> None:
    """Two that would fit alone would together turn the position around: the second is an opening."""
    log, observation_id = a_market(held("A", 100))
    assert log.propose(a_reduction(observation_id, "60", 1)).verdict.approved
    assert log.ask(a_reduction(observation_id, "40", 2)).facts.is_opening == 0
    second = log.ask(a_reduction(observation_id, "41", 2))
    assert second.facts.is_opening == 1
    assert not second.verdict.approved


def test_a_reduction_under_way_grows_with_a_split_of_its_position() -> None:
    """100 held, all of it being sold; after a 2-for-1 split 200 are held and 200 are being sold."""
    log, observation_id = a_market(held("A", 100))
    assert log.propose(a_reduction(observation_id, "100", 1)).verdict.approved
    log.hear(CorporateActionObserved("A", 2, 1, Decimal(0), "inferred"))
    assert log.ask(a_reduction(observation_id, "100", 2)).facts.is_opening == 1


def test_a_reduction_adds_nothing_and_holds_nothing() -> None:
    log, observation_id = a_market(held("A", 2_000))
    vetted = log.propose(a_reduction(observation_id, "2000"))
    assert isinstance(vetted, Approved), "a way out always exists, however large the position"
    assert (vetted.hold_micros, vetted.hold_risk_micros) == (0, 0)
    (hold,) = log.docket.book.holds.values()
    assert (hold.notional_micros, hold.risk_micros, hold.reduces_atoms) == (0, 0, 2_000 * ATOMS_PER_UNIT)
    assert vetted.facts.exposure_after_micros == 200_000 * MILLION
    assert vetted.facts.day_notional_after_micros == 0


def test_a_hold_of_an_opening_order_reduces_nothing() -> None:
    log, observation_id = a_market()
    log.propose(a_proposal(observation_id))
    (hold,) = log.docket.book.holds.values()
    assert hold.reduces_atoms == 0


# -- missing numbers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["NaN", "-NaN", "sNaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize(
    ("field", "unknown"),
    [
        (
            "quantity",
            {"quantity_atoms", "is_opening", "order_notional_micros", "exposure_after_micros", "gross_after_micros", "day_loss_after_micros",
             "day_notional_after_micros"},
        ),
        (
            "limit_price",
            {"entry_price_atoms", "order_notional_micros", "exposure_after_micros", "gross_after_micros", "day_loss_after_micros",
             "day_notional_after_micros", "stop_distance_atoms", "target_distance_atoms"},
        ),
        ("stop_price", {"stop_distance_atoms", "stop_on_tick"}),
        ("target_price", {"target_distance_atoms"}),
    ],
)  # fmt: skip
def test_what_is_no_number_gives_no_fact_and_a_missing_fact_refuses(number: str, field: str, unknown) -> None:
    """I2: never 0, never a default."""
    log, observation_id = a_market()
    vetted = log.propose(a_proposal(observation_id, **{field: Decimal(number)}))
    missing = {name for name in Facts.__struct_fields__ if getattr(vetted.facts, name) is None}
    assert missing == unknown
    assert not vetted.verdict.approved
    assert not log.docket.book.holds


@pytest.mark.parametrize("number", ["1E+30", "-1E+30", "1E+5000", "1E+999999", "-1E+999999", "1E-999999", "1E-30"])
@pytest.mark.parametrize("field", ["quantity", "limit_price", "stop_price", "target_price"])
def test_absurd_numbers_are_refused_and_the_refusal_can_be_written_down(number: str, field: str) -> None:
    """I2, I3: what can be proposed can be refused, and the refusal can stand in the journal; nothing raises."""
    log, observation_id = a_market()
    proposal = a_proposal(observation_id, **{field: Decimal(number)})
    vetted = log.ask(proposal)
    assert isinstance(vetted, Refused)
    envelope = an_envelope(vetted, seq=5)
    assert decode(encode(envelope)) == envelope


def test_an_unknown_instrument_has_no_tick_and_is_refused() -> None:
    log, observation_id = a_market()
    vetted = log.ask(a_proposal(observation_id, instrument="NOSUCH"))
    assert vetted.facts.stop_on_tick is None
    assert vetted.facts.instrument_in_mandate == 0
    assert {8, 23} <= rules_broken(vetted)


@pytest.mark.parametrize(
    ("side", "prices", "stop", "target"),
    [
        ("buy", ("100", "98", "104"), 2, 4),
        ("buy", ("100", "102", "96"), -2, -4),
        ("sell", ("100", "102", "96"), 2, 4),
        ("sell", ("100", "98", "104"), -2, -4),
        ("buy", ("100", "100", "100"), 0, 0),
    ],
)
def test_distances_are_signed_by_side(side: str, prices, stop: int, target: int) -> None:
    log, observation_id = a_market()
    limit, stop_price, target_price = map(Decimal, prices)
    asked = {"side": side, "limit_price": limit, "stop_price": stop_price, "target_price": target_price}
    found = facts(log, observation_id, **asked)
    assert (found.stop_distance_atoms, found.target_distance_atoms) == (stop * ATOMS_PER_UNIT, target * ATOMS_PER_UNIT)


@pytest.mark.parametrize(("stop", "on_tick"), [("98", 1), ("98.01", 1), ("98.005", 0), ("98.00000001", 0)])
def test_a_stop_is_on_tick_or_not(stop: str, on_tick: int) -> None:
    log, observation_id = a_market()
    assert facts(log, observation_id, stop_price=Decimal(stop)).stop_on_tick == on_tick


def test_an_order_without_stop_or_target_breaks_the_rules_on_them() -> None:
    log, observation_id = a_market()
    assert 8 in rules_broken(log.ask(a_proposal(observation_id, stop_price=None)))
    assert rules_broken(log.ask(a_proposal(observation_id, target_price=None))) == {9}


# -- evidence ---------------------------------------------------------------------------------------------------------


def cited(*evidence: tuple[str, str, str]) -> dict[str, Any]:
    return {"evidence": tuple(Evidence(where, field, Decimal(value)) for where, field, value in evidence)}


def test_evidence_is_looked_up_not_believed() -> None:
    log, good = a_market()
    unattested = log.hear(an_observation("B", "50", attested=False)).id
    bar = log.hear(an_observation("C", "30", row=3)).id
    quote = log.hear(
        an_observation("D", interval_ns=0, market=Quote(Decimal(9), Decimal(11), Decimal(5), Decimal(6)))
    ).id
    trade = log.hear(an_observation("E", interval_ns=0, market=Trade(Decimal(7), Decimal(8)))).id
    table = [
        # cited                                              count unresolved mismatched unattested
        ((), (0, 0, 0, 0)),
        (((good, "last", "100"),), (1, 0, 0, 0)),
        (((good, "last", "100.00"),), (1, 0, 0, 0)),
        (((good, "last", "100.01"),), (1, 0, 1, 0)),
        (((good, "last", "NaN"),), (1, 0, 1, 0)),
        (((good, "nonsense", "100"),), (1, 0, 1, 0)),
        (((good, "type", "100"),), (1, 0, 1, 0)),
        (((good, "__class__", "100"),), (1, 0, 1, 0)),
        (((bar, "close", "30"), (bar, "volume", "1000000"), (bar, "open", "31")), (3, 0, 1, 0)),
        (((quote, "bid", "9"), (quote, "ask", "11"), (quote, "last", "10"), (quote, "close", "10")), (4, 0, 1, 0)),
        (((trade, "price", "7"), (trade, "size", "8"), (trade, "last", "7")), (3, 0, 0, 0)),
        (((unattested, "last", "50"),), (1, 0, 0, 1)),
        ((("f" * 32, "last", "100"),), (1, 1, 0, 0)),
        ((("f" * 32, "last", "1"), (unattested, "last", "51"), (good, "last", "100")), (3, 1, 1, 1)),
        (((good, "last", "100"), (good, "last", "99")), (2, 0, 1, 0)),
    ]
    for evidence, expected in table:
        found = facts(log, good, **cited(*evidence))
        counts = (
            found.evidence_count,
            found.evidence_unresolved,
            found.evidence_mismatched,
            found.evidence_unattested,
        )
        assert counts == expected, evidence


def test_a_signalling_nan_is_a_mismatch_like_any_other() -> None:
    """It raises when it is compared; a proposer must not be able to stop HRM with it (I2)."""
    log, good = a_market()
    assert facts(log, good, **cited((good, "last", "sNaN"))).evidence_mismatched == 1


def test_evidence_of_a_message_that_is_no_observation_does_not_resolve() -> None:
    log, good = a_market()
    lease = log.renew().id
    assert facts(log, good, **cited((lease, "last", "100"))).evidence_unresolved == 1


@pytest.mark.parametrize(
    ("interval_ns", "limit_ns"), [(DAY_NS, DAY_NS * 3 // 2), (MINUTE_NS, 90 * SECOND_NS), (0, 2 * SECOND_NS)]
)
@pytest.mark.parametrize("beyond", [0, 1])
def test_evidence_ages_in_log_time(interval_ns: int, limit_ns: int, beyond: int) -> None:
    """One and a half bars on bars, two seconds live; the limit itself is still fresh."""
    log, _ = a_market()
    seen = log.hear(an_observation(interval_ns=interval_ns))
    log.now_ns += limit_ns + beyond
    log.renew()
    vetted = log.ask(a_proposal(seen.id))
    assert (vetted.facts.evidence_age_ns, vetted.facts.evidence_age_max_ns) == (limit_ns + beyond, limit_ns)
    assert (21 in rules_broken(vetted)) is bool(beyond)


def test_the_age_is_that_of_the_citation_furthest_past_its_limit() -> None:
    """A fresh daily bar must not hide a stale tick, nor the other way round."""
    log, daily = a_market()
    tick = log.hear(an_observation("B", "100", interval_ns=0)).id
    log.now_ns += 3 * SECOND_NS
    both = [(daily, "last", "100"), (tick, "last", "100")]
    for evidence in (both, both[::-1]):
        found = facts(log, daily, **cited(*evidence))
        assert (found.evidence_age_ns, found.evidence_age_max_ns) == (3 * SECOND_NS, 2 * SECOND_NS)


def test_an_observation_is_forgotten_after_as_many_later_ones_as_are_kept() -> None:
    log, first = a_market()
    for row in range(2, RECENT_PER_INSTRUMENT + 1):
        log.hear(an_observation(row=row), ts_ns=NOW + row)
    assert facts(log, first).evidence_unresolved == 0
    log.hear(an_observation(row=99), ts_ns=NOW + 99)
    assert facts(log, first).evidence_unresolved == 1


def test_all_observations_of_one_moment_can_be_cited_however_many_there_are() -> None:
    """What is decided when a slice closes may rest on any of its rows: a busy second is no reason to refuse."""
    log, first = a_market()
    for row in range(2, 5 * RECENT_PER_INSTRUMENT):
        log.hear(an_observation(row=row))
    assert facts(log, first).evidence_unresolved == 0


def test_no_evidence_has_no_age_and_is_refused() -> None:
    log, good = a_market()
    vetted = log.ask(a_proposal(good, evidence=()))
    assert vetted.facts.evidence_age_ns is None
    assert {21, 24} <= rules_broken(vetted)


# -- lease, depth, mandate --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("later_ns", "fresh"),
    [(0, True), (5 * SECOND_NS, True), (5 * SECOND_NS + 1, False), (-1, False)],
)
def test_the_lease_ages_in_log_time(later_ns: int, fresh: bool) -> None:
    """I9, the fact of the two clocks."""
    log, good = a_market()
    log.now_ns += later_ns
    vetted = log.ask(a_proposal(good))
    assert vetted.facts.lease_age_ns == later_ns
    assert (20 not in rules_broken(vetted)) is fresh


def test_without_a_lease_nothing_opens_and_reductions_pass() -> None:
    """An old lease is none for what opens; the seal that it looked at is good for a minute, for everything."""
    log, good = a_market(held("A", 100))
    log.now_ns += 60 * SECOND_NS
    opening, reduction = log.ask(a_proposal(good)), log.ask(a_reduction(good, "100"))
    assert rules_broken(opening) == {20}
    assert reduction.verdict.approved


def test_where_nobody_ever_looked_every_fact_of_the_inspection_is_missing_and_all_is_refused() -> None:
    """I2: without one inspection nobody knows which rules are in force; not even a way out is approved by those."""
    log, good = a_market(held("A", 100))
    log.docket = log.docket._replace(lease=None)
    names = (
        "lease_age_ns", "lease_term_ns", "seal_age_ns", "seal_signatures", "seal_faults", "ruleset_matches",
        "keystore_exposed", "kill_path_age_ns", "venue_is_up",
    )  # fmt: skip
    opening, reduction = log.ask(a_proposal(good)), log.ask(a_reduction(good, "100"))
    assert [getattr(opening.facts, name) for name in names] == [None] * 9
    assert rules_broken(opening) == {14, 18, 19, 20, 25}
    assert rules_broken(reduction) == {18, 19}


@pytest.mark.parametrize(("depth", "passes"), [(0, True), (32, True), (33, False)])
def test_the_depth_of_causes_is_counted(depth: int, passes: bool) -> None:
    log, good = a_market()
    vetted = log.ask(a_proposal(good), depth=depth)
    assert vetted.facts.causal_depth == depth
    assert vetted.verdict.approved is passes


@pytest.mark.parametrize(
    ("mandate", "facts_zero"),
    [
        (Mandate(("A",), ("test",), ("buy",), ALWAYS, 10**13), set()),
        (Mandate((), ("test",), ("buy",), ALWAYS, 10**13), {"instrument_in_mandate"}),
        (Mandate(("A",), (), ("buy",), ALWAYS, 10**13), {"strategy_in_mandate"}),
        (Mandate(("A",), ("test",), ("sell",), ALWAYS, 10**13), {"side_in_mandate"}),
        (Mandate((), (), (), ALWAYS, 10**13), {"instrument_in_mandate", "strategy_in_mandate", "side_in_mandate"}),
    ],
)
def test_the_mandate_is_the_owners_and_an_empty_one_allows_nothing(mandate: Mandate, facts_zero) -> None:
    log = Log(run=a_run(mandate=mandate))
    good = log.hear(an_observation()).id
    vetted = log.ask(a_proposal(good))
    names = ("instrument_in_mandate", "strategy_in_mandate", "side_in_mandate")
    assert {name for name in names if getattr(vetted.facts, name) == 0} == facts_zero
    assert rules_broken(vetted) == ({23} if facts_zero else set())


@pytest.mark.parametrize(("limit", "passes"), [(10_000 * MILLION, True), (10_000 * MILLION - 1, False)])
def test_the_mandates_notional_per_day_is_exact(limit: int, passes: bool) -> None:
    log = Log(run=a_run(mandate=Mandate(("A",), ("test",), ("buy",), ALWAYS, limit)))
    assert log.ask(a_proposal(log.hear(an_observation()).id)).verdict.approved is passes


def test_a_proposal_for_another_account_is_refused() -> None:
    """The facts are those of this account; an order for another one was not vetted."""
    log, good = a_market()
    assert not log.ask(a_proposal(good, account="somebody-else")).verdict.approved


# -- pace -------------------------------------------------------------------------------------------------------------


def at_pace(count: int, every_ns: int) -> list[Vetted]:
    """Approvals of different strategies (so that none repeats), each of one unit, `every_ns` apart."""
    names = tuple(f"s{number}" for number in range(count))
    log = Log(run=a_run(mandate=Mandate(("A",), names, ("buy",), ALWAYS, 10**15)))
    results = []
    for number, name in enumerate(names):
        log.now_ns = NOW + number * every_ns
        log.renew()
        good = log.hear(an_observation()).id
        proposal = a_proposal(good, proposal_id=f"{number:032x}", strategy=name, quantity=Decimal(1))
        results.append(log.propose(proposal))
    return results


def test_ten_at_once_and_then_one_a_second() -> None:
    """A bucket of 10 that refills one each second."""
    results = at_pace(14, 0)
    assert [vetted.verdict.approved for vetted in results] == [True] * 10 + [False] * 4
    assert [vetted.facts.burst_tokens for vetted in results] == [*range(10, 0, -1), 0, 0, 0, 0]
    assert all(rules_broken(vetted) == {22} for vetted in results[10:])


@pytest.mark.parametrize(
    ("later_ns", "tokens"),
    [(0, 0), (SECOND_NS - 1, 0), (SECOND_NS, 1), (5 * SECOND_NS, 5), (10 * SECOND_NS, 10), (DAY_NS, 10)],
)
def test_an_empty_bucket_refills_by_one_each_second_to_ten(later_ns: int, tokens: int) -> None:
    log = Log(run=a_run(mandate=Mandate(("A",), tuple("0123456789x"), ("buy",), ALWAYS, 10**15)))
    good = log.hear(an_observation()).id
    for number in range(10):
        asked = a_proposal(good, proposal_id=str(number) * 32, strategy=str(number), quantity=Decimal(1))
        assert log.propose(asked).verdict.approved
    log.now_ns += later_ns
    assert facts(log, good, strategy="x").burst_tokens == tokens


@pytest.mark.parametrize("count", [60])
def test_one_a_second_can_be_kept_up(count: int) -> None:
    assert all(vetted.verdict.approved for vetted in at_pace(count, SECOND_NS))


def test_never_more_than_sixty_within_a_minute() -> None:
    """With the bucket 10 + 59 would pass within the minute; the count stops at 60."""
    results = at_pace(75, SECOND_NS * 4 // 5)
    times = [number * SECOND_NS * 4 // 5 for number, vetted in enumerate(results) if vetted.verdict.approved]
    for now in times:
        assert sum(now - MINUTE_NS < then <= now for then in times) <= 60
    refused = [vetted for vetted in results if not vetted.verdict.approved]
    assert refused
    assert {22} == set().union(*[rules_broken(vetted) for vetted in refused])
    assert max(vetted.facts.actions_last_minute for vetted in results) == 61


def test_the_fourth_proposal_of_a_strategy_in_an_instrument_within_a_minute_is_refused() -> None:
    """Refused ones count too: a loop of refusals is a loop."""
    log, good = a_market(B="100")
    proposals = [a_proposal(good, proposal_id=str(number) * 32, quantity=Decimal(1)) for number in range(6)]
    seen = [log.propose(proposal).facts.repeats_last_minute for proposal in proposals[:4]]
    assert seen == [1, 2, 3, 4]
    assert rules_broken(log.ask(proposals[4])) == {22}
    assert facts(log, good, strategy="other").repeats_last_minute == 1
    assert facts(log, good, instrument="B").repeats_last_minute == 1
    log.now_ns += MINUTE_NS
    assert facts(log, good).repeats_last_minute == 1


# -- purity -----------------------------------------------------------------------------------------------------------


@st.composite
def proposals(draw) -> Proposal:
    """Mostly good ones, so that what is approved is tested too; some wrong in one thing."""
    sign = draw(st.sampled_from([1, -1]))
    limit = draw(st.decimals(95, 105, places=2))
    distance = draw(st.decimals("0.01", 20, places=2))
    changes = {
        "proposal_id": f"{draw(st.integers(0, 10**6)):032x}",
        "side": "buy" if sign > 0 else "sell",
        "quantity": draw(st.decimals(1, 1_000, places=1)),
        "limit_price": limit,
        "stop_price": limit - sign * distance,
        "target_price": limit + sign * distance * 2,
        "instrument": draw(st.sampled_from("AB")),
        "strategy": draw(st.sampled_from(["s1", "s2", "s3"])),
    }
    wrong = draw(
        st.sampled_from([{}] * 8 + [{"quantity": Decimal("NaN")}, {"instrument": "NOSUCH"}, {"stop_price": None}])
    )
    return a_proposal(derived_id("message", "3"), **(changes | wrong))


PROPOSALS = proposals()
STRATEGIES = a_run(mandate=Mandate(("A", "B"), ("s1", "s2", "s3"), ("buy", "sell"), ALWAYS, 10**13))


def an_open_market(*bodies: AnyBody) -> Log:
    log = Log(run=STRATEGIES)
    for body in (an_observation("A"), an_observation("B", "50"), *bodies):
        log.hear(body)
    return log


@given(st.lists(PROPOSALS, min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_vetting_is_pure(proposals: list[Proposal]) -> None:
    """I7: the same docket and message give the same facts, verdict and docket; the old docket stays as it was."""
    log = an_open_market(held("A", 100))
    for proposal in proposals:
        before = log.docket
        kept = (*before, dict(before.book.holds), dict(before.repeats_ns), dict(before.recent))
        first, second = log.ask(proposal), log.ask(proposal)
        assert first == second
        assert before is log.docket
        assert (*before, dict(before.book.holds), dict(before.repeats_ns), dict(before.recent)) == kept
        log.propose(proposal)


@given(st.lists(PROPOSALS, min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_what_was_approved_never_holds_more_than_the_limits_together(proposals: list[Proposal]) -> None:
    """I5, always: holds and positions of an instrument stay within a tenth of equity, whatever is proposed."""
    log = an_open_market()
    for number, proposal in enumerate(proposals):
        log.propose(msgspec.structs.replace(proposal, proposal_id=f"{number:032x}"))
        holds = log.docket.book.holds.values()
        for instrument in ("A", "B"):
            assert sum(h.notional_micros for h in holds if h.instrument == instrument) * 10 <= EQUITY
        assert all(hold.notional_micros > 0 for hold in holds)


def test_a_proposal_id_that_comes_again_does_not_free_what_it_held() -> None:
    """I5: what was approved under an id stays reserved until its own order ends, whoever proposes the id again."""
    log, good = a_market()
    log.propose(a_proposal(good, quantity=Decimal(400)))
    log.propose(a_proposal(good, quantity=Decimal(100)))
    assert sum(hold.notional_micros for hold in log.docket.book.holds.values()) >= 40_000 * MILLION


def test_an_approval_lasts_thirty_seconds() -> None:
    assert APPROVAL_TERM_NS == 30 * SECOND_NS
