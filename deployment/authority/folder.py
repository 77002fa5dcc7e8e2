"""The authority's own docket: every proposal is vetted here again, from the log, and HRM's answer is compared with it."""

from __future__ import annotations

from typing import NamedTuple

from deployment.authority.beginning import Beginning
from deployment.authority.port import Granted
from mutable_core import docket as dockets
from mutable_core.docket import ANSWERS, Answer, Docket, about
from mutable_core.messages import (
    ApprovalAwaited,
    Approved,
    Envelope,
    OrderAccepted,
    OrderBlocked,
    OrderIntended,
    OrderRejected,
    OrderWithheld,
    ProposalMade,
)

_JUDGE = "hrm"
_REMEMBERED_MAX = 4_096


class _Found(NamedTuple):
    """The answer that the authority found itself, and the account that it is about."""

    answer: Answer
    account: str


class _Standing(NamedTuple):
    """An approval in the log: at this position, granted or refused for a reason."""

    position: int
    expires_ns: int
    outcome: Granted | str


class LogFolder:
    """Keeps what the next requests may ask for: approvals that have neither expired nor been used."""

    def __init__(self) -> None:
        self._docket = Docket.empty()
        self._now_ns = 0
        self._found: dict[tuple[str, bool], _Found] = {}
        self._standing: dict[str, _Standing] = {}
        self._orders: dict[str, str] = {}  # client order id → proposal id

    def begin(self, beginning: Beginning) -> None:
        """No approval stands behind a snapshot: it is taken only when every order has been answered."""
        self._docket, self._now_ns = beginning.docket, beginning.now_ns

    def fold(self, envelope: Envelope) -> None:
        """Take one message in, whatever it is."""
        self._now_ns = max(self._now_ns, envelope.ts_seen_ns)
        body = envelope.body
        if isinstance(body, ANSWERS):
            self._compare(envelope, body)
            return
        self._docket, answers = dockets.answer(self._docket, envelope)
        for said, act in answers:
            account = act.body.proposal.account if isinstance(act.body, ProposalMade) else ""
            self._found[about(said)] = _Found(said, account)
        self._follow(envelope)

    def granted(self, proposal_id: str, position: int) -> Granted | str:
        standing = self._standing.get(proposal_id)
        if standing is None:
            return "no approval of it stands in the log"
        if standing.position != position:
            return f"its approval does not stand at this position but at {standing.position}"
        if self._now_ns > standing.expires_ns:
            return "its approval has expired"
        return standing.outcome

    def _compare(self, envelope: Envelope, said: Answer) -> None:
        """What was said must be what was found; an approval that differs stands there and is never signed."""
        found = self._found.pop(about(said), None)
        if isinstance(said, ApprovalAwaited):
            self._docket = dockets.fold(self._docket, envelope)
        if not isinstance(said, Approved):
            return
        self._forget()
        outcome = _outcome(envelope.author, said, found)
        self._standing[said.proposal_id] = _Standing(envelope.seq, said.expires_ns, outcome)

    def _follow(self, envelope: Envelope) -> None:
        """An approval whose order the venue has answered, or that was withheld, stands no more."""
        body = envelope.body
        if isinstance(body, OrderIntended):
            self._orders[body.order.client_order_id] = body.order.proposal_id
        elif isinstance(body, OrderAccepted | OrderRejected | OrderBlocked):
            self._standing.pop(self._orders.pop(body.client_order_id, ""), None)
        elif isinstance(body, OrderWithheld):
            self._standing.pop(body.proposal_id, None)

    def _forget(self) -> None:
        """Bounded: what has expired cannot be asked for any more, nor what was never said."""
        if len(self._standing) >= _REMEMBERED_MAX:
            self._standing = {key: one for key, one in self._standing.items() if one.expires_ns >= self._now_ns}
        for oldest in list(self._found)[: max(0, len(self._found) - _REMEMBERED_MAX)]:
            del self._found[oldest]
        for oldest_order in list(self._orders)[: max(0, len(self._orders) - _REMEMBERED_MAX)]:
            del self._orders[oldest_order]


def _outcome(author: str, said: Approved, found: _Found | None) -> Granted | str:
    if author != _JUDGE:
        return f"it was approved by `{author}`, who may not approve"
    if found is None:
        return "nothing in the log asks for this approval"
    if said != found.answer:
        return f"the approval differs from what follows from the log: {_difference(said, found.answer)}"
    return Granted(
        digest=said.digest,
        account=found.account,
        opening=said.facts.is_opening != 0,
        hold_micros=said.hold_micros,
        expires_ns=said.expires_ns,
        ruleset=said.verdict.ruleset,
        verdict=said.verdict,
    )


def _difference(said: Approved, found: Answer) -> str:
    """The first thing that differs."""
    if not isinstance(found, Approved):
        return f"`{type(found).__name__}` follows"
    for theirs, ours, names in ((said.facts, found.facts, "fact "), (said, found, "")):
        for name in theirs.__struct_fields__:
            one, other = getattr(theirs, name), getattr(ours, name)
            if one != other:
                return f"{names}{name} is {one!r:.60} and should be {other!r:.60}"
    return "in nothing that has a name"
