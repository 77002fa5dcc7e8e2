"""What is said over a connection to the venue's process: frames of a length and msgpack, requests and their answers.

Each connection has one right, which the Watchdog names when it hands the connection over; it is never asked who it is.

| right    | who            | may                                                                |
|----------|----------------|--------------------------------------------------------------------|
| `market` | the core       | open the venue, show rows and actions, ask                         |
| `trade`  | Kenny          | place, cancel, ask                                                 |
| `kill`   | the kill switch| bar what opens, withdraw entries, close positions, ask: only reduce|
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Literal, TypeAlias

import msgspec

from mutable_core.errors import MalformedMessage
from mutable_core.messages import (
    CorporateActionObserved,
    Instrument,
    Observed,
    OrderAccepted,
    OrderAdjusted,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderSpec,
)

Right = Literal["market", "trade", "kill"]

AnyEvent: TypeAlias = OrderAccepted | OrderRejected | OrderFilled | OrderCancelled | OrderExpired | OrderAdjusted
"""What `Events` answers with."""
FRAME_MAX = 1 << 23
"""Bytes of one frame: a statement of a hundred thousand orders."""
EVENTS_MAX = 256
"""Events in one answer; who asked for more asks again."""
_LENGTH = struct.Struct("<I")


class _Call(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    pass


class Open(_Call, frozen=True, tag="open"):
    """Open the venue's log, or open it again, as `SimulatedVenue.open` does."""

    path: str
    cash_micros: int
    instruments: tuple[Instrument, ...]
    until_row: int | None


class Show(_Call, frozen=True, tag="show"):
    observed: Observed
    ts_ns: int


class Apply(_Call, frozen=True, tag="apply"):
    action: CorporateActionObserved
    row: int
    ts_ns: int


class Note(_Call, frozen=True, tag="note"):
    pass


class ShownRow(_Call, frozen=True, tag="shown_row"):
    pass


class Place(_Call, frozen=True, tag="place"):
    order: OrderSpec
    ts_ns: int


class Cancel(_Call, frozen=True, tag="cancel"):
    client_order_id: str
    ts_ns: int


class Knows(_Call, frozen=True, tag="knows"):
    client_order_id: str


class Events(_Call, frozen=True, tag="events"):
    after: int


class State(_Call, frozen=True, tag="state"):
    """The account's statement."""


class Ask(_Call, frozen=True, tag="ask"):
    """Whether it is open and answers."""


class SetBars(_Call, frozen=True, tag="set_bars"):
    """Instrument, empty for all, → level. Replaces what stood."""

    bars: dict[str, int]


class Bars(_Call, frozen=True, tag="bars"):
    pass


class Withdraw(_Call, frozen=True, tag="withdraw"):
    instrument: str


class Close(_Call, frozen=True, tag="close"):
    instrument: str
    latch: str


Call: TypeAlias = (
    Open
    | Show
    | Apply
    | Note
    | ShownRow
    | Place
    | Cancel
    | Knows
    | Events
    | State
    | Ask
    | SetBars
    | Bars
    | Withdraw
    | Close
)

_EVERYBODY: tuple[type, ...] = (State, Ask)
ALLOWED: dict[Right, frozenset[type]] = {
    "market": frozenset({Open, Show, Apply, Note, ShownRow, Knows, Events, *_EVERYBODY}),
    "trade": frozenset({Place, Cancel, Knows, Events, *_EVERYBODY}),
    "kill": frozenset({SetBars, Bars, Withdraw, Close, *_EVERYBODY}),
}


class Asked(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """`number` 0 wants no answer; others rise by one."""

    number: int
    call: Call


class Said(msgspec.Struct, frozen=True, array_like=True, tag="said"):
    number: int
    result: msgspec.Raw


class Failed(msgspec.Struct, frozen=True, array_like=True, tag="failed"):
    """`error` is the class in `mutable_core.errors`; `row` counts only for a `JournalBroken`."""

    number: int
    error: str
    what: str
    where: str
    to_do: str
    row: int = 0


encode = msgspec.msgpack.Encoder().encode
_asked = msgspec.msgpack.Decoder(Asked)
_answer: msgspec.msgpack.Decoder[Said | Failed] = msgspec.msgpack.Decoder(Said | Failed)


def framed(message: Asked | Said | Failed) -> bytes:
    data = encode(message)
    return _LENGTH.pack(len(data)) + data


def asked(frame: bytes) -> Asked:
    """Raises MalformedMessage: it is no request of this build."""
    try:
        return _asked.decode(frame)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise MalformedMessage(f"no request to a venue: {error}") from error


def answered(frame: bytes) -> Said | Failed:
    """Raises MalformedMessage: it is no answer of this build."""
    try:
        return _answer.decode(frame)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise MalformedMessage(f"no answer of a venue: {error}") from error


def frames_in(heard: bytearray) -> Iterator[bytes]:
    """The whole frames at its beginning, which are cut off it.

    Raises:
        MalformedMessage: a frame is longer than any may be.
    """
    while len(heard) >= _LENGTH.size:
        (length,) = _LENGTH.unpack_from(heard)
        if length > FRAME_MAX:
            raise MalformedMessage(f"a frame of {length} bytes was announced")
        end = _LENGTH.size + length
        if len(heard) < end:
            return
        frame = bytes(heard[_LENGTH.size : end])
        del heard[:end]
        yield frame
