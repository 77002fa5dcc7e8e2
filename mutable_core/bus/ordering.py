"""The bus: one log, and one order in which everybody is asked about it, whether agents live here or in other processes.

A message is appended and told at once to all who hear it, so that they may work at the same time. Their answers are
taken message by message in the order of the log, listener by listener in one fixed order, and what they say is appended
behind everything appended so far. That is the whole scheduling: a replay that feeds the same inputs at the same
positions must therefore say the same things at the same positions, byte for byte.

An agent that does not answer is *held*: `AgentHeld` is appended, what it has not answered is put aside, and the log goes
on without it. When `AgentReleased` is delivered, in its turn, the agent is asked about what was put aside, in order.
Both are inputs in the log, so a replay puts aside and gives back the same messages at the same positions. For that,
delivery is granular: a replay asks nobody before a row needs it, and a hold may stand between two answers to one message.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from mutable_core.bus.port import Listener, Speaker, Tap, Unanswered
from mutable_core.errors import (
    AgentFailed,
    AgentGone,
    AgentLate,
    AgentMisbehaved,
    ArkError,
    CapabilityExceeded,
    ReplayDiverged,
    UnknownName,
)
from mutable_core.ids import Id, derived_id
from mutable_core.journal import Journal
from mutable_core.messages import (
    KIND_OF,
    AgentEnded,
    AgentHeld,
    AgentReleased,
    AnyBody,
    Envelope,
    FaultInjected,
    HeldWhy,
    encode,
)

WATCHDOG = "watchdog"
"""Who holds and releases, in the log."""

_IN_THE_MIDST = (AgentHeld, AgentReleased, AgentEnded, FaultInjected)
"""What alone may be appended between two answers to one message."""

_Step = tuple[Listener, Envelope]
"""One listener that is asked about one message."""


class Bus:
    """Orders, checks, journals and delivers.

    Attributes:
        taps: see live messages only.
        folds: see replayed messages too, as soon as they stand in the log; by body type.
        on_wants: given what an agent wants, once it was asked.
        on_unanswered: told that an agent did not answer and was held. While it is None, that ends the run.

    Args:
        listeners: in the order in which they are asked about a message.
        edges: body types that authors outside the agents may append (`watchdog`, `operator`).
    """

    def __init__(self, journal: Journal, listeners: Sequence[Listener], edges: Mapping[str, frozenset[type]]) -> None:
        self.journal = journal
        self.taps: list[Tap] = []
        self.folds: dict[type, list[Callable[[Envelope], None]]] = {}
        self.on_wants: Callable[[Any], None] = _nobody_wants
        self.on_unanswered: Unanswered | None = None
        names = [*(listener.name for listener in listeners), *edges]
        if len(set(names)) < len(names):
            raise ValueError(f"two authors have one name: {names}")
        self._may_append = {listener.name: listener.reports for listener in listeners} | dict(edges)
        self._listeners = {listener.name: listener for listener in listeners}
        self._routes: dict[type, tuple[Listener, ...]] = {
            body: tuple(one for one in listeners if body in one.hears) for body in KIND_OF
        }
        self._told: dict[type, tuple[Listener, ...]] = {
            body: tuple(one for one in listeners if body in one.hears or body in one.folds) for body in KIND_OF
        }
        self._queue: deque[Envelope] = deque()
        self._steps: Iterator[_Step | None] = iter(())
        self._newest_seen_ns = 0  # of all messages in the log
        self._begun = self._delivered = 0  # positions: whose delivery began last, and up to where it has ended
        self._answered = dict.fromkeys(self._listeners, 0)  # the last position that each was asked about
        self._holds: dict[str, list[Envelope]] = {name: [] for name in self._listeners}  # not lifted, in log order
        self._aside: dict[str, deque[Envelope]] = {name: deque() for name in self._listeners}
        self._expected: deque[Envelope] | None = None  # a deque while replaying
        self._replayed = 0

    @property
    def depth(self) -> int:
        """Messages appended and not yet delivered."""
        return len(self._queue)

    # -- inputs: what the world, the watchdog and people say ------------------------------------------------------

    def begin(self, author: str, body: AnyBody, trace_id: Id, ts_event_ns: int, ts_seen_ns: int) -> Envelope:
        """Append an input that begins a trace; its id is the trace's.

        Between two answers to one message, when something is wanted or unanswered, only supervision may be appended.
        Seen time never falls along the log: where a newer message stands in it already, its time is taken.
        """
        self._check_input(author, body)
        seen_ns = max(ts_seen_ns, self._newest_seen_ns)
        envelope = Envelope(self.journal.seq + 1, trace_id, author, trace_id, trace_id, 0, ts_event_ns, seen_ns, body)
        self._append(envelope)
        return envelope

    def report(self, author: str, body: AnyBody, cause: Any, ts_seen_ns: int) -> Envelope:
        """Append an input that answers `cause` (a wish, an intent). Seen time as in `begin`."""
        self._check_input(author, body)
        envelope = self._caused(author, body, cause, ts_seen_ns, self.journal.seq + 1)
        self._append(envelope)
        return envelope

    def _check_input(self, author: str, body: AnyBody) -> None:
        if type(body) not in self._may_append.get(author, ()) or not body.IS_INPUT:
            raise CapabilityExceeded(f"`{author}` may not report `{KIND_OF[type(body)]}`")
        if self._expected is not None:
            raise ReplayDiverged("an input came while the journal was being replayed")

    # -- holding back -----------------------------------------------------------------------------------------------

    @property
    def held(self) -> Mapping[str, AgentHeld]:
        """The newest hold of each agent that is held; a release counts once it was delivered."""
        return {name: holds[-1].body for name, holds in self._holds.items() if holds}  # type: ignore[misc]

    def hold(self, agent: str, why: HeldWhy, by: str, detail: str) -> Envelope:
        """From now on nothing that `agent` says is taken, and what it has not answered is put aside.

        An agent that is held already gets another hold, which stands until it is released behind it.

        Raises:
            UnknownName: nobody is called so.
        """
        self._check_name(agent)
        return self._hold(agent, self._first_unanswered(agent), why, by, detail)

    def release(self, agent: str, by: str, detail: str) -> Envelope | None:
        """Give `agent` the word again, when `run` comes to it. None, and nothing appended, where it is not held.

        Raises:
            UnknownName: nobody is called so.
        """
        self._check_name(agent)
        if not self._holds[agent]:
            return None
        return self._supervised(AgentReleased(agent, by, detail))

    def _check_name(self, agent: str) -> None:
        if agent not in self._listeners:
            raise UnknownName(f"no agent is called `{agent}`", to_do=f"write one of {', '.join(self._listeners)}")

    def _hold(self, agent: str, from_position: int, why: HeldWhy, by: str, detail: str) -> Envelope:
        return self._supervised(AgentHeld(agent, from_position, why, by, detail))

    def _supervised(self, body: AgentHeld | AgentReleased) -> Envelope:
        trace = derived_id("supervised", body.agent, str(self.journal.seq + 1))
        return self.begin(WATCHDOG, body, trace, self._newest_seen_ns, self._newest_seen_ns)

    def _first_unanswered(self, agent: str) -> int:
        """Everything before this position that `agent` hears it has answered; nothing from there on."""
        aside = self._aside[agent]
        return aside[0].seq if aside else max(self._answered[agent], self._delivered) + 1

    def _is_put_aside(self, agent: str, envelope: Envelope) -> bool:
        if not self._holds[agent] or not self._is_held_at(agent, envelope.seq):
            return False
        self._aside[agent].append(envelope)
        return True

    def _is_held_at(self, agent: str, position: int) -> bool:
        return any(position >= one.body.from_position for one in self._holds[agent])  # type: ignore[union-attr]

    # -- delivery ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Deliver until nothing is left to deliver.

        Raises:
            AgentFailed: an agent raised; its name and the position of the message that it choked on are said.
            CapabilityExceeded: an agent said what it may not say.
            AgentLate, AgentGone, AgentMisbehaved: it did not answer, and nobody is told so (`on_unanswered`).
        """
        while self._advance():
            pass

    def _advance(self) -> bool:
        """Ask at most one listener about one message. False when nothing is left to ask about."""
        try:
            step = next(self._steps)
        except StopIteration:
            if not self._queue:
                return False
            self._steps = self._deliveries()
            return True
        if step is not None:
            self._ask(*step)
        return True

    def _deliveries(self) -> Iterator[_Step | None]:
        """Who is asked about what, in the one order; None ends a message. What is put aside shows when its turn comes."""
        while self._queue:
            envelope = self._queue.popleft()
            self._begun = envelope.seq
            if isinstance(envelope.body, AgentReleased):
                yield from self._given_back(envelope.body.agent, envelope.seq)
            for listener in self._routes[type(envelope.body)]:
                if not self._is_put_aside(listener.name, envelope):
                    yield listener, envelope
            self._delivered = envelope.seq
            yield None

    def _given_back(self, agent: str, released: int) -> Iterator[_Step]:
        """What was put aside, up to where a later hold begins; it may come while this goes on."""
        aside = self._aside[agent]
        self._holds[agent] = [one for one in self._holds[agent] if one.seq > released]
        while aside and not self._is_held_at(agent, aside[0].seq):
            yield self._listeners[agent], aside.popleft()

    def _ask(self, listener: Listener, envelope: Envelope) -> None:
        try:
            says, wants = listener.answer(envelope)
        except (AgentLate, AgentGone, AgentMisbehaved) as error:
            self._unanswered(listener, envelope, error)
            return
        except ArkError:
            raise
        except Exception as error:
            raise AgentFailed(
                f"`{listener.name}` raised {type(error).__name__}: {error}",
                where=f"seq {envelope.seq}, {envelope.kind}",
                to_do="nothing new is sent; the journal is whole; keep it and report the position",
            ) from error
        for say in says:
            if type(say.body) not in listener.says:
                raise CapabilityExceeded(f"`{listener.name}` may not say `{KIND_OF[type(say.body)]}`")
        self._answered[listener.name] = envelope.seq
        for say in says:
            self._said(listener, say, envelope)
        if wants:
            self.on_wants(wants)

    def _unanswered(self, listener: Listener, envelope: Envelope, error: ArkError) -> None:
        """Go on without it, if anybody is there to see to it."""
        if self.on_unanswered is None or self._expected is not None:
            raise error
        name = listener.name
        self._aside[name].appendleft(envelope)
        self._hold(name, envelope.seq, _WHY[type(error)], WATCHDOG, str(error))
        self.on_unanswered(name, error)

    def _said(self, listener: Listener, say: Speaker, heard: Envelope) -> None:
        expected = self._expected
        seq = self.journal.seq + 1 if expected is None else self._replayed + len(expected) + 1
        envelope = self._caused(listener.name, say.body, say.cause or heard, heard.ts_seen_ns, seq)
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
            max(ts_seen_ns, self._newest_seen_ns),
            body,
        )

    def _append(self, envelope: Envelope) -> None:
        row, stamp = encode(envelope), time.monotonic_ns()
        self.journal.append(row, stamp)
        self._enqueue(row, envelope)
        for tap in self.taps:
            tap(envelope, stamp)

    def _enqueue(self, row: bytes, envelope: Envelope) -> None:
        """It stands in the log: tell everybody."""
        kind = type(envelope.body)
        self._newest_seen_ns = max(self._newest_seen_ns, envelope.ts_seen_ns)
        if kind is AgentHeld:
            self._held(envelope)
        for listener in self._told[kind]:
            listener.tell(row, envelope)
        self._queue.append(envelope)
        for fold in self.folds.get(kind, ()):
            fold(envelope)

    def _held(self, envelope: Envelope) -> None:
        assert isinstance(envelope.body, AgentHeld)
        self._check_name(envelope.body.agent)
        self._holds[envelope.body.agent].append(envelope)

    # -- replay -----------------------------------------------------------------------------------------------------

    def replay(self, rows: Iterable[tuple[bytes, Envelope]], after: int = 0, seen_ns: int = 0) -> int:
        """Rebuild every agent from journal rows; return how many rows were compared byte for byte.

        Inputs are taken from the journal. Everything that an agent said must be said again, the same, at the same
        position. Afterwards the bus stands where the journal ends: what agents would have said next is appended,
        because a crash may have cut it off.

        Args:
            rows: in order, all of those after position `after`, over as many calls as one likes.
            after: up to where the agents know the journal already, from a snapshot taken while none of them was held.
            seen_ns: the newest seen time up to there.

        Raises:
            ReplayDiverged: an agent says something else than the journal holds; the position is named.
        """
        if self._expected is None:
            self._expected, self._replayed = deque(), after
            self._newest_seen_ns, self._begun, self._delivered = seen_ns, after, after
        compared = 0
        for row, envelope in rows:
            if envelope.body.IS_INPUT:
                self._replay_input(envelope)
            else:
                self._replay_said(row, envelope)
                compared += 1
            self._replayed += 1
            self._enqueue(row, envelope)
        return compared

    def end_replay(self) -> int:
        """Return to live operation; append what was cut off. Returns how many messages that were.

        The message in whose midst the journal ends is delivered to its end. Raises as `run`.
        """
        left, self._expected = self._expected or (), None
        before = self.journal.seq
        for envelope in left:
            self._append(envelope)
        self._finish_message()
        return self.journal.seq - before

    def _finish_message(self) -> None:
        while self._delivered < self._begun:
            self._advance()

    def _replay_input(self, envelope: Envelope) -> None:
        if not isinstance(envelope.body, _IN_THE_MIDST):
            self._finish_message()
        if self._expected:
            raise _diverged(envelope, f"`{self._expected[0].author}` says `{self._expected[0].kind}` first")

    def _replay_said(self, row: bytes, envelope: Envelope) -> None:
        expected = self._expected
        assert expected is not None
        while not expected:
            if not self._advance():
                raise _diverged(envelope, "no agent says it")
        again = expected.popleft()
        if encode(again) != row:
            raise _diverged(envelope, f"`{again.author}` says another `{again.kind}`")


_WHY: dict[type[ArkError], HeldWhy] = {AgentLate: "late", AgentGone: "ended", AgentMisbehaved: "quarantined"}


def _nobody_wants(wants: Any) -> None:
    raise AssertionError(f"nobody performs {wants}")


def _diverged(envelope: Envelope, what: str) -> ReplayDiverged:
    return ReplayDiverged(
        f"replay differs from the journal at row {envelope.seq} (`{envelope.author}`, `{envelope.kind}`): {what}",
        to_do="use the build that wrote the journal, or start on a new state folder",
    )
