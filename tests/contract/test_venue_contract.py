"""What every implementation of the venue port promises; a new venue is one more line in `VENUES`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from socket import AF_UNIX, SOCK_SEQPACKET, socket, socketpair
from threading import Thread
from typing import Protocol

import msgspec
import pytest

from agents.kenny.venues.port import MarketDriven, Venue
from agents.kenny.venues.remote import RemoteVenue
from agents.kenny.venues.server import send_connection, serve
from agents.kenny.venues.simulated import SimulatedVenue
from agents.kenny.venues.venue_wire import Right
from mutable_core.messages import (
    Bar,
    CorporateActionObserved,
    Instrument,
    Observed,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderRejected,
    OrderSpec,
    PositionLine,
    VenueEvent,
)

CASH = 1_000_000_000_000
INSTRUMENTS = (Instrument("ACME", 1_000_000, 100_000_000), Instrument("BOLT", 1_000_000, 100_000_000))


class DrivenVenue(Venue, MarketDriven, Protocol):
    """A venue whose market the suite can show it."""


def in_memory(_folder: Path) -> DrivenVenue:
    return SimulatedVenue.open(None, cash_micros=CASH, instruments=INSTRUMENTS)


def with_a_log(folder: Path) -> DrivenVenue:
    return SimulatedVenue.open(folder / "venue.log", cash_micros=CASH, instruments=INSTRUMENTS)


class OverConnections:
    """The venue's server behind real connections: the core shows, Kenny trades."""

    name = "simulated"

    def __init__(self, folder: Path) -> None:
        self._control, control = socketpair(AF_UNIX, SOCK_SEQPACKET)
        self._server = Thread(target=_served, args=(control,), daemon=True)
        self._server.start()
        ends: dict[Right, socket] = {right: self._joined(right) for right in ("market", "trade")}
        self._market = RemoteVenue.open(
            ends["market"], path=folder / "venue.log", cash_micros=CASH, instruments=INSTRUMENTS, until_row=None,
            patience_ms=10_000,
        )  # fmt: skip
        self._trade = RemoteVenue(ends["trade"], patience_ms=10_000)
        for word in ("show", "apply", "note"):
            setattr(self, word, getattr(self._market, word))
        for word in ("place", "cancel", "knows", "events", "statement", "is_up"):
            setattr(self, word, getattr(self._trade, word))

    def _joined(self, right: Right) -> socket:
        ours, theirs = socketpair()
        with theirs:
            send_connection(self._control, right, theirs)
        return ours

    @property
    def shown_row(self) -> int:
        return self._market.shown_row

    def close(self) -> None:
        """As when the Watchdog ends it."""
        self._control.close()
        self._server.join()
        self._market.close()
        self._trade.close()


def _served(control: socket) -> None:
    with control:
        serve(control)


def over_connections(folder: Path) -> DrivenVenue:
    return OverConnections(folder)  # type: ignore[return-value]


VENUES: tuple[Callable[[Path], DrivenVenue], ...] = (in_memory, with_a_log, over_connections)
LASTING: tuple[Callable[[Path], DrivenVenue], ...] = (with_a_log, over_connections)
"""Those that are still there after we are gone."""


@pytest.fixture(params=VENUES, ids=lambda make: make.__name__)
def venue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DrivenVenue]:
    """Has seen one bar of both instruments, at 100."""
    one = request.param(tmp_path)
    show_quiet_bars(one, first_row=1)
    yield one
    one.close()


def show_quiet_bars(venue: DrivenVenue, *, first_row: int) -> None:
    """A bar of each instrument between 99 and 101, in which every order of this suite that may trade does."""
    for row, instrument in enumerate(("ACME", "BOLT"), first_row):
        bar = Bar(Decimal(100), Decimal(101), Decimal(99), Decimal(100), Decimal(1_000_000))
        venue.show(Observed(instrument, "test", row, 0, bar, True, True), row)


def buy(key: str, limit: str = "100", instrument: str = "ACME", quantity: str = "10", stop: str = "90") -> OrderSpec:
    return OrderSpec(
        key, f"p-{key}", instrument, "buy", Decimal(quantity), "limit", Decimal(limit), "gtc", Decimal(stop), None, False
    )  # fmt: skip


def kinds(events: Sequence[VenueEvent]) -> list[type]:
    return [type(event) for event in events]


def test_a_venue_has_a_name(venue: DrivenVenue) -> None:
    assert venue.name


def test_it_is_up_until_it_is_closed_and_asking_changes_nothing(venue: DrivenVenue) -> None:
    """The kill path is proved by it, many times a minute."""
    venue.place(buy("a"), 10)
    before = (list(venue.events(0)), venue.statement())
    assert [venue.is_up() for _ in range(3)] == [True] * 3
    assert (list(venue.events(0)), venue.statement()) == before


@pytest.mark.parametrize("make", LASTING, ids=lambda make: make.__name__)
def test_a_venue_that_was_closed_is_not_up_and_says_so_without_raising(
    make: Callable[[Path], DrivenVenue], tmp_path: Path
) -> None:
    venue = make(tmp_path)
    venue.close()
    assert venue.is_up() is False


def test_an_order_is_answered(venue: DrivenVenue) -> None:
    venue.place(buy("a"), 10)
    assert venue.events(0) == [OrderAccepted(1, "a")]


def test_an_order_that_cannot_stand_is_rejected_with_a_reason(venue: DrivenVenue) -> None:
    venue.place(buy("a", quantity="NaN"), 10)
    (event,) = venue.events(0)
    assert isinstance(event, OrderRejected)
    assert event.reason
    assert venue.statement().open_orders == ()


