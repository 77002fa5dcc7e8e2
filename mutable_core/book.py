"""The book: positions, holds, working orders, cash and equity of one account, folded from the log.

A pure fold: `fold(book, envelope)` returns another book. Joey sizes by it, HRM computes facts from it, Aletheia keeps
one of her own to compare with the venue. The venue's own arithmetic is written separately on purpose.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
from immutables import Map

from graveyard.words import Side
from mutable_core import ledger as books
from mutable_core.clock import DAY_NS
from mutable_core.ledger import Ledger, Position
from mutable_core.messages import (
    Approved,
    Bar,
    CorporateActionObserved,
    Envelope,
    Instrument,
    Mandate,
    Observed,
    OrderAccepted,
    OrderAdjusted,
    OrderBlocked,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    OrderSpec,
    OrderWithheld,
    PositionLine,
    RunStarted,
    VenueStated,
    leg_id,
)
from mutable_core.money import atoms, notional

FLAT = Position(0, 0)
_ATOMS2_PER_MICRO = 10_000_000_000  # (10⁸ price atoms × 10⁸ quantity atoms) per 10⁶ micros


class Hold(msgspec.Struct, frozen=True, gc=False):
    """What an approval reserves until its order has ended.

    Attributes:
        notional_micros: at the worst-case price; 0 for a pure reduction.
        risk_micros: loss if it fills and goes to its stop.
        reduces_atoms: units of the position that it will close; 0 for an opening order.
        side, limit_atoms: of the order, where whoever vets noted it: it may rest before its intent is in the log.
    """

    instrument: str
    notional_micros: int
    risk_micros: int
    reduces_atoms: int
    side: Side | None = None
    limit_atoms: int = 0


class ArmedLeg(NamedTuple):
    """A protective leg that works at the venue. `limit_atoms` is where a target rests; 0 for a stop, which does not."""

    instrument: str
    side: Side
    limit_atoms: int


class Setup(msgspec.Struct, frozen=True):
    """What the genesis row fixed."""

    account: str
    currency: str
    instruments: Map[str, Instrument]
    mandate: Mandate
    source: str = ""
    ruleset: str = ""
    proofs: str = ""
    owner: str = ""
    restricted: frozenset[str] = frozenset()
    people: Map[str, str] = Map()  # name → public key


class Day(msgspec.Struct, frozen=True, gc=False):
    """The UTC day of the log's clock, and what it began with."""

    number: int
    start_equity_micros: int
    notional_micros: int  # opened so far today, holds included


_NO_SETUP = Setup("", "", Map(), Mandate((), (), (), (), 0))


class Book(NamedTuple):
    """Everything about one account. A named tuple: it is rebuilt on the hot path, and tuples are cheapest."""

    setup: Setup
    ledger: Ledger
    positions: Map[str, Position]
    marks: Map[str, int]  # instrument → last price in atoms
    values: int  # Σ position × mark, micros
    holds: Map[str, Hold]  # proposal id → hold
    orders: Map[str, OrderSpec]  # client order id → intent whose entry has not ended
    legs: Map[str, ArmedLeg]  # by leg id
    day: Day
    venue_seq: int  # last venue event folded

    @staticmethod
    def empty() -> Book:
        return Book(_NO_SETUP, Ledger(), Map(), Map(), 0, Map(), Map(), Map(), Day(-1, 0, 0), 0)

    @property
    def account(self) -> str:
        return self.setup.account

    @property
    def instruments(self) -> Map[str, Instrument]:
        return self.setup.instruments

    def cash_micros(self) -> int:
        return self.ledger.balance("cash")

    def equity_micros(self) -> int:
        """NAV: cash and positions at their last price."""
        return self.ledger.balance("cash") + self.values

    def position_atoms(self, instrument: str) -> int:
        """Signed quantity in atoms; 0 when flat."""
        return self.positions.get(instrument, FLAT).quantity_atoms

    def position_value_micros(self, instrument: str) -> int:
        """Signed value at the last price."""
        held = self.positions.get(instrument)
        return _value(self.marks.get(instrument, 0), held.quantity_atoms) if held else 0

    def gross_micros(self) -> int:
        """Σ |position value|, holds not included."""
        return sum([abs(_value(self.marks.get(name, 0), p.quantity_atoms)) for name, p in self.positions.items()])

    def has_interest(self, instrument: str) -> bool:
        """A position, a hold or a working order in the instrument stands."""
        if instrument in self.positions:
            return True
        for waiting in (self.holds, self.orders):
            if waiting and instrument in [one.instrument for one in waiting.values()]:
                return True
        return False

    def open_orders(self) -> tuple[str, ...]:
        """Ids of working entries and armed legs, sorted: what the venue must list too."""
        return tuple(sorted([*self.orders, *self.legs]))

    def statement(self) -> VenueStated:
        """What the venue must state, if it and we agree."""
        lines = tuple(PositionLine(name, p.quantity_atoms) for name, p in sorted(self.positions.items()))
        return VenueStated(self.venue_seq, self.cash_micros(), lines, self.open_orders())


