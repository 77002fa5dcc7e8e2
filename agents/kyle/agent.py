"""Kyle, put together."""

from agents.kyle.decide import decide
from agents.kyle.spec import SPEC
from agents.kyle.state import FIRST_STATE
from agents.runtime.agent import Agent

AGENT = Agent(SPEC, FIRST_STATE, decide)
