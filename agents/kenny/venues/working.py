"""What stands at the paper venue: working orders, armed brackets, and one desk per instrument."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from agents.kenny.venues.matching import VIEWS, QuoteView, View, atoms_of, scaled_price, scaled_quantity
from mutable_core.messages import Leg, Observed, OrderType


class Bracket(msgspec.Struct, eq=False):
    """The protection of what an entry has filled; both legs share its open quantity.

    Attributes:
        sign: of the entry; the legs trade the other way.
        stop, target: prices; None where there is no such leg, or no longer.
        open: filled and not yet closed, atoms; armed once it has been above 0.
        grown_row: the row in which the entry last filled; the target cannot fill in the same.
    """

    entry_id: str
    sign: int
    stop: int | None
    target: int | None
    open: int = 0
    grown_row: int = 0
    is_armed: bool = False

    @property
    def legs(self) -> list[tuple[Leg, int]]:
        """The legs that are left, with their prices."""
        left: list[tuple[Leg, int]] = []
        if self.stop is not None:
            left.append(("stop", self.stop))
        if self.target is not None:
            left.append(("target", self.target))
        return left

    def drop(self, leg: Leg) -> None:
        if leg == "stop":
            self.stop = None
        else:
            self.target = None

    def adjust(self, numerator: int, denominator: int, *, tick: int, lot: int) -> None:
        """Units become numerator/denominator units. The stop moves away from the market, the target too."""
        self.open = scaled_quantity(self.open, numerator, denominator, lot=lot)
        is_long = self.sign > 0
        if self.stop is not None:
            self.stop = scaled_price(self.stop, numerator, denominator, tick=tick, up=not is_long)
        if self.target is not None:
            self.target = scaled_price(self.target, numerator, denominator, tick=tick, up=is_long)


class Working(msgspec.Struct, eq=False):
    """An order whose entry has not ended.

    Attributes:
        price: the limit, or a stop's trigger; 0 for a market order.
        left: still to fill, atoms.
        is_taker: a limit that was marketable at the last print when it was placed.
    """

    id: str
    kind: OrderType
    sign: int
    price: int
    left: int
    is_gtc: bool
    reduces: bool
    placed_ns: int
    is_taker: bool
    bracket: Bracket | None

    def adjust(self, numerator: int, denominator: int, *, tick: int, lot: int) -> None:
        """A limit moves to the side that fills less, so that the approved worst price is never exceeded."""
        self.left = scaled_quantity(self.left, numerator, denominator, lot=lot)
        if self.price:
            up = (self.sign > 0) == (self.kind == "stop")
            self.price = scaled_price(self.price, numerator, denominator, tick=tick, up=up)


@dataclass(slots=True, eq=False)
class Desk:
    """All that stands in one instrument.

    Attributes:
        position: atoms, signed.
        orders: working entries and reductions by id, in the order of their placement.
        brackets: armed, oldest first.
        seen: the last row shown; None before the first.
        adjusted_last: last price in atoms where a split came after `seen`; nothing trades until the next row then.
    """

    name: str
    tick: int
    lot: int
    slippage_bps: int
    position: int = 0
    orders: dict[str, Working] = field(default_factory=dict)
    brackets: list[Bracket] = field(default_factory=list)
    seen: Observed | None = None
    adjusted_last: int | None = None
    _view: View | None = None

    def see(self, observed: Observed) -> None:
        self.seen = observed
        self._view = self.adjusted_last = None

    @property
    def view(self) -> View | None:
        """The last row as the matching rules see it; made when it is first needed."""
        if self._view is None and self.seen is not None:
            market = self.seen.market
            self._view = VIEWS[type(market)](market, self.tick, self.lot, self.slippage_bps)
        return self._view

    @property
    def taken(self) -> list[int]:
        """What our orders took of the quote that stands, by `QuoteView.taken`; empty where nothing was looked at."""
        return self._view.taken if isinstance(self._view, QuoteView) else []

    def take(self, taken: list[int]) -> None:
        """The quote that stands has been taken from already."""
        if taken:
            assert isinstance(self.view, QuoteView)
            self.view.taken = taken

    def last_price(self) -> int:
        """Atoms; a row must have been shown."""
        if self.adjusted_last is not None:
            return self.adjusted_last
        assert self.seen is not None
        return atoms_of(self.seen.market.last)

    def reducible(self, sign: int) -> int:
        """How much an order of this sign can close."""
        return max(0, -self.position * sign)
