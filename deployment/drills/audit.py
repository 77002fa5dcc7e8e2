"""Was anything lost or doubled? Asked of the journal and of the venue's own log, as they lie on the disk.

Nothing of the house's memory is used: rows are verified as they are read, the agents of this build say them again, each
row of the market must have its one answer, each proposal its verification, each intent its end, and what the journal
holds of the venue must be what the venue said.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from agents.kenny.venues.simulated import SimulatedVenue
from deployment.topology.replay import Replaying
from deployment.topology.state_dir import JOURNAL, VENUE
from mutable_core.errors import ArkError
from mutable_core.journal import checked_rows
from mutable_core.messages import (
    Envelope,
    InputRejected,
    NothingProposed,
    OrderAccepted,
    OrderBlocked,
    OrderIntended,
    OrderRejected,
    ProposalMade,
    RowReceived,
    RunStarted,
    VenueEvent,
    Verified,
)


class Finding(NamedTuple):
    """What an audit found.

    Attributes:
        rows: of the journal, verified. replayed: whether the agents said them again, byte for byte.
        lost: rows, proposals and orders that nobody answered, and things that the venue said and nobody wrote down.
        duplicated: messages, answers and orders that are there twice, or that the venue never said.
        what: the first thing that is wrong, for people; empty where nothing is.
    """

    rows: int
    replayed: bool
    lost: int
    duplicated: int
    what: str


class Books:
    """What is awaited, folded over a journal in order.

    Attributes:
        awaited: what no answer has come to yet: what it is → log position where it began to be awaited.
        doubled: what came twice, for people.
        events: what the journal holds of the venue, in order.
    """

    def __init__(self) -> None:
        self.awaited: dict[str, int] = {}
        self.doubled: list[str] = []
        self.events: list[VenueEvent] = []
        self._ids: set[str] = set()
        self._answered: set[str] = set()

    def take(self, envelope: Envelope) -> None:
        """The next message."""
        if envelope.id in self._ids:
            self.doubled.append(f"message `{envelope.id}`")
        self._ids.add(envelope.id)
        self._advance(envelope)
        if isinstance(envelope.body, VenueEvent):
            self.events.append(envelope.body)

    def _advance(self, envelope: Envelope) -> None:
        row = f"row of trace `{envelope.trace_id}`"
        match envelope.body:
            case RowReceived():
                self.awaited[row] = envelope.seq
            case InputRejected() | NothingProposed():
                self._answer(row)
            case ProposalMade(proposal=proposal):
                self.awaited.setdefault(_proposal(proposal.proposal_id), envelope.seq)
                if row in self.awaited:  # an operator's drill proposes too, and answers no row
                    self._answer(row)
            case Verified(proposal_id=proposal_id):
                self._answer(_proposal(proposal_id))
            case OrderIntended(order=order):
                self.awaited.setdefault(_order(order.client_order_id), envelope.seq)
            case OrderAccepted(client_order_id=order_id) | OrderRejected(client_order_id=order_id):
                if "." not in order_id:  # legs are accepted with their entries
                    self._answer(_order(order_id))
            case OrderBlocked(client_order_id=order_id):
                self._answer(_order(order_id))
            case _:
                pass

    def _answer(self, what: str) -> None:
        self.awaited.pop(what, None)
        if what in self._answered:
            self.doubled.append(f"an answer to {what}")
        self._answered.add(what)


def _proposal(proposal_id: str) -> str:
    return f"proposal `{proposal_id}`"


def _order(client_order_id: str) -> str:
    return f"order `{client_order_id}`"


class Audit:
    """Of one run's folder; reads on where it stopped, so that many drills in a row read the journal once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._replaying = Replaying()
        self._books = Books()
        self._started: RunStarted | None = None
        self._broken = ""

    @property
    def broken(self) -> str:
        """What the journal or its replay failed with; empty while both are whole."""
        return self._broken

    @property
    def rows(self) -> int:
        """Of the journal, read so far."""
        return self._replaying.rows

    def read(self) -> None:
        """What has become durable since."""
        try:
            if not self._broken:
                self._read()
        except ArkError as error:
            self._broken = str(error)

    def _read(self) -> None:
        for checked in checked_rows(self._folder / JOURNAL, self._replaying.rows):
            self._replaying.take(checked)
            self._books.take(checked.envelope)
            if isinstance(checked.envelope.body, RunStarted):
                self._started = checked.envelope.body

    def awaits(self, until: int) -> int:
        """How much is awaited of what the journal held at position `until`."""
        return sum(1 for position in self._books.awaited.values() if position <= until)

    def finding(self, until: int) -> Finding:
        """What is wrong about all that began up to position `until`."""
        awaited = [what for what, position in self._books.awaited.items() if position <= until]
        unsaid, unheard = against(venue_said(self._folder, self._started), self._books.events)
        wrongs = [self._broken] if self._broken else []
        wrongs += [f"{what} has no answer" for what in awaited] + [
            f"{what} is there twice" for what in self._books.doubled
        ]
        if unsaid or unheard:
            wrongs.append("the journal holds something else of the venue than the venue said")
        return Finding(
            self.rows,
            not self._broken,
            len(awaited) + unheard,
            len(self._books.doubled) + unsaid,
            wrongs[0] if wrongs else "",
        )


def against(said: Sequence[VenueEvent], heard: Sequence[VenueEvent]) -> tuple[int, int]:
    """What the journal holds of the venue and it never said; and what it said, and the journal passed over.

    What the venue said after the last that was heard is on its way.
    """
    until = heard[-1].venue_seq if heard else 0
    due = {event for event in said if event.venue_seq <= until}
    return len(set(heard) - due), len(due - set(heard))


def venue_said(folder: Path, started: RunStarted | None) -> tuple[VenueEvent, ...]:
    """All that the paper venue of this run has said, from a copy of its own log."""
    if started is None or not (folder / VENUE).is_file():
        return ()
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / VENUE
        shutil.copyfile(folder / VENUE, copy)
        venue = SimulatedVenue.open(copy, cash_micros=started.cash_micros, instruments=started.instruments)
        try:
            return tuple(venue.events(0))
        finally:
            venue.close()
