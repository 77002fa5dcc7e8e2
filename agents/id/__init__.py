"""ID, the keeper of identities."""

from agents.id.decide import decide
from agents.id.spec import SPEC
from agents.id.state import FIRST
from agents.runtime.agent import Agent

AGENT = Agent(SPEC, FIRST, decide)
