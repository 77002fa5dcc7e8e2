"""What the simulator has found in the house: scripts that once broke a law, each shrunk, and must never do so again."""

from __future__ import annotations

from typing import NamedTuple

from tests.simulation.script import Fault


class Finding(NamedTuple):
    """`name` is what went wrong, before it was mended; `seed` and `faults` show it (see `script.drawn`)."""

    name: str
    seed: int
    faults: tuple[Fault, ...]


FINDINGS: tuple[Finding, ...] = (
    Finding(
        "aletheia took a held HRM's silence for a verdict that was withheld, and permission ended for good",
        21,
        (Fault(7, "venue_down", "", 15), Fault(14, "hang", "hrm", 3)),
    ),
    Finding(
        "aletheia took what a released Joey said of old observations for a broken trace, and permission ended for good",
        4,
        (Fault(100, "lie", "joey", 3),),
    ),
    Finding(
        "what a released Kyle let through late counted as seen now: HRM approved openings on old prices",
        14,
        (Fault(170, "gap", "", 114), Fault(265, "hang", "kyle", 2), Fault(280, "watchdog_frozen", "", 17)),
    ),
)
