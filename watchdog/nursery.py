"""The nursery, seen from the Watchdog: asks it for children, has a handle on each, and learns how they ended.

Kept here: a child is known by its pidfd, so nobody else is ever signalled in its place · the nursery dies with the
thread that started it, which must be the main one, and all children with the nursery · a nursery that has ended is
`NurseryGone`: there is no house any more.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import NoReturn, Self

import anyio
import msgspec

from mutable_core.clock import monotonic_ns
from mutable_core.errors import Unavailable
from watchdog.birth import (
    LINE_MAX,
    SOCKET_BYTES,
    Asked,
    Birth,
    Born,
    Death,
    Died,
    FromNursery,
    Jailed,
    Ready,
    Stillborn,
    receive,
    send,
)

START_S = 60.0
"""For loading everything; it takes a second or two."""
CLOSE_S = 2.0
"""For ending by itself; it takes a moment."""
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from watchdog.forking import start; start(sys.argv[2])"
)
"""It finds its modules where this process did, and nowhere else."""
_REPORT_BYTES = 4_096
_REPORT_PACKETS = 64


class NurseryGone(Unavailable):
    """The process that children are forked from has ended, or could not begin; with it all children have."""


class BirthRefused(Unavailable):
    """The nursery could not fork."""


class Child:
    """One process, from its birth on.

    Attributes:
        asked_ns, born_ns: monotonic; when it was asked for, and when its birth was known.
        death: how it ended; None while it lives.
        ended: set with `death`.
    """

    def __init__(self, name: str, pid: int, pidfd: int, report: socket.socket, asked_ns: int) -> None:
        self.name, self.pid = name, pid
        self.asked_ns, self.born_ns = asked_ns, monotonic_ns()
        self.death: Death | None = None
        self.ended = anyio.Event()
        self._pidfd, self._report = pidfd, report
        self._jailed: Jailed | None = None
        self._last_word = b""

    @property
    def is_unburied(self) -> bool:
        """The kernel says that it has ended, and the nursery has not said so yet."""
        if self.death is not None:
            return False
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return bool(poll.poll(0))

    @property
    def jailed(self) -> Jailed | None:
        """What it said of its jail; None until it has."""
        if self._jailed is None and self.death is None:
            self._read_report()
        return self._jailed

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send it a signal; nothing where it has ended."""
        if self.death is None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def bury(self, died: Died) -> None:
        """Take note of its end, and let go of it."""
        self._read_report()
        lines = self._last_word.decode("utf-8", "backslashreplace").strip().splitlines()
        self.death = Death(died.code, lines[0][:LINE_MAX] if lines else "", died.cpu_ns, died.rss_max_bytes)
        os.close(self._pidfd)
        self._report.close()
        self.ended.set()

    def _read_report(self) -> None:
        for _ in range(_REPORT_PACKETS):
            try:
                packet = self._report.recv(_REPORT_BYTES)
            except OSError:
                return
            if not packet:
                return
            if self._jailed is None and not self._last_word:
                with suppress(msgspec.MsgspecError):
                    self._jailed = msgspec.msgpack.decode(packet, type=Jailed)
                    continue
            self._last_word += packet


