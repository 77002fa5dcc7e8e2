"""Which decisions of a journal two rulesets decide otherwise: facts of the log, judged again by each."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec

from deployment.rules.rulesets import Ruleset
from graveyard.judge import Judge
from graveyard.words import Facts
from mutable_core.journal import checked_rows
from mutable_core.messages import AnyBody, ApprovalAwaited, Approved, OperationApproved, OperationRefused, Refused


class Flip(msgspec.Struct, frozen=True):
    """One decision.

    Attributes:
        position: of the verdict in the log.
        act_id: the proposal's or operation's id.
        instrument: empty for an operation.
        because: what the one that refuses says: `rule.clause` and the sentence.
    """

    position: int
    act_id: str
    instrument: str
    a_approves: bool
    b_approves: bool
    because: tuple[str, ...]


class Judged(NamedTuple):
    """How many decisions there were, and those that the two rulesets decide otherwise."""

    decisions: int
    flips: tuple[Flip, ...]


def flips_in(journal: Path, a: Ruleset, b: Ruleset) -> Judged:
    """Every decision of the journal, judged by both.

    Raises:
        JournalBroken, MalformedSource: the journal is not what was written.
    """
    judge_a, judge_b = Judge(a.rules, a.bounds), Judge(b.rules, b.bounds)
    decisions, flips = 0, []
    for row in checked_rows(journal):
        act = _act(row.envelope.body)
        if act is None:
            continue
        decisions += 1
        by_a, by_b = judge_a.verdict(act.facts), judge_b.verdict(act.facts)
        if by_a.approved != by_b.approved:
            refusing = by_b if by_a.approved else by_a
            because = tuple(f"{one.rule}.{one.clause} {one.why}" for one in refusing.violations)
            flips.append(Flip(row.envelope.seq, act.id, act.instrument, by_a.approved, by_b.approved, because))
    return Judged(decisions, tuple(flips))


class _Act(NamedTuple):
    id: str
    instrument: str
    facts: Facts


def _act(body: AnyBody) -> _Act | None:
    match body:
        case Approved() | Refused():
            return _Act(body.proposal_id, body.instrument, body.facts)
        case ApprovalAwaited():
            return _Act(body.act_id, body.instrument, body.facts)
        case OperationApproved() | OperationRefused():
            return _Act(body.operation_id, "", body.facts)
        case _:
            return None
