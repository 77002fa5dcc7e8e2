"""A stored value comes back the same: the same type, the same digits; what cannot is refused with one line."""

from __future__ import annotations

from decimal import Decimal
from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mutable_core.state.errors import StateBroken, ValueRefused
from mutable_core.state.notation import as_json, read, written
from mutable_core.state.values import BYTES_MAX, DEPTH_MAX, decode, encode

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(1 << 200), max_value=1 << 200),
    TEXTS,
    st.binary(max_size=12),
    st.decimals(allow_nan=False, allow_infinity=False),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(TEXTS, inner, max_size=4),
    ),
    max_leaves=12,
)


def exactly(value: Any) -> Any:
    """What tells apart what `==` does not: 1, True and 1.0; 1.0 and 1.00; a list and a tuple; and no order of keys."""
    if isinstance(value, dict):
        return dict, sorted((key, exactly(one)) for key, one in value.items())
    if isinstance(value, list | tuple):
        return type(value), [exactly(one) for one in value]
    return (type(value), value.as_tuple()) if isinstance(value, Decimal) else (type(value), value)


@given(VALUES)
@settings(max_examples=300, deadline=None)
def test_a_value_comes_back_exactly(value: Any) -> None:
    assert repr(exactly(decode(encode(value)))) == repr(exactly(value))


@given(VALUES)
@settings(max_examples=150, deadline=None)
def test_a_value_comes_back_exactly_from_what_a_person_reads(value: Any) -> None:
    assert repr(exactly(read(written(value)))) == repr(exactly(value))
    assert written(value).isprintable()


@pytest.mark.parametrize(
    "value",
    [
        None, "None", "", b"", "null", 0, False, True, 1, Decimal(1), Decimal("1.00"), Decimal("-0"), Decimal("1E+5"),
        (1 << 53) + 1, (1 << 64) - 1, 1 << 64, -(1 << 63) - 1, 10**400, b"\xff\x00", "\x00", "ä€😀", (), [], {}, ((),),
        {"": None}, {"a": [(b"", None, {"b": Decimal("0.10")})]}, {"$decimal": "1"}, {"$dict": {"$tuple": []}},
    ],
    ids=lambda value: repr(value)[:40],
)  # fmt: skip
def test_these_come_back_exactly(value: Any) -> None:
    """What the earlier system turned into something else, and what lies at the edges of the encoding."""
    for back in (decode(encode(value)), read(written(value))):
        assert repr(exactly(back)) == repr(exactly(value))


def test_equal_values_have_equal_bytes_however_a_dict_was_filled() -> None:
    assert encode({"a": 1, "b": {"d": 2, "c": 3}}) == encode({"b": {"c": 3, "d": 2}, "a": 1})


class Colour(IntEnum):
    RED = 1


class Text(str):
    __slots__ = ()


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def shared(times: int) -> Any:
    """Small in memory, and 2 ** times when it is written out."""
    value: Any = [0]
    for _ in range(times):
        value = [value, value]
    return value


def of_itself() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


REFUSED = {
    "float": 1.5, "nan": Decimal("NaN"), "infinity": Decimal("Infinity"), "a dict with an int key": {1: 2},
    "a dict with a None key": {None: 1}, "an enum": Colour.RED, "a subclass of str": Text("x"), "a set": {1},
    "an object": object(), "a lone surrogate": "\ud800", "a surrogate in a key": {"\ud800": 1}, "too deep": nested(DEPTH_MAX + 1),
    "too large": b"x" * BYTES_MAX, "a huge integer": 1 << (8 * BYTES_MAX), "of itself": of_itself(), "shared": shared(30),
    "deep inside": {"a": [({"b": 0.1},)]},
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_kept_exactly_is_refused_in_one_line(what: str) -> None:
    with pytest.raises(ValueRefused) as refused:
        encode(REFUSED[what])
    assert "\n" not in str(refused.value)


def test_the_deepest_value_is_kept() -> None:
    assert decode(encode(nested(DEPTH_MAX))) == nested(DEPTH_MAX)


@given(st.binary(max_size=40))
@settings(max_examples=300, deadline=None)
def test_bytes_that_nobody_wrote_are_no_value_or_are_canonical(data: bytes) -> None:
    try:
        value = decode(data)
    except StateBroken:
        return
    assert encode(value) == data


@pytest.mark.parametrize(
    "text",
    ["", "{", "NaN", "Infinity", '{"a":1,"a":2}', '{"$decimal":"x"}', '{"$decimal":true}', '{"$decimal":"1","b":1}',
     '{"$bytes":"0"}', '{"$bytes":1}', '{"$int":"z"}', '{"$tuple":"ab"}', '{"$dict":[]}', '{"$date":"2020"}', "[" * 5_000],
    ids=lambda text: text[:30],
)  # fmt: skip
def test_what_is_no_value_to_read_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueRefused) as refused:
        read(text)
    assert "\n" not in str(refused.value)


def test_a_number_with_a_fraction_is_read_as_its_digits() -> None:
    assert exactly(read("1.50")) == exactly(Decimal("1.50"))
    assert as_json(Decimal("1.50")) == {"$decimal": "1.50"}
