"""What a fault led to, from the Watchdog's stamps: table and properties; and which bounds a cell keeps."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployment.drills.cell import (
    GAP_MAX_MS,
    ISOLATED_MAX_MS,
    P999_FACTOR,
    RESTARTED_MAX_MS,
    Drilled,
    exceeded,
)
from deployment.drills.course import Course, course, gaps, p999, worst
from deployment.drills.matrix import AGENTS, CELLS, findings, matrix_of, read, write
from deployment.topology import wiring
from deployment.watchdog_desk.words import Happened
from docs import fault_matrix
from mutable_core.errors import MalformedSource, UnknownName
from tests.deployment.drill_makers import a_cell
from watchdog.faults import FAULTS_ALL

MILLI = 1_000_000


def happened(text: str) -> list[Happened]:
    """`what at incarnation`, one a line; times in ms."""
    lines = [line.split() for line in text.strip().splitlines()]
    return [Happened(what, int(at) * MILLI, int(incarnation)) for what, at, incarnation in lines]


CRASHED = """
    caught_up    10  1
    injected    100  1
    suspected   102  1
    ended       103  1
    born        107  2
    caught_up   115  2
"""
HUNG = """
    injected    100  1
    suspected   600  1
    killed      601  1
    ended       603  1
    born        608  2
    caught_up   620  2
"""
LIED = """
    injected    100  1
    suspected   105  1
    quarantined 106  1
    killed      107  1
    ended       109  1
    probing     500  2
    born        504  2
    caught_up   520  2
    readmitted  540  2
