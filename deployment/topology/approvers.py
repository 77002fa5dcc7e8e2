"""Who gives approvals: the embedded authority in this process, or the authority in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence

from agents.kenny.effects import Asked
from deployment.authority.client import AuthorityProcess
from graveyard.authority import EmbeddedAuthority
from graveyard.authority.signing import BATCH_MAX
from graveyard.words import Approval


class EmbeddedApprover:
    """Asks the embedded authority for one approval after another, on the facts that stand in the log."""

    def __init__(self, authority: EmbeddedAuthority) -> None:
        self._authority = authority

    def approve(self, asked: Sequence[Asked]) -> list[Approval | str]:
        return [self._approve(one) for one in asked]

    def _approve(self, one: Asked) -> Approval | str:
        approved = one.approved
        answer = self._authority.approve(
            approved.digest,
            approved.facts,
            proposal_id=approved.proposal_id,
            account=one.account,
            position=one.position,
            hold_micros=approved.hold_micros,
            expires_ns=approved.expires_ns,
        )
        return answer if isinstance(answer, Approval) else f"rules {[one.rule for one in answer.violations]}"


class ProcessApprover:
    """Asks the authority's process, which has read the log and found its own answer."""

    def __init__(self, authority: AuthorityProcess) -> None:
        self._authority = authority

    def approve(self, asked: Sequence[Asked]) -> list[Approval | str]:
        """As the port says; at most 64 are asked for at once, for they share a signature."""
        answers: list[Approval | str] = []
        for first in range(0, len(asked), BATCH_MAX):
            items = [(one.approved.proposal_id, one.position) for one in asked[first : first + BATCH_MAX]]
            given = self._authority.approve(items)
            answers += [one if isinstance(one, Approval) else one.why for one in given]
        return answers
