"""The range that the price has kept to."""

from __future__ import annotations

from collections.abc import Sequence


def donchian_channel(high: Sequence[float], low: Sequence[float], bars: int) -> tuple[float, float]:
    """Highest high and lowest low of the `bars` bars *before* the newest, so that the newest can break out.

    Args:
        high: shape (n,), n ≥ bars + 1, oldest first, > 0, currency per unit.
        low: as `high`.
        bars: width of the channel, ≥ 1.

    Returns:
        (top, bottom), currency per unit, top ≥ bottom.

    Source: Richard Donchian's four-week rule, as in Kaufman, *Trading Systems and Methods*, "Event-Driven Trends".
    """
    return max(high[-bars - 1 : -1]), min(low[-bars - 1 : -1])
