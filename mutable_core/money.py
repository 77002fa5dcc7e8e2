"""Exact money: `Decimal` in messages and decisions, integers at rest.

One unit of money at rest is a *micro*: 10⁻⁶ of the account's currency. One unit of price or quantity in a
rule's facts is an *atom*: 10⁻⁸. Both are plain `int`, so they add exactly in Python, SQLite and the solver.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import NewType

Micros = NewType("Micros", int)
"""10⁻⁶ of the account's currency."""

MICROS_PER_UNIT = 1_000_000
ATOMS_PER_UNIT = 100_000_000
_MICRO = Decimal(MICROS_PER_UNIT)
_ATOM = Decimal(ATOMS_PER_UNIT)
ZERO = Decimal(0)
_ONE = Decimal(1)
_EXACT = Context(prec=256)  # the default context would round at 28 digits without a word


def micros(amount: Decimal) -> Micros:
    """Nearest micro, ties to even. Raises decimal.InvalidOperation or ValueError on NaN and infinity."""
    return Micros(int((amount * _MICRO).to_integral_value(ROUND_HALF_EVEN)))


def notional(price: Decimal, quantity: Decimal) -> Micros:
    """Price × quantity in micros; signed as the quantity is. The one place where that product is rounded."""
    return Micros(int((price * quantity * _MICRO).to_integral_value(ROUND_HALF_EVEN)))


def atoms(x: Decimal) -> int:
    """A price or quantity in 10⁻⁸; exact for anything with at most eight decimals, else nearest even."""
    return int((x * _ATOM).to_integral_value(ROUND_HALF_EVEN))


def decimal_of_micros(amount: int) -> Decimal:
    """Exact: 1_500_000 → Decimal('1.5')."""
    return canonical(Decimal(amount) / _MICRO)


def canonical(x: Decimal) -> Decimal:
    """One spelling per value (1.00 → 1, 1E+2 → 100, -0 → 0), so that equal amounts have equal digests.

    Exact for up to 256 digits. Raises decimal.InvalidOperation for a number that would need more.
    """
    if not x:
        return ZERO
    if len(x.as_tuple().digits) > _EXACT.prec:
        raise InvalidOperation(f"`{x!r:.40}…` has more than {_EXACT.prec} digits")
    x = x.normalize(_EXACT)
    exponent = x.as_tuple().exponent
    return x.quantize(_ONE, context=_EXACT) if isinstance(exponent, int) and exponent > 0 else x
