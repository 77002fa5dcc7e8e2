"""An agent that lives in a process of its own, as the core sees it: told at once, asked in order, believed in nothing.

What it was told since it was last *kept* (its state, as bytes) is remembered, with what it said to it. A successor of a
process that ended is given both: it works through what its predecessor had heard, and what it says to that must be, byte
for byte, what was said. So nothing is lost and nothing is said twice.

Kept here: the kernel says of all bytes which process sent them · an answer is one to the oldest message that has none,
and says only what the agent may say · nobody waits longer than the patience · nothing is held for a process that does not
read but what stands in the log.
"""

from __future__ import annotations

import select
import socket
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn

from agents.runtime import wire
from agents.runtime.agent import AgentSpec, Say
from agents.runtime.wire import FrameReader, WireRefused
from graveyard.authority.wire import FrameRefused
from mutable_core.attest import Peer, ask_for_senders, receive
from mutable_core.clock import monotonic_ns
from mutable_core.errors import AgentGone, AgentLate, AgentMisbehaved, ArkError, MalformedMessage
from mutable_core.freezing import thaw
from mutable_core.messages import KIND_OF, Envelope

PATIENCE_MS = 60
KEEP_AFTER = 256
KEEP_EVERY_NS = 500_000_000
"""A state is asked for when so many messages were told since, and so much time has passed."""
KEEP_AT = 2_048
"""Or when so many were told, however little time has passed: the longest tail that a successor works through."""
CHOKED_MAX = 3
"""So many processes of an agent may choke on one message; then it is the message, or the agent."""
_PUSH_AT = 64  # messages that wait to be sent are sent at the latest when there are so many
_SEND_BYTES = 1 << 17
_SOCKET_BYTES = 1 << 20
_LAST_CHUNKS = 16  # of what a process said before it ended
_MS = 1_000_000

AnswerBack = Callable[[str, bytes], bytes]
"""Serves what the hands ask of the core inside a call. An `ArkError` reaches them as itself."""


class Kept(NamedTuple):
    """An agent as it was after log position `position`; `state` is None for its first state."""

    position: int
    state: bytes | None
    hands: bytes


class _Told:
    """A message of the tail, and what was first said to it."""

    __slots__ = ("answer", "is_heard", "raw", "row", "seq")

    def __init__(self, seq: int, row: bytes, is_heard: bool) -> None:
        self.seq = seq
        self.row = row
        self.is_heard = is_heard
        self.raw = b""  # what was said, as it came; empty before
        self.answer: tuple[Sequence[Say], int] | None = None  # until the bus has taken it

    def frame(self) -> bytes:
        return wire.frame(wire.Hear(self.row) if self.is_heard else wire.Fold(self.row))


class Switchboard:
    """What all remote agents of a core share: before anybody is waited for, what waits for the others is sent.

    Args:
        meanwhile: called when `meanwhile_fd` can be read while somebody is waited for; may let agents join or be lost.
        meanwhile_fd: a descriptor; −1 for none.
    """

    def __init__(self, meanwhile: Callable[[], None] | None = None, meanwhile_fd: int = -1) -> None:
        self.meanwhile = meanwhile
        self.meanwhile_fd = meanwhile_fd
        self.agents: list[RemoteAgent] = []

    def wait(self, agent: RemoteAgent, left_ns: int) -> None:
        """Until something may have changed for `agent`, or the time is over."""
        for one in self.agents:
            one.flush()
        poll = select.poll()
        descriptor = agent.fileno()
        if descriptor >= 0:
            poll.register(descriptor, select.POLLIN | (select.POLLOUT if agent.has_unsent else 0))
        if self.meanwhile_fd >= 0:
            poll.register(self.meanwhile_fd, select.POLLIN)
        ready = dict(poll.poll(max(0, left_ns) / _MS))
        if ready.get(descriptor, 0) & ~select.POLLOUT:
            agent.look()
        if self.meanwhile is not None and self.meanwhile_fd in ready:
            self.meanwhile()

    def flush(self) -> None:
        """Send what waits for anybody, as far as it is taken now."""
        for one in self.agents:
            one.flush()


