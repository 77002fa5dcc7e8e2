"""Market data files as a source: CSV, gzip-compressed CSV or Parquet with bars, quote bars, quotes or trades.

* The layout follows from the columns (`layouts`); cells travel as text, and what they are worth the gate decides.
* Time: `ts_ns`, else `ts_event_ns` (or `ts_recv_ns` where the exchange sent no time at all), else `date`; a daily
  row of an ISO `date` covers [date 00:00Z, + 1 day). A bar is stamped with its start. A quote bar becomes one
  quote, its closing bid and ask, at the bar's end. A time that cannot be read is 0, in the row's place.
* The length of intraday bars is the most frequent step between two rows of one symbol.
* A file without a `symbol` column is of one instrument, named by the file's name up to its first dot.
* `seq` is not read: documented files are in its order already, and file order is what counts.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from agents.kyle.sources.layouts import Clock, Layout, clock_of, layout_of
from agents.kyle.sources.merging import merged, usual_step_ns
from agents.kyle.sources.port import Slice
from agents.kyle.sources.slicing import slices_of
from agents.kyle.sources.steps import decimals_of, step_atoms
from agents.kyle.sources.tables import content_sha256, read_table
from mutable_core.clock import DAY_NS, MINUTE_NS
from mutable_core.errors import MalformedSource
from mutable_core.messages import Instrument, RowReceived

_BATCH_ROWS = 8192
_ISO_DATE = r"^\d{4}-\d{2}-\d{2}$"
_INTEGER_NS = r"^(\d{1,18}|[1-7]\d{18})$"
_TRUE = pa.array(["true", "True", "TRUE", "1", "t"])


YEARS_1980_TO_2100 = (315_532_800, 4_102_444_800)
"""In seconds. A newest time between them in seconds, milli- or microseconds was not meant as nanoseconds in 1970."""


def _counts_other_units(newest: int) -> bool:
    first, last = YEARS_1980_TO_2100
    return any(first * unit <= newest <= last * unit for unit in (1, 1_000, 1_000_000))


def _printable(name: str) -> str:
    """A file name as text: bytes that are none are spelled out, line breaks too."""
    return name.encode("utf-8", "backslashreplace").decode().replace("\n", "\\n")


class FileSource:
    """Rows of one file. The columns are held in memory; rows are made as they are asked for.

    Args:
        path: of the file; only its last part enters a name.
        name: what it is called; `file:<last part of path>` unless given.

    Raises:
        MalformedSource: unreadable, half-written, empty, or not a file of bars, quotes or trades.
    """

    seed = 0
    is_public = True  # bars, quotes and trades of a market are what everybody could see

    def __init__(self, path: Path, *, name: str = "") -> None:
        self.name = name or f"file:{_printable(path.name)}"
        content = content_sha256(path)
        # Rows carry the source's name, so the name is one of the things that they depend on.
        self.fingerprint = hashlib.sha256(f"file/1\n{self.name}\n{content}".encode()).hexdigest()
        table = read_table(path)
        self.rows: int | None = table.num_rows
        columns = tuple(table.column_names)
        self.layout = layout_of(columns, where=str(path))
        self._cells = _cells(table, self.layout, where=str(path))
        symbols, self._ranks = _ranked(table, stem=path.name.partition(".")[0])
        clock = clock_of(columns, where=str(path))
        ts_ns = _times(table, clock, where=str(path))
        step_ns = _step_ns(ts_ns, self._ranks, clock, self.layout)
        self._interval_ns = step_ns if self.layout.form == "bar" else 0
        known_ns = pc.add(ts_ns, step_ns)
        self._ts_ns = pc.fill_null(known_ns if self.layout.at_end else ts_ns, 0)
        self._suspicious = _suspicious(table)
        self._merged = merged(known_ns, self._ranks)
        self._symbols = symbols
        self.instruments = _instruments(symbols, self._ranks, self._cells, self.layout)

    def slices(self, after_row: int) -> Iterator[Slice]:
        return slices_of(self._rows_from(self._moment_start(after_row)), after_row)

    def _moment_start(self, place: int) -> int:
        """The first place (0-based, merged) of the moment that the row at `place` belongs to."""
        known_ns = self._merged.known_ns
        if place >= len(known_ns):
            return len(known_ns)
        return bisect_left(range(place), known_ns[place].as_py(), key=lambda at: known_ns[at].as_py())

    def _rows_from(self, start: int) -> Iterator[tuple[int, RowReceived]]:
        for first in range(start, len(self._merged.places), _BATCH_ROWS):
            yield from self._batch(first)

    def _batch(self, first: int) -> Iterator[tuple[int, RowReceived]]:
        places = self._merged.places.slice(first, _BATCH_ROWS)
        known = self._merged.known_ns.slice(first, _BATCH_ROWS).to_pylist()
        stamps = self._ts_ns.take(places).to_pylist()
        ranks = self._ranks.take(places).to_pylist()
        flags = [False] * len(known) if self._suspicious is None else self._suspicious.take(places).to_pylist()
        values = zip(*(self._texts(column, places) for column in self.layout.values), strict=True)
        source, form, interval_ns, symbols = self.name, self.layout.form, self._interval_ns, self._symbols
        rows = zip(known, stamps, ranks, values, flags, strict=True)
        for number, (known_ns, ts_ns, rank, texts, flag) in enumerate(rows, start=first + 1):
            # By position: this line runs once per row, and keywords cost a third of it.
            yield known_ns, RowReceived(source, number, form, symbols[rank], ts_ns, interval_ns, texts, flag)

    def _texts(self, column: str, places: pa.Array) -> list[str]:
        cells = self._cells.get(column)
        if cells is None:
            return [self.layout.absent.get(column, "")] * len(places)
        return _text(cells.take(places)).to_pylist()  # type: ignore[no-any-return]


def _text(cells: pa.Array) -> pa.Array:
    """The shortest text that is exactly the number; "" for nothing."""
    return pc.fill_null(cells.cast(pa.string()), "")


def _cells(table: pa.Table, layout: Layout, *, where: str) -> dict[str, pa.Array]:
    """The columns that rows are made of, each in one piece and such that it can be written as text."""
    cells = {}
    for name in layout.values:
        if name in table.column_names:
            cells[name] = _one_piece(table[name])
            _require_text(cells[name], name, where=where)
    return cells


def _require_text(cells: pa.Array, name: str, *, where: str) -> None:
    kind = cells.type
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    if not (is_number or pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)):
        raise MalformedSource(f"column `{name}` was of type {kind}", where=where, to_do="write numbers or text")


def _one_piece(column: pa.ChunkedArray) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    joined = column.combine_chunks()
    return joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined


def _ranked(table: pa.Table, *, stem: str) -> tuple[list[str], pa.Array]:
    """Symbols in order of appearance, and for each row which one it is of."""
    if "symbol" not in table.column_names:
        return [stem], pa.repeat(pa.scalar(0, pa.int32()), table.num_rows)
    encoded = _text(_one_piece(table["symbol"])).dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices


def _times(table: pa.Table, clock: Clock, *, where: str) -> pa.Array:
    """Int64 ns since 1970-01-01 UTC, null where the cell is no time after it."""
    column = _one_piece(table[clock])
    if clock == "ts_event_ns" and column.null_count == len(column) and "ts_recv_ns" in table.column_names:
        column = _one_piece(table["ts_recv_ns"])
    if clock == "date" and pa.types.is_integer(column.type):
        raise MalformedSource("column `date` holds integers", where=where, to_do="write ISO dates, like 2024-01-31")
    found = _times_of(column, clock, where=where)
    ts_ns = pc.if_else(pc.and_(pc.greater(found, 0), pc.less(found, 8_000_000_000_000_000_000)), found, None)
    if ts_ns.null_count == len(ts_ns):
        raise MalformedSource(
            f"no cell of column `{clock}` is a time", where=where, to_do="write integer nanoseconds or ISO dates"
        )
    if _counts_other_units(pc.max(ts_ns).as_py()):
        raise MalformedSource(
            f"the times in column `{clock}` are not in nanoseconds", where=where, to_do="write nanoseconds since 1970"
        )
    return ts_ns


def _times_of(column: pa.Array, clock: Clock, *, where: str) -> pa.Array:
    kind = column.type
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return pc.cast(pc.cast(column, pa.timestamp("ns"), safe=False), pa.int64())
    if pa.types.is_integer(kind):
        return pc.cast(column, pa.int64(), safe=False)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _days(column) if clock == "date" else _integers(column)
    raise MalformedSource(f"column `{clock}` was of type {kind}", where=where, to_do="write integers or ISO dates")


def _integers(texts: pa.Array) -> pa.Array:
    return pc.if_else(pc.match_substring_regex(texts, _INTEGER_NS), texts, None).cast(pa.int64())


def _days(texts: pa.Array) -> pa.Array:
    """00:00Z of ISO dates; a date that no calendar has (02-30) is null, where strptime would move it to March."""
    iso = pc.if_else(pc.match_substring_regex(texts, _ISO_DATE), texts, None).cast(pa.string())
    days = pc.strptime(iso, format="%Y-%m-%d", unit="s", error_is_null=True)
    exists = pc.equal(days.cast(pa.date32()).cast(pa.string()), iso)
    return pc.multiply(pc.if_else(exists, days, None).cast(pa.int64()), 1_000_000_000)


def _step_ns(ts_ns: pa.Array, ranks: pa.Array, clock: Clock, layout: Layout) -> int:
    """How long after its stamp a row is known: the bar's length; 0 for ticks."""
    if layout.form != "bar" and not layout.at_end:
        return 0
    return DAY_NS if clock == "date" else usual_step_ns(ts_ns, ranks, MINUTE_NS)


