"""What a strategy answers when it is asked: get in, get out, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import msgspec

from agents.joey.history import History
from graveyard.words import Side


class AtReward(msgspec.Struct, frozen=True, gc=False):
    """The target stands at a multiple of the risk, both measured from the limit price: `tenths` 20 is 2 R."""

    tenths: int


class AtDistance(msgspec.Struct, frozen=True, gc=False):
    """The target stands so far from the last price and no farther, currency per unit, > 0.

    Where that is less than 1.5 times the risk, measured from the limit price, the signal is dropped.
    """

    distance: float


class Entry(msgspec.Struct, frozen=True, gc=False):
    """Open a position with a bracket.

    Attributes:
        stop_distance: from the last price to the protective stop, currency per unit, > 0.
        reason: for a person, with the numbers; 10–2 000 characters.
        notional_max_bps: cap on notional at the worst-case price, basis points of equity.
    """

    side: Side
    stop_distance: float
    target: AtReward | AtDistance
    reason: str
    notional_max_bps: int = 450


class Exit(msgspec.Struct, frozen=True, gc=False):
    """Close the whole position. `reason` as in `Entry`."""

    reason: str


Signal: TypeAlias = Entry | Exit
Read: TypeAlias = Callable[[History, Side | None], Signal | None]


class Strategy(msgspec.Struct, frozen=True):
    """One line of the register.

    Attributes:
        name: what the mandate lists.
        does: one sentence for a person.
        bars: complete bars that `read` needs, at most `history.WINDOW`.
        read: pure; given a history of at least `bars` bars and the side of the open position (None when flat),
            an `Entry` when flat, an `Exit` when not, or nothing. A position is shown only to the strategy that opened it.
    """

    name: str
    does: str
    bars: int
    read: Read
