"""What clauses say about ranges: the same comparisons as sums that are at most a constant, and what follows from them.

Every clause is linear, so `10 × exposure ≤ equity` is the sum `10 × exposure - equity ≤ 0`. That one form tells which
values a fact may still have, which bounds follow from others, and where a clause can be left out: the fast readers use
it to compare less than the rules do and mean the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, assert_never

from graveyard.ethics import Rule, numbered
from graveyard.expressions import SCOPE_FACTS, Add, Bound, Bounds, Clause, Condition, Const, Fact, Mul, Sub, Term

_ROUNDS = 4  # a chain of as many clauses is followed; a longer one leaves a bound in that could have been left out


class AtMost(NamedTuple):
    """`Σ factor × fact ≤ constant`; no factor is 0."""

    factors: Mapping[str, int]
    constant: int


class Passing(NamedTuple):
    """What an opening order is like that violates nothing: exactly all of this.

    Attributes:
        within: the values of each fact that is read, both ends included: its bounds, narrowed by every clause over
            that fact alone.
        ways: of each tuple at least one comparison holds.
    """

    within: dict[str, Bound]
    ways: list[tuple[Condition, ...]]


def passing(rules: tuple[Rule, ...], bounds: Bounds, usual: Mapping[str, int] | None = None) -> Passing | None:
    """The rules, for an opening order; None where no opening order can pass.

    Args:
        rules: all of them are heard.
        bounds: the admissible space.
        usual: values that these facts are taken to have; the answer is then about such orders alone.
    """
    read = {name for rule in rules for name in rule.facts_read}
    within = {name: bound for name, bound in bounds.items() if name in read}
    for name in read.intersection(SCOPE_FACTS.values()):
        within[name] = within[name]._replace(low=max(1, within[name].low))
    for name, value in (usual or {}).items():
        if name in within:
            within[name] = within[name]._replace(low=value, high=value)
    open_ways = [ways_to_satisfy(clause) for _, _, clause in numbered(rules)]
    for sum_ in _certain(open_ways):
        if len(sum_.factors) == 1:
            [name] = sum_.factors
            within[name] = _cut(within[name], sum_)
    if any(low > high for low, high, _ in within.values()):
        return None
    left = [_possible(ways, within) for ways in open_ways if not any(always(way, within) for way in ways)]
    return Passing(within, left) if all(left) else None


def ways_to_satisfy(clause: Clause) -> tuple[Condition, ...]:
    """How the clause can be satisfied: a condition fails, or it holds."""
    held = Condition(clause.measured, clause.relation, clause.limit, clause.scale)
    return (*(way for condition in clause.when for way in _opposite(condition)), held)


def _opposite(it: Condition) -> tuple[Condition, ...]:
    match it.relation:
        case "<=":
            return (Condition(it.measured, ">", it.limit, it.scale),)
        case "<":
            return (Condition(it.measured, ">=", it.limit, it.scale),)
        case ">=":
            return (Condition(it.measured, "<", it.limit, it.scale),)
        case ">":
            return (Condition(it.measured, "<=", it.limit, it.scale),)
        case "==":
            return (Condition(it.measured, "<", it.limit), Condition(it.measured, ">", it.limit))
        case _:
            assert_never(it.relation)


def _possible(ways: tuple[Condition, ...], within: Bounds) -> tuple[Condition, ...]:
    return tuple(way for way in ways if not never(way, within))


def _certain(ways: Iterable[tuple[Condition, ...]]) -> list[AtMost]:
    """The sums that hold in any case: those of comparisons without an alternative."""
    return [sum_ for alternatives in ways if len(alternatives) == 1 for sum_ in sums(alternatives[0])]


def _cut(bound: Bound, sum_: AtMost) -> Bound:
    [factor] = sum_.factors.values()
    if factor > 0:
        return bound._replace(high=min(bound.high, sum_.constant // factor))
    return bound._replace(low=max(bound.low, -(sum_.constant // -factor)))


def sums(it: Clause | Condition) -> Iterator[AtMost]:
    """The comparison as one sum that is at most a constant, or as two for `==`."""
    factors: dict[str, int] = {}
    constant = -_gather(Mul(it.scale, it.measured), 1, factors) - _gather(it.limit, -1, factors)
    upper = {name: factor for name, factor in factors.items() if factor}
    if it.relation in {"<=", "<", "=="}:
        yield AtMost(upper, constant - (it.relation == "<"))
    if it.relation in {">=", ">", "=="}:
        yield AtMost({name: -factor for name, factor in upper.items()}, -constant - (it.relation == ">"))


def _gather(term: Term, times: int, factors: dict[str, int]) -> int:
    """Add the term's factors to `factors`; what is returned is its constant part."""
    match term:
        case Const(value):
            return times * value
        case Fact(name):
            factors[name] = factors.get(name, 0) + times
            return 0
        case Add(left, right):
            return _gather(left, times, factors) + _gather(right, times, factors)
        case Sub(left, right):
            return _gather(left, times, factors) + _gather(right, -times, factors)
        case Mul(factor, inner):
            return _gather(inner, times * factor, factors)
        case _:
            assert_never(term)


def always(it: Clause | Condition, within: Bounds) -> bool:
    """Whether the comparison holds for all values within, as far as each fact alone can tell."""
    return all(
        sum(max(factor * within[name].low, factor * within[name].high) for name, factor in factors.items()) <= constant
        for factors, constant in sums(it)
    )


def never(it: Clause | Condition, within: Bounds) -> bool:
    """Whether the comparison holds for no value within, as far as each fact alone can tell."""
    return any(
        sum(min(factor * within[name].low, factor * within[name].high) for name, factor in factors.items()) > constant
        for factors, constant in sums(it)
    )


End = tuple[str, bool]
"""One end of a fact's interval; True is the upper one."""


def ends_to_check(quick: Passing, names: Iterable[str]) -> list[End]:
    """The ends of these facts that do not follow from the comparisons and from the ends of all others.

    An end that is left out follows from what is kept at that moment, and what is kept in the end implies that in turn.
    """
    known = _certain(quick.ways)
    touched = {name for factors, _ in known for name in factors}
    ends = [(name, upper) for name in names for upper in (False, True)]
    kept = {(name, upper) for name in touched for upper in (False, True)}
    for end in ends:
        if end in kept and _follows(end, kept - {end}, quick.within, known):
            kept.discard(end)
    return [end for end in ends if end in kept or end[0] not in touched]


def _follows(end: End, kept: set[End], within: Bounds, known: list[AtMost]) -> bool:
    name, upper = end
    low: dict[str, float] = {fact: within[fact].low if (fact, False) in kept else -math.inf for fact in within}
    high: dict[str, float] = {fact: within[fact].high if (fact, True) in kept else math.inf for fact in within}
    for _ in range(_ROUNDS):
        for factors, constant in known:
            least = {fact: f * (low if f > 0 else high)[fact] for fact, f in factors.items()}
            for fact, f in factors.items():
                room = constant - sum(value for other, value in least.items() if other != fact)
                if room == math.inf:
                    continue
                if f > 0:
                    high[fact] = min(high[fact], room // f)
                else:
                    low[fact] = max(low[fact], -(room // -f))
        if (high[name] <= within[name].high) if upper else (low[name] >= within[name].low):
            return True
    return False
