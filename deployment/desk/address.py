"""Where the desk's socket is, and who is at its other end: what server and client share."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deployment.desk.words import SOCKET

_CREDENTIALS = struct.Struct("iII")  # pid, uid, gid


@contextmanager
def address(folder: Path, name: str = SOCKET) -> Iterator[str]:
    """A name of the socket `name` in the folder that is short enough for the kernel, however long the folder's is.

    Raises:
        OSError: the folder is not there, or may not be opened.
    """
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{number}/{name}"
    finally:
        os.close(number)


def peer_uid(sock: socket.socket) -> int:
    """The user at the other end, as the kernel knows it."""
    _, uid, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return int(uid)
