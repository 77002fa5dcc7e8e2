"""Drills of a paper house that stays up: one cell in each interval, by a process of its own, cell after cell.

The process is `ark drill --next`: it measures from outside, and what it reads and replays costs the Watchdog nothing.
What it found is kept in the versioned state; drills that no longer come are seen by the age of the newest one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from deployment.backups.schedule import record, recorded
from deployment.drills.cell import Cell
from deployment.drills.matrix import CELLS
from deployment.watchdog_desk.words import AgentName
from mutable_core.clock import SECOND_NS, monotonic_ns, wall_ns
from mutable_core.errors import ArkError
from watchdog.faults import FaultName

KEY = "fault_drill"
FIRST_NS = 600 * SECOND_NS
"""A house that has just started is left alone."""
AGAIN_NS = 600 * SECOND_NS
"""After a drill that could not be held."""
LOOK_S = 15.0
OVERDUE = 2
"""Intervals without a drill, after which people are told."""

_TOP = Path(__file__).parents[2]


def next_cell(last: dict[str, Any] | None) -> tuple[FaultName, AgentName]:
    """The one after the last that was recorded; the first where there is none, or where it is no cell any more."""
    done = (last["fault"], last["agent"]) if last is not None else None
    return CELLS[(CELLS.index(done) + 1) % len(CELLS)] if done in CELLS else CELLS[0]


def last_drill(state: Path) -> dict[str, Any] | None:
    """What was recorded of the newest drill: `fault`, `agent`, `findings`, `at_ns` (wall time); None where there was none.

    Raises:
        ArkError: the versioned state cannot be read.
    """
    return recorded(state, KEY)


def record_drill(state: Path, cell: Cell, at_ns: int) -> None:
    """Write down that a drill was held.

    Raises:
        ArkError: the versioned state does not take it.
    """
    told = {"fault": cell.fault, "agent": cell.agent, "findings": list(cell.findings), "at_ns": at_ns}
    record(state, KEY, told)


class DrillSchedule:
    """Holds drills for as long as `run` runs, and knows how old the newest one is.

    Args:
        state: the state folder.
        every_s: seconds between two drills; 0 holds none.
        overdue: told once, in a sentence, each time that drills have become overdue.
        hold: holds the next drill; returns whether it was held.
        wall: ns of the clock that records carry; `monotonic`: of one that never jumps.

    Attributes:
        newest_ns: wall time of the newest drill; None where there was none, or nobody has looked yet.
        is_overdue: whether it is older than two intervals, or has not come for as long.
    """

    def __init__(
        self,
        state: Path,
        *,
        every_s: int,
        overdue: Callable[[str], None],
        hold: Callable[[Path], Awaitable[bool]] | None = None,
        wall: Callable[[], int] = wall_ns,
        monotonic: Callable[[], int] = monotonic_ns,
    ) -> None:
        self.newest_ns: int | None = None
        self.is_overdue = False
        self._state, self._every_ns, self._overdue = state.resolve(), every_s * SECOND_NS, overdue
        self._hold = hold or held_apart
        self._wall, self._monotonic = wall, monotonic
        self._began_ns = monotonic()
        self._not_before_ns = self._began_ns + min(FIRST_NS, self._every_ns)

    def age_ns(self) -> int | None:
        """Of the newest drill; None where there was none."""
        return None if self.newest_ns is None else max(0, self._wall() - self.newest_ns)

    async def run(self) -> None:
        """Hold what is due, until cancelled."""
        while True:
            await anyio.to_thread.run_sync(self.look, abandon_on_cancel=True)
            await self.round()
            await anyio.sleep(LOOK_S)

    async def round(self) -> None:
        """Hold one drill where one is due, and say where they have become overdue."""
        if not self._every_ns:
            return
        if self._is_due():
            is_held = await self._hold(self._state)
            self._not_before_ns = 0 if is_held else self._monotonic() + min(AGAIN_NS, self._every_ns)
            self.look()
        self._judge()

    def look(self) -> None:
        """At what was recorded: people hold drills too."""
        with suppress(ArkError, KeyError):
            found = last_drill(self._state)
            if found is not None:
                self.newest_ns = int(found["at_ns"])

    def _is_due(self) -> bool:
        age_ns = self.age_ns()
        return self._monotonic() >= self._not_before_ns and (age_ns is None or age_ns >= self._every_ns)

    def _judge(self) -> None:
        """Where there was never a drill, the time since this began counts: no data is not good news."""
        age_ns = self.age_ns()
        waited_ns = self._monotonic() - self._began_ns
        was, self.is_overdue = self.is_overdue, min(waited_ns if age_ns is None else age_ns, waited_ns) > self._most_ns
        if self.is_overdue and not was:
            ago = "never held" if age_ns is None else f"held {age_ns // SECOND_NS} s ago"
            self._overdue(f"the last fault drill was {ago}; one is due each {self._every_ns // SECOND_NS} s")

    @property
    def _most_ns(self) -> int:
        return OVERDUE * self._every_ns


async def held_apart(state: Path) -> bool:
    """Hold the next drill in a process of its own, which does not outlive this one. Whether it was held."""
    words: Sequence[str] = ("drill", "--next", "--json", "--parent", str(os.getpid()), "--state", str(state))
    done = await anyio.run_process(
        [sys.executable, "-m", "deployment", *words],
        check=False,
        cwd=_TOP,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return done.returncode in (0, 1)
