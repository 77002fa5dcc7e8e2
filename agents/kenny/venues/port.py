"""The port that every venue implements; `tests/contract/test_venue_contract.py` is its suite.

A venue is the world: it outlives us. Whatever it says of orders is numbered by itself (`venue_seq`, contiguous from
1) and can be asked for again, so that after a crash nothing is lost and nothing is counted twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mutable_core.messages import CorporateActionObserved, Observed, OrderSpec, VenueEvent, VenueStated


class Venue(Protocol):
    name: str

    def place(self, order: OrderSpec, ts_ns: int) -> None:
        """Take an order. An id that the venue has seen before changes nothing: the first one stands.

        Raises:
            VenueUnavailable: no answer; whether the order stands is not known. Ask with `knows`.
        """
        ...

    def cancel(self, client_order_id: str, ts_ns: int) -> None:
        """Withdraw what has this id: of an entry its unfilled rest, of a leg that leg.

        The legs of what an entry has filled stay armed: withdrawing the rest must not strip protection from a position.
        To withdraw legs, cancel their ids (see `leg_id`); what their entry has not filled ends with them, since it
        would fill without them. An order that has ended, or is unknown, changes nothing.

        Raises:
            VenueUnavailable: no answer; tell it again.
        """
        ...

    def knows(self, client_order_id: str) -> bool:
        """Whether an order of this id has ever reached the venue.

        Raises:
            VenueUnavailable: no answer.
        """
        ...

    def events(self, after: int) -> Sequence[VenueEvent]:
        """Everything said with `venue_seq` > `after`, in order.

        Raises:
            VenueUnavailable: no answer.
        """
        ...

    def statement(self) -> VenueStated:
        """The account as it is now.

        Raises:
            VenueUnavailable: no answer.
        """
        ...

    def is_up(self) -> bool:
        """Whether it answers now, by the way that a cancel would take. Changes nothing, never raises."""
        ...

    def close(self) -> None: ...


class MarketDriven(Protocol):
    """What a simulated venue needs besides: the market that it matches against."""

    @property
    def shown_row(self) -> int:
        """The last row that it has seen, 0 before the first."""
        ...

    def note(self) -> None:
        """Make sure that after a crash it is behind on no row that it has seen."""
        ...

    def show(self, observed: Observed, ts_ns: int) -> None:
        """The next accepted row. A row number that was shown before changes nothing."""
        ...

    def apply(self, action: CorporateActionObserved, row: int, ts_ns: int) -> None:
        """A corporate action before `row`. Shown before: changes nothing."""
        ...


class PaperVenue(Venue, MarketDriven, Protocol):
    """A venue whose market we show it."""
