"""What differs between two rulesets, rule by rule, in words: the page that those who sign a release read.

Whether a rule became looser is not read from its text but asked of the solver, both ways: an act that the new rule lets
pass and the old one refused makes it looser. A weaker severity is looser too, since less follows from a violation.
What cannot be compared counts as looser.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from deployment.rules.evidence import Compared, compared
from deployment.rules.rulesets import Ruleset
from graveyard.ethics import Rule
from graveyard.expressions import Clause, formula

Kind = Literal["equal", "looser", "tighter", "incomparable", "added", "removed"]
SEVERITIES = ("LOW", "MEDIUM", "HIGH", "CRITICAL")


class Change(msgspec.Struct, frozen=True):
    """One rule, from A to B.

    Attributes:
        is_looser: whether those who sign must name it.
        words: what reads otherwise: clauses, limit, severity, one line each.
        now_passes: facts that this rule of B lets pass and that of A refused; None where there are none.
        now_refused: facts that this rule of A let pass and that of B refuses; None where there are none.
    """

    id: int
    name: str
    change: Kind
    is_looser: bool
    words: tuple[str, ...] = ()
    now_passes: dict[str, int | None] | None = None
    now_refused: dict[str, int | None] | None = None

    def in_words(self) -> list[str]:
        """Lines for a person; none where the rule is the same."""
        if self.change == "equal" and not self.words:
            return []
        kind = f"{self.change}, and less follows from it" if self.is_looser and self.change == "equal" else self.change
        lines = [f"rule {self.id} `{self.name}`: {kind}", *(f"    {line}" for line in self.words)]
        for said, facts in (("now passes", self.now_passes), ("now refused", self.now_refused)):
            if facts is not None:
                lines.append(f"    {said}, for example: {_facts_in_words(facts)}")
        return lines


def _facts_in_words(facts: dict[str, int | None]) -> str:
    return ", ".join(f"{name} {'missing' if value is None else f'{value:_}'}" for name, value in facts.items())


def changes_between(a: Ruleset | None, b: Ruleset) -> tuple[Change, ...]:
    """Every rule of either, in the order of their numbers; A is None where its language is not spoken any more."""
    if a is None:
        words = ("the rules before were written in words that are not known any more: nothing can be compared",)
        return tuple(Change(rule.id, rule.name, "incomparable", True, words) for rule in b.rules)
    before, after = ({rule.id: rule for rule in rules} for rules in (a.rules, b.rules))
    found = compared(a, b)
    return tuple(
        _change(before.get(number), after.get(number), a, b, found) for number in sorted(before.keys() | after.keys())
    )


def looser_rules(changes: Sequence[Change]) -> tuple[int, ...]:
    """The numbers of the rules that those who sign must name, ascending."""
    return tuple(change.id for change in changes if change.is_looser)


def _change(old: Rule | None, new: Rule | None, a: Ruleset, b: Ruleset, found: dict[int, Compared]) -> Change:
    if old is None or new is None:
        rule = new or old
        assert rule is not None
        sign = "+" if old is None else "-"
        words = tuple(f"{sign} {_clause(clause)}" for clause in rule.clauses)
        return Change(rule.id, rule.name, "added" if old is None else "removed", new is None, words)
    kind, passes, refused = found[new.id]
    weaker = SEVERITIES.index(new.severity) < SEVERITIES.index(old.severity)
    return Change(
        id=new.id,
        name=new.name,
        change=kind,
        is_looser=weaker or kind in {"looser", "incomparable"},
        words=tuple(_words(old, new, a, b)),
        now_passes=passes,
        now_refused=refused,
    )


def _words(old: Rule, new: Rule, a: Ruleset, b: Ruleset) -> Iterator[str]:
    before, after = ([_clause(clause) for clause in rule.clauses] for rule in (old, new))
    yield from (f"- {line}" for line in before if line not in after)
    yield from (f"+ {line}" for line in after if line not in before)
    for field in ("name", "category", "severity", "limit", "unit"):
        was, now = getattr(old, field), getattr(new, field)
        if was != now:
            yield f"{field}: {was} → {now}"
    for name in dict.fromkeys((*old.facts_read, *new.facts_read)):
        was, now = a.bounds.get(name), b.bounds.get(name)
        if was is not None and now is not None and was != now:
            yield f"`{name}` may be {was.low:_} to {was.high:_} {was.unit} → {now.low:_} to {now.high:_} {now.unit}"
    if sorted(before) == sorted(after) and old.clauses != new.clauses:
        yield "unit, sentence or order of a clause"


def _clause(clause: Clause) -> str:
    return f"{formula(clause)} ({clause.scope})"
