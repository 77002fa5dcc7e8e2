"""What can go wrong inside the Graveyard. A refusal is not among them: it is a `Verdict`.

GraveyardError
├── MalformedRule      a term, clause, rule or ruleset that the language does not have: nothing is judged with it
├── RulesChanged       the rules at hand are not the pinned ones: stop, page a person, never retry
├── SealBroken         the rules, their source or their proofs are not what two people signed: stop, page a person
└── MalformedRequest   an approval was asked for in words that cannot be signed: a defect of the asker
"""

from __future__ import annotations


class GraveyardError(Exception):
    """The message is lower case, without full stop, values in backticks."""


class MalformedRule(GraveyardError):
    """A term, clause, rule or ruleset that the language does not have."""


class RulesChanged(GraveyardError):
    """The rules at hand are not the pinned ones.

    Attributes:
        pinned, found: SHA-256 of the canonical rules, 64 hex digits.
    """

    def __init__(self, *, pinned: str, found: str) -> None:
        super().__init__(f"the rules have the digest `{found}`, pinned is `{pinned}`")
        self.pinned = pinned
        self.found = found


class SealBroken(GraveyardError):
    """The rules, their source or their proofs are not what enough people signed for now.

    Args:
        faults: everything that is wrong, one line each, at least one; the message is the first.

    Attributes:
        what: the first fault.
        to_do: the next step of the person who reads it.
    """

    to_do = "restore the sealed release, or release the change with `ark rules release`"

    def __init__(self, *faults: str) -> None:
        more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
        super().__init__(f"the seal is broken: {faults[0]}{more}; {self.to_do}")
        self.what = f"the seal is broken: {faults[0]}{more}"
        self.faults = faults


class MalformedRequest(GraveyardError):
    """An approval was asked for in words that cannot be signed."""
