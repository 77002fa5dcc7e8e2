"""The whole proof run: every property for all acts, the witnesses, the golden decisions and the mutants."""

from __future__ import annotations

from graveyard import smt
from graveyard.ethics import ruleset_digest
from graveyard.proofs import golden
from graveyard.proofs.entirety import ENTIRETY, HOUSE_STANDS
from graveyard.proofs.induction import INDUCTION
from graveyard.proofs.mutants import census
from graveyard.proofs.outcomes import Golden, Outcome, Result
from graveyard.proofs.properties import PROPERTIES
from graveyard.proofs.questions import Clock, Stated, Subject, about_one_act, settle
from graveyard.proofs.witnesses import witnesses

STATEMENTS: tuple[Stated, ...] = (*map(about_one_act, PROPERTIES), *INDUCTION, *ENTIRETY)
"""All that is proved, in the order in which it is shown."""


def prove(subject: Subject, clock: Clock, *, decisions: bytes | None = None, with_mutants: bool = True) -> Result:
    """Everything about these rules, with the golden decisions of this file, or of the committed one.

    Raises:
        ValueError: `decisions` are no golden decisions of this format.
    """
    data = golden.committed() if decisions is None else decisions
    rows = golden.read(data)
    began = clock()
    proved = properties(subject, clock)
    proofs_done = clock()
    search = witnesses(subject, rows)
    flipped = golden.flipped(rows, subject.rules, subject.bounds)
    witnesses_done = clock()
    mutants = census(subject, rows) if with_mutants else None
    return Result(
        ruleset=ruleset_digest(subject.rules, subject.bounds),
        z3=smt.version(),
        properties=proved,
        assumes=tuple(sentence for sentence, _ in HOUSE_STANDS),
        witnesses=search.found,
        lacking=search.lacking,
        golden=Golden(len(rows), golden.golden_digest(data), tuple(map(_flip_in_words, flipped))),
        mutants=mutants,
        ms={
            "proofs": _ms(proofs_done - began),
            "witnesses": _ms(witnesses_done - proofs_done),
            "mutants": _ms(clock() - witnesses_done),
        },
    )


def properties(subject: Subject, clock: Clock) -> tuple[Outcome, ...]:
    """What became of every statement."""
    return tuple(settle(stated, subject, clock) for stated in STATEMENTS)


def _flip_in_words(rows: tuple[golden.Row, golden.Row]) -> str:
    row, now = rows
    changes = ", ".join(f"{name} {value}" for name, value in row.changes.items()) or "nothing changed"
    was, found = (", ".join(one.violates) or "approved" for one in (row, now))
    return f"{row.example} with {changes}: was {was}, is {found}"


def _ms(nanoseconds: int) -> float:
    return round(nanoseconds / 1_000_000, 1)
