"""What Kyle remembers: per instrument the last good row, a level that waits for its confirmation, and the quotes."""

from __future__ import annotations

from decimal import Decimal

import immutables
import msgspec

from mutable_core.messages import Instrument
from mutable_core.money import ATOMS_PER_UNIT


class Level(msgspec.Struct, frozen=True, gc=False):
    """One side of one exchange's quote: currency per unit, and units (0 where the source gives no size)."""

    price: Decimal
    size: Decimal


class Book(msgspec.Struct, frozen=True, gc=False):
    """The last quote of every exchange and side, and which exchange is best on each side."""

    bids: immutables.Map[str, Level]
    asks: immutables.Map[str, Level]
    bid_at: str | None = None
    ask_at: str | None = None


EMPTY_BOOK = Book(immutables.Map(), immutables.Map())


class Track(msgspec.Struct, frozen=True, gc=False):
    """What is known of one instrument.

    Attributes:
        tick: smallest price step, currency per unit, > 0.
        last: last accepted price (close, mid or trade); None before the first.
        last_ns: stamp of the last accepted row; 0 before the first.
        held: price of the last row if it jumped and waits for its confirmation, else None.
        held_ns: stamp of that row.
        held_is_direct: whether no other held row lies between it and the last accepted one.
        adjusted: adjusted close of the last accepted bar; None where it had none.
        book: quotes by exchange; bars and trades leave it empty.
    """

    tick: Decimal
    last: Decimal | None = None
    last_ns: int = 0
    held: Decimal | None = None
    held_ns: int = 0
    adjusted: Decimal | None = None
    book: Book = EMPTY_BOOK
    held_is_direct: bool = True


class State(msgspec.Struct, frozen=True):
    """Everything that Kyle remembers.

    Attributes:
        attested_source: the source whose fingerprint the genesis row holds; its rows are attested.
        public_source: the source whose rows are public market data; those of others are not classified so.
        tracks: by instrument; exactly those that the run may trade.
        newest_ns: the latest time at which an accepted row became known.
    """

    attested_source: str
    public_source: str
    tracks: immutables.Map[str, Track]
    newest_ns: int = 0


FIRST_STATE = State("", "", immutables.Map())
"""Before a run has begun nothing is known, so every row is of an unknown instrument."""


def track_of(instrument: Instrument) -> Track:
    return Track(Decimal(instrument.tick_atoms) / ATOMS_PER_UNIT)
