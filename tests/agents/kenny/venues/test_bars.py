"""How the paper venue trades on bars."""

from __future__ import annotations

import pytest
from venue_makers import CASH, Floor, a_bar, a_floor, an_order, said

from agents.kenny.venues.matching import fee_micros

WIDE = a_bar("100", "110", "90", "105")

PRICES = [
    # side, type, price, bar o h l c, filled at (slippage 2 bps, tick 0.01) or None
    ("buy", "limit", "99", ("100", "101", "98", "100"), "99"),  # touched: at the limit
    ("buy", "limit", "99", ("97", "101", "96", "100"), "97"),  # gap in our favour: the open, never better
    ("buy", "limit", "99", ("100", "101", "99", "100"), "99"),  # the low is the limit
    ("buy", "limit", "99", ("100", "101", "99.01", "100"), None),
    ("sell", "limit", "101", ("100", "102", "99", "100"), "101"),
    ("sell", "limit", "101", ("103", "104", "99", "100"), "103"),
    ("sell", "limit", "101", ("100", "100.99", "99", "100"), None),
    ("buy", "market", None, ("100", "101", "99", "100"), "100.02"),
    ("sell", "market", None, ("100", "101", "99", "100"), "99.98"),
    ("buy", "market", None, ("10.01", "11", "9", "10"), "10.02"),  # 10.012002, against us to the tick
    ("sell", "market", None, ("10.01", "11", "9", "10"), "10"),
    ("buy", "stop", "101", ("100", "102", "99", "100"), "101.03"),  # 101.0202
    ("buy", "stop", "101", ("103", "104", "102", "103"), "103.03"),  # gap through it: the open
    ("buy", "stop", "101", ("100", "100.99", "99", "100"), None),
    ("sell", "stop", "99", ("100", "101", "98", "100"), "98.98"),
    ("sell", "stop", "99", ("97", "98", "96", "97"), "96.98"),
]


@pytest.mark.parametrize(("side", "kind", "price", "bar", "filled_at"), PRICES)
def test_the_price_of_a_fill(side: str, kind: str, price: str | None, bar: tuple[str, ...], filled_at: str | None):
    """A stop order carries its trigger in `limit_price`."""
    floor = a_floor(slippage_bps=2)
    floor.place(an_order("a", side, limit=price, type=kind))
    after = floor.show(a_bar(*bar))
    assert said(after) == ([f"a filled 100 @ {filled_at} left 0"] if filled_at else ["a expired"])


def test_an_order_is_not_matched_by_the_bar_that_was_shown_before_it():
    floor = a_floor(a_bar("100", "100", "90", "95"))
    assert said(floor.place(an_order(limit="92"))) == ["a accepted"]
    assert said(floor.show(a_bar("95", "96", "93", "95"))) == ["a expired"]


def test_an_order_trades_a_tenth_of_the_volume_in_lots_and_the_rest_expires():
    floor = a_floor()
    floor.place(an_order(quantity="100", limit="100"))
    assert said(floor.show(a_bar("100", "101", "99", "100", "309"))) == ["a filled 30 @ 100 left 70", "a expired"]


def test_gtc_works_until_it_is_filled():
    floor = a_floor()
    floor.place(an_order(quantity="50", limit="100", time_in_force="gtc"))
    bar = a_bar("100", "101", "99", "100", "300")
    assert said(floor.show(a_bar("102", "103", "101", "102"))) == []
    assert said(floor.show(bar)) == ["a filled 30 @ 100 left 20"]
    assert said(floor.show(bar)) == ["a filled 20 @ 100 left 0"]
    assert floor.open_orders() == ()


def test_bars_of_another_instrument_neither_match_nor_expire():
    floor = a_floor()
    floor.place(an_order(limit="100"))
    assert said(floor.show(WIDE, "ZINC")) == []
    assert floor.open_orders() == ("a",)


def test_a_bar_without_volume_fills_nothing_not_even_a_stop():
    """Nobody traded: there was no way out. The next bar that trades decides, at its open where it gapped."""
    floor = a_long()
    assert said(floor.show(a_bar("90", "90", "90", "90", "0"))) == []
    assert said(floor.show(a_bar("88", "89", "87", "88"))) == [
        "a.stop filled 100 @ 88 left 0",
        "a.target cancelled other_leg_filled",
    ]


