"""Is the intended order the approved one?"""

from __future__ import annotations

from agents.aletheia.state import Promised
from mutable_core.messages import Finding, OrderIntended


def order_fault(promised: Promised | None, intended: OrderIntended) -> tuple[Finding, str] | None:
    """None where the intent is exactly what was approved."""
    order = intended.order
    if promised is None:
        return "order_unapproved", "no unused approval stands for it"
    proposal = promised.proposal
    asked = (
        proposal.instrument,
        proposal.side,
        proposal.quantity,
        proposal.limit_price,
        None if promised.reduces else proposal.stop_price,
        None if promised.reduces else proposal.target_price,
        promised.reduces,
    )
    meant = (
        order.instrument,
        order.side,
        order.quantity,
        order.limit_price,
        order.stop_price,
        order.target_price,
        order.reduces,
    )
    if meant != asked or intended.digest != promised.digest:
        return "order_altered", f"approved {asked}, intended {meant}"
    return None
