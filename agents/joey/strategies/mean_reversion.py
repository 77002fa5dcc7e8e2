"""A close far from its 20-bar mean tends to come back part of the way: worth it only where the mean is far enough."""

from __future__ import annotations

from agents.joey.features import average_true_range, z_score
from agents.joey.history import History
from agents.joey.signals import AtDistance, Entry, Signal, Strategy
from graveyard.words import Side

MEAN_BARS = 20
ATR_BARS = 14
STRETCH = 2.0
STOP_ATRS = 1.5


def reversion(history: History, position: Side | None) -> Signal | None:
    """Buy a close more than 2 deviations below its mean, sell one as far above; the mean is the target.

    The target is never moved beyond the mean: where that pays less than 1.5 times the risk, no proposal follows.
    """
    if position is not None:
        return None  # the bracket ends it
    spread = z_score(history.close, MEAN_BARS)
    if abs(spread.z) <= STRETCH:
        return None
    atr = average_true_range(history.high, history.low, history.close, ATR_BARS)
    if atr <= 0:
        return None
    close = history.close[-1]
    return Entry(
        "buy" if spread.z < 0 else "sell",
        STOP_ATRS * atr,
        AtDistance(abs(close - spread.mean)),
        f"close {close:.8g} is {spread.z:+.2f} deviations of {spread.deviation:.6g} from its {MEAN_BARS}-bar mean "
        f"{spread.mean:.8g}, the target; stop {STOP_ATRS} ATR({ATR_BARS}) of {atr:.6g} away",
    )


MEAN_REVERSION = Strategy(
    name="mean_reversion",
    does="Fades a close more than 2 deviations from its 20-bar mean, back to the mean; stop 1.5 ATR.",
    bars=MEAN_BARS,
    read=reversion,
)