def a_long(quantity: str = "100") -> Floor:
    """Long from 100, stop 95, target 110."""
    floor = a_floor()
    floor.place(an_order("a", quantity=quantity, limit="100", stop="95", target="110"))
    floor.show(a_bar("100", "101", "99", "100"))
    return floor


BRACKETS = [
    # story, bar, what happens to a long of 100 from 100 with stop 95 and target 110
    ("quiet", ("100", "109", "96", "100"), []),
    ("stop", ("100", "101", "95", "96"), ["a.stop filled 100 @ 95 left 0", "a.target cancelled other_leg_filled"]),
    ("gap", ("93", "94", "92", "93"), ["a.stop filled 100 @ 93 left 0", "a.target cancelled other_leg_filled"]),
    ("target", ("100", "110", "99", "110"), ["a.target filled 100 @ 110 left 0", "a.stop cancelled other_leg_filled"]),
    ("both", ("100", "111", "94", "110"), ["a.stop filled 100 @ 95 left 0", "a.target cancelled other_leg_filled"]),
]


@pytest.mark.parametrize(("bar", "events"), [row[1:] for row in BRACKETS], ids=[row[0] for row in BRACKETS])
def test_the_legs_of_a_bracket(bar: tuple[str, ...], events: list[str]):
    floor = a_long()
    assert floor.open_orders() == ("a.stop", "a.target")
    assert said(floor.show(a_bar(*bar))) == events
    assert floor.position() == (0 if events else 100)
    assert floor.open_orders() == (() if events else ("a.stop", "a.target"))


def test_the_legs_of_a_short_are_the_mirror_image():
    floor = a_floor(slippage_bps=2)
    floor.place(an_order("a", "sell", limit="100", stop="105", target="90"))
    floor.show(a_bar("100", "101", "99", "100"))
    assert floor.position() == -100
    assert said(floor.show(a_bar("107", "108", "88", "100"))) == [
        "a.stop filled 100 @ 107.03 left 0",
        "a.target cancelled other_leg_filled",
    ]


def test_in_the_entry_bar_the_stop_is_checked_and_the_target_is_not():
    floor = a_floor()
    floor.place(an_order("a", limit="100", stop="95", target="110"))
    assert said(floor.show(a_bar("100", "120", "94", "100"))) == [
        "a filled 100 @ 100 left 0",
        "a.stop filled 100 @ 95 left 0",
        "a.target cancelled other_leg_filled",
    ]
    floor.place(an_order("b", limit="100", stop="95", target="110"))
    assert said(floor.show(a_bar("100", "120", "96", "100"))) == ["b filled 100 @ 100 left 0"]


def test_a_gap_below_the_stop_of_a_buy_limit_buys_and_stops_at_the_open():
    floor = a_floor(slippage_bps=2)
    floor.place(an_order("a", limit="100", stop="95"))
    after = said(floor.show(a_bar("90", "91", "89", "90")))
    assert after == ["a filled 100 @ 90 left 0", "a.stop filled 100 @ 89.98 left 0"]


def test_stops_are_not_limited_by_volume_and_targets_are():
    """Pessimistic: one always gets out at the bad price, never easily at the good one."""
    floor = a_long()
    assert said(floor.show(a_bar("110", "111", "109", "110", "300"))) == ["a.target filled 30 @ 110 left 70"]
    assert said(floor.show(a_bar("95", "96", "94", "95", "10"))) == [
        "a.stop filled 70 @ 95 left 0",
        "a.target cancelled other_leg_filled",
    ]


def test_legs_cover_what_the_entry_has_filled_and_stay_when_its_rest_expires():
    floor = a_floor()
    floor.place(an_order("a", limit="100", stop="95", target="110"))
    thin = a_bar("100", "101", "99", "100", "400")
    assert said(floor.show(thin)) == ["a filled 40 @ 100 left 60", "a expired"]
    assert floor.open_orders() == ("a.stop", "a.target")
    assert said(floor.show(a_bar("95", "96", "94", "95")))[0] == "a.stop filled 40 @ 95 left 0"


