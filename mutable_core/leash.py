"""The leash: what the Watchdog and a process that it keeps say to each other, one frame a packet.

The pings are in-band: the task that does the work answers them, so a process whose loop stands still is silent, however
well its other parts are. There is at most one ping without an answer. What a process costs (CPU, memory) is not asked
here, since the kernel knows it better than the process does.

A leash is one end of a `SOCK_SEQPACKET` pair: a frame arrives whole or not at all.
"""

from __future__ import annotations

import errno
import socket
from typing import TypeVar

import msgspec

from mutable_core.errors import MalformedMessage

T = TypeVar("T")

FRAME_MAX = 4_096
"""Bytes of one frame."""


class Ping(msgspec.Struct, frozen=True, tag="ping", forbid_unknown_fields=True):
    """Watchdog → process: answer this from the loop that does the work."""

    n: int


class Pong(msgspec.Struct, frozen=True, tag="pong", forbid_unknown_fields=True):
    """Process → Watchdog.

    Attributes:
        n: of the ping that it answers.
        handled: messages that were worked through since this process began; never falls.
        monotonic_ns: when it was answered, by the clock of the process.
    """

    n: int
    handled: int
    monotonic_ns: int


class Inject(msgspec.Struct, frozen=True, tag="inject", forbid_unknown_fields=True):
    """Watchdog → process, in a drill: misbehave like this. Ignored where drills are not allowed."""

    fault: str
    args: dict[str, str] = {}


class Stop(msgspec.Struct, frozen=True, tag="stop", forbid_unknown_fields=True):
    """Watchdog → process: finish what is begun, and end with code 0."""


FromWatchdog = Ping | Inject | Stop

_to_process: msgspec.msgpack.Decoder[FromWatchdog] = msgspec.msgpack.Decoder(FromWatchdog)
_to_watchdog = msgspec.msgpack.Decoder(Pong)


def pair() -> tuple[socket.socket, socket.socket]:
    """The Watchdog's end, which does not block, and the process's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    return ours, theirs


def send(leash: socket.socket, frame: FromWatchdog | Pong) -> bool:
    """Send one frame, without waiting where the socket does not wait. False: no room now, or the other side has gone."""
    try:
        leash.send(msgspec.msgpack.encode(frame))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.ENOBUFS):
            return False
        raise
    return True


def from_watchdog(leash: socket.socket) -> FromWatchdog | None:
    """The next frame from the Watchdog; None when it has let go.

    Raises:
        BlockingIOError: there is none now, and the socket does not wait.
        MalformedMessage: it is none of ours.
    """
    return _read(leash, _to_process)


def from_process(leash: socket.socket) -> Pong | None:
    """The next frame from the process; None when it has let go. Raises as `from_watchdog`."""
    return _read(leash, _to_watchdog)


def _read(leash: socket.socket, decoder: msgspec.msgpack.Decoder[T]) -> T | None:
    try:
        data = leash.recv(FRAME_MAX + 1)
    except ConnectionResetError:
        return None
    if not data:
        return None
    if len(data) > FRAME_MAX:
        raise MalformedMessage(f"a leash's frame has more than {FRAME_MAX} bytes")
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage(f"no frame of a leash: {error}") from error
