"""What Kyle hears, says and may do."""

from agents.runtime.agent import AgentSpec
from mutable_core.messages import (
    CorporateActionObserved,
    InputRejected,
    Observed,
    RowReceived,
    RunStarted,
    SliceClosed,
    SourceEnded,
)

SPEC = AgentSpec(
    name="kyle",
    does="observes the market: reads sources, lets through what passes the quality gate, says why the rest does not",
    hears=(RunStarted, RowReceived),
    says=(Observed, InputRejected, CorporateActionObserved),
    reports=(RowReceived, SliceClosed, SourceEnded),
)