def test_a_bracket_that_closes_takes_the_rest_of_its_entry_with_it():
    """Nothing fills later without the protection it was approved with."""
    floor = a_floor()
    floor.place(an_order("a", limit="100", stop="95", target="110", time_in_force="gtc"))
    floor.show(a_bar("100", "101", "99", "100", "400"))
    assert said(floor.show(a_bar("100", "101", "94", "100", "400"))) == [
        "a.stop filled 40 @ 95 left 0",
        "a.target cancelled other_leg_filled",
        "a cancelled other_leg_filled",
    ]
    assert floor.position() == 0


def test_a_growing_bracket_has_no_target_in_the_bar_that_grows_it():
    floor = a_floor()
    floor.place(an_order("a", limit="100", stop="95", target="110", time_in_force="gtc"))
    floor.show(a_bar("100", "101", "99", "100", "400"))
    assert said(floor.show(a_bar("100", "120", "99", "100", "400"))) == ["a filled 40 @ 100 left 20"]
    assert said(floor.show(a_bar("105", "110", "104", "105"))) == [
        "a.target filled 80 @ 110 left 0",
        "a.stop cancelled other_leg_filled",
        "a cancelled other_leg_filled",
    ]


def test_a_reduction_closes_the_position_and_its_legs():
    floor = a_long()
    floor.place(an_order("r", "sell", "100", reduces=True))
    assert said(floor.show(a_bar("102", "103", "101", "102"))) == [
        "r filled 100 @ 102 left 0",
        "a.stop cancelled position_closed",
        "a.target cancelled position_closed",
    ]


def test_a_partial_reduction_shrinks_the_oldest_bracket_first():
    floor = a_long()
    floor.place(an_order("b", limit="101", stop="94", target="120"))
    floor.show(a_bar("101", "102", "100", "101"))
    floor.place(an_order("r", "sell", "150", limit="101", reduces=True))
    assert said(floor.show(a_bar("101", "102", "100", "101"))) == [
        "r filled 150 @ 101 left 0",
        "a.stop cancelled position_closed",
        "a.target cancelled position_closed",
    ]
    assert said(floor.show(a_bar("94", "95", "93", "94")))[0] == "b.stop filled 50 @ 94 left 0"
    assert floor.position() == 0


def test_a_reduction_never_flips_and_its_rest_expires():
    floor = a_long()
    for key in ("r", "s"):
        floor.place(an_order(key, "sell", "60", reduces=True, time_in_force="gtc"))
    assert said(floor.show(a_bar("102", "103", "101", "102"))) == [
        "r filled 60 @ 102 left 0",
        "s filled 40 @ 102 left 20",
        "a.stop cancelled position_closed",
        "a.target cancelled position_closed",
        "s expired",
    ]
    assert floor.position() == 0


def test_the_stop_goes_before_a_reduction_in_the_same_bar():
    """What is worse for us goes first; the reduction finds nothing left and expires."""
    floor = a_long()
    floor.place(an_order("r", "sell", "100", reduces=True))
    assert said(floor.show(a_bar("100", "101", "94", "100"))) == [
        "a.stop filled 100 @ 95 left 0",
        "a.target cancelled other_leg_filled",
        "r expired",
    ]


def test_an_opposite_entry_leaves_no_leg_larger_than_the_position():
    floor = a_long()
    floor.place(an_order("s", "sell", "150", limit="100", stop="104", target="80"))
    assert said(floor.show(a_bar("100", "101", "99", "100"))) == [
        "s filled 150 @ 100 left 0",
        "a.stop cancelled position_closed",
        "a.target cancelled position_closed",
    ]
    assert said(floor.show(a_bar("104", "105", "103", "104")))[0] == "s.stop filled 50 @ 104 left 0"
    assert floor.position() == 0


def test_an_opposite_entry_without_a_bracket_disarms_what_it_turned_over():
    floor = a_long()
    floor.place(an_order("s", "sell", "150", limit="100"))
    floor.show(a_bar("100", "101", "99", "100"))
    assert floor.position() == -50
    assert floor.open_orders() == ()


def test_cancelling_an_entry_withdraws_its_rest_and_leaves_the_protection_of_what_has_filled():
    floor = a_floor()
    floor.place(an_order("a", limit="100", stop="95", target="110", time_in_force="gtc"))
    floor.show(a_bar("100", "101", "99", "100", "400"))
    assert said(floor.cancel("a")) == ["a cancelled by_us"]
    assert floor.open_orders() == ("a.stop", "a.target")
    assert said(floor.cancel("a")) == []


