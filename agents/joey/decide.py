"""Joey's decision: remember what is observed; when a slice closes, answer every fresh observation exactly once."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from agents.joey import intents as deals
from agents.joey.drills import drill_proposal
from agents.joey.history import after_bar, after_tick, rescaled, rescaled_forming, scale_of
from agents.joey.intents import Intents
from agents.joey.propose import BY_NAME, answer
from agents.joey.state import TRAIL, Desk, Drill, Fresh, Joey, Seen, Terms
from agents.runtime.agent import Say, Step, cause_of
from mutable_core import standing as standings
from mutable_core.book import fold
from mutable_core.errors import SettingsRefused, UnknownName
from mutable_core.flows import acted, observed
from mutable_core.messages import (
    Bar,
    CorporateActionObserved,
    DrillOrdered,
    Envelope,
    Observed,
    OrderBlocked,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    OrderWithheld,
    ProposalMade,
    Refused,
    RunStarted,
    SliceClosed,
    Trade,
)

TRAIL_STEP_NS = 100_000_000
"""Ticks in the trail are at least so far apart, so that 64 of them reach back far enough to be stale."""
_NO_DESK = Desk()
_NO_SIZE = Decimal(0)


def decide(state: Joey, heard: Envelope) -> Step[Joey]:
    """What follows from one message."""
    handle = _HANDLERS.get(type(heard.body))
    return _folded(state, heard) if handle is None else handle(state, heard, heard.body)


def _folded(state: Joey, heard: Envelope) -> Step[Joey]:
    return _noted(state, heard, state.intents)


def _noted(state: Joey, heard: Envelope, intents: Intents) -> Step[Joey]:
    book = fold(state.book, heard)
    standing = standings.fold(state.standing, heard)
    return Step(Joey(state.terms, book, state.desks, state.fresh, intents, state.drills, state.flows, standing))


def _started(state: Joey, heard: Envelope, body: RunStarted) -> Step[Joey]:
    """A strategy that the mandate lists and the register does not hold stops the start."""
    mandate = body.mandate
    unknown = sorted(set(mandate.strategies) - BY_NAME.keys())
    if unknown:
        raise UnknownName(
            f"no strategy is called `{unknown[0]}`", where="mandate", to_do=f"choose from {', '.join(BY_NAME)}"
        )
    if body.tick_bar_ns <= 0:
        raise SettingsRefused(f"`tick_bar_ns` is `{body.tick_bar_ns}`", where="run", to_do="choose a length above 0")
    terms = Terms(
        body.tick_bar_ns,
        tuple(name for name in BY_NAME if name in mandate.strategies),
        frozenset(mandate.instruments) - frozenset(body.restricted),
        frozenset(mandate.sides),
    )
    return Step(replace(state, terms=terms, book=fold(state.book, heard)))


def _observed(state: Joey, heard: Envelope, body: Observed) -> Step[Joey]:
    """Remember the observation; it is answered when its slice closes."""
    instrument, market, cause = body.instrument, body.market, cause_of(heard)
    if body.source != state.book.setup.source:
        waiting = Fresh(instrument, cause, market.last, None)  # it confirms what is seen; nothing is decided on it
        return Step(replace(state, fresh=(*state.fresh, waiting)))
    desk = state.desks.get(instrument, _NO_DESK)
    if isinstance(market, Bar):
        last = market.close
        history, forming = after_bar(desk.history, market), None
    else:
        last = market.last
        size = market.size if isinstance(market, Trade) else _NO_SIZE
        bucket = heard.ts_event_ns // (body.interval_ns or state.terms.tick_bar_ns)
        history, forming = after_tick(desk.history, desk.forming, bucket, float(last), float(size))
    completed = history if history is not desk.history else None
    seen = Seen(heard.id, heard.ts_seen_ns, last)
    now = Desk(history, forming, body.interval_ns, seen, _trail(desk))
    book = fold(state.book, heard)
    return Step(
        Joey(
            state.terms,
            book,
            state.desks.set(instrument, now),
            (*state.fresh, Fresh(instrument, cause, last, completed)),
            state.intents,
            state.drills,
            observed(state.flows, body, heard.ts_seen_ns, book.marks[instrument]),
            state.standing,
        )
    )


def _trail(desk: Desk) -> tuple[Seen, ...]:
    """The trail once `desk.latest` is no longer the newest."""
    latest, trail = desk.latest, desk.trail
    if latest is None or (trail and latest.ts_ns - trail[-1].ts_ns < TRAIL_STEP_NS):
        return trail
    return trail[1 - TRAIL :] + (latest,)  # noqa: RUF005 — half the price of unpacking


def _corporate_action(state: Joey, heard: Envelope, body: CorporateActionObserved) -> Step[Joey]:
    """What is remembered changes its units. Prices before it cannot be cited or decided on any more."""
    book, desk = fold(state.book, heard), state.desks.get(body.instrument)
    flows = acted(state.flows, body)
    if desk is None:
        return Step(replace(state, book=book, flows=flows))
    close = desk.forming.close if desk.forming else desk.history.close[-1]
    scale = scale_of(body, close)
    now = Desk(
        rescaled(desk.history, scale),
        rescaled_forming(desk.forming, scale) if desk.forming else None,
        desk.interval_ns,
    )
    fresh = tuple(replace(it, history=None) if it.instrument == body.instrument else it for it in state.fresh)
    return Step(replace(state, book=book, desks=state.desks.set(body.instrument, now), fresh=fresh, flows=flows))


def _slice_closed(state: Joey, _heard: Envelope, _body: SliceClosed) -> Step[Joey]:
    """Answer what is fresh, in log order, and then the drills that can be answered now."""
    intents = state.intents
    says: list[Say] = []
    for fresh in state.fresh:
        result = answer(state, intents, fresh)
        intents = result.intents
        says.append(Say(result.body, fresh.cause))
    after = Joey(
        state.terms, state.book, state.desks, (), intents, state.drills, state.flows, state.standing
    )  # fmt: skip
    return _drilled(after, says) if after.drills else Step(after, tuple(says))


def _drill_ordered(state: Joey, heard: Envelope, body: DrillOrdered) -> Step[Joey]:
    """A drill needs one observation to take its prices from; until there is one, it waits."""
    drill = Drill(body.breach, cause_of(heard))
    standing = standings.fold(state.standing, heard)
    return _drilled(replace(state, drills=(*state.drills, drill), standing=standing), [])


def _drilled(state: Joey, says: list[Say]) -> Step[Joey]:
    waiting: list[Drill] = []
    for drill in state.drills:
        proposal = drill_proposal(state, drill)
        if proposal is None:
            waiting.append(drill)
        else:
            says.append(Say(ProposalMade(proposal, is_drill=True), drill.cause))
    return Step(replace(state, drills=tuple(waiting)), tuple(says))


def _refused(state: Joey, heard: Envelope, body: Refused) -> Step[Joey]:
    return _noted(state, heard, deals.refused(state.intents, body.proposal_id))


def _intended(state: Joey, heard: Envelope, body: OrderIntended) -> Step[Joey]:
    return _noted(state, heard, deals.ordered(state.intents, body.order.proposal_id, body.order.client_order_id))


def _withheld(state: Joey, heard: Envelope, body: OrderWithheld) -> Step[Joey]:
    """Whether or not the intent was said before, it ends here."""
    return _noted(state, heard, deals.ended(deals.ended(state.intents, body.proposal_id), body.client_order_id))


def _filled(state: Joey, heard: Envelope, body: OrderFilled) -> Step[Joey]:
    intents = state.intents if body.remaining else deals.ended(state.intents, body.client_order_id)
    return _noted(state, heard, intents)


def _ended(
    state: Joey, heard: Envelope, body: OrderBlocked | OrderRejected | OrderCancelled | OrderExpired
) -> Step[Joey]:
    return _noted(state, heard, deals.ended(state.intents, body.client_order_id))


_HANDLERS: dict[type, Callable[[Joey, Envelope, Any], Step[Joey]]] = {
    RunStarted: _started,
    Observed: _observed,
    CorporateActionObserved: _corporate_action,
    SliceClosed: _slice_closed,
    DrillOrdered: _drill_ordered,
    Refused: _refused,
    OrderIntended: _intended,
    OrderWithheld: _withheld,
    OrderFilled: _filled,
    OrderBlocked: _ended,
    OrderRejected: _ended,
    OrderCancelled: _ended,
    OrderExpired: _ended,
}