class RemoteAgent:
    """The core's side of one agent. A `Listener` of the bus.

    `begin` once, `joined` for each process, `lost` when one has ended; in any order.

    Attributes:
        patience_ms: how long an answer may take, and how long a successor may take to be there.
        kept: the newest state that a successor would be given.
        incarnation: of the process that is there, or was last; 0 before the first.
        answered: messages that it has answered, over all processes; those that a successor repeats are not counted.
        refused: frames of its processes that were not believed.
        position: the last log position that it has answered.
        has_caught_up: its process has answered again all that its predecessor had heard.
        on_caught_up: told of it, with the incarnation.
    """

    def __init__(
        self,
        spec: AgentSpec,
        switchboard: Switchboard,
        *,
        extra_folds: frozenset[type] = frozenset(),
        patience_ms: int = PATIENCE_MS,
    ) -> None:
        self.name = spec.name
        self.hears = spec.hears
        self.says = frozenset(spec.says)
        self.reports = frozenset(spec.reports)
        self.folds = extra_folds
        self.patience_ms = patience_ms
        self.kept = Kept(0, None, b"")
        self.incarnation = 0
        self.answered = self.refused = self.position = 0
        self.has_caught_up = False
        self.on_caught_up: Callable[[int], None] | None = None
        self._switchboard = switchboard
        self._heard = frozenset(spec.hears)
        self._has_begun = False
        self._tail: deque[_Told] = deque()  # told since it was kept
        self._asked: deque[_Told] = deque()  # heard, and not yet taken by the bus
        self._ready = 0  # of these, answered; they are the first
        self._choked = (0, 0)  # position, and how many processes choked on it in a row
        self._numbers = 0  # of calls and keeps
        self._shown = (0, b"")  # the newest state that came, kept or not, and the number that it was asked by
        self._kept_ns = 0
        self._result: wire.Result | wire.Raised | None = None  # of the call that is waited for; outlives its process
        self._told_since_keep = 0
        self._connect(None, Peer(0, None))
        switchboard.agents.append(self)

    # -- processes --------------------------------------------------------------------------------------------------

    def _connect(self, connection: socket.socket | None, peer: Peer) -> None:
        """All that is of one process."""
        self._connection = connection
        self._peer = peer
        self._reader = FrameReader()
        self._inbox: deque[bytes] = deque()
        self._outbox = memoryview(b"")
        self._unsent: deque[_Told | bytes] = deque()
        self._awaited: deque[_Told] = deque()  # sent, and not answered by this process
        self._keeps: deque[tuple[int, int]] = deque()  # asked for: number, and the position that the state is of
        self._call: int | None = None  # the number of the call that is waited for
        self._given_up: set[int] = set()
        self._answer_back: AnswerBack | None = None
        self._catching_up_to: _Told | None = None

    def begin(self, state: bytes | None, after: int, hands: bytes = b"") -> None:
        """Where the agent begins. Once, before anything is told.

        Args:
            state: frozen; None for its first state.
            after: the log position after which it was so.
            hands: what its hands kept then.
        """
        if self._has_begun or self._tail:
            raise ValueError(f"`{self.name}` has begun")
        self.kept, self.position, self._has_begun = Kept(after, state, hands), after, True
        if self._connection is not None:
            self._send_beginning()

    def joined(self, incarnation: int, pid: int, connection: socket.socket, uid: int | None = None) -> None:
        """A process of the agent is there; whatever there was before is not listened to any more.

        Args:
            incarnation: 1-based; higher than that of any before.
            pid: of the process: all bytes must come from it.
            connection: a stream, ours from here on.
            uid: that its bytes must come from, where it is known.
        """
        self.lost()
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BYTES)
        ask_for_senders(connection)
        self.incarnation = incarnation
        self._connect(connection, Peer(pid, uid))
        if self._has_begun:
            self._send_beginning()

    def _send_beginning(self) -> None:
        kept = self.kept
        self._unsent.append(wire.frame(wire.Begin(kept.state, kept.hands, kept.position)))
        self._unsent.extend(self._tail)
        self._catching_up_to = next((told for told in reversed(self._tail) if told.is_heard), None)
        self.flush()

    def lost(self) -> None:
        """Its process has ended. What it still said is heard; what it did not answer, a successor will."""
        with suppress(ArkError):
            for _ in range(_LAST_CHUNKS):
                self.look()
        self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self.has_caught_up = False
        self._connect(None, Peer(0, None))

    @property
    def is_there(self) -> bool:
        """A process of the agent is connected."""
        return self._connection is not None

    def fileno(self) -> int:
        """Of its connection; −1 while there is none."""
        return self._connection.fileno() if self._connection is not None else -1

    # -- the bus ----------------------------------------------------------------------------------------------------

    @property
    def pending(self) -> int:
        """Messages that were told, and that the process has not answered."""
        return len(self._asked) - self._ready

    def tell(self, row: bytes, envelope: Envelope) -> None:
        """As `Listener.tell`."""
        told = _Told(envelope.seq, row, type(envelope.body) in self._heard)
        self._tail.append(told)
        if told.is_heard:
            self._asked.append(told)
        self._told_since_keep += 1
        if self._connection is None or not self._has_begun:
            return
        self._unsent.append(told)
        if self._told_since_keep >= KEEP_AFTER:
            self._keep_when_due()
        if len(self._unsent) >= _PUSH_AT:
            self.flush()

    def answer(self, envelope: Envelope) -> tuple[Sequence[Say], int]:
        """As `Listener.answer`; the number says how many things are wanted of the hands."""
        told = self._asked[0]
        if told.seq != envelope.seq:
            raise ValueError(f"`{self.name}` was asked about row {envelope.seq} before row {told.seq}")
        if told.answer is None:
            self._wait_for(lambda: told.answer is not None, self.patience_ms, f"row {told.seq}")
        answer = told.answer
        assert answer is not None
        self._asked.popleft()
        self._ready -= 1
        told.answer = None
        self.position = told.seq
        return answer

    def _wait_for(self, is_there: Callable[[], bool], patience_ms: int, what: str) -> None:
        """Wait; the process may end and another take its place meanwhile.

        Raises:
            AgentLate, AgentGone, AgentMisbehaved: as in `Listener.answer`.
        """
        self._until_ns = monotonic_ns() + patience_ms * _MS
        while not is_there():
            left_ns = self._until_ns - monotonic_ns()
            nobody_can_come = self._connection is None and self._switchboard.meanwhile_fd < 0
            if left_ns > 0 and not nobody_can_come:
                self._switchboard.wait(self, left_ns)
                continue
            self.look()  # what came in the last moment counts
            if is_there():
                return
            if self._connection is not None:
                raise AgentLate(f"`{self.name}` did not answer within {patience_ms} ms", where=what)
            raise AgentGone(f"`{self.name}` has ended, and nobody took its place", where=what)

    # -- what is kept -----------------------------------------------------------------------------------------------

    @property
    def state(self) -> Any:
        """The agent's state, thawed, after all that it was told. None where that is its first state, unchanged.

        Raises:
            AgentLate, AgentGone, AgentMisbehaved: as in `Listener.answer`.
        """
        if not self._tail:
            return None if self.kept.state is None else thaw(self.kept.state)
        wanted = self._numbers + 1
        self._wait_for(lambda: self._is_shown(wanted), self.patience_ms, "its state")
        return thaw(self._shown[1])

    def _is_shown(self, wanted: int) -> bool:
        """Whether a state has come that was asked for under this number or a later one; asks, where nobody has."""
        if self._shown[0] < wanted and (not self._keeps or self._keeps[-1][0] < wanted):
            self.keep()
        return self._shown[0] >= wanted

    def keep(self) -> None:
        """Ask for the state now; it is kept when it comes."""
        if self._connection is None or not self._has_begun:
            return
        self._numbers += 1
        self._keeps.append((self._numbers, self._tail[-1].seq if self._tail else self.kept.position))
        self._told_since_keep, self._kept_ns = 0, monotonic_ns()
        self._unsent.append(wire.frame(wire.Keep(self._numbers)))

    def _keep_when_due(self) -> None:
        is_due = self._told_since_keep >= KEEP_AT or monotonic_ns() - self._kept_ns > KEEP_EVERY_NS
        if is_due and not self._keeps:
            self.keep()

    # -- calls ------------------------------------------------------------------------------------------------------

    def call(
        self,
        what: str,
        payload: bytes = b"",
        *,
        deadline_ms: int | None = None,
        answer_back: AnswerBack | None = None,
    ) -> bytes:
        """Have the hands do something, after all that was told before; returns what they say.

        Args:
            what: the name of it.
            payload: what they need for it.
            deadline_ms: for process and answer to be there; the patience unless given. The time that `answer_back`
                takes is not counted.
            answer_back: serves what the hands ask meanwhile.

        Raises:
            AgentLate: no answer in time; one that comes later is thrown away, and what the hands ask for it is refused.
            AgentGone: nobody is there, or the process ended meanwhile.
            AgentMisbehaved: what came was no answer.
            ArkError: the hands raised it.
        """
        patience_ms = self.patience_ms if deadline_ms is None else deadline_ms
        if self._connection is None:
            self._wait_for(lambda: self._connection is not None, patience_ms, f"`{what}`")
        self._numbers += 1
        number = self._numbers
        self._call, self._result, self._answer_back = number, None, answer_back
        self._unsent.append(wire.frame(wire.Call(number, what, payload)))
        connection = self._connection
        try:
            self._wait_for(
                lambda: self._result is not None or self._connection is not connection, patience_ms, f"`{what}`"
            )
        except AgentLate:
            self._given_up.add(number)
            raise
        finally:
            self._call, self._answer_back = None, None
        result, self._result = self._result, None
        if result is None:
            raise AgentGone(f"`{self.name}` ended while it was asked for `{what}`")
        if isinstance(result, wire.Raised):
            raise wire.error_of(result)
        return result.payload

    # -- what comes -------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Take what has come, without waiting. To be called between turns too, so that what is wrong is seen soon.

        Raises:
            AgentMisbehaved: something came that may not; the connection is over.
        """
        connection = self._connection
        if connection is None:
            return
        try:
            chunk = receive(connection, self._peer)
            self._inbox.extend(self._reader.feed(chunk, self._frame_max()))
            while self._inbox and self._connection is connection:
                self._came(self._inbox.popleft())
        except BlockingIOError:
            return
        except (FrameRefused, WireRefused) as error:
            self._refuse(str(error))
        if not chunk and self._connection is connection:
            self._drop()

    def _frame_max(self) -> int:
        return wire.STATE_MAX if self._keeps else wire.FRAME_MAX

    def _came(self, payload: bytes) -> None:
        match wire.from_agent(payload):
            case wire.Answer() as answer:
                self._came_answer(answer, payload)
            case wire.Kept() as kept:
                self._came_kept(kept)
            case wire.Began(after=after):
                self._came_began(after)
            case wire.Choked(position=position, error=error):
                self._came_choked(position, error)
            case wire.Call() as call:
                self._came_call(call)
            case wire.Result() | wire.Raised() as result:
                self._came_result(result)

    def _came_answer(self, answer: wire.Answer, raw: bytes) -> None:
        if not self._awaited or self._awaited[0].seq != answer.position:
            self._refuse(f"it answered row {answer.position}, which it was not asked about")
        told = self._awaited.popleft()
        if not told.raw:
            told.answer, told.raw = (self._said(answer), answer.wants), raw
            self.answered += 1
            self._ready += 1
        elif told.raw != raw:
            self._refuse(f"it says something else to row {answer.position} than was said before")
        if told is self._catching_up_to:
            self._caught_up()

    def _said(self, answer: wire.Answer) -> tuple[Say, ...]:
        try:
            says = tuple(map(wire.said, answer.says))
        except MalformedMessage as error:
            self._refuse(str(error))
        for say in says:
            if type(say.body) not in self.says:
                self._refuse(f"it may not say `{KIND_OF[type(say.body)]}`")
        return says

    def _came_began(self, after: int) -> None:
        if not self._has_begun or self.has_caught_up or after != self.kept.position:
            self._refuse("it began where it was not told to")
        if self._catching_up_to is None:
            self._caught_up()

    def _caught_up(self) -> None:
        self._catching_up_to = None
        self.has_caught_up = True
        if len(self._tail) >= KEEP_AFTER:
            self.keep()
        if self.on_caught_up is not None:
            self.on_caught_up(self.incarnation)

    def _came_kept(self, kept: wire.Kept) -> None:
        if not self._keeps or self._keeps[0] != (kept.number, kept.position):
            self._refuse("it gave a state that nobody asked for")
        if self._awaited and self._awaited[0].seq <= kept.position:
            self._refuse("it gave a state before it had answered what led to it")
        self._keeps.popleft()
        self._shown = (kept.number, kept.state)
        if kept.hands is None:
            return
        self.kept = Kept(kept.position, kept.state, kept.hands)
        while self._tail and self._tail[0].seq <= kept.position:
            self._tail.popleft()

    def _came_choked(self, position: int, error: str) -> None:
        """It will end; a successor tries once more, but not for ever. Position 0: it was no message."""
        if not position:
            return
        before, times = self._choked
        self._choked = (position, times + 1 if before == position else 1)
        if self._choked[1] >= CHOKED_MAX:
            self._choked = (0, 0)
            self._refuse(f"{CHOKED_MAX} processes of it choked on row {position}: {error}")

    def _came_call(self, call: wire.Call) -> None:
        """The hands ask for something. Who has been given up is told so."""
        if self._call is None or self._answer_back is None:
            if not self._given_up:
                self._refuse("it asked for something that no call was for")
            self._unsent.append(wire.frame(wire.Raised(call.number, "", "", "", "")))
            return
        began_ns, number = monotonic_ns(), self._call
        try:
            reply: wire.Result | wire.Raised = wire.Result(call.number, self._answer_back(call.what, call.payload))
        except ArkError as error:
            reply = wire.raised(call.number, error)
        if self._call == number:
            self._unsent.append(wire.frame(reply))
            self._until_ns += monotonic_ns() - began_ns

    def _came_result(self, result: wire.Result | wire.Raised) -> None:
        if result.number in self._given_up:
            self._given_up.discard(result.number)
        elif result.number == self._call and self._result is None:
            self._result = result
        else:
            self._refuse("it gave a result that nobody asked for")

    def _refuse(self, why: str) -> NoReturn:
        """Nothing that comes from this process is believed any more."""
        self.refused += 1 + len(self._inbox)
        incarnation = self.incarnation
        self._drop()
        raise AgentMisbehaved(f"`{self.name}` misbehaved: {why}", where=f"process {incarnation}")

    # -- what goes --------------------------------------------------------------------------------------------------

    @property
    def has_unsent(self) -> bool:
        return bool(self._outbox or self._unsent)

    def flush(self) -> None:
        """Send what the process takes now. Never waits and never raises: an end shows when something is read."""
        connection = self._connection
        if connection is None:
            return
        with suppress(BlockingIOError, ConnectionError):
            while self.has_unsent:
                if not self._outbox:
                    self._outbox = memoryview(self._next_frames())
                self._outbox = self._outbox[connection.send(self._outbox) :]

    def _next_frames(self) -> bytes:
        frames: list[bytes] = []
        size = 0
        while self._unsent and size < _SEND_BYTES:
            one = self._unsent.popleft()
            if isinstance(one, _Told):
                if one.is_heard:
                    self._awaited.append(one)
                one_frame = one.frame()
            else:
                one_frame = one
            frames.append(one_frame)
            size += len(one_frame)
        return b"".join(frames)
