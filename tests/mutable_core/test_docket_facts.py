"""The facts of rules 1 to 4, 11 to 19, 21, 23 and 25: folded from the log, each window at its very edge."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from graveyard.words import Evidence, Facts
from mutable_core.clock import DAY_NS, MINUTE_NS, SECOND_NS
from mutable_core.docket.folding import CONDUCT_ORDERS
from mutable_core.messages import (
    AccountHalted,
    AnyBody,
    Approved,
    BroadcastPublished,
    CatalystFiled,
    ConsentRecorded,
    CorporateActionObserved,
    DrillOrdered,
    HaltOrdered,
    Instrument,
    LeaseGranted,
    OrderAdjusted,
    OrderCancelled,
    OrderExpired,
    OrderIntended,
    ProposalMade,
    Quote,
    Refused,
    Session,
    SignalDeclared,
    SnapshotTaken,
    Trade,
    VetoLifted,
    VetoSet,
)
from mutable_core.money import ATOMS_PER_UNIT
from tests.makers import CENT, a_bar, a_fill, a_mandate, a_proposal, a_run, an_inspection, an_observation, an_order
from tests.mutable_core.docket_log import MILLION, NOW, Log, a_market, a_reduction, facts, held, rules_broken


def intended(key: str, **changes: Any) -> OrderIntended:
    return OrderIntended(an_order(client_order_id=key, proposal_id=f"p-{key}", **changes), "d", 1, 1, 1)


# -- rule 1: the public's market --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("restricted", "fact"), [((), 0), (("B",), 0), (("A",), 1), (("B", "A"), 1)])
def test_the_restricted_list_of_the_run_is_kept(restricted: tuple[str, ...], fact: int) -> None:
    log, good = a_market(held("A", 100), run=a_run(restricted=restricted))
    opening, reduction = log.ask(a_proposal(good)), log.ask(a_reduction(good, "100"))
    assert opening.facts.instrument_restricted == reduction.facts.instrument_restricted == fact
    assert (1 in rules_broken(opening)) is (1 in rules_broken(reduction)) is bool(fact)


def test_evidence_that_is_not_classified_public_counts_as_private() -> None:
    log, good = a_market()
    hidden = log.hear(an_observation("B", is_public=False)).id
    cited = (Evidence(good, "last", Decimal(100)), *[Evidence(hidden, "last", Decimal(100))] * 2)
    said = log.ask(a_proposal(good, evidence=cited))
    assert said.facts.evidence_not_public == 2
    assert rules_broken(said) == {1}


@pytest.mark.parametrize(("until", "count"), [(0, 0), (NOW, 0), (NOW + 1, 1), (NOW + DAY_NS, 1)])
def test_an_embargo_ends_at_its_moment(until: int, count: int) -> None:
    log, good = a_market()
    early = log.hear(an_observation(embargo_until_ns=until)).id
    cited = (Evidence(good, "last", Decimal(100)), Evidence(early, "last", Decimal(100)))
    said = log.ask(a_proposal(good, evidence=cited))
    assert said.facts.evidence_embargoed == count
    assert rules_broken(said) == ({1} if count else set())


# -- rule 2: conduct --------------------------------------------------------------------------------------------------


def ordered(log: Log, count: int, cancelled: int, reason: str = "by_us", *, begin: int = 0) -> None:
    for number in range(begin, begin + count):
        log.hear(intended(f"o{number}", instrument="B"))
        ending = number - begin < cancelled
        log.hear(OrderCancelled(1, f"o{number}", reason) if ending else OrderExpired(1, f"o{number}"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("orders", "cancels", "passes"),
    [(0, 0, True), (19, 19, True), (20, 18, True), (20, 19, False), (100, 90, True), (100, 91, False)],
)
def test_more_than_ninety_percent_cancelled_of_twenty_or_more_is_spoofing(
    orders: int, cancels: int, passes: bool
) -> None:
    log, good = a_market()
    ordered(log, orders, cancels)
    said = log.ask(a_proposal(good))
    assert (said.facts.recent_orders, said.facts.recent_cancels) == (orders, cancels)
    assert rules_broken(said) == (set() if passes else {2})


def test_only_the_last_hundred_orders_count() -> None:
    log, good = a_market()
    ordered(log, CONDUCT_ORDERS, CONDUCT_ORDERS)
    ordered(log, 10, 0, begin=CONDUCT_ORDERS)
    found = facts(log, good)
    assert (found.recent_orders, found.recent_cancels) == (100, 90)


def test_what_the_venue_ended_is_no_cancel_of_ours_and_one_cancel_counts_once() -> None:
    log, good = a_market()
    ordered(log, 3, 2, "other_leg_filled")
    assert facts(log, good).recent_cancels == 0
    log.hear(intended("mine"))
    for _ in range(3):
        log.hear(OrderCancelled(1, "mine", "by_us"))
    log.hear(OrderCancelled(1, "never-heard-of", "by_us"))
    found = facts(log, good)
    assert (found.recent_orders, found.recent_cancels) == (4, 1)


@pytest.mark.parametrize(
    ("resting", "asked", "crossed"),
    [
        ({"side": "sell", "limit_price": Decimal(100)}, {}, 1),  # we would buy from ourselves
        ({"side": "sell", "limit_price": Decimal("100.01")}, {}, 0),
        ({"side": "sell", "limit_price": None}, {}, 1),  # a market order trades at any price
        ({"side": "buy", "limit_price": Decimal(100)}, {}, 0),
        ({"side": "sell", "limit_price": Decimal(90), "instrument": "B"}, {}, 0),
        ({"side": "buy", "limit_price": Decimal(100)}, {"side": "sell", "stop_price": Decimal(102)}, 1),
        ({"side": "buy", "limit_price": Decimal("99.99")}, {"side": "sell", "stop_price": Decimal(102)}, 0),
    ],
)
def test_an_own_resting_order_of_the_other_side_within_the_limit_is_a_wash(
    resting: dict[str, Any], asked: dict[str, Any], crossed: int
) -> None:
    log, good = a_market(intended("r", **resting))
    said = log.ask(a_proposal(good, **asked))
    assert said.facts.own_orders_crossed == crossed
    assert (2 in rules_broken(said)) is bool(crossed)


def test_a_target_that_rests_at_the_venue_can_be_traded_with_and_a_stop_cannot() -> None:
    """A long's target sells at 104: buying up to 104 would be buying from ourselves. A stop does not rest."""
    log, good = a_market(intended("e"))
    log.hear(a_fill(an_order(client_order_id="e"), fee_micros=0))
    at = {"stop_price": Decimal(90), "target_price": Decimal(200)}
    assert facts(log, good, limit_price=Decimal("103.99"), **at).own_orders_crossed == 0
    assert facts(log, good, limit_price=Decimal(104), **at).own_orders_crossed == 1
    way_out = a_reduction(good, "100")
    assert log.ask(way_out).facts.own_orders_crossed == 0, "its own bracket is on the same side"


