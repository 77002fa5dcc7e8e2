"""Vet each act on facts from the log; hold what an approval may cost; ask people where people must agree; say why."""

from __future__ import annotations

from agents.hrm.state import State
from agents.runtime.agent import Say, Step, cause_of
from mutable_core import docket
from mutable_core.messages import Envelope


def decide(state: State, heard: Envelope) -> Step[State]:
    """An answer stays in the trace of the act that it answers, however much later it comes."""
    after, answers = docket.answer(state, heard)
    return Step(after, tuple([Say(body, None if act is heard else cause_of(act)) for body, act in answers]))
