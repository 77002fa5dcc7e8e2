"""How the paper venue trades on quotes and on prints."""

from __future__ import annotations

import pytest
from venue_makers import a_floor, a_quote, a_trade, an_order, said

QUOTE = a_quote("100", "100.02", "300", "200")

WALKS = [
    # side, quantity, limit, what happens at once at 100 (300) / 100.02 (200) with 2 bps of slippage
    ("buy", "200", None, ["a filled 200 @ 100.02 left 0"]),
    ("sell", "300", None, ["a filled 300 @ 100 left 0"]),
    ("buy", "500", None, ["a filled 200 @ 100.02 left 300", "a filled 200 @ 100.06 left 100", "a filled 100 @ 100.09 left 0"]),
    ("buy", "500", "100.06", ["a filled 200 @ 100.02 left 300", "a filled 200 @ 100.06 left 100"]),
    ("sell", "400", None, ["a filled 300 @ 100 left 100", "a filled 100 @ 99.97 left 0"]),
    ("buy", "100", "100.02", ["a filled 100 @ 100.02 left 0"]),
    ("buy", "100", "100.01", []),  # rests
    ("sell", "100", "100.01", []),
]  # fmt: skip


@pytest.mark.parametrize(("side", "quantity", "limit", "events"), WALKS)
def test_a_marketable_order_walks_the_book_at_once(side: str, quantity: str, limit: str | None, events: list[str]):
    """Each further multiple of the shown size is one tick and one more slippage worse, rounded against us."""
    floor = a_floor(QUOTE, slippage_bps=2)
    assert said(floor.place(an_order("a", side, quantity, limit=limit))) == ["a accepted", *events]


def test_the_shown_size_is_taken_once_by_all_orders_together():
    floor = a_floor(QUOTE)
    floor.place(an_order("a", quantity="150"))
    assert said(floor.place(an_order("b", quantity="100"))) == [
        "b accepted",
        "b filled 50 @ 100.02 left 50",
        "b filled 50 @ 100.03 left 0",
    ]
    assert said(floor.place(an_order("c", quantity="10")))[1:] == ["c filled 10 @ 100.03 left 0"]
    floor.show(QUOTE)
    assert said(floor.place(an_order("d", quantity="100")))[1:] == ["d filled 100 @ 100.02 left 0"]


def test_a_walk_ends_after_ten_multiples_and_goes_on_with_the_next_quote():
    floor = a_floor(a_quote("100", "100.02", "10", "10"))
    assert len(floor.place(an_order("a", quantity="105"))) == 1 + 10
    assert said(floor.show(QUOTE)) == ["a filled 5 @ 100.02 left 0"]


def test_nothing_is_bought_where_nothing_is_shown():
    floor = a_floor(a_quote("100", "100.02", "0", "0"))
    assert said(floor.place(an_order())) == ["a accepted"]


def test_a_resting_limit_fills_at_its_own_price_within_the_shown_size():
    floor = a_floor(QUOTE)
    floor.place(an_order("a", limit="99.5", quantity="250"))
    assert said(floor.show(a_quote("99.3", "99.4", "200", "200"))) == ["a filled 200 @ 99.5 left 50"]
    assert said(floor.show(a_quote("99.3", "99.51", "200", "200"))) == []


def test_a_stop_entry_triggers_at_the_ask_and_then_trades_as_market():
    floor = a_floor(QUOTE, slippage_bps=2)
    floor.place(an_order("a", limit="101", type="stop", quantity="30", time_in_force="gtc"))
    assert said(floor.show(a_quote("100.9", "100.99"))) == []
    assert said(floor.show(a_quote("100.99", "101", "1", "2"))) != []
    assert said(floor.show(a_quote("99", "99.1", "100", "100")))[-1] == "a filled 10 @ 99.1 left 0"


