from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.joey import AGENT, SPEC
from agents.joey.intents import COOL_DOWN_BARS
from agents.runtime.agent import cause_of
from graveyard.words import Evidence
from mutable_core.book import HEARD
from mutable_core.errors import SettingsRefused, UnknownName
from mutable_core.ids import derived_id
from mutable_core.messages import BODY_TYPES, Breach, ProposalMade, encode
from tests.agents.joey.makers import DAY, SECOND, Floor, a_bar, a_mandate, a_quote, proposals, reasons

FLAT = [100] * 20


def a_breakout(*, mandate=None, **floor_settings) -> tuple[Floor, ProposalMade]:
    """A floor on which the 21st bar closed above the channel."""
    floor = Floor(mandate or a_mandate("donchian_breakout"), **floor_settings)
    for close in FLAT:
        floor.bar(close)
    return floor, proposals(floor.bar(103))[0]


def test_he_hears_what_his_book_needs_and_says_what_he_may() -> None:
    assert set(HEARD) <= set(SPEC.hears) <= set(BODY_TYPES)


def test_a_breakout_becomes_a_proposal_with_everything_that_the_rules_ask_for() -> None:
    """Last 103, ATR(14) 2 + 2/14, stop two of them: risk 0.5 % or notional 4.5 % of a million, whichever is less."""
    floor, made = a_breakout()
    p, observed = made.proposal, floor.heard[-2]
    assert not made.is_drill
    assert p.proposal_id == derived_id("proposal", observed.id, "donchian_breakout")
    assert (p.account, p.strategy, p.instrument, p.side) == ("acct", "donchian_breakout", "AAA", "buy")
    assert p.limit_price == Decimal("103.26")
    assert p.stop_price == Decimal("98.71")
    assert p.target_price == Decimal("112.36")
    assert p.quantity == 435  # 45 000 / 103.26
    assert p.evidence == (Evidence(observed.id, "last", Decimal(103)),)
    assert floor.said[-1].cause == cause_of(observed)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from(["AAA", "BBB", "CCC"]), st.integers(50, 150), st.booleans(), st.booleans()),
        max_size=80,
    )
)
def test_every_observation_is_answered_exactly_once_and_in_order(steps) -> None:
    """Bars and quotes, crowded slices and empty ones: at each closed slice, one answer with each one's cause."""
    floor = Floor(a_mandate("donchian_breakout", "mean_reversion", "alternating"), tick_bar_ns=SECOND)
    due = []
    for instrument, price, is_bar, closes in steps:
        floor.ts_ns += SECOND
        due.append(cause_of(floor.observe(a_bar(str(price)) if is_bar else a_quote(str(price)), instrument)))
        if closes:
            assert [say.cause for say in floor.close_slice()] == due
            due = []
    assert [say.cause for say in floor.close_slice()] == due
    assert floor.close_slice() == ()


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(50, 150), min_size=1, max_size=60), st.integers(0, 5))
def test_the_same_inbox_gives_the_same_words_and_an_old_state_stays_as_it_was(closes, refuse_each) -> None:
    """I7: byte for byte; and every state on the way still answers as it did when it was new."""
    floor = Floor(a_mandate("donchian_breakout", "mean_reversion", "moving_average_trend", "alternating"))
    for day, close in enumerate(closes):
        for made in proposals(floor.bar(close)):
            if day % (refuse_each + 1):
                floor.refuse(made.proposal.proposal_id)
            else:
                floor.fill(made)
    state, steps = AGENT.first_state, []
    for envelope in floor.heard:
        steps.append((state, envelope, AGENT.decide(state, envelope)))
        state = steps[-1][2].state
    said = [say for _, _, step in steps for say in step.says]
    assert [encode(say.body) for say in said] == [encode(say.body) for say in floor.said]
    assert state == floor.state
    for before, envelope, step in steps:
        assert AGENT.decide(before, envelope) == step


def test_only_strategies_of_the_mandate_are_asked() -> None:
    floor = Floor(a_mandate("mean_reversion"))
    for close in FLAT:
        floor.bar(close)
    assert [made.proposal.strategy for made in proposals(floor.bar(130))] == ["mean_reversion"]
    floor = Floor(a_mandate())
    for close in FLAT:
        floor.bar(close)
    assert reasons(floor.bar(130)) == ["no_signal"]


