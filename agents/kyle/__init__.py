"""Kyle, the seer."""

from agents.kyle.agent import AGENT

__all__ = ["AGENT"]
