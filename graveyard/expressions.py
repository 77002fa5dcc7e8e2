"""The closed language that the rules are written in: terms over integer facts, and clauses that compare two terms.

A rule is data. A term is a constant, a fact, a sum, a difference, or a term times a constant; a clause compares
two terms and holds or is violated; conditions say when it is heard. Three restrictions keep every reader exact and every proof decidable:

* integers only: there is no float, and `True` is not a number;
* no division: a limit of a tenth is `scale=10` on the measured side (`10 × exposure ≤ equity`);
* linear: only constants multiply.

Readers of the same data: `interpret.py` (slow and plain), `compile.py` (one Python function), `batch.py` (arrays) and
`smt.py` (a solver's terms).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple, TypeAlias, assert_never

import msgspec

from graveyard.errors import MalformedRule
from graveyard.words import Facts

Relation = Literal["<=", "<", ">=", ">", "=="]
Scope = Literal["opening", "order", "every"]

SCOPE_FACTS: dict[Scope, str] = {"opening": "is_opening", "order": "is_order"}
"""The fact that must not be 0 for a clause of this scope to be heard."""

MAX_DEPTH = 8  # levels of one term
MAX_TERMS = 64  # terms of one clause, both sides
MAX_BYTES = 16_384  # of one encoded clause
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


class Bound(NamedTuple):
    """The admissible values of one fact, both ends included, in `unit`."""

    low: int
    high: int
    unit: str


Bounds: TypeAlias = Mapping[str, Bound]


def is_integer(value: object) -> bool:
    """Exactly an int: neither a bool nor any other subclass."""
    return type(value) is int


class _Node(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="op"):
    pass


class Const(_Node, frozen=True, tag="const"):
    """An integer that fits in signed 64 bits."""

    value: int

    def __post_init__(self) -> None:
        _demand_constant(self.value)


class Fact(_Node, frozen=True, tag="fact"):
    """The value of one field of `Facts`."""

    name: str

    def __post_init__(self) -> None:
        if self.name not in Facts.__struct_fields__:
            raise MalformedRule(f"`{self.name}` is not a fact")


class Add(_Node, frozen=True, tag="add"):
    left: Term
    right: Term


class Sub(_Node, frozen=True, tag="sub"):
    left: Term
    right: Term


class Mul(_Node, frozen=True, tag="mul"):
    """A constant times a term: products of facts do not exist, so every clause is linear."""

    factor: int
    term: Term

    def __post_init__(self) -> None:
        _demand_constant(self.factor)


Term: TypeAlias = "Const | Fact | Add | Sub | Mul"


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a clause is heard: only where `scale × measured` stands in `relation` to `limit`.

    Raises:
        MalformedRule: a part is not of the language.
    """

    measured: Term
    relation: Relation
    limit: Term
    scale: int = 1

    def __post_init__(self) -> None:
        _demand_comparison(self.relation, self.scale)


