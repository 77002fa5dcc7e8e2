"""What waits for people in one house, as its log says."""

from __future__ import annotations

from deployment.desk.words import Act, Denied, Stands, Waiting, encode
from deployment.topology.house import House
from graveyard.words import Proposal
from mutable_core.docket import Docket
from mutable_core.docket.state import Pending
from mutable_core.errors import AgentMisbehaved, Unavailable
from mutable_core.standing import HALTED

LISTED_MAX = 50
BYTES_MAX = 500_000  # of the acts of one answer
VIOLATIONS_MAX = 40
STANDING_MAX = 200


class WaitingRoom:
    """Reads the docket."""

    def __init__(self, house: House) -> None:
        self._house = house

    @property
    def docket(self) -> Docket:
        """As HRM folds it from the log; Aletheia folds the same, and is asked where his process does not say.

        Raises:
            Unavailable: neither says.
        """
        hosts = self._house.hosts
        try:
            docket = hosts["hrm"].state
        except (Unavailable, AgentMisbehaved):
            docket = hosts["aletheia"].state.docket
        assert isinstance(docket, Docket)
        return docket

    def everything(self) -> Waiting:
        """The acts that were asked for first, as many as one answer holds."""
        acts: list[Act] = []
        size = 0
        pending = self._pending()
        for act in map(self._act, pending[:LISTED_MAX]):
            size += len(encode(act))
            if size > BYTES_MAX:
                break
            acts.append(act)
        return self._answer(tuple(acts), len(pending) - len(acts))

    def one(self, beginning: str) -> Waiting | Denied:
        """The only act whose id begins so."""
        found = [one for one in self._pending() if one_id(one).startswith(beginning)]
        if not found:
            return Denied(f"no act that waits is called `{beginning}`", "see `ark approvals list`")
        if len(found) > 1:
            return Denied(
                f"{len(found)} acts begin with `{beginning}`", "give more of the id: one act at a time is signed"
            )
        return self._answer((self._act(found[0]),), 0)

    def _pending(self) -> list[Pending]:
        """Oldest first. What has expired is gone: it is decided when the slice closes, and nobody asks before."""
        return sorted(self.docket.pending.values(), key=lambda one: one.heard.seq)

    def _answer(self, acts: tuple[Act, ...], left_off: int) -> Waiting:
        house, standing = self._house, self.docket.standing
        halts = [Stands("halted" if level == HALTED else "reduce_only", *on) for on, level in standing.halts.items()]
        stands = sorted(
            (*halts, *(Stands("veto", *on) for on in standing.vetoes)), key=lambda one: (one.scope, one.name)
        )
        return Waiting(house.now_ns, house.started.currency, acts, left_off, tuple(stands[:STANDING_MAX]))

    def _act(self, pending: Pending) -> Act:
        act = pending.act
        is_order = isinstance(act, Proposal)
        return Act(
            act_id=one_id(pending),
            kind="order" if is_order else "operation",
            canonical=encode(act).decode(),
            digest=pending.digest,
            position=pending.awaited_at,
            needed=pending.needed,
            signed=tuple(one.person for one in pending.signatures),
            expires_in_ns=pending.until_ns - self._house.now_ns,
            mark_then_atoms=pending.mark_atoms,
            mark_now_atoms=self.docket.book.marks.get(act.instrument, 0) if isinstance(act, Proposal) else 0,
            violations=pending.asked.verdict.violations[:VIOLATIONS_MAX],
        )


def one_id(pending: Pending) -> str:
    """The id by which the act is known."""
    act = pending.act
    return act.proposal_id if isinstance(act, Proposal) else act.operation_id
