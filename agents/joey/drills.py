"""Drills: proposals that are right in everything but one thing, so that people can watch the rules refuse them."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import assert_never

from msgspec.structs import replace

from agents.joey.pricing import Bracket, bracket
from agents.joey.propose import entry_proposal
from agents.joey.signals import AtReward, Entry
from agents.joey.sizing import quantity_within
from agents.joey.state import Desk, Drill, Joey, Seen
from graveyard.words import Evidence, Proposal, Side
from mutable_core.book import Book
from mutable_core.clock import SECOND_NS
from mutable_core.ids import derived_id
from mutable_core.messages import Breach, Instrument

ORDINARY_BPS = 50
OVERSIZE_BPS = 2_500
OVER_LEVERAGED_BPS = 22_500
STOP_FRACTION = 0.0025
"""Close enough that even the over-leveraged drill risks about 1 % of equity: it breaks no rule about losses."""


def stale_after_ns(interval_ns: int) -> int:
    """Evidence older than this is stale: 2 s on ticks, one and a half bars on bars."""
    return max(2 * SECOND_NS, interval_ns * 3 // 2)


def drill_proposal(state: Joey, drill: Drill) -> Proposal | None:
    """The proposal that breaks what was ordered, or None where nothing observed yet can carry it."""
    for name, desk, latest in _candidates(state):
        cited = _stale(desk, latest) if drill.breach == "stale_data" else latest
        traded = state.book.instruments.get(name)
        if cited is None or traded is None:
            continue
        entry = _entry(_side(state, name), drill.breach, latest)
        prices = bracket(entry, latest.last, traded.tick_atoms)
        if prices is not None:
            return _broken(_sized(state, drill, name, entry, prices, traded, cited), drill.breach)
    return None


def _candidates(state: Joey) -> list[tuple[str, Desk, Seen]]:
    """Instruments with a fresh price, best first: in the mandate, without a position, newest, then by name."""
    observed = [(name, desk, desk.latest) for name, desk in state.desks.items() if desk.latest is not None]
    newest = _newest(latest.ts_ns for _, _, latest in observed)
    fresh = [it for it in observed if newest - it[2].ts_ns <= stale_after_ns(it[1].interval_ns)]
    return sorted(
        fresh,
        key=lambda it: (
            it[0] not in state.terms.instruments,
            it[0] in state.intents.under_way or state.book.has_interest(it[0]),
            -it[2].ts_ns,
            it[0],
        ),
    )


def _newest(times_ns: Iterable[int]) -> int:
    return max(times_ns, default=0)


def _stale(desk: Desk, latest: Seen) -> Seen | None:
    """The newest observation that is too old to be cited."""
    limit = latest.ts_ns - stale_after_ns(desk.interval_ns)
    return next((seen for seen in reversed(desk.trail) if seen.ts_ns < limit), None)


def _side(state: Joey, instrument: str) -> Side:
    """A side that opens: never against a position, for a reduction is exempt from what the drill should break."""
    held = state.book.position_atoms(instrument)
    if held:
        return "buy" if held > 0 else "sell"
    return "buy" if "buy" in state.terms.sides or "sell" not in state.terms.sides else "sell"


def _entry(side: Side, breach: Breach, latest: Seen) -> Entry:
    reason = f"drill `{breach}` at last price {latest.last}: this proposal is wrong in one thing on purpose"
    return Entry(side, STOP_FRACTION * float(latest.last), AtReward(tenths=20), reason)


def _sized(
    state: Joey, drill: Drill, instrument: str, entry: Entry, prices: Bracket, traded: Instrument, cited: Seen
) -> Proposal:
    bps = {"oversize": OVERSIZE_BPS, "over_leveraged": OVER_LEVERAGED_BPS}.get(drill.breach, ORDINARY_BPS)
    return entry_proposal(
        derived_id("drill", drill.cause.id),
        state.book.account,
        state.terms.strategies[0] if state.terms.strategies else "drill",
        instrument,
        entry,
        prices,
        max(_quantity(state.book, bps, prices, entry.side, traded), traded.lot_atoms),
        (Evidence(cited.id, "last", cited.last),),
    )


def _quantity(book: Book, bps: int, prices: Bracket, side: Side, traded: Instrument) -> int:
    return quantity_within(book.equity_micros(), bps, prices.worst(side), traded.lot_atoms)


def _broken(proposal: Proposal, breach: Breach) -> Proposal:
    match breach:
        case "oversize" | "over_leveraged" | "stale_data":
            return proposal  # its size or its evidence already is what is wrong
        case "no_stop":
            return replace(proposal, stop_price=None)
        case "unknown_instrument":
            return replace(proposal, instrument="NOSUCH")
        case "not_a_number":
            return replace(proposal, quantity=Decimal("NaN"))
        case _:
            assert_never(breach)