def _suspicious(table: pa.Table) -> pa.Array | None:
    if "suspicious" not in table.column_names:
        return None
    column = _one_piece(table["suspicious"])
    flags = column if pa.types.is_boolean(column.type) else pc.is_in(column.cast(pa.string()), value_set=_TRUE)
    return pc.fill_null(flags, False)


def _instruments(
    symbols: list[str], ranks: pa.Array, cells: dict[str, pa.Array], layout: Layout
) -> tuple[Instrument, ...]:
    """Tick and lot per symbol; rows without a symbol are of no instrument."""
    price_decimals = _most_decimals(ranks, [cells[x] for x in layout.prices if x in cells])
    size_decimals = _most_decimals(ranks, [cells[x] for x in layout.sizes if x in cells])
    return tuple(
        Instrument(symbol, step_atoms(price_decimals.get(rank, 0)), step_atoms(size_decimals.get(rank, 0)))
        for rank, symbol in enumerate(symbols)
        if symbol
    )


def _most_decimals(ranks: pa.Array, columns: list[pa.Array]) -> dict[int, int]:
    most: dict[int, int] = {}
    for column in columns:
        table = pa.table({"rank": ranks, "decimals": decimals_of(_text(column))})
        found = table.group_by("rank").aggregate([("decimals", "max")])
        for rank, decimals in zip(found["rank"].to_pylist(), found["decimals_max"].to_pylist(), strict=True):
            most[rank] = max(most.get(rank, 0), decimals or 0)
    return most