def test_an_order_that_the_venue_adjusted_rests_where_it_was_put() -> None:
    """A 2-for-1 split halves entries and targets that rest: the book follows what the venue says."""
    log, good = a_market(intended("r", side="sell", limit_price=Decimal(110), stop_price=None, target_price=None))
    assert facts(log, good).own_orders_crossed == 0
    log.hear(OrderAdjusted(1, "r", Decimal(200), Decimal(55), None))
    assert facts(log, good).own_orders_crossed == 1
    log, good = a_market(intended("e"))
    log.hear(a_fill(an_order(client_order_id="e"), fee_micros=0))
    log.hear(OrderAdjusted(2, "e.target", Decimal(200), Decimal(52), None))
    assert facts(log, good, limit_price=Decimal(52), stop_price=Decimal(50)).own_orders_crossed == 1


@pytest.mark.parametrize(
    ("side", "limit", "layered"),
    [("sell", "99.99", 1), ("sell", "100", 0), ("sell", "101", 0), ("buy", "100.01", 1), ("buy", "100", 0)],
)
def test_an_own_entry_on_the_other_side_better_than_the_market_is_layering(side: str, limit: str, layered: int) -> None:
    """Also one that could not trade with it: a quote that is not meant draws others to the price that is."""
    log, good = a_market(intended("r", side=side, limit_price=Decimal(limit)))
    other = (
        {"side": "buy", "limit_price": Decimal(50), "stop_price": Decimal(49)}
        if side == "sell"
        else {"side": "sell", "limit_price": Decimal(150), "stop_price": Decimal(151), "target_price": Decimal(100)}
    )
    found = facts(log, good, **other)
    assert (found.own_orders_crossed, found.own_orders_layered) == (0, layered)


# -- rules 2 and 3: what the market trades ----------------------------------------------------------------------------


def a_thin_run(*, reference: int = 0) -> Any:
    return a_run(instruments=(Instrument("A", CENT, ATOMS_PER_UNIT, reference * ATOMS_PER_UNIT),))


def bars(log: Log, *volumes: int, close: str = "100") -> str:
    """One daily bar after another; the id of the last."""
    seen = ""
    for volume in volumes:
        log.now_ns += DAY_NS
        seen = log.hear(an_observation(market=a_bar(close, volume=str(volume)))).id
    log.renew()
    return seen


