"""The plain reader of the rules: term by term, clause by clause, no cleverness. What it says is what the rules mean.

The compiled function must agree with it on every request; it also answers where a fact is missing or absurd,
and it finds the numbers that a refusal shows.
"""

from __future__ import annotations

from typing import NamedTuple, assert_never

from graveyard.errors import MalformedRule
from graveyard.ethics import Rule, numbered
from graveyard.expressions import Add, Bounds, Clause, Const, Fact, Mul, Sub, Term, facts_of
from graveyard.words import Facts


class Heard(NamedTuple):
    """One clause, heard.

    Attributes:
        applies: False for an opening clause on a pure reduction; it then holds.
        measured, limit: in the clause's unit; the limit is `limit / scale`, rounded so that the comparison stays
            exact. None where a fact is missing or absurd.
        margin: how far the measured value may still move, in the unit; < 0 exactly where the comparison fails.
    """

    applies: bool
    holds: bool
    measured: int | None
    limit: int | None
    margin: int | None


def known(name: str, facts: Facts, bounds: Bounds) -> int | None:
    """The fact, or None where it is missing, no exact int, or outside its bounds."""
    value = getattr(facts, name)
    if type(value) is not int:
        return None
    low, high, _ = bounds[name]
    return value if low <= value <= high else None


def unknown_facts(clause: Clause, facts: Facts, bounds: Bounds) -> tuple[str, ...]:
    """The facts that this clause reads and that are missing or absurd."""
    return tuple(name for name in facts_of(clause) if known(name, facts, bounds) is None)


def value_of(term: Term, facts: Facts, bounds: Bounds) -> int | None:
    """The term's value; None where a fact in it is missing or absurd."""
    if isinstance(term, Const):
        return term.value
    if isinstance(term, Fact):
        return known(term.name, facts, bounds)
    if isinstance(term, Mul):
        inner = value_of(term.term, facts, bounds)
        return None if inner is None else term.factor * inner
    if not isinstance(term, (Add, Sub)):
        raise MalformedRule(f"`{term!r:.40}` is not a term")
    left, right = value_of(term.left, facts, bounds), value_of(term.right, facts, bounds)
    if left is None or right is None:
        return None
    return left + right if isinstance(term, Add) else left - right


def holds(clause: Clause, facts: Facts, bounds: Bounds) -> bool:
    """Whether the clause is satisfied: it holds, or it is not heard for this act."""
    if clause.scope == "opening":
        opening = known("is_opening", facts, bounds)
        if opening is None:
            return False
        if opening == 0:
            return True
    measured = value_of(clause.measured, facts, bounds)
    limit = value_of(clause.limit, facts, bounds)
    if measured is None or limit is None:
        return False
    return _compare(clause, clause.scale * measured, limit)


def _compare(clause: Clause, scaled: int, limit: int) -> bool:
    match clause.relation:
        case "<=":
            return scaled <= limit
        case "<":
            return scaled < limit
        case ">=":
            return scaled >= limit
        case ">":
            return scaled > limit
        case "==":
            return scaled == limit
        case _:
            assert_never(clause.relation)


def hear(clause: Clause, facts: Facts, bounds: Bounds) -> Heard:
    """The clause with the numbers that a person wants to see."""
    opening = known("is_opening", facts, bounds)
    measured = value_of(clause.measured, facts, bounds)
    limit = value_of(clause.limit, facts, bounds)
    if limit is not None:
        limit = _in_unit(clause, limit)
    if clause.scope == "opening" and opening is None:
        measured = None
    return Heard(
        applies=clause.scope == "every" or opening != 0,
        holds=holds(clause, facts, bounds),
        measured=measured,
        limit=limit,
        margin=None if measured is None or limit is None else _margin(clause, measured, limit),
    )


def _in_unit(clause: Clause, limit: int) -> int:
    """`limit / scale`, rounded to the side on which no integer changes its answer."""
    if clause.relation in {"<=", ">"}:
        return limit // clause.scale
    return -(-limit // clause.scale)


def _margin(clause: Clause, measured: int, limit: int) -> int:
    match clause.relation:
        case "<=":
            return limit - measured
        case "<":
            return limit - measured - 1
        case ">=":
            return measured - limit
        case ">":
            return measured - limit - 1
        case "==":
            return -abs(measured - limit)
        case _:
            assert_never(clause.relation)


def mask(rules: tuple[Rule, ...], facts: Facts, bounds: Bounds) -> int:
    """One bit per violated clause, in the order of `numbered`; a clause that raises is violated."""
    violated = 0
    for bit, (_, _, clause) in enumerate(numbered(rules)):
        try:
            satisfied = holds(clause, facts, bounds)
        except Exception:  # noqa: BLE001  # error = refusal, whatever it is
            satisfied = False
        if not satisfied:
            violated |= 1 << bit
    return violated
