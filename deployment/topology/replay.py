"""Replay: the same inputs to new agents, and no effects. What they say must be what the journal holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from agents.runtime.hosted import Hosted
from deployment.topology.house import EDGES
from deployment.topology.wiring import hosted_agents
from mutable_core.bus.ordering import Bus
from mutable_core.journal import Checked, Journal, checked_rows


class Replayed(NamedTuple):
    """`compared` rows were said again, byte for byte; the others are inputs."""

    rows: int
    compared: int
    head: str


AfterRow = Callable[[int, tuple[Hosted, ...]], None]
"""Told each row's position, and the agents as they are after it."""


def _nobody(_seq: int, _hosts: tuple[Hosted, ...]) -> None:
    return None


class Replaying:
    """A replay that can go on as its journal grows.

    Attributes:
        hosts: the agents, as they are after the rows that were taken.
        rows: how many were. compared: how many of them were said again. head: after the last one, 64 hex digits.
    """

    def __init__(self) -> None:
        self.hosts = hosted_agents()
        self.rows, self.compared, self.head = 0, 0, ""
        self._bus = Bus(Journal.in_memory(), self.hosts, EDGES)
        self._bus.on_wants = _grant_nothing

    def take(self, checked: Checked) -> None:
        """The next row.

        Raises:
            ReplayDiverged: an agent of this build says something else.
        """
        self.compared += self._bus.replay([(checked.row, checked.envelope)])
        self.rows, self.head = self.rows + 1, checked.head.hex()


def replay(path: Path, after_row: AfterRow = _nobody) -> Replayed:
    """Replay the journal at `path`.

    Raises:
        JournalBroken: a row is not what was written.
        ReplayDiverged: an agent of this build says something else.
    """
    replaying = Replaying()
    for checked in checked_rows(path):
        replaying.take(checked)
        after_row(replaying.rows, replaying.hosts)
    return Replayed(replaying.rows, replaying.compared, replaying.head)


def _grant_nothing(wants: Sequence[Any]) -> None:
    """A replay sends nothing."""
