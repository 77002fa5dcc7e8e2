"""Jumps, splits and dividends: what a far price is taken for."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.kyle.gate.corporate_actions import nearest_split
from agents.kyle.gate.jumps import inferred_split
from mutable_core.messages import CorporateActionObserved, InputRejected, Observed


def closes(house, *prices, adjusted=()):
    texts = adjusted or ("",) * len(prices)
    days = enumerate(zip(prices, texts, strict=True), start=1)
    return [house.bar(price, day=day, row=day, adjusted=text) for day, (price, text) in days]


def test_a_spike_that_returns_is_never_accepted(house):
    kyle = house.listening().hear_all(closes(house, "100", "300", "101", "20", "99"))
    assert [x.row for x in kyle.accepted] == [1, 3, 5]
    assert kyle.reasons == ["jump_unconfirmed", "jump_unconfirmed"]


def test_a_move_of_exactly_forty_percent_needs_no_confirmation(house):
    assert house.listening().hear_all(closes(house, "100", "140")).reasons == []


def test_a_level_that_the_next_row_confirms_is_a_real_move(house):
    kyle = house.listening().hear_all(closes(house, "100", "43", "44"))
    assert [x.row for x in kyle.accepted] == [1, 3]
    assert kyle.actions == []


def test_a_level_in_the_ratio_of_a_split_is_said_as_one_before_the_row(house):
    kyle = house.listening().hear_all(closes(house, "645.70", "92.42", "92.50"))
    split = CorporateActionObserved("IBM", 7, 1, Decimal(0), "inferred")
    assert [type(x) for x in kyle.said] == [Observed, InputRejected, CorporateActionObserved, Observed]
    assert kyle.actions == [split]


def test_a_reverse_split_is_inferred_too(house):
    kyle = house.listening().hear_all(closes(house, "1.50", "30.10", "30.00"))
    assert [(x.numerator, x.denominator) for x in kyle.actions] == [(1, 20)]


def test_a_tick_of_the_same_moment_does_not_confirm_a_jump(house):
    """A burst of one bad print is not two opinions."""
    rows = [house.trade("100", at=1), house.trade("300", at=2), house.trade("300", at=2), house.trade("300", at=3)]
    assert house.listening().hear_all(rows).reasons == ["jump_unconfirmed", "jump_unconfirmed"]


def test_a_bar_given_twice_does_not_confirm_its_own_jump(house):
    rows = [house.bar("100", day=1), house.bar("300", day=2), house.bar("300", day=2), house.bar("101", day=3)]
    assert house.listening().hear_all(rows).reasons == ["jump_unconfirmed", "duplicate"]


def test_a_split_in_the_adjusted_close_is_no_crash(house):
    rows = closes(house, "100", "50.50", adjusted=("25", "25.25"))
    kyle = house.listening().hear_all(rows)
    assert kyle.reasons == []
    assert kyle.actions == [CorporateActionObserved("IBM", 2, 1, Decimal(0), "adjusted_close")]


def test_a_crash_with_an_unmoved_ratio_is_no_split(house):
    """Where the adjusted close speaks, a halving that it does not explain is a halving."""
    kyle = house.listening().hear_all(closes(house, "100", "50", "50", adjusted=("100", "50", "50")))
    assert kyle.actions == []
    assert kyle.reasons == ["jump_unconfirmed"]


def test_an_adjusted_close_that_jumps_alone_is_no_split(house):
    kyle = house.listening().hear_all(closes(house, "100", "100", adjusted=("50", "100")))
    assert kyle.actions == []
    assert kyle.reasons == []


def test_a_dividend_is_said_in_whole_cents_and_a_smaller_one_not_at_all(house):
    rows = closes(house, "100", "100", "1", "1", adjusted=("97", "97.970", "0.9797", "0.97994"))
    kyle = house.listening().hear_all(rows[:2])
    assert [x.cash_per_unit for x in kyle.actions] == [Decimal(1)]
    penny = house.listening().hear_all(rows[2:])
    assert penny.actions == []


def test_a_falling_ratio_within_the_bounds_of_dividends_pays_nobody(house):
    assert house.listening().hear_all(closes(house, "100", "100", adjusted=("100", "95"))).actions == []


@pytest.mark.parametrize(
    ("ratio", "terms"),
    [("2", (2, 1)), ("0.5", (1, 2)), ("1.5", (3, 2)), ("7.01", (7, 1)), ("1.2", (6, 5)), ("0.1", (1, 10))],
)
def test_the_simplest_fraction_names_the_split(ratio, terms):
    assert nearest_split(Decimal(ratio)) == terms


@given(n=st.integers(2, 30), cents=st.integers(100_000, 1_000_000))
def test_every_integer_split_is_found_in_the_prices_around_it(n, cents):
    last = Decimal(cents) / 100
    assert inferred_split(last, last / n) == (n, 1)
    assert inferred_split(last, last * n) == (1, n)


@given(
    level=st.integers(1_000, 100_000),
    factor=st.decimals(min_value="1.5", max_value=50, places=2),
    is_up=st.booleans(),
)
def test_no_single_row_moves_the_accepted_price_by_more_than_forty_percent(house, level, factor, is_up):
    before = Decimal(level) / 100
    after = (before * factor if is_up else before / factor).quantize(Decimal("0.01"))
    if abs(after - before) > before * Decimal("0.4") and after > 0:
        kyle = house.listening().hear_all(closes(house, str(before), str(after), str(before)))
        assert [x.row for x in kyle.accepted] == [1, 3]
