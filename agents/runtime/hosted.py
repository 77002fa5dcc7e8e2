"""An agent with its state in this process, as the bus sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agents.runtime.agent import Agent, Say, Want
from mutable_core.messages import Envelope


class Hosted:
    """Keeps an agent's state between messages. The state is replaced, never changed."""

    def __init__(self, agent: Agent) -> None:
        self.name = agent.spec.name
        self.hears = agent.spec.hears
        self.says = frozenset(agent.spec.says)
        self.reports = frozenset(agent.spec.reports)
        self.folds: frozenset[type] = frozenset()
        self.state: Any = agent.first_state
        self._decide = agent.decide

    def tell(self, row: bytes, envelope: Envelope) -> None:
        """It decides when it is asked."""

    def answer(self, envelope: Envelope) -> tuple[Sequence[Say], Sequence[Want]]:
        step = self._decide(self.state, envelope)
        self.state = step.state
        return step.says, step.wants
