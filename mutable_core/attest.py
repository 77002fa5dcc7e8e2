"""Who sent these bytes: the kernel says it with each of them, by pid and uid.

`SO_PEERCRED` of a socket pair names the process that made the pair, which is the same at both ends; so each end asks
for `SCM_CREDENTIALS` with what it receives. That also notices a third process that got hold of an end.
"""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

from graveyard.authority.wire import FrameRefused

CHUNK_BYTES = 1 << 18
_CREDENTIALS = struct.Struct("3i")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_CREDENTIALS.size)


class Peer(NamedTuple):
    """A process, as the kernel knows it. `uid` is None where it is not known which it has: the pid alone tells."""

    pid: int
    uid: int | None


def ask_for_senders(connection: socket.socket) -> None:
    """From here on the kernel names the sender of everything that this end receives."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)


def receive(connection: socket.socket, peer: Peer) -> bytes:
    """The next bytes that `peer` sent; none when it has let go.

    Raises:
        FrameRefused: another process sent them, or descriptors came beside them.
        BlockingIOError: the socket does not block, and there are none.
    """
    try:
        chunk, ancillary, flags, _ = connection.recvmsg(CHUNK_BYTES, _ANCILLARY_BYTES)
    except ConnectionError:
        return b""
    if chunk and (flags & socket.MSG_CTRUNC or not _is_from(peer, ancillary)):
        raise FrameRefused("bytes came that the other end did not send")
    return chunk


def _is_from(peer: Peer, ancillary: list[tuple[int, int, bytes]]) -> bool:
    if len(ancillary) != 1 or ancillary[0][:2] != (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
        return False
    pid, uid, _ = _CREDENTIALS.unpack(ancillary[0][2])
    return bool(pid == peer.pid and peer.uid in (None, uid))
