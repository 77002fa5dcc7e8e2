"""Relative moves that add up over time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import log


def log_returns(close: Sequence[float]) -> tuple[float, ...]:
    """Logarithm of each close over the one before it.

    Args:
        close: shape (n,), n ≥ 1, oldest first, > 0, currency per unit.

    Returns:
        Shape (n − 1,), oldest first, any sign, dimensionless; 0.01 reads "about 1 % up".

    Source: Hull, *Options, Futures, and Other Derivatives*, ch. 15, "Estimating volatility from historical data".
    """
    return tuple([log(now / before) for before, now in pairwise(close)])
