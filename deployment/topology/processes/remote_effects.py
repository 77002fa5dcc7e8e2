"""Kenny's effects, seen from the core: they live in Kenny's process, and are asked for one thing at a time.

What they report is given its place in the log while they wait, so they work as they would in this process. A Kenny that
ended in the midst of it is asked again as soon as his successor is there, which knows from the log what was answered
and looks every other order up at the venue: the same follows. One that is late, or does not come back, is held.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from agents.kenny.effects import Memory, Report, Unanswered
from agents.kenny.hands import Found, Given, Standing, Turn, Wanted
from agents.kenny.hands import Report as Reported
from agents.runtime.remote import RemoteAgent, Switchboard
from deployment.authority.client import AuthorityProcess
from deployment.topology.wiring import Outside
from graveyard.authority.signing import BATCH_MAX
from graveyard.words import Approval
from mutable_core.bus.ordering import Bus
from mutable_core.clock import monotonic_ns
from mutable_core.errors import AgentGone, AgentLate, AgentMisbehaved, ArkError, AuthoritySilent, Unacceptable
from mutable_core.freezing import thaw
from mutable_core.messages import Envelope, HeldWhy

CATCH_UP_MS = 600_000
"""How long Kenny may take to hear a journal that is resumed."""
TRIES = 3
"""How often one thing is asked for, of one Kenny after another, before he is held."""
DEADLINE_MS = 1_500
"""For one thing: a silent authority and a silent venue, each to its own deadline, and then some."""

_encode = msgspec.msgpack.encode
_standing = msgspec.msgpack.Decoder(Standing)
_found = msgspec.msgpack.Decoder(Found)
_reported = msgspec.msgpack.Decoder(Reported)
_wanted = msgspec.msgpack.Decoder(Wanted)


class RemoteEffects:
    """Implements `deployment.topology.wiring.EffectsAtWork`.

    Args:
        kenny: his process. outside: what the core knows of the venue, the journal and the lease.
        authority: who approves.
        bus: where Kenny is held; asked for when it is needed, for it is made of the agents.
        switchboard: where his successor joins.

    Attributes:
        deadline_ms: for one thing that is asked for.
    """

    def __init__(
        self,
        kenny: RemoteAgent,
        outside: Outside,
        authority: AuthorityProcess,
        bus: Callable[[], Bus],
        switchboard: Switchboard,
    ) -> None:
        self.deadline_ms = CATCH_UP_MS
        self._kenny = kenny
        self._outside = outside
        self._authority = authority
        self._bus = bus
        self._switchboard = switchboard
        self._standing = Standing(is_waiting=False, is_settled=False, unknown=(), venue_seq=0)
        self._is_wished = False  # Kenny wants something that was not tried in this turn
        self._found: Found | None = None

    @property
    def is_held(self) -> bool:
        """While he is, nothing is asked of his hands; what he wants waits there."""
        return "kenny" in self._bus().held

    @property
    def is_waiting(self) -> bool:
        return (self._is_wished or self._standing.is_waiting) and not self.is_held

    @property
    def is_settled(self) -> bool:
        if self.is_held or not self._asked("standing", b""):
            return False
        return self._standing.is_settled

    @property
    def unknown(self) -> tuple[str, ...]:
        return self._standing.unknown

    @property
    def venue_seq(self) -> int:
        return self._standing.venue_seq

    def want(self, _wants: int) -> None:
        """The wishes themselves are with his hands."""
        self._is_wished = True

    def reported(self, envelope: Envelope) -> None:
        """The bus tells Kenny's process itself."""

    def memory(self) -> Memory:
        memory = thaw(self._kenny.call("memory", deadline_ms=self.deadline_ms))
        assert isinstance(memory, Memory)
        return memory

    def adopt(self) -> dict[str, int]:
        return self._adopted().counts

    def unanswered(self) -> Unanswered:
        found = self._adopted()
        return Unanswered(found.at_venue, found.unsent, found.cancels, found.untold)

    def _adopted(self) -> Found:
        """What a start finds, asked for once; a Kenny who is held finds nothing, until he is released."""
        if self._found is None:
            if self.is_held:
                return Found({}, (), (), (), (), self._standing)
            self._found = _found.decode(self._kenny.call("adopt", deadline_ms=self.deadline_ms))
            self._standing = self._found.standing
        return self._found

    # -- what is done ---------------------------------------------------------------------------------------------------

    def perform(self, now_ns: int, report: Report) -> None:
        self._is_wished = False
        self._asked("perform", self._turn(now_ns), report)

    def collect(self, now_ns: int, report: Report) -> None:
        self._asked("collect", self._turn(now_ns), report)

    def _turn(self, now_ns: int) -> bytes:
        outside = self._outside
        return _encode(Turn(now_ns, outside.journal.durable_seq, outside.may_open(), self._authority.hello.public_key))

    def _asked(self, what: str, payload: bytes, report: Report | None = None) -> bool:
        """Ask Kenny, or his successor. False where he is held instead."""
        if self.is_held:
            return False

        def back(question: str, words: bytes) -> bytes:
            return self._answered_back(question, words, report)

        error: ArkError | None = None
        for _ in range(TRIES):
            try:
                self._wait_until_he_is_there()
                told = self._kenny.call(what, payload, deadline_ms=self.deadline_ms, answer_back=back)
                self._standing = _standing.decode(told)
            except AgentGone as gone:
                error = gone
            except (AgentLate, AgentMisbehaved) as other:
                error = other
                break
            else:
                return True
        assert error is not None
        self._held_for(error)
        return False

    def _wait_until_he_is_there(self) -> None:
        """For the patience at most; whoever asks then is told that he is gone."""
        kenny = self._kenny
        until_ns = monotonic_ns() + kenny.patience_ms * 1_000_000
        while not kenny.is_there:
            left_ns = until_ns - monotonic_ns()
            if left_ns <= 0:
                raise AgentGone("`kenny` has ended, and nobody took his place")
            self._switchboard.wait(kenny, left_ns)

    def _held_for(self, error: ArkError) -> None:
        bus = self._bus()
        why: HeldWhy = "late" if isinstance(error, AgentLate) else "ended"
        if isinstance(error, AgentMisbehaved):
            why = "quarantined"
        bus.hold("kenny", why, "watchdog", error.what)
        if bus.on_unanswered is not None:
            bus.on_unanswered("kenny", error)

    # -- what is asked back ---------------------------------------------------------------------------------------------

    def _answered_back(self, what: str, payload: bytes, report: Report | None) -> bytes:
        if what == "report" and report is not None:
            reported = _reported.decode(payload)
            report(reported.body, reported.cause)
            return b""
        if what == "approve" and report is not None:
            return _encode(self._given(_wanted.decode(payload).items))
        raise Unacceptable(f"Kenny's hands asked for `{what}`")

    def _given(self, items: Sequence[tuple[str, int]]) -> Given:
        """At most 64 approvals are asked for at once, for they share a signature."""
        answers: list[Approval | str] = []
        try:
            for first in range(0, len(items), BATCH_MAX):
                given = self._authority.approve(items[first : first + BATCH_MAX])
                answers += [one if isinstance(one, Approval) else one.why for one in given]
        except AuthoritySilent as error:
            return Given(str(error), ())
        return Given("", tuple(answers))
