"""What the Watchdog counts against the house: more than ten a minute halt it. Ordinary refusals are none of it."""

from __future__ import annotations

from collections import deque

from graveyard.words import Violation
from mutable_core.messages import DiscrepancyFound, DrillOrdered, Envelope, Refused

DRILLS_MAX = 256
OF_THE_HOUSE = frozenset({14, 19})
"""Rules about what the house is in: a halt, an inspection that is too old. Whoever proposes then has done no wrong, and a
halt must not lead to a further one: agents that work off what was put aside know nothing of it yet."""


class Violations:
    """Counts, since the start, acts that nobody may ever ask for, and verdicts that do not follow from the log."""

    def __init__(self) -> None:
        self.count = 0
        self._drilled: deque[str] = deque(maxlen=DRILLS_MAX)  # traces of breaches that people ordered

    def see(self, envelope: Envelope) -> None:
        """The next message of the log."""
        match envelope.body:
            case DrillOrdered():
                self._drilled.append(envelope.trace_id)
            case Refused(verdict=verdict) if envelope.trace_id not in self._drilled:
                self.count += sum(map(_is_forbidden, verdict.violations))
            case DiscrepancyFound(finding="verdict_mismatch"):
                self.count += 1
            case _:
                pass


def _is_forbidden(violation: Violation) -> bool:
    return violation.severity == "CRITICAL" and violation.rule not in OF_THE_HOUSE
