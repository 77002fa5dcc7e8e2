"""What passes between the core and an agent's process: frames, each of one known form, and nothing else.

A frame is 4 bytes of length (big endian) and that much msgpack with a tag. Kept here: a length is refused before anything
is read for it · unknown tags and fields and wrong types are refused · what an agent says comes as the canonical bytes of a
body, so that what is refused here can never stand in the log, and what stands in the log can always be read.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

from agents.runtime.agent import Cause, Say
from mutable_core import errors
from mutable_core.errors import AgentFailed, ArkError, JournalBroken, Unacceptable
from mutable_core.messages import decode_body, encode

LENGTH_BYTES = 4
FRAME_MAX = 4 << 20
"""Bytes of one frame."""
STATE_MAX = 256 << 20
"""Bytes of a frame that carries a state; from an agent only while it was asked for one."""
SAYS_MAX = 4_096

_TEXT_MAX = 2_000
Natural = Annotated[int, msgspec.Meta(ge=0)]
Id = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$", max_length=32)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Text = Annotated[str, msgspec.Meta(max_length=_TEXT_MAX)]


class WireRefused(Unacceptable):
    """Bytes that are no frame: the connection is over."""


class _Frame(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="frame"):
    pass


class Begin(_Frame, frozen=True, tag="begin"):
    """Core → agent: be the agent as it was after log position `after`. What it has heard since follows, as ever.

    Attributes:
        state: frozen; None for the first state.
        hands: what the hands kept then; empty for none.
    """

    state: bytes | None
    hands: bytes
    after: Natural


class Hear(_Frame, frozen=True, tag="hear"):
    """Core → agent: decide on this message, given by its canonical bytes. One `Answer` follows, or `Choked`."""

    row: bytes


class Fold(_Frame, frozen=True, tag="fold"):
    """Core → agent: a message for the hands alone; nothing follows."""

    row: bytes


class Keep(_Frame, frozen=True, tag="keep"):
    """Core → agent: give me your state after all that you were told before this."""

    number: Natural


class Call(_Frame, frozen=True, tag="call"):
    """Core → agent: hands, do this. Agent → core, inside such a call: tell me this. `Result` or `Raised` follows."""

    number: Natural
    what: Name
    payload: bytes


class Result(_Frame, frozen=True, tag="result"):
    number: Natural
    payload: bytes


class Raised(_Frame, frozen=True, tag="raised"):
    """A call led to an error of `mutable_core.errors`; an empty name says that nobody waits for the call any more."""

    number: Natural
    name: Annotated[str, msgspec.Meta(max_length=100)]
    what: Text
    where: Text
    to_do: Text


class Began(_Frame, frozen=True, tag="began"):
    """Agent → core: `Begin` was understood."""

    after: Natural


class Spoken(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """One thing said. `cause` is None where it is the message heard."""

    body: bytes
    cause: SpokenCause | None


class SpokenCause(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    trace_id: Id
    id: Id
    depth: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
    ts_event_ns: int


class Answer(_Frame, frozen=True, tag="answer"):
    """Agent → core: what is said to the message at `position`, and how many things are wanted of the hands."""

    position: Natural
    says: Annotated[tuple[Spoken, ...], msgspec.Meta(max_length=SAYS_MAX)]
    wants: Natural


class Kept(_Frame, frozen=True, tag="kept"):
    """Agent → core: the state asked for by `Keep`; `hands` is None where they cannot be kept now."""

    number: Natural
    position: Natural
    state: bytes
    hands: bytes | None


class Choked(_Frame, frozen=True, tag="choked"):
    """Agent → core, its last word: the message at `position` could not be worked through."""

    position: Natural
    error: Text


FromCore: TypeAlias = Begin | Hear | Fold | Keep | Call | Result | Raised
FromAgent: TypeAlias = Began | Answer | Kept | Choked | Call | Result | Raised

_encode = msgspec.msgpack.Encoder().encode
_from_core: msgspec.msgpack.Decoder[FromCore] = msgspec.msgpack.Decoder(FromCore, strict=True)
_from_agent: msgspec.msgpack.Decoder[FromAgent] = msgspec.msgpack.Decoder(FromAgent, strict=True)


def frame(message: FromCore | FromAgent) -> bytes:
    """The bytes of a message, its length before them.

    Raises:
        WireRefused: it is too large for any frame.
    """
    payload = _encode(message)
    if len(payload) > STATE_MAX:
        raise WireRefused(f"a frame of `{len(payload)}` bytes is longer than `{STATE_MAX}`")
    return len(payload).to_bytes(LENGTH_BYTES, "big") + payload


def from_core(payload: bytes) -> FromCore:
    """Raises `WireRefused` where it is no frame of the core."""
    try:
        return _from_core.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireRefused(f"no frame of the core: {error}") from error


def from_agent(payload: bytes) -> FromAgent:
    """Raises `WireRefused` where it is no frame of an agent."""
    try:
        return _from_agent.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireRefused(f"no frame of an agent: {error}") from error


class FrameReader:
    """Cuts a stream into frames. Holds at most one incomplete frame and one chunk."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, chunk: bytes, frame_max: int) -> list[bytes]:
        """The payloads that are complete now.

        Raises:
            WireRefused: one would be longer than `frame_max`.
        """
        data = self._data
        data += chunk
        payloads, start = [], 0
        while len(data) - start >= LENGTH_BYTES:
            length = int.from_bytes(data[start : start + LENGTH_BYTES], "big")
            if length > frame_max:
                raise WireRefused(f"a frame of `{length}` bytes is longer than `{frame_max}`")
            end = start + LENGTH_BYTES + length
            if len(data) < end:
                break
            payloads.append(bytes(data[start + LENGTH_BYTES : end]))
            start = end
        del data[:start]
        return payloads


# -- what is said -------------------------------------------------------------------------------------------------------


def spoken(say: Say) -> Spoken:
    cause = say.cause
    if cause is None:
        return Spoken(encode(say.body), None)
    return Spoken(encode(say.body), SpokenCause(cause.trace_id, cause.id, cause.depth, cause.ts_event_ns))


def said(one: Spoken) -> Say:
    """What an agent meant.

    Raises:
        MalformedMessage: it is no message of ours.
    """
    cause = one.cause
    if cause is None:
        return Say(decode_body(one.body))
    return Say(decode_body(one.body), Cause(cause.trace_id, cause.id, cause.depth, cause.ts_event_ns))


# -- errors -------------------------------------------------------------------------------------------------------------


def raised(number: int, error: Exception) -> Raised:
    """The error, on its way to the other side."""
    if not isinstance(error, ArkError):
        return Raised(number, AgentFailed.__name__, _short(f"{type(error).__name__}: {error}"), "", "")
    return Raised(number, _name_of(error), _short(error.what), _short(error.where), _short(error.to_do))


def error_of(one: Raised) -> ArkError:
    """The error as it was raised on the other side, or the nearest that is known here."""
    kind = _KINDS.get(one.name, AgentFailed)
    return kind(one.what, where=one.where, to_do=one.to_do)


_KINDS: dict[str, type[ArkError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, ArkError) and kind is not JournalBroken  # it needs its row
}


def _name_of(error: ArkError) -> str:
    return next(kind.__name__ for kind in type(error).__mro__ if _KINDS.get(kind.__name__) is kind)


def _short(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()[:_TEXT_MAX]
