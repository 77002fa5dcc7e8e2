"""What the market trades: a mean is never more than what was seen, and never less than what was certainly there."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from immutables import Map

from mutable_core.clock import DAY_NS
from mutable_core.flows import DAYS, EMPTY, Flow, acted, observed
from mutable_core.messages import CorporateActionObserved
from mutable_core.money import ATOMS_PER_UNIT, atoms
from tests.makers import DAY_1_NS, a_bar, an_observation

SESSIONS = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 10**6)), min_size=1, max_size=60)
"""Daily bars: days since the one before, volume."""


def folded(sessions: list[tuple[int, int]]) -> tuple[Flow, dict[int, int]]:
    """The flow after them, and the volume of each calendar day."""
    flows: Map[str, Flow] = Map()
    now, days = DAY_1_NS, {}
    for gap, volume in sessions:
        now += gap * DAY_NS
        body = an_observation(market=a_bar("100", volume=str(volume)))
        flows = observed(flows, body, now, 100 * ATOMS_PER_UNIT)
        days[now // DAY_NS - 1] = volume * ATOMS_PER_UNIT
    return flows["A"], days


@given(SESSIONS)
@settings(max_examples=150, deadline=None)
def test_a_mean_is_never_more_than_twenty_sessions_of_the_last_four_weeks_traded(sessions) -> None:
    """Whatever was not seen counts as none: at most what was traded, at any gaps, over twenty."""
    flow, days = folded(sessions)
    today = max(days)
    before = [days[day] for day in sorted(days) if today - 28 <= day < today][-DAYS:]
    with_today = [days[day] for day in sorted(days) if today - 28 <= day][-DAYS:]
    assert flow.day_volume() == max(sum(before) // DAYS, sum(with_today) // DAYS)
    assert flow.day_volume() * DAYS <= sum(volume for day, volume in days.items() if day >= today - 28)
    assert flow.day_traded() <= flow.day_volume() * 100 * 1_000_000 // ATOMS_PER_UNIT + DAYS


@given(SESSIONS, st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_more_volume_never_lowers_the_mean(sessions, more: int) -> None:
    flow, _ = folded(sessions)
    gap, volume = sessions[-1]
    fuller, _ = folded([*sessions[:-1], (gap, volume + more)])
    assert fuller.day_volume() >= flow.day_volume()


@given(st.lists(st.decimals("0.01", 10_000, places=2), min_size=1, max_size=12))
@settings(max_examples=100, deadline=None)
def test_the_rise_is_never_understated_and_never_negative(closes: list[Decimal]) -> None:
    flows: Map[str, Flow] = Map()
    for number, close in enumerate(closes):
        body = an_observation(close=str(close))
        flows = observed(flows, body, DAY_1_NS + number * DAY_NS, atoms(close))
    was = closes[-6] if len(closes) > 5 else closes[0]
    rise = flows["A"].rise_bp()
    assert rise >= 0
    assert Decimal(rise) >= (closes[-1] / was - 1) * 10_000
    assert rise == 0 or Decimal(rise - 1) < (closes[-1] / was - 1) * 10_000


@given(SESSIONS, st.sampled_from([(2, 1), (1, 2), (3, 2), (1, 10), (7, 1)]))
@settings(max_examples=60, deadline=None)
def test_a_split_keeps_what_changed_hands_and_never_overstates_a_volume(sessions, ratio: tuple[int, int]) -> None:
    flow, _ = folded(sessions)
    up, down = ratio
    after = acted(Map({"A": flow}), CorporateActionObserved("A", up, down, Decimal(0), "inferred"))["A"]
    assert after.day_traded() == flow.day_traded()
    assert after.bar_volume * down <= flow.bar_volume * up
    assert after.minute_volume * down <= flow.minute_volume * up
    assert after.day_volume() * down <= flow.day_volume() * up + down * DAYS


def test_the_minute_that_is_running_changes_its_units_with_a_split_too() -> None:
    flow = EMPTY._replace(minute=5, minute_volume=1_000)
    after = acted(Map({"A": flow}), CorporateActionObserved("A", 1, 10, Decimal(0), "inferred"))["A"]
    assert (after.minute, after.minute_volume) == (5, 100)


def test_at_most_twenty_days_before_today_are_remembered() -> None:
    flow, _ = folded([(1, 1)] * 100)
    assert len(flow.days) == DAYS + 1


def test_an_action_of_an_instrument_that_was_never_seen_changes_nothing() -> None:
    flows: Map[str, Flow] = Map()
    assert acted(flows, CorporateActionObserved("A", 2, 1, Decimal(0), "inferred")) is flows


def test_a_bar_is_of_the_day_in_which_it_began() -> None:
    """The last hour of a day ends at midnight, and is not tomorrow's."""
    flows: Map[str, Flow] = Map()
    for end_hour in (23, 24, 25):
        body = an_observation(market=a_bar("100", volume="1"), interval_ns=3_600 * 10**9)
        flows = observed(flows, body, DAY_1_NS + end_hour * 3_600 * 10**9, 100 * ATOMS_PER_UNIT)
    first = DAY_1_NS // DAY_NS
    assert [(day.number, day.volume // ATOMS_PER_UNIT) for day in flows["A"].days] == [(first, 2), (first + 1, 1)]
