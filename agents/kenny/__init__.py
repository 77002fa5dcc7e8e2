"""Kenny, the builder."""

from agents.kenny.decide import decide
from agents.kenny.spec import SPEC
from agents.kenny.state import FIRST
from agents.runtime.agent import Agent

AGENT = Agent(SPEC, FIRST, decide)