def test_the_register_decides_who_is_asked_first() -> None:
    floor = Floor(a_mandate("alternating", "donchian_breakout"))
    for close in FLAT:
        for made in proposals(floor.bar(close)):
            floor.expire(made)
    assert proposals(floor.bar(103))[0].proposal.strategy == "donchian_breakout"


@pytest.mark.parametrize(
    ("mandate", "instrument"),
    [
        (a_mandate("alternating", instruments=("BBB",)), "AAA"),
        (a_mandate("alternating", instruments=()), "AAA"),
        (a_mandate("alternating", sides=("sell",)), "AAA"),
        (a_mandate("alternating", instruments=("ZZZ",)), "ZZZ"),  # allowed, but nobody knows its tick
    ],
)
def test_what_the_mandate_does_not_allow_is_not_proposed(mandate, instrument) -> None:
    floor = Floor(mandate)
    assert reasons(floor.bar(100, instrument)) == ["no_signal"]


def test_an_unknown_strategy_stops_the_start() -> None:
    with pytest.raises(UnknownName, match="astrology"):
        Floor(a_mandate("alternating", "astrology"))


def test_a_bar_without_length_stops_the_start() -> None:
    with pytest.raises(SettingsRefused):
        Floor(a_mandate(), tick_bar_ns=0)


def test_he_warms_up_until_every_strategy_has_its_bars() -> None:
    floor = Floor(a_mandate("donchian_breakout", "moving_average_trend"))
    said = [reasons(floor.bar(100))[0] for _ in range(52)]
    assert said == ["warming_up"] * 50 + ["no_signal"] * 2


def test_less_than_a_lot_is_too_small() -> None:
    floor = Floor(a_mandate("alternating"), cash_micros=100 * 10**6)
    assert reasons(floor.bar(100)) == ["too_small"]


def test_without_equity_nothing_is_proposed() -> None:
    assert reasons(Floor(a_mandate("alternating"), cash_micros=0).bar(100)) == ["too_small"]


def test_a_tick_inside_a_bar_waits() -> None:
    """60-second bars: the first tick of the next minute completes the one before."""
    floor = Floor(a_mandate("alternating"))
    assert [reasons(floor.quote("100", after_ns=20 * SECOND)) for _ in range(2)] == [["bar_forming"]] * 2
    said = floor.quote("101", after_ns=20 * SECOND)
    assert proposals(said)[0].proposal.evidence[0].value == Decimal(101)


def test_one_second_bars_answer_every_quote_after_the_first() -> None:
    floor = Floor(a_mandate("alternating"), tick_bar_ns=SECOND)
    assert reasons(floor.quote("100")) == ["bar_forming"]
    for _ in range(3):
        for made in proposals(floor.quote("100")):
            floor.expire(made)
    assert len(proposals(floor.said)) == 3


def test_the_mid_of_a_quote_is_cited_as_it_was_observed() -> None:
    floor = Floor(a_mandate("alternating"), tick_bar_ns=SECOND)
    floor.quote("100.005")
    made = proposals(floor.quote("100.015"))[0]
    observed = floor.heard[-2]
    assert made.proposal.evidence == (Evidence(observed.id, "last", observed.body.market.last),)


def test_while_a_proposal_is_undecided_nothing_more_is_proposed() -> None:
    floor = Floor(a_mandate("alternating"))
    assert proposals(floor.bar(100))
    assert reasons(floor.bar(100)) == ["position_open"]
    assert proposals(floor.bar(100, "BBB")), "other instruments are free"


def test_after_an_order_ended_unfilled_he_may_propose_again() -> None:
    floor = Floor(a_mandate("alternating"))
    floor.expire(proposals(floor.bar(100))[0])
    assert proposals(floor.bar(100))


def test_a_refusal_quiets_the_strategy_for_five_bars_of_the_instrument() -> None:
    floor = Floor(a_mandate("alternating"))
    made = proposals(floor.bar(100))[0]
    floor.refuse(made.proposal.proposal_id)
    assert [reasons(floor.bar(100)) for _ in range(COOL_DOWN_BARS)] == [["no_signal"]] * COOL_DOWN_BARS
    assert proposals(floor.bar(100))
    assert proposals(floor.bar(100, "BBB")), "other instruments are not quiet"


