"""Vet each proposal on facts from the log; hold what an approval may cost; say why."""

from __future__ import annotations

from agents.hrm.state import State
from agents.runtime.agent import Say, Step
from graveyard.words import digest
from mutable_core import docket
from mutable_core.docket import APPROVAL_TERM_NS
from mutable_core.messages import Approved, Envelope, ProposalMade, Refused


def decide(state: State, heard: Envelope) -> Step[State]:
    if type(heard.body) is ProposalMade:
        return _vet(state, heard, heard.body)
    return Step(docket.fold(state, heard))


def _vet(state: State, heard: Envelope, body: ProposalMade) -> Step[State]:
    proposal = body.proposal
    after, facts, verdict, hold = docket.vet(state, heard, proposal)
    if not verdict.approved:
        refused = Refused(proposal.proposal_id, proposal.instrument, digest(proposal), heard.seq, facts, verdict)
        return Step(after, (Say(refused),))
    approved = Approved(
        proposal.proposal_id,
        proposal.instrument,
        digest(proposal),
        heard.seq,
        facts,
        verdict,
        hold.notional_micros,
        0 if facts.is_opening == 0 else hold.risk_micros,
        heard.ts_seen_ns + APPROVAL_TERM_NS,
    )
    return Step(after, (Say(approved),))
