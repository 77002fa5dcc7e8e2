"""What Aletheia hears, says and may do."""

from agents.runtime.agent import AgentSpec
from mutable_core import docket
from mutable_core.messages import (
    Approved,
    DiscrepancyFound,
    Reconciled,
    Refused,
    SliceClosed,
    SourceEnded,
    StatementWanted,
    VenueStated,
    Verified,
)

SPEC = AgentSpec(
    name="aletheia",
    does="verifies: recomputes every verdict from the log, matches orders with approvals, books with the venue",
    hears=(
        *(kind for kind in docket.HEARD if kind is not Approved),
        Approved,
        Refused,
        SliceClosed,
        SourceEnded,
        VenueStated,
    ),
    says=(Verified, StatementWanted, Reconciled, DiscrepancyFound),
)
