"""The accounts of a log, written again from what the messages say: fractions, whole histories, no code of the ledger.

Slow and plain on purpose. Amounts are exact fractions of the currency, quantities of units. Where the ledger must
round a cost (what a partial closing takes away), this one does not: `roundings` says by how many micros it may differ.
"""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction

from mutable_core.messages import (
    Approved,
    CorporateActionObserved,
    Envelope,
    Observed,
    OrderAccepted,
    OrderBlocked,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    OrderUnknown,
    OrderWithheld,
    ProposalMade,
    RunStarted,
)

WORKING = {"intended", "unknown", "accepted", "partly_filled"}
MICRO = Fraction(1, 10**6)
Key = tuple[str, str]


def cut(x: Fraction) -> int:
    return abs(x.numerator) // x.denominator * (1 if x >= 0 else -1)


def micros(x: Fraction) -> int:
    """Of a product of price and quantity: nearest, ties to even."""
    return round(x / MICRO)


def shared(total: int, exact: dict[str, Fraction]) -> dict[str, int]:
    """Whole numbers that sum to `total`: each cut towards zero, then one more to whoever lost most, ties by name."""
    parts = {name: cut(part) for name, part in exact.items()}
    while sum(parts.values()) != total:
        step = 1 if sum(parts.values()) < total else -1
        loser = max(sorted(exact), key=lambda name: step * (exact[name] - parts[name]))
        parts[loser] += step
    return parts


