"""What the house uses: starts the authority's process, gives it the log, asks it, and believes nothing unchecked.

Kept here: the process that speaks is the one that was started, as the kernel says with every byte · giving rows never
waits · an answer counts only while its own request waits for it; a late one is thrown away, a wrong one or one that
nobody asked for ends the process · no answer within the deadline is `AuthoritySilent`: nothing was approved · a dead
authority refuses at once. To be used from one thread, which must not end before the house does: the process dies with
the thread that started it.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, NoReturn

from deployment.authority.beginning import Beginning, handed_over
from deployment.authority.belief import believed
from deployment.authority.errors import AuthoritySilent
from deployment.authority.jail import authority_user
from deployment.authority.log import GENESIS, link
from graveyard.authority.signing import BATCH_MAX, PublicVerifier
from graveyard.authority.wire import (
    FRAME_MAX,
    ROWS_MAX,
    Alive,
    Answer,
    Ask,
    FrameReader,
    FrameRefused,
    FromAuthority,
    Hello,
    Item,
    Probe,
    Refusal,
    Rows,
    frame,
    read_from_authority,
)
from graveyard.errors import MalformedRequest
from graveyard.words import Approval
from mutable_core.attest import Peer, ask_for_senders, receive
from mutable_core.clock import monotonic_ns

DEADLINE_MS = 250
START_DEADLINE_MS = 20_000
OUTBOX_BYTES_MAX = 64 << 20
"""Rows that may wait for an authority that is behind; more, and it is given up."""
ABANDONED_MAX = 256
"""Requests that may stay without an answer; one more, and it is given up."""
PROGRAM = ("-m", "deployment.authority")
TOP = Path(__file__).parents[2]
_ROWS_BYTES = FRAME_MAX // 4  # of one frame of rows, unless one row alone is larger
_MS = 1_000_000
_LAST_WORD_BYTES = 4_096
_SOCKET_BYTES = 1 << 20

SealMode = Literal["enforced", "stated"]


@contextmanager
def _handed_over(beginning: Beginning | None) -> Iterator[tuple[int, ...]]:
    """The descriptor that the process inherits, while the block lasts; none where it begins before the first row."""
    if beginning is None:
        yield ()
        return
    descriptor = handed_over(beginning)
    try:
        yield (descriptor,)
    finally:
        os.close(descriptor)


class AuthorityProcess:
    """The authority, seen from the house. `start` makes one; `close` lets it go.

    Attributes:
        hello: what the process said when it began: its user, its public key, what its jail enforces and what not.
        verifier: tells its approvals from others; for the venue door.
        begins_after: the log position that it began behind; the first row that it is given is the next.
    """

    def __init__(self, process: subprocess.Popen[bytes], connection: socket.socket, uid: int, ruleset: str) -> None:
        self.hello: Hello
        self.verifier: PublicVerifier
        self._process = process
        self._connection = connection
        self._peer = Peer(process.pid, uid)
        self._ruleset = ruleset
        self._reader = FrameReader()
        self._inbox: deque[FromAuthority] = deque()
        self._outbox: deque[memoryview] = deque()
        self._outbox_bytes = 0
        self._abandoned: set[str] = set()
        self.begins_after, self._head = 0, GENESIS
        self._over = ""  # why nobody is asked any more; empty while all is well

    @classmethod
    def start(
        cls,
        *,
        ruleset: str,
        seal: SealMode = "enforced",
        deadline_ms: int = START_DEADLINE_MS,
        program: Sequence[str] = PROGRAM,
        top: Path = TOP,
        beginning: Beginning | None = None,
    ) -> AuthorityProcess:
        """Start the process and wait for its hello.

        Args:
            ruleset: SHA-256 of the rules that it must keep, 64 hex digits.
            seal: whether a broken seal stops it, or is only stated.
            deadline_ms: for the hello; loading python and the rules takes most of a second.
            program: what python runs.
            top: the folder in which the house lies.
            beginning: where in the log it begins; without one, before the first row.

        Raises:
            AuthoritySilent: it ended, said nothing in time, or is not what was started.
            JailOpen: there is no user that it could run as.
        """
        user = authority_user()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs, _handed_over(beginning) as handed:
            ours.setblocking(False)
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BYTES)
            ask_for_senders(ours)  # before it can speak
            arguments = {
                "--socket": theirs.fileno(), "--ruleset": ruleset, "--uid": user.uid, "--gid": user.gid,
                "--house": os.getpid(), "--seal": seal,
            } | ({"--beginning": handed[0]} if handed else {})  # fmt: skip
            words = [word for name, value in arguments.items() for word in (name, str(value))]
            process = subprocess.Popen(  # noqa: S603  # our own program; its words are numbers and digests
                [sys.executable, "-E", "-s", *program, *words],
                cwd=top,
                env={"LC_ALL": "C.UTF-8"},  # nothing of ours: no LD_PRELOAD, no PYTHONPATH
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(theirs.fileno(), *handed),
                start_new_session=True,  # a Ctrl-C is for the house, which then lets go
            )
        authority = cls(process, ours, user.uid, ruleset)
        if beginning is not None:
            authority.begins_after, authority._head = beginning.seq, beginning.head
        try:
            authority._greet(monotonic_ns() + deadline_ms * _MS)
        except BaseException:
            authority.close()
            raise
        return authority

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """False once it has ended or was given up; it is never asked again."""
        return not self._over and self._process.poll() is None

    @property
    def waiting_bytes(self) -> int:
        """Bytes of rows that it has not taken yet."""
        return self._outbox_bytes

    # -- what is asked ----------------------------------------------------------------------------------------------

    def committed(self, first: int, rows: Sequence[bytes], head: bytes) -> None:
        """Give it journal rows that are durable. Never waits and never raises: what is wrong shows at the next request.

        Args:
            first: log position of the first of them, 1-based.
            rows: canonical bytes, in order.
            head: the chain's hash after the last of them, 32 bytes.
        """
        if self._over or not rows:
            return
        try:
            for data in self._frames(first, rows, head):
                self._enqueue(data)
            self._flush()
        except AuthoritySilent:
            return

    def approve(
        self, items: Sequence[tuple[str, int]], *, deadline_ms: int = DEADLINE_MS
    ) -> tuple[Approval | Refusal, ...]:
        """For each (proposal id, log position of its approval): the signed approval, or why there is none.

        Args:
            items: 1–64, all different.
            deadline_ms: for the answer, on the monotonic clock; rows that it has not folded yet are part of the wait.

        Raises:
            AuthoritySilent: no answer in time, none that can be believed, or nobody there. Nothing was approved.
            MalformedRequest: none, too many, or two alike.
        """
        if not 1 <= len(items) <= BATCH_MAX or len(set(items)) < len(items):
            raise MalformedRequest(f"`{len(items)}` approvals were asked for at once, or one twice")
        asked = tuple(Item(*item) for item in items)
        request = os.urandom(16).hex()
        answer = self._request(Ask(request, asked), request, deadline_ms)
        if not isinstance(answer, Answer):
            self._give_up("it answered something else")
        try:
            return believed(asked, answer, self.verifier, self._ruleset)
        except FrameRefused as error:
            self._give_up(str(error))

    def probe(self, *, deadline_ms: int = DEADLINE_MS) -> Alive:
        """Where it stands in the log; it has looked at its rules again.

        Raises:
            AuthoritySilent: as in `approve`.
        """
        request = os.urandom(16).hex()
        answer = self._request(Probe(request), request, deadline_ms)
        if not isinstance(answer, Alive):
            self._give_up("it answered something else")
        return answer

    def close(self) -> None:
        """Let it go; it ends by itself, or is ended."""
        self._over = self._over or "it was let go"
        self._connection.close()
        try:
            self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stderr:
            self._process.stderr.close()

    # -- answers ----------------------------------------------------------------------------------------------------

    def _greet(self, until_ns: int) -> None:
        hello = self._next(until_ns)
        if hello is None:
            self._give_up("it said nothing in time")
        if not isinstance(hello, Hello) or (hello.pid, hello.uid, hello.ruleset) != (*self._peer, self._ruleset):
            self._give_up("its hello is not that of the process that was started")
        self.hello = hello
        self.verifier = PublicVerifier(hello.public_key)

    def _request(self, message: Ask | Probe, request: str, deadline_ms: int) -> Answer | Alive:
        until_ns = monotonic_ns() + deadline_ms * _MS
        self._demand_alive()
        self._drain()
        self._abandoned.add(request)  # until it is answered in time
        if len(self._abandoned) > ABANDONED_MAX:
            self._give_up(f"{ABANDONED_MAX} requests had no answer")
        self._enqueue(frame(message))
        while True:
            answer = self._next(until_ns)
            if answer is None:
                raise self._silent(f"it did not answer within {deadline_ms} ms")
            if isinstance(answer, Hello) or answer.request not in self._abandoned:
                self._give_up("it said something that nobody asked for")
            self._abandoned.discard(answer.request)
            if answer.request == request:
                return answer

    def _drain(self) -> None:
        """Throw late answers away, before anything is asked."""
        while (late := self._next(0)) is not None:
            if isinstance(late, Hello) or late.request not in self._abandoned:
                self._give_up("it said something that nobody asked for")
            self._abandoned.discard(late.request)

    # -- the socket -------------------------------------------------------------------------------------------------

    def _frames(self, first: int, rows: Sequence[bytes], head: bytes) -> Iterator[bytes]:
        """Rows in frames of a bounded size, each with the chain's hash after its last row."""
        batch: list[bytes] = []
        size = 0
        for row in rows:
            if batch and (size + len(row) > _ROWS_BYTES or len(batch) == ROWS_MAX):
                yield self._rows(first, batch, self._head)
                first, batch, size = first + len(batch), [], 0
            batch.append(row)
            size += len(row)
            self._head = link(self._head, row)
        yield self._rows(first, batch, head)
        self._head = head

    def _rows(self, first: int, rows: list[bytes], head: bytes) -> bytes:
        try:
            return frame(Rows(first, tuple(rows), head))
        except FrameRefused:
            self._give_up(f"row {first} is too large for it")

    def _enqueue(self, data: bytes) -> None:
        self._outbox.append(memoryview(data))
        self._outbox_bytes += len(data)
        if self._outbox_bytes > OUTBOX_BYTES_MAX:
            self._give_up("it is too far behind the log")

    def _flush(self) -> None:
        """Send what the socket takes now."""
        outbox = self._outbox
        try:
            while outbox:
                sent = self._connection.send(outbox[0])
                self._outbox_bytes -= sent
                if sent < len(outbox[0]):
                    outbox[0] = outbox[0][sent:]
                    return
                outbox.popleft()
        except BlockingIOError:
            return
        except OSError as error:
            self._ended(error)

    def _next(self, until_ns: int) -> FromAuthority | None:
        """The next message, or None at the deadline; sends what waits meanwhile."""
        poll = select.poll()
        while not self._inbox:
            self._flush()
            poll.register(self._connection, select.POLLIN | (select.POLLOUT if self._outbox else 0))
            left_ms = max(0, until_ns - monotonic_ns()) / _MS
            ready = poll.poll(left_ms)
            if not ready and monotonic_ns() >= until_ns:
                return None
            if ready and ready[0][1] & ~select.POLLOUT:
                self._read()
        return self._inbox.popleft()

    def _read(self) -> None:
        try:
            chunk = receive(self._connection, self._peer)
            if not chunk:
                self._ended(None)
            self._inbox.extend(map(read_from_authority, self._reader.feed(chunk)))
        except BlockingIOError:
            return
        except FrameRefused as error:
            self._give_up(str(error))

    # -- the end ----------------------------------------------------------------------------------------------------

    def _demand_alive(self) -> None:
        if self._over:
            raise self._silent(self._over)

    def _ended(self, error: OSError | None) -> NoReturn:
        """It has let go of the socket: it has ended, or will at once."""
        try:
            code = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self._give_up("it let go of its socket")
        self._over = self._last_word() or f"it ended with code {code}"
        raise self._silent(self._over) from error

    def _last_word(self) -> str:
        """What the process wrote before it ended."""
        if not self._process.stderr:
            return ""
        with suppress(OSError):
            os.set_blocking(self._process.stderr.fileno(), False)
            said = os.read(self._process.stderr.fileno(), _LAST_WORD_BYTES)
            lines = said.decode("utf-8", "backslashreplace").strip().splitlines()
            return f"it ended with code {self._process.returncode}: {lines[-1]}" if lines else ""
        return ""

    def _give_up(self, why: str) -> NoReturn:
        """It cannot be believed any more: end it."""
        self._over = self._over or why
        self._process.kill()
        self._process.wait()
        raise self._silent(self._over)

    def _silent(self, why: str) -> AuthoritySilent:
        return AuthoritySilent(
            f"the authority gave no approval: {why}",
            where=f"pid {self._process.pid}",
            to_do="nothing was sent; if it has ended, start the house again",
        )
