"""What Aletheia hears, says and may do."""

from agents.runtime.agent import AgentSpec
from mutable_core import docket
from mutable_core.messages import (
    AccountHalted,
    AgentHeld,
    AgentReleased,
    Approved,
    DiscrepancyFound,
    OperationApproved,
    OperationRefused,
    Reconciled,
    Refused,
    StatementWanted,
    VenueStated,
    Verified,
)

SPEC = AgentSpec(
    name="aletheia",
    does="verifies: recomputes every answer from the log, matches orders with approvals, books with the venue, rules with their seal",
    hears=(
        *docket.HEARD,
        Approved,
        Refused,
        OperationApproved,
        OperationRefused,
        AccountHalted,
        AgentHeld,
        AgentReleased,
        VenueStated,
    ),
    says=(Verified, StatementWanted, Reconciled, DiscrepancyFound),
)
