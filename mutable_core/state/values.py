"""A value as bytes and back, exactly: the same types, the same digits, and equal values as equal bytes.

MessagePack with three extensions: 1 a Decimal as its text, 2 an integer beyond 64 bits (two's complement), 3 a tuple.
Dicts are written in the order of their keys. A float is refused: it would look like money and not be.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, TypeAlias

import msgspec

from mutable_core.state.errors import StateBroken, ValueRefused

Value: TypeAlias = Any
"""None, bool, int, str, bytes, Decimal, list, tuple, dict with str keys; nested."""

BYTES_MAX = 1 << 20
DEPTH_MAX = 32
_DECIMAL, _INTEGER, _TUPLE = 1, 2, 3
_INT_MIN, _INT_MAX = -(1 << 63), (1 << 64) - 1  # what MessagePack has a form for

_encoder = msgspec.msgpack.Encoder()


def encode(value: Value) -> bytes:
    """The canonical bytes of a value.

    Raises:
        ValueRefused: a type that is not kept exactly, deeper than `DEPTH_MAX`, or larger than `BYTES_MAX`.
    """
    data = _encoder.encode(_Packing().packed(value, 0))
    if len(data) > BYTES_MAX:
        raise _too_large()
    return data


def decode(data: bytes) -> Value:
    """The value in bytes that `encode` wrote.

    Raises:
        StateBroken: they are not such bytes.
    """
    try:
        value = _decoder.decode(data)
        if encode(value) == data:
            return value
    except (msgspec.MsgspecError, ValueRefused, InvalidOperation, UnicodeDecodeError, RecursionError) as error:
        raise StateBroken(f"a stored value cannot be read: {error}", to_do="run `ark state verify`") from error
    raise StateBroken("a stored value is not in canonical form", to_do="run `ark state verify`")


class _Packing:
    """Counts what it has seen: a small value that holds itself a million times is not small."""

    def __init__(self) -> None:
        self._left = BYTES_MAX  # no item takes less than a byte

    def packed(self, value: Value, depth: int) -> Any:
        self._left -= 1
        if depth > DEPTH_MAX:
            raise ValueRefused(
                f"the value is nested deeper than {DEPTH_MAX}", to_do="store its parts under keys of their own"
            )
        if self._left < 0:
            raise _too_large()
        kind = type(value)  # not isinstance: a subclass would come back as something else
        if value is None or kind is bool or kind is bytes:
            return value
        if kind is int:
            return _integer(value)
        if kind is str:
            return _text(value)
        if kind is Decimal:
            return _decimal(value)
        if kind is list:
            return [self.packed(one, depth + 1) for one in value]
        if kind is tuple:
            return msgspec.msgpack.Ext(_TUPLE, _encoder.encode([self.packed(one, depth + 1) for one in value]))
        if kind is dict:
            return {_key(key): self.packed(value[key], depth + 1) for key in sorted(value, key=_key)}
        raise ValueRefused(
            f"a value of type `{kind.__name__}` is not kept",
            to_do="use Decimal for numbers with a fraction" if kind is float
            else "use None, bool, int, str, bytes, Decimal, list, tuple or dict",
        )  # fmt: skip


def _too_large() -> ValueRefused:
    return ValueRefused(f"the value is larger than {BYTES_MAX} bytes", to_do="store its parts under keys of their own")


def _integer(value: int) -> Any:
    if _INT_MIN <= value <= _INT_MAX:
        return value
    size = value.bit_length() // 8 + 1
    if size > BYTES_MAX:
        raise _too_large()
    return msgspec.msgpack.Ext(_INTEGER, value.to_bytes(size, signed=True))


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueRefused("a text is no Unicode: it holds a lone surrogate", to_do="store it as bytes") from error
    return value


def _decimal(value: Decimal) -> Any:
    if not value.is_finite():
        raise ValueRefused(f"the Decimal `{value}` is no number", to_do="store None where there is none")
    return msgspec.msgpack.Ext(_DECIMAL, str(value).encode())


def _key(key: object) -> str:
    if type(key) is not str:
        raise ValueRefused(f"a dict has the key `{str(key)[:40]}`, which is no text", to_do="make it a str")
    return _text(key)


def _from_extension(code: int, data: memoryview) -> Value:
    if code == _DECIMAL:
        return Decimal(bytes(data).decode("ascii"))
    if code == _INTEGER:
        return int.from_bytes(data, signed=True)
    if code == _TUPLE:
        items = _decoder.decode(data)
        if isinstance(items, list):
            return tuple(items)
    raise msgspec.ValidationError(f"extension {code} is none of ours")


_decoder = msgspec.msgpack.Decoder(ext_hook=_from_extension)


def texts_in(value: Value) -> Iterator[str]:
    """Every text in a value, names of dict keys and bytes that read as text too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield value.decode(errors="replace")
    elif isinstance(value, list | tuple):
        for one in value:
            yield from texts_in(one)
    elif isinstance(value, dict):
        for key, one in value.items():
            yield key
            yield from texts_in(one)


def named_in(name: str, value: Value) -> Iterator[str]:
    """`name=scalar` for every scalar that stands under a name: what a bare value hides, its name may say."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from named_in(key, one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from named_in(name, one)
    elif isinstance(value, bytes):
        yield f"{name}={value.decode(errors='replace')}"
    elif value is not None and not isinstance(value, bool):
        yield f"{name}={value}"
