"""Money is exact: one spelling per value, integers at rest, rounding only where it is named."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mutable_core.money import atoms, canonical, decimal_of_micros, micros, notional

INT64 = st.integers(-(2**63), 2**63 - 1)


@given(INT64)
def test_micros_come_back_from_their_decimal(amount: int) -> None:
    assert micros(decimal_of_micros(amount)) == amount
    assert Fraction(decimal_of_micros(amount)) == Fraction(amount, 10**6)


@given(st.decimals(-(10**9), 10**9, places=4), st.decimals(-(10**6), 10**6, places=4))
def test_the_product_is_rounded_once_to_even(price: Decimal, quantity: Decimal) -> None:
    assert notional(price, quantity) == round(Fraction(price) * Fraction(quantity) * 10**6)


@given(st.decimals(-(10**9), 10**9, places=8))
def test_eight_decimals_are_atoms_exactly(x: Decimal) -> None:
    assert Fraction(atoms(x), 10**8) == Fraction(x)


@pytest.mark.parametrize("value", ["NaN", "sNaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("integer_of", [micros, atoms])
def test_what_is_no_number_becomes_no_integer(value: str, integer_of) -> None:
    with pytest.raises((ValueError, ArithmeticError)):
        integer_of(Decimal(value))


@pytest.mark.parametrize(
    ("value", "spelled"),
    [("1.00", "1"), ("1E+2", "100"), ("-0", "0"), ("0E-9", "0"), ("1.50", "1.5"), ("-2.0", "-2"), ("1E-8", "1E-8")],
)
def test_golden_spellings(value: str, spelled: str) -> None:
    assert str(canonical(Decimal(value))) == spelled


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**35), max_value=10**35))
def test_another_spelling_is_never_another_value(x: Decimal) -> None:
    """STYLE 2: `normalize()` alone rounds at 28 digits, and then equal digests would not mean equal amounts."""
    assert Fraction(canonical(x)) == Fraction(x)
