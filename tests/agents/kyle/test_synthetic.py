"""The made-up market: wrong in every way that a feed can be wrong, seldom, and the same each time."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from agents.kyle.sources.synthetic import LISTINGS, SYNTHETIC_START_NS, SyntheticSource
from mutable_core.clock import MINUTE_NS, SECOND_NS


@pytest.fixture(scope="module")
def source():
    return SyntheticSource(7, rows=40_000)


@pytest.fixture(scope="module")
def rows(source):
    return [row for part in source.slices(0) for row in part.rows]


@pytest.fixture(scope="module")
def kyle(house, source, rows):
    return house.listening_to(source).hear_all(rows)


def test_there_is_one_quote_per_second_and_instrument(source, rows):
    first = next(iter(source.slices(0)))
    assert first.ts_ns == SYNTHETIC_START_NS
    assert [row.symbol for row in first.rows] == [x.symbol for x in LISTINGS]
    assert len({row.symbol for row in rows}) >= 3


def test_bad_ticks_of_every_kind_are_rejected_and_hardly_any_good_one(kyle):
    reasons = Counter(kyle.reasons)
    assert set(reasons) == {
        "not_finite", "not_positive", "crossed", "off_tick", "time_backwards", "jump_unconfirmed",
    }  # fmt: skip
    assert 0.0005 < sum(reasons.values()) / 40_000 < 0.003


def test_there_are_gaps_and_halts_and_repeated_rows(rows):
    stamps = {x.symbol: sorted(row.ts_ns for row in rows if row.symbol == x.symbol) for x in LISTINGS}
    pauses = [b - a for times in stamps.values() for a, b in pairwise(times)]
    assert any(20 * SECOND_NS < x < 2 * MINUTE_NS + SECOND_NS for x in pauses)
    assert any(x > 4 * MINUTE_NS for x in pauses)
    assert any(a.values == b.values and a.ts_ns == b.ts_ns for a, b in pairwise(rows))


def test_accepted_quotes_move_a_little_at_a_time(kyle):
    """The market has calm and wild hours, and no accepted quote is a spike."""
    last = {}
    for x in kyle.accepted:
        before = last.setdefault(x.instrument, x.market.bid)
        assert abs(x.market.bid - before) < before / 10
        last[x.instrument] = x.market.bid


def test_no_corporate_action_is_invented(kyle):
    assert kyle.actions == []


def test_a_higher_rate_shortens_the_steps():
    fast = SyntheticSource(7, rows=8, hz=10)
    assert [part.ts_ns - SYNTHETIC_START_NS for part in fast.slices(0)] == [0, SECOND_NS // 10]
