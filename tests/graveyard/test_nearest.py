"""A refusal names the nearest act that would pass: the largest order on the lot, the shortest wait, or nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from graveyard.judge import judge
from graveyard.nearest import Room
from graveyard.words import Facts, Nearest
from tests.graveyard.makers import ATOM, MILLION, SECOND_NS, good_facts, operation_facts, reduction_facts

LOT = ATOM // 100


def added(rate_atoms: int, quantity_atoms: int) -> int:
    """Micros that an order adds, rounded up."""
    return -(-rate_atoms * quantity_atoms // 10**10)


def an_order(room: Room, *, before: dict[str, int] | None = None, **changes: Any) -> Facts:
    """The facts of an order of `room.quantity_atoms`, over what stood before it, as the docket adds them up."""
    quantity = room.quantity_atoms
    stood = {
        "exposure_after_micros": 0,
        "gross_after_micros": 0,
        "day_notional_after_micros": 0,
        "day_loss_after_micros": 0,
    }
    stood |= before or {}
    size = {name: stood[name] + added(room.price_atoms, quantity) for name in stood if name != "day_loss_after_micros"}
    size["day_loss_after_micros"] = stood["day_loss_after_micros"] + added(room.risk_atoms, quantity)
    size["order_notional_micros"] = added(room.price_atoms, quantity)
    return good_facts(quantity_atoms=quantity, **(size | changes))


def a_room(units: float = 10, **changes: Any) -> Room:
    fields = {"lot_atoms": LOT, "price_atoms": 100 * ATOM, "risk_atoms": 2 * ATOM}
    return Room(quantity_atoms=int(units * ATOM), **(fields | changes))


def units(quantity: float, wait_ns: int = 0) -> Nearest:
    return Nearest(int(quantity * ATOM), wait_ns)


# One rule at a time; equity is 100 000, the price 100, the loss to the stop 2.
STORIES = [
    ("10 % of equity in one instrument", 120, {"people": 2}, {}, units(100)),
    ("10 % of equity, half of it taken", 60, {"people": 2}, {"exposure_after_micros": 5_000 * MILLION}, units(50)),
    ("twice the equity", 50, {"people": 2}, {"gross_after_micros": 198_000 * MILLION}, units(20)),
    ("5 % of the day's first equity", 50, {}, {"day_loss_after_micros": 4_950 * MILLION}, units(24.99)),
    ("10 % of the bar's volume", 20, {"bar_volume_atoms": 150 * ATOM}, {}, units(15)),
    ("1 % of the day's volume", 20, {"day_volume_atoms": 1_234 * ATOM}, {}, units(12.34)),
    ("the day's mandate", 20, {"mandate_day_notional_micros": 999_999_999}, {}, units(9.99)),
    ("an order that nobody signed", 60, {}, {}, units(50)),
    ("leverage that nobody signed", 50, {}, {"gross_after_micros": 148_000 * MILLION}, units(20)),
    ("two limits at once: the smaller counts", 120, {"bar_volume_atoms": 150 * ATOM}, {}, units(15)),
]


@pytest.mark.parametrize(
    ("story", "quantity", "changes", "before", "nearest"), STORIES, ids=[one[0] for one in STORIES]
)
def test_the_largest_order_that_passes_is_named(
    story: str, quantity: int, changes: dict[str, int], before: dict[str, int], nearest: Nearest
) -> None:
    room = a_room(quantity)
    verdict = judge(an_order(room, before=before, **changes), room)
    assert not verdict.approved
    assert verdict.nearest == nearest


WAITS = [
    ({"actions_last_minute": 61}, {"wait_actions_ns": 7}, 7),
    ({"burst_tokens": 0}, {"wait_burst_ns": SECOND_NS}, SECOND_NS),
    ({"repeats_last_minute": 9}, {"wait_repeats_ns": 11}, 11),
    ({"repeats_last_minute": 4, "burst_tokens": 0}, {"wait_repeats_ns": 11, "wait_burst_ns": 5}, 11),
]


@pytest.mark.parametrize(("changes", "waits", "wait_ns"), WAITS, ids=str)
def test_the_shortest_wait_is_named(changes: dict[str, int], waits: dict[str, int], wait_ns: int) -> None:
    for act in (good_facts, reduction_facts):
        facts = act(**changes)
        assert judge(facts, a_room(**waits)).nearest == Nearest(None, wait_ns)
        assert judge(facts, a_room()).nearest is None, "nobody knows how long"


def test_a_smaller_order_later() -> None:
    room = a_room(60, wait_burst_ns=SECOND_NS)
    assert judge(an_order(room, burst_tokens=0), room).nearest == units(50, SECOND_NS)


HOPELESS: tuple[dict[str, Any], ...] = (
    {"has_stop": 0},
    {"halt_level": 2},
    {"burst_tokens": 11},
    {"is_buy": None},
    {"is_opening": None},
    {"actions_last_minute": None},
    {"exposure_after_micros": None},
    {"equity_micros": 0},
    {"stop_distance_atoms": 0},
    {"log_position": 0, "order_notional_micros": 6_000 * MILLION},
    {"people": 1, "people_age_ns": 301 * SECOND_NS},
)


@pytest.mark.parametrize("changes", HOPELESS, ids=str)
def test_where_neither_size_nor_waiting_helps_nothing_is_named(changes: dict[str, Any]) -> None:
    room = a_room(wait_actions_ns=1, wait_burst_ns=1, wait_repeats_ns=1)
    verdict = judge(good_facts(**changes), room)
    assert not verdict.approved
    assert verdict.nearest is None


def test_no_lot_is_small_enough() -> None:
    room = a_room(60, lot_atoms=60 * ATOM)
    assert judge(an_order(room), room).nearest is None
    full = a_room(1)
    assert judge(an_order(full, before={"exposure_after_micros": 10_000 * MILLION}, people=2), full).nearest is None


ODD = [
    {"lot_atoms": 0},
    {"lot_atoms": True},
    {"price_atoms": 0},
    {"price_atoms": -1},
    {"price_atoms": 1.0},
    {"risk_atoms": -1},
    {"risk_atoms": None},
    {"wait_burst_ns": True},
    {"wait_burst_ns": 0},
    {"wait_burst_ns": -1},
    {"wait_burst_ns": 1.0},
]


@pytest.mark.parametrize("odd", ODD, ids=str)
def test_a_room_that_cannot_be_names_nothing_and_the_refusal_stands(odd: dict[str, Any]) -> None:
    usual = a_room(60, wait_burst_ns=SECOND_NS)
    facts = an_order(usual, burst_tokens=0)
    verdict = judge(facts, usual._replace(**odd))
    assert not verdict.approved
    assert verdict.nearest is None
    assert verdict.violations == judge(facts, usual).violations


def test_a_room_for_another_quantity_names_nothing() -> None:
    facts = an_order(a_room(60))
    assert judge(facts, a_room(60)).nearest == units(50)
    assert judge(facts, a_room(61)).nearest is None


def test_an_approval_names_nothing_and_does_not_ask_for_room() -> None:
    assert judge(good_facts(), a_room()).nearest is None
    assert judge(good_facts(), a_room()) == judge(good_facts())
    assert judge(operation_facts(people=1), a_room()).nearest is None
    assert judge(an_order(a_room(60))).nearest is None


rates = st.integers(1, 10**12)
money = st.integers(0, 2 * 10**11)


@st.composite
def rooms(draw: st.DrawFn) -> Room:
    lot = draw(st.sampled_from((1, 7, LOT, ATOM)))
    return Room(
        lot_atoms=lot,
        quantity_atoms=lot * draw(st.integers(1, 10**11 // lot)),
        price_atoms=draw(rates),
        risk_atoms=draw(st.integers(0, 10**11)),
        wait_burst_ns=draw(st.integers(1, 10**9)),
    )


@settings(max_examples=250, deadline=None)
@given(
    rooms(),
    st.fixed_dictionaries(
        {},
        optional={
            "exposure_after_micros": st.integers(0, 10**10),
            "gross_after_micros": money,
            "day_loss_after_micros": st.integers(-(10**10), 5 * 10**9),
            "day_notional_after_micros": money,
        },
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "people": st.integers(0, 2),
            "bar_volume_atoms": st.integers(0, 10**12),
            "day_volume_atoms": st.integers(0, 10**13),
            "mandate_day_notional_micros": money,
            "burst_tokens": st.integers(0, 2),
            "equity_micros": st.integers(1, 10**12),
        },
    ),
)
def test_the_nearest_order_passes_and_one_lot_more_does_not(
    room: Room, before: dict[str, int], changes: dict[str, int]
) -> None:
    facts = an_order(room, before=before, **changes)
    verdict = judge(facts, room)
    assume(not verdict.approved)
    calm = changes | {"burst_tokens": max(1, changes.get("burst_tokens", 1))}

    def passes(lots_of_it: int) -> bool:
        other = room._replace(quantity_atoms=lots_of_it * room.lot_atoms)
        return judge(an_order(other, before=before, **calm)).approved

    proposed = room.quantity_atoms // room.lot_atoms
    if verdict.nearest is None:
        assert not any(passes(lots) for lots in {1, 2, proposed // 2, proposed - 1, proposed} if lots > 0)
        return
    assert verdict.nearest.wait_ns == (room.wait_burst_ns if facts.burst_tokens == 0 else 0)
    if verdict.nearest.quantity_atoms is None:
        assert passes(proposed)
        return
    lots, rest = divmod(verdict.nearest.quantity_atoms, room.lot_atoms)
    assert rest == 0
    assert 0 < lots < proposed
    assert passes(lots)
    assert not passes(lots + 1)


@settings(max_examples=60, deadline=None)
@given(st.integers(51, 10**6), st.integers(1, 10**6))
def test_asking_for_more_or_less_changes_nothing_about_what_would_pass(asked: int, more: int) -> None:
    """Monotone: the nearest order depends on the limits, not on by how much they were passed."""
    first, second = a_room(asked), a_room(asked + more)
    nearest = [judge(an_order(room), room).nearest for room in (first, second)]
    assert nearest[0] == nearest[1] == units(50)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 10**11), st.integers(0, 10**11))
def test_more_equity_never_makes_the_nearest_order_smaller(equity: int, more: int) -> None:
    room = a_room(10**6)
    quantities = []
    for equity_micros in (equity, equity + more):
        nearest = judge(an_order(room, equity_micros=equity_micros, day_start_equity_micros=10**12), room).nearest
        quantities.append(0 if nearest is None else nearest.quantity_atoms or 0)
    assert quantities[0] <= quantities[1]


def test_what_is_named_can_be_written_down() -> None:
    room = a_room(60)
    verdict = judge(an_order(room), room)
    assert msgspec.json.decode(msgspec.json.encode(verdict), type=type(verdict)) == verdict
