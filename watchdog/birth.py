"""What the Watchdog and its nursery say to each other, and what a child knows of itself when it begins."""

from __future__ import annotations

import array
import errno
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from signal import Signals

import msgspec

from watchdog.jail.spec import NO_JAIL, Jail, JailSpec

PACKET_MAX = 1 << 17
"""Bytes of one packet; so much may a child's `args` have, nearly."""
DESCRIPTORS_MAX = 64
"""That one packet may carry."""
LINE_MAX = 1_000
SOCKET_BYTES = 1 << 20
_INT_BYTES = array.array("i").itemsize


class Birth(msgspec.Struct, frozen=True):
    """A child to be born; and, in the child, what it was born with.

    Attributes:
        name: what people see, also in `ps -o comm`.
        role: what it does: a key of the table that the nursery was started with.
        args: handed to the role as they are.
        fds: descriptors by name. In the child they are the child's own numbers, and all that it has but 0, 1 and 2.
        jail: what it is locked into before the role begins; None: nothing but its end with its parent.
        jailed: in the child, what its jail enforces and what not.
    """

    name: str
    role: str
    args: bytes = b""
    fds: Mapping[str, int] = {}
    jail: JailSpec | None = None
    jailed: Jail = NO_JAIL


class Asked(msgspec.Struct, frozen=True, tag="asked", forbid_unknown_fields=True):
    """Watchdog → nursery; the descriptors beside it are those of `fds`, in that order, and last the report's end."""

    number: int
    birth: Birth


class Ready(msgspec.Struct, frozen=True, tag="ready", forbid_unknown_fields=True):
    """Nursery → Watchdog: everything is loaded. `open` says what it cannot give to its children."""

    pid: int
    open: tuple[str, ...] = ()


class Born(msgspec.Struct, frozen=True, tag="born", forbid_unknown_fields=True):
    """Nursery → Watchdog; the descriptor beside it is the child's pidfd."""

    number: int
    pid: int


class Stillborn(msgspec.Struct, frozen=True, tag="stillborn", forbid_unknown_fields=True):
    """Nursery → Watchdog: nothing was forked, and why. Number 0: the nursery itself cannot begin, and ends."""

    number: int
    why: str


class Died(msgspec.Struct, frozen=True, tag="died", forbid_unknown_fields=True):
    """Nursery → Watchdog. `code`: its exit code, or the signal that ended it as a negative number."""

    pid: int
    code: int
    cpu_ns: int
    rss_max_bytes: int


FromNursery = Ready | Born | Stillborn | Died


class Jailed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Child → Watchdog, the first packet of its report; later ones are its last word, as text.

    Attributes:
        began_ns, jailed_ns: monotonic; its first instruction, and when its jail had closed.
    """

    enforced: tuple[str, ...]
    open: tuple[str, ...]
    began_ns: int
    jailed_ns: int


class Death(msgspec.Struct, frozen=True):
    """How a child ended. `line`: its last word, empty where it had none."""

    code: int
    line: str = ""
    cpu_ns: int = 0
    rss_max_bytes: int = 0

    @property
    def is_by_signal(self) -> bool:
        return self.code < 0

    @property
    def how(self) -> str:
        """For people: ``ended with code 1: …``, ``killed by SIGSEGV: …``."""
        how = f"killed by {_signal(-self.code)}" if self.is_by_signal else f"ended with code {self.code}"
        return f"{how}: {self.line}" if self.line else how


def _signal(number: int) -> str:
    try:
        return Signals(number).name
    except ValueError:
        return f"signal {number}"


def send(connection: socket.socket, message: Asked | FromNursery, descriptors: Sequence[int] = ()) -> None:
    """One packet, with descriptors beside it.

    Raises:
        OSError: it is too long, or nobody is there.
    """
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    data = msgspec.msgpack.encode(message)
    if len(data) > PACKET_MAX or len(descriptors) > DESCRIPTORS_MAX:
        raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
    connection.sendmsg([data], ancillary)


def receive(connection: socket.socket) -> tuple[bytes, list[int]]:
    """One packet and the descriptors beside it, which are now ours; no bytes when the other side has gone."""
    data, ancillary, flags, _ = connection.recvmsg(
        PACKET_MAX, socket.CMSG_SPACE(DESCRIPTORS_MAX * _INT_BYTES), socket.MSG_CMSG_CLOEXEC
    )
    descriptors = [
        one[0]
        for level, kind, held in ancillary
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        for one in struct.iter_unpack("i", held)
    ]
    assert not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC), "the Watchdog and its nursery agree on what a packet is"
    return data, descriptors
