"""A venue that loses requests, loses answers, answers late or not at all: nothing is lost, and nothing is done twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace

from agents.kenny.venues.simulated import SimulatedVenue
from benchmarks.sources import TurnsSource
from deployment.topology.house import House, genesis
from deployment.topology.replay import replay
from deployment.topology.state_dir import JOURNAL
from deployment.topology.wiring import EmbeddedWiring
from mutable_core.clock import SECOND_NS
from mutable_core.errors import VenueUnavailable
from mutable_core.journal import checked_rows
from mutable_core.messages import (
    CorporateActionObserved,
    DiscrepancyFound,
    Envelope,
    Observed,
    OrderAccepted,
    OrderBlocked,
    OrderIntended,
    OrderRejected,
    OrderSpec,
    OrderUnknown,
    Reconciled,
    VenueEvent,
    VenueStated,
)
from mutable_core.settings import Settings

MOMENTS = 160
CALM = 140
"""From this moment on everything arrives, so that what is unknown can become known."""
CRASHES = (35, 71)


@dataclass
class Line:
    """What lies between us and the venue; it is still there after a crash of ours. Its faults follow from the seed."""

    seed: int
    is_calm: bool = False
    sent: list[str] = field(default_factory=list)
    denied: set[str] = field(default_factory=set)  # orders that the venue said it has not, since they were sent
    under_way: list[tuple[int, OrderSpec]] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.chance = Random(self.seed)

    def __call__(self, venue: SimulatedVenue) -> UnkindVenue:
        return UnkindVenue(venue, self)

    def fault(self, share: float, *faults: str) -> str:
        """One of the faults, or mostly none."""
        if self.is_calm or self.chance.random() >= share:
            return ""
        found = self.chance.choice(faults)
        self.faults[found] += 1
        return found


class UnkindVenue:
    """The paper venue behind a bad line."""

    def __init__(self, venue: SimulatedVenue, line: Line) -> None:
        self.name = venue.name
        self.venue = venue
        self.line = line
        self.said = 0  # what was given out is not taken back

    def place(self, order: OrderSpec, ts_ns: int) -> None:
        key = order.client_order_id
        assert key not in self.line.sent or key in self.line.denied, "a blind resend"
        self.line.denied.discard(key)
        self.line.sent.append(key)
        match self.line.fault(0.4, "request lost", "answer lost", "request late"):
            case "request lost":
                raise VenueUnavailable("no answer")
            case "answer lost":
                self.venue.place(order, ts_ns)
                raise VenueUnavailable("no answer")
            case "request late":
                self.line.under_way.append((ts_ns + self.line.chance.randrange(1, 25) * SECOND_NS, order))
                raise VenueUnavailable("no answer")
            case _:
                self.venue.place(order, ts_ns)

    def cancel(self, client_order_id: str, ts_ns: int) -> None:
        fault = self.line.fault(0.4, "cancel lost", "cancel's answer lost")
        if fault != "cancel lost":
            self.venue.cancel(client_order_id, ts_ns)
        if fault:
            raise VenueUnavailable("no answer")

    def knows(self, client_order_id: str) -> bool:
        if self.line.fault(0.2, "lookup unanswered"):
            raise VenueUnavailable("no answer")
        is_known = self.venue.knows(client_order_id)
        if not is_known:
            self.line.denied.add(client_order_id)
        return is_known

    def events(self, after: int) -> Sequence[VenueEvent]:
        events = list(self.venue.events(after))
        match self.line.fault(0.3, "events unanswered", "events late"):
            case "events unanswered":
                raise VenueUnavailable("no answer")
            case "events late":
                events = events[: max(0, self.said - after, len(events) - self.line.chance.randrange(1, 4))]
        self.said = max(self.said, after + len(events))
        return events

    def statement(self) -> VenueStated:
        if self.line.fault(0.3, "statement unanswered"):
            raise VenueUnavailable("no answer")
        return self.venue.statement()

    def is_up(self) -> bool:
        return self.venue.is_up()

    def close(self) -> None:
        self.venue.close()

    @property
    def shown_row(self) -> int:
        return self.venue.shown_row

    def note(self) -> None:
        self.venue.note()

    def show(self, observed: Observed, ts_ns: int) -> None:
        arrived = [one for one in self.line.under_way if one[0] <= ts_ns]
        for one in arrived:
            self.line.under_way.remove(one)
            self.venue.place(one[1], ts_ns)
        self.venue.show(observed, ts_ns)

    def apply(self, action: CorporateActionObserved, row: int, ts_ns: int) -> None:
        self.venue.apply(action, row, ts_ns)


def a_house(folder: Path, line: Line) -> House:
    source = TurnsSource(MOMENTS)
    started = genesis(
        Settings(strategies=("alternating",), cash=Decimal(10) ** 9, day_notional=Decimal(10) ** 11), source, SECOND_NS
    )
    folder.mkdir(exist_ok=True)
    house = House(
        folder,
        source,
        replace(started, mandate=replace(started.mandate, instruments=source.traded)),
        wiring=EmbeddedWiring(line),
    )
    house.start()
    return house


def assert_holds_stand(house: House) -> None:
    """I5: what may have been filled counts as if it had been, in full."""
    book = house.hosts["hrm"].state.book
    for key in house.effects.unknown:
        order = book.orders[key]
        hold = book.holds[order.proposal_id]
        assert hold.reduces_atoms or hold.notional_micros > 0
        assert key in house.unknown


def traded(folder: Path, line: Line, crashes: Sequence[int]) -> House:
    """A run to its end; at the named moments our process is gone, and comes back."""
    house, done = a_house(folder, line), 0
    while True:
        for moment in house.slices():
            line.is_calm = done >= CALM
            house.turn(moment)
            done += 1
            assert_holds_stand(house)
            if done in crashes:
                break
        else:
            house.end()
            return house
        house.abandon()
        house = a_house(folder, line)


def envelopes(folder: Path) -> list[Envelope]:
    return [checked.envelope for checked in checked_rows(folder / JOURNAL)]


@pytest.mark.parametrize(("seed", "crashes"), [(1, ()), (2, ()), (3, CRASHES), (4, CRASHES)])
def test_whatever_gets_lost_on_the_way_nothing_is_lost_and_nothing_is_done_twice(
    tmp_path: Path, seed: int, crashes: Sequence[int]
) -> None:
    """I4: every intent is answered once, and at the end the books agree.

    No order is sent twice; but for one that a crash made us forget, and then only when the venue has said that it has
    it not. Should the first one still be on its way, the venue takes the id once.
    """
    line = Line(seed)
    house = traded(tmp_path / "run", line, crashes)
    ours, theirs = house.hosts["aletheia"].state.docket.book.statement(), house.venue.statement()
    assert house.effects.unknown == ()
    house.close()
    log = envelopes(tmp_path / "run")
    bodies = [envelope.body for envelope in log]

    assert ours == theirs
    assert isinstance(bodies[-1], Reconciled)
    assert not [body for body in bodies if isinstance(body, DiscrepancyFound)]
    intended = [body.order.client_order_id for body in bodies if isinstance(body, OrderIntended)]
    answered = Counter(
        body.client_order_id for body in bodies if isinstance(body, OrderAccepted | OrderRejected | OrderBlocked)
    )
    assert {key: answered[key] for key in intended} == dict.fromkeys(intended, 1)
    assert crashes or max(Counter(line.sent).values()) == 1
    assert set(line.sent) <= set(intended)
    assert_nothing_opened_in_doubt(bodies)
    assert replay(tmp_path / "run" / JOURNAL).rows == len(log)  # said again, byte for byte


def assert_nothing_opened_in_doubt(bodies: Sequence[object]) -> None:
    doubted: dict[str, str] = {}  # order → instrument
    orders: dict[str, OrderSpec] = {}
    for body in bodies:
        match body:
            case OrderIntended(order=order):
                orders[order.client_order_id] = order
                assert order.reduces or order.instrument not in doubted.values()
            case OrderUnknown(client_order_id=key):
                assert key not in doubted, "reported once for each episode"
                doubted[key] = orders[key].instrument
            case VenueEvent(client_order_id=key) | OrderBlocked(client_order_id=key):
                doubted.pop(key, None)
    assert not doubted


def test_these_runs_are_as_unkind_as_they_claim(tmp_path: Path) -> None:
    line = Line(1)
    traded(tmp_path / "run", line, ()).close()
    bodies = [envelope.body for envelope in envelopes(tmp_path / "run")]
    unknown = {body.client_order_id for body in bodies if isinstance(body, OrderUnknown)}
    lost = {
        body.client_order_id for body in bodies if isinstance(body, OrderBlocked) and body.reason == "never_arrived"
    }
    found = {body.client_order_id for body in bodies if isinstance(body, OrderAccepted)} & unknown
    assert min(len(lost), len(found)) >= 10
    assert {"request lost", "answer lost", "request late", "events late", "lookup unanswered"} <= set(line.faults)
