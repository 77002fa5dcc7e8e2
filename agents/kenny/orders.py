"""Which order follows from which proposal: one function, used where the order is made and where it is let out."""

from __future__ import annotations

from graveyard.words import Proposal
from mutable_core.ids import client_order_id
from mutable_core.messages import OrderSpec


def order_for(proposal: Proposal, *, reduces: bool) -> OrderSpec:
    """A marketable limit, good for the next bar; an entry brings its bracket, a reduction brings none."""
    return OrderSpec(
        client_order_id(proposal.proposal_id),
        proposal.proposal_id,
        proposal.instrument,
        proposal.side,
        proposal.quantity,
        "limit",
        proposal.limit_price,
        "next_bar",
        None if reduces else proposal.stop_price,
        None if reduces else proposal.target_price,
        reduces,
    )