def test_the_days_volume_is_the_mean_of_twenty_days_and_days_unseen_count_as_none() -> None:
    log = Log(run=a_thin_run())
    seen = bars(log, 40_000)
    found = facts(log, seen)
    assert found.bar_volume_atoms == 40_000 * ATOMS_PER_UNIT
    assert found.day_volume_atoms == 2_000 * ATOMS_PER_UNIT
    assert found.day_traded_micros == 200_000 * MILLION
    seen = bars(log, *[40_000] * 18)
    assert facts(log, seen).day_volume_atoms == 38_000 * ATOMS_PER_UNIT
    seen = bars(log, *[40_000] * 10)
    assert facts(log, seen).day_volume_atoms == 40_000 * ATOMS_PER_UNIT


def test_a_market_that_was_silent_for_a_month_has_no_volume_of_the_month_before() -> None:
    """28 days of the calendar hold 20 sessions; what is older says nothing about today."""
    log = Log(run=a_thin_run())
    bars(log, *[40_000] * 20)
    log.now_ns += 40 * DAY_NS
    assert facts(log, bars(log, 20_000)).day_volume_atoms == 1_000 * ATOMS_PER_UNIT


def test_weekends_are_no_days_without_volume() -> None:
    log, seen = Log(run=a_thin_run()), ""
    for number in range(30):
        if number % 5 == 0:
            log.now_ns += 2 * DAY_NS
        seen = bars(log, 40_000)
    assert facts(log, seen).day_volume_atoms == 40_000 * ATOMS_PER_UNIT


@pytest.mark.parametrize(("quantity", "passes"), [("100", True), ("101", False)])
def test_a_tenth_of_the_bar_is_the_most(quantity: str, passes: bool) -> None:
    log = Log(run=a_thin_run(reference=10**7))
    said = log.ask(a_proposal(bars(log, 1_000), quantity=Decimal(quantity)))
    assert rules_broken(said) == (set() if passes else {2})


@pytest.mark.parametrize(("quantity", "passes"), [("200", True), ("201", False)])
def test_a_hundredth_of_the_mean_day_is_the_most(quantity: str, passes: bool) -> None:
    log = Log(run=a_thin_run())
    said = log.ask(a_proposal(bars(log, *[20_000] * 25), quantity=Decimal(quantity)))
    assert rules_broken(said) == (set() if passes else {2})


@pytest.mark.parametrize(("reference", "passes"), [(10_000, True), (9_999, False)])
def test_reference_data_says_the_volume_of_a_market_that_shows_none(reference: int, passes: bool) -> None:
    """Quotes show no volume; the larger of both is taken. What trades a million a day is not thin."""
    log = Log(run=a_thin_run(reference=reference))
    seen = log.hear(
        an_observation(interval_ns=0, market=Quote(Decimal("99.99"), Decimal("100.01"), Decimal(500), Decimal(600)))
    ).id
    said = log.ask(a_proposal(seen, quantity=Decimal(50)))
    assert said.facts.bar_volume_atoms == 1_100 * ATOMS_PER_UNIT
    assert said.facts.day_volume_atoms == reference * ATOMS_PER_UNIT
    assert said.facts.day_traded_micros == reference * 100 * MILLION
    assert rules_broken(said) == (set() if passes else {3})


def test_trades_make_bars_of_whole_minutes() -> None:
    log = Log(run=a_thin_run(reference=10**7))

    def trade(size: int, later_ns: int) -> int | None:
        log.later(later_ns)
        seen = log.hear(an_observation(interval_ns=0, market=Trade(Decimal(100), Decimal(size)))).id
        return facts(log, seen).bar_volume_atoms

    assert trade(10, 0) == 0, "the minute is still running"
    assert trade(20, SECOND_NS) == 0
    assert trade(5, 59 * SECOND_NS) == 30 * ATOMS_PER_UNIT
    assert trade(1, 2 * MINUTE_NS) == 0, "the minute before had no trade at all"


def test_a_second_source_of_the_same_market_adds_no_volume_and_moves_no_mark() -> None:
    """The same trades reported twice are not twice the trades; what is not the run's own source values nothing."""
    log = Log(held("A", 100), run=a_thin_run())
    seen = bars(log, 40_000)
    log.hear(an_observation(source="second", market=a_bar("100.4", volume="40000")))
    found = facts(log, seen)
    assert found.bar_volume_atoms == 40_000 * ATOMS_PER_UNIT
    assert found.day_volume_atoms == 2_000 * ATOMS_PER_UNIT
    assert log.docket.book.marks["A"] == 100 * ATOMS_PER_UNIT


