"""A page in the state folder that says until when the kill switch's way to the venue is known to be open.

It has the form of the lease page, so that asking costs no message: a kill switch that died or hangs says no soon.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from deployment.kill_switch.words import PAGE
from mutable_core.clock import SECOND_NS
from mutable_core.errors import DiskUnavailable
from mutable_core.lease_page import COPIES, PAGE_BYTES, packed

TERM_NS = 5 * SECOND_NS


class PathPage:
    """The writer's side. One that was just made says no."""

    def __init__(self, folder: Path) -> None:
        """Raises DiskUnavailable: the folder takes no such file."""
        draft = folder / f"{PAGE}.{os.getpid()}"
        try:
            number = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                os.ftruncate(number, PAGE_BYTES)
                self._page = mmap.mmap(number, PAGE_BYTES)
            finally:
                os.close(number)
            self._number = 0
            self.say(0)
            draft.replace(folder / PAGE)  # a reader of an earlier one finds that nobody writes it any more
        except OSError as error:
            raise DiskUnavailable(
                f"the kill switch's page cannot be made: {error.strerror}", where=str(draft), to_do="free the disk"
            ) from error

    def say(self, until_ns: int) -> None:
        """Until then, monotonic; 0: it is not open."""
        self._number += 1
        at, copy = COPIES[self._number % len(COPIES)], packed(self._number, until_ns)
        self._page[at : at + len(copy)] = copy

    def close(self) -> None:
        self.say(0)
        self._page.close()
