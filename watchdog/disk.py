"""What the Watchdog sees of the disk: how much is free on it, and whether it may be written.

A house on a full disk would learn of it in the middle of a commit. `DiskWatch` sees it come. It tells once, and what it
told stands until the process is started again: space that came back by itself may go the same way, and that it will not
is for a person to say. Until then nothing is opened; positions can still be reduced.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from mutable_core.clock import SECOND_NS, monotonic_ns
from mutable_core.errors import DiskUnavailable

EVERY_NS = 2 * SECOND_NS
STOP_S = 2.0
"""A disk that does not answer must not keep the process from ending."""
LATE = 5
"""So many periods without a look, and the watch itself is ill."""


class Space(NamedTuple):
    """Of the file system below a folder: bytes that this user may still write, and whether it may be written at all."""

    free_bytes: int
    is_read_only: bool


def space_of(folder: Path) -> Space:
    """What the kernel says now.

    Raises:
        OSError: the folder is not there, or its disk does not answer.
    """
    found = os.statvfs(folder)
    return Space(found.f_bavail * found.f_frsize, bool(found.f_flag & os.ST_RDONLY))


class DiskWatch:
    """Looks at the disk below `folder` every other second, in a thread of its own.

    Args:
        folder: the state folder.
        free_min: bytes that must be free; 0 sets no limit.
        space: asks the disk; injected so that tests need no disk of their own.

    Attributes:
        fault: what was found first; empty while all is well. It stays.
        free_bytes: at the last look; None before the first, or where the disk did not answer.
    """

    def __init__(
        self,
        folder: Path,
        *,
        free_min: int,
        space: Callable[[Path], Space] = space_of,
        every_ns: int = EVERY_NS,
        monotonic: Callable[[], int] = monotonic_ns,
    ) -> None:
        self.fault = ""
        self.free_bytes: int | None = None
        self._tell: Callable[[str], None] = lambda _: None
        self._folder, self._free_min = folder, free_min
        self._space, self._every_ns, self._monotonic = space, every_ns, monotonic
        self._looked_ns = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def tell(self, on_fault: Callable[[str], None]) -> None:
        """From now on `on_fault` is told the fault, once, by the thread that finds it; now, where there is one already."""
        self._tell = on_fault
        if self.fault:
            on_fault(self.fault)

    def look(self) -> None:
        """At the disk, now."""
        try:
            space = self._space(self._folder)
        except OSError as error:
            self.free_bytes = None
            self._found(f"the disk does not answer: {error.strerror}")
            return
        self.free_bytes, self._looked_ns = space.free_bytes, self._monotonic()
        if space.is_read_only:
            self._found("the disk may not be written")
        elif space.free_bytes < self._free_min:
            self._found(f"{space.free_bytes:,} bytes are free on the disk, {self._free_min:,} must be")

    def check(self) -> tuple[bool, str]:
        """For `/readyz`: whether all is well, and a word on it."""
        late_ns = self._monotonic() - self._looked_ns
        if self.fault:
            return False, f"{self.fault}: nothing is opened until it is free and the house is started again"
        if self._looked_ns and late_ns > LATE * self._every_ns:
            return False, f"the disk was not looked at for {late_ns // SECOND_NS} s"
        return self.free_bytes is not None, f"{self.free_bytes or 0:,} bytes free"

    def __enter__(self) -> Self:
        """Look, and go on looking.

        Raises:
            DiskUnavailable: it is not well from the beginning.
        """
        self.look()
        if self.fault:
            raise DiskUnavailable(
                self.fault, where=str(self._folder), to_do="free the disk, or set `ARK_DISK_FREE_MIN`, then start again"
            )
        self._thread = threading.Thread(target=self._watch, name="disk-watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(STOP_S)

    def _watch(self) -> None:
        while not self._stop.wait(self._every_ns / SECOND_NS):
            self.look()

    def _found(self, fault: str) -> None:
        if not self.fault:
            self.fault = fault
            self._tell(fault)
