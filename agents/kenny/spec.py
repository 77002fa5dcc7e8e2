"""What Kenny hears, says and may do."""

from agents.runtime.agent import AgentSpec
from mutable_core.messages import (
    Approved,
    CancelIntended,
    OrderAccepted,
    OrderAdjusted,
    OrderBlocked,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    OrderUnknown,
    OrderWithheld,
    ProposalMade,
    Refused,
    SourceEnded,
    StatementWanted,
    VenueStated,
)

SPEC = AgentSpec(
    name="kenny",
    does="turns approvals into orders, once each, and reports what the venue answers",
    hears=(
        ProposalMade,
        Approved,
        Refused,
        OrderAccepted,
        OrderRejected,
        OrderFilled,
        OrderCancelled,
        OrderExpired,
        OrderBlocked,
        OrderUnknown,
        SourceEnded,
        StatementWanted,
    ),
    says=(OrderIntended, OrderWithheld, CancelIntended),
    reports=(
        OrderAccepted,
        OrderRejected,
        OrderFilled,
        OrderCancelled,
        OrderExpired,
        OrderAdjusted,
        OrderBlocked,
        OrderUnknown,
        VenueStated,
    ),
)
