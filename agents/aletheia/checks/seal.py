"""Are the rules in force the sealed ones, by what the Watchdog found?"""

from __future__ import annotations

from mutable_core.messages import LeaseGranted

SIGNATURES_MIN = 2


def seal_fault(ruleset: str, granted: LeaseGranted) -> str:
    """Empty where the inspection that came with the lease found the rules that this run began with, whole and signed."""
    found = granted.inspection
    if found.seal_faults:
        return f"the seal is broken: {found.seal_faults[0]}"
    if found.ruleset != ruleset:
        return f"the rules in force are `{found.ruleset}`, the run began with `{ruleset}`"
    if found.seal_signatures < SIGNATURES_MIN:
        return f"`{found.seal_signatures}` known keys signed the rules, `{SIGNATURES_MIN}` must"
    return ""
