"""Supervision within one process, for the embedded topology and the simulator, by the same policy as between processes.

A child that raises is replaced by a new one, which has the state from before the message and hears it again: state is
pure, so nothing of the failed attempt is left. One that chokes on a message three times is quarantined with it; the
message is named and never skipped: it is the first that the child hears when it is let in again.

What cannot be had within one process: a child that never returns stops everybody. That is what processes are for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from msgspec.structs import replace

from mutable_core.clock import monotonic_ns
from mutable_core.errors import AgentGone, AgentMisbehaved
from mutable_core.messages import AgentEnded, Envelope
from watchdog import policy
from watchdog.policy import RULES, Probe, Quarantine, Readmit, Rules, Start, Ward

CHOKES = 3
"""So often a child may raise on one message."""

IN_PROCESS = replace(RULES, backoff_base_ns=0)
"""A new child costs nothing, and nobody else can work while one waits: no backoff."""


class Child(Protocol):
    """An agent in this process; its state is replaced, never changed."""

    name: str
    hears: tuple[type, ...]
    says: frozenset[type]
    reports: frozenset[type]
    folds: frozenset[type]
    state: Any

    def tell(self, row: bytes, envelope: Envelope) -> None: ...
    def answer(self, envelope: Envelope) -> tuple[Sequence[Any], Any]: ...


class Supervised:
    """A child and its supervisor: to the bus a listener like any other.

    Args:
        birth: makes a child in its first state.
        rules: of the policy. Where they ask for a backoff the child is away until `due` says that it is back.
        monotonic: ns; injected so that tests and the simulator have their own time.
        chance: in [0, 1); injected as well.
        on_ended: given a crash record for each child that raised.

    Attributes:
        ward: what the policy knows.
        left: the message that it has not answered, while it is away for that.
    """

    def __init__(
        self,
        birth: Callable[[], Child],
        *,
        rules: Rules = IN_PROCESS,
        monotonic: Callable[[], int] = monotonic_ns,
        chance: Callable[[], float] = lambda: 0.5,
        on_ended: Callable[[AgentEnded], None] = lambda _: None,
    ) -> None:
        self._birth, self._rules = birth, rules
        self._monotonic, self._chance, self._on_ended = monotonic, chance, on_ended
        self._child = child = birth()
        self.name, self.hears, self.says = child.name, child.hears, child.says
        self.reports, self.folds = child.reports, child.folds
        now_ns = monotonic()
        ward, _ = policy.begin(Ward(child.name), now_ns)
        self.ward = policy.caught_up(ward, now_ns)
        self.left: Envelope | None = None
        self._choked = 0  # times on the message at `_at`
        self._at = 0
        self._answered = 0

    @property
    def state(self) -> Any:
        """The child's, after the last message that it has answered."""
        return self._child.state

    @state.setter
    def state(self, state: Any) -> None:
        self._child.state = state

    # -- what the bus asks --------------------------------------------------------------------------------------------

    def tell(self, row: bytes, envelope: Envelope) -> None:
        """Pass it on."""
        self._child.tell(row, envelope)

    def answer(self, envelope: Envelope) -> tuple[Sequence[Any], Any]:
        """The child's answer, or that of the child which took its place.

        Raises:
            AgentMisbehaved: it chokes on this message, or has been replaced too often; it is quarantined.
            AgentGone: it is shut out, or waits to be replaced.
        """
        while self.ward.phase == "running":
            try:
                answered = self._child.answer(envelope)
            except Exception as error:  # noqa: BLE001  # whatever a child raises ends that child, and nobody else
                self._raised(envelope, error)
            else:
                self._answered, self.left = envelope.seq, None
                return answered
        raise AgentGone(f"`{self.name}` is {self.ward.phase}: {self.ward.why}", to_do=_TO_DO)

    # -- what its owner asks ------------------------------------------------------------------------------------------

    def due(self) -> Readmit | None:
        """What time has brought. `Readmit`: the owner is to release it at the bus."""
        self.ward, action = policy.due(self.ward, self._monotonic(), self._rules)
        return self._taken(action)

    def isolate(self, by: str, why: str) -> Quarantine | None:
        """Shut it out until `release`; None where it is so already. The owner is to hold it at the bus."""
        self.ward, action = policy.isolate(self.ward, by, self._monotonic(), why=why)
        return action if isinstance(action, Quarantine) else None

    def release(self, by: str) -> Readmit | None:
        """Let it in again, if it passes its probe.

        Raises:
            Unacceptable: it is not shut out.
        """
        self.ward, action = policy.release(self.ward, by, self._monotonic(), self._rules)
        return self._taken(action)

    # -- births and ends ----------------------------------------------------------------------------------------------

    def _raised(self, envelope: Envelope, error: Exception) -> None:
        now_ns, incarnation = self._monotonic(), self.ward.incarnation
        how = f"raised {type(error).__name__}: {error}"
        self._choked = self._choked + 1 if envelope.seq == self._at else 1
        self._at, self.left = envelope.seq, envelope
        if self._choked >= CHOKES:
            why = f"{how}, {self._choked} times on this message"
            self.ward, action = policy.quarantine(self.ward, now_ns, self._rules, why=why)
        else:
            self.ward, action = policy.ended(self.ward, now_ns, self._rules, self._chance(), why=how)
        self._on_ended(AgentEnded(self.name, incarnation, how, self._answered))
        if isinstance(action, Start):
            self._born(now_ns)
        elif isinstance(action, Quarantine):
            raise AgentMisbehaved(
                f"`{self.name}` is quarantined: {action.why}",
                where=f"seq {envelope.seq}, {envelope.kind}",
                to_do=_TO_DO,
            ) from error

    def _born(self, now_ns: int) -> None:
        self._child = self._successor()
        self.ward = policy.caught_up(self.ward, now_ns)

    def _successor(self) -> Child:
        child = self._birth()
        child.state = self._child.state
        return child

    def _taken(self, action: policy.Action | None) -> Readmit | None:
        match action:
            case Start():
                self._born(self._monotonic())
                return Readmit(policy.WATCHDOG)
            case Probe():
                return self._probed()
            case _:
                return None

    def _probed(self) -> Readmit | None:
        """In shadow: a child that nobody else knows answers the message that was left, and what it says is dropped."""
        now_ns = self._monotonic()
        try:
            if self.left is not None:
                self._successor().answer(self.left)
        except Exception as error:  # noqa: BLE001  # that is what a probe is to find out
            how = f"its probe raised {type(error).__name__}: {error}"
            self._on_ended(AgentEnded(self.name, self.ward.incarnation, how, self._answered))
            self.ward, _ = policy.probe_failed(self.ward, now_ns, self._rules, why=how)
            return None
        self._child, self._choked = self._successor(), 0
        self.ward, action = policy.probe_passed(self.ward, now_ns)
        return action if isinstance(action, Readmit) else None


_TO_DO = "it is probed when its time is over; `ark agents release` probes it now"
