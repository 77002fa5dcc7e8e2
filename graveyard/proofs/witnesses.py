"""No rule is redundant: for each of them, and for each clause, an act that it alone refuses.

A golden decision is taken where one shows it, for it is written down and a person can read it; the solver is asked
where none does, and its answer is judged again before it is shown.
"""

from __future__ import annotations

from typing import NamedTuple

from graveyard import smt
from graveyard.ethics import numbered
from graveyard.proofs.examples import EXAMPLES, nearest_example
from graveyard.proofs.golden import Row
from graveyard.proofs.outcomes import Lacking, Witness
from graveyard.proofs.questions import Subject


class Search(NamedTuple):
    found: tuple[Witness, ...]
    lacking: tuple[Lacking, ...]


def witnesses(subject: Subject, rows: tuple[Row, ...]) -> Search:
    """One for each rule and for each clause, or why there is none.

    Of the rows only what replays is taken.
    """
    found: list[Witness] = []
    lacking: list[Lacking] = []
    for rule in subject.rules:
        names = [f"{rule.id}.{index}" for index in range(len(rule.clauses))]
        for clause, alone in ((None, names), *enumerate([name] for name in names)):
            one = _shown(subject, rows, rule.id, clause, set(alone)) or _solved(subject, rule.id, clause, set(alone))
            (found if isinstance(one, Witness) else lacking).append(one)  # type: ignore[arg-type]
    return Search(tuple(found), tuple(lacking))


def _shown(subject: Subject, rows: tuple[Row, ...], rule: int, clause: int | None, alone: set[str]) -> Witness | None:
    for row in rows:
        if row.violates and alone.issuperset(row.violates) and set(subject.violated(row.facts)) == set(row.violates):
            return Witness(rule, clause, row.example, dict(row.changes))
    return None


def _solved(subject: Subject, rule: int, clause: int | None, alone: set[str]) -> Witness | Lacking:
    kept: list[smt.Formula] = []
    broken: list[smt.Formula] = []
    for one, index, term in numbered(subject.rules):
        formula = smt.holds(term, subject.act)
        (broken if f"{one.id}.{index}" in alone else kept).append(formula)
    solver = smt.Solver(*kept, smt.negation(smt.both(*broken)), rlimit=subject.rlimit)
    answer = solver.ask()
    if answer != "sat":
        return Lacking(rule, clause, "redundant" if answer == "unsat" else "the solver did not decide it")
    solver.draw_near(*smt.equals(subject.act, EXAMPLES[nearest_example(solver.facts(subject.act))[0]]))
    facts = solver.facts(subject.act)
    violated = set(subject.violated(facts))
    if not violated or not violated <= alone:
        return Lacking(rule, clause, "what the solver found did not replay")
    like, changes = nearest_example(facts)
    return Witness(rule, clause, like, changes)