def test_a_split_changes_the_units_of_volumes_and_prices_and_none_of_the_money() -> None:
    log = Log(run=a_thin_run())
    seen = bars(log, *[40_000] * 3)
    before = facts(log, seen)
    log.hear(CorporateActionObserved("A", 4, 1, Decimal(0), "inferred"))
    after = facts(log, seen)
    assert after.bar_volume_atoms == 4 * (before.bar_volume_atoms or 0)
    assert after.day_volume_atoms == 4 * (before.day_volume_atoms or 0)
    assert after.day_traded_micros == before.day_traded_micros
    assert facts(log, bars(log, 160_000, close="25")).rise_bp == 0
    log.hear(CorporateActionObserved("A", 1, 1, Decimal(1), "adjusted_close"))
    assert log.docket.flows["A"].days[-1].last == 25 * ATOMS_PER_UNIT, "a dividend is no change of units"


@pytest.mark.parametrize(
    ("closes", "rise"),
    [
        (["100"], 0),
        (["100", "150"], 5_000),
        (["100", "150.01"], 5_001),
        (["100", "100.001"], 1),  # rounded up
        (["100", "90"], 0),
        (["50", "100", "100", "100", "100", "100", "150"], 5_000),  # five sessions ago: 100
        (["100", "50", "50", "50", "50", "75"], 0),
        (["150", "50", "50", "50", "50", "50", "76"], 5_200),
    ],
)
def test_the_rise_is_against_the_close_five_sessions_ago(closes: list[str], rise: int) -> None:
    log = Log(run=a_thin_run(reference=10**7))
    seen = [bars(log, 10**6, close=close) for close in closes][-1]
    price = Decimal(closes[-1])
    levels = {"limit_price": price, "stop_price": price - 2, "target_price": price + 4, "quantity": Decimal(1)}
    cited = (Evidence(seen, "last", price),)
    said = log.ask(a_proposal(seen, evidence=cited, **levels))
    assert said.facts.rise_bp == rise
    assert (3 in rules_broken(said)) is (rise > 5_000)


def test_a_filed_catalyst_excuses_a_rise() -> None:
    log = Log(run=a_thin_run(reference=10**7))
    seen = [bars(log, 10**6, close=close) for close in ("100", "200")][-1]
    asked = {"limit_price": Decimal(200), "stop_price": Decimal(198), "target_price": Decimal(204)}
    proposal = a_proposal(seen, evidence=(Evidence(seen, "last", Decimal(200)),), quantity=Decimal(1), **asked)
    assert rules_broken(log.ask(proposal)) == {3}
    log.hear(CatalystFiled("B", "8-K"))
    assert rules_broken(log.ask(proposal)) == {3}
    log.hear(CatalystFiled("A", "8-K"))
    assert rules_broken(log.ask(proposal)) == set()


@pytest.mark.parametrize(
    ("happening", "fact", "days"),
    [(CatalystFiled("A", "8-K"), "filed_catalysts", 5), (BroadcastPublished("A", "buy A"), "own_broadcasts", 2)],
)
def test_messages_count_on_their_day_and_the_sessions_after(happening: AnyBody, fact: str, days: int) -> None:
    log, _ = a_market(happening, happening)
    first_of_that_day = log.now_ns // DAY_NS * DAY_NS
    for at, count in (
        (first_of_that_day, 2),
        (first_of_that_day + (days + 1) * DAY_NS - 1, 2),
        (first_of_that_day + (days + 1) * DAY_NS, 0),
    ):
        log.now_ns = at
        seen = log.hear(an_observation()).id
        assert getattr(facts(log, seen), fact) == count
        assert getattr(facts(log, seen, instrument="B"), fact) == 0


def test_many_messages_on_one_instrument_do_not_hide_one_on_another_and_old_ones_are_forgotten() -> None:
    log, good = a_market(BroadcastPublished("A", "buy A"), *[BroadcastPublished("B", "buy B")] * 300)
    assert facts(log, good).own_broadcasts == 1
    log.now_ns += 3 * DAY_NS
    log.hear(BroadcastPublished("B", "buy B"))
    assert len(log.docket.standing.broadcasts) == 1


def test_nothing_is_sold_after_our_own_message_not_even_as_a_way_out() -> None:
    log, good = a_market(held("A", 100), BroadcastPublished("A", "buy A"))
    assert rules_broken(log.ask(a_reduction(good, "100"))) == {3}
    assert rules_broken(log.ask(a_proposal(good))) == set()


# -- rule 4 -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("later_ns", "count"), [(0, 1), (5 * MINUTE_NS, 1), (5 * MINUTE_NS + 1, 0)])
def test_another_profiles_signal_stands_for_five_minutes(later_ns: int, count: int) -> None:
    log, good = a_market(SignalDeclared("other", "A", "buy"))
    log.later(later_ns)
    said = log.ask(a_proposal(good))
    assert said.facts.others_signals == count
    assert rules_broken(said) == ({4} if count else set())


