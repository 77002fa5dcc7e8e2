"""The solver's reader of the rules: the same clauses, as terms of z3, about an act of which nothing is said yet.

It says exactly what `interpret.py` says, for all acts at once: a clause that is heard over a missing or absurd fact is
violated, and one thing that is known to be otherwise settles that it is not heard. z3 is optional (extra `prove`); nothing that trades imports this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias, assert_never

import z3  # type: ignore[import-untyped]

from graveyard.ethics import Rule
from graveyard.expressions import SCOPE_FACTS, Add, Bounds, Clause, Condition, Const, Fact, Mul, Sub, Term
from graveyard.words import Facts

Formula: TypeAlias = Any  # a Boolean of z3, which is not typed
Number: TypeAlias = Any  # an integer or a rational of z3
Answer = Literal["sat", "unsat", "unknown"]

RLIMIT = 40_000_000
"""Steps of the solver for one question, some twenty seconds; counted, not timed, so that every machine ends alike."""


class Request:
    """One act of which nothing is said: per fact an integer, whether it was given, and whether it is thereby known.

    Args:
        name: tells the unknowns of several requests apart.
        like: shares the facts of that request, read under these bounds …
        apart: … but for these.
    """

    def __init__(
        self, bounds: Bounds, name: str = "act", *, like: Request | None = None, apart: Iterable[str] = ()
    ) -> None:
        own = set(apart)
        self.bounds = bounds
        self.value: dict[str, Number] = {}
        self.given: dict[str, Formula] = {}
        self.known: dict[str, Formula] = {}
        for fact, bound in bounds.items():
            is_shared = like is not None and fact not in own
            self.value[fact] = like.value[fact] if like and is_shared else z3.Int(f"{name}.{fact}")
            self.given[fact] = like.given[fact] if like and is_shared else z3.Bool(f"{name}.{fact}.given")
            inside = (bound.low <= self.value[fact], self.value[fact] <= bound.high)
            self.known[fact] = z3.And(self.given[fact], *inside)


class _Comparison(NamedTuple):
    known: Formula
    holds: Formula


def holds(clause: Clause, request: Request) -> Formula:
    """The clause is satisfied: it holds, or it is not heard for this act."""
    answers = [_compare(condition, request) for condition in clause.when]
    if clause.scope != "every":
        scope = SCOPE_FACTS[clause.scope]
        answers.append(_Comparison(request.known[scope], request.value[scope] != 0))
    unheard = [z3.And(known, z3.Not(true)) for known, true in answers]
    own = _compare(clause, request)
    heard = [part for answer in answers for part in answer]
    return z3.Or(*unheard, z3.And(*heard, own.known, own.holds))


def keeps(rule: Rule, request: Request) -> Formula:
    """The act violates no clause of the rule."""
    return z3.And(*(holds(clause, request) for clause in rule.clauses))


def approved(rules: tuple[Rule, ...], request: Request) -> Formula:
    """The act violates nothing, and rules were heard."""
    return z3.And(bool(rules), *(keeps(rule, request) for rule in rules))


def _compare(it: Clause | Condition, request: Request) -> _Comparison:
    read: set[str] = set()
    measured = it.scale * _value(it.measured, request, read)
    limit = _value(it.limit, request, read)
    known = z3.And(*(request.known[name] for name in sorted(read)))
    match it.relation:
        case "<=":
            return _Comparison(known, measured <= limit)
        case "<":
            return _Comparison(known, measured < limit)
        case ">=":
            return _Comparison(known, measured >= limit)
        case ">":
            return _Comparison(known, measured > limit)
        case "==":
            return _Comparison(known, measured == limit)
        case _:
            assert_never(it.relation)


def _value(term: Term, request: Request, read: set[str]) -> Number:
    """The term; notes the facts in it."""
    match term:
        case Const(value):
            return z3.IntVal(value)
        case Fact(name):
            read.add(name)
            return request.value[name]
        case Add(left, right):
            return _value(left, request, read) + _value(right, request, read)
        case Sub(left, right):
            return _value(left, request, read) - _value(right, request, read)
        case Mul(factor, inner):
            return factor * _value(inner, request, read)
        case _:
            assert_never(term)


def equals(request: Request, facts: Mapping[str, int | None]) -> list[Formula]:
    """The request says this of these facts; None is a fact that is missing."""
    return [
        z3.Not(request.given[name]) if value is None else z3.And(request.given[name], request.value[name] == value)
        for name, value in facts.items()
    ]


class Solver:
    """Questions about one set of assumptions, each with the same allowance of steps.

    Args:
        rlimit: steps for one question; where they do not suffice the answer is `unknown`.
    """

    def __init__(self, *assumptions: Formula, rlimit: int = RLIMIT) -> None:
        self._solver = z3.SolverFor("QF_LIRA")
        self._solver.set("rlimit", rlimit)
        self._solver.add(*assumptions)
        self._model: Any = None

    def ask(self, *questions: Formula) -> Answer:
        """Whether something satisfies assumptions and questions; the last `sat` can be read with `facts`, `number`."""
        self._solver.push()
        try:
            self._solver.add(*questions)
            answer: Answer = str(self._solver.check())  # type: ignore[assignment]
            if answer == "sat":
                self._model = self._solver.model()
        finally:
            self._solver.pop()
        return answer

    def draw_near(self, *wishes: Formula) -> None:
        """Read the last `sat` again, with as many of these wishes as can be had in their order; assumes them for good."""
        if not wishes:
            return
        if self.ask(*wishes) == "sat":
            self._solver.add(*wishes)
        elif len(wishes) > 1:  # halving takes what one by one would take, with far fewer questions
            middle = len(wishes) // 2
            self.draw_near(*wishes[:middle])
            self.draw_near(*wishes[middle:])

    def facts(self, request: Request) -> Facts:
        """The request in the last `sat`, a fact that was not given as None."""
        return Facts(**{name: self._fact(request, name) for name in Facts.__struct_fields__})

    def _fact(self, request: Request, name: str) -> int | None:
        if name not in request.bounds or not z3.is_true(self._model.eval(request.given[name], model_completion=True)):
            return None
        return int(self._model.eval(request.value[name], model_completion=True).as_long())

    def number(self, term: Number) -> tuple[int, int]:
        """A number of the last `sat`, as numerator and denominator."""
        value = self._model.eval(term, model_completion=True)
        if z3.is_int_value(value):
            return int(value.as_long()), 1
        return int(value.numerator_as_long()), int(value.denominator_as_long())


def exact(term: Number) -> Number:
    """The integer as a rational, so that it can be divided."""
    return z3.ToReal(term)


def rational(name: str) -> Number:
    """A rational of which nothing is said."""
    return z3.Real(name)


def integer(name: str) -> Number:
    """An integer of which nothing is said."""
    return z3.Int(name)


def both(*formulas: Formula) -> Formula:
    """All of them."""
    return z3.And(*formulas)


def either(*formulas: Formula) -> Formula:
    """At least one of them."""
    return z3.Or(*formulas)


def negation(formula: Formula) -> Formula:
    """Not so."""
    return z3.Not(formula)


def version() -> str:
    """The solver's version, `4.15.0`."""
    return str(z3.get_version_string())
