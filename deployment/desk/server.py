"""A desk's door: a unix socket in the state folder that only we and root may speak at.

One line in, one line out, and the connection ends. A client that is slow, silent, too long-winded or many is dropped;
a newer one is never kept out by older ones that have not asked yet, so that a halt always gets through.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Protocol

import anyio
from anyio.abc import SocketAttribute, SocketListener, SocketStream

from deployment.desk.address import address, peer_uid
from deployment.desk.words import LINE_MAX, SOCKET, Denied, encode
from mutable_core.errors import DiskUnavailable

BACKLOG = 64
OPEN_MAX = 32
"""Connections that have not asked yet; the oldest is dropped for one more."""
CONNECTION_S = 5.0
"""From its first byte to its last, all in all."""
AGAIN_S = 0.1
"""After a failure to accept one: too many files are open, or it has gone."""

_ENDED = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)


class Answering(Protocol):
    """Whoever stands behind a door: one line in, without its end, and one line out."""

    def answer(self, line: bytes) -> bytes:
        """It is called in the loop that serves, and must not wait."""


@contextmanager
def opened(folder: Path, name: str = SOCKET) -> Iterator[socket.socket]:
    """The socket `name`, listening, mode 0600 from its first moment. The caller owns the folder: what an earlier run left goes.

    Raises:
        DiskUnavailable: the folder takes no socket, or something else has its name.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        _bind(sock, folder, name)
        yield sock
    finally:
        sock.close()
        with suppress(OSError):
            (folder / name).unlink()


def _bind(sock: socket.socket, folder: Path, name: str) -> None:
    try:
        _demand_no_other_file(folder / name)
        (folder / name).unlink(missing_ok=True)
        os.fchmod(sock.fileno(), 0o600)  # the file gets the mode that the socket has when it is bound
        with address(folder, name) as short:
            sock.bind(short)
        sock.listen(BACKLOG)
    except OSError as error:
        raise DiskUnavailable(
            f"a socket for people cannot be opened: {error.strerror or error}",
            where=str(folder / name),
            to_do="name a state folder that takes sockets, with `ARK_STATE_DIR` or `--state`",
        ) from error


def _demand_no_other_file(path: Path) -> None:
    if path.is_symlink() or (path.exists() and not stat.S_ISSOCK(path.lstat().st_mode)):
        raise OSError("something that is no socket has its name")


async def serve(desk: Answering, sock: socket.socket) -> None:
    """Answer until cancelled.

    Raises:
        ArkError: the house failed while it was told something.
    """
    listener = await SocketListener.from_socket(sock)
    async with listener, anyio.create_task_group() as tasks:
        door = Door(desk)
        while True:
            try:
                stream = await listener.accept()
            except anyio.BrokenResourceError:
                await anyio.sleep(AGAIN_S)
            else:
                tasks.start_soon(door.receive, stream)


class Door:
    """Who stands at it."""

    def __init__(self, desk: Answering) -> None:
        self._desk = desk
        self._silent: dict[int, anyio.CancelScope] = {}  # those who have not asked yet, oldest first
        self._numbers = count()

    async def receive(self, stream: SocketStream) -> None:
        """One connection from its beginning to its end."""
        number = next(self._numbers)
        async with stream:
            with anyio.move_on_after(CONNECTION_S) as scope, suppress(*_ENDED):
                self._silent[number] = scope
                try:
                    line = await self._asked(stream)
                finally:
                    self._silent.pop(number, None)
                if line is not None:
                    await stream.send(self._desk.answer(line) + b"\n")

    async def _asked(self, stream: SocketStream) -> bytes | None:
        """The line, once it is whole; None for one that is not answered."""
        if len(self._silent) > OPEN_MAX:
            self._silent.pop(next(iter(self._silent))).cancel()
        if not _is_ours(stream):
            return None
        heard = b""
        while b"\n" not in heard:
            if len(heard) > LINE_MAX:
                await stream.send(encode(Denied(f"a line was longer than {LINE_MAX} bytes")) + b"\n")
                return None
            heard += await stream.receive(LINE_MAX)
        line, _, rest = heard.partition(b"\n")
        return line + b"\n" if rest else line  # more than one line is no question: the desk denies it


def _is_ours(stream: SocketStream) -> bool:
    """Whether the kernel says that the other end is of our user, or of root."""
    raw = stream.extra(SocketAttribute.raw_socket)  # noqa: S610  # anyio's, not Django's
    return peer_uid(raw) in {os.geteuid(), 0}
