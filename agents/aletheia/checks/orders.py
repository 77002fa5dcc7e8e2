"""Is the intended order the approved one?"""

from __future__ import annotations

from agents.aletheia.state import Promised
from mutable_core.ids import client_order_id
from mutable_core.messages import Finding, OrderIntended, OrderSpec


def order_fault(promised: Promised | None, intended: OrderIntended) -> tuple[Finding, str] | None:
    """None where the intent is exactly what was approved."""
    if promised is None:
        return "order_unapproved", "no unused approval stands for it"
    meant = follows(promised)
    if intended != meant:
        return "order_altered", f"approved {meant}, intended {intended}"
    return None


def follows(promised: Promised) -> OrderIntended:
    """The one intent that may follow from the approval. Written apart from Kenny's own, to be compared with it."""
    proposal, approved = promised.proposal, promised.approved
    reduces = approved.facts.is_opening == 0
    order = OrderSpec(
        client_order_id=client_order_id(proposal.proposal_id),
        proposal_id=proposal.proposal_id,
        instrument=proposal.instrument,
        side=proposal.side,
        quantity=proposal.quantity,
        type="limit",
        limit_price=proposal.limit_price,
        time_in_force="next_bar",
        stop_price=None if reduces else proposal.stop_price,
        target_price=None if reduces else proposal.target_price,
        reduces=reduces,
    )
    return OrderIntended(order, approved.digest, promised.heard.seq, approved.expires_ns, approved.hold_micros)
