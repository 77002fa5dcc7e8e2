"""Does the verdict in the log follow from the log?"""

from __future__ import annotations

from agents.aletheia.state import Expected
from graveyard.words import digest
from mutable_core.messages import Approved, Refused


def verdict_fault(expected: Expected | None, said: Approved | Refused) -> str:
    """Empty where facts, verdict and digest are what she found herself."""
    if expected is None:
        return "a verdict on a proposal that is not in the log"
    if said.digest != digest(expected.proposal):
        return "the verdict is on another proposal"
    if said.position != expected.position:
        return f"the verdict names position {said.position}, the proposal stands at {expected.position}"
    if said.facts != expected.facts:
        return f"facts differ: {_differences(said, expected)}"
    if said.verdict != expected.verdict or isinstance(said, Approved) != expected.verdict.approved:
        return "the verdict does not follow from its facts"
    return ""


def _differences(said: Approved | Refused, expected: Expected) -> str:
    names = type(said.facts).__struct_fields__
    pairs = [(name, getattr(said.facts, name), getattr(expected.facts, name)) for name in names]
    return ", ".join(f"{name} {theirs} against {ours}" for name, theirs, ours in pairs if theirs != ours)
