"""Does the answer in the log follow from the log?"""

from __future__ import annotations

from agents.aletheia.state import Expected
from graveyard.words import Facts
from mutable_core.docket import Answer


def verdict_fault(expected: Expected | None, said: Answer) -> str:
    """Empty where everything that was said is what she found herself."""
    if expected is None:
        return "an answer that nothing in the log asks for"
    found = expected.answer
    if said == found:
        return ""
    theirs, ours = getattr(said, "facts", None), getattr(found, "facts", None)
    if theirs is not None and ours is not None and theirs != ours:
        return f"facts differ: {_differences(theirs, ours)}"
    if type(said) is not type(found):
        return f"`{type(said).__name__}` was said where `{type(found).__name__}` follows"
    return "the verdict, or what was said with it, does not follow from its facts"


def _differences(theirs: Facts, ours: Facts) -> str:
    pairs = [(name, getattr(theirs, name), getattr(ours, name)) for name in Facts.__struct_fields__]
    return ", ".join(f"{name} {one} against {other}" for name, one, other in pairs if one != other)
