"""The lease page: a few bytes of shared memory that say until when risk may be opened, on the monotonic clock (I9).

The Watchdog alone writes it (`watchdog.lease_page`); Kenny's door and the core hold descriptors that can only read.
Reading costs no message and waits for nobody: a Watchdog that died, hangs or was stopped looks like one that says no.

Kept here: two copies, each with a number and a check over it · a copy that was caught half written, or is no copy at
all, is not believed, and the other one is · of two good copies the newer counts, whether it says more or less · no
good copy is no lease.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Callable
from hashlib import blake2b
from types import TracebackType
from typing import Self

from mutable_core.clock import monotonic_ns
from mutable_core.errors import Broken

PAGE_BYTES = mmap.PAGESIZE
COPIES = (0, 256)
"""Where the copies begin."""

_FIELDS = struct.Struct("<8sQq")  # what it is · number · until, monotonic ns; 0 or less: nothing may be opened
_MARK = b"ARKLEASE"
_CHECK_BYTES = 16
COPY_BYTES = _FIELDS.size + _CHECK_BYTES


def packed(number: int, until_ns: int) -> bytes:
    """One copy, as it stands in the page."""
    fields = _FIELDS.pack(_MARK, number, until_ns)
    return fields + blake2b(fields, digest_size=_CHECK_BYTES).digest()


def unpacked(copy: bytes) -> tuple[int, int] | None:
    """Number and until of a copy; None where it is not one whole copy."""
    fields, check = copy[: _FIELDS.size], copy[_FIELDS.size :]
    if blake2b(fields, digest_size=_CHECK_BYTES).digest() != check:
        return None
    mark, number, until_ns = _FIELDS.unpack(fields)
    return (number, until_ns) if mark == _MARK else None


class LeasePage:
    """The page, seen by who must obey it.

    Args:
        descriptor: of the page, open for reading; it is not kept and may be closed afterwards.
        monotonic: ns of the clock that the page is written by; injected so that tests need not wait.

    Raises:
        Broken: the descriptor is no lease page.
    """

    def __init__(self, descriptor: int, monotonic: Callable[[], int] = monotonic_ns) -> None:
        if os.fstat(descriptor).st_size != PAGE_BYTES:
            raise Broken("a lease page has the wrong size", to_do="start the house again")
        self._page = mmap.mmap(descriptor, PAGE_BYTES, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
        self._monotonic = monotonic

    def until_ns(self) -> int:
        """Monotonic ns until which risk may be opened; 0 where the page says nothing that can be believed."""
        copies = [unpacked(self._page[at : at + COPY_BYTES]) for at in COPIES]
        return max((copy for copy in copies if copy is not None), default=(0, 0))[1]

    def is_fresh(self) -> bool:
        """Whether risk may be opened now."""
        return self.remaining_ns() > 0

    def remaining_ns(self) -> int:
        """0 when it has ended."""
        return max(0, self.until_ns() - self._monotonic())

    def close(self) -> None:
        self._page.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
