"""Backups of a house that stays up: one in each interval, from a thread of its own; and what `/metrics` says of them.

A backup that fails is counted, said and tried again; it never stops trading. That backups no longer come is seen by the
age of the newest one.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deployment.backups.copying import CopyStopped
from deployment.backups.shelf import Limits, Shelved, believed_keys, newest_good
from deployment.backups.taking import KEYS, take
from deployment.topology.state_dir import BACKUPS, DATABASE
from mutable_core.clock import SECOND_NS, monotonic_ns, wall_ns
from mutable_core.errors import ArkError
from mutable_core.journal.signing import Signer
from mutable_core.settings import Settings
from mutable_core.state_manager import StateManager

FIRST_NS = 120 * SECOND_NS
"""A house that has just started has better things to do, and may be about to be stopped again."""
AGAIN_NS = 300 * SECOND_NS
"""After a failure."""
LOOK_S = 15.0
"""Between two looks at what there is: people take backups and hold drills too."""


class Schedule:
    """Takes backups while the block lasts, and knows how old the newest one is.

    Attributes:
        failures: backups that failed in this process. failure: why the last one did; empty where it did not.
        newest_ns: wall time of the newest good backup; None where there is none, or nobody has looked yet.
        drill_ns: wall time of the newest drill; None where there was none. drill_ok: whether it proved the backup.
    """

    def __init__(
        self,
        state: Path,
        signer: Signer,
        settings: Settings,
        *,
        first_ns: int = FIRST_NS,
        wall: Callable[[], int] = wall_ns,
        monotonic: Callable[[], int] = monotonic_ns,
    ) -> None:
        self.failures = 0
        self.failure = ""
        self.newest_ns: int | None = None
        self.drill_ns: int | None = None
        self.drill_ok = False
        self._state, self._signer = state, signer
        self._every_ns = settings.backup_every * SECOND_NS
        self._limits = limits_of(settings)
        self._free_min = settings.disk_free_min
        self._wall, self._monotonic = wall, monotonic
        self._due_ns = monotonic() + min(first_ns, self._every_ns)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def age_ns(self) -> int | None:
        """Of the newest good backup; None where there is none."""
        return None if self.newest_ns is None else max(0, self._wall() - self.newest_ns)

    def drill_age_ns(self) -> int | None:
        return None if self.drill_ns is None else max(0, self._wall() - self.drill_ns)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="backups", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """A backup that is being taken is left unfinished; the next one clears it away."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.round()
            except CopyStopped:
                return
            except Exception as error:  # noqa: BLE001  # whatever it was, the next round is tried
                self._failed(f"it raised `{type(error).__name__}`: {error}")
            self._stop.wait(min(LOOK_S, self._every_ns / SECOND_NS) if self._every_ns else LOOK_S)

    def round(self) -> None:
        """Look at what there is, and take a backup where one is due."""
        self.look()
        if not self._every_ns or self._monotonic() < self._due_ns:
            return
        age_ns = self.age_ns()
        if age_ns is not None and age_ns < self._every_ns:
            return
        try:
            taken, _ = take(
                self._state,
                self._signer,
                self._limits,
                free_min=self._free_min,
                is_stopped=self._stop.is_set,
                now=self._wall,
            )
            self.failure = ""
            record_backup(self._state, taken)
        except ArkError as error:
            self._failed(str(error))
        self.look()

    def look(self) -> None:
        """At the newest backup, and at the newest drill that was recorded."""
        believed = (self._signer.public, *believed_keys(self._state / KEYS))
        newest = newest_good(self._state / BACKUPS, believed)
        self.newest_ns = newest.manifest.taken_ns if newest and newest.manifest else None
        with suppress(ArkError):
            found = recorded(self._state, "drill")
            if found is not None:
                self.drill_ns, self.drill_ok = found["at_ns"], found["ok"]

    def _failed(self, why: str) -> None:
        self.failures += 1
        self.failure = why
        self._due_ns = self._monotonic() + min(AGAIN_NS, self._every_ns)
        print(f"ark: a backup failed: {why}", file=sys.stderr)


def limits_of(settings: Settings) -> Limits:
    return Limits(settings.backup_keep_days, settings.backup_max_bytes)


def record_backup(state: Path, taken: Shelved) -> None:
    """Write down that a backup was taken.

    Raises:
        ArkError: the versioned state does not take it.
    """
    assert taken.manifest is not None
    manifest = taken.manifest
    runs = {run.folder: {"rows": run.rows, "head": run.head} for run in manifest.runs}
    record(state, "backup", {"name": taken.name, "at_ns": manifest.taken_ns, "bytes": manifest.size, "runs": runs})


def record(state: Path, key: str, value: dict[str, Any]) -> None:
    """A new version of `key` in the namespace of the house.

    Raises:
        ArkError: the versioned state does not take it.
    """
    with StateManager.open(state / DATABASE) as manager:
        manager.writer("house").put("house", key, value)


def recorded(state: Path, key: str) -> dict[str, Any] | None:
    """The newest version of `key` in the namespace of the house; None where there is none.

    Raises:
        ArkError: the versioned state cannot be read.
    """
    if not (state / DATABASE).is_file():
        return None
    with StateManager.open_read_only(state / DATABASE) as manager:
        found = manager.get("house", key)
    return dict(found.value) if found is not None else None