def _value(price_atoms: int, quantity_atoms: int) -> int:
    """Price × quantity in micros, nearest below: for marking, where both signs are alike."""
    return price_atoms * quantity_atoms // _ATOMS2_PER_MICRO


def _started(book: Book, _envelope: Envelope, body: RunStarted) -> Book:
    setup = Setup(
        body.account,
        body.currency,
        Map((i.instrument, i) for i in body.instruments),
        body.mandate,
        body.source,
        body.ruleset,
        body.proofs,
        body.owner,
        frozenset(body.restricted),
        Map((person.name, person.public_key) for person in body.people),
    )
    return book._replace(setup=setup, ledger=book.ledger.posted(books.opening_entry(body.cash_micros)))


def _observed(book: Book, envelope: Envelope, body: Observed) -> Book:
    """Mark to the last price; a new day begins with the equity before its first price."""
    instrument, market = body.instrument, body.market
    if body.source != book.setup.source:
        return book  # a second source confirms prices; it values nothing
    price = atoms(market.close if type(market) is Bar else market.last)
    held = book.positions.get(instrument)
    values, marks = book.values, book.marks
    if held is not None:
        values += _value(price, held.quantity_atoms) - _value(marks.get(instrument, 0), held.quantity_atoms)
    day_number = envelope.ts_seen_ns // DAY_NS
    day = book.day if book.day.number == day_number else Day(day_number, book.equity_micros(), 0)
    return Book(
        book.setup, book.ledger, book.positions, marks.set(instrument, price), values,
        book.holds, book.orders, book.legs, day, book.venue_seq,
    )  # fmt: skip


def _action(book: Book, _envelope: Envelope, body: CorporateActionObserved) -> Book:
    """Splits multiply the quantity and divide the price; a fraction of a lot is paid out; dividends move cash."""
    instrument = body.instrument
    mark = book.marks.get(instrument)
    if mark is None:
        return book
    new_mark = mark * body.denominator // body.numerator
    marks = book.marks.set(instrument, new_mark)
    held = book.positions.get(instrument)
    if held is None:
        return book._replace(marks=marks)
    book = book._replace(holds=_scaled(book.holds, body))
    lot = book.instruments[instrument].lot_atoms
    scaled, rest = divmod(abs(held.quantity_atoms) * body.numerator, body.denominator)
    whole = scaled // lot * lot
    sign = 1 if held.quantity_atoms > 0 else -1
    ledger = book.ledger
    if body.cash_per_unit:
        dividend = sign * notional(body.cash_per_unit, Decimal(abs(held.quantity_atoms)).scaleb(-8))
        ledger = ledger.posted(books.cash_entry("dividends", dividend))
    position = Position(sign * scaled, held.cost_micros)
    if whole != scaled or rest:
        in_lieu = sign * _in_lieu(mark, abs(held.quantity_atoms), whole, body)
        position, postings = books.write_down(
            position, instrument=instrument, quantity_atoms=sign * whole, cash_micros=in_lieu
        )
        ledger = ledger.posted(postings)
    values = book.values - _value(mark, held.quantity_atoms) + _value(new_mark, position.quantity_atoms)
    positions = (
        book.positions.set(instrument, position) if position.quantity_atoms else book.positions.delete(instrument)
    )
    return book._replace(ledger=ledger, positions=positions, marks=marks, values=values)


