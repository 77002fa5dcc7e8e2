"""An exchange between two calls as bytes, and back: what an open begins with, instead of all calls ever made."""

from __future__ import annotations

import msgspec

from agents.kenny.venues.exchange import Exchange
from agents.kenny.venues.working import Bracket, Desk, Working
from mutable_core.messages import Observed, leg_id


class DeskState(msgspec.Struct, frozen=True, array_like=True):
    """A `Desk` without what follows from the instrument; `orders` in the order of their placement."""

    name: str
    position: int
    orders: list[Working]
    brackets: list[Bracket]
    seen: Observed | None
    adjusted_last: int | None
    taken: list[int]


class ExchangeState(msgspec.Struct, frozen=True, array_like=True, tag="exchange/1"):
    cash_micros: int
    shown_row: int
    venue_seq: int
    acted_rows: list[int]
    desks: list[DeskState]
    bars: dict[str, int] = {}


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ExchangeState).decode


def state_of(exchange: Exchange) -> bytes:
    """All of it but what was said."""
    desks = [
        DeskState(
            desk.name, desk.position, list(desk.orders.values()), desk.brackets, desk.seen, desk.adjusted_last,
            desk.taken,
        )
        for desk in exchange.desks.values()
        if desk.seen is not None
    ]  # fmt: skip
    return _encode(
        ExchangeState(
            exchange.cash_micros,
            exchange.shown_row,
            exchange.venue_seq,
            sorted(exchange.acted_rows),
            desks,
            exchange.bars,
        )
    )


def restore(exchange: Exchange, data: bytes) -> None:
    """A new exchange becomes the one that `data` was made of; the events up to then count as said.

    Raises:
        msgspec.MsgspecError: another build made `data`.
    """
    state = _decode(data)
    exchange.cash_micros, exchange.shown_row = state.cash_micros, state.shown_row
    exchange.said_before, exchange.acted_rows = state.venue_seq, set(state.acted_rows)
    exchange.bars = state.bars
    for one in state.desks:
        _restore_desk(exchange, exchange.desks[one.name], one)


def _restore_desk(exchange: Exchange, desk: Desk, state: DeskState) -> None:
    desk.position, desk.seen, desk.adjusted_last = state.position, state.seen, state.adjusted_last
    desk.take(state.taken)
    desk.brackets = state.brackets
    armed = {bracket.entry_id: bracket for bracket in desk.brackets}
    for order in state.orders:
        # An entry that still works shares the bracket with what it has filled already.
        order.bracket = armed.get(order.id, order.bracket)
        desk.orders[order.id] = order
        exchange.homes[order.id] = desk
    for bracket in desk.brackets:
        for leg, _ in bracket.legs:
            exchange.legs[leg_id(bracket.entry_id, leg)] = (desk, bracket, leg)
