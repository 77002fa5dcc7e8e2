"""The life of an agent in a process of its own: hear, decide, answer; and answer the Watchdog from the same task.

One loop, one message at a time. Pings are *in-band*: a loop that decides nothing answers nothing, so a process that
looks alive and does no work is found out. Nothing here blocks on the core: what it does not take waits, and meanwhile
no more is decided.
"""

from __future__ import annotations

import select
import socket
from collections import deque
from typing import Any

from agents.runtime import faults, wire
from agents.runtime.agent import Agent
from agents.runtime.hands import CallGivenUp, Hands
from agents.runtime.wire import FrameReader
from mutable_core import leash as leashes
from mutable_core.clock import monotonic_ns
from mutable_core.errors import ArkError
from mutable_core.freezing import freeze, thaw
from mutable_core.messages import Envelope, decode_trusted

EXIT_ORDERLY, EXIT_CHOKED = 0, 1
OUTBOX_BYTES_MAX = 1 << 20
"""Bytes that may wait for the core; more, and nothing is decided before it has taken some."""
_CHUNK_BYTES = 1 << 18
_BREATH_NS = 2_000_000  # between two looks at the leash, and two sends, while messages are waiting
_LAST_WORD_MS = 100


def live(
    agent: Agent,
    first_state: Any,
    *,
    work: socket.socket,
    leash: socket.socket,
    hands: Hands | None = None,
    extra_folds: frozenset[type] = frozenset(),
    may_drill: bool = False,
) -> int:
    """Be the agent until the Watchdog says stop, or core or Watchdog let go. Returns the exit code: 0, or 1 if it choked.

    Args:
        agent: its spec and its behaviour.
        first_state: what `Begin` without a state means.
        work: a stream to the core. It will not block from here on.
        leash: packets to the Watchdog. It will not block from here on.
        hands: what the agent does in the world.
        extra_folds: body types that the hands must know of, whether or not the agent hears them.
        may_drill: whether the Watchdog may have the process misbehave.
    """
    life = _Life(agent, first_state, work, leash, hands, extra_folds, may_drill)
    try:
        life.run()
    except _Over:
        return EXIT_ORDERLY
    except Exception as error:  # noqa: BLE001  # whatever it was, the core is told where, and the process ends
        life.last_word(error)
        return EXIT_CHOKED
    raise AssertionError("a life ends by an exception")


class _Over(Exception):
    """The end, in order."""


