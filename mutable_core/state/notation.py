"""A stored value as JSON that a person can read and write, exactly.

What JSON has no form for is an object with one name: `{"$decimal": "1.50"}`, `{"$bytes": "00ff"}`, `{"$tuple": […]}`,
`{"$int": "0x20000000000001"}` for integers that JSON readers round, and `{"$dict": {…}}` around a dict that has a key
beginning with `$`. A number with a fraction is read as a Decimal.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from mutable_core.state.errors import ValueRefused
from mutable_core.state.values import Value

_EXACT_IN_JSON = 1 << 53


def written(value: Value) -> str:
    """The value as JSON text; characters that a terminal obeys are escaped."""
    text = json.dumps(as_json(value), ensure_ascii=False)
    return "".join(one if one.isprintable() else _escaped(one) for one in text)


def as_json(value: Value) -> Any:
    """The value as what a JSON encoder takes."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _EXACT_IN_JSON else {"$int": hex(value)}
    if isinstance(value, Decimal):
        return {"$decimal": str(value)}
    if isinstance(value, bytes):
        return {"$bytes": value.hex()}
    if isinstance(value, tuple):
        return {"$tuple": [as_json(one) for one in value]}
    if isinstance(value, list):
        return [as_json(one) for one in value]
    plain = {key: as_json(one) for key, one in value.items()}
    return {"$dict": plain} if any(key.startswith("$") for key in value) else plain


def read(text: str) -> Value:
    """The value that the text writes.

    Raises:
        ValueRefused: it is no such text, or a name stands twice in an object.
    """
    try:
        return _value(json.loads(text, parse_float=Decimal, parse_constant=_refused, object_pairs_hook=_once))
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise ValueRefused(
            f"this is no JSON value: {str(error) or 'it has no form'}", to_do='write it like `{"limit": 1.5}`'
        ) from error


def _escaped(one: str) -> str:
    return "".join(f"\\u{int.from_bytes(pair):04x}" for pair in _pairs(one.encode("utf-16-be", "surrogatepass")))


def _pairs(data: bytes) -> list[bytes]:
    return [data[at : at + 2] for at in range(0, len(data), 2)]


def _refused(name: str) -> Value:
    raise ValueError(f"`{name}` is no number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in an object")
    return found


_READERS: dict[str, tuple[type, Callable[[Any], Value]]] = {
    "$decimal": (str, Decimal),
    "$bytes": (str, bytes.fromhex),
    "$int": (str, lambda text: int(text, 16)),
    "$tuple": (list, lambda items: tuple(_value(one) for one in items)),
    "$dict": (dict, lambda plain: {key: _value(one) for key, one in plain.items()}),
}


def _value(plain: Any) -> Value:
    if isinstance(plain, list):
        return [_value(one) for one in plain]
    if not isinstance(plain, dict):
        return plain
    special = [key for key in plain if key.startswith("$")]
    if not special:
        return {key: _value(one) for key, one in plain.items()}
    if len(plain) != 1 or special[0] not in _READERS:
        raise ValueError(f"`{special[0][:20]}` is none of {', '.join(sorted(_READERS))}")
    kind, reader = _READERS[special[0]]
    if not isinstance(plain[special[0]], kind):
        raise TypeError(f"`{special[0]}` stands before a {kind.__name__}")
    return reader(plain[special[0]])
