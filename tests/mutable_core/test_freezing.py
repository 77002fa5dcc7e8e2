"""Freezing: equal states give equal bytes, bytes give the state back, and nothing foreign is ever made, called or imported."""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from immutables import Map

from agents.joey.history import History
from agents.runtime.agent import Cause
from mutable_core.flows import Day
from mutable_core.freezing import NotFrozen, freeze, thaw
from tests.makers import an_envelope, an_observation

KEYS = st.one_of(
    st.text(max_size=5), st.integers(), st.binary(max_size=5), st.tuples(st.text(max_size=3), st.integers())
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(2**200), max_value=2**200),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    st.binary(max_size=8),
    st.decimals(allow_nan=False),
    st.builds(Day, *[st.integers()] * 5),
    st.builds(Cause, st.text(max_size=3), st.text(max_size=3), st.integers(), st.integers()),
    st.frozensets(KEYS, max_size=4),
)
STATES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(KEYS, inner, max_size=4),
        st.dictionaries(KEYS, inner, max_size=4).map(Map),
        st.builds(History, st.integers(), st.lists(inner, max_size=3).map(tuple)),
    ),
    max_leaves=12,
)


def spelled(value: Any) -> str:
    """With types, so that 1, 1.0, True and Decimal(1) are not the same; entries of maps and sets in one order."""
    if isinstance(value, Map | frozenset):
        entries = value.items() if isinstance(value, Map) else value
        return f"{type(value).__name__}{sorted(map(spelled, entries))}"
    if isinstance(value, dict):
        return f"dict{[spelled(pair) for pair in value.items()]}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}{[spelled(one) for one in value]}"
    if isinstance(value, msgspec.Struct):
        return f"{type(value).__name__}{[spelled(getattr(value, name)) for name in value.__struct_fields__]}"
    return f"{type(value).__name__} {value!r}"


@given(STATES)
def test_what_was_frozen_comes_back_with_its_types(state: Any) -> None:
    data = freeze(state)
    again = thaw(data)
    assert spelled(again) == spelled(state)
    assert freeze(again) == data


@given(st.lists(st.tuples(KEYS, st.integers()), unique_by=lambda pair: repr(pair[0]), max_size=6), st.randoms())
def test_the_order_in_which_a_map_or_a_set_came_about_changes_nothing(pairs: list[Any], chance: Any) -> None:
    shuffled = pairs[:]
    chance.shuffle(shuffled)
    assert freeze(Map(dict(pairs))) == freeze(Map(dict(shuffled)))
    assert freeze(frozenset(dict(pairs))) == freeze(frozenset(dict(shuffled)))


def test_a_decimal_keeps_its_exponent_and_a_dict_its_order() -> None:
    """Both can decide what is said next."""
    assert str(thaw(freeze(Decimal("1.00")))) == "1.00"
    assert list(thaw(freeze({"b": 1, "a": 2}))) == ["b", "a"]


class Foreign(msgspec.Struct, frozen=True):
    value: int


class ForeignTuple(tuple[int, ...]):
    __slots__ = ()


@pytest.mark.parametrize(
    "state",
    [
        {1, 2}, bytearray(b"x"), object(), len, int, sys, Foreign(1), ForeignTuple((1,)), Exception("x"), 1j, range(3),
        (Foreign(1),), {"a": Foreign(1)}, Map({Foreign(1): 1}), Map({1.5: 1}), Map({Day(1, 1, 1, 1, 1): 1}),
        frozenset({(Day(1, 1, 1, 1, 1),)}), "\ud800", 10**5_000,
    ],
    ids=lambda state: type(state).__name__,
)  # fmt: skip
def test_what_is_no_state_is_not_frozen(state: Any) -> None:
    with pytest.raises(NotFrozen):
        freeze(state)


def test_a_state_that_is_nested_without_end_is_refused() -> None:
    state: Any = ()
    for _ in range(100_000):
        state = (state,)
    with pytest.raises(NotFrozen):
        freeze(state)
    with pytest.raises(NotFrozen):
        thaw(b"\x93\x01\x90" + b"\x92\x00" * 100_000 + b"\x91\x00")


# -- bytes of an enemy --------------------------------------------------------------------------------------------------


def packed(names: tuple[str, ...], plain: Any, form: int = 1) -> bytes:
    return msgspec.msgpack.encode((form, names, plain))


FOREIGN_NAMES = (
    "os:system", "builtins:eval", "builtins:Exception", "subprocess:Popen", "pathlib:Path", "antigravity:fly",
    "agents.nowhere:State", "deployment.desk.client:ask", "mutable_core.freezing:thaw", "mutable_core.errors:Broken",
    "mutable_core.freezing:msgspec", "agents.kenny.state:Map", "mutable_core.flows:EMPTY", "mutable_core.flows:Day.number",
    "mutable_core.journal.store:Journal", "tests.mutable_core.test_freezing:Foreign", "agents:", ":Day", "",
)  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN_NAMES)
def test_a_class_that_is_none_of_ours_is_neither_made_nor_imported(name: str) -> None:
    before = set(sys.modules)
    for arguments in ([], ["true"], [1, 1, 1, 1, 1]):
        with pytest.raises(NotFrozen):
            thaw(packed((name,), [16, *arguments]))
    assert set(sys.modules) == before


DAY = "mutable_core.flows:Day"


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x00", b"nonsense", packed((), [], 1), packed((), [0], 2), packed((), {"a": 1}), packed((), [99]),
        packed((), [16, 1]), packed((DAY,), [17, 1, 1, 1, 1, 1]), packed((DAY,), [16, 1, 1, 1, 1]),
        packed((DAY,), [16, 1, 1, 1, 1, 1, 1]), packed((DAY,), [True, 1]), packed((DAY,), [-1, 1]), packed((DAY,), [0]),
        packed((), [3, "b", 1, "a", 2]), packed((), [3, "a", 1, "a", 2]), packed((), [3, "a"]), packed((), [3, [1], 1]),
        packed((), [5, "1", "2"]), packed((), [5, "one"]), packed((), [5, 1.5]), packed((), [6, "12"]),
        packed((), [6, "1" * 10_000]), packed((), [4, "b", "a"]), packed((DAY, DAY), [16, 1, 1, 1, 1, 1]),
        freeze((1, 2)) + b"\x00", freeze((1, 2))[:-1], msgspec.msgpack.encode(msgspec.msgpack.Ext(1, b"x")),
        packed((), [0, msgspec.msgpack.Ext(7, b"x")]),
    ],
)  # fmt: skip
def test_bytes_to_which_nothing_freezes_are_refused(data: bytes) -> None:
    with pytest.raises(NotFrozen):
        thaw(data)


@given(st.binary(max_size=60))
def test_no_bytes_do_anything_but_thaw_or_be_refused(data: bytes) -> None:
    try:
        state = thaw(data)
    except NotFrozen:
        return
    assert freeze(state) == data


@given(st.data(), STATES)
def test_a_flipped_bit_is_refused_or_is_another_state(choice: Any, state: Any) -> None:
    data = bytearray(freeze(state))
    data[choice.draw(st.integers(0, len(data) - 1))] ^= 1 << choice.draw(st.integers(0, 7))
    try:
        again = thaw(bytes(data))
    except NotFrozen:
        return
    assert freeze(again) == bytes(data) != freeze(state)


def test_the_messages_in_a_state_come_back_whole() -> None:
    envelope = an_envelope(an_observation())
    again = thaw(freeze((envelope, envelope)))
    assert again == (envelope, envelope)
    assert type(again[0].body) is type(envelope.body)
