"""A fast mean that crosses a slow one marks a turn; the position is kept until they cross back, the stop or the target."""

from __future__ import annotations

from agents.joey.features import average_true_range, simple_moving_average
from agents.joey.history import History
from agents.joey.signals import AtReward, Entry, Exit, Signal, Strategy
from graveyard.words import Side

FAST_BARS = 10
SLOW_BARS = 50
ATR_BARS = 14
STOP_ATRS = 3
TARGET = AtReward(tenths=30)
EQUAL_WITHIN = 1e-9


def trend(history: History, position: Side | None) -> Signal | None:
    """Enter at the bar of a cross; leave whenever the fast mean is on the other side, not only at the cross.

    So an exit that could not be filled is asked for again.
    """
    close = history.close
    fast = simple_moving_average(close, FAST_BARS)
    slow = simple_moving_average(close, SLOW_BARS)
    if position is not None:
        return _exit(position, fast, slow)
    now = _order(fast, slow)
    before = _order(
        simple_moving_average(close, FAST_BARS, ago=1),
        simple_moving_average(close, SLOW_BARS, ago=1),
    )
    if before <= 0 < now:
        return _entry(history, "buy", fast, slow)
    if before >= 0 > now:
        return _entry(history, "sell", fast, slow)
    return None


def _order(fast: float, slow: float) -> int:
    """1 where the fast mean is above the slow one, −1 below, 0 where they differ by no more than rounding."""
    if abs(fast - slow) <= EQUAL_WITHIN * slow:
        return 0
    return 1 if fast > slow else -1


def _exit(position: Side, fast: float, slow: float) -> Exit | None:
    if _order(fast, slow) != (-1 if position == "buy" else 1):
        return None
    where = "below" if position == "buy" else "above"
    return Exit(
        f"the {FAST_BARS}-bar mean {fast:.8g} is {where} the {SLOW_BARS}-bar mean {slow:.8g}: the trend is over, "
        "close the whole position"
    )


def _entry(history: History, side: Side, fast: float, slow: float) -> Entry | None:
    atr = average_true_range(history.high, history.low, history.close, ATR_BARS)
    if atr <= 0:
        return None
    where = "above" if side == "buy" else "below"
    return Entry(
        side,
        STOP_ATRS * atr,
        TARGET,
        f"the {FAST_BARS}-bar mean {fast:.8g} crossed {where} the {SLOW_BARS}-bar mean {slow:.8g}; "
        f"stop {STOP_ATRS} ATR({ATR_BARS}) of {atr:.6g} away, target at three times the risk",
    )


MOVING_AVERAGE_TREND = Strategy(
    name="moving_average_trend",
    does="Follows a cross of the 10-bar and 50-bar means and leaves when they cross back; stop 3 ATR, target 3 R.",
    bars=SLOW_BARS + 1,
    read=trend,
)