def _scaled(holds: Map[str, Hold], body: CorporateActionObserved) -> Map[str, Hold]:
    """Reductions under way grow with the position that they reduce, rounded up."""
    for proposal_id, hold in list(holds.items()):
        if hold.instrument == body.instrument and hold.reduces_atoms:
            units = -(-hold.reduces_atoms * body.numerator // body.denominator)
            holds = holds.set(proposal_id, msgspec.structs.replace(hold, reduces_atoms=units))
    return holds


def _in_lieu(mark: int, quantity: int, whole: int, body: CorporateActionObserved) -> int:
    """Cash for the fraction of a lot: its share of the value before the action, nearest micro below."""
    before = quantity * body.numerator
    return mark * (before - whole * body.denominator) // (body.numerator * _ATOMS2_PER_MICRO)


def _approved(book: Book, _envelope: Envelope, body: Approved) -> Book:
    if body.proposal_id in book.holds:
        return book  # whoever vets has noted it at once, so that the next proposal sees it
    reduces = 0 if body.facts.is_opening else body.facts.quantity_atoms or 0
    return note_hold(book, body.proposal_id, Hold(body.instrument, body.hold_micros, body.hold_risk_micros, reduces))


def note_hold(book: Book, proposal_id: str, hold: Hold) -> Book:
    """The book once an approval has reserved what it may cost (I5)."""
    day = book.day
    if hold.notional_micros:
        day = Day(day.number, day.start_equity_micros, day.notional_micros + hold.notional_micros)
    return Book(
        book.setup, book.ledger, book.positions, book.marks, book.values,
        book.holds.set(proposal_id, hold), book.orders, book.legs, day, book.venue_seq,
    )  # fmt: skip


def _intended(book: Book, _envelope: Envelope, body: OrderIntended) -> Book:
    return _waiting(
        book, book.holds, book.orders.set(body.order.client_order_id, body.order), book.legs, book.venue_seq
    )


def _withheld(book: Book, _envelope: Envelope, body: OrderWithheld) -> Book:
    if body.client_order_id in book.orders:
        return book  # a second use of an approval was withheld; the first one's order works and keeps its hold
    return _waiting(book, _released(book, body.proposal_id), book.orders, book.legs, book.venue_seq)


def _waiting(
    book: Book, holds: Map[str, Hold], orders: Map[str, OrderSpec], legs: Map[str, ArmedLeg], venue_seq: int
) -> Book:
    """The book with other things waiting; `_replace` costs several times as much."""
    return Book(
        book.setup, book.ledger, book.positions, book.marks, book.values, holds, orders, legs, book.day, venue_seq
    )


def _released(book: Book, proposal_id: str) -> Map[str, Hold]:
    return book.holds.delete(proposal_id) if proposal_id in book.holds else book.holds


def _ended(book: Book, _envelope: Envelope, body: OrderRejected | OrderCancelled | OrderExpired) -> Book:
    """An entry that ended lets go of what is left of its hold; a leg that ended is disarmed."""
    client_order_id = body.client_order_id
    order = book.orders.get(client_order_id)
    legs = book.legs.delete(client_order_id) if client_order_id in book.legs else book.legs
    if order is None:
        return _waiting(book, book.holds, book.orders, legs, body.venue_seq)
    holds = _released(book, order.proposal_id)
    return _waiting(book, holds, book.orders.delete(client_order_id), legs, body.venue_seq)


def _blocked(book: Book, _envelope: Envelope, body: OrderBlocked) -> Book:
    order = book.orders.get(body.client_order_id)
    if order is None:
        return book
    holds = _released(book, order.proposal_id)
    return _waiting(book, holds, book.orders.delete(body.client_order_id), book.legs, book.venue_seq)


def _filled(book: Book, _envelope: Envelope, body: OrderFilled) -> Book:
    instrument, client_order_id = body.instrument, body.client_order_id
    held = book.positions.get(instrument, FLAT)
    quantity_atoms = atoms(body.quantity)
    after, postings = books.fill_entry(
        held,
        instrument=instrument,
        side=body.side,
        quantity_atoms=quantity_atoms,
        notional_micros=notional(body.price, body.quantity),
        fee_micros=body.fee_micros,
    )
    mark = book.marks.get(instrument, 0)
    orders, legs, holds = book.orders, book.legs, book.holds
    is_done = not body.remaining
    if body.leg == "entry":
        order = orders.get(client_order_id)
        if order is not None:
            legs = _armed(legs, order)
            holds = _shrunk(holds, order.proposal_id, quantity_atoms, atoms(body.remaining))
            orders = orders.delete(client_order_id) if is_done else orders
    elif is_done and client_order_id in legs:
        legs = legs.delete(client_order_id)
    return Book(
        book.setup,
        book.ledger.posted(postings),
        book.positions.set(instrument, after) if after.quantity_atoms else book.positions.delete(instrument),
        book.marks,
        book.values - _value(mark, held.quantity_atoms) + _value(mark, after.quantity_atoms),
        holds, orders, legs, book.day, body.venue_seq,
    )  # fmt: skip


def _armed(legs: Map[str, ArmedLeg], order: OrderSpec) -> Map[str, ArmedLeg]:
    side: Side = "sell" if order.side == "buy" else "buy"
    if order.stop_price is not None:
        legs = legs.set(leg_id(order.client_order_id, "stop"), ArmedLeg(order.instrument, side, 0))
    if order.target_price is not None:
        resting = ArmedLeg(order.instrument, side, atoms(order.target_price))
        legs = legs.set(leg_id(order.client_order_id, "target"), resting)
    return legs


def _shrunk(holds: Map[str, Hold], proposal_id: str, filled: int, left: int) -> Map[str, Hold]:
    """A hold shrinks with what has just been filled, rounded up; a done order holds nothing."""
    hold = holds.get(proposal_id)
    if hold is None:
        return holds
    if not left:
        return holds.delete(proposal_id)
    before = filled + left
    notional, risk = -(-hold.notional_micros * left // before), -(-hold.risk_micros * left // before)
    reduces = left if hold.reduces_atoms else 0
    return holds.set(proposal_id, Hold(hold.instrument, notional, risk, reduces, hold.side, hold.limit_atoms))


def _adjusted(book: Book, _envelope: Envelope, body: OrderAdjusted) -> Book:
    order, leg = book.orders.get(body.client_order_id), book.legs.get(body.client_order_id)
    if order is not None:
        order = msgspec.structs.replace(order, quantity=body.quantity, limit_price=body.limit_price)
        return book._replace(orders=book.orders.set(body.client_order_id, order), venue_seq=body.venue_seq)
    if leg is not None and leg.limit_atoms and body.limit_price is not None:
        leg = leg._replace(limit_atoms=atoms(body.limit_price))
        return book._replace(legs=book.legs.set(body.client_order_id, leg), venue_seq=body.venue_seq)
    return book._replace(venue_seq=body.venue_seq)


def _venue_event(book: Book, _envelope: Envelope, body: Any) -> Book:
    return _waiting(book, book.holds, book.orders, book.legs, body.venue_seq)


_FOLDS: dict[type, Callable[[Book, Envelope, Any], Book]] = {
    RunStarted: _started,
    Approved: _approved,
    Observed: _observed,
    CorporateActionObserved: _action,
    OrderIntended: _intended,
    OrderWithheld: _withheld,
    OrderBlocked: _blocked,
    OrderAccepted: _venue_event,
    OrderRejected: _ended,
    OrderCancelled: _ended,
    OrderExpired: _ended,
    OrderFilled: _filled,
    OrderAdjusted: _adjusted,
}

HEARD: tuple[type, ...] = tuple(_FOLDS)
"""The body types that change a book: whoever keeps one hears these."""


def fold(book: Book, envelope: Envelope) -> Book:
    """The book after one message; messages that do not concern it leave it as it is."""
    change = _FOLDS.get(type(envelope.body))
    return book if change is None else change(book, envelope, envelope.body)
