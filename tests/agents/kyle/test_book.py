"""Quotes of several exchanges, one side at a time, become one best bid and ask."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from mutable_core.messages import Quote


def bid(house, price, at, exchange, size="1"):
    return house.quote(price, "", at=at, exchange=exchange, sizes=(size, ""))


def ask(house, price, at, exchange, size="1"):
    return house.quote("", price, at=at, exchange=exchange, sizes=("", size))


def test_until_both_sides_are_known_there_is_no_quote(house):
    kyle = house.listening().hear_all([bid(house, "100", 1, "N"), bid(house, "100.01", 2, "P")])
    assert kyle.reasons == ["malformed", "malformed"]
    assert "no ask is known yet" in kyle.rejected[0].detail
    kyle.hear(ask(house, "100.05", 3, "N"))
    assert kyle.accepted[0].market == Quote(Decimal("100.01"), Decimal("100.05"), Decimal(1), Decimal(1))


def test_the_best_exchange_counts_until_it_leaves(house):
    kyle = house.listening()
    kyle.hear(ask(house, "100.05", 1, "N"))
    rows = [bid(house, "100", 2, "N", "5"), bid(house, "100.02", 3, "P", "3"), bid(house, "99.50", 4, "P", "9")]
    kyle.hear_all(rows)
    assert [(x.market.bid, x.market.bid_size) for x in kyle.accepted] == [
        (Decimal(100), Decimal(5)), (Decimal("100.02"), Decimal(3)), (Decimal(100), Decimal(5)),
    ]  # fmt: skip


def test_of_two_at_the_best_price_the_newest_shows_its_size(house):
    kyle = house.listening()
    rows = [ask(house, "101", 1, "N"), bid(house, "100", 2, "P", "7"), bid(house, "100", 3, "B", "4")]
    kyle.hear_all(rows)
    assert [x.market.bid_size for x in kyle.accepted] == [Decimal(7), Decimal(4)]


def test_a_row_that_is_crossed_in_itself_is_rejected_and_forgotten(house):
    kyle = house.listening().hear_all([house.quote("100.02", "100.01"), house.quote("99.99", "100.01", at=2)])
    assert kyle.reasons == ["crossed"]
    assert kyle.accepted[0].market.bid == Decimal("99.99")


def test_a_locked_market_is_a_market(house):
    assert house.listening().hear_all([house.quote("100", "100")]).reasons == []


def test_a_dead_exchange_costs_one_row_and_not_all_that_follow(house):
    """The newest quote is believed; those that it crosses are forgotten."""
    kyle = house.listening()
    kyle.hear_all([ask(house, "100.01", 1, "DEAD"), bid(house, "99.99", 2, "N"), ask(house, "100.60", 3, "N")])
    kyle.hear_all([bid(house, "100.50", at, "N") for at in range(4, 9)])
    assert kyle.reasons.count("crossed") == 1
    assert kyle.accepted[-1].market == Quote(Decimal("100.5"), Decimal("100.6"), Decimal(1), Decimal(1))


def test_a_stub_quote_far_away_is_not_confirmed_by_the_other_side(house):
    """When the only ask goes to a million, an unchanged bid does not make the new mid a price."""
    kyle = house.listening().hear_all([house.quote("100", "100.02", exchange="N")])
    kyle.hear(ask(house, "1000000", 2, "N"))
    kyle.hear(bid(house, "100", 3, "N"))
    assert kyle.reasons == ["jump_unconfirmed"]
    assert kyle.accepted[-1].market.ask == Decimal("100.02")


QUOTES = st.tuples(
    st.sampled_from("ABC"), st.booleans(), st.integers(9_900, 10_100), st.integers(0, 2)
)  # exchange, bid or ask, cents, how much later


@given(quotes=st.lists(QUOTES, max_size=60))
def test_what_is_accepted_is_never_crossed_and_always_some_exchanges_quote(house, quotes):
    kyle = house.listening()
    at, shown = 1, {True: set(), False: set()}
    for exchange, is_bid, cents, later in quotes:
        at += later
        price = str(Decimal(cents) / 100)
        shown[is_bid].add(Decimal(price))
        kyle.hear((bid if is_bid else ask)(house, price, at, exchange))
    for x in kyle.accepted:
        assert x.market.bid <= x.market.ask
        assert x.market.bid in shown[True]
        assert x.market.ask in shown[False]
    assert len(kyle.accepted) + len(kyle.rejected) == len(quotes)
