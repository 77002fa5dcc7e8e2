"""A house whose agents and venue are processes: the parts that the core hands to `House`."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agents.kenny.venues.port import PaperVenue
from agents.kenny.venues.remote import RemoteVenue
from agents.runtime.remote import RemoteAgent, Switchboard
from deployment.authority.client import AuthorityProcess
from deployment.topology.processes.remote_effects import RemoteEffects
from deployment.topology.wiring import AGENTS, EFFECTS_FOLD, Begun, Outside, hosted_agents
from mutable_core.bus.ordering import Bus
from mutable_core.freezing import freeze
from mutable_core.lease_page import LeasePage
from mutable_core.messages import RunStarted

if TYPE_CHECKING:
    from deployment.topology.house import House

PATIENT_MS = 600_000
"""While the house begins: a journal that is resumed takes its time."""
FOLDS = {"kenny": frozenset(EFFECTS_FOLD)}
"""What an agent's hands must know of the log."""


FIRST_STATES: Mapping[str, bytes] = {host.name: freeze(host.state) for host in hosted_agents()}
"""Frozen."""


def remote_agents(switchboard: Switchboard) -> dict[str, RemoteAgent]:
    """The six, in the order of `AGENTS`; none of them has a process yet."""
    folds = {agent.spec.name: FOLDS.get(agent.spec.name, frozenset[type]()) for agent in AGENTS}
    return {
        agent.spec.name: RemoteAgent(
            agent.spec, switchboard, extra_folds=folds[agent.spec.name], patience_ms=PATIENT_MS
        )
        for agent in AGENTS
    }


class ProcessWiring:
    """Implements `deployment.topology.wiring.Wiring`.

    Args:
        agents: from `remote_agents`. market: the core's connection to the venue's process.
        page: the lease page. authority: who approves.
        steady: waits until the Watchdog finds all well, or has had its time.

    Attributes:
        house: that the parts are for; to be set before it starts.
    """

    def __init__(
        self,
        agents: Mapping[str, RemoteAgent],
        switchboard: Switchboard,
        market: socket.socket,
        page: LeasePage,
        authority: AuthorityProcess,
        steady: Callable[[], None],
    ) -> None:
        self._agents = agents
        self._switchboard = switchboard
        self._market = market
        self._page = page
        self._authority = authority
        self._steady = steady
        self._venue: RemoteVenue | None = None
        self._effects: RemoteEffects | None = None
        self.house: House | None = None

    def hosts(self) -> Sequence[RemoteAgent]:
        return tuple(self._agents.values())

    def venue(self, path: Path, started: RunStarted, until_row: int) -> PaperVenue:
        self._venue = RemoteVenue.open(
            self._market,
            path=path,
            cash_micros=started.cash_micros,
            instruments=started.instruments,
            until_row=until_row,
        )
        return self._venue

    def effects(self, outside: Outside) -> RemoteEffects:
        self._effects = RemoteEffects(self._agents["kenny"], outside, self._authority, self._bus, self._switchboard)
        return self._effects

    def _bus(self) -> Bus:
        assert self.house is not None
        return self.house.bus

    def begin(self, begun: Begun | None) -> None:
        for name, agent in self._agents.items():
            if begun is None:
                agent.begin(FIRST_STATES[name], 0)
            else:
                hands = freeze(begun.effects) if name == "kenny" else b""
                agent.begin(freeze(begun.agents[name]), begun.after, hands)

    def settle(self) -> None:
        assert self._venue is not None
        self._venue.settle()

    def permits(self) -> bool:
        return self._page.is_fresh()

    def steady(self) -> None:
        self._steady()

    def set_patience(self, *, agents_ms: int, venue_ms: int, effects_ms: int) -> None:
        """How long each may take to answer from now on."""
        assert self._venue is not None
        assert self._effects is not None
        for agent in self._agents.values():
            agent.patience_ms = agents_ms
        self._venue.line.patience_ms = venue_ms
        self._effects.deadline_ms = effects_ms
