"""The embedded bus: one log, dispatched directly, in order, to agents that live in this process.

A message is appended, then delivered to every agent that hears its kind, then what those agents say is appended
behind everything appended so far. That is the whole scheduling: a replay that feeds the same inputs at the same
positions must therefore say the same things at the same positions, byte for byte.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from mutable_core.errors import AgentFailed, ArkError, CapabilityExceeded, ReplayDiverged
from mutable_core.ids import Id, derived_id
from mutable_core.journal import Journal
from mutable_core.messages import KIND_OF, AnyBody, Envelope, encode

Tap = Callable[[Envelope, int], None]
"""Sees every appended message with the monotonic ns at which it was sequenced."""


class Speaker(Protocol):
    """What the bus needs to know of a message to append: body and, where it is not the heard one, its cause."""

    @property
    def body(self) -> AnyBody: ...
    @property
    def cause(self) -> Any: ...


class Listener(Protocol):
    """An agent as the bus sees it."""

    name: str
    hears: tuple[type, ...]
    says: frozenset[type]
    reports: frozenset[type]

    def hear(self, envelope: Envelope) -> tuple[Sequence[Speaker], Sequence[Any]]:
        """What is said and what is wanted because of `envelope`."""
        ...


class EmbeddedBus:
    """Orders, checks, journals and delivers.

    Args:
        listeners: in the order in which they hear a message.
        edges: body types that authors outside the agents may append (`watchdog`, `operator`).
    """

    def __init__(self, journal: Journal, listeners: Sequence[Listener], edges: Mapping[str, frozenset[type]]) -> None:
        self.journal = journal
        self.taps: list[Tap] = []  # see live messages only
        self.folds: dict[type, list[Callable[[Envelope], None]]] = {}  # see replayed ones too, once appended
        self.on_wants: Callable[[Sequence[Any]], None] = _nobody_wants
        names = [*(listener.name for listener in listeners), *edges]
        if len(set(names)) < len(names):
            raise ValueError(f"two authors have one name: {names}")
        self._may_append = {listener.name: listener.reports for listener in listeners} | dict(edges)
        self._routes: dict[type, tuple[Listener, ...]] = {
            body: tuple(one for one in listeners if body in one.hears) for body in KIND_OF
        }
        self._queue: deque[Envelope] = deque()
        self._expected: deque[Envelope] | None = None  # a deque while replaying
        self._replayed = 0

    @property
    def depth(self) -> int:
        """Messages appended and not yet delivered."""
        return len(self._queue)

    # -- inputs: what the world, the watchdog and people say ------------------------------------------------------

    def begin(self, author: str, body: AnyBody, trace_id: Id, ts_event_ns: int, ts_seen_ns: int) -> Envelope:
        """Append an input that begins a trace; its id is the trace's."""
        self._check_input(author, body)
        envelope = Envelope(
            self.journal.seq + 1, trace_id, author, trace_id, trace_id, 0, ts_event_ns, ts_seen_ns, body
        )
        self._append(envelope)
        return envelope

    def report(self, author: str, body: AnyBody, cause: Any, ts_seen_ns: int) -> Envelope:
        """Append an input that answers `cause` (a wish, an intent)."""
        self._check_input(author, body)
        envelope = self._caused(author, body, cause, ts_seen_ns, self.journal.seq + 1)
        self._append(envelope)
        return envelope

    def _check_input(self, author: str, body: AnyBody) -> None:
        if type(body) not in self._may_append.get(author, ()) or not body.IS_INPUT:
            raise CapabilityExceeded(f"`{author}` may not report `{KIND_OF[type(body)]}`")
        if self._expected is not None:
            raise ReplayDiverged("an input came while the journal was being replayed")

    # -- delivery ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Deliver until nothing is left to deliver.

        Raises:
            AgentFailed: an agent raised; its name and the position of the message that it choked on are said.
            CapabilityExceeded: an agent said what it may not say.
        """
        queue = self._queue
        while queue:
            self._deliver(queue.popleft())

    def _deliver(self, envelope: Envelope) -> None:
        for listener in self._routes[type(envelope.body)]:
            try:
                says, wants = listener.hear(envelope)
            except ArkError:
                raise
            except Exception as error:
                raise AgentFailed(
                    f"`{listener.name}` raised {type(error).__name__}: {error}",
                    where=f"seq {envelope.seq}, {envelope.kind}",
                    to_do="nothing new is sent; the journal is whole; keep it and report the position",
                ) from error
            for say in says:
                self._said(listener, say, envelope)
            if wants:
                self.on_wants(wants)

    def _said(self, listener: Listener, say: Speaker, heard: Envelope) -> None:
        body = say.body
        if type(body) not in listener.says:
            raise CapabilityExceeded(f"`{listener.name}` may not say `{KIND_OF[type(body)]}`")
        expected = self._expected
        seq = self.journal.seq + 1 if expected is None else self._replayed + len(expected) + 1
        envelope = self._caused(listener.name, body, say.cause or heard, heard.ts_seen_ns, seq)
        if expected is None:
            self._append(envelope)
        else:
            expected.append(envelope)

    def _caused(self, author: str, body: AnyBody, cause: Any, ts_seen_ns: int, seq: int) -> Envelope:
        return Envelope(
            seq,
            derived_id(cause.id, author, str(seq)),
            author,
            cause.trace_id,
            cause.id,
            cause.depth + 1,
            cause.ts_event_ns,
            ts_seen_ns,
            body,
        )

    def _append(self, envelope: Envelope) -> None:
        stamp = time.monotonic_ns()
        self.journal.append(encode(envelope), stamp)
        self._enqueue(envelope)
        for tap in self.taps:
            tap(envelope, stamp)

    def _enqueue(self, envelope: Envelope) -> None:
        self._queue.append(envelope)
        for fold in self.folds.get(type(envelope.body), ()):
            fold(envelope)

    # -- replay -----------------------------------------------------------------------------------------------------

    def replay(self, rows: Iterable[tuple[bytes, Envelope]], after: int = 0) -> int:
        """Rebuild every agent from journal rows; return how many rows were compared byte for byte.

        Inputs are taken from the journal. Everything that an agent said must be said again, the same, at the same
        position. Afterwards the bus stands where the journal ends: what agents would have said next is appended,
        because a crash may have cut it off.

        Args:
            rows: in order, all of those after position `after`, over as many calls as one likes.
            after: up to where the agents know the journal already, from a snapshot.

        Raises:
            ReplayDiverged: an agent says something else than the journal holds; the position is named.
        """
        if self._expected is None:
            self._expected, self._replayed = deque(), after
        compared = 0
        for row, envelope in rows:
            if envelope.body.IS_INPUT:
                self._replay_input(envelope)
            else:
                self._replay_said(row, envelope)
                compared += 1
            self._replayed += 1
            self._enqueue(envelope)
        return compared

    def end_replay(self) -> int:
        """Return to live operation; append what was cut off. Returns how many messages that were."""
        left, self._expected = self._expected or deque(), None
        for envelope in left:
            self._append(envelope)
        return len(left)

    def _replay_input(self, envelope: Envelope) -> None:
        if self._expected:
            raise _diverged(envelope, f"`{self._expected[0].author}` says `{self._expected[0].kind}` first")

    def _replay_said(self, row: bytes, envelope: Envelope) -> None:
        expected = self._expected
        assert expected is not None
        while not expected:
            if not self._queue:
                raise _diverged(envelope, "no agent says it")
            self._deliver(self._queue.popleft())
        again = expected.popleft()
        if encode(again) != row:
            raise _diverged(envelope, f"`{again.author}` says another `{again.kind}`")


def _nobody_wants(wants: Sequence[Any]) -> None:
    raise AssertionError(f"nobody performs {wants}")


def _diverged(envelope: Envelope, what: str) -> ReplayDiverged:
    return ReplayDiverged(
        f"replay differs from the journal at row {envelope.seq} (`{envelope.author}`, `{envelope.kind}`): {what}",
        to_do="use the build that wrote the journal, or start on a new state folder",
    )
