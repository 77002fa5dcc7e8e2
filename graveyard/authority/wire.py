"""What passes between the house and the authority's process: frames, each of one known form, and nothing else.

A frame is 4 bytes of length (big endian) and that much canonical JSON with a tag. Kept here: a length is refused before
anything is read for it · brackets are counted before parsing, so depth is bounded without recursion · unknown tags and
fields, doubled keys, other spellings (`1.0`, white space, another order) and integers beyond 63 bits are refused,
because what was read must be, byte for byte, what would be written · whatever goes wrong while reading is a refusal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, TypeAlias, TypeVar

import msgspec

from graveyard.authority.signing import BATCH_MAX, INT64_MAX
from graveyard.errors import GraveyardError

LENGTH_BYTES = 4
FRAME_MAX = 4 << 20
"""Bytes of one frame. The largest row is the first of a run, with all its instruments: some hundred kilobytes."""
ROWS_MAX = 1_024
_BRACKETS_MAX = 2 * BATCH_MAX + 16  # more than any frame has; far fewer than the parser's recursion bears

Natural = Annotated[int, msgspec.Meta(ge=0, le=INT64_MAX)]
Position = Annotated[int, msgspec.Meta(ge=1, le=INT64_MAX)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Request = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$", min_length=32, max_length=32)]
Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$", min_length=64, max_length=64)]
Sentence = Annotated[str, msgspec.Meta(max_length=400)]
Head = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


class FrameRefused(GraveyardError):
    """Bytes that are no frame: the connection is over."""


class _Frame(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="frame"):
    pass


class Rows(_Frame, frozen=True, tag="rows"):
    """Committed journal rows, in order. `head` is the chain's hash after the last of them, over all rows before it."""

    first: Position
    rows: Annotated[tuple[bytes, ...], msgspec.Meta(min_length=1, max_length=ROWS_MAX)]
    head: Head


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The approval of this proposal, at this log position."""

    proposal_id: Name
    position: Position


class Ask(_Frame, frozen=True, tag="ask"):
    """Sign these. `request` cannot be guessed and is never used twice."""

    request: Request
    items: Annotated[tuple[Item, ...], msgspec.Meta(min_length=1, max_length=BATCH_MAX)]


class Probe(_Frame, frozen=True, tag="probe"):
    """Are you there, and where in the log?"""

    request: Request


class Hello(_Frame, frozen=True, tag="hello"):
    """The first frame of the authority, after its jail has closed.

    Attributes:
        public_key: Ed25519; the private half was made inside and stays there.
        ruleset: of the rules in its memory.
        seal_faults: what is wrong with the seal; empty where it holds.
        jail: what is enforced, a word or two each.
        open: what is not, and why.
    """

    pid: Position
    uid: Natural
    gid: Natural
    public_key: Digest
    ruleset: Digest
    seal_faults: tuple[Sentence, ...]
    jail: tuple[Sentence, ...]
    open: tuple[Sentence, ...]


class Grant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="is", tag="grant"):
    """An approval without signature and batch, which the answer carries once."""

    proposal_id: Name
    account: Name
    digest: Digest
    position: Position
    opening: bool
    hold_micros: Natural
    expires_ns: Position
    ruleset: Digest


class Refusal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="is", tag="refusal"):
    """No approval, and why."""

    proposal_id: Name
    position: Position
    why: Sentence


class Answer(_Frame, frozen=True, tag="answer"):
    """One grant or refusal for each item of the request, in order.

    `signature` and `batch` cover the grants, in order; both are empty where there is none.
    """

    request: Request
    items: Annotated[tuple[Grant | Refusal, ...], msgspec.Meta(min_length=1, max_length=BATCH_MAX)]
    signature: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{128})?$", max_length=128)]
    batch: Annotated[tuple[Digest, ...], msgspec.Meta(max_length=BATCH_MAX)]


class Alive(_Frame, frozen=True, tag="alive"):
    """Where the authority stands: the last row it has folded, and the chain's hash after it."""

    request: Request
    seq: Natural
    head: Head


FromHouse: TypeAlias = Rows | Ask | Probe
FromAuthority: TypeAlias = Hello | Answer | Alive

_encoder = msgspec.json.Encoder()
_from_house: msgspec.json.Decoder[FromHouse] = msgspec.json.Decoder(FromHouse, strict=True)
_from_authority: msgspec.json.Decoder[FromAuthority] = msgspec.json.Decoder(FromAuthority, strict=True)
_T = TypeVar("_T")


def frame(message: FromHouse | FromAuthority) -> bytes:
    """The bytes of a message, its length before them.

    Raises:
        FrameRefused: it is too large for one frame.
    """
    payload = _encoder.encode(message)
    if len(payload) > FRAME_MAX:
        raise FrameRefused(f"a frame of `{len(payload)}` bytes is longer than `{FRAME_MAX}`")
    return len(payload).to_bytes(LENGTH_BYTES, "big") + payload


def read_from_house(payload: bytes) -> FromHouse:
    """What the house says in one frame.

    Raises:
        FrameRefused: it is no frame of the house.
    """
    return _read(_from_house, payload)


def read_from_authority(payload: bytes) -> FromAuthority:
    """What the authority says in one frame.

    Raises:
        FrameRefused: it is no frame of the authority.
    """
    return _read(_from_authority, payload)


def _read(decoder: msgspec.json.Decoder[_T], payload: bytes) -> _T:
    if len(payload) > FRAME_MAX or payload.count(b"[") + payload.count(b"{") > _BRACKETS_MAX:
        raise FrameRefused("a frame was too large or too deep")
    try:
        message = decoder.decode(payload)
        is_canonical = _encoder.encode(message) == payload
    except Exception as error:
        raise FrameRefused(f"a frame could not be read: {type(error).__name__}") from error
    if not is_canonical:
        raise FrameRefused("a frame was not in its canonical form")
    return message


class FrameReader:
    """Cuts a stream of bytes into payloads; holds one unfinished frame at most."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The payloads that are complete with this chunk.

        Raises:
            FrameRefused: a length is 0 or beyond `FRAME_MAX`; what follows is not read.
        """
        held = self._held
        held += chunk
        while len(held) >= LENGTH_BYTES:
            size = int.from_bytes(held[:LENGTH_BYTES], "big")
            if not 1 <= size <= FRAME_MAX:
                raise FrameRefused(f"a frame of `{size}` bytes was announced")
            if len(held) < LENGTH_BYTES + size:
                return
            payload = bytes(held[LENGTH_BYTES : LENGTH_BYTES + size])
            del held[: LENGTH_BYTES + size]
            yield payload
