"""Which orders the paper venue takes. What is doubtful is rejected, with the reason."""

from __future__ import annotations

from decimal import Decimal
from typing import Final, Literal, TypeAlias

from agents.kenny.venues.matching import atoms_of, decimal_of, is_reached
from agents.kenny.venues.working import Bracket, Desk, Working
from graveyard.words import Side
from mutable_core.messages import OrderSpec, Trade, is_kill_order
from mutable_core.money import ZERO

Rejection: TypeAlias = Literal[
    "reserved_id",  # it looks like the kill switch's own
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
    if is_kill_order(order.client_order_id):
        return "reserved_id"
    if desk is None or desk.seen is None:
        return "unknown_instrument"
    sign = SIGN.get(order.side, 0)
    if not sign or order.type not in _TYPES or order.time_in_force not in _TIMES:
        return "unknown_kind"
    lot, tick = desk.lot, desk.tick
    quantity = _steps(order.quantity, lot)
    if not quantity:
        return "bad_quantity"
    limit, stop, target = (
        _steps(order.limit_price, tick),
        _steps(order.stop_price, tick),
        _steps(order.target_price, tick),
    )
    if limit == 0 or stop == 0 or target == 0:
        return "bad_price"
    if (limit is None) != (order.type == "market"):
        return "limit_missing" if limit is None else "limit_unexpected"
    if not _is_ordered(sign, stop, limit, target):
        return "bracket_on_wrong_side"
    bracket = None
    if stop is not None or target is not None:
        if order.reduces:
            return "reduction_with_bracket"
        bracket = Bracket(order.client_order_id, sign, stop, target)
    if order.reduces and quantity > desk.reducible(sign):
        return "reduces_more_than_position"
    is_taker = order.type == "limit" and _is_at_last_print(sign, limit or 0, desk)
    return Working(
        order.client_order_id, order.type, sign, limit or 0, quantity, order.time_in_force == "gtc",
        order.reduces, ts_ns, is_taker, bracket,
    )  # fmt: skip


def _is_ordered(sign: int, stop: int | None, limit: int | None, target: int | None) -> bool:
    """Stop < limit < target for a buyer, the reverse for a seller; what is missing is left out."""
    inner = target if limit is None else limit
    if stop is not None and inner is not None and (inner - stop) * sign <= 0:
        return False
    return target is None or limit is None or (target - limit) * sign > 0


def _is_at_last_print(sign: int, limit: int, desk: Desk) -> bool:
    """Whether a limit is marketable at the last print when it is placed."""
    return desk.seen is not None and type(desk.seen.market) is Trade and is_reached(sign, limit, desk.last_price())


def _steps(amount: Decimal | None, step: int) -> int | None:
    """Atoms; None where there is no amount, 0 for one that is not a positive number of whole steps (in atoms)."""
    if amount is None:
        return None
    if not amount.is_finite() or not ZERO < amount <= _LARGEST:
        return 0
    exact = atoms_of(amount)
    return exact if exact % step == 0 and decimal_of(exact) == amount else 0
