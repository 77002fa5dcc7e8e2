"""Every clause, changed by one unit, one operator, one scope, one condition, or taken away: a card notices each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeVar

import msgspec

from graveyard import interpret
from graveyard.ethics import FACT_BOUNDS, RULES, numbered
from graveyard.expressions import Add, Bound, Clause, Condition, Const, Fact, Mul, Relation, Scope, Sub, Term
from graveyard.words import Facts
from tests.graveyard.cards import CARDS, EXACT, HEARD, UNHEARD
from tests.graveyard.makers import good_facts, operation_facts, reduction_facts

SCOPES: tuple[Scope, ...] = ("opening", "order", "every")
RELATIONS: tuple[Relation, ...] = ("<=", "<", ">=", ">", "==")
CLAUSES = {(rule.id, index): clause for rule, index, clause in numbered(RULES)}


class Golden(NamedTuple):
    facts: Facts
    violated: frozenset[tuple[int, int]]


def golden_decisions() -> Iterator[Golden]:
    nothing: frozenset[tuple[int, int]] = frozenset()
    for facts in (good_facts(), reduction_facts(), operation_facts()):
        yield Golden(facts, nothing)
    yield from (Golden(good_facts(**changes), nothing) for changes in (*EXACT, *UNHEARD))
    yield from (Golden(good_facts(**changes), frozenset({at})) for at, changes in HEARD)
    # Rules 3 and 8 ask for the price of what opens; the clause for reductions is not heard.
    yield Golden(good_facts(entry_price_atoms=0), frozenset({(3, 0), (8, 3)}))
    for card in CARDS:
        here = frozenset({(card.rule, card.clause)})
        yield Golden(good_facts(**card.on), nothing)
        yield Golden(good_facts(**card.beyond), here)
        yield Golden(reduction_facts(**card.on), nothing)
        yield Golden(reduction_facts(**card.beyond), nothing if card.excused else here)
        yield Golden(operation_facts(**card.beyond), nothing if card.no_order else here)


GOLDEN = tuple(golden_decisions())
Mutant = tuple[str, Clause | None]


def mutants(clause: Clause) -> Iterator[Mutant]:
    """Every change of one part; None is the clause taken away."""
    yield "dropped", None
    for scope in SCOPES:
        if scope != clause.scope:
            yield f"scope {scope}", msgspec.structs.replace(clause, scope=scope)
    yield from compared_otherwise(clause)
    for n, condition in enumerate(clause.when):
        others = clause.when[:n], clause.when[n + 1 :]
        yield f"condition {n} dropped", msgspec.structs.replace(clause, when=others[0] + others[1])
        for what, changed in compared_otherwise(condition):
            yield f"condition {n}: {what}", msgspec.structs.replace(clause, when=(*others[0], changed, *others[1]))


Comparison = TypeVar("Comparison", Clause, Condition)


def compared_otherwise(it: Comparison) -> Iterator[tuple[str, Comparison]]:
    for relation in RELATIONS:
        if relation != it.relation and (relation != "==" or it.scale == 1):
            yield f"relation {relation}", msgspec.structs.replace(it, relation=relation)
    yield from scales(it)
    if not isinstance(it.limit, Const):
        for by in (-1, 1):
            yield f"limit {by:+}", msgspec.structs.replace(it, limit=Add(it.limit, Const(by)))
    for side in ("measured", "limit"):
        for what, term in moved(getattr(it, side)):
            yield f"{side} {what}", msgspec.structs.replace(it, **{side: term})


def scales(it: Comparison) -> Iterator[tuple[str, Comparison]]:
    """The scale moved by one, and by one in a thousand where the limit is no constant."""
    if it.relation == "==":
        return
    for scale in {it.scale + 1, max(1, it.scale - 1)} - {it.scale}:
        yield f"scale {scale}", msgspec.structs.replace(it, scale=scale)
    if isinstance(it.limit, Const):
        return
    for by, per in ((999, 1000), (1001, 1000), (1000, 999), (1000, 1001)):
        yield f"scale by {by}/{per}", msgspec.structs.replace(it, scale=it.scale * by, limit=Mul(per, it.limit))


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


# `is_opening ≤ is_order` says nothing where `is_opening` is 0, so it may as well not be heard there; and between 0 and 1
# there is no integer that a thousandth could tell apart.
SAME = {((5, 0), "scope opening"), ((5, 0), "scale by 999/1000"), ((5, 0), "scale by 1000/1001")}


def means_the_same(clause: Clause, mutant: Clause | None) -> bool:
    """Whether no integer inside the bounds tells the two apart: shown by arithmetic, for a fact against a constant.

    `= c` at the end of a fact's bounds is `≥ c` (or `≤ c`), for there is nothing beyond; `2 × a > 0` is `a > 0`.
    """
    if mutant is None or mutant.scope != clause.scope or len(mutant.when) != len(clause.when):
        return False
    pairs: list[tuple[Clause | Condition, Clause | Condition]] = [
        (clause, mutant),
        *zip(clause.when, mutant.when, strict=True),
    ]
    changed = [(was, now) for was, now in pairs if not compares_alike(was, now)]
    return all(same_integers(was, now) for was, now in changed)


def compares_alike(was: Clause | Condition, now: Clause | Condition) -> bool:
    return (was.measured, was.relation, was.limit, was.scale) == (now.measured, now.relation, now.limit, now.scale)


def same_integers(was: Clause | Condition, now: Clause | Condition) -> bool:
    if was.measured != now.measured or not isinstance(was.measured, Fact):
        return False
    if not isinstance(was.limit, Const) or not isinstance(now.limit, Const):
        return False
    bound = FACT_BOUNDS[was.measured.name]
    return satisfying(was, bound) == satisfying(now, bound)


def satisfying(it: Clause | Condition, bound: Bound) -> tuple[int, int]:
    """The first and the last integer inside the bounds for which it holds."""
    assert isinstance(it.limit, Const)
    limit, scale = it.limit.value, it.scale
    low, high = {
        "<=": (bound.low, limit // scale),
        "<": (bound.low, -(-limit // scale) - 1),
        ">=": (-(-limit // scale), bound.high),
        ">": (limit // scale + 1, bound.high),
        "==": (limit, limit),
    }[it.relation]
    return max(low, bound.low), min(high, bound.high)


def is_noticed(at: tuple[int, int], mutant: Clause | None) -> bool:
    return any(
        (mutant is not None and not interpret.holds(mutant, golden.facts, FACT_BOUNDS)) != (at in golden.violated)
        for golden in sorted(GOLDEN, key=lambda golden: at not in golden.violated)
    )


def test_the_rules_as_they_are_decide_every_golden_case() -> None:
    for at, clause in CLAUSES.items():
        assert not is_noticed(at, clause), at


def test_no_changed_clause_survives_the_golden_cases() -> None:
    survivors, killed, same = [], 0, 0
    for at, clause in CLAUSES.items():
        for what, mutant in mutants(clause):
            if (at, what) in SAME or means_the_same(clause, mutant):
                same += 1
            elif is_noticed(at, mutant):
                killed += 1
            else:
                survivors.append((at, what))
    assert survivors == []
    assert killed >= 600
    assert same <= killed // 10, "the way out for equal meanings must stay narrow"
