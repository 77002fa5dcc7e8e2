"""The rules with one part of one clause changed: every change that lets something more through must be noticed.

A mutant is *looser* where it approves some act that the rules refuse, *tighter* where it only refuses more, and
*equivalent* where no act tells it from the rules; the solver decides what the golden decisions do not show. A looser
one is noticed by a property (some act that it approves breaks one) or by a golden decision (a row flips); one that
nothing notices is a survivor, and a failure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from operator import attrgetter
from typing import Literal, NamedTuple

import msgspec

from graveyard import interpret, smt
from graveyard.errors import MalformedRule
from graveyard.ethics import numbered
from graveyard.expressions import (
    Add,
    Bounds,
    Clause,
    Condition,
    Const,
    Fact,
    Mul,
    Relation,
    Scope,
    Sub,
    Term,
    facts_of,
    formula,
)
from graveyard.proofs.golden import Row
from graveyard.proofs.outcomes import Census
from graveyard.proofs.properties import PROPERTIES, is_broken
from graveyard.proofs.questions import Subject, breach
from graveyard.smt import Formula
from graveyard.words import Facts

RELATIONS: tuple[Relation, ...] = ("<=", "<", ">=", ">", "==")
SCOPES: tuple[Scope, ...] = ("opening", "order", "every")
Kind = Literal["looser", "tighter", "equivalent", "undecided"]


class Mutant(NamedTuple):
    """One change of one clause; `clause` is None where it was taken away."""

    name: str
    what: str
    clause: Clause | None


def mutants(clause: Clause) -> Iterator[tuple[str, Clause | None]]:
    """Every change of one part that is still of the language, each with what was changed."""
    yield "clause dropped", None
    changes = (*_of_comparison(clause), *_of_scope(clause), *_of_conditions(clause))
    for what, fields in changes:
        try:
            yield what, msgspec.structs.replace(clause, **fields)
        except MalformedRule:
            continue  # `==` with a scale, a constant beyond 64 bits: no rule can say it, so none can be changed to it


_Fields = Mapping[str, object]


def _of_comparison(it: Clause | Condition) -> Iterator[tuple[str, _Fields]]:
    for relation in RELATIONS:
        if relation != it.relation:
            yield f"relation {relation}", {"relation": relation}
    for scale in (it.scale + 1, it.scale - 1):
        yield f"scale {scale}", {"scale": scale}
    for by, per in ((999, 1_000), (1_000, 999)):  # a limit that moves by a thousandth
        yield f"scale × {by}/{per}", {"scale": it.scale * by, "limit": Mul(per, it.limit)}
    for side in ("measured", "limit"):
        term: Term = getattr(it, side)
        for what, moved in _moved(term):
            yield f"{side} {what}", {side: moved}
        if not isinstance(term, Const):
            for by in (-1, 1):
                yield f"{side} {by:+}", {side: Add(term, Const(by))}


def _moved(term: Term) -> Iterator[tuple[str, Term]]:
    """The term with one constant moved by one, and one halved or doubled."""
    match term:
        case Const(value):
            for moved in dict.fromkeys((value - 1, value + 1, 2 * value, value // 2)):
                if moved != value:
                    yield f"{value:_} → {moved:_}", Const(moved)
        case Fact():
            return
        case Mul(factor, inner):
            yield from ((f"factor {factor:_} → {factor + by:_}", Mul(factor + by, inner)) for by in (-1, 1))
            yield from ((what, Mul(factor, part)) for what, part in _moved(inner))
        case Add(left, right) | Sub(left, right):
            yield from ((what, type(term)(part, right)) for what, part in _moved(left))
            yield from ((what, type(term)(left, part)) for what, part in _moved(right))


def _of_scope(clause: Clause) -> Iterator[tuple[str, _Fields]]:
    for scope in SCOPES:
        if scope != clause.scope:
            yield f"scope {scope}", {"scope": scope}


def _of_conditions(clause: Clause) -> Iterator[tuple[str, _Fields]]:
    for at, condition in enumerate(clause.when):
        before, after = clause.when[:at], clause.when[at + 1 :]
        yield f"condition {at} dropped", {"when": before + after}
        for what, fields in _of_comparison(condition):
            try:
                changed = msgspec.structs.replace(condition, **fields)
            except MalformedRule:
                continue
            yield f"condition {at} {what}", {"when": (*before, changed, *after)}


class _Decision:
    """A golden row, with what is asked of it again and again."""

    def __init__(self, row: Row, bounds: Bounds) -> None:
        self.facts = row.facts
        self.violates = frozenset(row.violates)
        self._bounds = bounds

    @cached_property
    def breaks_a_property(self) -> bool:
        """Approved, it would break one."""
        return any(is_broken(stated, self.facts, self._bounds) for stated in PROPERTIES)


class _Court:
    """What every mutant is held against: the rules, the golden rows, and what breaks a property."""

    def __init__(self, subject: Subject, rows: tuple[Row, ...]) -> None:
        self.subject = subject
        self.decisions = tuple(_Decision(row, subject.bounds) for row in rows)
        self.formulas = {
            f"{rule.id}.{index}": smt.holds(one, subject.act) for rule, index, one in numbered(subject.rules)
        }
        self.broken = smt.either(*(breach(stated, subject.act) for stated in PROPERTIES))


class _Place:
    """One clause among all others: the decisions that can tell it from a changed one, and two solvers that can."""

    def __init__(self, court: _Court, name: str, clause: Clause) -> None:
        self.name = name
        self.clause = clause
        self._court = court
        self._telling: dict[tuple[str, ...], tuple[_Decision, ...]] = {}

    def decisions(self, facts: tuple[str, ...]) -> tuple[_Decision, ...]:
        """Of the decisions that are alike in these facts, the one that the fewest other clauses refuse."""
        if facts not in self._telling:
            values = attrgetter(*facts)
            best: dict[object, _Decision] = {}
            for decision in self._court.decisions:
                key = values(decision.facts)
                if key not in best or self.others(decision) < self.others(best[key]):
                    best[key] = decision
            self._telling[facts] = tuple(best.values())
        return self._telling[facts]

    def others(self, decision: _Decision) -> int:
        """How many other clauses refuse it."""
        return len(decision.violates) - (self.name in decision.violates)

    @cached_property
    def refused(self) -> smt.Solver:
        """Acts that this clause alone refuses."""
        return smt.Solver(*self._all_others, smt.negation(self._own), rlimit=self._court.subject.rlimit)

    @cached_property
    def passing(self) -> smt.Solver:
        """Acts that the rules approve."""
        return smt.Solver(*self._all_others, self._own, rlimit=self._court.subject.rlimit)

    @property
    def _own(self) -> Formula:
        return self._court.formulas[self.name]

    @property
    def _all_others(self) -> list[Formula]:
        return [formula for name, formula in self._court.formulas.items() if name != self.name]

    def find(self, changed: Clause | None) -> _Finding:
        """What becomes of the rules with this change."""
        subject = self._court.subject
        names = facts_of(self.clause) + (() if changed is None else facts_of(changed))
        flips = [
            decision
            for decision in self.decisions(tuple(dict.fromkeys(names)))
            if _is_violated(changed, decision.facts, subject.bounds) != (self.name in decision.violates)
        ]
        let_through = [one for one in flips if self.name in one.violates and not self.others(one)]
        if any(one.breaks_a_property for one in let_through):
            return _Finding("looser", by_golden=True, by_property=True)
        now = smt.both(True) if changed is None else smt.holds(changed, subject.act)
        looser = "sat" if let_through else self.refused.ask(now)
        if looser == "unsat":
            return _Finding(self._tighter_or_equivalent(flips, now))
        if looser == "unknown":
            return _Finding("undecided")
        by_property = self.refused.ask(now, self._court.broken) == "sat"
        return _Finding("looser", bool(flips), by_property)

    def _tighter_or_equivalent(self, flips: list[_Decision], now: Formula) -> Kind:
        if any(not decision.violates for decision in flips):
            return "tighter"
        answer = self.passing.ask(smt.negation(now))
        return _REFUSING[answer]


_REFUSING: dict[smt.Answer, Kind] = {"sat": "tighter", "unsat": "equivalent", "unknown": "undecided"}


def _is_violated(changed: Clause | None, facts: Facts, bounds: Bounds) -> bool:
    return changed is not None and not interpret.holds(changed, facts, bounds)


class _Finding(NamedTuple):
    kind: Kind
    by_golden: bool = False
    by_property: bool = False

    @property
    def is_survivor(self) -> bool:
        return self.kind == "undecided" or (self.kind == "looser" and not (self.by_golden or self.by_property))


def census(subject: Subject, rows: tuple[Row, ...], *, only: frozenset[int] | None = None) -> Census:
    """Every mutant of every clause, counted; of these rules alone where some are named.

    The rows are golden decisions and must be what these rules decide.
    """
    court = _Court(subject, rows)
    findings: dict[str, _Finding] = {}
    for rule, index, clause in numbered(subject.rules):
        if only is not None and rule.id not in only:
            continue
        place = _Place(court, f"{rule.id}.{index}", clause)
        for what, changed in mutants(clause):
            written = "" if changed is None else f": {formula(changed)}"
            findings[f"{place.name} {what}{written}"] = place.find(changed)
    return _counted(findings)


def _counted(findings: Mapping[str, _Finding]) -> Census:
    looser = [finding for finding in findings.values() if finding.kind == "looser"]
    kinds = [finding.kind for finding in findings.values()]
    return Census(
        total=len(findings),
        looser=len(looser),
        tighter=kinds.count("tighter"),
        equivalent=kinds.count("equivalent"),
        killed_by_property=sum(finding.by_property for finding in looser),
        killed_by_golden=sum(finding.by_golden for finding in looser),
        survivors=tuple(name for name, finding in findings.items() if finding.is_survivor),
    )
