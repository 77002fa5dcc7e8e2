"""All faults × all agents: the cells in their order, and the file that the published matrix is made of."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import get_args

import msgspec

from deployment.build import build_digest
from deployment.drills.audit import Audit
from deployment.drills.cell import MILLI_NS, P999_FACTOR, QUIET_S, Cell, Drilled, drill
from deployment.drills.course import p999
from deployment.watchdog_desk.words import AgentName
from mutable_core.errors import MalformedSource, UnknownName
from watchdog.faults import FAULTS_ALL, FaultName

AGENTS: tuple[AgentName, ...] = get_args(AgentName)
CELLS: tuple[tuple[FaultName, AgentName], ...] = tuple((fault, agent) for fault in FAULTS_ALL for agent in AGENTS)
"""Agent by agent, so that each has time to become stable again between two of its own."""

PACE_S = 10.0
"""Between two cells: six of them are more than the minute after which the Watchdog forgets a failure."""

RESULTS = Path(__file__).parents[2] / "docs" / "reference" / "fault-matrix.json"


class Matrix(msgspec.Struct, frozen=True, kw_only=True):
    """What a whole round has shown, and on what.

    Attributes:
        build: digest of the code. cores: of the machine. system, python: versions.
        quiet_s: how long the house was left alone before each cell.
        siblings_p999_ms, undisturbed_p999_ms: of the gaps of all cells together.
    """

    build: str
    cores: int
    system: str
    python: str
    quiet_s: float
    siblings_p999_ms: float
    undisturbed_p999_ms: float
    cells: tuple[Cell, ...]


def drill_all(state: Path, by: str, *, quiet_s: float = PACE_S, tell: Callable[[Cell], None]) -> Matrix:
    """Every cell, one after the other; each is told as soon as it is there. Raises as `drill`."""
    audits: dict[str, Audit] = {}
    drilled = []
    for fault, agent in CELLS:
        one = drill(state, fault, agent, by, audits=audits, quiet_s=quiet_s)
        tell(one.cell)
        drilled.append(one)
    return matrix_of(drilled, quiet_s)


def matrix_of(drilled: Sequence[Drilled], quiet_s: float = QUIET_S) -> Matrix:
    """The cells, with what they were measured on."""
    during, before = (
        tuple(sorted(chain(*each))) for each in zip(*((d.during, d.before) for d in drilled), strict=True)
    )
    return Matrix(
        build=build_digest(),
        cores=os.cpu_count() or 1,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        quiet_s=quiet_s,
        siblings_p999_ms=round(p999(during) / MILLI_NS, 3),
        undisturbed_p999_ms=round(p999(before) / MILLI_NS, 3),
        cells=tuple(one.cell for one in drilled),
    )


def findings(matrix: Matrix) -> tuple[str, ...]:
    """What is not as it must be; empty for a good matrix."""
    missing = [f"{fault} {agent}: not drilled" for fault, agent in CELLS if (fault, agent) not in _drilled(matrix)]
    bad = [f"{cell.fault} {cell.agent}: {what}" for cell in matrix.cells for what in cell.findings]
    most = P999_FACTOR * matrix.undisturbed_p999_ms
    if matrix.siblings_p999_ms > most:
        bad.append(f"99.9 % of the siblings' gaps: {matrix.siblings_p999_ms:.1f} ms, at most {most:.1f} ms")
    return (*missing, *bad)


def _drilled(matrix: Matrix) -> set[tuple[FaultName, AgentName]]:
    return {(cell.fault, cell.agent) for cell in matrix.cells}


def write(matrix: Matrix, path: Path = RESULTS) -> None:
    """Put it where `python -m docs` finds it.

    Raises:
        UnknownName: this installation has no `docs` folder.
    """
    if not path.parent.is_dir():
        raise UnknownName("there is no folder for the matrix", where=str(path.parent), to_do="run it in a checkout")
    path.write_bytes(msgspec.json.format(msgspec.json.encode(matrix), indent=1) + b"\n")


def read(path: Path = RESULTS) -> Matrix | None:
    """The committed one; None where there is none yet.

    Raises:
        MalformedSource: the file is none.
    """
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Matrix)
    except msgspec.MsgspecError as error:
        raise MalformedSource(f"no fault matrix: {error}", where=path.name, to_do="write it again") from error
