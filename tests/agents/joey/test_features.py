from __future__ import annotations

from math import isclose, log, sqrt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.joey import features
from agents.joey.features import (
    FEATURES,
    average_true_range,
    average_volume,
    donchian_channel,
    log_returns,
    realised_volatility,
    simple_moving_average,
    z_score,
)
from agents.joey.history import EMPTY, WINDOW, after_bar, after_tick, rescaled, scale_of
from tests.agents.joey.makers import Floor, a_bar, a_history, a_mandate

PRICES = st.lists(st.floats(0.01, 1e6), min_size=22, max_size=WINDOW)


def test_the_folder_holds_exactly_what_the_register_lists() -> None:
    files = {path.stem for path in Path(features.__path__[0]).glob("*.py")} - {"__init__"}
    assert files == {feature.__name__ for feature in FEATURES}
    assert list(FEATURES) == sorted(FEATURES, key=lambda feature: feature.__name__)


@pytest.mark.parametrize("feature", FEATURES)
def test_a_feature_says_its_shape_unit_and_source(feature) -> None:
    for part in ("Args:", "Returns:", "Source:", "shape (n,)"):
        assert part in feature.__doc__


def test_average_true_range_by_hand() -> None:
    """Wilder: true ranges 3, 5 (a gap), 2; the mean of two is 4; then 4 + (2 − 4) / 2 = 3."""
    high, low, close = (11.0, 12.0, 16.0, 15.0), (9.0, 9.0, 14.0, 13.0), (10.0, 11.0, 15.0, 14.0)
    assert average_true_range(high, low, close, 2) == 3.0


def test_channel_excludes_the_newest_bar() -> None:
    assert donchian_channel((5.0, 3.0, 4.0, 9.0), (1.0, 2.0, 3.0, 0.5), 2) == (4.0, 2.0)


def test_moving_average_some_bars_ago() -> None:
    assert simple_moving_average((1.0, 2.0, 3.0, 9.0), 2) == 6.0
    assert simple_moving_average((1.0, 2.0, 3.0, 9.0), 2, ago=1) == 2.5


def test_z_score_by_hand() -> None:
    spread = z_score((100.0, 1.0, 3.0), 2)
    assert (spread.mean, spread.deviation, spread.z) == (2.0, 1.0, 1.0)


@given(st.floats(0.01, 1e9))
def test_equal_values_have_no_z_score(value: float) -> None:
    assert z_score([value] * 20, 20).z == 0


@given(PRICES)
def test_z_score_is_bounded(close: list[float]) -> None:
    """Samuelson's inequality."""
    assert abs(z_score(close, 20).z) <= sqrt(19) * (1 + 1e-6)


def test_returns_and_volatility_by_hand() -> None:
    assert log_returns((1.0, 2.0)) == (log(2),)
    assert realised_volatility((1.0, 2.0, 1.0), 1) == pytest.approx(log(2) * sqrt(2))
    assert realised_volatility((3.0, 3.0, 3.0), 252) == 0


def test_average_volume_excludes_the_newest_bar() -> None:
    assert average_volume((1.0, 2.0, 4.0, 100.0), 2) == 3.0


def every_feature(history) -> tuple[object, ...]:
    return (
        average_true_range(history.high, history.low, history.close, 14),
        average_volume(history.volume, 20),
        donchian_channel(history.high, history.low, 20),
        log_returns(history.close),
        realised_volatility(history.close, 252),
        simple_moving_average(history.close, 10),
        z_score(history.close, 20),
    )


@given(
    before=st.lists(st.integers(10, 10_000), min_size=22, max_size=70),
    after=st.lists(st.integers(10, 10_000), max_size=8),
    other=st.lists(st.integers(10, 10_000), max_size=8),
)
def test_nothing_after_t_changes_a_feature_at_t(before: list[int], after: list[int], other: list[int]) -> None:
    """Whatever follows, in the same slice or later: what was fresh at t is seen with the bars up to t."""
    seen = []
    for later in (after, other):
        floor = Floor(a_mandate("donchian_breakout"))
        for close in (*before, *later):
            floor.observe(a_bar(str(close)))
        seen.append(every_feature(floor.state.fresh[len(before) - 1].history))
    assert seen[0] == seen[1]


@given(
    before=st.lists(st.integers(10, 10_000), min_size=22, max_size=60),
    after=st.lists(st.integers(10, 10_000), max_size=8),
)
def test_nothing_after_t_changes_an_answer_at_t(before: list[int], after: list[int]) -> None:
    """Bars that crowd into the slice of t leave the answers up to t as they are."""
    floor, crowded = (Floor(a_mandate("donchian_breakout", "mean_reversion")) for _ in range(2))
    for close in before:
        floor.observe(a_bar(str(close)))
        crowded.observe(a_bar(str(close)))
    for close in after:
        crowded.observe(a_bar(str(close)))
    said = floor.close_slice()
    assert crowded.close_slice()[: len(said)] == said


@given(PRICES, st.sampled_from([(2, 1), (7, 1), (3, 2), (1, 10)]))
def test_a_split_leaves_what_has_no_unit_and_scales_the_rest(close: list[float], ratio: tuple[int, int]) -> None:
    history = a_history(close, spread=0.001)
    floor = Floor(a_mandate())
    floor.split(*ratio)
    after = rescaled(history, scale_of(floor.heard[-1].body, close[-1]))
    factor = ratio[1] / ratio[0]
    assert after.bars == history.bars
    assert isclose(simple_moving_average(after.close, 10), simple_moving_average(history.close, 10) * factor)
    assert isclose(average_volume(after.volume, 20), average_volume(history.volume, 20) / factor)
    for before, now in zip(log_returns(history.close), log_returns(after.close), strict=True):
        assert isclose(before, now, abs_tol=1e-12)


def test_a_dividend_takes_its_share_out_of_the_past() -> None:
    """3 of 30 paid out: a close of 27 next day is no fall."""
    floor = Floor(a_mandate())
    floor.split(1, cash="3")
    scale = scale_of(floor.heard[-1].body, 30.0)
    assert (scale.price, scale.volume) == (0.9, 1.0)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 1000)), min_size=1, max_size=60))
def test_ticks_make_the_bars_that_their_buckets_say(ticks: list[tuple[int, int]]) -> None:
    """Every bucket with a tick, but the last, is one bar of its ticks' extremes, last price and volume."""
    ticks.sort(key=lambda tick: tick[0])
    history, forming = EMPTY, None
    for bucket, price in ticks:
        history, forming = after_tick(history, forming, bucket, float(price), 1.0)
    buckets: dict[int, list[int]] = {}
    for bucket, price in ticks:
        buckets.setdefault(bucket, []).append(price)
    complete = list(buckets.values())[:-1]
    assert history.bars == len(complete)
    assert history.high == tuple(float(max(prices)) for prices in complete)
    assert history.low == tuple(float(min(prices)) for prices in complete)
    assert history.close == tuple(float(prices[-1]) for prices in complete)
    assert history.volume == tuple(float(len(prices)) for prices in complete)


def test_the_window_is_bounded() -> None:
    history = EMPTY
    for close in range(10, 200):
        history = after_bar(history, a_bar(str(close)))
    assert history.bars == 190
    assert history.close == tuple(float(close) for close in range(200 - WINDOW, 200))
