"""What a topology decides for a house: where its agents live, who contacts the venue, and who may say that risk is opened.

The house itself is the same in each: it orders, commits and waits. `EmbeddedWiring` puts all parts into this process;
`deployment.topology.processes` gives each agent and the venue a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from agents import aletheia, hrm, joey, kenny, kyle
from agents import id as identity
from agents.id.state import capabilities
from agents.kenny import effects
from agents.kenny.door import Door, Verifier
from agents.kenny.effects import Authority, Effects, Report, Unanswered
from agents.kenny.venues.port import PaperVenue
from agents.kenny.venues.simulated import SimulatedVenue
from agents.runtime.agent import Agent
from agents.runtime.hosted import Hosted
from mutable_core.bus.port import Listener
from mutable_core.journal import Journal
from mutable_core.messages import (
    Approved,
    Envelope,
    HaltOrdered,
    OrderAccepted,
    OrderAdjusted,
    OrderBlocked,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    OrderUnknown,
    OrderWithheld,
    RunStarted,
    VenueStated,
)
from mutable_core.standing import Standing

AGENTS: tuple[Agent, ...] = (kyle.AGENT, joey.AGENT, hrm.AGENT, kenny.AGENT, aletheia.AGENT, identity.AGENT)
"""The six, in the order in which they hear a message."""

VETTING = frozenset({"hrm", "aletheia", "id"})
"""Without one of them nothing new is vetted by everybody who must: no lease is granted while it is held."""

EFFECTS_FOLD = (
    *effects.HALTING,
    Approved, OrderIntended, OrderWithheld,
    OrderAccepted, OrderRejected, OrderFilled, OrderCancelled, OrderExpired, OrderAdjusted, OrderBlocked, OrderUnknown,
    VenueStated,
)  # fmt: skip
"""What Kenny's hands must know of the log."""


class Host(Listener, Protocol):
    """An agent with its state, wherever it lives."""

    @property
    def state(self) -> Any:
        """As it is now, after everything that was asked of it.

        Raises:
            Unavailable: its process does not say.
        """
        ...


class EffectsAtWork(Protocol):
    """Kenny's hands as the house sees them; `agents.kenny.effects.Effects` says what each does."""

    @property
    def is_waiting(self) -> bool: ...
    @property
    def is_settled(self) -> bool: ...
    @property
    def unknown(self) -> tuple[str, ...]: ...
    @property
    def venue_seq(self) -> int: ...
    def want(self, wants: Any) -> None: ...
    def reported(self, envelope: Envelope) -> None: ...
    def memory(self) -> effects.Memory: ...
    def unanswered(self) -> Unanswered: ...
    def adopt(self) -> dict[str, int]: ...
    def perform(self, now_ns: int, report: Report) -> None: ...
    def collect(self, now_ns: int, report: Report) -> None: ...


class KillSwitch(Protocol):
    """What the house sees of the kill switch; `deployment.kill_switch.watching` reads it from its latch and its page."""

    def path_is_up(self) -> bool:
        """Whether it reaches the venue by its own way, now."""
        ...

    def orders(self, standing: Callable[[], Standing]) -> Iterable[HaltOrdered]:
        """What it latched and the log, in which `standing` stands, does not hold yet."""
        ...


class Outside(NamedTuple):
    """What the effects are made of.

    Attributes:
        approver: who gives approvals. verifier: knows a real one.
        may_open: what the door asks before risk leaves.
    """

    venue: PaperVenue
    approver: Authority
    verifier: Verifier
    journal: Journal
    may_open: Callable[[], bool]


class Begun(NamedTuple):
    """Where the agents and the effects begin: after log position `after`, with what a snapshot kept."""

    after: int
    agents: Mapping[str, Any]
    effects: effects.Memory


class Wiring(Protocol):
    """Makes the parts of one house. The calls come in this order, each once: hosts, venue, effects, begin."""

    def hosts(self) -> Sequence[Host]:
        """The six, in the order of `AGENTS`."""
        ...

    def venue(self, path: Path, started: RunStarted, until_row: int) -> PaperVenue:
        """The paper venue whose log is at `path`; see `SimulatedVenue.open`."""
        ...

    def effects(self, outside: Outside) -> EffectsAtWork: ...

    def begin(self, begun: Begun | None) -> None:
        """The agents stand where the snapshot was taken, or, with None, before the first row."""
        ...

    def settle(self) -> None:
        """Return when the venue has taken everything that it was shown.

        Raises:
            VenueUnavailable: it does not answer; it takes it when it comes to it.
        """
        ...

    def steady(self) -> None:
        """Return when whoever supervises this process lets it open risk, or when that may take long."""
        ...

    def permits(self) -> bool:
        """Whether whoever supervises this process lets it open risk, now."""
        ...


class EmbeddedWiring:
    """Everything in this process, which nobody supervises.

    Args:
        line: what stands between us and the venue; nothing unless given.
    """

    def __init__(self, line: Callable[[SimulatedVenue], PaperVenue] | None = None) -> None:
        self._line = line
        self._hosts = {host.name: host for host in hosted_agents()}
        self._effects: Effects | None = None

    def hosts(self) -> Sequence[Hosted]:
        return tuple(self._hosts.values())

    def venue(self, path: Path, started: RunStarted, until_row: int) -> PaperVenue:
        venue = SimulatedVenue.open(
            path, cash_micros=started.cash_micros, instruments=started.instruments, until_row=until_row
        )
        return venue if self._line is None else self._line(venue)

    def effects(self, outside: Outside) -> EffectsAtWork:
        door = Door(outside.venue, outside.verifier, lambda: outside.journal.durable_seq, outside.may_open)
        self._effects = Effects(outside.venue, door, outside.approver, lambda: self._hosts["kenny"].state)
        return self._effects

    def begin(self, begun: Begun | None) -> None:
        if begun is None:
            return
        for name, state in begun.agents.items():
            self._hosts[name].state = state
        assert self._effects is not None
        self._effects.resume(begun.effects)

    def settle(self) -> None:
        """A venue in this process takes what it is shown at once."""

    def steady(self) -> None:
        """Nobody supervises it."""

    def permits(self) -> bool:
        return True


def hosted_agents() -> tuple[Hosted, ...]:
    """The six with their first states; ID is told who may say what."""
    hosts = tuple(Hosted(agent) for agent in AGENTS)
    hosts[-1].state = capabilities(tuple(agent.spec for agent in AGENTS))
    return hosts
