"""The life of an order: which event may follow which state. What does not fit changes nothing."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.kenny.lifecycle import ENDED, NEXT, Status, Tracked, advanced, entry_id
from agents.runtime.agent import Cause
from mutable_core.messages import (
    OrderAccepted,
    OrderBlocked,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderUnknown,
    leg_id,
)
from tests.makers import a_fill, an_order

ORDER = an_order()
KEY = ORDER.client_order_id
STOP, TARGET = leg_id(KEY, "stop"), leg_id(KEY, "target")
CAUSE = Cause("t" * 32, "c" * 32, 4, 1)

EVENTS = {
    "accepted": OrderAccepted(1, KEY),
    "rejected": OrderRejected(1, KEY, "no"),
    "blocked": OrderBlocked(KEY, "lease_stale"),
    "unknown": OrderUnknown(KEY),
    "partly_filled": a_fill(ORDER, quantity=Decimal(40), remaining=Decimal(60)),
    "filled": a_fill(ORDER),
    "cancelled": OrderCancelled(1, KEY, "by_us"),
    "expired": OrderExpired(1, KEY),
}

# The whole table: from the state in front, by the event above, into the state named; a dot leaves it alone.
TABLE = """
               accepted  rejected  blocked  unknown  partly_filled  filled  cancelled  expired
intended       accepted  rejected  blocked  unknown  .              .       .          .
unknown        accepted  rejected  blocked  .        partly_filled  filled  .          .
accepted       .         .         .        .        partly_filled  filled  cancelled  expired
partly_filled  .         .         .        .        partly_filled  filled  cancelled  expired
filled         .         .         .        .        .              .       .          .
cancelled      .         .         .        .        .              .       .          .
expired        .         .         .        .        .              .       .          .
rejected       .         .         .        .        .              .       .          .
blocked        .         .         .        .        .              .       .          .
"""
_, HEAD, *LINES = TABLE.split("\n")
ROWS = [
    (status, event, after)
    for status, *cells in (line.split() for line in LINES if line)
    for event, after in zip(HEAD.split(), cells, strict=True)
]


def tracked(status: Status, legs: frozenset[str] = frozenset()) -> Tracked:
    return Tracked(ORDER, status, CAUSE, legs)


def test_the_table_knows_every_state_and_every_event() -> None:
    assert {status for status, _, _ in ROWS} == set(NEXT)
    assert {event for _, event, _ in ROWS} == set(EVENTS)
    assert {status for status in NEXT if all(after == "." for was, _, after in ROWS if was == status)} == ENDED


@pytest.mark.parametrize(("status", "event", "after"), ROWS)
def test_an_event_is_in_the_table_or_leaves_the_order_alone(status: Status, event: str, after: str) -> None:
    before = tracked(status)
    now = advanced(before, EVENTS[event])
    if after == ".":
        assert now == before
    else:
        armed = {STOP, TARGET} if event in {"filled", "partly_filled"} else set()
        assert (now.status, now.legs, now.order, now.cause) == (after, armed, ORDER, CAUSE)


@pytest.mark.parametrize(
    ("event", "left"),
    [
        (a_fill(ORDER, client_order_id=STOP, leg="stop"), {TARGET}),
        (a_fill(ORDER, client_order_id=STOP, leg="stop", remaining=Decimal(1)), {STOP, TARGET}),
        (a_fill(ORDER, client_order_id=TARGET, leg="target"), {STOP}),
        (OrderCancelled(1, STOP, "other_leg_filled"), {TARGET}),
        (OrderExpired(1, TARGET), {STOP}),
        (OrderAccepted(1, STOP), {STOP, TARGET}),
        (OrderRejected(1, STOP, "no"), {STOP, TARGET}),
        (OrderCancelled(1, f"{KEY}.other", "by_us"), {STOP, TARGET}),
    ],
)
@pytest.mark.parametrize("status", NEXT)
def test_a_legs_event_concerns_that_leg_only(status: Status, event, left) -> None:
    now = advanced(tracked(status, frozenset({STOP, TARGET})), event)
    assert (now.status, now.legs) == (status, left)


@pytest.mark.parametrize(
    ("stop", "target", "armed"),
    [(None, None, set()), (Decimal(98), None, {STOP}), (None, Decimal(104), {TARGET}), (Decimal(98), Decimal(104), {STOP, TARGET})],
)  # fmt: skip
@pytest.mark.parametrize("fill", ["partly_filled", "filled"])
def test_the_first_fill_arms_the_legs_that_the_order_has(stop, target, armed, fill: str) -> None:
    order = an_order(stop_price=stop, target_price=target)
    assert advanced(Tracked(order, "accepted", CAUSE, frozenset()), EVENTS[fill]).legs == armed


def test_an_order_is_over_when_its_entry_has_ended_and_its_legs_are_disarmed() -> None:
    legs = frozenset({STOP})
    for status in NEXT:
        assert tracked(status).is_over is (status in ENDED)
        assert not tracked(status, legs).is_over


@given(st.lists(st.sampled_from(list(EVENTS.values()))))
def test_whatever_comes_an_ended_order_stays_ended(events) -> None:
    order = tracked("intended")
    for event in events:
        after = advanced(order, event)
        assert after.status == order.status or after.status in NEXT[order.status]
        assert not (order.status in ENDED and after.status != order.status)
        assert isinstance(event, OrderFilled) or after.legs == order.legs
        order = after


@pytest.mark.parametrize("any_id", [KEY, STOP, TARGET])
def test_a_legs_id_leads_to_its_entry(any_id: str) -> None:
    assert entry_id(any_id) == KEY
