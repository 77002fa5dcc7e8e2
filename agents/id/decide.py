"""Issue an identity to every agent when a journal begins."""

from __future__ import annotations

from agents.id.state import State
from agents.runtime.agent import Say, Step
from mutable_core.messages import Envelope, IdentityIssued, RunStarted


def decide(state: State, heard: Envelope) -> Step[State]:
    body = heard.body
    assert isinstance(body, RunStarted)
    return Step(state, tuple(Say(IdentityIssued(one.agent, body.build, one.may_say)) for one in state))
