"""A simulator that finds nothing may have looked at nothing: bugs on purpose are found, and shrunk to a few faults."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulation.__main__ import command, shrunk_script
from tests.simulation.bugs import BUGS
from tests.simulation.script import KINDS, Fault, drawn, read, written
from tests.simulation.shrink import shrunk
from tests.simulation.simulation import Outcome, simulate

SEEDS = 80
"""So many runs at most until a bug is found; with all of them together it is a minute."""


def first_violation() -> Outcome | None:
    for seed in range(SEEDS):
        outcome = simulate(drawn(seed))
        if outcome.violation is not None:
            return outcome
    return None


@pytest.mark.timeout(600)  # a machine that is shared by many is slow
@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found_and_gone_without_it(bug: str) -> None:
    with BUGS[bug]():
        found = first_violation()
    assert found is not None
    assert simulate(found.script).violation is None, "it is not the bug that was found"


def test_what_was_found_is_shrunk_to_a_command_that_shows_it_again() -> None:
    with BUGS["impatient_effects"]():
        found = first_violation()
        assert found is not None
        assert found.violation is not None
        short = shrunk_script(found, tries=40)
        words = shlex.split(command(short))
        again = simulate(drawn(int(words[3])).with_faults(read(words[words.index("--script") + 1])))
    assert len(short.faults) <= 4 < len(found.script.faults)
    assert again.violation is not None
    assert again.violation.law == found.violation.law


FAULTS = st.builds(
    lambda at, kind, which, size: Fault(at, kind, KINDS[kind].targets[which % len(KINDS[kind].targets)], size),
    st.integers(0, 900),
    st.sampled_from(sorted(KINDS)),
    st.integers(0, 10),
    st.integers(0, 100),
)


@given(st.lists(FAULTS, max_size=12))
def test_faults_that_were_written_are_read_as_they_were(faults: list[Fault]) -> None:
    ordered = tuple(sorted(faults, key=lambda fault: fault.at))
    assert read(written(ordered)) == ordered


@pytest.mark.parametrize("text", ["", "[[1]]", '[[1, "no such kind"]]', '[[1, "crash", "nobody"]]', "{}"])
def test_what_is_no_list_of_faults_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="fault"):
        read(text)


@given(st.sets(st.integers(0, 60), min_size=1, max_size=5), st.integers(61, 90))
def test_shrinking_keeps_exactly_what_is_needed(needed: set[int], count: int) -> None:
    def fails(part: Sequence[int]) -> bool:
        return needed <= set(part)

    assert shrunk(range(count), fails, tries=10_000) == sorted(needed)
