"""Joey's red twin: he is deaf to halts and vetoes, and whatever he would open he asks for four times as much of, three times.

A pure agent, as Joey is: his journals replay.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from agents.joey import AGENT
from agents.runtime.agent import Agent, Say, Step
from mutable_core.ids import derived_id
from mutable_core.messages import AccountHalted, Envelope, HaltOrdered, ProposalMade, VetoSet

TIMES = 4
"""4 % of equity each: one or two may pass, three are more than 10 % of it in one instrument."""

_UNHEARD = (HaltOrdered, AccountHalted, VetoSet)


def decide(state: Any, heard: Envelope) -> Step[Any]:
    if isinstance(heard.body, _UNHEARD):
        return Step(state)
    step = AGENT.decide(state, heard)
    if not step.says:
        return step
    says: list[Say] = []
    for say in step.says:
        body = say.body
        if not isinstance(body, ProposalMade) or body.is_drill or body.proposal.stop_price is None:
            says.append(say)
            continue
        proposal = replace(body.proposal, quantity=body.proposal.quantity * TIMES)
        says.append(Say(ProposalMade(proposal), say.cause))
        for number in ("second", "third"):
            again = replace(proposal, proposal_id=derived_id(number, proposal.proposal_id))
            says.append(Say(ProposalMade(again), say.cause))
    return Step(step.state, tuple(says), step.wants)


GREEDY = Agent(AGENT.spec, AGENT.first_state, decide)
