"""Just enough YAML for the files of this house: block maps and lists, flow lists, plain and double-quoted scalars.

The virtual environment has no YAML library. Whatever this does not know (anchors, block scalars, tabs, …) raises, so a
file cannot say something here that it does not say to the container engine.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

PAIR = re.compile(r"^([A-Za-z0-9_./-]+):(?: +(.*))?$")
PLAIN = re.compile(r"^[A-Za-z0-9_./-][A-Za-z0-9_./: -]*$")


class Line(NamedTuple):
    indent: int
    text: str


def load(text: str) -> Any:
    lines = [Line(len(row) - len(row.lstrip(" ")), row.strip()) for row in text.splitlines() if _says_something(row)]
    value, rest = _block(lines)
    if rest:
        raise ValueError(f"cannot read `{rest[0].text}`")
    return value


def _says_something(row: str) -> bool:
    return bool(row.strip()) and not row.lstrip().startswith("#")


def _block(lines: list[Line]) -> tuple[Any, list[Line]]:
    return _list(lines) if lines[0].text.startswith("- ") else _map(lines)


def _list(lines: list[Line]) -> tuple[list[Any], list[Line]]:
    indent, items = lines[0].indent, []
    while lines and lines[0].indent == indent and lines[0].text.startswith("- "):
        first = lines[0].text[2:]
        if PAIR.match(first):
            item, lines = _map([Line(indent + 2, first), *lines[1:]])
        else:
            item, lines = _scalar(first), lines[1:]
        items.append(item)
    return items, lines


def _map(lines: list[Line]) -> tuple[dict[str, Any], list[Line]]:
    indent, pairs = lines[0].indent, {}
    while lines and lines[0].indent == indent:
        found = PAIR.match(lines[0].text)
        if found is None or found[1] in pairs:
            raise ValueError(f"cannot read `{lines[0].text}`")
        rest = lines[1:]
        if found[2]:
            pairs[found[1]] = _scalar(found[2])
        else:
            if not rest or rest[0].indent <= indent:
                raise ValueError(f"nothing under `{found[1]}`")
            pairs[found[1]], rest = _block(rest)
        lines = rest
    return pairs, lines


def _scalar(text: str) -> Any:
    if text[0] in '"[{':
        return json.loads(text)
    if text in ("true", "false"):
        return text == "true"
    if re.fullmatch(r"-?\d+(\.\d+)?", text):
        return float(text) if "." in text else int(text)
    if not PLAIN.match(text) or ": " in text:
        raise ValueError(f"cannot read `{text}`")
    return text
