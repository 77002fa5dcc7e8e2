from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.joey import strategies
from agents.joey.features import z_score
from agents.joey.history import WINDOW
from agents.joey.signals import AtDistance, Entry, Exit
from agents.joey.strategies import STRATEGIES
from agents.joey.strategies.alternating import ALTERNATING, alternate
from agents.joey.strategies.donchian_breakout import breakout
from agents.joey.strategies.mean_reversion import MEAN_BARS, reversion
from agents.joey.strategies.moving_average_trend import trend
from mutable_core import settings
from tests.agents.joey.makers import a_history

FLAT = [100.0] * 20  # highs 101, lows 99


def side_of(signal) -> str | None:
    return signal.side if isinstance(signal, Entry) else None


def test_the_folder_holds_exactly_what_the_register_lists() -> None:
    files = {path.stem for path in Path(strategies.__path__[0]).glob("*.py")} - {"__init__"}
    assert files == {strategy.name for strategy in STRATEGIES}


def test_the_load_generator_is_in_no_default_mandate() -> None:
    """What the settings allow by themselves is the rest of the register."""
    assert tuple(s.name for s in STRATEGIES if s is not ALTERNATING) == settings.STRATEGIES


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_strategy_needs_no_more_than_is_remembered(strategy) -> None:
    assert 1 <= strategy.bars <= WINDOW


@pytest.mark.parametrize("strategy", STRATEGIES)
@given(st.data())
def test_a_strategy_answers_for_any_history(strategy, data) -> None:
    """From its first bar on: an entry with a usable stop and a readable reason when flat, an exit when not, or None."""
    close = data.draw(st.lists(st.floats(0.01, 1e6), min_size=strategy.bars, max_size=WINDOW))
    history = a_history(close, spread=0.001)
    entry = strategy.read(history, None)
    assert entry is None or (isinstance(entry, Entry) and entry.stop_distance > 0 and 10 <= len(entry.reason) <= 2000)
    for position in ("buy", "sell"):
        way_out = strategy.read(history, position)
        assert way_out is None or (isinstance(way_out, Exit) and 10 <= len(way_out.reason) <= 2000)


@pytest.mark.parametrize(
    ("close", "side"),
    [
        ([*FLAT, 101.0], None),  # touches the highest high
        ([*FLAT, 101.01], "buy"),
        ([*FLAT, 99.0], None),  # touches the lowest low
        ([*FLAT, 98.99], "sell"),
        ([150.0, *FLAT, 101.01], "buy"),  # the high of 21 bars before is forgotten
        ([*FLAT[:-1], 150.0, 101.01], None),  # the high of the bar before is not
        ([100.0] * 21, None),
    ],
)
def test_breakout_card(close: list[float], side: str | None) -> None:
    assert side_of(breakout(a_history(close), None)) == side


def test_breakout_says_its_numbers() -> None:
    signal = breakout(a_history([*FLAT, 102.0]), None)
    assert signal.stop_distance == pytest.approx(2 * (2 + 1 / 14))  # true ranges 2, then 3: ATR(14) = 2 + 1/14
    assert "close 102 is above 101" in signal.reason


def test_breakout_leaves_the_way_out_to_the_bracket() -> None:
    assert breakout(a_history([*FLAT, 50.0]), "buy") is None


def stretched(z: float) -> list[float]:
    """19 closes around 100 and a last one with exactly about this z-score, found by halving."""
    around = [99.0, 101.0] * 9 + [100.0]
    near, far = 100.0, 100.0 + 50 * (1 if z > 0 else -1)
    for _ in range(100):
        middle = (near + far) / 2
        if abs(z_score([*around, middle], MEAN_BARS).z) < abs(z):
            near = middle
        else:
            far = middle
    return [*around, far]


@pytest.mark.parametrize(
    ("close", "side"),
    [
        (stretched(1.99), None),
        (stretched(2.01), "sell"),
        (stretched(-1.99), None),
        (stretched(-2.01), "buy"),
        (FLAT, None),
        ([*FLAT[:-1], 100.01], "sell"),  # small, but the only move
    ],
)
def test_reversion_card(close: list[float], side: str | None) -> None:
    assert side_of(reversion(a_history(close), None)) == side


def test_reversion_aims_at_the_mean_and_not_beyond() -> None:
    close = [*FLAT[:-1], 80.0]
    signal = reversion(a_history(close), None)
    assert signal.target == AtDistance(pytest.approx(99 - 80))


LEVEL = [100.0] * 50
FALLING = [float(x) for x in range(200, 150, -1)]


@pytest.mark.parametrize(
    ("close", "side"),
    [
        ([*LEVEL, 101.0], "buy"),  # the means were equal
        ([*LEVEL, 99.0], "sell"),
        ([*LEVEL, 101.0, 102.0], None),  # the cross is a bar old
        ([*LEVEL, 100.0], None),
        ([14.29] * 25 + [14.31] * 26, None),  # above for long
        ([0.1] * 50 + [0.1 + 1e-16], None),  # rounding is no cross
        ([*FALLING, 149.0], None),  # below, and it was below
        ([*FALLING, 1000.0], "buy"),
    ],
)
def test_trend_card(close: list[float], side: str | None) -> None:
    assert side_of(trend(a_history(close), None)) == side


@pytest.mark.parametrize(
    ("close", "position", "leaves"),
    [
        ([*LEVEL, 99.0], "buy", True),
        ([*LEVEL, 99.0, 99.0], "buy", True),  # asked again while the means stand wrong
        ([*LEVEL, 101.0], "buy", False),
        ([*LEVEL, 100.0], "buy", False),  # equal means are no cross
        ([*LEVEL, 101.0], "sell", True),
        ([*LEVEL, 99.0], "sell", False),
    ],
)
def test_trend_leaves_when_the_means_stand_the_other_way(close, position, leaves) -> None:
    assert isinstance(trend(a_history(close), position), Exit) == leaves


def test_the_load_generator_goes_in_and_out_without_warming_up() -> None:
    assert side_of(alternate(a_history([50.0]), None)) == "buy"
    assert isinstance(alternate(a_history([50.0]), "buy"), Exit)