class Clause(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`scale × measured` stands in `relation` to `limit`, or the clause is violated.

    A clause that is heard over a missing fact (None) or an absurd one (no exact int, or outside its bounds) is violated.
    So is one of which it cannot be said whether it is heard, because a fact of its scope or its conditions is missing.

    Attributes:
        scale: ≥ 1; the limit that a person reads is `limit / scale`, and multiplying keeps the comparison exact.
            1 where the relation is `==`.
        unit: of `measured` and of `limit / scale`.
        scope: `opening` clauses are not heard where `is_opening` is 0 (a pure reduction, an operation), `order`
            clauses not where `is_order` is 0 (an operation).
        when: conditions that must all hold for the clause to be heard.
        why: what is wrong where the clause does not hold; a sentence for a person.

    Raises:
        MalformedRule: a part is not of the language, too deep or too large.
    """

    measured: Term
    relation: Relation
    limit: Term
    unit: str
    scope: Scope
    why: str
    scale: int = 1
    when: tuple[Condition, ...] = ()

    def __post_init__(self) -> None:
        _demand_comparison(self.relation, self.scale)
        if self.scope not in {"opening", "order", "every"}:
            raise MalformedRule(f"`{self.scope}` is not a scope")
        if not self.why or not self.unit:
            raise MalformedRule("a clause was without unit or without a sentence of why")
        if sum(1 for _ in terms(self)) > MAX_TERMS:
            raise MalformedRule(f"a clause had more than `{MAX_TERMS}` terms")


_SIGNS: dict[Relation, str] = {"<=": "≤", "<": "<", ">=": "≥", ">": ">", "==": "="}


def _demand_comparison(relation: object, scale: object) -> None:
    _demand_constant(scale)
    if relation not in _SIGNS:
        raise MalformedRule(f"`{relation}` is not a relation")
    if scale < 1 or (relation == "==" and scale != 1):  # type: ignore[operator]
        raise MalformedRule(f"scale `{scale}` does not fit relation `{relation}`")


def _demand_constant(value: object) -> None:
    if not is_integer(value) or not INT64_MIN <= value <= INT64_MAX:  # type: ignore[operator]
        raise MalformedRule(f"`{value!r:.40}` is not an integer of 64 bits")


def terms(clause: Clause) -> Iterator[Term]:
    """Every term of a clause, its own before those of its conditions, outermost first.

    Raises:
        MalformedRule: something that is no term, or deeper than `MAX_DEPTH`.
    """
    waiting: list[tuple[Term, int]] = []
    for condition in reversed(clause.when):
        waiting += [(condition.limit, 1), (condition.measured, 1)]
    waiting += [(clause.limit, 1), (clause.measured, 1)]
    while waiting:
        term, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise MalformedRule(f"a term was deeper than `{MAX_DEPTH}`")
        yield term
        waiting += ((part, depth + 1) for part in _parts(term))


def _parts(term: Term) -> tuple[Term, ...]:
    match term:
        case Const() | Fact():
            return ()
        case Add(left, right) | Sub(left, right):
            return (right, left)
        case Mul(_, inner):
            return (inner,)
        case _:
            raise MalformedRule(f"`{term!r:.40}` is not a term")


def facts_of(clause: Clause) -> tuple[str, ...]:
    """The facts that decide this clause: those it compares, those of its conditions, that of its scope."""
    names = [term.name for term in terms(clause) if isinstance(term, Fact)]
    if clause.scope != "every":
        names.append(SCOPE_FACTS[clause.scope])
    return tuple(dict.fromkeys(names))


def span(term: Term, bounds: Bounds) -> tuple[int, int]:
    """The least and the greatest value of a term inside the admissible space (interval arithmetic)."""
    match term:
        case Const(value):
            return value, value
        case Fact(name):
            return bounds[name].low, bounds[name].high
        case Add(left, right):
            (a, b), (c, d) = span(left, bounds), span(right, bounds)
            return a + c, b + d
        case Sub(left, right):
            (a, b), (c, d) = span(left, bounds), span(right, bounds)
            return a - d, b - c
        case Mul(factor, inner):
            a, b = span(inner, bounds)
            return min(factor * a, factor * b), max(factor * a, factor * b)
        case _:
            assert_never(term)


def formula(clause: Clause) -> str:
    """The clause as a person writes it: `10 × exposure_after_micros ≤ equity_micros`, `… where is_buy = 1`."""
    written = _comparison(clause)
    return f"{written} where {' and '.join(map(_comparison, clause.when))}" if clause.when else written


def _comparison(it: Clause | Condition) -> str:
    scaled = it.measured if it.scale == 1 else Mul(it.scale, it.measured)
    return f"{_written(scaled)} {_SIGNS[it.relation]} {_written(it.limit)}"


def _written(term: Term) -> str:
    match term:
        case Const(value):
            return f"{value:_}"
        case Fact(name):
            return name
        case Add(left, right):
            return f"({_written(left)} + {_written(right)})"
        case Sub(left, right):
            return f"({_written(left)} - {_written(right)})"
        case Mul(factor, inner):
            return f"{factor:_} × {_written(inner)}"
        case _:
            assert_never(term)


_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder(Clause)


def encode_clause(clause: Clause) -> bytes:
    """The one canonical form: JSON, sorted keys, no spaces, integers only, every field written."""
    return _encoder.encode(clause)


def decode_clause(data: bytes) -> Clause:
    """Read the canonical form and nothing else.

    Raises:
        MalformedRule: an unknown operator or field, a missing or doubled one, a number that is no integer,
            trailing bytes, another spelling of the same clause, too deep or too large.
    """
    if len(data) > MAX_BYTES:
        raise MalformedRule(f"a clause of `{len(data)}` bytes was longer than `{MAX_BYTES}`")
    try:
        clause = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise MalformedRule(f"a clause could not be read: {error}") from error
    if _encoder.encode(clause) != data:
        raise MalformedRule("a clause was not in its canonical form")
    return clause
