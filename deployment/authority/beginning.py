"""Where in the log the authority's process begins: before the first row, or behind a snapshot's.

What this means for trust: a process that begins before the first row believes nothing but rules and rows, and whoever
would deceive it must make up a whole log. One that begins behind a snapshot believes the docket that the house hands it:
positions, halts, limits, what waits for people. The house took it from a snapshot that the journal's key has signed and
whose row the journal holds; the process itself can check neither, for it sees no file and the house has that key. So
whoever owns the house between two starts can hand over a docket that no log leads to. `ARK_SNAPSHOT_ROWS=0` makes
each start read the whole log; `ark replay` and a backup's drill show, from the journal alone, what a docket should have been.

The docket comes by an inherited descriptor that nobody can write any more, is read before the jail closes, and thawed
inside it: nothing is imported or called for it, see `mutable_core.freezing`.
"""

from __future__ import annotations

import fcntl
import os
from typing import NamedTuple

from mutable_core.docket import Docket
from mutable_core.freezing import NotFrozen, freeze, thaw

BYTES_MAX = 64 << 20
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class Beginning(NamedTuple):
    """The docket after row `seq`, whose chain's hash is `head` (32 bytes), at log time `now_ns`."""

    seq: int
    head: bytes
    now_ns: int
    docket: Docket


def handed_over(beginning: Beginning) -> int:
    """A descriptor with the beginning in it, for a child process; the caller closes it.

    Raises:
        NotFrozen: it is no beginning.
    """
    data = freeze(beginning)
    descriptor = os.memfd_create("ark-beginning", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(data)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def taken_over(descriptor: int) -> bytes:
    """What was handed over; at most `BYTES_MAX` and a byte."""
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        return file.read(BYTES_MAX + 1)


def beginning_in(data: bytes) -> Beginning:
    """The beginning in these bytes.

    Raises:
        NotFrozen: they hold none.
    """
    if len(data) > BYTES_MAX:
        raise NotFrozen("the beginning that was handed over is too large")
    found = thaw(data)
    if (
        not isinstance(found, Beginning)
        or [type(one) for one in found] != [int, bytes, int, Docket]
        or found.seq < 1
        or len(found.head) != 32
    ):
        raise NotFrozen("what was handed over is no beginning")
    return found
