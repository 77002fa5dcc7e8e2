from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from monitoring.series import BOUNDS_MS, SAMPLES_MAX, Latencies, OpenSpans, Pace, percentile
from tests.monitoring.makers import MILLI, SECOND


def test_a_duration_on_a_bound_falls_into_that_bounds_bucket() -> None:
    """Prometheus: `le` is inclusive."""
    latencies = Latencies()
    latencies.took(0, 10 * MILLI)
    assert dict(latencies.cumulative())[10.0] == 1
    assert dict(latencies.cumulative())[5.0] == 0


def test_a_duration_beyond_every_bound_is_counted_at_infinity() -> None:
    latencies = Latencies()
    latencies.took(0, 5_001 * MILLI)
    *finite, (_, at_infinity) = latencies.cumulative()
    assert {count for _, count in finite} == {0}
    assert at_infinity == 1


@given(st.lists(st.integers(0, 10_000 * MILLI)))
def test_buckets_never_fall_and_end_with_the_count_of_all(durations: list[int]) -> None:
    latencies = Latencies()
    for duration in durations:
        latencies.took(0, duration)
    counts = [count for _, count in latencies.cumulative()]
    assert counts == sorted(counts)
    assert counts[-1] == len(durations)
    assert [bound for bound, _ in latencies.cumulative()] == list(BOUNDS_MS)


def test_only_the_samples_of_the_window_are_given() -> None:
    latencies = Latencies()
    for second in range(10):
        latencies.took(second * SECOND, second * MILLI)
    assert latencies.since(7 * SECOND) == [7.0, 8.0, 9.0]
    assert latencies.since(10 * SECOND) == []


def test_the_ring_keeps_the_newest_samples_and_the_histogram_all() -> None:
    latencies = Latencies()
    written = SAMPLES_MAX + 5
    for n in range(written):
        latencies.took(n, n * MILLI)
    kept = latencies.since(0)
    assert kept == [float(n) for n in range(written - len(kept), written)]
    assert len(kept) == SAMPLES_MAX - 1  # the place that a writer may be in is not read
    assert latencies.cumulative()[-1][1] == written


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_a_sample_that_the_fraction_does_not_exceed(values: list[float], fraction: float) -> None:
    found = percentile(values, fraction)
    assert found in values
    assert sum(value <= found for value in values) >= fraction * len(values)


def test_there_is_no_percentile_of_nothing() -> None:
    assert percentile([], 0.95) is None


def test_a_pace_counts_the_window_and_forgets_what_is_older() -> None:
    pace = Pace(60)
    for second in range(120):
        pace.add(second * SECOND)
    assert pace.since(60 * SECOND) == 60
    assert pace.since(120 * SECOND) == 0
    assert pace.count == 120


def test_a_rate_is_over_the_time_that_there_was() -> None:
    """Ten a second for three seconds is ten a second, not half a one over a minute."""
    pace = Pace(60)
    for tenth in range(30):
        pace.add(tenth * SECOND // 10)
    assert pace.per_second(60 * SECOND, 3 * SECOND) == 10.0


def test_a_source_that_fell_silent_has_the_rate_nought_and_one_that_never_spoke_has_none() -> None:
    pace = Pace(60)
    assert pace.per_second(60 * SECOND, 5 * SECOND) is None
    pace.add(0)
    assert pace.per_second(60 * SECOND, 61 * SECOND) == 0.0


def test_open_spans_are_bounded_and_the_oldest_are_let_go_and_counted() -> None:
    spans = OpenSpans(3)
    for n in range(4):
        spans.begin(str(n), n)
    assert len(spans) <= 3
    assert spans.end("3") == 3
    assert spans.end("0") is None
    assert spans.evicted == 3


def test_a_span_ends_once() -> None:
    spans = OpenSpans(3)
    spans.begin("a", 7)
    assert spans.end("a") == 7
    assert spans.end("a") is None
