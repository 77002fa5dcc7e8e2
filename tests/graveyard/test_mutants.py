"""Every clause, changed by one unit, one operator, one scope, or taken away: a card notices each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from graveyard import interpret
from graveyard.ethics import FACT_BOUNDS, RULES, numbered
from graveyard.expressions import Add, Clause, Const, Fact, Mul, Relation, Sub, Term
from graveyard.words import Facts
from tests.graveyard.cards import CARDS, EXACT
from tests.graveyard.makers import good_facts, reduction_facts

RELATIONS: tuple[Relation, ...] = ("<=", "<", ">=", ">", "==")
CLAUSES = {(rule.id, index): clause for rule, index, clause in numbered(RULES)}


class Golden(NamedTuple):
    facts: Facts
    violated: frozenset[tuple[int, int]]


def golden_decisions() -> Iterator[Golden]:
    nothing: frozenset[tuple[int, int]] = frozenset()
    yield Golden(good_facts(), nothing)
    yield Golden(reduction_facts(), nothing)
    yield from (Golden(good_facts(**changes), nothing) for changes in EXACT)
    for card in CARDS:
        here = frozenset({(card.rule, card.clause)})
        yield Golden(good_facts(**card.on), nothing)
        yield Golden(good_facts(**card.beyond), here)
        yield Golden(reduction_facts(**card.on), nothing)
        yield Golden(reduction_facts(**card.beyond), nothing if card.excused else here)


GOLDEN = tuple(golden_decisions())


def mutants(clause: Clause) -> Iterator[tuple[str, Clause | None]]:
    """Every change of one part; None is the clause taken away."""
    yield "dropped", None
    yield "scope", msgspec.structs.replace(clause, scope="every" if clause.scope == "opening" else "opening")
    for relation in RELATIONS:
        if relation != clause.relation and (relation != "==" or clause.scale == 1):
            yield f"relation {relation}", msgspec.structs.replace(clause, relation=relation)
    yield from scales(clause)
    if not isinstance(clause.limit, Const):
        for by in (-1, 1):
            yield f"limit {by:+}", msgspec.structs.replace(clause, limit=Add(clause.limit, Const(by)))
    for side in ("measured", "limit"):
        for what, term in moved(getattr(clause, side)):
            yield f"{side} {what}", msgspec.structs.replace(clause, **{side: term})


def scales(clause: Clause) -> Iterator[tuple[str, Clause]]:
    """The scale moved by one, and by one in a thousand where the limit is no constant."""
    if clause.relation == "==":
        return
    for scale in {clause.scale + 1, max(1, clause.scale - 1)} - {clause.scale}:
        yield f"scale {scale}", msgspec.structs.replace(clause, scale=scale)
    if isinstance(clause.limit, Const):
        return
    for by, per in ((999, 1000), (1001, 1000), (1000, 999), (1000, 1001)):
        fine = msgspec.structs.replace(clause, scale=clause.scale * by, limit=Mul(per, clause.limit))
        yield f"scale by {by}/{per}", fine


def moved(term: Term) -> Iterator[tuple[str, Term]]:
    """The term with one constant moved by one."""
    match term:
        case Const(value):
            yield from ((f"{value}{by:+}", Const(value + by)) for by in (-1, 1))
        case Fact():
            return
        case Mul(factor, inner):
            yield from ((f"{factor}{by:+}", Mul(factor + by, inner)) for by in (-1, 1))
            yield from ((what, Mul(factor, part)) for what, part in moved(inner))
        case Add(left, right) | Sub(left, right):
            yield from ((what, type(term)(part, right)) for what, part in moved(left))
            yield from ((what, type(term)(left, part)) for what, part in moved(right))


def means_the_same(clause: Clause, mutant: Clause | None) -> bool:
    """Whether no integer inside the bounds tells the two apart: shown by arithmetic, for a fact against a constant.

    `= c` at the end of a fact's bounds is `≥ c` (or `≤ c`), for there is nothing beyond; `2 × a > 0` is `a > 0`.
    """
    if mutant is None or not isinstance(clause.limit, Const) or not isinstance(clause.measured, Fact):
        return False
    if clause.relation == "==":
        low, high, _ = FACT_BOUNDS[clause.measured.name]
        ends = {"<=": low, ">=": high}
        return clause.limit.value == ends.get(mutant.relation)
    if mutant.relation != clause.relation or mutant.scope != clause.scope or mutant.limit != clause.limit:
        return False
    return threshold(clause) == threshold(mutant)


def threshold(clause: Clause) -> int:
    """The last integer on the lower side of the boundary."""
    assert isinstance(clause.limit, Const)
    limit, scale = clause.limit.value, clause.scale
    return limit // scale if clause.relation in {"<=", ">"} else (limit - 1) // scale


def is_noticed(at: tuple[int, int], mutant: Clause | None) -> bool:
    return any(
        (mutant is not None and not interpret.holds(mutant, golden.facts, FACT_BOUNDS)) != (at in golden.violated)
        for golden in GOLDEN
    )


def test_the_rules_as_they_are_decide_every_golden_case() -> None:
    for at, clause in CLAUSES.items():
        assert not is_noticed(at, clause), at


def test_no_changed_clause_survives_the_golden_cases() -> None:
    survivors, killed, same = [], 0, 0
    for at, clause in CLAUSES.items():
        for what, mutant in mutants(clause):
            if means_the_same(clause, mutant):
                same += 1
            elif is_noticed(at, mutant):
                killed += 1
            else:
                survivors.append((at, what))
    assert survivors == []
    assert killed >= 200
    assert same <= killed // 10, "the way out for equal meanings must stay narrow"