class _Life:
    """The state of the loop. `work` and `last_answer` are what a drill needs (`agents.runtime.faults`)."""

    def __init__(
        self,
        agent: Agent,
        first_state: Any,
        work: socket.socket,
        leash: socket.socket,
        hands: Hands | None,
        extra_folds: frozenset[type],
        may_drill: bool,
    ) -> None:
        self.work = work
        self.last_answer = b""
        self._leash = leash
        self._agent = agent
        self._hands = hands
        self._folds = extra_folds if hands is not None else frozenset[type]()
        self._heard = frozenset(agent.spec.hears)
        self._may_drill = may_drill
        self._state = first_state
        self._position = 0  # of the last message that was worked through
        self._choking_at = 0  # of the one that is being worked through; 0 for none
        self._handled = 0
        self._call = 0  # of the last call to the core
        self._reader = FrameReader()
        self._inbox: deque[wire.FromCore] = deque()
        self._deferred: deque[wire.FromCore | Envelope] = deque()  # in a call; what the hands must know they do
        self._outbox: deque[memoryview] = deque()
        self._outbox_bytes = 0
        self._breathed_ns = 0
        work.setblocking(False)
        leash.setblocking(False)
        if hands is not None:
            hands.attach(self._state_now)

    def _state_now(self) -> Any:
        return self._state

    # -- the loop ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Until `_Over`, or whatever the agent raises."""
        while True:
            self._wait(None)
            while self._inbox:
                self._handle(self._inbox.popleft())
                if monotonic_ns() - self._breathed_ns > _BREATH_NS:
                    self._breathe()
            self._flush()

    def _breathe(self) -> None:
        """In the midst of work: send what was said, hear the Watchdog; wait only while the core is too far behind."""
        self._flush()
        self._hear_watchdog()
        while self._outbox_bytes > OUTBOX_BYTES_MAX:
            self._wait(None, reads=False)

    def _wait(self, timeout_ms: float | None, *, reads: bool = True) -> None:
        """Until the core or the Watchdog says something, or the core takes something."""
        poll = select.poll()
        poll.register(self._leash, select.POLLIN)
        wanted = (select.POLLIN if reads else 0) | (select.POLLOUT if self._outbox else 0)
        poll.register(self.work, wanted)
        for descriptor, event in poll.poll(timeout_ms):
            if descriptor == self._leash.fileno():
                self._hear_watchdog()
            elif event & select.POLLIN and reads:
                self._read()
            elif event & (select.POLLHUP | select.POLLERR):
                raise _Over
        self._flush()

    def _hear_watchdog(self) -> None:
        """One frame at most: however often the Watchdog asks, the work goes on."""
        self._breathed_ns = monotonic_ns()
        try:
            frame = leashes.from_watchdog(self._leash)
        except BlockingIOError:
            return
        match frame:
            case leashes.Ping(n=n):
                leashes.send(self._leash, leashes.Pong(n, self._handled, monotonic_ns()))
            case leashes.Inject(fault=fault):
                self._misbehave(fault)
            case _:  # stop, or the Watchdog has gone
                self._flush()
                raise _Over

    def _misbehave(self, fault: str) -> None:
        """In a drill. The loop stands meanwhile, as it would for a fault of ours."""
        if self._may_drill:
            self._flush()
            faults.commit(fault, self)

    # -- the core ---------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        try:
            chunk = self.work.recv(_CHUNK_BYTES)
        except BlockingIOError:
            return
        except ConnectionError:
            raise _Over from None
        if not chunk:
            raise _Over
        self._inbox.extend(map(wire.from_core, self._reader.feed(chunk, wire.STATE_MAX)))

    def _send(self, message: wire.FromAgent) -> bytes:
        data = wire.frame(message)
        self._outbox.append(memoryview(data))
        self._outbox_bytes += len(data)
        return data

    def _flush(self) -> None:
        """Send what the core takes now."""
        if len(self._outbox) > 1:
            joined = memoryview(b"".join(self._outbox))
            self._outbox.clear()
            self._outbox.append(joined)
        while self._outbox:
            try:
                sent = self.work.send(self._outbox[0])
            except BlockingIOError:
                return
            except ConnectionError:
                raise _Over from None
            self._outbox_bytes -= sent
            if sent == len(self._outbox[0]):
                self._outbox.popleft()
            else:
                self._outbox[0] = self._outbox[0][sent:]

    def last_word(self, error: Exception) -> None:
        """Say where it ended and why, if the core takes it soon."""
        self._send(wire.Choked(self._choking_at, f"{type(error).__name__}: {error}"[:500]))
        until_ns = monotonic_ns() + _LAST_WORD_MS * 1_000_000
        try:
            while self._outbox and monotonic_ns() < until_ns:
                self._wait(_LAST_WORD_MS, reads=False)
        except _Over:
            return

    def _handle(self, message: wire.FromCore) -> None:
        match message:
            case wire.Hear(row=row):
                envelope = decode_trusted(row)
                self._fold_heard(envelope)
                self._decide(envelope)
            case wire.Fold(row=row):
                self._fold(decode_trusted(row))
            case wire.Call():
                self._be_called(message)
            case wire.Keep(number=number):
                kept = self._hands.kept() if self._hands is not None else b""
                self._send(wire.Kept(number, self._position, freeze(self._state), kept))
            case wire.Begin():
                self._begin(message)
            case wire.Result() | wire.Raised():
                raise wire.WireRefused("an answer came to a call that nobody made")

    def _begin(self, message: wire.Begin) -> None:
        if message.state is not None:
            self._state = thaw(message.state)
        if message.hands and self._hands is not None:
            self._hands.resume(message.hands)
        self._position = message.after
        self._send(wire.Began(message.after))

    def _decide(self, envelope: Envelope) -> None:
        self._choking_at = envelope.seq
        step = self._agent.decide(self._state, envelope)
        self._state = step.state
        answer = wire.Answer(envelope.seq, tuple(map(wire.spoken, step.says)), len(step.wants))
        self.last_answer = self._send(answer)
        if step.wants and self._hands is not None:
            self._hands.want(step.wants)
        self._position, self._choking_at = envelope.seq, 0
        self._handled += 1

    def _fold_heard(self, envelope: Envelope) -> None:
        if type(envelope.body) in self._folds and self._hands is not None:
            self._hands.fold(envelope)

    def _fold(self, envelope: Envelope) -> None:
        self._fold_heard(envelope)
        self._position = envelope.seq

    # -- calls ------------------------------------------------------------------------------------------------------

    def _be_called(self, call: wire.Call) -> None:
        if self._hands is None:
            raise wire.WireRefused("an agent without hands was called")
        try:
            self._send(wire.Result(call.number, self._hands.call(call.what, call.payload, self._back)))
        except ArkError as error:
            self._send(wire.raised(call.number, error))
        except _Over:
            raise
        except Exception as error:  # what the hands know is in doubt: say so, and let a successor begin from the log
            self._send(wire.raised(call.number, error))
            raise
        while self._deferred:
            self._undefer(self._deferred.popleft())

    def _undefer(self, one: wire.FromCore | Envelope) -> None:
        if not isinstance(one, Envelope):
            self._handle(one)
        elif type(one.body) in self._heard:
            self._decide(one)
        else:
            self._position = one.seq

    def _back(self, what: str, payload: bytes) -> bytes:
        """As `agents.runtime.hands.Back`."""
        self._call += 1
        self._send(wire.Call(self._call, what, payload))
        self._flush()
        while True:
            while self._inbox:
                message = self._inbox.popleft()
                match message:
                    case wire.Result(number=number) if number == self._call:
                        return message.payload
                    case wire.Raised(number=number, name="") if number == self._call:
                        raise CallGivenUp(what)
                    case wire.Raised(number=number) if number == self._call:
                        raise wire.error_of(message)
                    case _:
                        self._defer(message)
            self._wait(None)

    def _defer(self, message: wire.FromCore) -> None:
        """In a call: the hands learn of the log at once, the agent when the call is over."""
        match message:
            case wire.Fold(row=row) | wire.Hear(row=row):
                envelope = decode_trusted(row)
                self._fold_heard(envelope)
                self._deferred.append(envelope)
            case _:
                self._deferred.append(message)
