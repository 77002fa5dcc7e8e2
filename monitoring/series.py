"""What the Tap counts with: latencies, paces and open spans. One thread writes, any thread reads, nobody locks.

Rules kept here: a writer's step is a few plain operations; every collection is bounded; a reader copies first
(one C call, so the copy is of one moment) and computes on the copy.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import deque
from itertools import islice
from math import ceil, inf

from mutable_core.clock import SECOND_NS

BOUNDS_MS = (0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 150.0, 200.0, 300.0, 400.0, 500.0, 750.0,
             1000.0, 2000.0, 5000.0, inf)  # fmt: skip
"""Upper bounds, inclusive. From 10 ms on they are the ones that dashboards know; below, what this house needs."""

SAMPLES_MAX = 16_384  # a power of two; sorting this many holds the interpreter for less than 2 ms
_MASK = SAMPLES_MAX - 1
_OLDEST = 1_024  # spans let go at once when too many are open: one by one would rescan the dict's gaps each time


class Latencies:
    """A histogram for ever, and the newest samples with their stamps for exact percentiles over a window."""

    __slots__ = ("_counts", "_stamps", "_sum_ms", "_values", "_written")

    def __init__(self) -> None:
        self._counts = [0] * len(BOUNDS_MS)
        self._sum_ms = 0.0
        self._stamps = array("q", bytes(8 * SAMPLES_MAX))
        self._values = array("d", bytes(8 * SAMPLES_MAX))
        self._written = 0

    def took(self, stamp_ns: int, duration_ns: int) -> None:
        """Something ended at `stamp_ns` (monotonic, never before the previous one) after `duration_ns`."""
        value = duration_ns / 1_000_000
        self._counts[bisect_left(BOUNDS_MS, value)] += 1
        self._sum_ms += value
        at = self._written & _MASK
        self._values[at] = value
        self._stamps[at] = stamp_ns
        self._written += 1

    @property
    def sum_ms(self) -> float:
        return self._sum_ms

    def cumulative(self) -> list[tuple[float, int]]:
        """(upper bound in ms, samples up to it), as one moment saw them; the last pair is the count of all."""
        total = 0
        pairs = []
        for bound, count in zip(BOUNDS_MS, self._counts.copy(), strict=True):
            total += count
            pairs.append((bound, total))
        return pairs

    def since(self, since_ns: int) -> list[float]:
        """The samples that ended at or after `since_ns`, oldest first, ms; at most the newest `SAMPLES_MAX`."""
        before = self._written
        values, stamps = self._values[:], self._stamps[:]
        # INVARIANT: a position below `before` was whole when copied, unless the writer came round to it again;
        # the one it may be writing now is `after`, which overwrites `after - SAMPLES_MAX`.
        oldest = max(0, self._written + 1 - SAMPLES_MAX)
        if oldest >= before:
            return []
        head, tail = oldest & _MASK, before & _MASK
        if head >= tail:
            values, stamps = values[head:] + values[:tail], stamps[head:] + stamps[:tail]
        else:
            values, stamps = values[head:tail], stamps[head:tail]
        return values[bisect_left(stamps, since_ns) :].tolist()


def percentile(values: list[float], fraction: float) -> float | None:
    """The smallest value that at least `fraction` (0…1] of `values` do not exceed (nearest rank); None of none."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, ceil(fraction * len(ordered)) - 1)]


class Pace:
    """How often something happened lately, to the second."""

    __slots__ = ("_due_ns", "_marks", "count", "first_ns")

    def __init__(self, window_s_max: int) -> None:
        self.count = 0
        self.first_ns: int | None = None
        self._due_ns = 0
        self._marks: deque[tuple[int, int]] = deque(maxlen=window_s_max + 2)  # (stamp, count before it)

    def add(self, stamp_ns: int) -> None:
        if stamp_ns >= self._due_ns:
            self._mark(stamp_ns)
        self.count += 1

    def _mark(self, stamp_ns: int) -> None:
        if self.first_ns is None:
            self.first_ns = stamp_ns
        self._marks.append((stamp_ns, self.count))
        self._due_ns = stamp_ns + SECOND_NS

    def since(self, since_ns: int) -> int:
        """How many happened at or after `since_ns`; up to a second's worth at the old end may be missing."""
        for stamp_ns, count_before in tuple(self._marks):
            if stamp_ns >= since_ns:
                return self.count - count_before
        return 0

    def per_second(self, window_ns: int, now_ns: int) -> float | None:
        """Mean rate over the window, or since the first one when that is later; None before the first one."""
        if self.first_ns is None:
            return None
        span_ns = min(window_ns, max(now_ns - self.first_ns, SECOND_NS))
        return self.since(now_ns - window_ns) * SECOND_NS / span_ns


class OpenSpans:
    """When each span that has not ended began. Bounded: the oldest are let go, and counted as `evicted`."""

    __slots__ = ("_began", "_limit", "evicted")

    def __init__(self, limit: int) -> None:
        self._began: dict[str, int] = {}
        self._limit = limit
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._began)

    def begin(self, key: str, stamp_ns: int) -> None:
        began = self._began
        if len(began) >= self._limit:
            self._let_go()
        began[key] = stamp_ns

    def end(self, key: str) -> int | None:
        """When it began; None of a span that never began, has ended, or was let go."""
        return self._began.pop(key, None)

    def _let_go(self) -> None:
        for key in list(islice(self._began, min(_OLDEST, self._limit))):
            del self._began[key]
            self.evicted += 1
