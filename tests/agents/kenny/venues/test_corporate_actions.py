"""What a split or a dividend does to positions, orders and cash at the paper venue."""

from __future__ import annotations

from decimal import Decimal

import pytest
from venue_makers import CASH, Floor, a_bar, a_floor, a_quote, an_order, said

from mutable_core.errors import MalformedMessage
from mutable_core.messages import CorporateActionObserved

AT_100 = a_bar("100", "101", "99", "100")


def a_holder(side: str = "buy", quantity: str = "101") -> Floor:
    """Holds 101 at 100 with a bracket 5 and 10 away."""
    floor = a_floor()
    stop, target = ("95", "110") if side == "buy" else ("105", "90")
    floor.place(an_order("a", side, quantity, limit="100", stop=stop, target=target))
    floor.show(AT_100)
    return floor


def cash_in_micros(floor: Floor) -> int:
    return floor.venue.statement().cash_micros


def test_a_split_multiplies_the_position_and_divides_the_prices_of_its_legs():
    floor = a_holder()
    assert said(floor.act(2, 1)) == ["a.stop adjusted 202 None 47.5", "a.target adjusted 202 55 None"]
    assert floor.position() == 202


def test_a_fraction_of_a_lot_is_paid_out_at_the_last_price():
    """101 for 3-for-2 is 151 and half a new unit, worth a third of an old one: 33.333333."""
    floor = a_holder()
    before = cash_in_micros(floor)
    floor.act(3, 2)
    assert floor.position() == 151
    assert cash_in_micros(floor) - before == 33_333_333


def test_a_short_pays_its_fraction_and_its_dividend():
    floor = a_holder("sell")
    before = cash_in_micros(floor)
    floor.act(3, 2, "0.5")
    assert floor.position() == -151
    assert cash_in_micros(floor) - before == -33_333_333 - 50_500_000


def test_a_dividend_is_paid_on_what_was_held_and_changes_no_order():
    floor = a_holder()
    before = cash_in_micros(floor)
    assert said(floor.act(1, 1, "0.47")) == []
    assert cash_in_micros(floor) - before == 47_470_000


@pytest.mark.parametrize(
    ("side", "legs"),
    [
        ("buy", ["a.stop adjusted 303 None 31.66", "a.target adjusted 303 36.67 None"]),
        ("sell", ["a.stop adjusted 303 None 35", "a.target adjusted 303 30 None"]),
    ],
)
def test_legs_are_rounded_away_from_the_market(side: str, legs: list[str]):
    """95/3 = 31.6667, 110/3 = 36.6667: the stop loses more, the target is harder to reach."""
    floor = a_holder(side)
    assert said(floor.act(3, 1)) == legs


def test_a_working_limit_is_rounded_so_that_the_approved_worst_price_is_never_exceeded():
    floor = a_floor()
    floor.place(an_order("a", "buy", "100", limit="100", stop="95", time_in_force="gtc"))
    floor.place(an_order("b", "sell", "100", limit="110", time_in_force="gtc"))
    floor.place(an_order("c", "buy", "100", limit="110", type="stop", time_in_force="gtc"))
    assert said(floor.act(3, 1)) == [
        "a adjusted 300 33.33 31.66",
        "b adjusted 300 36.67 None",
        "c adjusted 300 36.67 None",
    ]


def test_an_order_that_becomes_less_than_a_lot_expires_and_a_position_that_does_is_paid_out():
    floor = a_holder(quantity="3")
    floor.place(an_order("b", quantity="3", limit="50", time_in_force="gtc"))
    before = cash_in_micros(floor)
    assert said(floor.act(1, 4)) == [
        "b expired",
        "a.stop cancelled position_closed",
        "a.target cancelled position_closed",
    ]
    assert floor.position() == 0
    assert cash_in_micros(floor) - before == 300_000_000
    assert floor.open_orders() == ()


def test_rounding_leaves_no_lot_unprotected():
    floor = a_floor()
    for key in ("a", "b"):
        floor.place(an_order(key, quantity="3", limit="100", stop="95"))
    floor.show(AT_100)
    assert said(floor.act(1, 2)) == ["a.stop adjusted 1 None 190", "b.stop adjusted 2 None 190"]
    floor.show(a_bar("180", "181", "179", "180"))
    assert floor.position() == 0


def test_an_action_is_known_by_the_row_that_it_precedes():
    floor = a_holder()
    floor.act(2, 1)
    assert said(floor.act(2, 1)) == []
    floor.show(a_bar("50", "51", "49", "50"))
    late = CorporateActionObserved("ACME", 2, 1, Decimal(0), "inferred")
    floor.venue.apply(late, floor.row, floor.ts_ns)
    assert floor.position() == 202


def test_an_action_that_comes_after_its_row_changes_nothing():
    """The venue matched that row in the units of the time; it cannot be undone."""
    floor = a_holder()
    late = CorporateActionObserved("ACME", 2, 1, Decimal(1), "inferred")
    floor.venue.apply(late, floor.row, floor.ts_ns)
    assert floor.position() == 101


def test_after_a_split_the_last_quote_is_in_old_units_and_nothing_trades_on_it():
    floor = a_floor(a_quote("100", "100.02"))
    floor.act(2, 1)
    assert said(floor.place(an_order())) == ["a accepted"]
    assert said(floor.show(a_quote("50", "50.02"))) == ["a filled 100 @ 50.02 left 0"]


def test_an_action_in_what_is_not_held_changes_nothing():
    floor = a_floor()
    assert said(floor.act(2, 1, "1")) == []
    assert cash_in_micros(floor) == CASH


def test_a_ratio_that_is_none_is_refused():
    with pytest.raises(MalformedMessage):
        a_holder().act(0, 1)
