"""An approval becomes an intent, an intent becomes one order, a venue's answer moves it along its life."""

from __future__ import annotations

from immutables import Map

from agents.kenny.lifecycle import ENDED, OrderEvent, Tracked, advanced, entry_id
from agents.kenny.orders import order_for
from agents.kenny.state import State
from agents.runtime.agent import CancelOrder, FetchStatement, PlaceOrder, Say, Step, cause_of
from graveyard.words import Proposal, digest
from mutable_core.clock import SECOND_NS
from mutable_core.docket import BURST_NS
from mutable_core.ids import client_order_id
from mutable_core.messages import (
    Approved,
    CancelIntended,
    Envelope,
    OrderIntended,
    OrderWithheld,
    ProposalMade,
    Refused,
    SourceEnded,
    StatementWanted,
)

_USED_MAX = 256


def decide(state: State, heard: Envelope) -> Step[State]:
    body = heard.body
    match body:
        case ProposalMade(proposal=proposal):
            return Step(state._replace(proposals=state.proposals.set(proposal.proposal_id, proposal)))
        case Approved():
            return _approved(state, heard, body)
        case Refused(proposal_id=proposal_id):
            return Step(_forget(state, proposal_id))
        case SourceEnded():
            return _withdraw(state, heard)
        case StatementWanted():
            return Step(state, (), (FetchStatement(cause_of(heard)),))
        case _:
            return Step(_advance(state, body))  # type: ignore[arg-type]


def _approved(state: State, heard: Envelope, approved: Approved) -> Step[State]:
    """Intend exactly the order that was approved, if it is still good and the pace allows it."""
    proposal_id, now = approved.proposal_id, heard.ts_seen_ns
    proposal = state.proposals.get(proposal_id)
    bucket = min(BURST_NS, state.bucket_ns + max(0, now - state.bucket_at_ns))
    state = _forget(state, proposal_id)
    if proposal is None or digest(proposal) != approved.digest:
        return _withhold(state, proposal_id, "not_approved")
    if proposal_id in state.used:
        return _withhold(state, proposal_id, "approval_used")
    if now > approved.expires_ns:
        return _withhold(state, proposal_id, "approval_expired")
    if approved.facts.is_opening != 0 and _is_in_doubt(state, proposal.instrument):
        return _withhold(state, proposal_id, "outcome_unknown")
    if bucket < SECOND_NS:
        return _withhold(state, proposal_id, "rate_limited")
    return _intend(state, heard, approved, proposal, bucket - SECOND_NS)


def _intend(state: State, heard: Envelope, approved: Approved, proposal: Proposal, bucket: int) -> Step[State]:
    order = order_for(proposal, reduces=approved.facts.is_opening == 0)
    cause = cause_of(heard)
    intended = OrderIntended(order, approved.digest, heard.seq, approved.expires_ns, approved.hold_micros)
    state = State(
        state.proposals,
        state.orders.set(order.client_order_id, Tracked(order, "intended", cause, frozenset())),
        _pruned(state, heard.ts_seen_ns).set(approved.proposal_id, approved.expires_ns),
        bucket,
        heard.ts_seen_ns,
    )
    return Step(state, (Say(intended),), (PlaceOrder(order, proposal, approved, heard.seq, cause),))


def _is_in_doubt(state: State, instrument: str) -> bool:
    """An order in the instrument may or may not be at the venue: until that is known, nothing more is opened there."""
    return any(
        tracked.status == "unknown" and tracked.order.instrument == instrument for tracked in state.orders.values()
    )


def _pruned(state: State, now: int) -> Map[str, int]:
    """Used approvals are remembered until they could not be used anyway."""
    if len(state.used) < _USED_MAX:
        return state.used
    return Map((proposal_id, until) for proposal_id, until in state.used.items() if until >= now)


def _withhold(state: State, proposal_id: str, reason: str) -> Step[State]:
    withheld = OrderWithheld(proposal_id, client_order_id(proposal_id), reason)  # type: ignore[arg-type]
    return Step(state, (Say(withheld),))


def _forget(state: State, proposal_id: str) -> State:
    if proposal_id not in state.proposals:
        return state
    return State(state.proposals.delete(proposal_id), state.orders, state.used, state.bucket_ns, state.bucket_at_ns)


def _advance(state: State, event: OrderEvent) -> State:
    key = entry_id(event.client_order_id)
    tracked = state.orders.get(key)
    if tracked is None:
        return state
    after = advanced(tracked, event)
    orders = state.orders.delete(key) if after.is_over else state.orders.set(key, after)
    return State(state.proposals, orders, state.used, state.bucket_ns, state.bucket_at_ns)


def _withdraw(state: State, heard: Envelope) -> Step[State]:
    """No more prices will come: entries that still work are withdrawn, protection stays where it is."""
    working = [key for key, tracked in sorted(state.orders.items()) if tracked.status not in ENDED]
    cause = cause_of(heard)
    says = tuple(Say(CancelIntended(key, "source_ended"), state.orders[key].cause) for key in working)
    return Step(state, says, tuple(CancelOrder(key, cause) for key in working))
