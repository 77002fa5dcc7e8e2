"""The mean of the newest values."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum


def simple_moving_average(values: Sequence[float], bars: int, ago: int = 0) -> float:
    """Arithmetic mean of `bars` values, the newest of which came `ago` bars before the last.

    `fsum` rounds once, so the mean is the same on every Python and in every order of the values.

    Args:
        values: shape (n,), n ≥ bars + ago, oldest first.
        bars: ≥ 1.
        ago: ≥ 0.

    Returns:
        In the unit of `values`, within their range up to rounding.

    Source: the definition.
    """
    end = len(values) - ago
    return fsum(values[end - bars : end]) / bars
