"""HRM, the arbiter."""

from agents.hrm.decide import decide
from agents.hrm.spec import SPEC
from agents.hrm.state import FIRST
from agents.runtime.agent import Agent

AGENT = Agent(SPEC, FIRST, decide)
