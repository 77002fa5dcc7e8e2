"""Look at everything again, from the log alone; say what was verified and what was not."""

from __future__ import annotations

from immutables import Map

from agents.aletheia.checks import traces
from agents.aletheia.checks.books import books_fault
from agents.aletheia.checks.orders import order_fault
from agents.aletheia.checks.verdicts import verdict_fault
from agents.aletheia.state import Expected, Promised, State
from agents.runtime.agent import Say, Step
from mutable_core import docket
from mutable_core.messages import (
    Approved,
    DiscrepancyFound,
    Envelope,
    OrderAccepted,
    OrderBlocked,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    OrderWithheld,
    Outcome,
    ProposalMade,
    Reconciled,
    Refused,
    SliceClosed,
    SourceEnded,
    StatementWanted,
    VenueStated,
    Verified,
)

STATEMENT_EVERY_SLICES = 64


def decide(state: State, heard: Envelope) -> Step[State]:
    body = heard.body
    match body:
        case ProposalMade():
            return _vet_again(state, heard, body)
        case Approved() | Refused():
            return _compare(state, heard, body)
        case SliceClosed():
            return _count(state)
        case SourceEnded():
            return Step(state, (Say(StatementWanted(state.slices)),))
        case VenueStated():
            return _reconcile(state, body)
        case OrderIntended():
            return _match(_folded(state, heard), heard, body)
        case OrderAccepted() | OrderRejected() | OrderBlocked():
            return _ended(state, heard, body)
        case OrderWithheld(proposal_id=proposal_id):
            state = _folded(state, heard)._replace(approved=_without(state, proposal_id))
            return Step(state, (Say(Verified(proposal_id, "withheld")),))
        case OrderFilled():
            return _filled(state, heard, body)
        case _:
            return Step(_folded(state, heard))


def _folded(state: State, heard: Envelope) -> State:
    after = docket.fold(state.docket, heard)
    return state if after is state.docket else State(after, state.undecided, state.approved, state.slices)


def _without(state: State, proposal_id: str) -> Map[str, Promised]:
    return state.approved.delete(proposal_id) if proposal_id in state.approved else state.approved


def _vet_again(state: State, heard: Envelope, body: ProposalMade) -> Step[State]:
    fault = traces.proposal_fault(state.docket.recent, heard, body)
    vetted = docket.vet(state.docket, heard, body.proposal)
    proposal_id = body.proposal.proposal_id
    undecided = state.undecided.set(proposal_id, Expected.of(heard, body.proposal, vetted))
    return Step(State(vetted.docket, undecided, state.approved, state.slices), _broken(proposal_id, fault))


def _broken(subject: str, fault: str) -> tuple[Say, ...]:
    return (Say(DiscrepancyFound(subject, "trace_broken", fault)),) if fault else ()


def _compare(state: State, heard: Envelope, said: Approved | Refused) -> Step[State]:
    proposal_id = said.proposal_id
    expected = state.undecided.get(proposal_id)
    fault = verdict_fault(expected, said)
    undecided = state.undecided.delete(proposal_id) if expected else state.undecided
    approved = state.approved
    if isinstance(said, Approved) and expected:
        approved = approved.set(proposal_id, Promised(heard, expected.proposal, said))
    after = State(state.docket, undecided, approved, state.slices)
    if fault:
        return Step(after, (Say(DiscrepancyFound(proposal_id, "verdict_mismatch", fault)),))
    broken = _broken(proposal_id, traces.verdict_fault(expected, heard))
    return Step(after, (*broken, Say(Verified(proposal_id, "refused"))) if isinstance(said, Refused) else broken)


def _match(state: State, heard: Envelope, body: OrderIntended) -> Step[State]:
    proposal_id = body.order.proposal_id
    promised = state.approved.get(proposal_id)
    fault = order_fault(promised, body)
    after = State(state.docket, state.undecided, _without(state, proposal_id), state.slices)
    if fault is None:
        return Step(after, _broken(proposal_id, traces.intent_fault(promised, heard)))
    finding, detail = fault
    return Step(after, (Say(DiscrepancyFound(proposal_id, finding, detail)),))


def _ended(state: State, heard: Envelope, body: OrderAccepted | OrderRejected | OrderBlocked) -> Step[State]:
    """The venue answered (or was not asked): the decision is done, what follows is its order's life."""
    order = state.docket.book.orders.get(body.client_order_id)
    after = _folded(state, heard)
    if order is None:
        return Step(after)  # a leg: its entry was verified
    outcome: Outcome = "accepted"
    if not isinstance(body, OrderAccepted):
        outcome = "rejected" if isinstance(body, OrderRejected) else "withheld"
    return Step(after, (Say(Verified(order.proposal_id, outcome)),))


def _filled(state: State, heard: Envelope, body: OrderFilled) -> Step[State]:
    book = state.docket.book
    is_known = body.client_order_id in book.orders or body.client_order_id in book.legs
    after = _folded(state, heard)
    if is_known:
        return Step(after)
    return Step(after, (Say(DiscrepancyFound(body.client_order_id, "fill_unknown", "no such order was intended")),))


def _count(state: State) -> Step[State]:
    slices = state.slices + 1
    after = State(state.docket, state.undecided, state.approved, slices)
    is_due = slices % STATEMENT_EVERY_SLICES == 0
    return Step(after, (Say(StatementWanted(slices)),) if is_due else ())


def _reconcile(state: State, stated: VenueStated) -> Step[State]:
    book = state.docket.book
    fault = books_fault(book, stated)
    if fault:
        return Step(state, (Say(DiscrepancyFound(book.account, "books_differ", fault)),))
    agreed = Reconciled(
        stated.venue_seq, stated.cash_micros, book.equity_micros(), len(stated.positions), len(stated.open_orders)
    )
    return Step(state, (Say(agreed),))
