"""Two rulesets, rule by rule: what does the second let through that the first refuses, and the other way round?"""

from __future__ import annotations

from typing import Literal

import msgspec

from graveyard import interpret, smt
from graveyard.ethics import Rule
from graveyard.expressions import Bounds
from graveyard.proofs.examples import EXAMPLES, in_words, nearest_example
from graveyard.proofs.outcomes import Act
from graveyard.smt import RLIMIT, Formula, Request
from graveyard.words import Facts

Change = Literal["equal", "looser", "tighter", "incomparable", "undecided"]


class Compared(msgspec.Struct, frozen=True):
    """What became of one rule, or of all together.

    Attributes:
        rule: None where all rules are heard together.
        names: in the first and the second ruleset; None where a ruleset does not have the rule: it then keeps nobody out.
        change: of the second against the first; `undecided` where the solver did not say, or its answer did not replay.
        let_through: an act that the first refuses and the second does not, and in words.
        kept_out: an act that the second refuses and the first does not, and in words.
    """

    rule: int | None
    names: tuple[str | None, str | None]
    change: Change
    let_through: Act | None = None
    let_through_words: str = ""
    kept_out: Act | None = None
    kept_out_words: str = ""


def compare(
    before: tuple[Rule, ...],
    after: tuple[Rule, ...],
    bounds_before: Bounds,
    bounds_after: Bounds,
    *,
    rlimit: int = RLIMIT,
) -> tuple[Compared, ...]:
    """Every rule of either ruleset by its id, ascending, and last all rules together.

    A rule is compared alone: two rules may each be looser while the ruleset as a whole lets nothing more through. Only
    the last line says what is approved.
    """
    sides = _Sides(bounds_before, bounds_after, rlimit)
    old, new = {rule.id: rule for rule in before}, {rule.id: rule for rule in after}
    each = [_one(sides, ident, _of(old.get(ident)), _of(new.get(ident))) for ident in sorted(old.keys() | new.keys())]
    return (*each, _one(sides, None, before, after))


def _of(rule: Rule | None) -> tuple[Rule, ...]:
    return () if rule is None else (rule,)


class _Sides:
    """One act, read under both bounds."""

    def __init__(self, before: Bounds, after: Bounds, rlimit: int) -> None:
        self.act = Request({**before, **after})
        self.bounds = (before, after)
        self.before, self.after = (Request(bounds, like=self.act) for bounds in self.bounds)
        self.rlimit = rlimit
        self.bounds_are_equal = dict(before) == dict(after)


def _one(sides: _Sides, ident: int | None, before: tuple[Rule, ...], after: tuple[Rule, ...]) -> Compared:
    names = (None, None) if ident is None else (_name(before), _name(after))
    if sides.bounds_are_equal and [rule.clauses for rule in before] == [rule.clauses for rule in after]:
        return Compared(ident, names, "equal")
    old, new = _keeps(before, sides.before), _keeps(after, sides.after)
    let_through = _found(sides, before, after, smt.both(new, smt.negation(old)), is_let_through=True)
    kept_out = _found(sides, before, after, smt.both(old, smt.negation(new)), is_let_through=False)
    if let_through == "undecided" or kept_out == "undecided":
        return Compared(ident, names, "undecided")
    looser, tighter = _act(let_through, before, sides.bounds[0]), _act(kept_out, after, sides.bounds[1])
    change = _CHANGES[looser is not None, tighter is not None]
    merged = sides.act.bounds
    return Compared(
        ident,
        names,
        change,
        looser,
        in_words(let_through, merged) if isinstance(let_through, Facts) else "",
        tighter,
        in_words(kept_out, merged) if isinstance(kept_out, Facts) else "",
    )


_CHANGES: dict[tuple[bool, bool], Change] = {
    (False, False): "equal",
    (True, False): "looser",
    (False, True): "tighter",
    (True, True): "incomparable",
}


def _name(rules: tuple[Rule, ...]) -> str | None:
    return rules[0].name if rules else None


def _keeps(rules: tuple[Rule, ...], request: Request) -> Formula:
    return smt.both(*(smt.keeps(rule, request) for rule in rules))


def _found(
    sides: _Sides, before: tuple[Rule, ...], after: tuple[Rule, ...], differs: Formula, *, is_let_through: bool
) -> Facts | Literal["none", "undecided"]:
    """An act on which the two differ that way, as near to an ordinary one as can be had; replayed."""
    solver = smt.Solver(differs, rlimit=sides.rlimit)
    answer = solver.ask()
    if answer != "sat":
        return "none" if answer == "unsat" else "undecided"
    solver.draw_near(*smt.equals(sides.act, EXAMPLES[nearest_example(solver.facts(sides.act))[0]]))
    facts = solver.facts(sides.act)
    refused_before = bool(_violated(before, facts, sides.bounds[0]))
    refused_after = bool(_violated(after, facts, sides.bounds[1]))
    return facts if (refused_before, refused_after) == (is_let_through, not is_let_through) else "undecided"


def _act(found: Facts | str, refusing: tuple[Rule, ...], bounds: Bounds) -> Act | None:
    if not isinstance(found, Facts):
        return None
    like, changes = nearest_example(found)
    return Act(like, changes, _violated(refusing, found, bounds))


def _violated(rules: tuple[Rule, ...], facts: Facts, bounds: Bounds) -> tuple[str, ...]:
    return tuple(
        f"{rule.id}.{index}"
        for rule in rules
        for index, clause in enumerate(rule.clauses)
        if not interpret.holds(clause, facts, bounds)
    )
