"""Rows with the moment they became known, grouped into slices: the one grouping that every source uses."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

from agents.kyle.sources.port import Slice
from mutable_core.messages import RowReceived

SLICE_ROWS_MAX = 4096
"""A bound on what one moment can put into memory; a longer moment is cut every 4 096 rows from its start."""

_known_ns = itemgetter(0)


def slices_of(rows: Iterator[tuple[int, RowReceived]], after_row: int) -> Iterator[Slice]:
    """Slices of consecutive rows that became known at the same time, without the rows up to `after_row`.

    Args:
        rows: (known at ns, row), times not falling, beginning at the start of a moment, so that the cuts of
            a long moment fall where they fell before a restart.
        after_row: rows up to this number are left out; a slice left empty is not yielded.
    """
    for known_ns, group in groupby(rows, _known_ns):
        part: list[RowReceived] = []
        for seen, (_, row) in enumerate(group, start=1):
            if row.row > after_row:
                part.append(row)
            if seen % SLICE_ROWS_MAX == 0 and part:
                yield Slice(known_ns, tuple(part))
                part = []
        if part:
            yield Slice(known_ns, tuple(part))
