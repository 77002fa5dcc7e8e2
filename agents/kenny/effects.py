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
from mutable_core.clock import SECOND_NS
from mutable_core.errors import ApprovalForged, AuthoritySilent, VenueUnavailable
from mutable_core.messages import (
    AccountHalted,
    AnyBody,
    Approved,
    Envelope,
    HaltOrdered,
    OperationApproved,
    OrderBlocked,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    OrderUnknown,
    OrderWithheld,
    VenueEvent,
    VenueStated,
)
from mutable_core.standing import HALTED, Standing, fold, halt_level
from mutable_core.standing import NONE as NOTHING_STANDS

PATIENCE_NS = 30 * SECOND_NS
"""How long an answer may take, in log time, before its order is unknown; and how far apart the venue must say twice that
it has no such order before we believe it."""


class Asked(NamedTuple):
    """One approval that is asked for: HRM's answer in the log, where it stands, and for which account."""

    approved: Approved
    position: int
    account: str


class Unanswered(NamedTuple):
    """What a restart finds unanswered, by client order id: orders that the venue has, orders that it has not, cancels.

    `untold` are orders of which the venue does not say now whether it has them.
    """

    at_venue: tuple[str, ...]
    unsent: tuple[str, ...]
    cancels: tuple[str, ...]
    untold: tuple[str, ...] = ()


class Memory(NamedTuple):
    """What a snapshot keeps of the effects, taken when they are settled. Fields as in `Effects`."""

    venue_seq: int
    approved: dict[str, tuple[Approved, int]]
    stated: frozenset[str]
    standing: Standing = NOTHING_STANDS


class Sent(NamedTuple):
    """An order that the venue has, or was handed, and has not answered."""

    cause: Cause
    since_ns: int


class Lookup(NamedTuple):
    """An order that is looked up until the venue has told what became of it; `absent_ns` is when it first had none."""

    cause: Cause
    absent_ns: int | None = None


class Authority(Protocol):
    def approve(self, asked: Sequence[Asked]) -> Sequence[Approval | str]:
        """For each an approval, or a sentence why there is none.

        Raises:
            AuthoritySilent: no answer within the deadline; nothing is approved.
        """
        ...


HALTING = (HaltOrdered, AccountHalted, OperationApproved)
"""What changes which orders may still leave."""

_ENDS = (OrderRejected, OrderCancelled, OrderExpired, OrderBlocked)

Report = Callable[[AnyBody, Cause | None], None]
"""Appends an input: the body, and what it answers."""


