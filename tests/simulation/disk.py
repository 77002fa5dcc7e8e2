"""A disk that outlives the house: what was committed is there after a power cut, what was not is gone.

The journal is the real one, over SQLite. Only what the kernel would do is simulated: an error where nothing was written,
an error where everything was, and the moment at which the power goes.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mutable_core.journal import Journal


class PowerCut(BaseException):
    """The machine stops here. Nobody in the house may catch it and go on."""


class SimulatedDisk:
    """The folder of one run, and what is to go wrong with it.

    Attributes:
        armed: fault → how many times it still happens.
        cut: at which point the power goes next; empty for never.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.armed: Counter[str] = Counter()
        self.cut = ""
        self.reached: Callable[[str], None] = lambda _: None
        self.path = folder / "journal.sqlite"
        Journal.open(self.path).close()

    def journal(self) -> Journal:
        """As the house finds it now."""
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        # No fsync: the process that simulates outlives every power cut that it simulates.
        connection.execute("PRAGMA synchronous = OFF")
        return Journal(_Unkind(connection, self), self.path)  # type: ignore[arg-type]

    def passes(self, point: str) -> None:
        """The house is at this point.

        Raises:
            PowerCut: it gets no further.
        """
        if self.cut == point:
            self.cut = ""
            raise PowerCut(point)


class _Unkind:
    """A connection whose inserts may fail."""

    def __init__(self, connection: sqlite3.Connection, disk: SimulatedDisk) -> None:
        self._connection = connection
        self._disk = disk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
        if not statement.startswith("INSERT"):
            return self._connection.execute(statement, *parameters)
        disk = self._disk
        disk.passes("before_commit")
        if disk.armed["disk_full"]:
            disk.armed["disk_full"] -= 1
            raise sqlite3.OperationalError("disk I/O error")
        cursor = self._connection.execute(statement, *parameters)
        if disk.armed["disk_answer_lost"]:
            disk.armed["disk_answer_lost"] -= 1
            raise sqlite3.OperationalError("disk I/O error")
        disk.passes("after_commit")
        return cursor
