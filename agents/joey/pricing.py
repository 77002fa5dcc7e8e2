"""From a signal's estimates to three exact prices on tick: limit, stop and target, in atoms (10⁻⁸).

Rules that this module keeps, in integers, for every bracket that it returns:

* 0 < stop < limit < target for a buy, 0 < target < limit < stop for a sell, all on tick;
* the stop is between one tick and a quarter of the limit price away from it;
* 10 × (target − limit) ≥ 15 × (limit − stop), signed by side: the reward is at least 1.5 times the risk, measured
  from the limit price, the worst that may be paid.

What cannot be priced so is `None`; it is never bent until it fits.
"""

from __future__ import annotations

from decimal import Decimal
from math import isfinite

import msgspec

from agents.joey.signals import AtDistance, AtReward, Entry
from graveyard.words import Side
from mutable_core.money import ATOMS_PER_UNIT, atoms

LIMIT_BPS = 25
"""How far beyond the last price the limit stands, so that it trades at once in an ordinary market."""
STOP_MAX_PARTS = 4
"""The stop is at most one part of so many of the limit price away."""
REWARD_MIN_TENTHS = 15


class Bracket(msgspec.Struct, frozen=True, gc=False):
    """Prices in atoms."""

    limit: int
    stop: int
    target: int

    @property
    def risk(self) -> int:
        """Distance from limit to stop, > 0."""
        return abs(self.limit - self.stop)

    def worst(self, side: Side) -> int:
        """The price that exposure is counted at: a buy's limit, a sell's stop."""
        return self.limit if side == "buy" else self.stop


def marketable_limit(side: Side, last: int, tick: int) -> int | None:
    """25 bps beyond the last price, rounded away from it to the tick; None where no positive tick is marketable."""
    if side == "buy":
        return -(-last * (10_000 + LIMIT_BPS) // (10_000 * tick)) * tick or None
    limit = last * (10_000 - LIMIT_BPS) // (10_000 * tick) * tick or tick  # one tick is the lowest price there is
    return limit if limit <= last else None


def bracket(entry: Entry, last_price: Decimal, tick: int) -> Bracket | None:
    """The three prices of an entry. Distances count from the last price; rounding goes away from it.

    A stop that was counted from the limit would stand above the market wherever the limit's 25 bps are more than
    the strategy's distance; counted from the last price it never does.
    """
    last = atoms(last_price)
    limit = marketable_limit(entry.side, last, tick)
    if limit is None or not _is_distance(entry.stop_distance):
        return None
    sign = 1 if entry.side == "buy" else -1
    stop = _tick_below(last - sign * _atoms_of(entry.stop_distance), sign, tick)
    risk = sign * (limit - stop)
    if stop <= 0 or risk < tick or STOP_MAX_PARTS * risk > limit:
        return None
    target = _target(entry.target, last, sign, limit=limit, risk=risk, tick=tick)
    if target is None or target <= 0 or 10 * sign * (target - limit) < REWARD_MIN_TENTHS * risk:
        return None
    return Bracket(limit, stop, target)


def _target(target: AtReward | AtDistance, last: int, sign: int, *, limit: int, risk: int, tick: int) -> int | None:
    if isinstance(target, AtReward):
        return limit + sign * -(-risk * target.tenths // (10 * tick)) * tick
    if not _is_distance(target.distance):
        return None
    return _tick_below(last + sign * _atoms_of(target.distance), sign, tick)  # it stays on this side of the mean


def _tick_below(price: int, sign: int, tick: int) -> int:
    """The tick at `price` or next to it on the losing side: below for a buy (sign 1), above for a sell (−1)."""
    return sign * (sign * price // tick) * tick


def _is_distance(distance: float) -> bool:
    return isfinite(distance) and distance > 0


def _atoms_of(distance: float) -> int:
    """An estimate becomes exact here, once; a distance > 0 stays one."""
    return round(distance * ATOMS_PER_UNIT) or 1


def decimal_of_atoms(amount: int) -> Decimal:
    """Exact up to 28 digits and in the one canonical spelling: 150_000_000 → Decimal('1.5')."""
    whole, rest = divmod(amount, ATOMS_PER_UNIT)
    return Decimal(amount).scaleb(-8).normalize() if rest else Decimal(whole)