def test_on_quotes_a_stop_fills_whole_at_the_bid_with_slippage_and_a_target_at_its_price_within_the_size():
    floor = a_floor(QUOTE, slippage_bps=2)
    floor.place(an_order("a", limit="100.02", stop="99", target="101"))
    assert said(floor.show(a_quote("101.5", "101.6", "40", "40"))) == ["a.target filled 40 @ 101 left 60"]
    assert said(floor.show(a_quote("98.5", "98.6", "1", "1"))) == [
        "a.stop filled 60 @ 98.48 left 0",
        "a.target cancelled other_leg_filled",
    ]


def test_a_stop_above_the_bid_is_hit_by_the_quote_that_fills_the_entry():
    floor = a_floor(QUOTE)
    assert said(floor.place(an_order("a", limit="100.02", stop="100.01")))[1:] == [
        "a filled 100 @ 100.02 left 0",
        "a.stop filled 100 @ 100 left 0",
    ]


def test_a_reduction_at_the_next_quote_closes_position_and_legs():
    floor = a_floor(QUOTE)
    floor.place(an_order("a", limit="100.02", stop="99", target="101"))
    floor.show(QUOTE)
    assert said(floor.place(an_order("r", "sell", limit="100", reduces=True))) == [
        "r accepted",
        "r filled 100 @ 100 left 0",
        "a.stop cancelled position_closed",
        "a.target cancelled position_closed",
    ]
    assert floor.position() == 0
    assert floor.open_orders() == ()


@pytest.mark.parametrize("market", [QUOTE, a_trade("100")])
def test_next_bar_on_ticks_ends_with_the_first_row_that_is_a_minute_younger(market: object):
    """It expires before that row is matched."""
    floor = a_floor(market)
    floor.place(an_order("a", limit="99"))
    floor.place(an_order("g", limit="98", time_in_force="gtc"))
    assert said(floor.show(market, after_s=59)) == []
    assert said(floor.show(a_trade("50"), "ZINC")) == []
    assert said(floor.show(a_trade("97.9", "1000"), after_s=0)) == ["a expired", "g filled 100 @ 98 left 0"]


PRINTS = [
    # side, type, price, last print, next print, filled at (2 bps) or None
    ("buy", "limit", "99", "100", "99", None),  # at the limit: we are last in the queue
    ("buy", "limit", "99", "100", "98.99", "99"),  # strictly through it: at the limit
    ("sell", "limit", "101", "100", "101", None),
    ("sell", "limit", "101", "100", "101.01", "101"),
    ("buy", "limit", "101", "100", "100.5", "100.53"),  # marketable when placed: the next print with slippage
    ("buy", "limit", "101", "100", "101", None),  # with slippage it would be beyond the limit
    ("buy", "market", None, "100", "100.5", "100.53"),
    ("sell", "market", None, "100", "100.5", "100.47"),
    ("buy", "stop", "101", "100", "101", "101.03"),
    ("buy", "stop", "101", "100", "100.99", None),
]


@pytest.mark.parametrize(("side", "kind", "price", "last", "then", "filled_at"), PRINTS)
def test_the_price_of_a_fill_on_prints(side: str, kind: str, price: str | None, last: str, then: str, filled_at: str):
    floor = a_floor(a_trade(last), slippage_bps=2)
    assert said(floor.place(an_order("a", side, limit=price, type=kind))) == ["a accepted"]
    assert said(floor.show(a_trade(then))) == ([f"a filled 100 @ {filled_at} left 0"] if filled_at else [])


def test_of_a_print_a_tenth_may_have_been_ours():
    floor = a_floor(a_trade("100"))
    floor.place(an_order("a"))
    assert said(floor.show(a_trade("100", "309"))) == ["a filled 30 @ 100 left 70"]
    assert said(floor.show(a_trade("100", "9"))) == []


def test_on_prints_a_stop_goes_whole_when_touched_and_a_target_only_when_traded_through():
    floor = a_floor(a_trade("100"), slippage_bps=2)
    floor.place(an_order("a", limit="101", stop="99", target="102"))
    floor.show(a_trade("100"))
    assert said(floor.show(a_trade("102"))) == []
    assert said(floor.show(a_trade("102.01", "100"))) == ["a.target filled 10 @ 102 left 90"]
    assert said(floor.show(a_trade("99", "1")))[0] == "a.stop filled 90 @ 98.98 left 0"
