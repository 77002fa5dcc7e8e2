"""What a process costs, as the kernel counts it: nobody needs to be believed about itself."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import NamedTuple

from mutable_core.clock import SECOND_NS

_TICK_NS = SECOND_NS // os.sysconf("SC_CLK_TCK")
_USER, _SYSTEM = 11, 12
"""Fields of `stat` behind the name, which may have blanks and brackets itself."""


class Usage(NamedTuple):
    """CPU time of a process since it began, user and system; and the memory that it has now."""

    cpu_ns: int = 0
    rss_bytes: int = 0


def usage_of(pid: int) -> Usage | None:
    """None where there is no such process any more."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return None
    ticks = int(fields[_USER]) + int(fields[_SYSTEM])
    return Usage(ticks * _TICK_NS, pages * resource.getpagesize())