class Effects:
    """Wishes that wait, and the venue that grants them.

    A wish is over when the journal holds the venue's answer to it. After a crash the wishes that the journal left
    without an answer are performed again: an order that the venue knows already is not sent, only asked about.

    A venue may not answer. An order that it may or may not have is *unknown*: that is reported once, its hold stands,
    it is never sent again, and it is looked up with every turn. It ends by what the venue says of it, or when the
    venue has said twice, `PATIENCE_NS` apart, that it has no such order. Cancels and statements are tried again.
    """

    def __init__(self, venue: Venue, door: Door, authority: Authority, state: Callable[[], State]) -> None:
        self._venue = venue
        self._door = door
        self._authority = authority
        self._state = state
        self._venue_seq = 0
        self._is_due = False  # what waits has not been tried in this turn
        self._places: dict[str, PlaceOrder] = {}
        self._sent: dict[str, Sent] = {}
        self._unknown: dict[str, Lookup] = {}
        self._cancels: dict[str, CancelOrder] = {}
        self._statements: dict[str, FetchStatement] = {}
        self._ahead_ns: int | None = None  # since when the venue states more than it has said
        self._approved: dict[str, tuple[Approved, int]] = {}  # proposal id → verdict in the log, and where
        self._intended: dict[str, OrderIntended] = {}  # client order id → intent in the log, not answered
        self._standing = NOTHING_STANDS  # halts, as the log holds them by now
        self._stated: set[str] = set()  # answers that a replay read before the wish itself was said again

    @property
    def is_waiting(self) -> bool:
        """Wishes wait that were not tried in this turn."""
        return self._is_due and bool(self._places or self._cancels or self._statements)

    @property
    def is_settled(self) -> bool:
        """Nothing waits, and every order that was intended has been answered: no approval will be asked for again."""
        return not (self._places or self._cancels or self._statements or self._intended)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Orders of which nobody knows what became of them, oldest first: an operator must see them."""
        return tuple(self._unknown)

    @property
    def venue_seq(self) -> int:
        """The last thing that the venue said and the journal holds."""
        return self._venue_seq

    def memory(self) -> Memory:
        """What `resume` needs; only while settled."""
        return Memory(self._venue_seq, dict(self._approved), frozenset(self._stated), self._standing)

    def resume(self, memory: Memory) -> None:
        """Go on where an earlier process stood."""
        self._venue_seq, self._approved, self._stated = memory.venue_seq, dict(memory.approved), set(memory.stated)
        self._standing = memory.standing

    def want(self, wants: Sequence[Want]) -> None:
        self._is_due = True
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

    # -- what the journal holds -------------------------------------------------------------------------------------

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
            self._answered(body)
        elif isinstance(body, OrderBlocked):
            self._answered(body)
        elif isinstance(body, OrderUnknown):
            self._not_known(envelope, body.client_order_id)
        elif isinstance(body, VenueStated) and self._statements.pop(envelope.cause_id, None) is None:
            self._stated.add(envelope.cause_id)
        elif isinstance(body, HALTING):
            self._standing = fold(self._standing, envelope)

    def _answered(self, body: VenueEvent | OrderBlocked) -> None:
        client_order_id = body.client_order_id
        for waiting in (self._places, self._sent, self._unknown):
            waiting.pop(client_order_id, None)
        intended = self._intended.pop(client_order_id, None)
        if intended is not None:
            self._approved.pop(intended.order.proposal_id, None)
        if isinstance(body, _ENDS) or (isinstance(body, OrderFilled) and not body.remaining):
            self._cancels.pop(client_order_id, None)

    def _not_known(self, envelope: Envelope, client_order_id: str) -> None:
        """It may have been sent: whatever the venue says of it later, it is not sent again."""
        self._places.pop(client_order_id, None)
        self._sent.pop(client_order_id, None)
        cause = Cause(envelope.trace_id, envelope.cause_id, envelope.depth - 1, envelope.ts_event_ns)
        self._unknown[client_order_id] = Lookup(cause)

    def unanswered(self) -> Unanswered:
        """After a restart: which wishes wait, and which of their orders the venue has already."""
        found = {key: self._knows(key) for key in self._places}
        at_venue, unsent, untold = (
            tuple([key for key, known in found.items() if known is one]) for one in (True, False, None)
        )
        return Unanswered(at_venue, unsent, tuple(self._cancels), untold)

    def adopt(self) -> dict[str, int]:
        """After a restart: how many wishes wait, and how many of their orders the venue has already."""
        found = self.unanswered()
        return {
            "orders_waiting": len(self._places),
            "orders_found_at_venue": len(found.at_venue),
            "cancels_waiting": len(found.cancels),
        }

    # -- what is done -----------------------------------------------------------------------------------------------

    def perform(self, now_ns: int, report: Report) -> None:
        """Grant every wish that waits, once, in the order in which it was wished, and report all answers.

        What the venue did not answer is tried again in the next turn; see `collect`.
        """
        places, self._places = self._places, {}
        self._place([want for want in places.values() if self._is_unsent(want, now_ns, report)], now_ns, report)
        for cancel in list(self._cancels.values()):
            self._cancel(cancel.client_order_id, now_ns)
        self._hear(now_ns, report)
        self._state_account(now_ns, report)
        self._is_due = False

    def collect(self, now_ns: int, report: Report) -> None:
        """A new turn: report what the venue has said since the last time, and what it says of unknown orders."""
        self._is_due = True
        self._hear(now_ns, report)

    def _hear(self, now_ns: int, report: Report) -> None:
        try:
            events = self._venue.events(self._venue_seq)
        except VenueUnavailable:
            self._doubt(list(self._sent), report)
            return
        orders = self._state().orders
        for event in events:
            if event.venue_seq != self._venue_seq + 1:
                break  # it left something out: ask again, and believe nothing behind the gap
            tracked = orders.get(entry_id(event.client_order_id))
            report(cast("AnyBody", event), tracked.cause if tracked else None)
        self._doubt([key for key, sent in self._sent.items() if now_ns - sent.since_ns >= PATIENCE_NS], report)
        self._look_up(now_ns, report)

    def _doubt(self, orders: Sequence[str], report: Report) -> None:
        """Whether the venue has these is not known."""
        for client_order_id in orders:
            report(OrderUnknown(client_order_id), self._sent[client_order_id].cause)

    def _look_up(self, now_ns: int, report: Report) -> None:
        for client_order_id, (cause, absent_ns) in list(self._unknown.items()):
            known = self._knows(client_order_id)
            if known:
                self._unknown[client_order_id] = Lookup(cause)  # its events will say what became of it
            elif known is False and absent_ns is None:
                self._unknown[client_order_id] = Lookup(cause, now_ns)
            elif known is False and absent_ns is not None and now_ns - absent_ns >= PATIENCE_NS:
                report(OrderBlocked(client_order_id, "never_arrived"), cause)

    def _knows(self, client_order_id: str) -> bool | None:
        """None where the venue does not answer."""
        try:
            return self._venue.knows(client_order_id)
        except VenueUnavailable:
            return None

    def _cancel(self, client_order_id: str, now_ns: int) -> None:
        """What is unknown may still arrive: its cancel is told again until it is known how it ended."""
        try:
            self._venue.cancel(client_order_id, now_ns)
        except VenueUnavailable:
            return
        if entry_id(client_order_id) not in self._unknown:
            del self._cancels[client_order_id]

    def _state_account(self, now_ns: int, report: Report) -> None:
        """A statement is compared with the books, so both must know the same: it waits for orders without an answer."""
        for statement in list(self._statements.values()):
            if self._unknown or self._sent:
                return
            try:
                stated = self._venue.statement()
            except VenueUnavailable:
                return
            if stated.venue_seq > self._venue_seq:
                self._ahead_ns = now_ns if self._ahead_ns is None else self._ahead_ns
                if now_ns - self._ahead_ns < PATIENCE_NS:
                    return  # its events are late; if they stay away, the difference is there for all to see
            self._ahead_ns = None
            report(stated, statement.cause)

    # -- placing ----------------------------------------------------------------------------------------------------

    def _is_unsent(self, want: PlaceOrder, now_ns: int, report: Report) -> bool:
        """Whether the venue says that it has no such order; `collect` reports what became of one that it has."""
        self._must_stand_in_the_log(want)
        client_order_id = want.order.client_order_id
        known = self._knows(client_order_id)
        if known is None:
            report(OrderUnknown(client_order_id), want.cause)
        elif known:
            self._sent[client_order_id] = Sent(want.cause, now_ns)
        return known is False

    def _place(self, wants: list[PlaceOrder], now_ns: int, report: Report) -> None:
        """Ask for all approvals at once, and take each order through the door; what may not leave any more is blocked."""
        wants = [want for want in wants if not self._is_too_late(want, now_ns, report)]
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
            self._let_out(want, approval, now_ns, report)

    def _is_too_late(self, want: PlaceOrder, now_ns: int, report: Report) -> bool:
        """An order may have waited: for its agent, or for the line. What has come in between counts."""
        proposal, approved = want.proposal, want.approved
        level = halt_level(self._standing, proposal.account, proposal.strategy, proposal.instrument)
        is_opening = approved.facts.is_opening != 0
        if level >= HALTED or (level and is_opening):
            report(OrderBlocked(want.order.client_order_id, "halted"), want.cause)
        elif now_ns > approved.expires_ns:
            report(OrderBlocked(want.order.client_order_id, "approval_expired"), want.cause)
        else:
            return False
        return True

    def _let_out(self, want: PlaceOrder, approval: Approval, now_ns: int, report: Report) -> None:
        client_order_id = want.order.client_order_id
        try:
            is_out = self._door.place(want.order, want.proposal, approval, now_ns)
        except VenueUnavailable:
            report(OrderUnknown(client_order_id), want.cause)
            return
        if is_out:
            self._sent[client_order_id] = Sent(want.cause, now_ns)
        else:
            report(OrderBlocked(client_order_id, "lease_stale"), want.cause)

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
