"""At which price and for how much an order trades: pure rules over integers, pessimistic wherever they must choose.

Prices and quantities are atoms (10⁻⁸), money is micros, a `sign` is +1 for a buyer and −1 for a seller. A *view* is
one row of market as these rules see it; the three views answer the same two questions:

* `offers(kind, sign, price, want, is_taker)`: the parts, as (price, quantity), that an order trades in this row;
* `stop_price(sign, trigger)`: where a protective stop gets out in this row, None where it is not reached. What a
  stop trades is not limited by volume: one always gets out, at the bad price.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, TypeAlias

from mutable_core.messages import Bar, OrderType, Quote, Trade
from mutable_core.money import ATOMS_PER_UNIT, atoms, notional

SHARE_DIVISOR = 10
"""An order trades at most a tenth of what a bar or a print traded."""
WALK_LEVELS = 10
"""How many multiples of the shown size orders may take from one quote; what is left waits for the next."""
_BPS = 10_000
_ATOM = Decimal(ATOMS_PER_UNIT)
_DECIMAL_EXACT = 10**28  # products below have at most the 28 digits that the decimal context keeps
_ATOMS2_PER_MICRO = ATOMS_PER_UNIT * ATOMS_PER_UNIT // 1_000_000

Part: TypeAlias = tuple[int, int]
"""Price and quantity."""


def atoms_of(amount: Decimal) -> int:
    """`mutable_core.money.atoms`; a whole number of atoms, which is the rule, takes the short way."""
    exact = amount * _ATOM
    whole = int(exact)
    return whole if whole == exact else atoms(amount)


def notional_micros(price: int, quantity: int) -> int:
    """`mutable_core.money.notional` of atoms; what decimal arithmetic would have rounded before goes its way."""
    product = price * quantity
    if product >= _DECIMAL_EXACT:
        return notional(decimal_of(price), decimal_of(quantity))
    whole, rest = divmod(product, _ATOMS2_PER_MICRO)
    if rest * 2 < _ATOMS2_PER_MICRO:
        return whole
    return whole + 1 if rest * 2 > _ATOMS2_PER_MICRO else whole + (whole & 1)


@lru_cache(maxsize=4096)
def decimal_of(amount_atoms: int) -> Decimal:
    """Atoms as a decimal in canonical spelling; exact."""
    if amount_atoms % ATOMS_PER_UNIT == 0:
        return Decimal(amount_atoms // ATOMS_PER_UNIT)
    return Decimal(amount_atoms).scaleb(-8).normalize()


def slipped(price: int, sign: int, *, bps: int, tick: int) -> int:
    """`price` moved `bps` against us and rounded against us to the tick; never below one tick."""
    if sign > 0:
        return -(-price * (_BPS + bps) // (_BPS * tick)) * tick
    return max(price * (_BPS - bps) // (_BPS * tick) * tick, tick)


def fee_micros(notional_micros: int, *, bps: int) -> int:
    """Of the absolute notional, rounded up to a micro."""
    return -(-abs(notional_micros) * bps // _BPS)


def is_reached(sign: int, limit: int, price: int) -> bool:
    """Whether a buyer (seller) with `limit` may trade at `price`: at most (at least) the limit."""
    return (limit - price) * sign >= 0


class BarView:
    """A bar: an order trades once in it, at one price.

    * limit: reached by the low (a seller: the high); at the limit, or at the open where the bar opened beyond it in
      our favour: never better than the open.
    * market: the open, with slippage.
    * stop: reached by the high (a seller: the low); at the stop, or at the open where the bar gapped through it; with
      slippage.
    * Where nothing traded (volume 0), nothing fills, and no stop is reached: there was nobody to trade with.
    """

    __slots__ = ("bps", "cap", "high", "is_open", "low", "open", "tick")

    def __init__(self, bar: Bar, tick: int, lot: int, bps: int) -> None:
        self.open, self.high, self.low = atoms_of(bar.open), atoms_of(bar.high), atoms_of(bar.low)
        volume = atoms_of(bar.volume)
        self.is_open = volume > 0
        self.cap = volume // SHARE_DIVISOR // lot * lot
        self.tick, self.bps = tick, bps

    def offers(self, kind: OrderType, sign: int, price: int, want: int, _is_taker: bool) -> Sequence[Part]:
        at = self._price(kind, sign, price)
        return ((at, min(want, self.cap)),) if at is not None and self.cap else ()

    def stop_price(self, sign: int, trigger: int) -> int | None:
        return self._price("stop", sign, trigger) if self.is_open else None

    def _price(self, kind: OrderType, sign: int, price: int) -> int | None:
        if kind == "limit":
            best = self.low if sign > 0 else self.high
            if not is_reached(sign, price, best):
                return None
            return self.open if is_reached(sign, price, self.open) else price
        if kind == "stop":
            furthest = self.high if sign > 0 else self.low
            if not is_reached(-sign, price, furthest):
                return None
            price = self.open if is_reached(-sign, price, self.open) else price
        else:
            price = self.open
        return slipped(price, sign, bps=self.bps, tick=self.tick)


class QuoteView:
    """A quote: what it shows can be taken once, by all orders together, until the next quote of the instrument.

    * market: buys at the ask and sells at the bid; beyond the shown size, each further multiple of it is one tick
      and one more slippage worse, up to `WALK_LEVELS` of them.
    * limit: as market up to the limit when it is placed (a taker); once it rests, at its own limit (never better)
      when the other side comes to it, and only against the shown size.
    * stop: reached when the side that it trades with is; trades from that price with slippage.
    """

    __slots__ = ("ask", "bid", "bps", "lot", "quote", "taken", "tick")

    def __init__(self, quote: Quote, tick: int, lot: int, bps: int) -> None:
        self.bid, self.ask = atoms_of(quote.bid), atoms_of(quote.ask)
        self.taken = [0, 0, 0]  # by sign: 1 is what buyers took, −1 (the last) what sellers took
        self.quote, self.tick, self.lot, self.bps = quote, tick, lot, bps

    def offers(self, kind: OrderType, sign: int, price: int, want: int, is_taker: bool) -> Sequence[Part]:
        touch = self.ask if sign > 0 else self.bid
        worst = price if kind == "limit" else None
        if worst is not None and (worst - touch) * sign < 0:
            return ()
        if kind == "stop":
            start = self.stop_price(sign, price)
            if start is None:
                return ()
            touch = start
        shown = self.quote.ask_size if sign > 0 else self.quote.bid_size
        size = atoms_of(shown) // self.lot * self.lot
        taken = self.taken[sign]
        if kind == "limit" and not is_taker:
            touch, want = price, min(want, size - taken)
        if want > 0 and want + taken <= size:  # the shown size is enough
            self.taken[sign] += want
            return ((touch, want),)
        return self._walk(sign, touch, size, want, worst)

    def stop_price(self, sign: int, trigger: int) -> int | None:
        touch = self.ask if sign > 0 else self.bid
        return slipped(touch, sign, bps=self.bps, tick=self.tick) if is_reached(-sign, trigger, touch) else None

    def _walk(self, sign: int, touch: int, size: int, want: int, worst: int | None) -> list[Part]:
        parts: list[Part] = []
        taken = self.taken[sign]
        while want > 0 and taken < size * WALK_LEVELS:
            level = taken // size
            price = self._level_price(sign, touch, level)
            if worst is not None and not is_reached(sign, worst, price):
                break
            part = min(want, (level + 1) * size - taken)
            parts.append((price, part))
            want -= part
            taken += part
        self.taken[sign] = taken
        return parts

    def _level_price(self, sign: int, touch: int, level: int) -> int:
        if not level:
            return touch
        return max(slipped(touch, sign, bps=level * self.bps, tick=self.tick) + sign * level * self.tick, self.tick)


class TradeView:
    """A print of somebody else's trade: we may have had a tenth of it.

    * market, and a limit that was marketable at the last print when it was placed (a taker): at the print, with
      slippage, within the limit.
    * limit at rest: only when a print is strictly better than the limit (we are last in the queue), at the limit.
    * stop: when a print is at or through it; at the print with slippage.
    """

    __slots__ = ("bps", "cap", "price", "tick")

    def __init__(self, trade: Trade, tick: int, lot: int, bps: int) -> None:
        self.price = atoms_of(trade.price)
        self.cap = atoms_of(trade.size) // SHARE_DIVISOR // lot * lot
        self.tick, self.bps = tick, bps

    def offers(self, kind: OrderType, sign: int, price: int, want: int, is_taker: bool) -> Sequence[Part]:
        at = self._price(kind, sign, price, is_taker)
        return ((at, min(want, self.cap)),) if at is not None and self.cap else ()

    def stop_price(self, sign: int, trigger: int) -> int | None:
        return self._slipped(sign) if is_reached(-sign, trigger, self.price) else None

    def _price(self, kind: OrderType, sign: int, price: int, is_taker: bool) -> int | None:
        if kind == "market":
            return self._slipped(sign)
        if kind == "stop":
            return self.stop_price(sign, price)
        if is_taker:
            at = self._slipped(sign)
            return at if is_reached(sign, price, at) else None
        return price if (price - self.price) * sign > 0 else None

    def _slipped(self, sign: int) -> int:
        return slipped(self.price, sign, bps=self.bps, tick=self.tick)


View: TypeAlias = BarView | QuoteView | TradeView


VIEWS: Final[dict[type, Callable[[Any, int, int, int], View]]] = {Quote: QuoteView, Bar: BarView, Trade: TradeView}
"""By type of row; called with the row, tick and lot in atoms, and bps of slippage."""


# -- corporate actions: every unit becomes numerator/denominator units ---------------------------------------------


def scaled_quantity(quantity: int, numerator: int, denominator: int, *, lot: int) -> int:
    """Towards zero to the lot."""
    whole = abs(quantity) * numerator // (denominator * lot) * lot
    return whole if quantity >= 0 else -whole


def scaled_price(price: int, numerator: int, denominator: int, *, tick: int, up: bool) -> int:
    """To the tick, rounded up or down; never below one tick."""
    over, under = price * denominator, numerator * tick
    return max(-(-over // under) if up else over // under, 1) * tick


def in_lieu_micros(quantity: int, whole: int, numerator: int, denominator: int, *, last_price: int) -> int:
    """Cash for the fraction of a lot that `quantity` units leave over once they have become `whole` new ones.

    Its share of the value before the action at the last price before it, towards zero to a micro, signed as the
    position: a short pays. `mutable_core.book` computes the same from its own mark.
    """
    fraction = abs(quantity) * numerator - abs(whole) * denominator
    amount = last_price * fraction // (numerator * _ATOMS2_PER_MICRO)
    return amount if quantity >= 0 else -amount
