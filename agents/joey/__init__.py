"""Joey proposes: features, strategies, sizing."""

from __future__ import annotations

from agents.joey.decide import decide
from agents.joey.spec import SPEC
from agents.joey.state import FIRST_STATE
from agents.joey.strategies import STRATEGIES
from agents.runtime.agent import Agent

AGENT = Agent(SPEC, FIRST_STATE, decide)

__all__ = ["AGENT", "SPEC", "STRATEGIES"]
