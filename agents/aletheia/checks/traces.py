"""Does each step of a decision follow from the step before, in the same trace?"""

from __future__ import annotations

from immutables import Map

from agents.aletheia.state import Expected, Promised
from mutable_core.docket import Recent, find_observation
from mutable_core.messages import Envelope, ProposalMade


def proposal_fault(recent: Map[str, Recent], heard: Envelope, body: ProposalMade) -> str:
    """A proposal is caused by an observation in the log, and belongs to its trace. Drills begin with their order.

    Whoever was held proposes upon what has been forgotten here: the rules refuse that for lack of evidence, and no more
    can be said of it.
    """
    if body.is_drill:
        return ""
    source = find_observation(recent, body.proposal.instrument, heard.cause_id)
    if source is None:
        if _is_forgotten(recent, body.proposal.instrument, heard.ts_event_ns):
            return ""
        return f"the proposal names `{heard.cause_id}` as its cause, which is no recent observation"
    return "" if source.trace_id == heard.trace_id else "the proposal left the trace of its observation"


def _is_forgotten(recent: Map[str, Recent], instrument: str, ts_event_ns: int) -> bool:
    """Whether what happened there then is older than all that is remembered."""
    seen = recent.get(instrument, ())
    return bool(seen) and ts_event_ns < seen[0].ts_event_ns


def verdict_fault(expected: Expected | None, heard: Envelope) -> str:
    return "" if expected is None else _step_fault("verdict", heard, expected.act)


def intent_fault(promised: Promised | None, heard: Envelope) -> str:
    return "" if promised is None else _step_fault("intent", heard, promised.heard)


def _step_fault(what: str, heard: Envelope, before: Envelope) -> str:
    if heard.cause_id != before.id:
        return f"the {what} names `{heard.cause_id}` as its cause, the step before it is `{before.id}`"
    if heard.trace_id != before.trace_id:
        return f"the {what} left the trace of the step before it"
    return ""
