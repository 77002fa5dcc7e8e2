"""What holds of the paper venue on any day."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from venue_calls import FORMS, Call, Place, Show, a_day, days, make, make_all
from venue_makers import CASH, a_venue

from agents.kenny.venues.matching import decimal_of, notional_micros
from agents.kenny.venues.simulated import SimulatedVenue
from mutable_core.messages import OrderAccepted, OrderCancelled, OrderExpired, OrderFilled, OrderRejected, PositionLine
from mutable_core.money import atoms, micros, notional

quick = settings(max_examples=100, deadline=None)


def a_venue_after(calls: list[Call]) -> SimulatedVenue:
    venue = a_venue(bps=3, slippage_bps=2)
    make_all(venue, calls)
    return venue


@quick
@given(days(with_actions=False))
def test_cash_and_positions_are_the_sum_of_the_fills(calls: list[Call]):
    venue = a_venue_after(calls)
    cash, held = Decimal(CASH) / 10**6, defaultdict(Decimal)
    for event in venue.events(0):
        if isinstance(event, OrderFilled):
            sign = 1 if event.side == "buy" else -1
            cash -= sign * event.price * event.quantity + Decimal(event.fee_micros) / 10**6
            held[event.instrument] += sign * event.quantity
    stated = venue.statement()
    assert stated.cash_micros == micros(cash)
    assert stated.positions == tuple(PositionLine(name, atoms(q)) for name, q in sorted(held.items()) if q)


@quick
@given(days())
def test_events_are_numbered_from_one_and_open_orders_are_what_has_not_ended(calls: list[Call]):
    venue = a_venue_after(calls)
    events = venue.events(0)
    assert [event.venue_seq for event in events] == list(range(1, len(events) + 1))
    ended = {e.client_order_id for e in events if isinstance(e, OrderCancelled | OrderExpired | OrderRejected)}
    ended |= {e.client_order_id for e in events if isinstance(e, OrderFilled) and not e.remaining}
    accepted = {e.client_order_id for e in events if isinstance(e, OrderAccepted)}
    stated = venue.statement()
    entries = {key for key in stated.open_orders if "." not in key}
    assert entries == accepted - ended
    assert not ended & set(stated.open_orders)
    assert stated.venue_seq == len(events)
    assert stated.open_orders == tuple(sorted(set(stated.open_orders)))


@quick
@given(days())
def test_nothing_is_said_of_an_order_after_its_end(calls: list[Call]):
    ended: set[str] = set()
    for event in a_venue_after(calls).events(0):
        assert event.client_order_id not in ended
        if isinstance(event, OrderCancelled | OrderExpired | OrderRejected) or (
            isinstance(event, OrderFilled) and not event.remaining
        ):
            ended.add(event.client_order_id)


@quick
@given(days(forms=["bar"], with_actions=False))
def test_on_bars_no_fill_is_outside_the_bar_but_for_slippage_and_no_target_fills_with_its_entry(calls: list[Call]):
    venue = a_venue(slippage_bps=2)
    for at, call in enumerate(calls):
        seen = venue.statement().venue_seq
        make(venue, call, at)
        fills = [event for event in venue.events(seen) if isinstance(event, OrderFilled)]
        if not isinstance(call, Show):
            assert not fills
            continue
        bar, slip, tick = call.observed.market, Decimal("0.0002"), Decimal("0.01")
        entries = {fill.client_order_id for fill in fills if fill.leg == "entry"}
        for fill in fills:
            assert bar.low * (1 - slip) - tick <= fill.price <= bar.high * (1 + slip) + tick
            assert fill.leg == "stop" or fill.quantity <= bar.volume / 10
            assert fill.leg != "target" or fill.client_order_id.removesuffix(".target") not in entries


@quick
@given(days(with_actions=False))
def test_reductions_and_legs_never_flip_and_limits_are_never_exceeded(calls: list[Call]):
    orders = {call.order.client_order_id: call.order for call in reversed(calls) if isinstance(call, Place)}
    held: dict[str, Decimal] = defaultdict(Decimal)
    for event in a_venue_after(calls).events(0):
        if not isinstance(event, OrderFilled):
            continue
        sign = 1 if event.side == "buy" else -1
        before = held[event.instrument]
        held[event.instrument] = after = before + sign * event.quantity
        order = orders[event.client_order_id.partition(".")[0]]
        if order.reduces or event.leg != "entry":
            assert abs(after) < abs(before)
            assert after * before >= 0
        if event.leg == "entry" and order.type == "limit":
            assert (order.limit_price - event.price) * sign >= 0


@quick
@given(days())
def test_every_call_made_twice_changes_nothing(calls: list[Call]):
    """Told in doubles, and the whole day told once more after its end."""
    once, twice = a_venue_after(calls), a_venue(bps=3, slippage_bps=2)
    for at, call in enumerate(calls):
        make(twice, call, at)
        make(twice, call, at)
    make_all(twice, calls)
    assert twice.events(0) == once.events(0)
    assert twice.statement() == once.statement()


@given(st.integers(1, 10**20), st.integers(1, 10**20))
def test_the_short_way_to_a_notional_gives_the_same_micros(price: int, quantity: int):
    assert notional_micros(price, quantity) == notional(decimal_of(price), decimal_of(quantity))


def test_the_days_of_these_tests_are_lively():
    """The properties would prove nothing if nothing happened on their days."""
    seen: dict[str, int] = defaultdict(int)
    for seed in range(60):
        for event in a_venue_after(a_day(seed, 120, FORMS[seed % 3], with_actions=True)).events(0):
            seen[type(event).__name__ + getattr(event, "reason", getattr(event, "leg", ""))] += 1
    endings = ("by_us", "other_leg_filled", "position_closed")
    wanted = ["OrderExpired", "OrderAdjusted", *(f"OrderCancelled{why}" for why in endings)]
    wanted += [f"OrderFilled{leg}" for leg in ("entry", "stop", "target")]
    assert all(seen[what] >= 20 for what in wanted), seen
