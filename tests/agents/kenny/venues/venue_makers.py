"""Makers for the tests of the paper venue: orders, rows, and a venue that numbers its rows itself."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from agents.kenny.venues.simulated import SNAPSHOT_EVERY, FeeModel, SimulatedVenue
from mutable_core.clock import SECOND_NS
from mutable_core.messages import (
    Bar,
    CorporateActionObserved,
    Instrument,
    Observed,
    OrderFilled,
    OrderSpec,
    Quote,
    Trade,
    VenueEvent,
)

CASH = 1_000_000_000_000  # a million
INSTRUMENTS = (Instrument("ACME", 1_000_000, 100_000_000), Instrument("ZINC", 1_000_000, 100_000_000))


def d(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def an_order(key: str = "a", side: str = "buy", quantity: str = "100", **changes: Any) -> OrderSpec:
    """A market order for the next bar, unless told otherwise; a price makes it a limit order."""
    limit = changes.pop("limit", None)
    given: dict[str, Any] = {
        "client_order_id": key, "proposal_id": f"p-{key}", "instrument": "ACME", "side": side,
        "quantity": Decimal(quantity), "type": "market" if limit is None else "limit", "limit_price": d(limit),
        "time_in_force": "next_bar", "stop_price": d(changes.pop("stop", None)),
        "target_price": d(changes.pop("target", None)), "reduces": False,
    }  # fmt: skip
    return OrderSpec(**{**given, **changes})


def a_bar(open_: str, high: str, low: str, close: str, volume: str = "100000") -> Bar:
    return Bar(Decimal(open_), Decimal(high), Decimal(low), Decimal(close), Decimal(volume))


def a_quote(bid: str, ask: str, bid_size: str = "1000", ask_size: str = "1000") -> Quote:
    return Quote(Decimal(bid), Decimal(ask), Decimal(bid_size), Decimal(ask_size))


def a_trade(price: str, size: str = "10000") -> Trade:
    return Trade(Decimal(price), Decimal(size))


def a_venue(
    path: Path | None = None,
    *,
    bps: int = 0,
    slippage_bps: int = 0,
    snapshot_every: int = SNAPSHOT_EVERY,
    until_row: int | None = None,
) -> SimulatedVenue:
    """No fees and no slippage unless asked for, so that prices can be read."""
    return SimulatedVenue.open(
        path, cash_micros=CASH, instruments=INSTRUMENTS, fees=FeeModel(bps), slippage_bps=slippage_bps,
        snapshot_every=snapshot_every, until_row=until_row,
    )  # fmt: skip


class Floor:
    """A venue and the hand that shows it rows, one second apart, numbered from 1."""

    def __init__(self, venue: SimulatedVenue) -> None:
        self.venue = venue
        self.row = 0
        self.ts_ns = 0

    def show(self, market: Bar | Quote | Trade, instrument: str = "ACME", *, after_s: int = 1) -> Sequence[VenueEvent]:
        """What the row led to."""
        before = self.venue.statement().venue_seq
        self.row += 1
        self.ts_ns += after_s * SECOND_NS
        self.venue.show(Observed(instrument, "test", self.row, 0, market, True, True), self.ts_ns)
        return self.venue.events(before)

    def place(self, order: OrderSpec) -> Sequence[VenueEvent]:
        before = self.venue.statement().venue_seq
        self.venue.place(order, self.ts_ns)
        return self.venue.events(before)

    def cancel(self, key: str) -> Sequence[VenueEvent]:
        before = self.venue.statement().venue_seq
        self.venue.cancel(key, self.ts_ns)
        return self.venue.events(before)

    def act(self, numerator: int, denominator: int, cash: str = "0") -> Sequence[VenueEvent]:
        before = self.venue.statement().venue_seq
        action = CorporateActionObserved("ACME", numerator, denominator, Decimal(cash), "inferred")
        self.venue.apply(action, self.row + 1, self.ts_ns)
        return self.venue.events(before)

    def position(self, instrument: str = "ACME") -> int:
        """Whole units."""
        lines = self.venue.statement().positions
        return sum(line.quantity_atoms for line in lines if line.instrument == instrument) // 100_000_000

    def open_orders(self) -> tuple[str, ...]:
        return self.venue.statement().open_orders


def a_floor(first: Bar | Quote | Trade | None = None, **settings: Any) -> Floor:
    """A floor that has seen one row of ACME, a quiet bar at 100 unless told otherwise."""
    floor = Floor(a_venue(**settings))
    floor.show(first or a_bar("100", "100", "100", "100"))
    return floor


def said(events: Sequence[VenueEvent]) -> list[str]:
    """One short line per event: `a filled 100 @ 99.5 left 0`."""
    return [_line(event) for event in events]


def _line(event: VenueEvent) -> str:
    kind = str(type(event).__struct_config__.tag).removeprefix("order.").removesuffix("/1")
    if isinstance(event, OrderFilled):
        return f"{event.client_order_id} filled {event.quantity} @ {event.price} left {event.remaining}"
    rest = [str(v) for k, v in msgspec.structs.asdict(event).items() if k not in {"venue_seq", "client_order_id"}]
    return " ".join([event.client_order_id, kind, *rest])
