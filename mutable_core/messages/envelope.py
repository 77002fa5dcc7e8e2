"""The envelope, the closed union of everything that can be said, and the one canonical encoding.

Canonical bytes are what `encode` writes: UTF-8 JSON, fields in the order of their definition, no white space,
decimals as strings in one spelling. `decode` refuses whatever `encode` would not have written: unknown
fields, kinds and versions (a kind's tag ends in its version), other spellings, trailing bytes.
"""

from __future__ import annotations

from typing import TypeAlias, get_args

import msgspec

from mutable_core.errors import MalformedMessage
from mutable_core.messages import control, decisions, market, orders, supervision, truth

AnyBody: TypeAlias = (
    market.RowReceived
    | market.SliceClosed
    | market.SourceEnded
    | market.Observed
    | market.InputRejected
    | market.CorporateActionObserved
    | control.RunStarted
    | control.IdentityIssued
    | control.LeaseGranted
    | control.HaltOrdered
    | control.VetoSet
    | control.VetoLifted
    | control.BroadcastPublished
    | control.CatalystFiled
    | control.SignalDeclared
    | control.ConsentRecorded
    | control.SnapshotTaken
    | control.OperationAsked
    | control.PersonSigned
    | control.DrillOrdered
    | supervision.AgentHeld
    | supervision.AgentReleased
    | supervision.AgentEnded
    | supervision.FaultInjected
    | decisions.ProposalMade
    | decisions.NothingProposed
    | decisions.Approved
    | decisions.Refused
    | decisions.ApprovalAwaited
    | decisions.OperationApproved
    | decisions.OperationRefused
    | decisions.AccountHalted
    | orders.OrderIntended
    | orders.CancelIntended
    | orders.OrderWithheld
    | orders.OrderBlocked
    | orders.OrderUnknown
    | orders.OrderAccepted
    | orders.OrderRejected
    | orders.OrderFilled
    | orders.OrderCancelled
    | orders.OrderExpired
    | orders.OrderAdjusted
    | orders.VenueStated
    | truth.Verified
    | truth.StatementWanted
    | truth.Reconciled
    | truth.DiscrepancyFound
)

BODY_TYPES: tuple[type[market.Body], ...] = get_args(AnyBody)
KIND_OF: dict[type[market.Body], str] = {t: str(t.__struct_config__.tag) for t in BODY_TYPES}
"""`order.filled/1` and so on: the name of a kind with its version."""


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One message in the log.

    Attributes:
        seq: log position, 1-based, contiguous. Orders everything.
        id: 32 hex digits, derived from cause, author and count.
        author: who said it, as the bus knows it; never taken from the message.
        trace_id: the observation or command that it all began with.
        cause_id: the message that caused this one; its own id for a message that began a trace.
        depth: messages from the beginning of the trace to this one; 0 begins it.
        ts_event_ns: when it happened in the world.
        ts_seen_ns: when we saw it, by the clock that this journal runs on.
    """

    seq: int
    id: str
    author: str
    trace_id: str
    cause_id: str
    depth: int
    ts_event_ns: int
    ts_seen_ns: int
    body: AnyBody

    @property
    def kind(self) -> str:
        """`order.filled`"""
        return KIND_OF[type(self.body)].rpartition("/")[0]

    @property
    def version(self) -> int:
        return int(KIND_OF[type(self.body)].rpartition("/")[2])


_encoder = msgspec.json.Encoder(decimal_format="string")
_decoder = msgspec.json.Decoder(Envelope, strict=True)
_body_decoder = msgspec.json.Decoder(AnyBody, strict=True)

encode = _encoder.encode
"""Canonical bytes of an envelope or a body."""


def decode(data: bytes) -> Envelope:
    """The envelope in `data`.

    Raises:
        MalformedMessage: unknown kind, version or field, a wrong type, or bytes that are not canonical.
    """
    try:
        envelope = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage(f"a message could not be decoded: {error}") from error
    if _encoder.encode(envelope) != data:
        raise MalformedMessage("a message was not in canonical form", where=f"seq {envelope.seq}")
    return envelope


def decode_body(data: bytes) -> AnyBody:
    """The body in `data`. Raises as `decode`."""
    try:
        body: AnyBody = _body_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage(f"a message's body could not be decoded: {error}") from error
    if _encoder.encode(body) != data:
        raise MalformedMessage("a message's body was not in canonical form")
    return body


decode_trusted = _decoder.decode
"""`decode` without the canonical check, for rows whose hash has just been verified."""