class Nursery:
    """Made by `start`, let go by `close` or at the end of its block; in between one task is in `serve`.

    Attributes:
        open: what this machine does not let it give to children.
    """

    def __init__(self, process: subprocess.Popen[bytes], connection: socket.socket, ready: Ready) -> None:
        self.pid, self.open = ready.pid, ready.open
        self._process, self._connection = process, connection
        self._number = 0
        self._awaited: dict[int, _Awaited] = {}
        self._children: dict[int, Child] = {}
        self._gone = ""
        self.gone = anyio.Event()

    @classmethod
    def start(cls, *, roles: str, preload: str = "", environment: Mapping[str, str] | None = None) -> Self:
        """Start it and wait until it has loaded everything. To be called from the main thread.

        Args:
            roles: "module:TABLE", a mapping of each role's name to the "module:function" that lives it.
            preload: "module:function", called first; whatever it imports, children need not.
            environment: of all children; this process's where none is given.

        Raises:
            NurseryGone: it could not begin; one line says why.
        """
        assert threading.current_thread() is threading.main_thread(), "it would die with this thread"
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
        with theirs:
            arguments = json.dumps([str(theirs.fileno()), str(os.getpid()), roles, preload])
            process = subprocess.Popen(  # noqa: S603  # our own program
                [sys.executable, "-c", _PROGRAM, json.dumps(sys.path), arguments],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=environment,
            )
        try:
            ready = _first_word(ours)
        except BaseException:
            process.kill()
            process.wait()
            ours.close()
            raise
        ours.setblocking(False)
        return cls(process, ours, ready)

    async def birth(self, birth: Birth) -> Child:
        """Have a child. Its descriptors stay the caller's too, to be closed by the caller.

        Raises:
            BirthRefused: there is no such role, or nothing can be forked now.
            NurseryGone: the nursery has ended.
        """
        if self._gone:
            self._raise_gone()
        self._number += 1
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        awaited = self._awaited[self._number] = _Awaited(birth.name, ours)
        with theirs:
            try:
                send(self._connection, Asked(self._number, birth), (*birth.fds.values(), theirs.fileno()))
            except OSError as error:
                del self._awaited[self._number]
                ours.close()
                raise BirthRefused(f"`{birth.name}` could not be asked for: {error.strerror}") from error
        await awaited.answered.wait()
        if awaited.child is None:
            if self._gone:
                self._raise_gone()
            raise BirthRefused(f"`{birth.name}` was not born: {awaited.refused}")
        return awaited.child

    async def serve(self) -> None:
        """Take what the nursery says, until it has ended or was closed. What ended then is known by `gone`."""
        while True:
            try:
                await anyio.wait_readable(self._connection)
                data, descriptors = receive(self._connection)
            except BlockingIOError:
                continue
            except OSError:
                break
            if not data:
                break
            self._heard(msgspec.msgpack.decode(data, type=FromNursery), descriptors)
        self._end("the nursery has ended, and with it every process of the house")

    def close(self) -> None:
        """Let go of it: it ends, and whatever of its children still lives is killed with it. `serve` ends too."""
        self._end("the nursery was let go")
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)  # which `serve` sees, where it would miss a close
        try:
            self._process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:  # it stands still
            self._process.kill()
            self._process.wait()

    def kill(self) -> None:
        """End it, and with it every child: for one that stands still. `serve` then says that it is gone."""
        self._process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self._connection.close()

    def _heard(self, message: FromNursery, descriptors: list[int]) -> None:
        match message:
            case Born(number, pid):
                awaited = self._awaited.pop(number)
                child = Child(awaited.name, pid, descriptors[0], awaited.report, awaited.asked_ns)
                self._children[pid] = awaited.child = child
                awaited.answered.set()
            case Stillborn(number, why):
                awaited = self._awaited.pop(number)
                awaited.refused = why
                awaited.report.close()
                awaited.answered.set()
            case Died(pid):
                self._children.pop(pid).bury(message)
            case Ready():
                raise AssertionError("it is ready once")

    def _end(self, why: str) -> None:
        """Nobody is answered any more. The kernel has killed every child, or will at once."""
        if self._gone:
            return
        self._gone = why
        self.gone.set()
        for awaited in self._awaited.values():
            awaited.report.close()
            awaited.answered.set()
        for child in tuple(self._children.values()):
            child.bury(Died(child.pid, -signal.SIGKILL, 0, 0))
        self._awaited.clear()
        self._children.clear()

    def _raise_gone(self) -> NoReturn:
        raise NurseryGone(self._gone, to_do="start the house again")


class _Awaited:
    """A birth that was asked for."""

    def __init__(self, name: str, report: socket.socket) -> None:
        self.name, self.report, self.asked_ns = name, report, monotonic_ns()
        self.answered = anyio.Event()
        self.child: Child | None = None
        self.refused = ""


def _first_word(connection: socket.socket) -> Ready:
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    if not poll.poll(START_S * 1_000):
        raise NurseryGone(f"the nursery was not ready after {START_S:g} s", to_do="start the house again")
    data, _ = receive(connection)
    said = msgspec.msgpack.decode(data, type=FromNursery) if data else Stillborn(0, "it ended without a word")
    if isinstance(said, Ready):
        return said
    why = said.why if isinstance(said, Stillborn) else "it said something else"
    raise NurseryGone(f"the nursery could not begin: {why}", to_do="see what it loads")
