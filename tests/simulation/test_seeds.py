"""The house in virtual time, seed after seed: whatever goes wrong, I1–I10 hold, and after the calm all comes to its end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest

from tests.simulation.__main__ import command
from tests.simulation.findings import FINDINGS, Finding
from tests.simulation.script import SECONDS, drawn, written
from tests.simulation.simulation import simulate

CHUNK = 25
CHUNKS = 16
"""25 × 16 runs of 15 minutes are 100 simulated hours."""
NIGHTLY_CHUNK, NIGHTLY_CHUNKS = 400, 100
REPLAY_EVERY = 8
SLOW_S = 600
"""Ten seconds of work each; a machine that is shared by many may take as long as this."""

RARE = (
    "held AgentLate", "held AgentGone", "held AgentMisbehaved", "held late", "held ended", "held quarantined",
    "held isolated", "released", "back within the patience", "suspected", "found dead by its silence", "quarantined",
    "quarantine doubled", "half-open", "probe failed", "readmitted", "isolated",
    "unknown order", "unknown resolved by the venue", "blocked never_arrived", "blocked lease_stale",
    "blocked authority_silent", "arrived_late", "rejected", "partial fill", "kenny ended with an order under way",
    "events_late", "events_doubled", "events_reordered", "events_silent", "lookup_silent", "statement_silent",
    "watchdog frozen", "stalled", "disk failed", "power cut turn", "power cut before_commit", "power cut after_commit",
    "power cut before_place", "intent lost", "foreign order", "discrepancy fill_unknown", "split",
    "halt reduce_only", "halt halted", "resumed", "account halted", "refused", "drill",
)  # fmt: skip
"""States that a simulator must reach, or it shows nothing about them."""


def hours_without_a_violation(first: int, count: int) -> float:
    seconds = 0
    for seed in range(first, first + count):
        outcome = simulate(drawn(seed), with_replay=seed % REPLAY_EVERY == 0)
        seconds += outcome.seconds
        assert outcome.violation is None, f"{outcome.violation}\n{command(outcome.script)}"
    return seconds / 3600


@pytest.mark.timeout(SLOW_S)
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_nothing_that_must_not_be_happens(chunk: int) -> None:
    assert hours_without_a_violation(chunk * CHUNK, CHUNK) >= CHUNK * SECONDS / 3600


@pytest.mark.nightly
@pytest.mark.parametrize("chunk", range(NIGHTLY_CHUNKS))
def test_nothing_that_must_not_be_happens_in_many_hours(chunk: int) -> None:
    hours_without_a_violation(1_000 + chunk * NIGHTLY_CHUNK, NIGHTLY_CHUNK)


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda finding: finding.name)
def test_what_was_found_once_is_mended(finding: Finding) -> None:
    assert simulate(drawn(finding.seed).with_faults(finding.faults)).violation is None


@pytest.mark.timeout(SLOW_S)
def test_every_rare_state_is_reached() -> None:
    reached: Counter[str] = Counter()
    for seed in range(CHUNK * CHUNKS):
        reached += simulate(drawn(seed)).reached
        if all(reached[state] for state in RARE):
            return
    assert [state for state in RARE if not reached[state]] == []


def test_one_seed_has_one_outcome_in_every_process() -> None:
    """Sets and dictionaries have another order in each; the journal has not."""
    words = [sys.executable, "-m", "tests.simulation", "3", "--seconds", "500", "--no-shrink"]
    said = {
        subprocess.run(words, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=False).stdout[:96]
        for seed in ("0", "1", "12345", "random")
    }
    assert len(said) == 1
    assert b"head " in said.pop()


def test_seeds_differ() -> None:
    assert len({written(drawn(seed).faults) for seed in range(50)}) == 50
