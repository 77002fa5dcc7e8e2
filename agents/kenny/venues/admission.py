"""Which orders the paper venue takes. What is doubtful is rejected, with the reason."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import Final, Literal, TypeAlias

from agents.kenny.venues.matching import atoms_of, decimal_of, is_reached
from agents.kenny.venues.working import Bracket, Desk, Working
from graveyard.words import Side
from mutable_core.messages import OrderSpec, Trade
from mutable_core.money import ZERO, atoms

Rejection: TypeAlias = Literal[
    "unknown_instrument",  # not traded here, or its market was never shown
    "unknown_kind",  # side, type or time in force
    "bad_quantity",  # not a positive, finite number of lots
    "bad_price",  # not a positive, finite number of ticks
    "limit_missing",
    "limit_unexpected",  # a market order with a limit says two things at once
    "bracket_on_wrong_side",  # not stop < limit < target for a buyer, the reverse for a seller
    "reduction_with_bracket",
    "reduces_more_than_position",
]
SIGN: Final[dict[Side, int]] = {"buy": 1, "sell": -1}
_TYPES: Final = frozenset({"market", "limit", "stop"})
_TIMES: Final = frozenset({"next_bar", "gtc"})
_LARGEST: Final = Decimal(10) ** 12


def admitted(order: OrderSpec, desk: Desk | None, ts_ns: int) -> Working | Rejection:
    """The venue's own record of the order, or why there is none.

    A `stop` order carries its trigger in `limit_price`: `stop_price` is its bracket's.
    """
    if desk is None or desk.seen is None:
        return "unknown_instrument"
    sign = SIGN.get(order.side, 0)
    if not sign or order.type not in _TYPES or order.time_in_force not in _TIMES:
        return "unknown_kind"
    quantity = _steps(order.quantity, desk.lot)
    if quantity is None or not quantity:
        return "bad_quantity"
    limit, stop, target = (
        _steps(price, desk.tick) for price in (order.limit_price, order.stop_price, order.target_price)
    )
    if limit == 0 or stop == 0 or target == 0:
        return "bad_price"
    fault = _price_fault(order, sign, limit, stop, target) or (_reduction_fault(order, sign, quantity, desk))
    if fault is not None:
        return fault
    bracket = None
    if stop is not None or target is not None:
        bracket = Bracket(order.client_order_id, sign, stop, target)
    return Working(
        order.client_order_id, order.type, sign, limit or 0, quantity, order.time_in_force == "gtc",
        order.reduces, ts_ns, _takes_the_next_print(order, sign, desk), bracket,
    )  # fmt: skip


def _price_fault(
    order: OrderSpec, sign: int, limit: int | None, stop: int | None, target: int | None
) -> Rejection | None:
    if limit is None and order.type != "market":
        return "limit_missing"
    if limit is not None and order.type == "market":
        return "limit_unexpected"
    inner = limit if limit is not None else target  # the stop's neighbour
    if stop is not None and inner is not None and (inner - stop) * sign <= 0:
        return "bracket_on_wrong_side"
    if target is not None and limit is not None and (target - limit) * sign <= 0:
        return "bracket_on_wrong_side"
    return None


def _reduction_fault(order: OrderSpec, sign: int, quantity: int, desk: Desk) -> Rejection | None:
    if not order.reduces:
        return None
    if order.stop_price is not None or order.target_price is not None:
        return "reduction_with_bracket"
    return "reduces_more_than_position" if quantity > desk.reducible(sign) else None


def _takes_the_next_print(order: OrderSpec, sign: int, desk: Desk) -> bool:
    """A limit that is marketable at the last print when it is placed."""
    if order.type != "limit" or order.limit_price is None or desk.seen is None:
        return False
    return isinstance(desk.seen.market, Trade) and is_reached(sign, atoms_of(order.limit_price), desk.last_price())


def _steps(amount: Decimal | None, step: int) -> int | None:
    """Atoms; None where there is no amount, 0 for one that is not a positive number of whole steps (in atoms)."""
    if amount is None:
        return None
    exact = _exact_atoms(amount) if amount.is_finite() else 0
    return 0 if exact % step else exact


@lru_cache(maxsize=4096)
def _exact_atoms(amount: Decimal) -> int:
    """0 where the amount is not positive, absurdly large, or finer than an atom."""
    if not ZERO < amount <= _LARGEST:
        return 0
    exact = atoms(amount)
    return exact if decimal_of(exact) == amount else 0
