"""The strategies that Joey can be asked for, in the order in which he asks them.

The order decides where two have a signal at the same bar: the first one wins. Only those that the mandate lists are
asked. A file in this folder does nothing until its line stands here.
"""

from __future__ import annotations

from agents.joey.signals import Strategy
from agents.joey.strategies.alternating import ALTERNATING
from agents.joey.strategies.donchian_breakout import DONCHIAN_BREAKOUT
from agents.joey.strategies.mean_reversion import MEAN_REVERSION
from agents.joey.strategies.moving_average_trend import MOVING_AVERAGE_TREND

STRATEGIES: tuple[Strategy, ...] = (
    DONCHIAN_BREAKOUT,
    MEAN_REVERSION,
    MOVING_AVERAGE_TREND,
    ALTERNATING,  # a load generator: never in a default mandate
)

__all__ = ["STRATEGIES"]
