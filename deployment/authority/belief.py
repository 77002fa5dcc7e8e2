"""What the house believes of an answer: exactly what was asked for, signed by the key that said hello, by the same rules."""

from __future__ import annotations

from collections.abc import Sequence

from graveyard.authority.signing import PublicVerifier
from graveyard.authority.wire import Answer, FrameRefused, Grant, Item, Refusal
from graveyard.words import Approval


def believed(
    asked: Sequence[Item], answer: Answer, verifier: PublicVerifier, ruleset: str
) -> tuple[Approval | Refusal, ...]:
    """For each item, in order, its approval or why there is none.

    Raises:
        FrameRefused: the answer is not one to these items, or its signature does not hold.
    """
    if [(one.proposal_id, one.position) for one in asked] != [(one.proposal_id, one.position) for one in answer.items]:
        raise FrameRefused("its answer is about something else")
    found = tuple(_approval(one, answer) if isinstance(one, Grant) else one for one in answer.items)
    approvals = [one for one in found if isinstance(one, Approval)]
    if len(approvals) != len(answer.batch) or not all(map(verifier.verify, approvals)):
        raise FrameRefused("its signature does not hold")
    if any(approval.ruleset != ruleset for approval in approvals):
        raise FrameRefused("it keeps other rules")
    return found


def _approval(grant: Grant, answer: Answer) -> Approval:
    return Approval(
        grant.proposal_id,
        grant.account,
        grant.digest,
        grant.position,
        grant.opening,
        grant.hold_micros,
        grant.expires_ns,
        grant.ruleset,
        answer.signature,
        answer.batch,
    )
