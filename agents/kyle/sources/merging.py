"""The order of a file's rows: every symbol in file order, symbols merged by the time at which rows become known.

A row that goes back in time inside its symbol keeps its place and becomes known with the row before it, so the
gate meets it there. Such a merge is the same as one stable sort by (latest time so far in the symbol, symbol,
place in the file), which columns do fast.
"""

from __future__ import annotations

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

INTERVAL_NS_MAX = 7 * 86_400_000_000_000
"""Longer steps between bars are pauses, not bars: a week."""


STRAY_NS = 30 * 86_400_000_000_000
"""A row stamped so far ahead of the next one of its symbol is stamped wrongly, and must not move the others' time."""


class Merged(msgspec.Struct, frozen=True):
    """Places in the file (int64) in merged order, and when each row became known (int64 ns, not falling)."""

    places: pa.Array
    known_ns: pa.Array


def grouped(ranks: pa.Array) -> tuple[pa.Array, list[tuple[int, int]]]:
    """Places sorted by symbol, file order kept inside each, and (start, length) of every symbol in them."""
    places = pa.array(range(len(ranks)), pa.int64())
    table = pa.table({"rank": ranks, "place": places})
    by_symbol = pc.sort_indices(table, sort_keys=[("rank", "ascending"), ("place", "ascending")]).cast(pa.int64())
    counts = pc.run_end_encode(ranks.take(by_symbol), run_end_type=pa.int64()).run_ends.to_pylist()
    return by_symbol, [(start, end - start) for start, end in zip([0, *counts], counts, strict=False)]


def merged(known_ns: pa.Array, ranks: pa.Array) -> Merged:
    """Merge by time.

    Args:
        known_ns: int64, in file order, null where the row's time cannot be read; not all null.
        ranks: int32, the symbol of each row.
    """
    by_symbol, groups = grouped(ranks)
    sorted_ns = known_ns.take(by_symbol)
    earliest = pc.min(known_ns)
    keys = pa.concat_arrays([_latest_so_far(sorted_ns.slice(*group), earliest) for group in groups])
    table = pa.table({"key": keys, "order": pa.array(range(len(keys)), pa.int64())})
    order = pc.sort_indices(table, sort_keys=[("key", "ascending"), ("order", "ascending")])
    return Merged(by_symbol.take(order), keys.take(order))


def _latest_so_far(known_ns: pa.Array, earliest: pa.Scalar) -> pa.Array:
    if len(known_ns) > 1:
        following = pa.concat_arrays([known_ns.slice(1), known_ns.slice(len(known_ns) - 1)])
        is_stray = pc.fill_null(pc.greater(pc.subtract(known_ns, following), STRAY_NS), fill_value=False)
        known_ns = pc.if_else(is_stray, None, known_ns)
    latest = pc.fill_null_forward(pc.cumulative_max(known_ns, skip_nulls=True))
    return pc.fill_null(pc.fill_null_backward(latest), earliest)


def usual_step_ns(ts_ns: pa.Array, ranks: pa.Array, default_ns: int) -> int:
    """The most frequent forward step inside a symbol, at most a week; the shorter of two equally frequent ones.

    `default_ns` answers for a file in which no symbol has two rows.
    """
    by_symbol, groups = grouped(ranks)
    sorted_ns = ts_ns.take(by_symbol)
    steps = pa.concat_arrays([pc.pairwise_diff(sorted_ns.slice(*group)) for group in groups])
    forward = steps.filter(pc.and_(pc.greater(steps, 0), pc.less_equal(steps, INTERVAL_NS_MAX)))
    most_frequent = pc.mode(forward, n=1)  # of ties, Arrow's mode is the smallest
    return most_frequent[0]["mode"].as_py() if len(most_frequent) else default_ns