def test_only_signals_in_the_same_instrument_and_direction_count() -> None:
    log, good = a_market(SignalDeclared("other", "B", "buy"), SignalDeclared("other", "A", "sell"))
    assert facts(log, good).others_signals == 0
    for name in ("p1", "p2"):
        log.hear(SignalDeclared(name, "A", "buy"))
    assert facts(log, good).others_signals == 2


# -- rule 11 ----------------------------------------------------------------------------------------------------------


def test_a_proposal_is_approved_once_whatever_became_of_it() -> None:
    log, good = a_market()
    proposal = a_proposal(good)
    assert isinstance(log.propose(proposal), Approved)
    log.hear(intended("x"))
    again = log.ask(proposal)
    assert again.facts.approvals_before == 1
    assert rules_broken(again) == {11}
    log.docket = log.docket._replace(book=log.docket.book._replace(holds=type(log.docket.book.holds)()))
    assert log.ask(proposal).facts.approvals_before == 1, "also when nothing is held for it any more"
    assert facts(log, good, proposal_id="f" * 32).approvals_before == 0


# -- rules 13 and 14: people's will -----------------------------------------------------------------------------------

SCOPES = [
    ("global", "", True),
    ("account", "paper", True),
    ("account", "other", False),
    ("strategy", "test", True),
    ("strategy", "other", False),
    ("instrument", "A", True),
    ("instrument", "B", False),
]


@pytest.mark.parametrize(("scope", "name", "covers"), SCOPES)
def test_a_veto_stands_until_it_is_lifted(scope: Any, name: str, covers: bool) -> None:
    log, good = a_market(held("A", 100), VetoSet(scope, name, "ann", "no"), VetoSet(scope, name, "bob", "no"))
    for proposal in (a_proposal(good), a_reduction(good, "100")):
        said = log.ask(proposal)
        assert said.facts.vetoes_standing == int(covers)
        assert rules_broken(said) == ({13} if covers else set())
    log.hear(VetoLifted(scope, "other" if name else "ignored", "ann"))
    if scope != "global" and name != "other":
        assert facts(log, good).vetoes_standing == int(covers), "another name was lifted"
    log.hear(VetoLifted(scope, name, "ann"))
    assert facts(log, good).vetoes_standing == 0


@pytest.mark.parametrize(("level", "fact"), [("reduce_only", 1), ("halted", 2)])
@pytest.mark.parametrize(("scope", "name", "covers"), SCOPES)
def test_a_halt_stops_what_opens_and_a_full_one_everything(
    scope: Any, name: str, covers: bool, level: Any, fact: int
) -> None:
    log, good = a_market(held("A", 100), HaltOrdered(scope, name, level, "ann", "stop"))
    opening, reduction = log.ask(a_proposal(good)), log.ask(a_reduction(good, "100"))
    assert opening.facts.halt_level == reduction.facts.halt_level == (fact if covers else 0)
    assert rules_broken(opening) == ({14} if covers else set())
    assert rules_broken(reduction) == ({14} if covers and level == "halted" else set())


def test_the_widest_of_several_halts_counts_and_a_milder_one_lifts_nothing() -> None:
    log, good = a_market(
        HaltOrdered("global", "", "halted", "ann", "stop"),
        HaltOrdered("instrument", "A", "reduce_only", "bob", "stop"),
        HaltOrdered("global", "", "reduce_only", "eve", "less"),
    )
    assert facts(log, good).halt_level == 2


# -- a critical refusal -----------------------------------------------------------------------------------------------


def test_a_critical_refusal_halts_the_account_once() -> None:
    log, good = a_market(held("A", 100), run=a_run(restricted=("B",)), B="100")
    log.propose(a_proposal(good, instrument="B"))
    refused, halted = log.said
    assert isinstance(refused, Refused)
    assert rules_broken(refused) == {1}
    assert halted == AccountHalted(refused.proposal_id, "paper", (1,))
    said = log.ask(a_proposal(good, proposal_id="2" * 32))
    assert (said.facts.halt_level, rules_broken(said)) == (1, {14})
    assert log.ask(a_reduction(good, "100")).verdict.approved, "a way out stays open"
    log.propose(a_proposal(good, instrument="B", proposal_id="3" * 32))
    assert [type(said) for said in log.said] == [Refused], "it is halted already"


