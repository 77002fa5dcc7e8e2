"""How a question is put to the solver, and how its answer is believed: never without a replay.

A `Question` is a list of formulas that cannot all be true at once, if what it stands for holds. Where the solver finds
that they can, the acts it found are judged again by `graveyard.judge` and everything else is computed again in plain
fractions; only then is it shown as a counterexample. *Unknown* is a failure, and so is an answer that does not replay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from graveyard import smt
from graveyard.ethics import FACT_BOUNDS, RULES, Rule, numbered
from graveyard.expressions import Bounds
from graveyard.judge import Judge
from graveyard.proofs.examples import EXAMPLES, Changes, in_words, nearest_example
from graveyard.proofs.outcomes import Act, Outcome, Shown
from graveyard.proofs.properties import Property, Said, Seen, is_broken
from graveyard.smt import RLIMIT, Answer, Formula, Number, Request
from graveyard.words import Facts

Clock = Callable[[], int]
"""Nanoseconds of a clock that never goes back; handed in, for nothing here reads the time of the machine."""

Acts = Mapping[str, Facts]
Numbers = Mapping[str, Fraction]


class Subject:
    """The rules that something is proved about, read once."""

    def __init__(self, rules: tuple[Rule, ...] = RULES, bounds: Bounds = FACT_BOUNDS, *, rlimit: int = RLIMIT) -> None:
        self.rules = rules
        self.bounds = bounds
        self.rlimit = rlimit
        self.judge = Judge(rules, bounds)
        self.act = Request(bounds)
        self.keeps = tuple(smt.keeps(rule, self.act) for rule in rules)
        self.approved: Formula = smt.both(bool(rules), *self.keeps)

    def approves(self, facts: Facts) -> bool:
        return self.judge.verdict(facts).approved

    def violated(self, facts: Facts) -> tuple[str, ...]:
        """`rule.clause` of each violation."""
        return tuple(f"{found.rule}.{found.clause}" for found in self.judge.verdict(facts).violations)

    def clause_names(self) -> tuple[str, ...]:
        return tuple(f"{rule.id}.{index}" for rule, index, _ in numbered(self.rules))


class Question(NamedTuple):
    """Formulas that together say: here it fails.

    Attributes:
        acts: the requests in them, under the names that a person reads.
        numbers: what else is unknown in them.
        replay: what is wrong, in words, computed again from the acts and numbers that were found; None where nothing is.
        expects: `sat` where the question is whether something exists at all.
        shown_last: facts that matter; the others are drawn to those of an ordinary act first.
    """

    formulas: tuple[Formula, ...]
    acts: Mapping[str, Request]
    replay: Callable[[Acts, Numbers], str | None]
    numbers: Mapping[str, Number] = {}
    expects: Answer = "unsat"
    shown_last: frozenset[str] = frozenset()


class Stated(NamedTuple):
    """A name, a sentence, and the question that would refute it."""

    name: str
    says: str
    question: Callable[[Subject], Question]


def settle(stated: Stated, subject: Subject, clock: Clock) -> Outcome:
    """Ask, replay what is found, and say what became of it."""
    began = clock()
    question = stated.question(subject)
    solver = smt.Solver(*question.formulas, rlimit=subject.rlimit)
    answer = solver.ask()
    shown: Shown | None = None
    reason = ""
    if answer == "sat":
        solver.draw_near(*_wishes(question, solver))
        shown, reason = _replayed(question, subject, solver)
    elif answer == "unknown":
        reason = f"the solver did not decide it within {subject.rlimit} steps"
    ms = round((clock() - began) / 1_000_000, 2)
    if reason:
        return Outcome(stated.name, stated.says, "unknown", ms, reason=reason)
    if answer == question.expects:
        return Outcome(stated.name, stated.says, "proved", ms, example=shown)
    reason = "" if shown else "there is no such act"
    return Outcome(stated.name, stated.says, "refuted", ms, counterexample=shown, reason=reason)


def _wishes(question: Question, solver: smt.Solver) -> list[Formula]:
    """As few facts as possible differ from an ordinary act, as many amounts as possible are nothing."""
    wishes: list[Formula] = [number == 0 for number in question.numbers.values()]
    for request in question.acts.values():
        like = EXAMPLES[nearest_example(solver.facts(request))[0]]
        names = sorted(like, key=lambda name: name in question.shown_last)  # stable: the order of `Facts` otherwise
        changes: Changes = {name: like[name] for name in names if name in request.bounds}
        wishes += smt.equals(request, changes)
    return wishes


def _replayed(question: Question, subject: Subject, solver: smt.Solver) -> tuple[Shown | None, str]:
    acts = {name: solver.facts(request) for name, request in question.acts.items()}
    numbers = {name: Fraction(*solver.number(number)) for name, number in question.numbers.items()}
    words = question.replay(acts, numbers)
    if words is None:
        return None, "what the solver found did not replay: the readers of the rules disagree"
    described = {name: _described(facts, subject) for name, facts in acts.items()}
    return Shown(words, described, {name: str(number) for name, number in numbers.items()}), ""


def _described(facts: Facts, subject: Subject) -> Act:
    like, changes = nearest_example(facts)
    return Act(like, changes, subject.violated(facts))


def is_false(said: Said, request: Request) -> Formula:
    """The predicate is known to be false of this request."""
    known, true = _read(said, request)
    return smt.both(known, smt.negation(true))


def is_true(said: Said, request: Request) -> Formula:
    """The predicate is known to be true of this request."""
    return smt.both(*_read(said, request))


def _read(said: Said, request: Request) -> tuple[Formula, Any]:
    seen = Seen(request.value, smt.exact)
    answer = smt.both(said(seen))
    return smt.both(*(request.known[name] for name in seen.read)), answer


def breach(stated: Property, request: Request) -> Formula:
    """The request, if it is approved, breaks the property."""
    heard = (smt.negation(is_false(said, request)) for said in stated.where)
    return smt.both(*heard, smt.negation(is_true(stated.demands, request)))


def about_one_act(stated: Property) -> Stated:
    """The question whether an approved act breaks the property."""

    def question(subject: Subject) -> Question:
        def replay(acts: Acts, _numbers: Numbers) -> str | None:
            facts = acts["act"]
            if not subject.approves(facts) or not is_broken(stated, facts, subject.bounds):
                return None
            return f"Approved, and it must not be: {in_words(facts, subject.bounds)}"

        return Question(
            (subject.approved, breach(stated, subject.act)),
            {"act": subject.act},
            replay,
            shown_last=frozenset(_facts_read(stated)),
        )

    return Stated(stated.name, stated.says, question)


def _facts_read(stated: Property) -> set[str]:
    seen = Seen(dict.fromkeys(EXAMPLES["opening"], 0), Fraction)
    for said in (*stated.where, stated.demands):
        said(seen)
    return set(seen.read)
