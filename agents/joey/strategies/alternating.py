"""A load generator: in at one bar, out at the next, whatever the market does. For benchmarks; it expects to lose fees.

It is no strategy to trade with, so no default mandate lists it. List it alone.
"""

from __future__ import annotations

from agents.joey.history import History
from agents.joey.signals import AtReward, Entry, Exit, Signal, Strategy
from graveyard.words import Side

STOP_FRACTION = 0.02
TARGET = AtReward(tenths=20)
NOTIONAL_MAX_BPS = 100


def alternate(history: History, position: Side | None) -> Signal | None:
    """A small bracket entry when flat, else the way out."""
    if position is not None:
        return Exit("load generator: the position of the bar before is closed")
    close = history.close[-1]
    return Entry(
        "buy",
        STOP_FRACTION * close,
        TARGET,
        f"load generator: a small entry at close {close:.8g}, stop 2 % below, target at twice the risk",
        NOTIONAL_MAX_BPS,
    )


ALTERNATING = Strategy(
    name="alternating",
    does="Load generator for benchmarks: opens a small bracket at one bar and closes it at the next.",
    bars=1,
    read=alternate,
)
