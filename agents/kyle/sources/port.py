"""The port that every market source implements; `tests/contract/test_source_contract.py` is its suite."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import msgspec

from mutable_core.messages import Instrument, RowReceived


class Slice(msgspec.Struct, frozen=True):
    """All rows of one moment: bars that end together, ticks of one timestamp.

    Attributes:
        ts_ns: when the rows became known: the end of the bars, the time of the ticks.
        rows: in source order, at least one.
    """

    ts_ns: int
    rows: tuple[RowReceived, ...]


class Source(Protocol):
    """Rows of a market in order of time, the same rows in the same order each time they are asked for.

    Attributes:
        name: what a person calls it, e.g. `embedded`, `file:bars.parquet`, `synthetic`.
        fingerprint: SHA-256 over everything that the rows depend on, 64 hex digits.
        is_public: whether its rows are what everybody could see of a market; what is not counts as private.
        seed: of a synthetic source; 0 otherwise.
        instruments: what may be traded, with tick and lot.
        rows: how many there are; None where the source has no end.
    """

    name: str
    fingerprint: str
    is_public: bool
    seed: int
    instruments: tuple[Instrument, ...]
    rows: int | None

    def slices(self, after_row: int) -> Iterator[Slice]:
        """Slices with rows numbered `after_row` + 1 and up. A slice that `after_row` cuts yields its rest.

        Row numbers are 1-based, contiguous over the whole source.
        """
        ...
