"""What a kill switch can do at the paper exchange: it bars, withdraws and closes, and never opens."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from venue_makers import Floor, a_bar, a_floor, a_quote, a_venue, an_order, said

from agents.kenny.venues.kill_port import HALTED, REDUCE_ONLY
from agents.kenny.venues.simulated import SNAPSHOT_EVERY
from mutable_core.messages import OrderFilled, is_kill_order

BAR = a_bar("100", "101", "99", "100")
LATCH = "abcdefghijklmnop"


@pytest.fixture
def floor() -> Iterator[Floor]:
    """Holds 100 ACME, protected; an entry for 50 more works below the market."""
    one = a_floor()
    one.place(an_order("held", limit="100", stop="90", target="120"))
    one.show(BAR)
    one.place(an_order("working", limit="80", stop="70", quantity="50", time_in_force="gtc"))
    yield one
    one.venue.close()


def entries(floor: Floor) -> list[str]:
    return [key for key in floor.open_orders() if "." not in key]


def test_withdrawing_ends_every_entry_and_leaves_what_protects(floor: Floor) -> None:
    assert floor.venue.withdraw("") == ("working",)
    assert floor.open_orders() == ("held.stop", "held.target")
    assert said(floor.venue.events(0))[-1] == "working cancelled kill_switch"
    assert floor.venue.withdraw("") == ()


def test_withdrawing_in_one_instrument_leaves_the_others(floor: Floor) -> None:
    assert floor.venue.withdraw("ZINC") == ()
    assert entries(floor) == ["working"]


def test_a_reduction_that_works_is_not_withdrawn(floor: Floor) -> None:
    floor.place(an_order("out", "sell", "50", limit="150", time_in_force="gtc", reduces=True))
    floor.venue.withdraw("")
    assert entries(floor) == ["out"]


@pytest.mark.parametrize(
    ("bars", "entry", "reduction"),
    [
        ({}, True, True),
        ({"": REDUCE_ONLY}, False, True),
        ({"": HALTED}, False, False),
        ({"ACME": REDUCE_ONLY}, False, True),
        ({"ACME": HALTED}, False, False),
        ({"ZINC": HALTED}, True, True),
        ({"": REDUCE_ONLY, "ACME": HALTED}, False, False),
    ],
)
def test_what_a_bar_lets_pass(floor: Floor, bars: dict[str, int], entry: bool, reduction: bool) -> None:
    floor.venue.set_bars(bars)
    floor.place(an_order("in", limit="80", stop="70", time_in_force="gtc"))
    floor.place(an_order("out", "sell", "10", limit="150", time_in_force="gtc", reduces=True))
    assert ("in" in floor.open_orders(), "out" in floor.open_orders()) == (entry, reduction)


def test_what_a_bar_refuses_is_rejected_as_halted_and_its_id_is_taken(floor: Floor) -> None:
    floor.venue.set_bars({"": REDUCE_ONLY})
    assert said(floor.place(an_order("in"))) == ["in rejected halted"]
    floor.venue.set_bars({})
    assert floor.place(an_order("in")) == []


def test_closing_trades_away_what_is_held_and_its_protection_ends_with_it(floor: Floor) -> None:
    (key,) = floor.venue.close_positions("", LATCH)
    assert is_kill_order(key)
    floor.show(BAR)
    assert floor.position() == 0
    assert floor.open_orders() == ("working",)


def test_closing_takes_the_place_of_a_reduction_that_works(floor: Floor) -> None:
    floor.place(an_order("out", "sell", "50", limit="150", time_in_force="gtc", reduces=True))
    (key,) = floor.venue.close_positions("", LATCH)
    assert entries(floor) == [key, "working"]
    assert "held.stop" in floor.open_orders()


def test_closing_under_a_full_halt_works_all_the_same(floor: Floor) -> None:
    floor.venue.set_bars({"": HALTED})
    floor.venue.close_positions("", LATCH)
    floor.show(BAR)
    assert floor.position() == 0


def test_a_short_position_is_bought_back() -> None:
    floor = a_floor()
    floor.place(an_order("short", "sell"))
    floor.show(BAR)
    floor.venue.close_positions("ACME", LATCH)
    floor.show(BAR)
    assert floor.position() == 0


def test_closing_against_a_quote_trades_at_once() -> None:
    floor = a_floor(a_quote("99", "100"))
    floor.place(an_order("held"))
    floor.venue.close_positions("", LATCH)
    assert floor.position() == 0


def test_one_latch_closes_once_and_two_never_trade_more_than_the_position(floor: Floor) -> None:
    assert len(floor.venue.close_positions("", LATCH)) == 1
    assert floor.venue.close_positions("", LATCH) == ()
    assert len(floor.venue.close_positions("", LATCH[::-1])) == 1
    floor.show(BAR)
    assert floor.position() == 0
    assert entries(floor) == ["working"]


def test_nobody_else_may_use_an_id_of_the_kill_switch(floor: Floor) -> None:
    assert said(floor.place(an_order(f"kill-{LATCH}-0"))) == [f"kill-{LATCH}-0 rejected reserved_id"]
    assert len(floor.venue.close_positions("", LATCH)) == 1


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("show"), st.integers(70, 130)),
        st.tuples(st.just("place"), st.integers(80, 120)),
        st.tuples(st.just("close"), st.integers(0, 3)),
        st.tuples(st.just("withdraw"), st.just(0)),
        st.tuples(st.just("bars"), st.integers(0, 2)),
    ),
    max_size=25,
)


def taken(floor: Floor, steps: list[tuple[str, int]]) -> None:
    for at, (what, number) in enumerate(steps):
        price = str(number)
        if what == "show":
            floor.show(a_bar(price, str(number + 2), str(number - 2), price, volume="700"))
        elif what == "place":
            side = "buy" if at % 2 else "sell"
            floor.place(an_order(f"o{at}", side, limit=price, time_in_force="gtc"))
        elif what == "close":
            floor.venue.close_positions("", f"{LATCH}{number}")
        elif what == "withdraw":
            floor.venue.withdraw("")
        else:
            floor.venue.set_bars({"": number} if number else {})


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_no_fill_of_the_kill_switch_ever_opens_anything(steps: list[tuple[str, int]]) -> None:
    """I1: the venue itself enforces that this way only reduces."""
    floor = a_floor()
    taken(floor, steps)
    position = Decimal(0)
    for event in floor.venue.events(0):
        if isinstance(event, OrderFilled):
            after = position + (event.quantity if event.side == "buy" else -event.quantity)
            if is_kill_order(event.client_order_id):
                assert abs(after) < abs(position)
                assert after * position >= 0
            position = after


@settings(max_examples=30, deadline=None)
@given(steps=STEPS, every=st.sampled_from([1, SNAPSHOT_EVERY]))
def test_bars_and_closings_outlive_the_venue(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]], every: int
) -> None:
    path = tmp_path_factory.mktemp("venue") / "venue.log"
    floor = Floor(a_venue(path, snapshot_every=every))
    floor.show(BAR)
    taken(floor, steps)
    events, stated, bars = list(floor.venue.events(0)), floor.venue.statement(), floor.venue.bars()
    floor.venue.close()
    again = a_venue(path, snapshot_every=every)
    assert (list(again.events(0)), again.statement(), again.bars()) == (events, stated, bars)
    if ("close", 1) in steps:
        assert again.close_positions("", f"{LATCH}1") == ()
    again.close()


def test_what_the_kill_switch_did_is_not_forgotten_with_the_rows_that_our_journal_lost(tmp_path: Path) -> None:
    """It acted in the world; a restart of ours does not undo it."""
    path = tmp_path / "venue.log"
    floor = Floor(a_venue(path))
    floor.show(BAR)
    floor.place(an_order("held", time_in_force="gtc"))
    floor.show(BAR)
    held_at = floor.row
    floor.show(BAR)
    floor.venue.set_bars({"": HALTED})
    floor.venue.close_positions("", LATCH)
    floor.show(BAR)
    events = list(floor.venue.events(0))
    assert floor.position() == 0
    floor.venue.close()
    again = a_venue(path, until_row=held_at)
    assert list(again.events(0)) == events
    assert again.bars() == {"": HALTED}
    again.close()


def test_without_it_they_are_forgotten(tmp_path: Path) -> None:
    floor = Floor(a_venue(tmp_path / "venue.log"))
    floor.show(BAR)
    floor.place(an_order("held", time_in_force="gtc"))
    placed_at = floor.row
    floor.show(BAR)
    floor.venue.close()
    again = a_venue(tmp_path / "venue.log", until_row=placed_at)
    assert again.statement().positions == ()
    again.close()
