"""How much returns scatter, per year."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum, sqrt
from operator import mul

from agents.joey.features.log_returns import log_returns


def realised_volatility(close: Sequence[float], bars_per_year: float) -> float:
    """Annualised standard deviation (n − 1) of log returns.

    Args:
        close: shape (n,), n ≥ 3, oldest first, > 0, currency per unit.
        bars_per_year: > 0; 252 for daily bars, 98 280 for one-minute bars of a 6½-hour session.

    Returns:
        Fraction per square-root year, ≥ 0; 0.20 reads "20 % a year".

    Source: Hull, *Options, Futures, and Other Derivatives*, ch. 15, "Estimating volatility from historical data".
    """
    returns = log_returns(close)
    mean = fsum(returns) / len(returns)
    away = [r - mean for r in returns]
    return sqrt(fsum(map(mul, away, away)) / (len(returns) - 1) * bars_per_year)
