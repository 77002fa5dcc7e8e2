"""The life of an order: which state may follow which. An event that does not fit changes nothing here; Aletheia says so.

intended ─▶ accepted ─▶ partly_filled ─▶ filled
    │           │             ├────────▶ cancelled | expired
    │           └─────────────┴────────▶ cancelled | expired | filled
    ├─▶ rejected | blocked
    └─▶ unknown ─▶ accepted | partly_filled | filled | rejected | blocked
"""

from __future__ import annotations

from typing import Literal

import msgspec

from agents.runtime.agent import Cause
from mutable_core.messages import (
    OrderAccepted,
    OrderBlocked,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderSpec,
    OrderUnknown,
    leg_id,
)

Status = Literal[
    "intended", "unknown", "accepted", "partly_filled", "filled", "cancelled", "expired", "rejected", "blocked"
]  # fmt: skip

NEXT: dict[Status, frozenset[Status]] = {
    "intended": frozenset({"accepted", "rejected", "blocked", "unknown"}),
    "unknown": frozenset({"accepted", "partly_filled", "filled", "rejected", "blocked"}),
    "accepted": frozenset({"partly_filled", "filled", "cancelled", "expired"}),
    "partly_filled": frozenset({"partly_filled", "filled", "cancelled", "expired"}),
    "filled": frozenset(),
    "cancelled": frozenset(),
    "expired": frozenset(),
    "rejected": frozenset(),
    "blocked": frozenset(),
}
ENDED: frozenset[Status] = frozenset(status for status, after in NEXT.items() if not after)

OrderEvent = OrderAccepted | OrderRejected | OrderFilled | OrderCancelled | OrderExpired | OrderBlocked | OrderUnknown


class Tracked(msgspec.Struct, frozen=True, gc=False):
    """An intent on its way, until its entry has ended and its legs are disarmed."""

    order: OrderSpec
    status: Status
    cause: Cause
    legs: frozenset[str]  # armed

    @property
    def is_over(self) -> bool:
        return self.status in ENDED and not self.legs


def status_after(event: OrderEvent) -> Status:
    match event:
        case OrderAccepted():
            return "accepted"
        case OrderRejected():
            return "rejected"
        case OrderFilled():
            return "partly_filled" if event.remaining else "filled"
        case OrderCancelled():
            return "cancelled"
        case OrderExpired():
            return "expired"
        case OrderBlocked():
            return "blocked"
        case OrderUnknown():
            return "unknown"


def advanced(tracked: Tracked, event: OrderEvent) -> Tracked:
    """The order after one event of its entry or of one of its legs."""
    order, status, legs = tracked.order, tracked.status, tracked.legs
    if event.client_order_id != order.client_order_id:
        ended = isinstance(event, OrderCancelled | OrderExpired) or (
            isinstance(event, OrderFilled) and not event.remaining
        )
        return Tracked(order, status, tracked.cause, legs - {event.client_order_id} if ended else legs)
    after = status_after(event)
    if after not in NEXT[status]:
        return tracked
    if isinstance(event, OrderFilled):
        legs |= _armed(order)
    return Tracked(order, after, tracked.cause, legs)


def _armed(order: OrderSpec) -> frozenset[str]:
    legs = [(order.stop_price, "stop"), (order.target_price, "target")]
    return frozenset(
        leg_id(order.client_order_id, "stop" if name == "stop" else "target")
        for price, name in legs
        if price is not None
    )


def entry_id(any_leg_id: str) -> str:
    """The intent's id, from its own or a leg's."""
    return any_leg_id.partition(".")[0]
