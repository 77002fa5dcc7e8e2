"""The paper exchange: a deterministic machine from commands and market rows to numbered events. No clock, no I/O.

Rules it keeps, wherever several things could happen in one row:

1. Protective stops of what was held before the row go first, then entries and reductions in the order in which they
   were placed, targets last.
2. An entry's own stop is checked in the row that fills it, its target only in later rows. A stop and a target that
   one row reaches both: the stop.
3. Legs never cover more than the position: where a fill leaves less, the oldest brackets shrink first, and one that
   has nothing left is withdrawn (`position_closed`).
4. A leg that has ended never comes back. When a bracket has closed, or one of its legs is withdrawn, the rest of its
   entry ends too: nothing fills later without its protection.
5. A reduction never trades more than the position; once there is none its rest expires at once.
6. `next_bar` expires after the first bar that was shown since; on ticks, before the first row that is a minute or
   more younger than the order. `gtc` works until it is filled or withdrawn.
7. After a split nothing trades until the instrument's next row: the last one is in old units.
8. Where a kill switch has set a bar, nothing that opens is taken, or nothing at all; what it closes, only reduces.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from agents.kenny.venues.admission import SIGN, admitted
from agents.kenny.venues.kill_port import HALTED
from agents.kenny.venues.matching import (
    BarView,
    QuoteView,
    View,
    decimal_of,
    fee_micros,
    in_lieu_micros,
    notional_micros,
    scaled_quantity,
)
from agents.kenny.venues.working import Bracket, Desk, Working
from mutable_core.clock import MINUTE_NS
from mutable_core.errors import MalformedMessage
from mutable_core.messages import (
    KILL_PREFIX,
    CorporateActionObserved,
    Instrument,
    Leg,
    Observed,
    OrderAccepted,
    OrderAdjusted,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderSpec,
    PositionLine,
    VenueEvent,
    VenueStated,
    is_kill_order,
    leg_id,
)
from mutable_core.money import notional

CancelReason = Literal["by_us", "other_leg_filled", "position_closed", "kill_switch"]
_SIDES = {sign: side for side, sign in SIGN.items()}


class Exchange:
    """Cash, positions, what stands, and everything said so far.

    Attributes:
        cash_micros: may go negative; leverage is judged elsewhere.
        shown_row: the last row shown, 0 before the first.
        said: the events since `forget_said`, or all; before them came `said_before`.
        homes: where each working order stands.
        legs: armed ones by id.
        acted_rows: rows after the last one shown before which a corporate action came.
        bars: what a kill switch forbids: instrument, empty for all, → level.
    """

    def __init__(
        self, *, cash_micros: int, instruments: tuple[Instrument, ...], fee_bps: int, slippage_bps: int
    ) -> None:
        self.cash_micros = cash_micros
        self.desks = {i.instrument: Desk(i.instrument, i.tick_atoms, i.lot_atoms, slippage_bps) for i in instruments}
        self.shown_row = 0
        self.said: list[VenueEvent] = []
        self.said_before = 0
        self.homes: dict[str, Desk] = {}
        self.legs: dict[str, tuple[Desk, Bracket, Leg]] = {}
        self.acted_rows: set[int] = set()
        self.bars: dict[str, int] = {}
        self._fee_bps = fee_bps

    @property
    def venue_seq(self) -> int:
        """Of the last event, 0 before the first."""
        return self.said_before + len(self.said)

    @property
    def last_row(self) -> int:
        """The last row shown, or before which an action came."""
        return max(self.shown_row, *self.acted_rows) if self.acted_rows else self.shown_row

    def forget_said(self, until: int) -> None:
        """Let go of the events up to `venue_seq` `until`: they were heard, and can be read elsewhere."""
        count = min(until - self.said_before, len(self.said))
        if count > 0:
            del self.said[:count]
            self.said_before += count

    # -- commands ---------------------------------------------------------------------------------------------------

    def place(self, order: OrderSpec, ts_ns: int) -> str | None:
        """Take or reject an order; the same one must not come twice. Returns why it was rejected."""
        desk = self.desks.get(order.instrument)
        working = "halted" if self.bars and self._is_barred(order) else admitted(order, desk, ts_ns)
        if desk is None or isinstance(working, str):
            reason = working if isinstance(working, str) else "unknown_instrument"
            self.reject(order.client_order_id, reason)
            return reason
        self._take(desk, working)
        return None

    def _take(self, desk: Desk, working: Working) -> None:
        desk.orders[working.id] = working
        self.homes[working.id] = desk
        self.said.append(OrderAccepted(self.venue_seq + 1, working.id))
        view = desk.view
        if isinstance(view, QuoteView) and desk.adjusted_last is None:
            self._try_order(desk, working, view, is_taker=True)

    def reject(self, client_order_id: str, reason: str) -> None:
        self.said.append(OrderRejected(self.venue_seq + 1, client_order_id, reason))

    def cancel(self, client_order_id: str) -> None:
        """Withdraw what has this id; the same command must not come twice.

        Of an entry: the unfilled rest; the legs of what has filled stay. Of a leg: that leg, and the rest of its
        entry, which would otherwise fill without it.
        """
        home = self.homes.get(client_order_id)
        leg = self.legs.get(client_order_id)
        if home is not None:
            self._cancel_rest(home, client_order_id, "by_us")
        elif leg is not None:
            self._withdraw_leg(*leg)

    # -- the kill switch --------------------------------------------------------------------------------------------

    def bar(self, bars: Mapping[str, int]) -> None:
        """Replace what is forbidden."""
        self.bars = dict(bars)

    def _is_barred(self, order: OrderSpec) -> bool:
        level = max(self.bars.get("", 0), self.bars.get(order.instrument, 0))
        return level >= HALTED or (level > 0 and not order.reduces)

    def withdraw(self, instrument: str) -> tuple[str, ...]:
        """The unfilled rest of every entry in the instrument, empty for all, ends. Returns the ids."""
        found = [
            (desk, order.id)
            for desk in self._desks_of(instrument)
            for order in desk.orders.values()
            if not order.reduces
        ]
        for desk, key in found:
            self._cancel_rest(desk, key, "kill_switch")
        return tuple([key for _, key in found])

    def close_positions(self, instrument: str, latch: str) -> tuple[str, ...]:
        """An order at the market against each position, instead of the reductions that work. Returns the ids.

        It is built here, from the position, so that it cannot do anything but reduce. The same must not come twice.
        """
        placed = []
        for desk in self._desks_of(instrument):
            for key in [one.id for one in desk.orders.values() if one.reduces and not is_kill_order(one.id)]:
                self._cancel_rest(desk, key, "kill_switch")
            if desk.position and desk.seen is not None:
                sign = -1 if desk.position > 0 else 1
                key = closing_id(latch, list(self.desks).index(desk.name))
                self._take(desk, Working(key, "market", sign, 0, abs(desk.position), True, True, 0, False, None))
                placed.append(key)
        return tuple(placed)

    def _desks_of(self, instrument: str) -> list[Desk]:
        return [desk for desk in self.desks.values() if instrument in ("", desk.name)]

    def _withdraw_leg(self, desk: Desk, bracket: Bracket, leg: Leg) -> None:
        self._cancel_leg(bracket, leg, "by_us")
        if not bracket.legs:
            desk.brackets.remove(bracket)
        self._cancel_rest(desk, bracket.entry_id, "by_us")

    # -- market -----------------------------------------------------------------------------------------------------

    def note(self, observed: Observed) -> Desk | None:
        """A row becomes the instrument's last; nothing is matched. None where the instrument is not traded here."""
        self.shown_row = observed.row
        if self.acted_rows:
            self.acted_rows = {row for row in self.acted_rows if row > observed.row}
        desk = self.desks.get(observed.instrument)
        if desk is not None:
            desk.see(observed)
        return desk

    def match(self, desk: Desk, ts_ns: int) -> None:
        """Match what stands in the instrument against its last row."""
        view = desk.view
        assert view is not None
        for bracket in tuple(desk.brackets):
            self._try_stop(desk, bracket, view)
        is_bar = isinstance(view, BarView)
        for order in tuple(desk.orders.values()):
            if order.id not in desk.orders:
                continue  # ended while another was matched
            if not is_bar and not order.is_gtc and ts_ns - order.placed_ns >= MINUTE_NS:
                self._expire(desk, order.id)
                continue
            self._try_order(desk, order, view, is_taker=order.is_taker)
            if is_bar and not order.is_gtc and order.id in desk.orders:
                self._expire(desk, order.id)
        for bracket in tuple(desk.brackets):
            self._try_target(desk, bracket, view)

    def _try_order(self, desk: Desk, order: Working, view: View, *, is_taker: bool) -> None:
        want = min(order.left, desk.reducible(order.sign)) if order.reduces else order.left
        parts = view.offers(order.kind, order.sign, order.price, want, is_taker)
        if parts and order.kind == "stop":
            order.kind, order.price = "market", 0  # triggered: the rest trades at any price
        for price, quantity in parts:
            self._fill_entry(desk, order, price, quantity)
        if parts:
            self._settle(desk)
            if order.bracket is not None:
                self._try_stop(desk, order.bracket, view)

    def _try_stop(self, desk: Desk, bracket: Bracket, view: View) -> None:
        if bracket.stop is None or not bracket.open:
            return
        price = view.stop_price(-bracket.sign, bracket.stop)
        if price is not None:
            self._fill_leg(desk, bracket, "stop", price, bracket.open)

    def _try_target(self, desk: Desk, bracket: Bracket, view: View) -> None:
        if bracket.target is None or not bracket.open or bracket.grown_row == self.shown_row:
            return
        for price, quantity in view.offers("limit", -bracket.sign, bracket.target, bracket.open, False):
            self._fill_leg(desk, bracket, "target", price, quantity)

    # -- fills ------------------------------------------------------------------------------------------------------

    def _fill_entry(self, desk: Desk, order: Working, price: int, quantity: int) -> None:
        order.left -= quantity
        if not order.left:
            self._forget(desk, order.id)
        self._trade(desk, order.id, "entry", order.sign, price, quantity, order.left)
        if order.bracket is not None:
            self._grow(desk, order.bracket, quantity)

    def _grow(self, desk: Desk, bracket: Bracket, quantity: int) -> None:
        bracket.open += quantity
        bracket.grown_row = self.shown_row
        if bracket.is_armed:
            return
        bracket.is_armed = True
        desk.brackets.append(bracket)
        for leg, _ in bracket.legs:
            key = leg_id(bracket.entry_id, leg)
            self.legs[key] = (desk, bracket, leg)

    def _fill_leg(self, desk: Desk, bracket: Bracket, leg: Leg, price: int, quantity: int) -> None:
        bracket.open -= quantity
        key = leg_id(bracket.entry_id, leg)
        self._trade(desk, key, leg, -bracket.sign, price, quantity, bracket.open)
        if not bracket.open:
            bracket.drop(leg)
            del self.legs[key]
            self._close_bracket(desk, bracket, "other_leg_filled")
        self._settle(desk)

    def _trade(self, desk: Desk, key: str, leg: Leg, sign: int, price: int, quantity: int, left: int) -> None:
        """One fill: cash, position and what is said of it."""
        at, units = decimal_of(price), decimal_of(quantity)
        amount = notional_micros(price, quantity)
        fee = fee_micros(amount, bps=self._fee_bps)
        self.cash_micros -= sign * amount + fee
        desk.position += sign * quantity
        seq = self.venue_seq + 1
        side = _SIDES[sign]
        self.said.append(OrderFilled(seq, key, desk.name, leg, side, at, units, fee, decimal_of(left)))

    def _settle(self, desk: Desk) -> None:
        """After a fill: legs cover no more than the position, and a reduction needs one."""
        if desk.brackets:
            self._trim(desk)
        for order in tuple(desk.orders.values()) if desk.orders else ():
            if order.reduces and not desk.reducible(order.sign):
                self._expire(desk, order.id)

    def _trim(self, desk: Desk) -> None:
        position = desk.position
        excess = -abs(position)
        is_fine = True
        for bracket in desk.brackets:
            if bracket.sign * position <= 0:
                bracket.open = 0  # it protected a position that there is no more
            excess += bracket.open
            is_fine = is_fine and bracket.open > 0
        if is_fine and excess <= 0:
            return
        for bracket in tuple(desk.brackets):
            if excess > 0:
                cut = min(bracket.open, excess)
                bracket.open -= cut
                excess -= cut
            if not bracket.open:
                self._close_bracket(desk, bracket, "position_closed")

    # -- endings ----------------------------------------------------------------------------------------------------

    def _close_bracket(self, desk: Desk, bracket: Bracket, reason: CancelReason) -> None:
        """Nothing is left to protect: the legs end, and what the entry has not filled ends with them."""
        for leg, _ in bracket.legs:
            self._cancel_leg(bracket, leg, reason)
        if bracket in desk.brackets:
            desk.brackets.remove(bracket)
        self._cancel_rest(desk, bracket.entry_id, reason)

    def _cancel_leg(self, bracket: Bracket, leg: Leg, reason: CancelReason) -> None:
        key = leg_id(bracket.entry_id, leg)
        bracket.drop(leg)
        del self.legs[key]
        self.said.append(OrderCancelled(self.venue_seq + 1, key, reason))

    def _cancel_rest(self, desk: Desk, client_order_id: str, reason: CancelReason) -> None:
        if client_order_id in desk.orders:
            self._forget(desk, client_order_id)
            self.said.append(OrderCancelled(self.venue_seq + 1, client_order_id, reason))

    def _expire(self, desk: Desk, client_order_id: str) -> None:
        self._forget(desk, client_order_id)
        self.said.append(OrderExpired(self.venue_seq + 1, client_order_id))

    def _forget(self, desk: Desk, client_order_id: str) -> None:
        del desk.orders[client_order_id]
        del self.homes[client_order_id]

    # -- corporate actions ------------------------------------------------------------------------------------------

    def is_new_action(self, row: int) -> bool:
        """An action belongs before its row: once, and not after the row was shown."""
        return row > self.shown_row and row not in self.acted_rows

    def act(self, action: CorporateActionObserved, row: int) -> None:
        """Pay the dividend on what was held, then turn units into new ones; a fraction of a lot is paid out.

        Raises:
            MalformedMessage: the ratio is not positive.
        """
        numerator, denominator = action.numerator, action.denominator
        if numerator <= 0 or denominator <= 0:
            raise MalformedMessage(f"a corporate action had the ratio `{numerator}/{denominator}`", where=f"row {row}")
        self.acted_rows.add(row)
        desk = self.desks.get(action.instrument)
        if desk is None:
            return
        self.cash_micros += notional(action.cash_per_unit, decimal_of(desk.position))
        if numerator != denominator and desk.seen is not None:
            self._split(desk, numerator, denominator)

    def _split(self, desk: Desk, numerator: int, denominator: int) -> None:
        held, last = desk.position, desk.last_price()
        desk.position = scaled_quantity(held, numerator, denominator, lot=desk.lot)
        self.cash_micros += in_lieu_micros(held, desk.position, numerator, denominator, last_price=last)
        desk.adjusted_last = last * denominator // numerator
        self._adjust_brackets(desk, numerator, denominator, held)
        self._adjust_orders(desk, numerator, denominator)
        self._settle(desk)

    def _adjust_brackets(self, desk: Desk, numerator: int, denominator: int, held: int) -> None:
        """Rounding must not leave a lot unprotected: where the brackets covered all, the newest takes what is over."""
        covered_all = sum([b.sign * b.open for b in desk.brackets]) == held
        for bracket in desk.brackets:
            bracket.adjust(numerator, denominator, tick=desk.tick, lot=desk.lot)
        if desk.brackets and covered_all:
            newest = desk.brackets[-1]
            newest.open += abs(desk.position) - sum([b.open for b in desk.brackets])
        for bracket in desk.brackets:
            for leg, price in bracket.legs if bracket.open else ():
                self._say_adjusted(leg_id(bracket.entry_id, leg), bracket.open, **{_PRICE_OF[leg]: price})

    def _adjust_orders(self, desk: Desk, numerator: int, denominator: int) -> None:
        for order in tuple(desk.orders.values()):
            order.adjust(numerator, denominator, tick=desk.tick, lot=desk.lot)
            if order.bracket is not None and not order.bracket.is_armed:
                order.bracket.adjust(numerator, denominator, tick=desk.tick, lot=desk.lot)
            if not order.left:
                self._expire(desk, order.id)
                continue
            stop = order.bracket.stop if order.bracket else None
            self._say_adjusted(order.id, order.left, limit=order.price or None, stop=stop)

    def _say_adjusted(self, key: str, quantity: int, *, limit: int | None = None, stop: int | None = None) -> None:
        prices = [None if price is None else decimal_of(price) for price in (limit, stop)]
        self.said.append(OrderAdjusted(self.venue_seq + 1, key, decimal_of(quantity), *prices))

    # -- statement --------------------------------------------------------------------------------------------------

    def statement(self) -> VenueStated:
        held = sorted((desk.name, desk.position) for desk in self.desks.values() if desk.position)
        lines = tuple(PositionLine(name, position) for name, position in held)
        return VenueStated(self.venue_seq, self.cash_micros, lines, tuple(sorted([*self.homes, *self.legs])))


def closing_id(latch: str, number: int) -> str:
    """Of the order that closes the position in the instrument of this number; it has no dot, as legs have."""
    return f"{KILL_PREFIX}{latch}-{number}"


_PRICE_OF: dict[Leg, Literal["limit", "stop"]] = {"stop": "stop", "target": "limit"}
