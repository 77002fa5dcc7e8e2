from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agents.joey.pricing import bracket, decimal_of_atoms, marketable_limit
from agents.joey.signals import AtDistance, AtReward, Entry
from agents.joey.sizing import quantity_for
from mutable_core.money import atoms, canonical, notional
from tests.agents.joey.makers import CENT

SIDES = st.sampled_from(["buy", "sell"])
TICKS = st.sampled_from([1, 10, 125, 10**4, CENT, 5 * CENT, 25 * CENT, 10**8, 10**10]) | st.integers(1, 10**9)
LASTS = st.integers(1, 10**20)  # from 10⁻⁸ to 10¹²
TARGETS = st.builds(AtReward, st.integers(15, 100)) | st.builds(AtDistance, st.floats(1e-9, 1e12))


TWO_R = AtReward(20)


def an_entry(side="buy", stop=2.0, target=TWO_R) -> Entry:
    return Entry(side, stop, target, "a reason long enough")


@given(side=SIDES, last=LASTS, tick=TICKS, share=st.floats(1e-6, 0.3), target=TARGETS)
@example(side="buy", last=1, tick=1, share=0.2, target=AtReward(20))
@example(side="sell", last=1, tick=1, share=0.2, target=AtReward(20))
@example(side="sell", last=4, tick=1, share=0.2, target=AtReward(15))
def test_every_bracket_keeps_the_rules(side, last, tick, share, target) -> None:
    """§8 and §9, in integers: prices > 0, on tick, stop on the losing side within a quarter, reward ≥ 1.5 × risk."""
    prices = bracket(an_entry(side, last / 1e8 * share, target), decimal_of_atoms(last), tick)
    if prices is None:
        return
    sign = 1 if side == "buy" else -1
    risk, reward = sign * (prices.limit - prices.stop), sign * (prices.target - prices.limit)
    assert min(prices.limit, prices.stop, prices.target) > 0
    assert prices.limit % tick == prices.stop % tick == prices.target % tick == 0
    assert tick <= risk
    assert 4 * risk <= prices.limit
    assert 10 * reward >= 15 * risk
    assert prices.risk == risk
    assert sign * (prices.limit - last) >= 0, "the limit trades at once"
    assert sign * (last - prices.stop) > 0, "the stop is not hit at once"


@given(side=SIDES, last=st.integers(10**9, 10**14), share=st.floats(0.001, 0.2))
def test_an_ordinary_signal_always_finds_its_bracket(side, last, share) -> None:
    """Nothing that can be priced is dropped: prices of 10 to a million, in cents, stops of 0.1 to 20 %."""
    assert bracket(an_entry(side, last / 1e8 * share), decimal_of_atoms(last), CENT) is not None


def test_a_bracket_by_hand() -> None:
    """Last 100, stop distance 2: limit 100.25, stop 98, risk 2.25, target 2 R away at 104.75."""
    prices = bracket(an_entry(), Decimal(100), CENT)
    assert [decimal_of_atoms(x) for x in (prices.limit, prices.stop, prices.target)] == [
        Decimal("100.25"), Decimal(98), Decimal("104.75"),
    ]  # fmt: skip
    prices = bracket(an_entry("sell"), Decimal(100), CENT)
    assert [decimal_of_atoms(x) for x in (prices.limit, prices.stop, prices.target)] == [
        Decimal("99.75"), Decimal(102), Decimal("95.25"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("distance", "target"),
    [
        (3.62, None),
        (3.6299, None),  # rounded towards the last price, never beyond the mean
        (3.63, "103.63"),
        (9.999, "109.99"),
    ],
)
def test_a_target_at_the_mean_is_dropped_and_not_moved(distance: float, target: str | None) -> None:
    """Limit 100.25 and stop 98 risk 2.25, so that 3.375 must be earned: a mean below 103.625 does not pay."""
    prices = bracket(an_entry(target=AtDistance(distance)), Decimal(100), CENT)
    assert (prices and decimal_of_atoms(prices.target)) == (target and Decimal(target))


@pytest.mark.parametrize("stop", [0.0, -1.0, float("nan"), float("inf"), 24.9, 1e300])
def test_a_distance_that_is_none_makes_no_bracket(stop: float) -> None:
    """Not positive, not finite, or with the limit's 25 bps more than a quarter of it."""
    assert bracket(an_entry(stop=stop), Decimal(100), CENT) is None


@pytest.mark.parametrize("distance", [0.0, -1.0, float("nan"), float("inf")])
def test_a_target_at_no_distance_makes_no_bracket(distance: float) -> None:
    assert bracket(an_entry(target=AtDistance(distance)), Decimal(100), CENT) is None


@pytest.mark.parametrize(
    ("side", "last", "tick", "limit"),
    [
        ("buy", 10_000, 100, 10_100),
        ("sell", 10_000, 100, 9_900),
        ("buy", 400_000, 100, 401_000),  # 25 bps exactly
        ("sell", 400_000, 100, 399_000),
        ("sell", 100, 100, 100),  # one tick is the lowest price
        ("sell", 50, 100, None),  # below it nothing sells at once
        ("buy", 50, 100, 100),
        ("buy", 0, 100, None),
    ],
)
def test_marketable_limit_card(side, last, tick, limit) -> None:
    assert marketable_limit(side, last, tick) == limit


@given(st.integers(0, 10**26))
def test_atoms_become_the_canonical_decimal(amount: int) -> None:
    price = decimal_of_atoms(amount)
    assert price.as_tuple() == canonical(Decimal(amount).scaleb(-8)).as_tuple()
    assert atoms(price) == amount


@given(
    side=SIDES,
    last=st.integers(10**6, 10**14),
    equity=st.integers(-(10**12), 10**16),
    share=st.floats(0.0005, 0.2),
    lot=st.sampled_from([1, 10**4, 10**8, 10**10]),
)
def test_a_size_risks_and_costs_no_more_than_it_may(side, last, equity, share, lot) -> None:
    """0.5 % of equity to the stop, 4.5 % at the worst-case price, whole lots; one more lot would pass a limit."""
    prices = bracket(an_entry(side, last / 1e8 * share), decimal_of_atoms(last), 100)
    if prices is None:
        return
    quantity = quantity_for(equity, prices, side, lot, 450)
    worst = decimal_of_atoms(prices.worst(side))

    def fits(size: int) -> bool:
        risk = decimal_of_atoms(prices.risk) * decimal_of_atoms(size)
        worth = worst * decimal_of_atoms(size)
        return risk * 10_000 * 10**6 <= 50 * equity and worth * 10_000 * 10**6 <= 450 * equity

    assert quantity >= 0
    assert quantity % lot == 0
    assert quantity == 0 or fits(quantity)
    assert equity <= 0 or not fits(quantity + lot)
    assert quantity == 0 or 1000 * notional(worst, decimal_of_atoms(quantity)) <= 45 * equity + 1000
