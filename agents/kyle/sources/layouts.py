"""Which columns make a market file: the forms that a file can have, told from its header.

A column is known by its name in lower case with `_` for blanks; `Ticker` is read as `symbol`. Columns that no
layout names are ignored.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from mutable_core.errors import MalformedSource
from mutable_core.messages import Form

Clock = Literal["date", "ts_ns", "ts_event_ns"]

FOREIGN_COLUMNS = frozenset(
    {"snapshot", "action", "order_id", "underlying", "contract", "strike", "expiry", "series", "slug", "outcome"}
)
"""Columns of option chains, book deltas, prediction markets and economic series: files of those look like bars
or trades of one instrument and are not."""


class Layout(msgspec.Struct, frozen=True):
    """How rows of one kind of file become rows of ours.

    Attributes:
        needs: columns that must be there besides the time; they tell this layout from the others.
        values: the column of each value of the row, in its order; "" is a value that the file never has.
        absent: text for a value whose column the file lacks, by column: sizes that no one publishes are 0.
        prices, sizes: columns that the tick and the lot are inferred from.
        at_end: the row is known, and stamped, at the end of its interval (quote bars).
    """

    name: str
    form: Form
    needs: tuple[str, ...]
    values: tuple[str, ...]
    absent: dict[str, str]
    prices: tuple[str, ...]
    sizes: tuple[str, ...]
    at_end: bool = False


LAYOUTS: tuple[Layout, ...] = (
    Layout(
        name="quote bars",
        form="quote",
        needs=("bid_close", "ask_close"),
        values=("bid_close", "ask_close", "bid_size", "ask_size", ""),
        absent={"bid_size": "0", "ask_size": "0"},
        prices=("bid_close", "ask_close"),
        sizes=("bid_size", "ask_size"),
        at_end=True,
    ),
    Layout(
        name="quotes",
        form="quote",
        needs=("bid_price", "ask_price"),
        values=("bid_price", "ask_price", "bid_size", "ask_size", "exchange"),
        absent={"bid_size": "0", "ask_size": "0"},
        prices=("bid_price", "ask_price"),
        sizes=("bid_size", "ask_size"),
    ),
    Layout(
        name="bars",
        form="bar",
        needs=("open", "high", "low", "close"),
        values=("open", "high", "low", "close", "volume", "adj_close"),
        absent={"volume": "0"},
        prices=("open", "high", "low", "close"),
        sizes=("volume",),
    ),
    Layout(
        name="trades",
        form="trade",
        needs=("price", "size"),
        values=("price", "size", "exchange"),
        absent={},
        prices=("price",),
        sizes=("size",),
    ),
)
"""Tried in this order; the first whose columns are all there is the file's."""


def layout_of(columns: tuple[str, ...], *, where: str) -> Layout:
    """The layout that a file with these columns has.

    Raises:
        MalformedSource: no layout fits, or the columns are those of another kind of data.
    """
    foreign = sorted(FOREIGN_COLUMNS.intersection(columns))
    if foreign:
        raise MalformedSource(
            f"column `{foreign[0]}` belongs to no file of bars, quotes or trades", where=where, to_do=_known_layouts()
        )
    for layout in LAYOUTS:
        if set(layout.needs) <= set(columns):
            return layout
    listed = ", ".join(columns[:12]) or "none"
    raise MalformedSource(f"the columns were {listed[:200]!a}", where=where, to_do=_known_layouts())


def clock_of(columns: tuple[str, ...], *, where: str) -> Clock:
    """The column that says when.

    Raises:
        MalformedSource: there is none.
    """
    clocks: tuple[Clock, ...] = ("ts_ns", "ts_event_ns", "date")
    for clock in clocks:
        if clock in columns:
            return clock
    raise MalformedSource(
        "no column says when", where=where, to_do="add `ts_ns` (integer nanoseconds, UTC) or `date` (ISO)"
    )


def _known_layouts() -> str:
    return "give a file with " + ", or ".join(f"{' '.join(x.needs)} ({x.name})" for x in LAYOUTS)
