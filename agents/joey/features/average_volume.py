"""How much usually trades in one bar."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum


def average_volume(volume: Sequence[float], bars: int) -> float:
    """Mean volume of the `bars` bars *before* the newest, against which the newest can be read.

    Args:
        volume: shape (n,), n ≥ bars + 1, oldest first, ≥ 0, units.
        bars: ≥ 1.

    Returns:
        Units per bar, ≥ 0; 0 where the source states no volume.

    Source: the definition.
    """
    return fsum(volume[-bars - 1 : -1]) / bars
