"""Who writes the lease page: the Watchdog, every half second, five seconds ahead, while it finds all well.

The page is an unnamed file in memory. The writer seals it against growing and shrinking (a page cut short would kill
its readers), and hands out descriptors that were opened for reading: no reader can write, or make itself a writer.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from types import TracebackType
from typing import Self

from mutable_core.clock import SECOND_NS
from mutable_core.lease_page import COPIES, PAGE_BYTES, packed
from watchdog.lease import TERM_NS

EVERY_NS = SECOND_NS // 2


class LeasePageWriter:
    """The page, seen by the Watchdog. A new one says no until it is told otherwise."""

    def __init__(self) -> None:
        self._file = os.memfd_create("ark-lease", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.fchmod(self._file, 0o400)  # whoever opens it anew through /proc gets it for reading at most
        os.ftruncate(self._file, PAGE_BYTES)
        fcntl.fcntl(self._file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
        self._page = mmap.mmap(self._file, PAGE_BYTES)
        fcntl.fcntl(self._file, fcntl.F_ADD_SEALS, _F_SEAL_FUTURE_WRITE | fcntl.F_SEAL_SEAL)
        self._number = 0
        self.end()

    def renew(self, now_ns: int) -> None:
        """Risk may be opened until `TERM_NS` after `now_ns`, monotonic."""
        self._write(now_ns + TERM_NS)

    def end(self) -> None:
        """Nothing may be opened from now on."""
        self._write(0)
        self._write(0)  # both copies: whatever becomes of one, the other does not say yes

    def reader(self) -> int:
        """A new descriptor of the page that can only read. The caller closes it."""
        return os.open(f"/proc/self/fd/{self._file}", os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Say no, and let go of the page. Readers go on reading the no."""
        self.end()
        self._page.close()
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, until_ns: int) -> None:
        """Into the older copy: the newer one stands until this one is whole."""
        self._number += 1
        at = COPIES[self._number % len(COPIES)]
        copy = packed(self._number, until_ns)
        self._page[at : at + len(copy)] = copy


_F_SEAL_FUTURE_WRITE = 0x10
"""From Linux 5.1: only the mapping that is there already can write; no descriptor can any more, this one included."""
