"""Reads a ruleset from its canonical bytes, strictly: what `ethics.canonical_ruleset` writes, and nothing else."""

from __future__ import annotations

from types import MappingProxyType

import msgspec

from graveyard.errors import MalformedRule
from graveyard.ethics import FORMAT, Rule, canonical_ruleset, validated
from graveyard.expressions import INT64_MAX, INT64_MIN, Bound, Bounds
from graveyard.words import Facts

MAX_BYTES = 1_048_576  # of one ruleset; capped before it is parsed


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    bounds: dict[str, Bound]
    format: int
    rules: tuple[Rule, ...]


_decoder = msgspec.json.Decoder(_Document)


def read_ruleset(data: bytes) -> tuple[tuple[Rule, ...], Bounds]:
    """The rules and the admissible space of their facts.

    Raises:
        MalformedRule: an unknown operator, fact or field, a missing or doubled one, a doubled rule, a number that is no
            integer, trailing bytes, another spelling of the same ruleset, too deep or too large, bounds that are none.
    """
    if len(data) > MAX_BYTES:
        raise MalformedRule(f"a ruleset of `{len(data)}` bytes was longer than `{MAX_BYTES}`")
    try:
        document = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise MalformedRule(f"a ruleset could not be read: {error}") from error
    if document.format != FORMAT:
        raise MalformedRule(f"a ruleset was of format `{document.format}`, this house reads format `{FORMAT}`")
    bounds = MappingProxyType(document.bounds)
    _demand_bounds(bounds)
    _demand_names(document.rules)
    validated(document.rules, bounds)
    if canonical_ruleset(document.rules, bounds) != data:
        raise MalformedRule("a ruleset was not in its canonical form")
    return document.rules, bounds


def _demand_bounds(bounds: Bounds) -> None:
    for name, bound in bounds.items():
        if name not in Facts.__struct_fields__:
            raise MalformedRule(f"`{name:.40}` has bounds and is not a fact")
        if not INT64_MIN <= bound.low <= bound.high <= INT64_MAX or not bound.unit:
            raise MalformedRule(f"the bounds `{tuple(bound)}` of `{name}` are none")


def _demand_names(rules: tuple[Rule, ...]) -> None:
    names = [rule.name for rule in rules]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise MalformedRule(f"rules `{twice}` are there twice")
