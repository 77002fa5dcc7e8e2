"""The account, written again as simply as it can be: dicts, integers and fractions. Shares no code with the book.

Slow and plain on purpose: every number is computed from the whole history that it depends on, not kept up to date.
"""

from __future__ import annotations

from fractions import Fraction

from mutable_core.messages import (
    Approved,
    CorporateActionObserved,
    Envelope,
    Observed,
    OrderAccepted,
    OrderAdjusted,
    OrderBlocked,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    OrderWithheld,
    RunStarted,
)

DAY = 24 * 3600 * 10**9


def half_even(x: Fraction) -> int:
    return round(x)  # of a Fraction: to the nearest, ties to even


def floor(x: Fraction) -> int:
    return x.numerator // x.denominator


def ceil(x: Fraction) -> int:
    return -floor(-x)


class ReferenceAccount:
    """Everything in units of currency or of the instrument, exact; `*_micros` and `*_atoms` only when asked."""

    def __init__(self) -> None:
        self.cash = Fraction(0)
        self.units: dict[str, Fraction] = {}
        self.price: dict[str, Fraction] = {}
        self.lot: dict[str, Fraction] = {}
        self.approved: dict[str, tuple[str, int, int]] = {}  # proposal → instrument, notional, risk
        self.orders: dict[str, dict] = {}
        self.legs: dict[str, str] = {}
        self.day: int | None = None
        self.day_start = 0
        self.day_opened = 0
        self.venue_seq = 0

    # -- questions ----------------------------------------------------------------------------------------------------

    def cash_micros(self) -> int:
        assert (self.cash * 10**6).denominator == 1
        return int(self.cash * 10**6)

    def positions(self) -> dict[str, int]:
        return {name: int(units * 10**8) for name, units in self.units.items() if units}

    def value_micros(self, name: str) -> int:
        return floor(self.units.get(name, Fraction(0)) * self.price.get(name, Fraction(0)) * 10**6)

    def equity_micros(self) -> int:
        return self.cash_micros() + sum(self.value_micros(name) for name in self.units)

    def open_orders(self) -> tuple[str, ...]:
        return tuple(sorted([*self.orders, *self.legs]))

    def least_holds(self) -> dict[str, tuple[int, int]]:
        """What each approval must at least reserve: notional and risk of what it may still fill, rounded up."""
        holds = {}
        for proposal, (_, notional, risk) in self.approved.items():
            part = self.unfilled_part(proposal)
            holds[proposal] = (ceil(notional * part), ceil(risk * part))
        return holds

    def unfilled_part(self, proposal: str) -> Fraction:
        for order in self.orders.values():
            if order["proposal"] == proposal:
                return order["part"]
        return Fraction(1)

    # -- fold ---------------------------------------------------------------------------------------------------------

    def take(self, envelope: Envelope) -> None:
        body = envelope.body
        if hasattr(body, "venue_seq"):
            self.venue_seq = body.venue_seq
        match body:
            case RunStarted():
                self.cash = Fraction(body.cash_micros, 10**6)
                self.lot = {one.instrument: Fraction(one.lot_atoms, 10**8) for one in body.instruments}
            case Observed():
                if self.day != envelope.ts_seen_ns // DAY:
                    self.day, self.day_start = envelope.ts_seen_ns // DAY, self.equity_micros()
                    self.day_opened = 0
                self.price[body.instrument] = Fraction(body.market.last)
            case CorporateActionObserved():
                self._act(body)
            case Approved():
                self.approved[body.proposal_id] = (body.instrument, body.hold_micros, body.hold_risk_micros)
                self.day_opened += body.hold_micros
            case OrderIntended(order=order):
                self.orders[order.client_order_id] = {
                    "proposal": order.proposal_id,
                    "instrument": order.instrument,
                    "units": Fraction(order.quantity),
                    "part": Fraction(1),
                    "legs": [name for name in ("stop", "target") if getattr(order, f"{name}_price") is not None],
                }
            case OrderWithheld():
                self.approved.pop(body.proposal_id, None)
            case OrderFilled():
                self._fill(body)
            case OrderAdjusted():
                if body.client_order_id in self.orders:
                    self.orders[body.client_order_id]["units"] = Fraction(body.quantity)
            case OrderCancelled() | OrderExpired() | OrderRejected() | OrderBlocked():
                self._end(body.client_order_id)
            case OrderAccepted():
                pass

    def _act(self, body: CorporateActionObserved) -> None:
        name = body.instrument
        if name not in self.price:
            return
        ratio, price, held = Fraction(body.numerator, body.denominator), self.price[name], self.units.get(name, 0)
        sign, size = (1 if held > 0 else -1), abs(Fraction(held))
        self.cash += sign * Fraction(half_even(Fraction(body.cash_per_unit) * size * 10**6), 10**6)
        lots = floor(size * ratio / self.lot[name])
        fraction = size * ratio - lots * self.lot[name]
        self.cash += sign * Fraction(floor(fraction * price / ratio * 10**6), 10**6)
        self.units[name] = sign * lots * self.lot[name]
        self.price[name] = Fraction(floor(price / ratio * 10**8), 10**8)

    def _fill(self, body: OrderFilled) -> None:
        sign = 1 if body.side == "buy" else -1
        units, price = Fraction(body.quantity), Fraction(body.price)
        self.units[body.instrument] = self.units.get(body.instrument, Fraction(0)) + sign * units
        self.cash -= Fraction(sign * half_even(units * price * 10**6) + body.fee_micros, 10**6)
        left = Fraction(body.remaining)
        if body.leg != "entry":
            if not left:
                self._end(body.client_order_id)
            return
        order = self.orders.get(body.client_order_id)
        if order is None:
            return
        self.legs |= {f"{body.client_order_id}.{leg}": body.instrument for leg in order["legs"]}
        order["part"] *= left / order["units"]  # of what it was approved for: what is left of what was left
        order["units"] = left
        if not left:
            self._end(body.client_order_id)

    def _end(self, any_id: str) -> None:
        order = self.orders.pop(any_id, None)
        if order is not None:
            self.approved.pop(order["proposal"], None)
        self.legs.pop(any_id, None)
