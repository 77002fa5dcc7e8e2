"""What counts towards the emergency halt, and what does not."""

from __future__ import annotations

import pytest

from deployment.topology.processes.violations import Violations
from graveyard.words import Facts, Severity, Verdict, Violation
from mutable_core.messages import AnyBody, DiscrepancyFound, DrillOrdered, Refused
from tests.makers import an_envelope, some_grounds

FACTS = Facts(*[None] * len(Facts.__struct_fields__))
DRILL = DrillOrdered("oversize")


def refused(rule: int, severity: Severity, *more: int) -> Refused:
    broken = tuple(Violation(one, 0, severity, 1, 0, -1, "atoms", "no") for one in (rule, *more))
    return Refused("p", "A", "d" * 64, 1, FACTS, Verdict(False, 26, "r" * 64, broken), some_grounds())


def counted(*bodies: AnyBody) -> int:
    violations = Violations()
    for seq, body in enumerate(bodies, 1):
        violations.see(an_envelope(body, seq=seq, trace_id="a" * 32))
    return violations.count


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (refused(1, "CRITICAL"), 1),
        (refused(1, "CRITICAL", 2), 2),
        (refused(5, "HIGH"), 0),
        (refused(24, "MEDIUM", 21), 0),
        (DiscrepancyFound("x", "verdict_mismatch", "it does not follow"), 1),
        (DiscrepancyFound("x", "books_differ", "by one"), 0),
    ],
)
def test_what_nobody_may_ask_for_counts(body: AnyBody, count: int) -> None:
    assert counted(body) == count


def test_who_proposes_into_a_halt_or_past_an_inspection_has_violated_nothing() -> None:
    """A halt that people ordered must not lead to the emergency halt, nor an agent that works off what it missed."""
    assert counted(*[refused(14, "CRITICAL", 14, 19)] * 20) == 0
    assert counted(refused(14, "CRITICAL", 2)) == 1


def test_a_breach_that_people_ordered_counts_for_nothing() -> None:
    assert counted(DRILL, refused(1, "CRITICAL")) == 0
    assert counted(DRILL, DiscrepancyFound("x", "verdict_mismatch", "it does not follow")) == 1
