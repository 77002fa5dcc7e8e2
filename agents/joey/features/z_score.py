"""How unusual the newest value is among its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum, sqrt
from operator import mul

import msgspec


class Spread(msgspec.Struct, frozen=True, gc=False):
    """Where the newest value stands. `mean` and `deviation` are in the unit of the values, `z` in deviations."""

    mean: float
    deviation: float
    z: float


def z_score(values: Sequence[float], bars: int) -> Spread:
    """Distance of the newest value from the mean of the newest `bars`, in their population standard deviations.

    Args:
        values: shape (n,), n ≥ bars, oldest first.
        bars: ≥ 2.

    Returns:
        `z` has the sign of newest − mean and |z| ≤ √(bars − 1); 0 where all values are equal.

    Source: the definition; the bound is Samuelson's inequality, "How Deviant Can You Be?", JASA 63 (1968).
    """
    window = values[-bars:]
    mean = fsum(window) / bars
    away = [value - mean for value in window]
    deviation = sqrt(fsum(map(mul, away, away)) / bars)
    # A spread below what the mean itself is rounded by is no spread.
    z = away[-1] / deviation if deviation > 1e-12 * abs(mean) else 0.0
    return Spread(mean, deviation, z)
