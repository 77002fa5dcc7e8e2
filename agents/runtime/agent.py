"""What an agent is: a name, what it hears and may say, a first state, and a pure `decide`.

`decide(state, heard)` has no clock, no chance and no I/O: time comes with the message. What it says is appended
to the log; what it wants is done by its effects once the journal is durable up to the wish's cause, and comes back
as messages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from graveyard.words import Proposal
from mutable_core.messages import AnyBody, Approved, Envelope, OrderSpec

S = TypeVar("S")


class Cause(msgspec.Struct, frozen=True, gc=False):
    """Which message something follows from."""

    trace_id: str
    id: str
    depth: int
    ts_event_ns: int


def cause_of(envelope: Envelope) -> Cause:
    return Cause(envelope.trace_id, envelope.id, envelope.depth, envelope.ts_event_ns)


class Say(msgspec.Struct, frozen=True, gc=False):
    """A message to append. `cause` is the heard message unless another is named (an observation decided on later)."""

    body: AnyBody
    cause: Cause | None = None


class PlaceOrder(msgspec.Struct, frozen=True, gc=False):
    """Want: send this order through the venue door. Performed at most once per client order id."""

    order: OrderSpec
    proposal: Proposal
    approved: Approved
    approval_position: int
    cause: Cause


class CancelOrder(msgspec.Struct, frozen=True, gc=False):
    client_order_id: str
    cause: Cause


class FetchStatement(msgspec.Struct, frozen=True, gc=False):
    cause: Cause


Want = PlaceOrder | CancelOrder | FetchStatement


class Step(msgspec.Struct, Generic[S], frozen=True, gc=False):
    """What one message led to."""

    state: S
    says: tuple[Say, ...] = ()
    wants: tuple[Want, ...] = ()


class AgentSpec(msgspec.Struct, frozen=True):
    """What an agent hears, says and may do; `docs/reference/agents.md` and the bus's capability table come from it.

    Attributes:
        hears: body types delivered to `decide`, in log order.
        says: body types that `decide` may say.
        reports: input body types that its effects may append (what the world answered).
        does: one sentence for the table.
    """

    name: str
    does: str
    hears: tuple[type, ...]
    says: tuple[type, ...]
    reports: tuple[type, ...] = ()


class Agent(msgspec.Struct, frozen=True):
    """A spec with its behaviour."""

    spec: AgentSpec
    first_state: Any
    decide: Callable[[Any, Envelope], Step[Any]]
