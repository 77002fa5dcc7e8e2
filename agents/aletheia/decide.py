"""Look at everything again, from the log alone; say what was verified and what was not."""

from __future__ import annotations

from immutables import Map

from agents.aletheia.checks import traces
from agents.aletheia.checks.books import books_fault
from agents.aletheia.checks.orders import order_fault
from agents.aletheia.checks.seal import seal_fault
from agents.aletheia.checks.verdicts import verdict_fault
from agents.aletheia.state import Expected, Promised, State, Undecided
from agents.runtime.agent import Say, Step
from mutable_core import docket
from mutable_core.book import Book
from mutable_core.docket import ANSWERS, Answer, Docket, about
from mutable_core.messages import (
    AgentHeld,
    AgentReleased,
    ApprovalAwaited,
    Approved,
    DiscrepancyFound,
    Envelope,
    LeaseGranted,
    OperationApproved,
    OperationRefused,
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
    is_kill_order,
)
from mutable_core.money import atoms
from mutable_core.standing import is_closing

STATEMENT_EVERY_SLICES = 64


def decide(state: State, heard: Envelope) -> Step[State]:
    """Take a message in, find what must follow from it, and compare what was said with what she found."""
    body = heard.body
    if isinstance(body, ANSWERS):
        return _compare(state, heard, body)
    was, overdue = state.docket, state.undecided
    state = _taken(state, heard)
    match body:
        case ProposalMade():
            fault = traces.proposal_fault(was.recent, heard, body)
            return Step(state, _broken(body.proposal.proposal_id, fault))
        case LeaseGranted():
            return Step(state, _unsealed(was.book.setup.ruleset, body))
        case SliceClosed():
            return _count(state, overdue)
        case SourceEnded():
            return Step(state, (Say(StatementWanted(state.slices)),))
        case VenueStated():
            return _reconcile(state, body)
        case OrderIntended():
            return _match(state, heard, body)
        case OrderAccepted() | OrderRejected() | OrderBlocked():
            return _ended(state, was.book, body)
        case OrderWithheld(proposal_id=proposal_id):
            state = state._replace(approved=_without(state, proposal_id))
            return Step(state, (Say(Verified(proposal_id, "withheld")),))
        case OrderFilled():
            return Step(state, _unknown_fill(was, body))
        case AgentHeld(agent="hrm") | AgentReleased(agent="hrm"):
            return Step(state._replace(hrm_is_held=isinstance(body, AgentHeld)))
        case _:
            return Step(state)


def _taken(state: State, heard: Envelope) -> State:
    """The message folded, and every answer that must follow from it noted."""
    after, answers = docket.answer(state.docket, heard)
    if after is state.docket and not answers:
        return state
    undecided = state.undecided
    for said, act in answers:
        key = about(said)
        undecided = undecided.set(key, (*undecided.get(key, ()), Expected(act, said)))
    return State(after, undecided, state.approved, state.slices, state.hrm_is_held)


def _answered(undecided: Undecided, key: tuple[str, bool]) -> Undecided:
    """Without the oldest answer that was waited for."""
    left = undecided[key][1:]
    return undecided.set(key, left) if left else undecided.delete(key)


def _without(state: State, proposal_id: str) -> Map[str, Promised]:
    return state.approved.delete(proposal_id) if proposal_id in state.approved else state.approved


def _broken(subject: str, fault: str) -> tuple[Say, ...]:
    return (Say(DiscrepancyFound(subject, "trace_broken", fault)),) if fault else ()


def _unsealed(ruleset: str, granted: LeaseGranted) -> tuple[Say, ...]:
    fault = seal_fault(ruleset, granted)
    return (Say(DiscrepancyFound("graveyard", "seal_broken", fault)),) if fault else ()


