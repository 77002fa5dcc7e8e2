"""A price that leaves the range of its last 20 bars tends to go on; most breakouts fail, so losses are cut at 2 ATR."""

from __future__ import annotations

from agents.joey.features import average_true_range, average_volume, donchian_channel
from agents.joey.history import History
from agents.joey.signals import AtReward, Entry, Signal, Strategy
from graveyard.words import Side

CHANNEL_BARS = 20
ATR_BARS = 14
STOP_ATRS = 2
TARGET = AtReward(tenths=20)


def breakout(history: History, position: Side | None) -> Signal | None:
    """Buy a close above the channel, sell one below it; touching the edge is no breakout."""
    if position is not None:
        return None  # the bracket ends it
    close = history.close[-1]
    top, bottom = donchian_channel(history.high, history.low, CHANNEL_BARS)
    if close > top:
        return _entry(history, "buy", f"close {close:.8g} is above {top:.8g}, the highest high")
    if close < bottom:
        return _entry(history, "sell", f"close {close:.8g} is below {bottom:.8g}, the lowest low")
    return None


def _entry(history: History, side: Side, what: str) -> Entry | None:
    atr = average_true_range(history.high, history.low, history.close, ATR_BARS)
    if atr <= 0:
        return None
    usual = average_volume(history.volume, CHANNEL_BARS)
    volume = f"; volume is {history.volume[-1] / usual:.2f} times its mean" if usual else ""
    return Entry(
        side,
        STOP_ATRS * atr,
        TARGET,
        f"{what} of the {CHANNEL_BARS} bars before it; stop {STOP_ATRS} ATR({ATR_BARS}) of {atr:.6g} away, "
        f"target at twice the risk{volume}",
    )


DONCHIAN_BREAKOUT = Strategy(
    name="donchian_breakout",
    does="Follows a close outside the range of the 20 bars before it; stop 2 ATR, target 2 R.",
    bars=CHANNEL_BARS + 1,
    read=breakout,
)
