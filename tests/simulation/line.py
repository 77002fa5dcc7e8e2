"""The line to the venue: it loses, delays, repeats and reorders. Behind it is the real paper exchange, in memory.

Line and exchange are the world: they are still there after a power cut of ours, and they are the witnesses that the
oracle asks. What was on its way arrives when its time has come, whether or not we are still there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from agents.kenny.venues.calls import Acted, Cancelled, Placed, Shown
from agents.kenny.venues.simulated import SimulatedVenue
from mutable_core.clock import SECOND_NS
from mutable_core.errors import VenueUnavailable
from mutable_core.messages import CorporateActionObserved, Observed, OrderSpec, VenueEvent, VenueStated


class Made(NamedTuple):
    """A call that the exchange has taken. `row` is the market row that it came with; 0 for a command of ours."""

    row: int
    call: Placed | Cancelled | Shown | Acted


class UnderWay(NamedTuple):
    """An order that arrives at `at_ns` of the log's clock or `then_ns` of the monotonic one, whichever comes first.

    The log's clock runs ahead where a house catches up, and stands where the market is silent.
    """

    at_ns: int
    then_ns: int
    order: OrderSpec


class UnkindLine:
    """Implements `Venue` and `MarketDriven` for the house.

    Args:
        open_exchange: makes what lies at the other end, as new.
        monotonic: the virtual clock, ns.
        passes: told each point at which the power may go.

    Attributes:
        armed: fault → calls that it still hits.
        late_by_s: how long the next order is on its way that is late.
        stall: lets the time of a stalled machine pass.
        down_until_ns: nothing is answered before.
        halted: instrument → until when the venue rejects orders in it.
        on_place: told each order that leaves the house, before anything happens to it.
        on_denied: told each order of which the venue has just said that it has none.
    """

    name = "simulated"

    def __init__(
        self, open_exchange: Callable[[], SimulatedVenue], monotonic: Callable[[], int], passes: Callable[[str], None]
    ) -> None:
        self.exchange = open_exchange()
        self._open_exchange = open_exchange
        self._made: list[Made] = []
        self.armed: Counter[str] = Counter()
        self.down_until_ns = 0
        self.halted: dict[str, int] = {}
        self.late_by_s = 0
        self.stall: Callable[[], None] = lambda: None
        self.on_place: Callable[[OrderSpec], None] = lambda _: None
        self.on_denied: Callable[[str], None] = lambda _: None
        self.reached: Callable[[str], None] = lambda _: None
        self._monotonic = monotonic
        self._passes = passes
        self._under_way: list[UnderWay] = []
        self._shown_ns = 0
        self._said = 0  # what was given out is not taken back

    def calm(self) -> None:
        """From now on everything arrives. What is under way still does."""
        self.armed.clear()
        self.halted.clear()
        self.down_until_ns = 0

    def forget_rows(self, until_row: int) -> None:
        """We were started again, and know the market up to `until_row`: what the venue made of later rows has not been."""
        if self.exchange.shown_row <= until_row:
            return
        made, self._made, self.exchange = self._made, [], self._open_exchange()
        for one in made:
            if one.row <= until_row:
                self._make(*one)
            elif isinstance(one.call, Placed):
                self._under_way.append(UnderWay(one.call.ts_ns, self._monotonic(), one.call.order))
        self._said = self.exchange.statement().venue_seq

    def _make(self, row: int, call: Placed | Cancelled | Shown | Acted) -> None:
        self._made.append(Made(row, call))
        match call:
            case Placed(order, ts_ns):
                self.exchange.place(order, ts_ns)
            case Cancelled(client_order_id, ts_ns):
                self.exchange.cancel(client_order_id, ts_ns)
            case Shown(observed, ts_ns):
                self.exchange.show(observed, ts_ns)
            case Acted(action, before_row):
                self.exchange.apply(action, before_row, 0)

    def place_past_us(self, order: OrderSpec, ts_ns: int) -> None:
        """Somebody else trades the account."""
        self._make(0, Placed(order, ts_ns))

    def is_hit(self, fault: str) -> bool:
        if not self.armed[fault]:
            return False
        self.armed[fault] -= 1
        self.reached(fault)
        return True

    def _answers(self) -> None:
        if self._under_way:
            self.arrive(self._shown_ns, self.exchange.shown_row)
        if self._monotonic() < self.down_until_ns:
            self.reached("venue_down")
            raise VenueUnavailable("no answer")

    # -- Venue ------------------------------------------------------------------------------------------------------

    def place(self, order: OrderSpec, ts_ns: int) -> None:
        self._passes("before_place")
        self.on_place(order)
        if self.is_hit("place_lost") or self._monotonic() < self.down_until_ns:
            raise VenueUnavailable("no answer")
        if self.is_hit("place_late"):
            late_ns = self.late_by_s * SECOND_NS
            self._under_way.append(UnderWay(ts_ns + late_ns, self._monotonic() + late_ns, order))
            raise VenueUnavailable("no answer")
        self._arrived(order, ts_ns)
        self._passes("after_place")
        if self.is_hit("place_answer_lost"):
            raise VenueUnavailable("no answer")

    def _arrived(self, order: OrderSpec, ts_ns: int, row: int = 0) -> None:
        if self.is_hit("rejects") or self._monotonic() < self.halted.get(order.instrument, 0):
            self.reached("rejected")
            order = OrderSpec(
                order.client_order_id, order.proposal_id, "NOT TRADED", order.side, order.quantity, order.type,
                order.limit_price, order.time_in_force, order.stop_price, order.target_price, order.reduces,
            )  # fmt: skip
        self._make(row, Placed(order, ts_ns))

    def arrive(self, now_ns: int, row: int) -> None:
        """What has been on its way long enough is there now."""
        then_ns = self._monotonic()
        for one in [one for one in self._under_way if one.at_ns <= now_ns or one.then_ns <= then_ns]:
            self._under_way.remove(one)
            self.reached("arrived_late")
            self._arrived(one.order, now_ns, row)

    @property
    def is_empty(self) -> bool:
        """Nothing is on its way."""
        return not self._under_way

    def cancel(self, client_order_id: str, ts_ns: int) -> None:
        self._answers()
        if self.is_hit("cancel_lost"):
            raise VenueUnavailable("no answer")
        self._make(0, Cancelled(client_order_id, ts_ns))

    def knows(self, client_order_id: str) -> bool:
        if self.is_hit("stalled"):
            self.stall()
        self._answers()
        if self.is_hit("lookup_silent"):
            raise VenueUnavailable("no answer")
        is_known = self.exchange.knows(client_order_id)
        if not is_known:
            self.on_denied(client_order_id)
        return is_known

    def events(self, after: int) -> Sequence[VenueEvent]:
        self._answers()
        if self.is_hit("events_silent"):
            raise VenueUnavailable("no answer")
        events = self.exchange.events(after)
        if events and any(self.armed.values()):
            events = self._garbled(list(events), after)
        self._said = max(self._said, events[-1].venue_seq if events else 0)
        return events

    def _garbled(self, events: list[VenueEvent], after: int) -> list[VenueEvent]:
        if self.is_hit("events_late"):
            events = events[: max(0, self._said - after, len(events) - 1)]
        if after and self.is_hit("events_doubled"):
            events = [*self.exchange.events(after - 1)[:1], *events]  # the last one again
        if len(events) > 1 and self.is_hit("events_reordered"):
            events[0], events[1] = events[1], events[0]
        return events

    def statement(self) -> VenueStated:
        self._answers()
        if self.is_hit("statement_silent"):
            raise VenueUnavailable("no answer")
        return self.exchange.statement()

    def is_up(self) -> bool:
        return self._monotonic() >= self.down_until_ns

    def close(self) -> None:
        """We let go of it; it stays."""

    # -- MarketDriven: the market is the venue's own, no line lies between ---------------------------------------------

    @property
    def shown_row(self) -> int:
        return self.exchange.shown_row

    def note(self) -> None:
        self.exchange.note()

    def show(self, observed: Observed, ts_ns: int) -> None:
        if self._under_way:
            self.arrive(ts_ns, observed.row)
        self._shown_ns = ts_ns
        self._make(observed.row, Shown(observed, ts_ns))

    def apply(self, action: CorporateActionObserved, row: int, ts_ns: int) -> None:
        self._make(row, Acted(action, row))