"""


@pytest.mark.parametrize(
    ("text", "detected", "isolated", "start", "caught_up", "back", "is_out"),
    [
        ("injected 100 1", None, None, None, None, None, False),
        (CRASHED, 102, 103, 103, 115, 115, False),
        (CRASHED + "ended 200 2\n born 205 3\n caught_up 210 3", 102, 103, 103, 115, 115, False),
        (HUNG, 600, 601, 603, 620, 620, False),
        (HUNG.partition("born")[0], 600, 601, 603, None, None, False),
        (LIED, 105, 106, 500, 520, 540, False),
        (LIED.partition("probing")[0], 105, 106, 109, None, None, True),
        (LIED.partition("readmitted")[0], 105, 106, 500, 520, None, True),
    ],
)
def test_a_course_is_read_from_what_happened(
    text: str,
    detected: int | None,
    isolated: int | None,
    start: int | None,
    caught_up: int | None,
    back: int | None,
    is_out: bool,
) -> None:
    found = course(happened(text), 99 * MILLI)
    assert found is not None
    times = (found.detected_ns, found.isolated_ns, found.start_ns, found.caught_up_ns, found.back_ns)
    wanted = (detected, isolated, start, caught_up, back)
    assert times == tuple(one * MILLI if one is not None else None for one in wanted)
    assert found.is_out == is_out


def test_what_happened_before_it_was_asked_for_is_not_its_course() -> None:
    """An agent that was drilled a minute ago has the same words in its past."""
    both = happened(CRASHED) + [msgspec.structs.replace(one, at_ns=one.at_ns + 10**12) for one in happened(HUNG)]
    assert course(both, 10**12) == course([one for one in both if one.at_ns >= 10**12], 10**12)
    assert course(happened(CRASHED), 10**12) is None


def test_an_older_incarnation_that_catches_up_is_not_the_new_one() -> None:
    found = course(happened("injected 100 3\ncaught_up 101 3"), 0)
    assert found == Course(100 * MILLI, signs=("caught_up",))


BEATS = st.dictionaries(
    st.sampled_from(["a", "b", "c"]), st.lists(st.integers(0, 10**6), min_size=1, max_size=50).map(sorted)
)


@given(BEATS)
def test_gaps_are_all_that_lies_between_two_beats_and_the_silence_at_the_end(beats: dict[str, list[int]]) -> None:
    """They add up to the time from each first beat to the end; the worst is no smaller than their 99.9 %."""
    until = 2 * 10**6
    found = gaps(beats, until)
    assert sum(found) == sum(until - stamps[0] for stamps in beats.values())
    assert len(found) == sum(map(len, beats.values()))
    assert list(found) == sorted(found)
    assert p999(found) <= worst(found)


def test_the_nearest_rank() -> None:
    """Of 1 000 values the 999th, of 1 001 the 1 000th; of fewer than 1 000 the largest."""
    assert p999(tuple(range(1, 1_001))) == 999
    assert p999(tuple(range(1, 1_002))) == 1_000
    assert p999(tuple(range(1, 501))) == 500
    assert p999((7,)) == 7
    assert (p999(()), worst(())) == (0, 0)


@pytest.mark.parametrize(
    ("field", "most"),
    [("isolated_ms", ISOLATED_MAX_MS), ("restarted_ms", RESTARTED_MAX_MS), ("siblings_gap_ms", GAP_MAX_MS)],
)
def test_a_bound_is_inclusive_and_what_was_not_measured_keeps_none(field: str, most: float) -> None:
    assert exceeded(a_cell(**{field: most})) == ()
    assert len(exceeded(a_cell(**{field: most + 0.001}))) == 1
    if field != "siblings_gap_ms":
        assert "never" in exceeded(a_cell(**{field: None}))[0]


def a_round(before: tuple[int, ...] = (25 * MILLI,), during: tuple[int, ...] = (25 * MILLI,)) -> list[Drilled]:
    return [Drilled(a_cell(fault=fault, agent=agent), before, during) for fault, agent in CELLS]


def test_a_round_is_every_fault_in_every_agent_once() -> None:
    assert len(set(CELLS)) == len(CELLS) == 72
    assert {fault for fault, _ in CELLS} == set(FAULTS_ALL)
    assert {agent for _, agent in CELLS} == set(AGENTS) == {one.spec.name for one in wiring.AGENTS}
    assert findings(matrix_of(a_round())) == ()


def test_a_cell_that_is_missing_is_found() -> None:
    assert findings(matrix_of(a_round()[1:])) == ("crash kyle: not drilled",)


def test_what_a_cell_found_is_found() -> None:
    drilled = a_round()
    drilled[5] = Drilled(a_cell(fault="crash", agent="id", findings=("lost one",)), (1,), (1,))
    assert findings(matrix_of(drilled)) == ("crash id: lost one",)


def test_the_siblings_are_compared_over_all_cells() -> None:
    """Of one cell a 99.9 % point is its worst value; of all together it says something."""
    most = int(P999_FACTOR * 25 * MILLI)
    assert findings(matrix_of(a_round(during=(most,)))) == ()
    (found,) = findings(matrix_of(a_round(during=(most + MILLI,))))
    assert "99.9 %" in found


def test_a_matrix_is_read_as_it_was_written(tmp_path: Path) -> None:
    matrix = matrix_of(a_round())
    path = tmp_path / "fault-matrix.json"
    assert read(path) is None
    write(matrix, path)
    assert read(path) == matrix
    path.write_text("{}")
    with pytest.raises(MalformedSource):
        read(path)
    with pytest.raises(UnknownName):
        write(matrix, tmp_path / "nowhere" / "fault-matrix.json")


def test_the_page_says_what_was_measured_and_what_was_not(monkeypatch: pytest.MonkeyPatch) -> None:
    drilled = a_round()[:-1]
    drilled[0] = Drilled(a_cell(fault="crash", agent="kyle", restarted_ms=None, findings=("late",)), (1,), (1,))
    for matrix, words in (
        (None, ["Not measured yet"]),
        (
            matrix_of(drilled),
            ["**2.0 · 30.0 · never**", "not measured", "crash kyle: late", "70 of 72"],
        ),
    ):
        monkeypatch.setattr(fault_matrix, "read", lambda found=matrix: found)
        page = fault_matrix.fault_matrix_page()
        assert all(word in page for word in words)
        assert page.startswith("<!--")