def test_a_refusal_of_something_else_changes_nothing() -> None:
    floor = Floor(a_mandate("alternating"))
    floor.bar(100)
    before = floor.state.intents
    floor.refuse("f" * 32)
    assert floor.state.intents == before


def test_the_owner_closes_the_whole_position_with_a_reduction() -> None:
    floor = Floor(a_mandate("alternating"))
    entry = proposals(floor.bar(100))[0]
    floor.fill(entry)
    way_out = proposals(floor.bar(100))[0].proposal
    assert (way_out.side, way_out.quantity) == ("sell", entry.proposal.quantity)
    assert (way_out.stop_price, way_out.target_price) == (None, None)
    assert way_out.limit_price == Decimal("99.75")
    floor.fill(proposals(floor.said[-1:])[0])
    assert proposals(floor.bar(100))[0].proposal.side == "buy"


def test_a_strategy_is_not_asked_about_a_position_that_it_did_not_open() -> None:
    """The breakout's bracket ends the breakout's position; a turn of the means is not its business."""
    floor = Floor(a_mandate("donchian_breakout", "moving_average_trend"))
    for day in range(60):
        floor.bar(Decimal(100) - day % 2)
    floor.fill(proposals(floor.bar(103))[0])
    assert floor.state.intents.owners["AAA"] == "donchian_breakout"
    assert [reasons(floor.bar(50)) for _ in range(15)] == [["position_open"]] * 15


def test_the_trend_is_left_when_the_means_turn() -> None:
    floor = Floor(a_mandate("moving_average_trend"))
    for _ in range(50):
        floor.bar(100)
    entry = proposals(floor.bar(103))[0]
    floor.fill(entry)
    assert reasons(floor.bar(103)) == ["position_open"]
    way_out = proposals(floor.bar(50))[0]
    assert (way_out.proposal.side, way_out.proposal.quantity) == ("sell", entry.proposal.quantity)
    floor.expire(way_out)
    assert proposals(floor.bar(50)), "an exit that was not filled is asked for again"


def test_while_an_entry_still_works_no_way_out_is_proposed() -> None:
    floor = Floor(a_mandate("alternating"))
    floor.intend(proposals(floor.bar(100))[0])
    assert reasons(floor.bar(100)) == ["position_open"]


@pytest.mark.parametrize(("numerator", "denominator"), [(2, 1), (7, 1), (3, 2), (1, 8)])
def test_a_split_is_not_traded_as_a_crash(numerator: int, denominator: int) -> None:
    """Every strategy sees a price that did not move."""
    floor = Floor(a_mandate("donchian_breakout", "mean_reversion", "moving_average_trend"))
    for day in range(60):
        floor.bar(Decimal(100) + Decimal(day) / 10)
    floor.split(numerator, denominator)
    price = (Decimal(106) * denominator / numerator).quantize(Decimal("0.01"))
    assert reasons(floor.bar(price, spread="0.05")) == ["no_signal"]


def test_without_the_corporate_action_the_same_move_is_a_crash() -> None:
    floor = Floor(a_mandate("donchian_breakout"))
    for day in range(60):
        floor.bar(Decimal(100) + day % 2)
    assert proposals(floor.bar(50))[0].proposal.side == "sell"


def test_a_split_between_an_observation_and_its_slice_leaves_no_signal() -> None:
    """The price is of another unit by then."""
    floor = Floor(a_mandate("alternating"))
    floor.observe(a_bar("100"))
    floor.split(2)
    assert [say.body.reason for say in floor.close_slice()] == ["bar_forming"]


DRILLS: tuple[Breach, ...] = Breach.__args__


def a_drill_floor(bars: int = 3) -> Floor:
    floor = Floor(a_mandate("donchian_breakout", "mean_reversion"))
    for _ in range(bars):
        floor.bar(100)
    return floor


