"""Freezing: an agent's state as bytes, and back. Equal states freeze to equal bytes, in any process of the same build.

A state is made of a closed set of things: None, bool, int, float, str, bytes, Decimal, tuple, list, dict, frozenset,
`immutables.Map`, and the frozen Structs and named tuples of our own packages. Rules that this module keeps:

* Anything else is refused, both ways. Nothing is imported for what was read, and nothing of what was read is called but
  constructors of our own Structs and named tuples, which a loaded module of ours must hold under exactly that name.
* One spelling: entries of a Map and members of a set are sorted by their frozen keys; bytes that would be frozen in
  another way are refused. A dict keeps its order, which is a part of what it says; `Decimal` keeps its exponent.
* Types of fields are not checked: thawed bytes are believed because they were signed, see `deployment.topology.snapshots`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec
from immutables import Map

from mutable_core.errors import Unacceptable

PACKAGES = frozenset({"agents", "deployment", "graveyard", "mutable_core", "watchdog"})
"""Whose classes may be in a state."""
_FORM = 1
_TUPLE, _LIST, _DICT, _MAP, _FROZENSET, _DECIMAL, _BIG = range(7)
_FIRST_CLASS = 16
_KEYS = (str, int, bytes, bool, type(None), Decimal, tuple)
"""What may be a key of a Map or a member of a set; classes of ours may not, for their numbers follow the order of keys."""
_ASIS = frozenset({str, bytes, bool, float, type(None)})
_INT_BITS = 63

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, tuple[str, ...], Any], strict=True).decode


class NotFrozen(Unacceptable):
    """A value that is no state, or bytes that no state freezes to."""


def freeze(value: Any) -> bytes:
    """The bytes of a state.

    Raises:
        NotFrozen: something in it does not belong to the closed set.
    """
    classes: dict[type, int] = {}
    try:
        plain = _plain(value, classes)
        return _encode((_FORM, tuple(map(_name_of, classes)), plain))
    except (RecursionError, ValueError, msgspec.MsgspecError) as error:  # of text, or of a number too long to write
        raise NotFrozen(f"a state cannot be frozen: {type(error).__name__}: {error}") from error


def thaw(data: bytes) -> Any:
    """The state that was frozen to `data`.

    Raises:
        NotFrozen: no state freezes to these bytes in this build.
    """
    try:
        value = _read(data)
    except NotFrozen:
        raise
    except Exception as error:  # whatever else goes wrong while reading: it was no frozen state
        raise NotFrozen(f"bytes cannot be thawed: {type(error).__name__}: {error}") from error
    if freeze(value) != data:
        raise NotFrozen("a frozen state is not in its one spelling")
    return value


# -- freezing -----------------------------------------------------------------------------------------------------------


def _plain(value: Any, classes: dict[type, int]) -> Any:
    """The value as msgpack can hold it: what is compound is a list that begins with a number saying what it is."""
    kind = type(value)
    if kind in _ASIS:
        return value
    if kind is int:
        return value if value.bit_length() <= _INT_BITS else [_BIG, str(value)]
    if kind is tuple:
        return [_TUPLE, *[_plain(one, classes) for one in value]]
    if kind is Map:
        return [_MAP, *_pairs(value, classes)]
    if kind is Decimal:
        return [_DECIMAL, str(value)]
    if kind is frozenset:
        return [_FROZENSET, *[plain for _, plain in sorted((_key(one), _plain(one, {})) for one in value)]]
    if kind is list:
        return [_LIST, *[_plain(one, classes) for one in value]]
    if kind is dict:
        return [_DICT, *[_plain(one, classes) for pair in value.items() for one in pair]]
    return _of_class(value, kind, classes)


def _pairs(value: Map[Any, Any], classes: dict[type, int]) -> list[Any]:
    plain: list[Any] = []
    for _, key in sorted([(_key(key), key) for key in value], key=_first):
        plain += (_plain(key, classes), _plain(value[key], classes))
    return plain


def _first(pair: tuple[bytes, Any]) -> bytes:
    return pair[0]


def _key(value: Any) -> bytes:
    """By what keys are sorted.

    Raises:
        NotFrozen: it is no plain key.
    """
    classes: dict[type, int] = {}
    if not isinstance(value, _KEYS):
        raise NotFrozen(f"a key of type `{type(value).__qualname__}` cannot be frozen")
    plain = _plain(value, classes)
    if classes:
        raise NotFrozen("a key that holds a class of ours cannot be frozen")
    return _encode(plain)


def _of_class(value: Any, kind: type, classes: dict[type, int]) -> list[Any]:
    number = classes.get(kind)
    if number is None:
        if not _is_ours(kind):
            raise NotFrozen(f"a `{kind.__module__}.{kind.__qualname__}` cannot be frozen")
        number = classes[kind] = len(classes) + _FIRST_CLASS
    if isinstance(value, tuple):
        return [number, *[_plain(one, classes) for one in value]]
    return [number, *[_plain(getattr(value, name), classes) for name in value.__struct_fields__]]


# -- thawing ------------------------------------------------------------------------------------------------------------


def _read(data: bytes) -> Any:
    form, names, plain = _decode(data)
    if form != _FORM:
        raise NotFrozen(f"a frozen state is of form `{form}`, and this build reads `{_FORM}`")
    return _thawed(plain, [_maker(name) for name in names])


_Maker = tuple[Callable[..., Any], int]
"""What makes an instance, and of how many fields."""


def _thawed(plain: Any, makers: list[_Maker]) -> Any:
    kind = type(plain)
    if kind in _ASIS or kind is int:
        return plain
    if kind is not list or type(plain[0]) is not int:
        raise NotFrozen("bytes hold what no state holds")
    number = plain[0]
    rest = [_thawed(one, makers) for one in plain[1:]]
    if number == _TUPLE:
        return tuple(rest)
    if number >= _FIRST_CLASS:
        make, fields = makers[number - _FIRST_CLASS]
        if len(rest) != fields:
            raise NotFrozen(f"bytes hold {len(rest)} fields where there are {fields}")
        return make(*rest)
    if number == _MAP:
        return Map(zip(rest[::2], rest[1::2], strict=True))
    if number == _DECIMAL:
        return Decimal(*rest)
    if number == _FROZENSET:
        return frozenset(rest)
    if number == _LIST:
        return rest
    if number == _DICT:
        return dict(zip(rest[::2], rest[1::2], strict=True))
    if number == _BIG:
        return int(*rest)
    raise NotFrozen(f"bytes hold a thing of unknown kind `{number}`")


def _maker(name: str) -> _Maker:
    """Of the class that is called so.

    Raises:
        NotFrozen: no loaded module of ours holds it.
    """
    module, _, qualname = name.partition(":")
    loaded = sys.modules.get(module) if module.partition(".")[0] in PACKAGES else None
    found = vars(loaded).get(qualname) if loaded is not None else None
    if not isinstance(found, type) or not _is_ours(found) or _name_of(found) != name:
        raise NotFrozen(f"a frozen state names the class `{name:.100}`, which is none of ours")
    if issubclass(found, msgspec.Struct):
        fields = found.__struct_fields__
        return (found if found.__match_args__ == fields else _by_name(found, fields)), len(fields)
    return found, len(found._fields)  # type: ignore[attr-defined]


def _by_name(kind: type, fields: tuple[str, ...]) -> Callable[..., Any]:
    """For Structs whose fields cannot be given by position."""
    return lambda *values: kind(**dict(zip(fields, values, strict=True)))


def _name_of(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


@cache
def _is_ours(kind: type) -> bool:
    """A frozen Struct or a named tuple, at the top of a module of one of our packages."""
    if kind.__module__.partition(".")[0] not in PACKAGES or not kind.__qualname__.isidentifier():
        return False
    if vars(sys.modules[kind.__module__]).get(kind.__qualname__) is not kind:
        return False
    if issubclass(kind, msgspec.Struct):
        return bool(kind.__struct_config__.frozen)
    return issubclass(kind, tuple) and isinstance(getattr(kind, "_fields", None), tuple)
