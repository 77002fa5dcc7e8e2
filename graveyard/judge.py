"""What the rules say about facts. All rules are heard, always; what cannot be shown is refused.

Kept here: hears every clause and never stops at the first · an error while hearing is a refusal · a missing or absurd
fact violates every clause that reads it · no rule heard, nothing approved · facts of another type approve nothing.
"""

from __future__ import annotations

import msgspec

from graveyard import interpret
from graveyard.compile import compile_rules
from graveyard.ethics import FACT_BOUNDS, RULES, Rule, numbered, ruleset_digest
from graveyard.expressions import Bounds, Clause, Relation, Scope
from graveyard.nearest import Neighbourhood, Room
from graveyard.words import Facts, Nearest, Severity, Verdict, Violation


class Finding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One clause of one rule, heard, for a person who asks why.

    Attributes:
        applies: False where the clause is not heard for this act, by its scope or its conditions; it then holds.
        measured, limit: in `unit`; None where a fact is missing or absurd.
        margin: how far `measured` may still move, in `unit`; < 0 where the comparison fails.
        why: what is wrong where it does not hold.
    """

    rule: int
    name: str
    clause: int
    severity: Severity
    scope: Scope
    applies: bool
    holds: bool
    measured: int | None
    relation: Relation
    limit: int | None
    margin: int | None
    unit: str
    why: str


class Judge:
    """The rules, compiled once.

    Args:
        rules: heard in this order.
        bounds: the admissible space; at least every fact that the rules read.

    Raises:
        MalformedRule: the rules do not stand up as a whole.
    """

    __slots__ = ("_all", "_approved", "_bounds", "_clauses", "_mask", "_neighbourhood", "heard", "ruleset")

    def __init__(self, rules: tuple[Rule, ...] = RULES, bounds: Bounds = FACT_BOUNDS) -> None:
        self._mask = compile_rules(rules, bounds)
        self._neighbourhood = Neighbourhood(rules, self._mask)
        self._bounds = bounds
        self._clauses = tuple(numbered(rules))
        self._all = (1 << len(self._clauses)) - 1
        self.heard = len(rules)
        self.ruleset = ruleset_digest(rules, bounds)
        # Verdicts are values: every approval by these rules is the same one.
        self._approved = Verdict(approved=self.heard > 0, heard=self.heard, ruleset=self.ruleset, violations=())

    def verdict(self, facts: Facts, room: Room | None = None) -> Verdict:
        """What the rules say; never raises. An argument that is not exactly `Facts` violates every clause.

        Args:
            facts: what the log shows.
            room: how the facts move with size and time; with it a refusal names the nearest act that would pass.
        """
        try:
            violated = self._mask(facts) if type(facts) is Facts else self._all
        except Exception:  # noqa: BLE001  # error = refusal, whatever it is
            violated = self._all
        return self._refused(facts, violated, room) if violated else self._approved

    def explain(self, facts: Facts) -> tuple[Finding, ...]:
        """Every clause of every rule that is heard, with its numbers, in the order of the rules."""
        return tuple(self._finding(rule, index, clause, facts) for rule, index, clause in self._clauses)

    def _refused(self, facts: Facts, violated: int, room: Room | None) -> Verdict:
        violations = tuple(
            self._violation(rule, index, clause, facts)
            for bit, (rule, index, clause) in enumerate(self._clauses)
            if violated >> bit & 1
        )
        return Verdict(
            approved=False,
            heard=self.heard,
            ruleset=self.ruleset,
            violations=violations,
            nearest=None if room is None else self._nearest(facts, violated, room),
        )

    def _nearest(self, facts: Facts, violated: int, room: Room) -> Nearest | None:
        try:
            return self._neighbourhood.nearest(facts, violated, room)
        except Exception:  # noqa: BLE001  # advice that cannot be given is not given; the refusal stands
            return None

    def _violation(self, rule: Rule, index: int, clause: Clause, facts: Facts) -> Violation:
        finding = self._finding(rule, index, clause, facts)
        return Violation(
            rule=finding.rule,
            clause=finding.clause,
            severity=finding.severity,
            measured=finding.measured,
            limit=finding.limit,
            margin=finding.margin,
            unit=finding.unit,
            why=finding.why,
        )

    def _finding(self, rule: Rule, index: int, clause: Clause, facts: Facts) -> Finding:
        try:
            heard = interpret.hear(clause, facts, self._bounds)
            unknown = interpret.unknown_facts(clause, facts, self._bounds)
        except Exception as error:  # noqa: BLE001  # error = refusal, whatever it is
            heard = interpret.Heard(applies=True, holds=False, measured=None, limit=None, margin=None)
            why = f"the rule could not be heard: it raised `{type(error).__name__}`"
        else:
            why = clause.why if heard.holds or not unknown else f"missing or absurd: {', '.join(unknown)}"
        return Finding(
            rule=rule.id,
            name=rule.name,
            clause=index,
            severity=rule.severity,
            scope=clause.scope,
            applies=heard.applies,
            holds=heard.holds,
            measured=heard.measured,
            relation=clause.relation,
            limit=heard.limit,
            margin=heard.margin,
            unit=clause.unit,
            why=why,
        )


_judge = Judge()


def judge(facts: Facts, room: Room | None = None) -> Verdict:
    """What the 26 rules say about these facts; never raises."""
    return _judge.verdict(facts, room)


def explain(facts: Facts) -> tuple[Finding, ...]:
    """Every clause of the 26 rules that is heard, with measured value, limit, margin and unit."""
    return _judge.explain(facts)
