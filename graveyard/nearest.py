"""The nearest act that would pass: a smaller order, a later one, or none.

Kept here: every limit is computed in closed form from the clause itself, nothing is searched · what comes out is heard
again by all rules before anybody sees it · where one violated clause can be healed neither by size nor by waiting,
there is no nearest act · what is not known heals nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import msgspec

from graveyard.ethics import Rule, numbered
from graveyard.expressions import is_integer
from graveyard.linear import AtMost, sums, ways_to_satisfy
from graveyard.words import Facts, Nearest

_ATOMS_TO_MICROS = 10**10  # an atom of price times an atom of quantity is 10⁻¹⁶, a micro is 10⁻⁶


class Room(NamedTuple):
    """What the log knows about how the facts of one proposal move with its size and with time.

    Money that an order of `q` atoms adds is its rate per unit × q, rounded up to a micro.

    Attributes:
        lot_atoms: smallest size step, ≥ 1.
        quantity_atoms: as proposed, > 0.
        price_atoms: the worst-case price, > 0: what a unit adds to notional, exposure, gross and the day's notional.
        risk_atoms: what a unit loses from that price to the stop, ≥ 0.
        wait_actions_ns, wait_burst_ns, wait_repeats_ns: until that clause of rule 22 would hold, everything else as it
            is; None where it holds, or nobody knows.
    """

    lot_atoms: int
    quantity_atoms: int
    price_atoms: int
    risk_atoms: int
    wait_actions_ns: int | None = None
    wait_burst_ns: int | None = None
    wait_repeats_ns: int | None = None


_BY_PRICE = frozenset(
    {"order_notional_micros", "exposure_after_micros", "gross_after_micros", "day_notional_after_micros"}
)
_BY_RISK = frozenset({"day_loss_after_micros"})
_SIZES = _BY_PRICE | _BY_RISK | {"quantity_atoms"}
# Which way time moves these facts, and how long it takes.
_WAITS = {
    "actions_last_minute": (-1, "wait_actions_ns"),
    "burst_tokens": (1, "wait_burst_ns"),
    "repeats_last_minute": (-1, "wait_repeats_ns"),
}


class _Cure(NamedTuple):
    """What satisfies a clause.

    Attributes:
        quantity_atoms: at most this; None where the size does not matter.
        wait_ns: 0 where time does not matter.
        healed: the facts that waiting moves, with the values that they then have.
    """

    quantity_atoms: int | None
    wait_ns: int
    healed: Mapping[str, int]


class Neighbourhood:
    """Finds the nearest act that would pass.

    Args:
        mask: the same rules, compiled; it hears what is found once more.
    """

    __slots__ = ("_mask", "_ways")

    def __init__(self, rules: tuple[Rule, ...], mask: Callable[[Facts], int]) -> None:
        self._mask = mask
        self._ways = [[tuple(sums(way)) for way in ways_to_satisfy(clause)] for _, _, clause in numbered(rules)]

    def nearest(self, facts: Facts, violated: int, room: Room) -> Nearest | None:
        """The largest quantity on the lot, and the shortest wait, with which nothing is violated any more.

        Args:
            facts: of the act that was refused.
            room: how they move.
            violated: a bit per clause, as the mask of these rules gives it; not 0.
        """
        if not _fits(room, facts):
            return None
        cures = [self._cure(bit, facts, room) for bit in range(violated.bit_length()) if violated >> bit & 1]
        found = [cure for cure in cures if cure is not None]
        if len(found) < len(cures):
            return None
        quantities = [cure.quantity_atoms for cure in found if cure.quantity_atoms is not None]
        quantity = min(quantities) // room.lot_atoms * room.lot_atoms if quantities else room.quantity_atoms
        if quantity <= 0:
            return None
        moved = _moved(facts, room, quantity, [cure.healed for cure in found])
        if moved is None or self._mask(moved) != 0:
            return None
        return Nearest(quantity if quantities else None, max(cure.wait_ns for cure in found))

    def _cure(self, bit: int, facts: Facts, room: Room) -> _Cure | None:
        """The way that satisfies the clause with the largest order; None where there is no way."""
        cures = [cure for way in self._ways[bit] if (cure := _cure_of(way, facts, room)) is not None]
        return max(cures, key=lambda cure: (cure.quantity_atoms or 0, -cure.wait_ns), default=None)


def _fits(room: Room, facts: Facts) -> bool:
    rates = (room.lot_atoms, room.quantity_atoms, room.price_atoms, room.risk_atoms)
    return (
        all(is_integer(rate) for rate in rates)
        and min(rates[:3]) > 0 <= room.risk_atoms
        and is_integer(facts.quantity_atoms)
        and room.quantity_atoms == facts.quantity_atoms
    )


def _cure_of(way: tuple[AtMost, ...], facts: Facts, room: Room) -> _Cure | None:
    """What makes all of these sums small enough; None where nothing does."""
    quantity: int | None = None
    wait_ns, healed = 0, {}
    for sum_ in way:
        values = {name: getattr(facts, name) for name in sum_.factors}
        if not all(is_integer(value) for value in values.values()):
            return None
        excess = sum(factor * values[name] for name, factor in sum_.factors.items()) - sum_.constant
        if excess <= 0:
            continue
        if len(sum_.factors.keys() & (_SIZES | _WAITS.keys())) != 1:
            return None
        [name] = sum_.factors.keys() & (_SIZES | _WAITS.keys())
        change = -(-excess // abs(sum_.factors[name]))  # how far this fact must move, and no further
        if name in _SIZES:
            if sum_.factors[name] < 0:
                return None
            most = _largest(name, values[name] - change, values[name], room)
            quantity = most if quantity is None else min(most, quantity)
        else:
            direction, field = _WAITS[name]
            wait = getattr(room, field)
            if not is_integer(wait) or wait <= 0 or direction * sum_.factors[name] > 0:
                return None
            wait_ns = max(wait_ns, wait)
            healed[name] = values[name] + direction * change
    return _Cure(quantity, wait_ns, healed)


def _rate(name: str, room: Room) -> int:
    return room.risk_atoms if name in _BY_RISK else room.price_atoms


def _own_part(name: str, quantity: int, room: Room) -> int:
    """What an order of this quantity adds to the fact."""
    if name == "quantity_atoms":
        return quantity
    return -(-_rate(name, room) * quantity // _ATOMS_TO_MICROS)


def _largest(name: str, limit: int, value: int, room: Room) -> int:
    """The largest quantity with which the fact is at most `limit`; < 0 where none is small enough."""
    left = limit - (value - _own_part(name, room.quantity_atoms, room))
    if name == "quantity_atoms" or left < 0:
        return left
    rate = _rate(name, room)
    return left * _ATOMS_TO_MICROS // rate if rate else room.quantity_atoms


def _moved(facts: Facts, room: Room, quantity: int, healed: Iterable[Mapping[str, int]]) -> Facts | None:
    """The facts of the same act with another size, later; None where a fact that moves is not known."""
    changes: dict[str, int] = {}
    for name in _SIZES:
        value = getattr(facts, name)
        if not is_integer(value):
            return None
        own = _own_part(name, room.quantity_atoms, room)
        changes[name] = value - own + _own_part(name, quantity, room)
    for values in healed:
        changes |= values
    return msgspec.structs.replace(facts, **changes)
