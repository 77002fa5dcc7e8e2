"""Replay: the same inputs to new agents, and no effects. What they say must be what the journal holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from agents.runtime.hosted import Hosted
from deployment.topology.house import EDGES, hosted_agents
from mutable_core.bus.embedded import EmbeddedBus
from mutable_core.journal import Journal, checked_rows


class Replayed(NamedTuple):
    """`compared` rows were said again, byte for byte; the others are inputs."""

    rows: int
    compared: int
    head: str


AfterRow = Callable[[int, tuple[Hosted, ...]], None]
"""Told each row's position, and the agents as they are after it."""


def _nobody(_seq: int, _hosts: tuple[Hosted, ...]) -> None:
    return None


def replay(path: Path, after_row: AfterRow = _nobody) -> Replayed:
    """Replay the journal at `path`.

    Raises:
        JournalBroken: a row is not what was written.
        ReplayDiverged: an agent of this build says something else.
    """
    hosts = hosted_agents()
    bus = EmbeddedBus(Journal.in_memory(), hosts, EDGES)
    bus.on_wants = _grant_nothing
    rows, head = 0, ""
    compared = 0
    for checked in checked_rows(path):
        compared += bus.replay([(checked.row, checked.envelope)])
        rows, head = rows + 1, checked.head.hex()
        after_row(rows, hosts)
    return Replayed(rows, compared, head)


def _grant_nothing(wants: Sequence[Any]) -> None:
    """A replay sends nothing."""