class PlainAccounts:
    """Money by strategy; `house` is whoever is not known."""

    def __init__(self) -> None:
        self.capital = 0
        self.units: dict[Key, Fraction] = defaultdict(Fraction)  # (strategy, instrument)
        self.cost: dict[Key, Fraction] = defaultdict(Fraction)
        self.spent: dict[str, int] = defaultdict(int)  # strategy → micros that left the account for it
        self.realised: dict[str, Fraction] = defaultdict(Fraction)
        self.dividends: dict[str, int] = defaultdict(int)
        self.fees: dict[str, int] = defaultdict(int)
        self.price: dict[str, Fraction] = {}
        self.lot: dict[str, Fraction] = {}
        self.roundings = 0
        self.owner: dict[str, str] = {}  # proposal → strategy
        self.order_owner: dict[str, str] = {}
        self.order_proposal: dict[str, str] = {}
        self.approved: dict[str, int] = {}
        self.held: dict[str, Fraction] = {}  # proposal → what its order may still cost, exact
        self.status: dict[str, str] = {}  # client order id → how its entry is
        self.left: dict[str, Fraction] = {}
        self.armed: set[str] = set()
        self.legs: dict[str, tuple[str, ...]] = {}
        self.source = ""

    # -- questions ----------------------------------------------------------------------------------------------------

    def cash_micros(self) -> int:
        return self.capital - sum(self.spent.values())

    def quantities(self) -> dict[str, Fraction]:
        netted: dict[str, Fraction] = defaultdict(Fraction)
        for (_, name), units in self.units.items():
            netted[name] += units
        return {name: units for name, units in netted.items() if units}

    def value_micros(self, name: str, units: Fraction) -> int:
        worth = units * self.price.get(name, Fraction(0)) / MICRO
        return worth.numerator // worth.denominator

    def nav_micros(self) -> int:
        return self.cash_micros() + sum(self.value_micros(name, units) for name, units in self.quantities().items())

    def working(self) -> dict[str, str]:
        return {key: how for key, how in self.status.items() if how in WORKING}

    # -- the log ------------------------------------------------------------------------------------------------------

    def take(self, envelope: Envelope) -> None:
        body = envelope.body
        match body:
            case RunStarted():
                self.capital, self.source = body.cash_micros, body.source
                self.lot = {one.instrument: Fraction(one.lot_atoms, 10**8) for one in body.instruments}
            case Observed():
                if body.source == self.source:
                    self.price[body.instrument] = Fraction(body.market.last)
            case CorporateActionObserved():
                if body.instrument in self.price:
                    self._act(body)
            case ProposalMade(proposal=proposal):
                self.owner[proposal.proposal_id] = proposal.strategy
            case Approved():
                self.approved.setdefault(body.proposal_id, body.hold_micros)
                self.held.setdefault(body.proposal_id, Fraction(body.hold_micros))
            case OrderIntended(order=order):
                key = order.client_order_id
                self.order_owner[key] = self.owner.get(order.proposal_id, "house")
                self.order_proposal[key] = order.proposal_id
                self.status[key], self.left[key] = "intended", Fraction(order.quantity)
                prices = {"stop": order.stop_price, "target": order.target_price}
                self.legs[key] = tuple(f"{key}.{leg}" for leg, price in prices.items() if price is not None)
            case OrderWithheld():
                if body.client_order_id not in self.working():
                    self.held.pop(body.proposal_id, None)
            case OrderFilled():
                self._fill(body)
            case OrderRejected() | OrderCancelled() | OrderExpired() | OrderBlocked():
                self._end(body.client_order_id, type(body).__name__.removeprefix("Order").lower())
            case OrderAccepted():
                if self.status.get(body.client_order_id) in {"intended", "unknown"}:
                    self.status[body.client_order_id] = "accepted"
            case OrderUnknown():
                if self.status.get(body.client_order_id) == "intended":
                    self.status[body.client_order_id] = "unknown"
            case _:
                pass

    def _end(self, any_id: str, how: str) -> None:
        self.armed.discard(any_id)
        if any_id in self.working():
            self.status[any_id] = how
            self.held.pop(self.order_proposal[any_id], None)

    def _fill(self, body: OrderFilled) -> None:
        entry = body.client_order_id.split(".")[0]
        who = self.order_owner.get(entry, "house")
        sign = 1 if body.side == "buy" else -1
        units, paid = sign * Fraction(body.quantity), sign * micros(Fraction(body.price) * Fraction(body.quantity))
        self.spent[who] += paid + body.fee_micros
        self.fees[who] += body.fee_micros
        self._trade((who, body.instrument), units, Fraction(paid))
        if body.leg == "entry" and entry in self.working():
            self.armed |= set(self.legs[entry])
            self.status[entry] = "partly_filled"
            proposal, left = self.order_proposal[entry], Fraction(body.remaining)
            if proposal in self.held:
                self.held[proposal] *= left / (left + Fraction(body.quantity))
        if not body.remaining:
            self._end(body.client_order_id, "filled")

    def _trade(self, key: Key, units: Fraction, paid: Fraction) -> None:
        """Average cost: what is closed leaves at the average, the rest opens at the price paid."""
        before = self.units[key]
        closed = min(abs(units), abs(before)) if before * units < 0 else Fraction(0)
        if closed:
            cost_out, paid_closing = self.cost[key] * closed / abs(before), paid * closed / abs(units)
            self.realised[key[0]] -= paid_closing + cost_out
            self.cost[key] += (paid - paid_closing) - cost_out
            self.roundings += 2
        else:
            self.cost[key] += paid
        self.units[key] = before + units

    def _act(self, body: CorporateActionObserved) -> None:
        name, ratio, price = body.instrument, Fraction(body.numerator, body.denominator), self.price[body.instrument]
        self.price[name] = Fraction(cut(price / ratio * 10**8), 10**8)
        held = {who: units for (who, what), units in self.units.items() if what == name and units}
        if not held:
            return
        total = sum(held.values(), Fraction(0))
        cash = Fraction(body.cash_per_unit)
        if cash:
            parts = shared(micros(cash * total), {who: cash * units / MICRO for who, units in held.items()})
            for who, part in parts.items():
                self.dividends[who] += part
                self.spent[who] -= part
        if ratio == 1 and (total / self.lot[name]).denominator == 1:
            return
        grown = {who: units * ratio for who, units in held.items()}
        lots = cut(total * ratio / self.lot[name])
        whole = shared(lots, {who: units / self.lot[name] for who, units in grown.items()})
        rests = {who: (units - whole[who] * self.lot[name]) * price / ratio / MICRO for who, units in grown.items()}
        paid_out = shared(cut(sum(rests.values(), Fraction(0))), rests)
        for who, units in grown.items():
            self._round_lots((who, name), units, whole[who] * self.lot[name], paid_out[who])

    def _round_lots(self, key: Key, exact: Fraction, units: Fraction, cash: int) -> None:
        """A fraction that is paid out takes its part of the cost; one that is paid for adds what it costs."""
        cost = self.cost[key]
        after = cost * units / exact if abs(units) <= abs(exact) else cost - cash
        self.realised[key[0]] += cash - (cost - after)
        self.spent[key[0]] -= cash
        self.units[key], self.cost[key] = units, after
        self.roundings += 2 + cut(abs(cost) / (abs(exact) * 10**8))  # the ledger takes parts of whole atoms
