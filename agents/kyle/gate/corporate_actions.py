"""Splits and dividends, read from the change of adjusted close ÷ close between two bars.

Between bars without a corporate action the ratio stays; with an n-for-1 split it is multiplied by n, with a dividend
D by 1 + D ÷ close. Files whose prices are split-adjusted already show the dividends only.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from agents.kyle.gate.jumps import JUMP_MAX, is_far
from mutable_core.messages import CorporateActionObserved
from mutable_core.money import ZERO, canonical

DIVIDEND_RATIO_MIN = Decimal("0.0002")
SPLIT_RATIO_MIN = Decimal("1.2")
REVERSE_RATIO_MAX = Decimal("0.84")
SPLIT_WITHIN = Decimal("0.01")
TERM_MAX = 10
LARGE_TERM_MAX = 1000
"""No split is larger; a ratio beyond is a slip of the vendor."""

_CENT = Decimal("0.01")


def from_adjusted_close(
    instrument: str, *, close: Decimal, adjusted: Decimal, last: Decimal, last_adjusted: Decimal
) -> CorporateActionObserved | None:
    """The corporate action between the last accepted bar and this one, if the adjusted closes show one.

    All prices > 0, currency per unit.
    """
    now, before = adjusted * last, last_adjusted * close
    if abs(now - before) <= DIVIDEND_RATIO_MIN * before:
        return None
    ratio = now / before
    if ratio >= SPLIT_RATIO_MIN or ratio <= REVERSE_RATIO_MAX:
        return _split(instrument, ratio, close=close, last=last)
    return _dividend(instrument, ratio, close=close, last=last)


LARGE_DIVIDEND = Decimal("0.05")


def nearest_split(ratio: Decimal) -> tuple[int, int] | None:
    """The simplest fraction within 1 % of `ratio` with terms of at most 10 and 1 000; (a, b): b units become a."""
    is_reverse = ratio < 1
    target = 1 / ratio if is_reverse else ratio
    for small in range(1, TERM_MAX + 1):
        large = int((target * small).to_integral_value(ROUND_HALF_EVEN))
        if large <= LARGE_TERM_MAX and not is_far(Decimal(large), target * small, SPLIT_WITHIN):
            return (small, large) if is_reverse else (large, small)
    return None


def _split(instrument: str, ratio: Decimal, *, close: Decimal, last: Decimal) -> CorporateActionObserved | None:
    terms = nearest_split(ratio)
    if terms is None:
        return None
    numerator, denominator = terms
    # The price must have moved with it; an adjusted close alone may be a slip of the vendor.
    if is_far(close * numerator, last * denominator, JUMP_MAX):
        return None
    return CorporateActionObserved(instrument, numerator, denominator, ZERO, "adjusted_close")


def _dividend(instrument: str, ratio: Decimal, *, close: Decimal, last: Decimal) -> CorporateActionObserved | None:
    """A fall of the ratio is no dividend: nobody is paid a negative one. A large one must show in the price."""
    cash = ((ratio - 1) * close).quantize(_CENT, ROUND_HALF_EVEN)
    if cash <= 0:
        return None
    if cash > LARGE_DIVIDEND * close and (last - close) * 2 < cash:
        return None  # an adjusted close alone may be a slip of the vendor
    return CorporateActionObserved(instrument, 1, 1, canonical(cash), "adjusted_close")
