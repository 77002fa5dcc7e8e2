"""What every market source keeps: the port's suite. A new source adds a line to `SOURCES_UNDER_TEST`."""

from __future__ import annotations

from itertools import islice, pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.kyle.sources.embedded import open_embedded
from agents.kyle.sources.files import FileSource
from agents.kyle.sources.register import SOURCES, open_source
from agents.kyle.sources.slicing import SLICE_ROWS_MAX
from agents.kyle.sources.synthetic import SyntheticSource


def a_tick_file(folder):
    """Three symbols, shared moments, one longer than a slice may be, one row that goes back in time."""
    ts_ns = [1, 1, 4, *[5] * (SLICE_ROWS_MAX + 6), 9, 2, 5, 7, 3, 9, 9]
    symbols = ["A"] * (len(ts_ns) - 6) + ["B", "B", "B", "C", "C", "C"]
    rows = {"symbol": symbols, "ts_ns": ts_ns, "price": [1.5] * len(ts_ns), "size": [1] * len(ts_ns)}
    pq.write_table(pa.table(rows), folder / "ticks.parquet")
    return FileSource(folder / "ticks.parquet")


SOURCES_UNDER_TEST = {
    "embedded": lambda _folder: open_embedded(),
    "file": a_tick_file,
    "synthetic": lambda _folder: SyntheticSource(7, rows=6_000),
}


@pytest.fixture(scope="module", params=sorted(SOURCES_UNDER_TEST))
def source(request, tmp_path_factory):
    return SOURCES_UNDER_TEST[request.param](tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def whole(source):
    return list(source.slices(0))


def test_every_kind_of_source_is_under_test():
    assert {kind.name for kind in SOURCES} == set(SOURCES_UNDER_TEST)


def test_rows_are_numbered_from_one_without_a_hole(source, whole):
    assert [row.row for part in whole for row in part.rows] == list(range(1, source.rows + 1))


def test_slices_are_in_order_of_time_not_empty_and_bounded(whole):
    assert all(1 <= len(part.rows) <= SLICE_ROWS_MAX for part in whole)
    times = [part.ts_ns for part in whole]
    assert times == sorted(times)


def test_a_moment_is_one_slice_unless_it_is_too_long_for_one(whole):
    for part, following in pairwise(whole):
        assert part.ts_ns < following.ts_ns or len(part.rows) == SLICE_ROWS_MAX


def test_asked_twice_the_rows_are_the_same(source, whole):
    assert list(islice(source.slices(0), 300)) == whole[:300]


@given(drawn=st.integers(-30, 2**20))
def test_resuming_after_any_row_gives_the_rest_of_the_same_slices(source, whole, drawn):
    """A negative number counts from the end: what is drawn must not depend on the source under test."""
    after_row = drawn % (source.rows + 4) if drawn >= 0 else max(0, source.rows + 4 + drawn)
    expected = []
    for part in whole:
        rest = tuple(row for row in part.rows if row.row > after_row)
        if rest:
            expected.append((part.ts_ns, rest))
    resumed = [(part.ts_ns, part.rows) for part in islice(source.slices(after_row), 50)]
    assert resumed == expected[:50]


def test_every_row_carries_the_sources_name_and_a_listed_instrument(source, whole):
    known = {instrument.instrument for instrument in source.instruments}
    assert {row.source for part in whole for row in part.rows} == {source.name}
    assert {row.symbol for part in whole for row in part.rows} <= known


def test_name_and_fingerprint_are_fit_for_the_journal(source):
    assert "/" not in source.name
    assert len(source.fingerprint) == 64
    int(source.fingerprint, 16)


def test_it_says_whether_its_rows_are_public(source):
    """What is not classified public counts as private; all of ours are market data that everybody could see."""
    assert source.is_public is True


def test_steps_are_positive(source):
    assert source.instruments
    assert all(x.tick_atoms > 0 and x.lot_atoms > 0 and x.day_volume_atoms >= 0 for x in source.instruments)


def test_a_seed_is_a_market_and_another_seed_is_another():
    first, same, other = (open_source("synthetic:200", seed=seed) for seed in (1, 1, 2))
    assert list(first.slices(0)) == list(same.slices(0)) != list(other.slices(0))
    assert first.fingerprint == same.fingerprint != other.fingerprint


def test_without_a_limit_the_synthetic_source_has_no_end():
    source = open_source("synthetic", seed=3)
    assert source.rows is None
    assert sum(len(part.rows) for part in islice(source.slices(0), 2_000)) > 5_000
