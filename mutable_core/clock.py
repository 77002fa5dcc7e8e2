"""Time is `Nanos`: integer nanoseconds since 1970-01-01 UTC. Ambient clocks are read here and nowhere else."""

from __future__ import annotations

import time
from typing import NewType

Nanos = NewType("Nanos", int)

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS
DAY_NS = 24 * HOUR_NS


def wall_ns() -> Nanos:
    """Wall time. Explains, never orders: the log position orders."""
    return Nanos(time.time_ns())


def monotonic_ns() -> int:
    """Monotonic time of this machine's boot; for leases, deadlines and latencies only."""
    return time.monotonic_ns()