@pytest.mark.parametrize("breach", DRILLS)
def test_a_drill_is_wrong_in_one_thing(breach: Breach) -> None:
    """§5, §7, §8, §21, §23 or a number that is none; size, bracket, evidence and mandate are right otherwise."""
    floor = a_drill_floor()
    (say,) = floor.drill(breach)
    order = floor.heard[-1]
    made, p = say.body, say.body.proposal
    assert made.is_drill
    assert say.cause == cause_of(order)
    assert p.proposal_id == derived_id("drill", order.id)
    assert p.strategy == "donchian_breakout"
    wrong = set()
    if p.instrument not in {"AAA", "BBB"}:
        wrong.add("unknown_instrument")
    if p.quantity.is_nan():
        wrong.add("not_a_number")
    else:
        worth = p.quantity * p.limit_price
        if worth > 2_000_000:
            wrong.add("over_leveraged")
        elif worth > 100_000:
            assert worth == pytest.approx(250_000, rel=Decimal("0.01"))
            wrong.add("oversize")
        assert p.quantity % 1 == 0
        assert p.quantity * (p.limit_price - (p.stop_price or p.limit_price)) < 15_000, "within the daily loss"
    if p.stop_price is None:
        wrong.add("no_stop")
    else:
        risk, reward = p.limit_price - p.stop_price, p.target_price - p.limit_price
        assert 0 < 4 * risk <= p.limit_price
        assert 2 * reward >= 3 * risk
    cited = {envelope.id: envelope for envelope in floor.heard}[p.evidence[0].observation_id]
    assert p.evidence[0].value == cited.body.market.last
    age = floor.ts_ns - cited.ts_event_ns
    if age:
        assert age > DAY * 3 // 2
        wrong.add("stale_data")
    assert wrong == {breach}
    assert 10 <= len(p.reason) <= 2000


def test_a_drill_waits_for_the_first_observation() -> None:
    floor = Floor(a_mandate("donchian_breakout"))
    assert floor.drill("no_stop") == ()
    order = floor.heard[-1]
    said = floor.bar(100)
    assert reasons(said) == ["warming_up"]
    assert said[-1].body.is_drill
    assert said[-1].cause == cause_of(order)
    assert proposals(floor.bar(100)) == [], "and is answered once"


def test_a_stale_drill_waits_for_something_old_enough() -> None:
    floor = Floor(a_mandate("donchian_breakout"), tick_bar_ns=SECOND)
    floor.quote("100")
    assert floor.drill("stale_data") == ()
    said = [proposals(floor.quote(str(100 + k)))[:1] for k in range(1, 5)]
    assert [len(made) for made in said] == [0, 0, 1, 0], "older than 2 s, not as old"
    assert said[2][0].proposal.evidence[0].value == 100


def test_fast_ticks_leave_a_trail_that_is_long_enough_to_be_stale() -> None:
    floor = Floor(a_mandate("donchian_breakout"))
    for _ in range(3_000):
        floor.quote("100", after_ns=10**6)
    assert floor.drill("stale_data")


def test_a_drill_never_reduces_a_position() -> None:
    """A reduction is exempt from what the drill should break."""
    floor = Floor(a_mandate("donchian_breakout", instruments=("AAA",)))
    for close in FLAT:
        floor.bar(close)
    floor.fill(proposals(floor.bar(97))[0])
    assert floor.state.book.position_atoms("AAA") < 0
    assert proposals(floor.drill("no_stop"))[0].proposal.side == "sell"


def test_a_drill_prefers_an_instrument_without_a_position() -> None:
    floor = Floor(a_mandate("alternating"))
    floor.ts_ns += DAY
    for name in ("AAA", "BBB"):
        floor.observe(a_bar("100"), name)
    floor.fill(proposals(floor.close_slice())[0])
    floor.expire(proposals(floor.said[-1:])[0])
    assert proposals(floor.drill("oversize"))[0].proposal.instrument == "BBB"


def test_a_refused_drill_quiets_nobody() -> None:
    floor = Floor(a_mandate("alternating"))
    floor.expire(proposals(floor.bar(100))[0])
    floor.refuse(proposals(floor.drill("no_stop"))[0].proposal.proposal_id)
    assert proposals(floor.bar(100))