@pytest.mark.parametrize(
    "changes",
    [{"stop_price": None}, {"quantity": Decimal(2_000)}, {"reason": "short"}, {"strategy": "other"}, {"evidence": ()}],
)
def test_a_refusal_that_is_not_critical_halts_nothing(changes: dict[str, Any]) -> None:
    log, good = a_market(run=a_run(cash_micros=10**13, mandate=a_mandate(day_notional_micros=10**13)))
    before = log.docket.standing
    assert isinstance(log.propose(a_proposal(good, **({"quantity": Decimal(100)} | changes))), Refused | Approved)
    assert len(log.said) == 1
    assert log.docket.standing == before


def test_a_drill_that_an_operator_ordered_halts_nobody_and_one_that_nobody_ordered_does() -> None:
    log, good = a_market(run=a_run(restricted=("B",)))
    order = log.hear(DrillOrdered("oversize"))
    made = ProposalMade(a_proposal(good, instrument="B"), is_drill=True)
    log.hear(made, trace_id=order.trace_id, cause_id=order.id)
    assert [type(said) for said in log.said] == [Refused]
    assert facts(log, good).halt_level == 0
    log.hear(msgspec.structs.replace(made, proposal=a_proposal(good, instrument="B", proposal_id="2" * 32)))
    assert [type(said) for said in log.said] == [Refused, AccountHalted], "calling itself a drill is no order of one"


# -- rules 14, 18, 19, 25: what the Watchdog found --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "fact", "value", "opening", "reducing"),
    [
        ({}, "seal_signatures", 2, set(), set()),
        ({"ruleset": "x" * 64}, "ruleset_matches", 0, {19}, {19}),
        ({"seal_signatures": 1}, "seal_signatures", 1, {19}, {19}),
        ({"seal_signatures": 3}, "seal_signatures", 3, set(), set()),
        ({"seal_faults": ("expired",)}, "seal_faults", 1, {19}, {19}),
        ({"keystore_exposed": 2}, "keystore_exposed", 2, {18}, {18}),
        ({"venue_is_up": False}, "venue_is_up", 0, {25}, set()),
        ({"kill_path_is_up": False}, "kill_path_age_ns", None, {14}, set()),
    ],
)
def test_what_was_found_at_the_last_inspection_is_a_fact(
    found: dict[str, Any], fact: str, value: int | None, opening: set[int], reducing: set[int]
) -> None:
    log, good = a_market(held("A", 100))
    log.renew(**found)
    first, second = log.ask(a_proposal(good)), log.ask(a_reduction(good, "100"))
    assert getattr(first.facts, fact) == value
    assert (rules_broken(first), rules_broken(second)) == (opening, reducing)


@pytest.mark.parametrize(("later_ns", "passes"), [(60 * SECOND_NS, True), (60 * SECOND_NS + 1, False)])
def test_an_inspection_is_good_for_a_minute(later_ns: int, passes: bool) -> None:
    log, good = a_market(held("A", 100))
    log.now_ns += later_ns
    said = log.ask(a_reduction(good, "100"))
    assert (said.facts.seal_age_ns, said.facts.kill_path_age_ns) == (later_ns, later_ns)
    assert rules_broken(said) == (set() if passes else {19})


def test_an_inspection_from_the_future_is_none() -> None:
    log, good = a_market()
    log.hear(LeaseGranted("kenny", NOW + 1, NOW + 2, an_inspection()))
    found = facts(log, good)
    assert (found.seal_age_ns, found.kill_path_age_ns, found.lease_age_ns) == (None, None, -1)


# -- rules 15 to 18: privacy ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "facts_above_zero", "rules"),
    [
        ({"reason": "the account 123456789012 wants this"}, {"text_unredacted"}, {17}),
        ({"reason": "ask ann@example.org about this one"}, {"text_unredacted"}, {17}),
        ({"reason": "log in with password=hunter2 and buy"}, {"credentials_in_clear"}, {18}),
        ({"strategy": "sk-AAAABBBBCCCCDDDDEEEE"}, {"credentials_in_clear"}, {18, 23}),
        ({"reason": "close 187.235 against 123456.78, 1 000 000 lots"}, set(), set()),
    ],
)
def test_private_things_and_credentials_in_an_act_are_counted(
    changes: dict[str, Any], facts_above_zero: set[str], rules: set[int]
) -> None:
    log, good = a_market()
    said = log.ask(a_proposal(good, **changes))
    names = ("text_unredacted", "credentials_in_clear", "outgoing_private")
    assert {name for name in names if getattr(said.facts, name)} == facts_above_zero
    assert rules_broken(said) == rules


def test_a_private_thing_in_a_field_that_leaves_the_house_is_counted_there_too() -> None:
    log, good = a_market()
    found = facts(log, good, instrument="ann@example.org")
    assert (found.outgoing_private, found.text_unredacted) == (1, 1)


