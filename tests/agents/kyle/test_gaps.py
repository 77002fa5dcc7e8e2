"""Missing bars are counted, nights and weekends are not."""

from __future__ import annotations

import pytest

from agents.kyle.gate.gaps import missing_bars
from mutable_core.clock import DAY_NS, HOUR_NS, MINUTE_NS

NOON = 20_000 * DAY_NS + 12 * HOUR_NS


@pytest.mark.parametrize(
    ("interval", "last", "now", "missing"),
    [
        (MINUTE_NS, 0, NOON, 0),
        (MINUTE_NS, NOON, NOON + MINUTE_NS, 0),
        (MINUTE_NS, NOON, NOON + 2 * MINUTE_NS, 1),
        (MINUTE_NS, NOON, NOON + 61 * MINUTE_NS, 60),
        (MINUTE_NS, NOON, NOON + 20 * HOUR_NS, 0),
        (MINUTE_NS, NOON, NOON, 0),
        (MINUTE_NS, NOON, NOON - HOUR_NS, 0),
        (DAY_NS, NOON, NOON + DAY_NS, 0),
        (DAY_NS, NOON, NOON + 3 * DAY_NS, 0),
        (DAY_NS, NOON, NOON + 5 * DAY_NS, 0),
        (DAY_NS, NOON, NOON + 7 * DAY_NS, 6),
        (0, NOON, NOON + DAY_NS, 0),
    ],
)
def test_only_what_cannot_be_a_night_or_a_weekend_is_a_gap(interval, last, now, missing) -> None:
    assert missing_bars(interval, last, now) == missing
