"""The log folded into the full ledger of its account: who moved what, when, because of which message.

It is written apart from `book.py` (which agents decide by) and agrees with it: cash, fees, quantities, holds and NAV
are the same to the micro and the atom. What differs is where a result stands. The book nets: one position per
instrument at one average cost. Here each strategy has its own position at its own average cost, so that two may hold
one instrument, even opposite ways: what the book books as realised when one strategy sells what another one bought is
here unrealised in both. Realised + unrealised over all sub-ledgers equals the book's exactly, because cash and values
are equal; with a single strategy every balance is.

Corporate actions befall the account's netted position, as a venue settles them. Whole lots, dividends and cash in lieu
are divided among the strategies in exact proportion, to the micro and the lot (`shares.py`); who is given a lot more
than its part pays for it as others are paid for less.

Holds have two phases: reserved at the approval, posted part by part with the fills, void at the end; an order whose
outcome is not known keeps its hold.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from mutable_core import ledger as books
from mutable_core.accounts.entries import HOUSE, Entry, SubPosting, What, check_balanced, funded, in_house
from mutable_core.accounts.shares import apportioned
from mutable_core.ledger import Position, Posting, position_account
from mutable_core.messages import (
    Approved,
    Bar,
    CorporateActionObserved,
    Envelope,
    Leg,
    Observed,
    OrderBlocked,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    OrderWithheld,
    ProposalMade,
    Refused,
    RunStarted,
    VenueStated,
    leg_id,
)
from mutable_core.money import atoms, notional

FLAT = Position(0, 0)
ATOMS2_PER_MICRO = 10_000_000_000  # (10⁸ price atoms × 10⁸ quantity atoms) per 10⁶ micros
ENDED_KEPT = 65_536
"""Orders of which nothing works and that are still known, so that a fill that comes late belongs to its strategy."""

Parts = tuple[SubPosting, ...]


class Ordered(msgspec.Struct, frozen=True, gc=False):
    """Whose order it is, and what of it works.

    Attributes:
        is_open: its entry has not ended.
        legs: ids of protective legs that are armed.
        arming: ids of those that its fills arm.
    """

    strategy: str
    proposal_id: str
    is_open: bool
    legs: frozenset[str] = frozenset()
    arming: frozenset[str] = frozenset()


class Reserve(msgspec.Struct, frozen=True, gc=False):
    """What is left of a hold."""

    strategy: str
    amount_micros: int


class AccountLedger:
    """The ledger of the one account of a journal. `take` each message in log order.

    Args:
        ended_kept: how many orders of which nothing works are still known for fills that come late, ≥ 1.

    Attributes:
        account, currency, source: of the genesis row; empty before it.
        seq, ts_ns: of the last message taken.
        balances: (strategy, ledger account) → micros.
        positions: (strategy, instrument) → what is held, never flat.
        marks: instrument → last price in atoms.
        holds: proposal id → what is left of its hold; 0 for a reduction.
        disagreement: where the venue first stated something else; empty while it agrees.
        statements: how many it made.
    """

    def __init__(self, *, ended_kept: int = ENDED_KEPT) -> None:
        self._ended_kept = ended_kept
        self.account = self.currency = self.source = ""
        self.seq = self.ts_ns = 0
        self.balances: dict[tuple[str, str], int] = {}
        self.positions: dict[tuple[str, str], Position] = {}
        self.marks: dict[str, int] = {}
        self.holds: dict[str, Reserve] = {}
        self.disagreement = ""
        self.statements = 0
        self._lots: dict[str, int] = {}
        self._strategies: dict[str, str] = {}  # of proposals that are not decided, or whose order is not intended
        self._orders: dict[str, Ordered] = {}
        self._ended: dict[str, Ordered] = {}
        self._entries: list[Entry] = []
        self._folds: dict[type, Callable[[Envelope, Any], None]] = {
            RunStarted: self._started,
            Observed: self._observed,
            CorporateActionObserved: self._action,
            ProposalMade: self._proposed,
            Refused: self._refused,
            Approved: self._approved,
            OrderIntended: self._intended,
            OrderWithheld: self._withheld,
            OrderBlocked: self._order_ended,
            OrderRejected: self._order_ended,
            OrderCancelled: self._order_ended,
            OrderExpired: self._order_ended,
            OrderFilled: self._filled,
            VenueStated: self._stated,
        }

    # -- questions ----------------------------------------------------------------------------------------------------

    def balance(self, ledger_account: str, strategy: str | None = None) -> int:
        """Micros; over all sub-ledgers unless one is named."""
        return sum(
            [
                amount
                for (owner, name), amount in self.balances.items()
                if name == ledger_account and strategy in (None, owner)
            ]
        )

    def trial_balance(self) -> int:
        """Sum over everything; zero or something is broken."""
        return sum(self.balances.values())

    def quantities(self) -> dict[str, int]:
        """Instrument → signed quantity of the account in atoms, netted over strategies; flat ones left out."""
        netted: dict[str, int] = {}
        for (_, instrument), held in self.positions.items():
            netted[instrument] = netted.get(instrument, 0) + held.quantity_atoms
        return {instrument: quantity for instrument, quantity in netted.items() if quantity}

    def strategies(self) -> list[str]:
        """Every sub-ledger that has ever had a posting, the house first."""
        return sorted({owner for owner, _ in self.balances}, key=lambda name: (name != HOUSE, name))

    def order(self, client_order_id: str) -> Ordered:
        """Whose order, or order's leg, this is; the house's where nobody here intended it."""
        entry = client_order_id.partition(".")[0]
        return self._orders.get(entry) or self._ended.get(entry) or _FOREIGN

    # -- fold ---------------------------------------------------------------------------------------------------------

    def take(self, envelope: Envelope) -> tuple[Entry, ...]:
        """Fold one message; the entries that follow from it.

        Raises:
            LedgerUnbalanced: debits and credits differ.
        """
        body = envelope.body
        self.seq, self.ts_ns = envelope.seq, envelope.ts_seen_ns
        fold = self._folds.get(type(body))
        if fold is None:
            return ()
        self._entries = []
        fold(envelope, body)
        return tuple(self._entries)

    def _post(self, envelope: Envelope, what: What, subject: str, postings: Parts) -> None:
        if not postings:
            return
        check_balanced(postings)
        for one in postings:
            key = (one.strategy, one.ledger_account)
            self.balances[key] = self.balances.get(key, 0) + one.amount_micros
        number = len(self._entries) + 1
        self._entries.append(
            Entry(
                self.account, envelope.seq, number, envelope.ts_seen_ns, envelope.trace_id, what, subject, postings
            )
        )  # fmt: skip

    def _started(self, envelope: Envelope, body: RunStarted) -> None:
        self.account, self.currency, self.source = body.account, body.currency, body.source
        self._lots = {one.instrument: one.lot_atoms for one in body.instruments}
        self._post(envelope, "capital", body.account, in_house(books.opening_entry(body.cash_micros)))

    def _observed(self, _envelope: Envelope, body: Observed) -> None:
        if body.source == self.source:  # a second source confirms prices; it values nothing
            market = body.market
            self.marks[body.instrument] = atoms(market.close if type(market) is Bar else market.last)

    # -- proposals, holds, orders -------------------------------------------------------------------------------------

    def _proposed(self, _envelope: Envelope, body: ProposalMade) -> None:
        self._strategies[body.proposal.proposal_id] = body.proposal.strategy

    def _refused(self, _envelope: Envelope, body: Refused) -> None:
        self._strategies.pop(body.proposal_id, None)

    def _approved(self, envelope: Envelope, body: Approved) -> None:
        if body.proposal_id in self.holds:
            return
        strategy = self._strategies.get(body.proposal_id, HOUSE)
        self.holds[body.proposal_id] = Reserve(strategy, body.hold_micros)
        self._move_hold(envelope, "reserved", body.proposal_id, strategy, body.hold_micros)

    def _move_hold(self, envelope: Envelope, what: What, proposal_id: str, strategy: str, change: int) -> None:
        if change:
            postings = (SubPosting(strategy, "held", change), SubPosting(strategy, "held_contra", -change))
            self._post(envelope, what, proposal_id, postings)

    def _void(self, envelope: Envelope, proposal_id: str) -> None:
        hold = self.holds.pop(proposal_id, None)
        if hold is not None:
            self._move_hold(envelope, "voided", proposal_id, hold.strategy, -hold.amount_micros)

    def _post_hold(self, envelope: Envelope, proposal_id: str, filled: int, left: int) -> None:
        """What was filled is no longer reserved; what is left is, rounded up."""
        hold = self.holds.get(proposal_id)
        if hold is None:
            return
        after = -(-hold.amount_micros * left // (filled + left))
        if left:
            self.holds[proposal_id] = Reserve(hold.strategy, after)
        else:
            del self.holds[proposal_id]
        self._move_hold(envelope, "posted", proposal_id, hold.strategy, after - hold.amount_micros)

    def _intended(self, _envelope: Envelope, body: OrderIntended) -> None:
        order = body.order
        strategy = self._strategies.pop(order.proposal_id, HOUSE)
        prices: tuple[tuple[Leg, Decimal | None], ...] = (("stop", order.stop_price), ("target", order.target_price))
        arming = frozenset(leg_id(order.client_order_id, leg) for leg, price in prices if price is not None)
        self._orders[order.client_order_id] = Ordered(strategy, order.proposal_id, is_open=True, arming=arming)

    def _withheld(self, envelope: Envelope, body: OrderWithheld) -> None:
        if body.client_order_id not in self._orders:  # a second use of an approval ends nothing of the first
            self._strategies.pop(body.proposal_id, None)
            self._void(envelope, body.proposal_id)

    def _order_ended(
        self, envelope: Envelope, body: OrderBlocked | OrderRejected | OrderCancelled | OrderExpired
    ) -> None:
        order = self._orders.get(body.client_order_id)
        if order is not None and order.is_open:
            self._void(envelope, order.proposal_id)
        self._end(body.client_order_id)

    def _end(self, any_id: str) -> None:
        """An entry or a leg works no longer. An order of which nothing works is kept apart for late fills."""
        entry = any_id.partition(".")[0]
        order = self._orders.get(entry)
        if order is None:
            return
        is_open = order.is_open and any_id != entry
        order = msgspec.structs.replace(order, is_open=is_open, legs=order.legs - {any_id})
        if order.is_open or order.legs:
            self._orders[entry] = order
            return
        del self._orders[entry]
        if len(self._ended) >= self._ended_kept:
            del self._ended[next(iter(self._ended))]
        self._ended[entry] = order

    # -- what moves positions and cash --------------------------------------------------------------------------------

    def _filled(self, envelope: Envelope, body: OrderFilled) -> None:
        order = self.order(body.client_order_id)
        strategy, instrument, quantity = order.strategy, body.instrument, atoms(body.quantity)
        after, postings = books.fill_entry(
            self.positions.get((strategy, instrument), FLAT),
            instrument=instrument,
            side=body.side,
            quantity_atoms=quantity,
            notional_micros=notional(body.price, body.quantity),
            fee_micros=body.fee_micros,
        )
        self._hold_position(strategy, instrument, after)
        signed = quantity if body.side == "buy" else -quantity
        parts = funded(strategy, postings, quantity_atoms=signed)
        self._post(envelope, "filled", body.client_order_id, parts)
        if body.leg == "entry" and order.is_open:
            armed = msgspec.structs.replace(order, legs=order.legs | order.arming)
            self._orders[body.client_order_id] = armed
            self._post_hold(envelope, order.proposal_id, quantity, atoms(body.remaining))
        if not body.remaining:
            self._end(body.client_order_id)

    def _hold_position(self, strategy: str, instrument: str, held: Position) -> None:
        if held.quantity_atoms:
            self.positions[strategy, instrument] = held
        else:
            self.positions.pop((strategy, instrument), None)

    def _action(self, envelope: Envelope, body: CorporateActionObserved) -> None:
        """Splits multiply quantities and divide the price; a fraction of a lot is paid out; dividends move cash."""
        instrument = body.instrument
        mark = self.marks.get(instrument)
        if mark is None:
            return
        self.marks[instrument] = mark * body.denominator // body.numerator
        held = {owner: one for (owner, name), one in sorted(self.positions.items()) if name == instrument}
        if held:
            if body.cash_per_unit:
                self._dividend(envelope, body, held)
            netted = sum(one.quantity_atoms for one in held.values())
            if body.numerator != body.denominator or netted % self._lots[instrument]:
                self._split(envelope, body, held, mark)

    def _dividend(self, envelope: Envelope, body: CorporateActionObserved, held: dict[str, Position]) -> None:
        netted = sum(one.quantity_atoms for one in held.values())
        total = notional(body.cash_per_unit, Decimal(netted).scaleb(-8))
        numerator, denominator = body.cash_per_unit.as_integer_ratio()
        shares = {owner: one.quantity_atoms * numerator for owner, one in held.items()}
        parts = apportioned(total, shares, denominator * 100)  # atoms × currency → micros
        for owner, cash in parts.items():
            if cash:
                self._post(envelope, "dividend", body.instrument, funded(owner, books.cash_entry("dividends", cash)))

    def _split(self, envelope: Envelope, body: CorporateActionObserved, held: dict[str, Position], mark: int) -> None:
        n, d, lot = body.numerator, body.denominator, self._lots[body.instrument]
        netted = sum(one.quantity_atoms for one in held.values())
        sign = 1 if netted >= 0 else -1
        lots = sign * (abs(netted) * n // (d * lot))
        whole = apportioned(lots, {owner: one.quantity_atoms * n for owner, one in held.items()}, d * lot)
        # The fraction's part of the value before the action: each one's, and the account's, nearest micro to zero.
        fractions = {owner: (one.quantity_atoms * n - whole[owner] * lot * d) * mark for owner, one in held.items()}
        worth = n * ATOMS2_PER_MICRO
        total = sign * (sign * (netted * n - lots * lot * d) * mark // worth)
        cash = apportioned(total, fractions, worth)
        for owner, before in held.items():
            self._split_one(envelope, body, owner, before, quantity_atoms=whole[owner] * lot, cash_micros=cash[owner])

    def _split_one(
        self,
        envelope: Envelope,
        body: CorporateActionObserved,
        owner: str,
        before: Position,
        *,
        quantity_atoms: int,
        cash_micros: int,
    ) -> None:
        instrument = body.instrument
        sign = 1 if before.quantity_atoms > 0 else -1
        scaled = sign * (abs(before.quantity_atoms) * body.numerator // body.denominator)
        split = Position(scaled, before.cost_micros)
        postings: tuple[Posting, ...]
        grown = scaled - before.quantity_atoms
        self._post(envelope, "split", instrument, _units(owner, instrument, grown))
        if abs(quantity_atoms) > abs(scaled):  # given the lot that others' fractions left: it pays for what it lacked
            after = Position(quantity_atoms, before.cost_micros - cash_micros)
            postings = books.cash_entry(position_account(instrument), cash_micros)
        else:
            after, postings = books.write_down(
                split, instrument=instrument, quantity_atoms=quantity_atoms, cash_micros=cash_micros
            )
        self._hold_position(owner, instrument, after)
        parts = funded(owner, postings, quantity_atoms=quantity_atoms - scaled)
        self._post(envelope, "cash_in_lieu", instrument, parts)

    # -- what the venue says ------------------------------------------------------------------------------------------

    def _stated(self, envelope: Envelope, body: VenueStated) -> None:
        self.statements += 1
        stated = {line.instrument: line.quantity_atoms for line in body.positions}
        cash = self.balance("cash")
        if not self.disagreement and (stated != self.quantities() or body.cash_micros != cash):
            self.disagreement = (
                f"row {envelope.seq}: the venue states {body.cash_micros} micros and {stated}, "
                f"the ledger holds {cash} and {self.quantities()}"
            )


_FOREIGN = Ordered(HOUSE, "", is_open=False)


def _units(owner: str, instrument: str, change: int) -> Parts:
    return (SubPosting(owner, position_account(instrument), 0, change),) if change else ()