@pytest.mark.parametrize(
    ("owner", "recorded", "missing"),
    [
        ("", (), 0),  # the house's own money
        ("ann", (), 1),
        ("ann", (("ann", "trading", NOW + 1),), 0),
        ("ann", (("ann", "trading", NOW),), 1),  # expired at this moment
        ("ann", (("ann", "marketing", NOW + DAY_NS),), 1),
        ("ann", (("bob", "trading", NOW + DAY_NS),), 1),
        ("ann", (("ann", "trading", NOW + DAY_NS), ("ann", "trading", 0)), 1),  # withdrawn
        ("ann", (("ann", "trading", 0), ("ann", "trading", NOW + DAY_NS)), 0),
    ],
)
def test_an_owners_consent_is_needed_recorded_unexpired_and_not_withdrawn(
    owner: str, recorded: tuple[tuple[str, str, int], ...], missing: int
) -> None:
    log, good = a_market(*[ConsentRecorded(*one) for one in recorded], run=a_run(owner=owner))
    said = log.ask(a_proposal(good))
    assert said.facts.consents_missing == missing
    assert rules_broken(said) == ({16} if missing else set())


# -- rule 21: a second source -----------------------------------------------------------------------------------------


def second(close: str, **changes: Any) -> AnyBody:
    return an_observation(close=close, **({"source": "second", "attested": False} | changes))


@pytest.mark.parametrize(
    ("other", "unattested", "apart"),
    [
        (None, 1, 0),
        ("100", 0, 0),
        ("100.5", 0, 50),
        ("100.51", 1, 51),
        ("99.5", 1, 51),  # of the smaller, rounded up
        ("99.51", 0, 50),
        ("0", 1, 10**9),
    ],
)
def test_a_second_source_within_fifty_points_confirms_and_beyond_it_disagrees(
    other: str | None, unattested: int, apart: int
) -> None:
    log = Log()
    seen = log.hear(an_observation(attested=False)).id
    if other is not None:
        log.hear(second(other))
    said = log.ask(a_proposal(seen))
    assert (said.facts.evidence_unattested, said.facts.sources_apart_bp) == (unattested, apart)
    assert rules_broken(said) == ({21} if unattested else set())


def test_a_source_does_not_confirm_itself() -> None:
    log = Log()
    first = log.hear(second("100")).id
    log.hear(second("100"))
    assert facts(log, first).evidence_unattested == 1
    log.hear(an_observation(attested=False))
    assert facts(log, first).evidence_unattested == 0


@pytest.mark.parametrize(("beyond", "unattested", "apart"), [(0, 0, 40), (1, 1, 0)])
def test_a_stale_second_source_neither_confirms_nor_disagrees(beyond: int, unattested: int, apart: int) -> None:
    log = Log(second("100.4", interval_ns=0))
    log.later(2 * SECOND_NS + beyond)
    seen = log.hear(an_observation(attested=False, interval_ns=0)).id
    found = facts(log, seen)
    assert (found.evidence_unattested, found.sources_apart_bp) == (unattested, apart)


def test_attested_evidence_is_refused_too_where_a_second_source_disagrees() -> None:
    log, good = a_market(second("101"))
    said = log.ask(a_proposal(good))
    assert (said.facts.evidence_unattested, said.facts.sources_apart_bp) == (0, 100)
    assert rules_broken(said) == {21}
    assert facts(log, good, instrument="B").sources_apart_bp == 0


# -- rule 21: malformed, old ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("market", "malformed"),
    [
        (Quote(Decimal("99.99"), Decimal("100.01"), Decimal(1), Decimal(1)), 0),
        (Quote(Decimal("100.01"), Decimal("99.99"), Decimal(1), Decimal(1)), 1),  # crossed
        (Quote(Decimal(100), Decimal(100), Decimal(1), Decimal(1)), 0),  # locked is not crossed
        (Quote(Decimal("99.995"), Decimal("100.005"), Decimal(1), Decimal(1)), 1),  # off tick
        (Trade(Decimal("100.001"), Decimal(1)), 1),
        (Trade(Decimal("100.01"), Decimal(1)), 0),
        (a_bar("100.001"), 1),
    ],
)
def test_cited_rows_that_are_crossed_or_off_tick_are_malformed(market: Any, malformed: int) -> None:
    log = Log()
    seen = log.hear(an_observation(market=market)).id
    said = log.ask(a_proposal(seen, evidence=(Evidence(seen, "last", market.last),)))
    assert said.facts.evidence_malformed == malformed
    assert (21 in rules_broken(said)) is bool(malformed)


