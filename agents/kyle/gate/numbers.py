"""From a cell's text to an exact number, or to the reason why there is none."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

from mutable_core.money import ZERO, canonical

MAGNITUDE_MAX = Decimal(10) ** 15
"""Exclusive. No price or volume of a market that we know reaches it, and atoms of it still are small integers."""

DECIMALS_MAX = 20
"""A float written in full (0.029768000000000003) has up to 17 significant digits and must stay what it was."""

DIGITS_MAX = 28
"""Decimal arithmetic would round beyond, and then the text would no longer be the number."""

NOT_A_NUMBER = Decimal("sNaN")
"""What a text that writes no number is read as: calculating with it raises, and `malformed` finds it before."""

NAN = Decimal("NaN")
INFINITE = Decimal("Infinity")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_NOT_FINITE = {
    "nan": NAN, "+nan": NAN, "-nan": NAN,
    "inf": INFINITE, "+inf": INFINITE, "-inf": INFINITE,
    "infinity": INFINITE, "+infinity": INFINITE, "-infinity": INFINITE,
}  # fmt: skip
_TEXT_MAX = 40
_PLAIN_MAX = 20


def read(text: str) -> Decimal:
    """The number that `text` writes, in its one canonical spelling.

    NAN or INFINITE, the very objects, where it says so. NOT_A_NUMBER for anything else: words, blanks, digits of
    other scripts, `1_000`, and numbers that are out of every market's range or more precise than we calculate.
    """
    if len(text) > _PLAIN_MAX or not text.isascii() or not text.replace(".", "", 1).isdigit():
        return _read_unusual(text)
    if "." in text and text[-1] in "0.":
        # canonical() gives the same and takes three times as long.
        text = text.rstrip("0").rstrip(".") or "0"
    found = Decimal(text)
    return found if found < MAGNITUDE_MAX else NOT_A_NUMBER


number = lru_cache(maxsize=1 << 15)(read)
"""`read`, remembered: the same text is the same number for ever, and prices repeat."""


def _read_unusual(text: str) -> Decimal:
    """Signs, exponents, many digits, and whatever else a cell may hold."""
    if len(text) > _TEXT_MAX:
        return NOT_A_NUMBER
    if _NUMBER.fullmatch(text) is None:
        return _NOT_FINITE.get(text.lower(), NOT_A_NUMBER)
    found = Decimal(text)
    if not found:
        return ZERO
    if not -MAGNITUDE_MAX < found < MAGNITUDE_MAX or len(found.as_tuple().digits) > DIGITS_MAX:
        return NOT_A_NUMBER
    short = canonical(found)
    exponent = short.as_tuple().exponent
    return short if isinstance(exponent, int) and exponent >= -DECIMALS_MAX else NOT_A_NUMBER
