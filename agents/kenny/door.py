"""The venue door: the only way out. It lets through exactly the order that was approved, once, while it is fresh."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from agents.kenny.orders import order_for
from agents.kenny.venues.port import Venue
from graveyard.words import Approval, Proposal, digest
from mutable_core.errors import ApprovalForged
from mutable_core.messages import OrderSpec

_BURNED_MAX = 4_096


class Verifier(Protocol):
    def verify(self, approval: Approval) -> bool: ...


class Door:
    """Checks an approval against the order, the log and the clocks, then hands the order to the venue.

    Args:
        venue: what lies behind the door.
        verifier: knows an approval by the authority from a forged one.
        durable_seq: the journal's durable position, now.
        lease_is_fresh: whether the Watchdog's lease stands on the monotonic clock, now.
    """

    def __init__(
        self, venue: Venue, verifier: Verifier, durable_seq: Callable[[], int], lease_is_fresh: Callable[[], bool]
    ) -> None:
        self._venue = venue
        self._verifier = verifier
        self._durable_seq = durable_seq
        self._lease_is_fresh = lease_is_fresh
        self._burned: dict[str, int] = {}

    def place(self, order: OrderSpec, proposal: Proposal, approval: Approval, now_ns: int) -> bool:
        """Hand `order` to the venue. False where the lease is stale: nothing left the house.

        Raises:
            ApprovalForged: the approval is not the authority's, not for this order, not durable, late or used.
            VenueUnavailable: the venue did not answer; whether it has the order is not known.
        """
        fault = self._fault(order, proposal, approval, now_ns)
        if fault:
            raise ApprovalForged(
                f"the venue door refused order `{order.client_order_id}`: {fault}",
                to_do="stop, keep the journal, and find out who sent it",
            )
        if approval.opening and not self._lease_is_fresh():
            return False
        self._burn(approval, now_ns)
        self._venue.place(order, now_ns)
        return True

    def _fault(self, order: OrderSpec, proposal: Proposal, approval: Approval, now_ns: int) -> str:
        if type(order) is not OrderSpec or type(proposal) is not Proposal:
            return "the order or the proposal is of another type, which could say anything of itself"
        if not self._verifier.verify(approval):
            return "the approval was not made by the authority"
        if approval.proposal_id != proposal.proposal_id or approval.digest != digest(proposal):
            return "the approval is for another proposal"
        if approval.account != proposal.account:
            return "the approval is for another account"
        if order != order_for(proposal, reduces=not approval.opening):
            return "the order is not the one that was approved"
        if approval.position > self._durable_seq():
            return "the verdict is not durable"
        if now_ns > approval.expires_ns:
            return "the approval has expired"
        if approval.proposal_id in self._burned:
            return "the approval was used before"
        return ""

    def _burn(self, approval: Approval, now_ns: int) -> None:
        """An approval is used once. What has expired need not be remembered; the venue knows its ids for ever."""
        if len(self._burned) >= _BURNED_MAX:
            self._burned = {key: until for key, until in self._burned.items() if until >= now_ns}
        self._burned[approval.proposal_id] = approval.expires_ns