@pytest.mark.parametrize(
    ("source", "event_ns", "malformed"), [("test", NOW, 0), ("test", NOW - 1, 1), ("second", NOW - 1, 0)]
)
def test_a_row_older_than_the_one_before_it_of_the_same_source_is_malformed(
    source: str, event_ns: int, malformed: int
) -> None:
    log, _ = a_market()
    seen = log.hear(an_observation(source=source), ts_event_ns=event_ns).id
    assert facts(log, seen).evidence_malformed == malformed


@pytest.mark.parametrize(("beyond", "passes"), [(0, True), (1, False)])
def test_the_instruments_own_last_price_must_be_fresh_too(beyond: int, passes: bool) -> None:
    """Fresh evidence about another instrument does not excuse trading on an old price."""
    log, _ = a_market(B="100")
    log.later(DAY_NS * 3 // 2 + beyond)
    fresh = log.hear(an_observation("B")).id
    said = log.ask(a_proposal(fresh))
    assert (said.facts.market_age_ns, said.facts.evidence_age_ns) == (DAY_NS * 3 // 2 + beyond, 0)
    assert rules_broken(said) == (set() if passes else {21})


def test_an_instrument_that_was_never_seen_has_no_age_and_is_refused() -> None:
    log, good = a_market()
    said = log.ask(a_proposal(good, instrument="F"))
    assert said.facts.market_age_ns is None
    assert 21 in rules_broken(said)


# -- rule 23: sessions ------------------------------------------------------------------------------------------------

HOUR = 60 * MINUTE_NS


@pytest.mark.parametrize(
    ("at_ns", "sessions", "is_open"),
    [
        (0, (Session((3,), 0, 1_440),), True),  # 1970-01-01 was a Thursday
        (0, (Session((0, 1, 2, 4, 5, 6), 0, 1_440),), False),
        (4 * DAY_NS, (Session((0,), 0, 1_440),), True),  # 1970-01-05, a Monday
        (4 * DAY_NS - 1, (Session((6,), 0, 1_440),), True),
        (9 * HOUR, (Session((3,), 540, 600),), True),
        (9 * HOUR - 1, (Session((3,), 540, 600),), False),
        (10 * HOUR - 1, (Session((3,), 540, 600),), True),
        (10 * HOUR, (Session((3,), 540, 600),), False),
        (10 * HOUR, (Session((3,), 540, 600), Session((3,), 600, 601)), True),
        (NOW, (), False),
    ],
)
def test_what_opens_must_be_within_the_owners_sessions(
    at_ns: int, sessions: tuple[Session, ...], is_open: bool
) -> None:
    log = Log(run=a_run(mandate=a_mandate(sessions=sessions)))
    log.now_ns = at_ns
    log.renew()
    log.hear(held("A", 100))
    seen = log.hear(an_observation()).id
    opening, reduction = log.ask(a_proposal(seen)), log.ask(a_reduction(seen, "100"))
    assert opening.facts.session_in_mandate == int(is_open)
    assert rules_broken(opening) == (set() if is_open else {23})
    assert rules_broken(reduction) == set(), "a way out is open at any hour"


# -- rule 25 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("taken", "age_ns"),
    [((), 10**18), ((0,), 0), ((-5,), 5), ((-9, -2), 2), ((+5,), 10**18)],
)
def test_the_newest_snapshot_has_an_age_and_none_is_older_than_any(taken: tuple[int, ...], age_ns: int) -> None:
    log, good = a_market()
    for at in taken:
        log.hear(SnapshotTaken("s"), ts_ns=NOW + at)
    assert facts(log, good).snapshot_age_ns == age_ns


# -- grounds ----------------------------------------------------------------------------------------------------------


def test_the_grounds_of_an_answer_say_where_its_facts_stand() -> None:
    log, first = a_market()
    veto = log.hear(VetoSet("instrument", "B", "ann", "no"))
    changed = log.hear(held("C", 10))
    newest = log.hear(an_observation(close="100"))
    lease = log.renew()
    cited = (Evidence("f" * 32, "last", Decimal(100)), Evidence(first, "last", Decimal(100)))
    found = log.ask(a_proposal(first, evidence=cited)).grounds
    assert (found.proofs, found.proposal, found.evidence) == ("p" * 64, len(log.rows) + 1, (0, 3))
    assert (found.market, found.book, found.lease, found.standing) == (newest.seq, changed.seq, lease.seq, veto.seq)
    assert (found.day, found.people) == (3, ())


def test_no_fact_of_an_ordinary_act_is_missing() -> None:
    log, good = a_market()
    found = facts(log, good)
    assert [name for name in Facts.__struct_fields__ if getattr(found, name) is None] == []
