"""Tick and lot of an instrument, inferred from the decimals that its file writes.

The tick is 10⁻ᵏ for the most decimals k ≤ 8 that any of its prices has. The lot is 10⁻ᵏ for the most decimals k ≤ 8
of its sizes, so whole-number sizes make a lot of one unit; prices do not enter, so a unit may cost more than a
position may be worth, and then nothing is traded in it. Where a file gives no size above zero (an index,
a dealer's quotes) the lot is one unit. Numbers with more decimals (0.1 + 0.2 written in full) are left out here and
meet the gate.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

import pyarrow as pa
import pyarrow.compute as pc

from mutable_core.money import ATOMS_PER_UNIT

DECIMALS_MAX = 8
_PLAIN = r"^\d+(\.\d+)?$"
_EXPONENT = re.compile(r"\d*\.?\d+[eE][+-]?\d{1,2}", re.ASCII)


def step_atoms(decimals: int) -> int:
    """10⁻ᵏ in atoms; k in 0…8."""
    return ATOMS_PER_UNIT // int(10**decimals)


def decimals_of(texts: pa.Array) -> pa.Array:
    """Decimals that each number needs (1.50 needs 1): int32, null for what is no number or needs more than 8."""
    plain = pc.match_substring_regex(texts, _PLAIN)
    has_point = pc.and_(plain, pc.match_substring(texts, "."))
    trimmed = pc.utf8_rtrim(pc.if_else(has_point, texts, ""), characters="0")
    after_point = pc.subtract(pc.subtract(pc.utf8_length(trimmed), pc.find_substring(trimmed, ".")), 1)
    found = pc.if_else(has_point, after_point, pc.if_else(plain, 0, None))
    return _with_exponents(texts, pc.if_else(pc.less_equal(found, DECIMALS_MAX), found, None).cast(pa.int32()), plain)


def _with_exponents(texts: pa.Array, found: pa.Array, plain: pa.Array) -> pa.Array:
    """Numbers such as 1e-7 are few: one by one."""
    others = pc.unique(texts.filter(pc.and_(pc.invert(plain), pc.match_substring_regex(texts, "[eE]")))).to_pylist()
    for text in others:
        decimals = _decimals_of_text(text) if _EXPONENT.fullmatch(text) else None
        if decimals is not None:
            found = pc.if_else(pc.equal(texts, text), pa.scalar(decimals, pa.int32()), found)
    return found


def _decimals_of_text(text: str) -> int | None:
    try:
        exponent = Decimal(text).normalize().as_tuple().exponent
    except InvalidOperation:
        return None
    decimals = max(0, -exponent) if isinstance(exponent, int) else DECIMALS_MAX + 1
    return decimals if decimals <= DECIMALS_MAX else None
