"""Everything that Joey knows: frozen, rebuilt by every message that changes it, never mutated."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from immutables import Map

from agents.joey.history import EMPTY, Forming, History
from agents.joey.intents import Intents
from agents.runtime.agent import Cause
from mutable_core import standing as standings
from mutable_core.book import Book
from mutable_core.clock import MINUTE_NS
from mutable_core.flows import Flow
from mutable_core.messages import Breach
from mutable_core.standing import Standing

TRAIL = 64
"""Observations kept per instrument, for the drill that cites an old one."""


class Terms(msgspec.Struct, frozen=True):
    """What the genesis row fixes.

    Attributes:
        tick_bar_ns: length of the bars that are built from quotes and trades that have no interval of their own;
            60 s suits a tick feed, 1 s makes a bar of every quote of a source that quotes each second.
        strategies: names that the mandate lists, in the order of the register.
    """

    tick_bar_ns: int = MINUTE_NS
    strategies: tuple[str, ...] = ()
    instruments: frozenset[str] = frozenset()
    sides: frozenset[str] = frozenset()


class Seen(msgspec.Struct, frozen=True, gc=False):
    """An observation that can be cited: its id, its last price, and when it was seen, by which the rules measure age."""

    id: str
    ts_ns: int
    last: Decimal


class Desk(msgspec.Struct, frozen=True, gc=False):
    """One instrument.

    Attributes:
        interval_ns: of the newest observation; 0 for ticks.
        latest: the newest observation; None before the first, and from a corporate action to the next one.
        trail: earlier ones, oldest first, at most `TRAIL`, ticks thinned out.
    """

    history: History = EMPTY
    forming: Forming | None = None
    interval_ns: int = 0
    latest: Seen | None = None
    trail: tuple[Seen, ...] = ()


class Fresh(msgspec.Struct, frozen=True, gc=False):
    """An observation that awaits its answer.

    Attributes:
        history: as it was when the observation came, if that completed a bar, so that the answer knows nothing
            later; None where no bar was completed.
    """

    instrument: str
    cause: Cause
    last: Decimal
    history: History | None


class Drill(msgspec.Struct, frozen=True, gc=False):
    """An ordered drill that could not be answered yet. `cause` is the order."""

    breach: Breach
    cause: Cause


class Joey(msgspec.Struct, frozen=True, gc=False):
    """The state.

    Attributes:
        fresh: observations since the last closed slice, in log order.
        flows: what the market traded: nothing larger is proposed than the rules let pass.
        standing: halts and vetoes: nothing is proposed under them.
    """

    terms: Terms
    book: Book
    desks: Map[str, Desk]
    fresh: tuple[Fresh, ...]
    intents: Intents
    drills: tuple[Drill, ...]
    flows: Map[str, Flow] = Map()
    standing: Standing = standings.NONE


FIRST_STATE = Joey(Terms(), Book.empty(), Map(), (), Intents(), ())
"""Before the genesis row: nothing may be traded, so nothing is proposed."""
