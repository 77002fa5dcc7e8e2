"""Kenny's hands: the only contact with a venue. Performs durable wishes, once each, and reports what came of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, cast

from agents.kenny.door import Door
from agents.kenny.lifecycle import entry_id
from agents.kenny.state import State
from agents.kenny.venues.port import Venue
from agents.runtime.agent import CancelOrder, Cause, FetchStatement, PlaceOrder, Want
from graveyard.words import Approval
from mutable_core.errors import ApprovalForged, AuthoritySilent
from mutable_core.messages import (
    AnyBody,
    Approved,
    Envelope,
    OrderBlocked,
    OrderIntended,
    OrderWithheld,
    VenueEvent,
    VenueStated,
)


class Asked(NamedTuple):
    """One approval that is asked for: HRM's answer in the log, where it stands, and for which account."""

    approved: Approved
    position: int
    account: str


class Authority(Protocol):
    def approve(self, asked: Sequence[Asked]) -> Sequence[Approval | str]:
        """For each an approval, or a sentence why there is none.

        Raises:
            AuthoritySilent: no answer within the deadline; nothing is approved.
        """
        ...


Report = Callable[[AnyBody, Cause | None], None]
"""Appends an input: the body, and what it answers."""


class Effects:
    """Wishes that wait, and the venue that grants them.

    A wish is over when the journal holds the venue's answer to it. After a crash the wishes that the journal left
    without an answer are performed again: an order that the venue knows already is not sent, only asked about.
    """

    def __init__(self, venue: Venue, door: Door, authority: Authority, state: Callable[[], State]) -> None:
        self._venue = venue
        self._door = door
        self._authority = authority
        self._state = state
        self._venue_seq = 0
        self._places: dict[str, PlaceOrder] = {}
        self._cancels: dict[str, CancelOrder] = {}
        self._statements: dict[str, FetchStatement] = {}
        self._approved: dict[str, tuple[Approved, int]] = {}  # proposal id → verdict in the log, and where
        self._intended: dict[str, OrderIntended] = {}  # client order id → intent in the log
        self._stated: set[str] = set()  # answers that a replay read before the wish itself was said again

    @property
    def is_waiting(self) -> bool:
        return bool(self._places or self._cancels or self._statements)

    def want(self, wants: Sequence[Want]) -> None:
        for want in wants:
            match want:
                case PlaceOrder():
                    self._places[want.order.client_order_id] = want
                case CancelOrder():
                    self._cancels[want.client_order_id] = want
                case FetchStatement():
                    if want.cause.id in self._stated:
                        self._stated.discard(want.cause.id)
                    else:
                        self._statements[want.cause.id] = want

    def reported(self, envelope: Envelope) -> None:
        """Fold what the journal holds: verdicts and intents that a wish must rest on, and answers, which end it."""
        body = envelope.body
        if isinstance(body, Approved):
            self._approved[body.proposal_id] = (body, envelope.seq)
        elif isinstance(body, OrderIntended):
            self._intended[body.order.client_order_id] = body
        elif isinstance(body, OrderWithheld):
            self._approved.pop(body.proposal_id, None)
        elif isinstance(body, VenueEvent):
            self._venue_seq = body.venue_seq
            self._answered(body.client_order_id)
        elif isinstance(body, OrderBlocked):
            self._answered(body.client_order_id)
        elif isinstance(body, VenueStated) and self._statements.pop(envelope.cause_id, None) is None:
            self._stated.add(envelope.cause_id)

    def _answered(self, client_order_id: str) -> None:
        self._places.pop(client_order_id, None)
        intended = self._intended.pop(client_order_id, None)
        if intended is not None:
            self._approved.pop(intended.order.proposal_id, None)

    def adopt(self) -> dict[str, int]:
        """After a restart: how many wishes wait, and how many of their orders the venue has already."""
        known = sum(self._venue.knows(key) for key in self._places)
        return {
            "orders_waiting": len(self._places),
            "orders_found_at_venue": known,
            "cancels_waiting": len(self._cancels),
        }

    def perform(self, now_ns: int, report: Report) -> None:
        """Grant every wish that waits, once, in the order in which it was wished, and report all answers.

        A venue that does not answer now may answer later: until then the order's hold stands.
        """
        places, self._places = self._places, {}
        self._place([want for want in places.values() if not self._is_sent(want)], now_ns, report)
        for cancel in list(self._cancels.values()):
            self._venue.cancel(cancel.client_order_id, now_ns)
        self._cancels.clear()
        self.collect(report)
        for statement in list(self._statements.values()):
            report(self._venue.statement(), statement.cause)

    def collect(self, report: Report) -> None:
        """Report what the venue has said since the last time."""
        orders = self._state().orders
        for event in self._venue.events(self._venue_seq):
            tracked = orders.get(entry_id(event.client_order_id))
            report(cast("AnyBody", event), tracked.cause if tracked else None)

    def _is_sent(self, want: PlaceOrder) -> bool:
        """Sent before a crash; `collect` reports what became of it."""
        self._must_stand_in_the_log(want)
        return self._venue.knows(want.order.client_order_id)

    def _place(self, wants: list[PlaceOrder], now_ns: int, report: Report) -> None:
        """Ask for all approvals at once, and take each order through the door."""
        if not wants:
            return
        asked = [Asked(want.approved, want.approval_position, want.proposal.account) for want in wants]
        try:
            answers = self._authority.approve(asked)
        except AuthoritySilent:
            for want in wants:
                report(OrderBlocked(want.order.client_order_id, "authority_silent"), want.cause)
            return
        for want, approval in zip(wants, answers, strict=True):
            if not isinstance(approval, Approval):
                raise ApprovalForged(
                    f"the authority refused what HRM approved: `{want.approved.proposal_id}`: {approval}",
                    to_do="stop, keep the journal, and find out why they differ",
                )
            if not self._door.place(want.order, want.proposal, approval, now_ns):
                report(OrderBlocked(want.order.client_order_id, "lease_stale"), want.cause)

    def _must_stand_in_the_log(self, want: PlaceOrder) -> None:
        """A wish is not believed: its verdict and its intent must be in the log, word for word (I1, I3)."""
        order = want.order
        intended = self._intended.get(order.client_order_id)
        said = self._approved.get(order.proposal_id)
        if intended is None or intended.order != order or said != (want.approved, want.approval_position):
            raise ApprovalForged(
                f"order `{order.client_order_id}` was wished for without its verdict and intent in the log",
                to_do="stop, keep the journal, and find out who wished it",
            )
