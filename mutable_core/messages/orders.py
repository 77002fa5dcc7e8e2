"""What Kenny intends and what the venue answers.

A bracket is one intent: the entry, and two protective legs that the venue arms when the entry fills and of
which one cancels the other. Leg ids follow from the entry's: see `leg_id`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar, Literal

import msgspec

from graveyard.words import Side
from mutable_core.messages.market import Body

OrderType = Literal["market", "limit", "stop"]
TimeInForce = Literal["next_bar", "gtc"]
Leg = Literal["entry", "stop", "target"]


def leg_id(client_order_id: str, leg: Leg) -> str:
    """The id of a bracket's leg: the entry keeps the intent's own."""
    return client_order_id if leg == "entry" else f"{client_order_id}.{leg}"


KILL_PREFIX = "kill-"
"""What the ids of the kill switch's own orders begin with; no order of ours may."""


def is_kill_order(client_order_id: str) -> bool:
    """Whether the kill switch placed it, by the venue's word: the venue takes such an id from nobody else."""
    return client_order_id.startswith(KILL_PREFIX)


class OrderSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One order as the venue will get it.

    Attributes:
        client_order_id: derived from the proposal: the same intent has the same id for ever.
        time_in_force: `next_bar` ends when the instrument's next bar (or, on ticks, minute) has passed.
        stop_price, target_price: of the bracket's legs; None where the order has no such leg.
        reduces: it closes part of a position; its legs' bracket, if any, shrinks with it.
    """

    client_order_id: str
    proposal_id: str
    instrument: str
    side: Side
    quantity: Decimal
    type: OrderType
    limit_price: Decimal | None
    time_in_force: TimeInForce
    stop_price: Decimal | None
    target_price: Decimal | None
    reduces: bool


class OrderIntended(Body, frozen=True, tag="order.intended/1"):
    """Kenny will place this order as soon as this message is durable.

    `approval_position` is the log position of the verdict that it rests on.
    """

    order: OrderSpec
    digest: str
    approval_position: int
    expires_ns: int
    hold_micros: int


class CancelIntended(Body, frozen=True, tag="order.cancel_intended/1"):
    client_order_id: str
    reason: Literal["source_ended", "position_closed", "expired"]


class OrderWithheld(Body, frozen=True, tag="order.withheld/1"):
    """Approved, but not sent: a terminal state, the hold is released."""

    proposal_id: str
    client_order_id: str
    reason: Literal["rate_limited", "approval_expired", "approval_used", "not_approved", "outcome_unknown"]


class OrderBlocked(Body, frozen=True, tag="order.blocked/1"):
    """The order is not at the venue, for a reason that the log does not hold. Terminal.

    The venue door did not let it out; or it was unknown, and the venue has said twice, half a minute apart, that it
    never arrived.
    """

    IS_INPUT: ClassVar[bool] = True
    client_order_id: str
    reason: Literal["lease_stale", "halted", "approval_expired", "authority_silent", "never_arrived"]


class OrderUnknown(Body, frozen=True, tag="order.unknown/1"):
    """The venue does not tell whether it has the order. Not an end: the hold stands until the venue has said."""

    IS_INPUT: ClassVar[bool] = True
    client_order_id: str


class VenueEvent(Body, frozen=True):
    """Something that the venue says of an order. `venue_seq` counts the venue's events, 1-based, contiguous."""

    IS_INPUT: ClassVar[bool] = True
    venue_seq: int
    client_order_id: str


class OrderAccepted(VenueEvent, frozen=True, tag="order.accepted/1"):
    pass


class OrderRejected(VenueEvent, frozen=True, tag="order.rejected/1"):
    reason: str


class OrderFilled(VenueEvent, frozen=True, tag="order.filled/1"):
    """Part or all of an order traded.

    Attributes:
        leg: which leg of the bracket; `client_order_id` is the leg's own id.
        fee_micros: paid to the venue, ≥ 0.
        remaining: still working after this fill, units.
    """

    instrument: str
    leg: Leg
    side: Side
    price: Decimal
    quantity: Decimal
    fee_micros: int
    remaining: Decimal


class OrderCancelled(VenueEvent, frozen=True, tag="order.cancelled/1"):
    reason: Literal["by_us", "other_leg_filled", "position_closed", "kill_switch"]


class OrderExpired(VenueEvent, frozen=True, tag="order.expired/1"):
    pass


class OrderAdjusted(VenueEvent, frozen=True, tag="order.adjusted/1"):
    """A corporate action changed a working order; quantity and prices are the new ones."""

    quantity: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None


class PositionLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    instrument: str
    quantity_atoms: int


class VenueStated(Body, frozen=True, tag="order.venue_stated/1"):
    """The venue's own statement of the account, sorted; what the books must equal.

    `venue_seq` is the last event that it includes; `open_orders` are ids of working orders and armed legs.
    """

    IS_INPUT: ClassVar[bool] = True
    venue_seq: int
    cash_micros: int
    positions: tuple[PositionLine, ...]
    open_orders: tuple[str, ...]
