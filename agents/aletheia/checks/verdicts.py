"""Does the verdict in the log follow from the log?"""

from __future__ import annotations

from agents.aletheia.state import Expected
from graveyard.words import digest
from mutable_core.docket import APPROVAL_TERM_NS
from mutable_core.messages import Approved, Refused


def verdict_fault(expected: Expected | None, said: Approved | Refused) -> str:
    """Empty where everything that was said is what she found herself."""
    if expected is None:
        return "a verdict on a proposal that is not in the log"
    if said.facts != expected.facts:
        return f"facts differ: {_differences(said, expected)}"
    if said != follows(expected):
        return "the verdict, or what was said with it, does not follow from its facts"
    return ""


def follows(expected: Expected) -> Approved | Refused:
    """The one message that may answer the proposal."""
    proposal, facts, hold = expected.proposal, expected.facts, expected.hold
    named = (proposal.proposal_id, proposal.instrument, digest(proposal), expected.heard.seq, facts, expected.verdict)
    if not expected.verdict.approved:
        return Refused(*named)
    risk = 0 if facts.is_opening == 0 else hold.risk_micros
    return Approved(*named, hold.notional_micros, risk, expected.heard.ts_seen_ns + APPROVAL_TERM_NS)


def _differences(said: Approved | Refused, expected: Expected) -> str:
    names = type(said.facts).__struct_fields__
    pairs = [(name, getattr(said.facts, name), getattr(expected.facts, name)) for name in names]
    return ", ".join(f"{name} {theirs} against {ours}" for name, theirs, ours in pairs if theirs != ours)