def _compare(state: State, heard: Envelope, said: Answer) -> Step[State]:
    key = about(said)
    expected = next(iter(state.undecided.get(key, ())), None)
    fault = verdict_fault(expected, said)
    undecided = _answered(state.undecided, key) if expected else state.undecided
    approved, after = state.approved, state.docket
    if isinstance(said, Approved) and expected and isinstance(expected.act.body, ProposalMade):
        approved = approved.set(key[0], Promised(heard, expected.act.body.proposal, said))
    if isinstance(said, ApprovalAwaited):
        after = docket.fold(after, heard)  # people sign what stands at this position
    state = State(after, undecided, approved, state.slices, state.hrm_is_held)
    if fault:
        return Step(state, (Say(DiscrepancyFound(key[0], "verdict_mismatch", fault)),))
    broken = _broken(key[0], traces.verdict_fault(expected, heard))
    outcome = _OUTCOMES.get(type(said))
    return Step(state, broken if outcome is None else (*broken, Say(Verified(key[0], outcome))))


_OUTCOMES: dict[type, Outcome] = {
    Refused: "refused",
    OperationRefused: "refused",
    OperationApproved: "approved",
}
"""The answers with which a decision is done; an approved order is done when the venue has answered."""


def _match(state: State, heard: Envelope, body: OrderIntended) -> Step[State]:
    proposal_id = body.order.proposal_id
    promised = state.approved.get(proposal_id)
    fault = order_fault(promised, body)
    after = state._replace(approved=_without(state, proposal_id))
    if fault is None:
        return Step(after, _broken(proposal_id, traces.intent_fault(promised, heard)))
    finding, detail = fault
    return Step(after, (Say(DiscrepancyFound(proposal_id, finding, detail)),))


def _ended(state: State, before: Book, body: OrderAccepted | OrderRejected | OrderBlocked) -> Step[State]:
    """The venue answered (or was not asked): the decision is done, what follows is its order's life."""
    order = before.orders.get(body.client_order_id)
    if order is None:
        return Step(state)  # a leg: its entry was verified
    outcome: Outcome = "accepted"
    if not isinstance(body, OrderAccepted):
        outcome = "rejected" if isinstance(body, OrderRejected) else "withheld"
    return Step(state, (Say(Verified(order.proposal_id, outcome)),))


def _unknown_fill(was: Docket, body: OrderFilled) -> tuple[Say, ...]:
    before = was.book
    if body.client_order_id in before.orders or body.client_order_id in before.legs or _is_closing(was, body):
        return ()
    return (Say(DiscrepancyFound(body.client_order_id, "fill_unknown", "no such order was intended")),)


def _is_closing(was: Docket, body: OrderFilled) -> bool:
    """Whether the kill switch, by an order in the log, closes a position with it, and does nothing but reduce."""
    held = was.book.position_atoms(body.instrument)
    is_reduction = (held > 0) == (body.side == "sell") and atoms(body.quantity) <= abs(held)
    is_ordered = is_kill_order(body.client_order_id) and is_closing(was.standing, was.book.account, body.instrument)
    return is_ordered and is_reduction


def _count(state: State, overdue: Undecided) -> Step[State]:
    """One more slice. What had to be said of the one before was said by now, or it was withheld.

    What HRM has to say while he is held is said when he is released: it is waited for, and compared then.
    """
    slices, undecided = state.slices + 1, state.undecided
    says: tuple[Say, ...] = ()
    for key, waiting in () if state.hrm_is_held else overdue.items():
        for expected in waiting:
            missing = f"`{type(expected.answer).__name__}` follows from row {expected.act.seq} and was not said"
            says += (Say(DiscrepancyFound(key[0], "verdict_mismatch", missing)),)
        undecided = undecided.delete(key)  # it is said once, whatever else would have followed
    if slices % STATEMENT_EVERY_SLICES == 0:
        says += (Say(StatementWanted(slices)),)
    return Step(state._replace(undecided=undecided, slices=slices), says)


def _reconcile(state: State, stated: VenueStated) -> Step[State]:
    book = state.docket.book
    fault = books_fault(book, stated)
    if fault:
        return Step(state, (Say(DiscrepancyFound(book.account, "books_differ", fault)),))
    agreed = Reconciled(
        stated.venue_seq, stated.cash_micros, book.equity_micros(), len(stated.positions), len(stated.open_orders)
    )
    return Step(state, (Say(agreed),))
