"""What a proof run found, as plain values: they can be read and hashed where the solver is not installed."""

from __future__ import annotations

from typing import Literal

import msgspec

Status = Literal["proved", "refuted", "unknown"]


class Act(msgspec.Struct, frozen=True):
    """A concrete act: the example that it resembles, the facts that differ, the clauses that it violates."""

    like: str
    facts: dict[str, int | None]
    violates: tuple[str, ...]


class Shown(msgspec.Struct, frozen=True):
    """A counterexample or an example, replayed; `numbers` are amounts besides, written `3/2`."""

    words: str
    acts: dict[str, Act]
    numbers: dict[str, str]


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one statement.

    Attributes:
        ms: how long it took.
        counterexample: where it is refuted.
        example: where it says that something exists, and it does.
        reason: where it is not proved and there is nothing to show.
    """

    name: str
    says: str
    status: Status
    ms: float
    counterexample: Shown | None = None
    example: Shown | None = None
    reason: str = ""


class Witness(msgspec.Struct, frozen=True):
    """An act that one rule alone refuses; where `clause` is given, by that clause alone.

    Attributes:
        like: the example that the act resembles.
        facts: those that differ from the example; None is a fact that is missing.
    """

    rule: int
    clause: int | None
    like: str
    facts: dict[str, int | None]


class Lacking(msgspec.Struct, frozen=True):
    """Nothing is refused by this rule or clause alone; `reason` says whether that is shown or only not found."""

    rule: int
    clause: int | None
    reason: str


class Census(msgspec.Struct, frozen=True):
    """How many mutants there were and what became of them.

    Attributes:
        killed_by_property, killed_by_golden: of the looser ones; most are killed by both.
        survivors: looser ones that nothing notices, and those on which the solver did not decide.
    """

    total: int
    looser: int
    tighter: int
    equivalent: int
    killed_by_property: int
    killed_by_golden: int
    survivors: tuple[str, ...]


class Golden(msgspec.Struct, frozen=True):
    """The golden decisions that were at hand.

    Attributes:
        sha256: of the file, 64 hex digits.
        flipped: rows that the rules decide otherwise, in words; must be empty.
    """

    rows: int
    sha256: str
    flipped: tuple[str, ...]


class Result(msgspec.Struct, frozen=True):
    """Everything that one run found; `mutants` is None where they were left out.

    Attributes:
        assumes: what the proof that a way out exists takes for granted, a sentence each.
        ms: of the proofs, the witnesses and the mutants; no part of the report.
    """

    ruleset: str
    z3: str
    properties: tuple[Outcome, ...]
    assumes: tuple[str, ...]
    witnesses: tuple[Witness, ...]
    lacking: tuple[Lacking, ...]
    golden: Golden
    mutants: Census | None
    ms: dict[str, float]

    @property
    def ok(self) -> bool:
        """All is proved, every rule and clause has its witness, no golden row flips, no looser mutant survives."""
        return (
            bool(self.properties)
            and all(outcome.status == "proved" for outcome in self.properties)
            and not self.lacking
            and self.golden.rows > 0
            and not self.golden.flipped
            and (self.mutants is None or not self.mutants.survivors)
        )