def test_cancelling_a_leg_withdraws_that_leg_and_what_would_fill_without_it():
    floor = a_floor()
    floor.place(an_order("a", limit="100", stop="95", target="110", time_in_force="gtc"))
    floor.show(a_bar("100", "101", "99", "100", "400"))
    assert said(floor.cancel("a.target")) == ["a.target cancelled by_us", "a cancelled by_us"]
    assert said(floor.cancel("a.stop")) == ["a.stop cancelled by_us"]
    assert floor.open_orders() == ()
    assert said(floor.show(a_bar("50", "200", "50", "100"))) == []


REJECTED = [
    (an_order(quantity="0"), "bad_quantity"),
    (an_order(quantity="-1"), "bad_quantity"),
    (an_order(quantity="NaN"), "bad_quantity"),
    (an_order(quantity="sNaN"), "bad_quantity"),
    (an_order(quantity="Infinity"), "bad_quantity"),
    (an_order(quantity="1E+999999"), "bad_quantity"),
    (an_order(quantity="1.5"), "bad_quantity"),  # the lot is 1
    (an_order(quantity="1.0000000000000000000000000000000001"), "bad_quantity"),
    (an_order(limit="0"), "bad_price"),
    (an_order(limit="NaN"), "bad_price"),
    (an_order(limit="100.005"), "bad_price"),  # the tick is 0.01
    (an_order(limit="100", stop="NaN"), "bad_price"),
    (an_order(type="limit"), "limit_missing"),
    (an_order(type="stop"), "limit_missing"),
    (an_order(limit="100", type="market"), "limit_unexpected"),
    (an_order(limit="100", stop="100"), "bracket_on_wrong_side"),
    (an_order(limit="100", target="99"), "bracket_on_wrong_side"),
    (an_order(stop="100", target="99"), "bracket_on_wrong_side"),
    (an_order(side="sell", limit="100", stop="99"), "bracket_on_wrong_side"),
    (an_order(instrument="NONE"), "unknown_instrument"),
    (an_order(instrument="ZINC"), "unknown_instrument"),  # its market was never shown
    (an_order(side="hold"), "unknown_kind"),
    (an_order(time_in_force="day"), "unknown_kind"),
    (an_order(reduces=True), "reduces_more_than_position"),
    (an_order(limit="100", stop="90", reduces=True), "reduction_with_bracket"),
]


@pytest.mark.parametrize(("order", "reason"), REJECTED)
def test_a_doubtful_order_is_rejected(order: object, reason: str):
    floor = a_floor()
    assert said(floor.place(order)) == [f"a rejected {reason}"]
    assert floor.open_orders() == ()
    assert floor.venue.knows("a")


@pytest.mark.parametrize(("side", "quantity"), [("sell", "101"), ("buy", "1")])
def test_a_reduction_must_be_smaller_than_the_position_and_against_it(side: str, quantity: str):
    floor = a_long()
    assert said(floor.place(an_order("r", side, quantity, reduces=True))) == ["r rejected reduces_more_than_position"]


def test_a_fill_moves_cash_by_its_notional_and_its_fee():
    floor = a_floor(bps=1)
    floor.place(an_order(quantity="3", limit="33.33"))
    (fill,) = floor.show(a_bar("33.33", "34", "33", "33"))
    assert fill.fee_micros == 9_999  # 0.009999
    assert floor.venue.statement().cash_micros == CASH - 99_990_000 - 9_999


@pytest.mark.parametrize(("notional", "fee"), [(0, 0), (1, 1), (10_000, 1), (10_001, 2), (-10_001, 2)])
def test_a_fee_is_rounded_up_to_a_micro(notional: int, fee: int):
    assert fee_micros(notional, bps=1) == fee


def test_a_sale_never_slips_below_one_tick():
    floor = a_floor(slippage_bps=900)
    floor.place(an_order("a", "sell"))
    assert said(floor.show(a_bar("0.01", "0.01", "0.01", "0.01"))) == ["a filled 100 @ 0.01 left 0"]
