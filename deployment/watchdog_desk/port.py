"""What the Watchdog's desk needs of the Watchdog: the composition root gives it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from deployment.watchdog_desk.words import Child, Raised


class AtCore(msgspec.Struct, frozen=True):
    """What the core last said of one agent.

    Attributes:
        pending: messages that it was told and has not answered. refused: what the bus refused of it so far.
        held: why the log goes on without it; empty while it is heard.
    """

    pending: int = 0
    refused: int = 0
    held: str = ""


class Core(msgspec.Struct, frozen=True):
    """What the core last said of itself.

    Attributes:
        folder: of the run, below the state folder; empty while no core runs.
        rows: of its journal.
        agents: by name.
    """

    folder: str = ""
    rows: int = 0
    agents: Mapping[str, AtCore] = msgspec.field(default_factory=dict)


class Supervised(Protocol):
    """The Watchdog as its desk sees it. Nothing here waits; what it does is seen in `children` later.

    `by` is who asked, `detail` why: the core writes both into the log (`AgentHeld`, `AgentReleased`, `FaultInjected`).
    """

    def children(self) -> Sequence[Child]:
        """All of them; what only the core knows is filled in by the desk."""

    def beats(self, name: str) -> Sequence[int]:
        """When the newest heartbeats of this incarnation came; monotonic ns, oldest first."""

    def alerts(self) -> Sequence[Raised]:
        """The newest, oldest first."""

    def core(self) -> Core: ...

    def isolate(self, name: str, by: str, detail: str) -> None: ...

    def release(self, name: str, by: str, detail: str) -> None: ...

    def restart(self, name: str, by: str, detail: str) -> None: ...

    def inject(self, name: str, fault: str, by: str) -> None:
        """The core writes it down, and the agent is told to misbehave."""