def test_an_id_is_taken_once_whatever_comes_with_it(venue: DrivenVenue) -> None:
    venue.place(buy("a"), 10)
    venue.place(buy("a"), 11)
    venue.place(buy("a", quantity="99", instrument="BOLT"), 12)
    show_quiet_bars(venue, first_row=3)
    fills = [event for event in venue.events(0) if isinstance(event, OrderFilled)]
    assert [(fill.instrument, fill.quantity) for fill in fills] == [("ACME", Decimal(10))]


def test_a_rejected_id_is_taken_too(venue: DrivenVenue) -> None:
    venue.place(buy("a", quantity="0"), 10)
    venue.place(buy("a"), 11)
    assert kinds(venue.events(0)) == [OrderRejected]


def test_it_knows_every_id_that_reached_it_for_ever(venue: DrivenVenue) -> None:
    venue.place(buy("done"), 10)
    show_quiet_bars(venue, first_row=3)
    venue.place(buy("bad", quantity="0"), 11)
    venue.place(buy("gone", limit="50", stop="40"), 12)
    venue.cancel("gone", 13)
    assert [venue.knows(key) for key in ("done", "bad", "gone", "never")] == [True, True, True, False]


def test_events_are_numbered_from_one_and_can_be_asked_for_again(venue: DrivenVenue) -> None:
    for key in ("a", "b", "c"):
        venue.place(buy(key), 10)
    show_quiet_bars(venue, first_row=3)
    events = list(venue.events(0))
    assert [event.venue_seq for event in events] == list(range(1, 7))
    assert [list(venue.events(after)) for after in range(8)] == [events[after:] for after in range(8)]


def test_events_can_be_journalled(venue: DrivenVenue) -> None:
    venue.place(buy("a"), 10)
    show_quiet_bars(venue, first_row=3)
    venue.cancel("a.stop", 20)
    for event in venue.events(0):
        assert msgspec.json.decode(msgspec.json.encode(event), type=type(event)) == event


def test_a_cancelled_order_ends_and_a_cancel_of_anything_else_changes_nothing(venue: DrivenVenue) -> None:
    venue.place(buy("a", limit="50", stop="40"), 10)
    venue.cancel("a", 11)
    venue.cancel("a", 12)
    venue.cancel("never", 12)
    assert venue.events(1) == [OrderCancelled(2, "a", "by_us")]
    assert venue.statement().open_orders == ()


def test_an_entry_that_has_filled_cannot_be_cancelled_and_keeps_its_protection(venue: DrivenVenue) -> None:
    venue.place(buy("a"), 10)
    show_quiet_bars(venue, first_row=3)
    venue.cancel("a", 11)
    assert venue.statement().open_orders == ("a.stop",)
    venue.cancel("a.stop", 12)
    assert venue.statement().open_orders == ()


def test_the_statement_is_the_sum_of_what_was_said(venue: DrivenVenue) -> None:
    for key, instrument in (("b", "BOLT"), ("a", "ACME")):
        venue.place(buy(key, instrument=instrument), 10)
    venue.place(buy("z", limit="50", stop="40"), 11)
    show_quiet_bars(venue, first_row=3)
    events, stated = venue.events(0), venue.statement()
    fills = [event for event in events if isinstance(event, OrderFilled)]
    assert stated.venue_seq == events[-1].venue_seq
    assert stated.cash_micros == CASH - sum(int(f.price * f.quantity * 10**6) + f.fee_micros for f in fills)
    assert stated.positions == (PositionLine("ACME", 10 * 10**8), PositionLine("BOLT", 10 * 10**8))
    assert stated.open_orders == ("a.stop", "b.stop", "z")


def test_a_flat_instrument_is_not_stated(venue: DrivenVenue) -> None:
    venue.place(buy("a"), 10)
    show_quiet_bars(venue, first_row=3)
    close = msgspec.structs.replace(buy("r"), side="sell", stop_price=None, reduces=True)
    venue.place(close, 11)
    show_quiet_bars(venue, first_row=5)
    assert venue.statement().positions == ()
    assert venue.statement().open_orders == ()


def test_a_row_or_an_action_shown_again_changes_nothing(venue: DrivenVenue) -> None:
    split = CorporateActionObserved("ACME", 2, 1, Decimal(1), "inferred")
    venue.place(buy("a"), 10)
    show_quiet_bars(venue, first_row=3)
    venue.apply(split, 5, 20)
    show_quiet_bars(venue, first_row=5)
    events, stated = list(venue.events(0)), venue.statement()
    venue.place(buy("b"), 30)
    venue.apply(split, 5, 20)
    show_quiet_bars(venue, first_row=5)
    assert venue.events(0) == [*events, OrderAccepted(len(events) + 1, "b")]
    assert venue.statement().positions == stated.positions


@pytest.mark.parametrize("make", LASTING, ids=lambda make: make.__name__)
def test_it_outlives_us(make: Callable[[Path], DrivenVenue], tmp_path: Path) -> None:
    venue = make(tmp_path)
    show_quiet_bars(venue, first_row=1)
    venue.place(buy("a"), 10)
    venue.place(buy("bad", quantity="NaN"), 10)
    show_quiet_bars(venue, first_row=3)
    events, stated = list(venue.events(0)), venue.statement()
    venue.close()
    again = make(tmp_path)
    assert list(again.events(0)) == events
    assert again.statement() == stated
    assert again.knows("bad")
    again.place(buy("b"), 20)
    assert again.events(len(events)) == [OrderAccepted(len(events) + 1, "b")]
    again.close()
