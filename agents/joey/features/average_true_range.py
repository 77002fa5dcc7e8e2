"""How far the price travels in one bar."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum


def average_true_range(high: Sequence[float], low: Sequence[float], close: Sequence[float], bars: int) -> float:
    """Wilder's average true range over everything given.

    The true range of a bar is the widest of high − low, |high − close before| and |low − close before|. The first
    average is the plain mean of `bars` of them; every later one moves by 1/`bars` towards the newest.

    Args:
        high: shape (n,), n ≥ bars + 1, oldest first, > 0, currency per unit.
        low: as `high`.
        close: as `high`.
        bars: of the average, ≥ 1.

    Returns:
        Currency per unit, ≥ 0.

    Source: J. Welles Wilder, *New Concepts in Technical Trading Systems* (1978), "Volatility System".
    """
    # The widest of the three is max(high, close before) − min(low, close before); calling max and min costs fourfold.
    ranges = [
        (top if top > before else before) - (bottom if bottom < before else before)  # noqa: FURB136 — see above
        for top, bottom, before in zip(high[1:], low[1:], close[:-1], strict=True)
    ]
    average = fsum(ranges[:bars]) / bars
    for true_range in ranges[bars:]:
        average += (true_range - average) / bars
    return average
