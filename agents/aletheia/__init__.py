"""Aletheia, the mirror."""

from agents.aletheia.decide import decide
from agents.aletheia.spec import SPEC
from agents.aletheia.state import FIRST
from agents.runtime.agent import Agent

AGENT = Agent(SPEC, FIRST, decide)
