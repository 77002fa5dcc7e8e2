"""The plain reader of the rules: term by term, clause by clause, no cleverness. What it says is what the rules mean.

The compiled function must agree with it on every request; it also answers where a fact is missing or absurd,
and it finds the numbers that a refusal shows.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, assert_never

from graveyard.errors import MalformedRule
from graveyard.ethics import Rule, numbered
from graveyard.expressions import (
    SCOPE_FACTS,
    Add,
    Bounds,
    Clause,
    Condition,
    Const,
    Fact,
    Mul,
    Relation,
    Sub,
    Term,
    facts_of,
)
from graveyard.words import Facts


class Heard(NamedTuple):
    """One clause, heard.

    Attributes:
        applies: False where the clause is not heard for this act, by its scope or its conditions; it then holds.
        measured, limit: in the clause's unit; the limit is `limit / scale`, rounded so that the comparison stays
            exact. None where a fact is missing or absurd.
        margin: how far the measured value may still move, in the unit; < 0 exactly where the comparison fails.
    """

    applies: bool
    holds: bool
    measured: int | None
    limit: int | None
    margin: int | None


Read = Mapping[str, int | None]
"""Facts by name; None where one is missing or absurd."""

_RELATIONS: dict[Relation, Callable[[int, int], bool]] = {
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    ">": operator.gt,
    "==": operator.eq,
}


def known(name: str, facts: Facts, bounds: Bounds) -> int | None:
    """The fact, or None where it is missing, no exact int, or outside its bounds."""
    value = getattr(facts, name)
    if type(value) is not int:
        return None
    low, high, _ = bounds[name]
    return value if low <= value <= high else None


def read(names: Iterable[str], facts: Facts, bounds: Bounds) -> Read:
    """These facts, as far as they are known."""
    return {name: known(name, facts, bounds) for name in names}


def unknown_facts(clause: Clause, facts: Facts, bounds: Bounds) -> tuple[str, ...]:
    """The facts that this clause reads and that are missing or absurd."""
    return tuple(name for name in facts_of(clause) if known(name, facts, bounds) is None)


def value_of(term: Term, facts: Read) -> int | None:
    """The term's value; None where a fact in it is missing or absurd."""
    if isinstance(term, Fact):
        return facts[term.name]
    if isinstance(term, Const):
        return term.value
    if isinstance(term, Mul):
        inner = value_of(term.term, facts)
        return None if inner is None else term.factor * inner
    if not isinstance(term, (Add, Sub)):
        raise MalformedRule(f"`{term!r:.40}` is not a term")
    left, right = value_of(term.left, facts), value_of(term.right, facts)
    if left is None or right is None:
        return None
    return left + right if isinstance(term, Add) else left - right


def is_heard(clause: Clause, facts: Read) -> bool | None:
    """Whether the clause is heard for this act; None where a fact that says so is missing or absurd.

    One thing that is known to be otherwise settles it, whatever is missing besides.
    """
    heard: bool | None = True
    if clause.scope != "every":
        scope = facts[SCOPE_FACTS[clause.scope]]
        if scope == 0:
            return False
        heard = None if scope is None else True
    for condition in clause.when:
        answer = _compare(condition, facts)
        if answer is False:
            return False
        heard = None if answer is None else heard
    return heard


def is_satisfied(clause: Clause, facts: Read) -> bool:
    """Whether the clause holds, or is not heard for this act."""
    heard = is_heard(clause, facts)
    return heard is False or (heard is True and _compare(clause, facts) is True)


def holds(clause: Clause, facts: Facts, bounds: Bounds) -> bool:
    """Whether the clause holds over these facts, or is not heard for this act."""
    return is_satisfied(clause, read(facts_of(clause), facts, bounds))


def _compare(it: Clause | Condition, facts: Read) -> bool | None:
    """The comparison itself; None where a fact in it is missing or absurd."""
    measured, limit = value_of(it.measured, facts), value_of(it.limit, facts)
    if measured is None or limit is None:
        return None
    return _RELATIONS[it.relation](it.scale * measured, limit)


def hear(clause: Clause, facts: Facts, bounds: Bounds) -> Heard:
    """The clause with the numbers that a person wants to see."""
    found = read(facts_of(clause), facts, bounds)
    applies = is_heard(clause, found)
    measured, limit = value_of(clause.measured, found), value_of(clause.limit, found)
    if limit is not None:
        limit = _in_unit(clause, limit)
    if applies is None:
        measured = None
    return Heard(
        applies=applies is not False,
        holds=is_satisfied(clause, found),
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
    found, violated = read(bounds, facts, bounds), 0
    for bit, (_, _, clause) in enumerate(numbered(rules)):
        try:
            satisfied = is_satisfied(clause, found)
        except Exception:  # noqa: BLE001  # error = refusal, whatever it is
            satisfied = False
        if not satisfied:
            violated |= 1 << bit
    return violated
