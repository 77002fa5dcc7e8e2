"""What Joey hears and may say."""

from __future__ import annotations

from agents.runtime.agent import AgentSpec
from mutable_core import book, standing
from mutable_core.messages import (
    CorporateActionObserved,
    DrillOrdered,
    NothingProposed,
    Observed,
    OrderBlocked,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    OrderWithheld,
    ProposalMade,
    Refused,
    RunStarted,
    SliceClosed,
)

_OWN: tuple[type, ...] = (
    RunStarted,
    Observed,
    CorporateActionObserved,
    SliceClosed,
    DrillOrdered,
    Refused,
    OrderIntended,
    OrderWithheld,
    OrderBlocked,
    OrderRejected,
    OrderFilled,
    OrderCancelled,
    OrderExpired,
)

SPEC = AgentSpec(
    name="joey",
    does="Asks the strategies of the mandate at every completed bar and proposes what they want, sized and protected.",
    hears=tuple(dict.fromkeys((*_OWN, *book.HEARD, *standing.HEARD))),
    says=(ProposalMade, NothingProposed),
)
