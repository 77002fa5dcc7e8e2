"""Does every trace hang together, and did each come to its end? (I6)

Read over a journal, in order. A trace begins with a row, a drill or a command; each later message of it must name a
cause that stands earlier in the same trace. It has ended when nothing is awaited of it any more: the row was answered,
each proposal verified, each order's entry over. Armed protective legs await a market, not us: they are counted apart.
"""

from __future__ import annotations

from mutable_core.messages import (
    DrillOrdered,
    Envelope,
    InputRejected,
    NothingProposed,
    OrderBlocked,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    OrderUnknown,
    ProposalMade,
    RowReceived,
    Verified,
    leg_id,
)

_ROW = "row"
_TRACED = (
    InputRejected, NothingProposed, ProposalMade, Verified, OrderIntended, OrderFilled,
    OrderRejected, OrderBlocked, OrderUnknown, OrderCancelled, OrderExpired,
)  # fmt: skip


class _Trace:
    __slots__ = ("armed", "awaited", "ids")

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.awaited: set[str] = set()
        self.armed: set[str] = set()


class Traces:
    """Counts over the messages seen so far.

    Attributes:
        begun: traces that began with a row or a drill.
        broken: messages whose cause is not in their trace, by position.
    """

    def __init__(self) -> None:
        self.begun = 0
        self.broken: list[int] = []
        self._open: dict[str, _Trace] = {}
        self._legs: set[str] = set()  # leg ids that an entry's fill will arm

    def seen(self, envelope: Envelope) -> None:
        if envelope.depth == 0:
            self._begin(envelope)
            return
        trace = self._open.get(envelope.trace_id)
        if trace is None:
            if isinstance(envelope.body, _TRACED):
                self.broken.append(envelope.seq)
            return
        if envelope.cause_id not in trace.ids:
            self.broken.append(envelope.seq)
        trace.ids.add(envelope.id)
        self._advance(trace, envelope)
        if not trace.awaited and not trace.armed:
            del self._open[envelope.trace_id]

    def _begin(self, envelope: Envelope) -> None:
        if not isinstance(envelope.body, RowReceived | DrillOrdered):
            return  # slices, leases and commands await nothing
        self.begun += 1
        trace = self._open[envelope.trace_id] = _Trace()
        trace.ids.add(envelope.id)
        trace.awaited.add(_ROW)

    def _advance(self, trace: _Trace, envelope: Envelope) -> None:
        match envelope.body:
            case InputRejected() | NothingProposed():
                trace.awaited.discard(_ROW)
            case ProposalMade(proposal=proposal):
                trace.awaited.discard(_ROW)
                trace.awaited.add(proposal.proposal_id)
            case Verified(proposal_id=proposal_id):
                trace.awaited.discard(proposal_id)
            case OrderIntended(order=order):
                trace.awaited.add(order.client_order_id)
                if order.stop_price is not None:
                    self._legs.add(leg_id(order.client_order_id, "stop"))
                if order.target_price is not None:
                    self._legs.add(leg_id(order.client_order_id, "target"))
            case OrderFilled(leg="entry", client_order_id=order_id, remaining=remaining):
                trace.armed |= {leg_id(order_id, "stop"), leg_id(order_id, "target")} & self._legs
                if not remaining:
                    trace.awaited.discard(order_id)
            case OrderFilled(client_order_id=order_id, remaining=remaining):
                if not remaining:
                    self._disarm(trace, order_id)
            case (
                OrderRejected(client_order_id=order_id)
                | OrderBlocked(client_order_id=order_id)
                | OrderCancelled(client_order_id=order_id)
                | OrderExpired(client_order_id=order_id)
            ):
                trace.awaited.discard(order_id)
                self._disarm(trace, order_id)
            case _:
                pass

    def _disarm(self, trace: _Trace, order_id: str) -> None:
        trace.armed.discard(order_id)
        self._legs.discard(order_id)

    @property
    def incomplete(self) -> int:
        """Traces of which something is still awaited, and messages that hang in the air."""
        return sum(1 for trace in self._open.values() if trace.awaited) + len(self.broken)

    @property
    def protecting(self) -> int:
        """Traces that have ended for us and whose stop or target still works at the venue."""
        return sum(1 for trace in self._open.values() if not trace.awaited)
