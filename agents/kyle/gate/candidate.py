"""A row with its numbers read and what is known beside it: what the checks look at."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from agents.kyle.gate.numbers import NOT_A_NUMBER, number, read
from agents.kyle.state import Track
from mutable_core.messages import RowReceived

VALUE_COUNTS = {"bar": 6, "quote": 5, "trade": 3}


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """A row at the gate. After `malformed` and `not_finite` have passed, every number is one.

    Attributes:
        row: as received.
        track: of its instrument; None for an unknown one.
        newest_ns: latest time at which a good row of any instrument became known; 0 before the first.
        prices: bar: open, high, low, close; quote: the sides that it gives; trade: price.
            NOT_A_NUMBER where the cell holds none.
        sizes: bar: volume; quote: the sizes of those sides; trade: size.
        adjusted: adjusted close of a bar; (): the row has none.
        numbers: all of them: prices, sizes, adjusted.
    """

    row: RowReceived
    track: Track | None
    newest_ns: int
    prices: tuple[Decimal, ...]
    sizes: tuple[Decimal, ...]
    adjusted: tuple[Decimal, ...]
    numbers: tuple[Decimal, ...]


def candidate(row: RowReceived, track: Track | None, newest_ns: int) -> Candidate:
    """Read the row's numbers. A row with too few or too many values has one number that is none."""
    prices, sizes, adjusted = _numbers_of(row)
    return Candidate(row, track, newest_ns, prices, sizes, adjusted, prices + sizes + adjusted)


def _numbers_of(row: RowReceived) -> tuple[tuple[Decimal, ...], tuple[Decimal, ...], tuple[Decimal, ...]]:
    values = row.values
    if len(values) != VALUE_COUNTS[row.form]:
        return (NOT_A_NUMBER,), (), ()
    if row.form == "bar":
        o, h, low, c, volume, adjusted = values
        # Volumes and adjusted closes hardly ever repeat: remembering them would push the prices out.
        return (
            (number(o), number(h), number(low), number(c)),
            (read(volume),),
            (read(adjusted),) if adjusted else (),
        )
    if row.form == "trade":
        return (number(values[0]),), (number(values[1]),), ()
    bid, ask, bid_size, ask_size, _ = values
    if bid and ask:
        return (number(bid), number(ask)), (number(bid_size), number(ask_size)), ()
    return ((number(bid),), (number(bid_size),), ()) if bid else ((number(ask),), (number(ask_size),), ())
