"""How many bars are missing. A gap is no reason to reject what came after it, but nobody should have to guess it."""

from __future__ import annotations

from mutable_core.clock import DAY_NS

LONG_WEEKEND_DAYS = 4


def missing_bars(interval_ns: int, last_ns: int, ts_ns: int) -> int:
    """Bars that should have come between the row stamped `last_ns` and the one stamped `ts_ns`.

    Without a calendar of sessions, only what cannot be a night or a weekend counts: within one UTC day for bars
    shorter than a day, and more than four days together for longer ones. 0 where there was no row before, and for
    rows without an interval.
    """
    if not interval_ns or not last_ns:
        return 0
    missing = (ts_ns - last_ns) // interval_ns - 1
    if missing <= 0:
        return 0
    if interval_ns >= DAY_NS:
        return missing if missing * interval_ns > LONG_WEEKEND_DAYS * DAY_NS else 0
    return missing if ts_ns // DAY_NS == last_ns // DAY_NS else 0
