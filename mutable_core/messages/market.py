"""What Kyle hears from the world and says about it."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar, Literal

import msgspec

Form = Literal["bar", "quote", "trade"]
RejectReason = Literal[
    "malformed",  # a field that is no number, or a missing one
    "not_finite",  # NaN or infinite
    "not_positive",
    "high_below_low",  # high < low, or open/close outside [low, high]
    "crossed",  # bid > ask
    "off_tick",
    "time_backwards",
    "duplicate",
    "stale",  # far behind the newest row of the source
    "jump_unconfirmed",  # a jump beyond the limit that no further row has confirmed yet
    "flagged_suspicious",  # the vendor marked it as far from the market
    "unknown_instrument",
]


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False, tag_field="kind"):
    """A message body. `IS_INPUT`: it comes from the world, so a replay takes it from the journal."""

    IS_INPUT: ClassVar[bool] = False


class RowReceived(Body, frozen=True, tag="market.row/1"):
    """One row of a source, as text, before anything is believed about it.

    Attributes:
        row: 1-based position in the source, contiguous.
        ts_ns: start of the bar, or time of the quote or trade (UTC).
        interval_ns: length of the bar; 0 for quotes and trades.
        values: bar: open, high, low, close, volume, adjusted close ("" where the source has none);
            quote: bid, ask, bid size, ask size, exchange ("" = that side was not updated);
            trade: price, size, exchange.
        suspicious: the vendor's own flag.
    """

    IS_INPUT: ClassVar[bool] = True
    source: str
    row: int
    form: Form
    symbol: str
    ts_ns: int
    interval_ns: int
    values: tuple[str, ...]
    suspicious: bool = False


class SliceClosed(Body, frozen=True, tag="market.slice_closed/1"):
    """Every row of one moment has been read, and the venue has caught up with it: now decide.

    Attributes:
        ts_ns: the moment (end of the bars, or time of the ticks).
        row: the last row read.
    """

    IS_INPUT: ClassVar[bool] = True
    ts_ns: int
    row: int


class SourceEnded(Body, frozen=True, tag="market.source_ended/1"):
    IS_INPUT: ClassVar[bool] = True
    rows: int


class Bar(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False, tag="bar"):
    """Prices in currency per unit, volume in units; [ts − interval, ts) is the time it covers."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal

    @property
    def last(self) -> Decimal:
        return self.close


class Quote(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False, tag="quote"):
    """Best bid and ask over all exchanges of the source, sizes in units."""

    bid: Decimal
    ask: Decimal
    bid_size: Decimal
    ask_size: Decimal

    @property
    def last(self) -> Decimal:
        """The mid, rounded to nothing: one more decimal than the tick at most."""
        return (self.bid + self.ask) / 2


class Trade(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False, tag="trade"):
    price: Decimal
    size: Decimal

    @property
    def last(self) -> Decimal:
        return self.price


class Observed(Body, frozen=True, tag="market.observed/2"):
    """A row that passed the quality gate.

    Attributes:
        source: where the row came from.
        row: of the source.
        interval_ns: 0 for quotes and trades.
        attested: the source vouches for its rows (a checked file, a signed feed).
        is_public: whether anybody can have it: what is not classified public counts as private.
        embargo_until_ns: log time before which it must not be traded on; 0 for none.
        gap_bars: bars that are missing right before this one, nights and weekends left out; 0 for quotes and trades.
    """

    instrument: str
    source: str
    row: int
    interval_ns: int
    market: Bar | Quote | Trade
    attested: bool
    is_public: bool
    gap_bars: int = 0
    embargo_until_ns: int = 0


class InputRejected(Body, frozen=True, tag="market.rejected/1"):
    """A row that the quality gate did not take; nothing downstream sees it."""

    symbol: str
    row: int
    reason: RejectReason
    detail: str


class CorporateActionObserved(Body, frozen=True, tag="market.corporate_action/1"):
    """Before this instrument's next row: every unit becomes numerator/denominator units, and pays cash.

    A 2-for-1 split is 2/1. `cash_per_unit` (a dividend) is in currency per unit held before the split;
    shorts pay it.
    """

    instrument: str
    numerator: int
    denominator: int
    cash_per_unit: Decimal
    basis: Literal["adjusted_close", "inferred"]
