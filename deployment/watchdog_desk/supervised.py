"""The Watchdog behind its desk: its Supervisor, and its line to the core."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from deployment.watchdog_desk.port import Core
from deployment.watchdog_desk.words import Child, Happened, Raised
from watchdog.supervisor import ChildStatus, Supervisor

ALERTS_MAX = 100


class CoreLine(Protocol):
    """What the topology knows of the core."""

    def reading(self) -> Core:
        """What the core last said of itself."""

    def fault_injected(self, fault: str, agent: str, by: str) -> None:
        """The core is to write this into the log (`FaultInjected`); nothing waits for it."""


class SupervisedBy:
    """`Supervised`, made of what the Watchdog's process has."""

    def __init__(self, supervisor: Supervisor, line: CoreLine) -> None:
        self._supervisor = supervisor
        self._line = line

    def children(self) -> Sequence[Child]:
        return [_child(status) for status in self._supervisor.status()]

    def beats(self, name: str) -> Sequence[int]:
        return self._supervisor.beats(name)

    def alerts(self) -> Sequence[Raised]:
        newest = tuple(self._supervisor.alerts.history)[-ALERTS_MAX:]
        return [Raised(one.name, one.severity.name, one.told_ns, one.text) for one in newest]

    def core(self) -> Core:
        return self._line.reading()

    def isolate(self, name: str, by: str, detail: str) -> None:
        self._supervisor.isolate(name, by, detail)

    def release(self, name: str, by: str, detail: str) -> None:
        self._supervisor.release(name, by, detail)

    def restart(self, name: str, by: str, detail: str) -> None:
        self._supervisor.restart(name, by, detail)

    def inject(self, name: str, fault: str, by: str) -> None:
        """Written down first: what follows in the log is then explained."""
        self._line.fault_injected(fault, name, by)
        self._supervisor.inject(name, fault)


def _child(status: ChildStatus) -> Child:
    happened = tuple(Happened(one.what, one.at_ns, one.incarnation, one.detail) for one in status.happened)
    return Child(
        name=status.name,
        role=status.role,
        is_agent=status.is_agent,
        phase=status.phase,
        incarnation=status.incarnation,
        pid=status.pid,
        phi=status.phi,
        handled=status.handled,
        rss_bytes=status.rss_bytes,
        cpu_ns=status.cpu_ns,
        pending=0,
        refused=0,
        held="",
        enforced=status.enforced,
        open=status.open,
        happened=happened,
    )
