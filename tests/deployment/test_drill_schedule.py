"""Scheduled drills: cell after cell, one in each interval, and overdue ones are told; on made-up clocks."""

from __future__ import annotations

from pathlib import Path

import anyio

from deployment.drills.matrix import CELLS
from deployment.drills.schedule import AGAIN_NS, FIRST_NS, KEY, DrillSchedule, last_drill, next_cell, record_drill
from mutable_core.clock import DAY_NS, SECOND_NS
from mutable_core.state_manager import StateManager
from tests.deployment.drill_makers import a_cell

DAY_S = 86_400
STARTED_NS = 10**18


class Days:
    """A schedule, its clocks, the drills it holds and what it says."""

    def __init__(self, folder: Path, *, every_s: int = DAY_S) -> None:
        folder.mkdir(exist_ok=True)
        StateManager.open(folder / "state.sqlite").close()
        self.folder = folder
        self.now_ns = 0
        self.works = True
        self.held: list[int] = []
        self.said: list[str] = []
        self.schedule = DrillSchedule(
            folder, every_s=every_s, overdue=self.said.append, hold=self._hold,
            wall=lambda: STARTED_NS + self.now_ns, monotonic=lambda: self.now_ns,
        )  # fmt: skip

    async def _hold(self, state: Path) -> bool:
        assert state == self.folder.resolve()
        self.held.append(self.now_ns)
        if self.works:
            record_drill(state, a_cell(), STARTED_NS + self.now_ns)
        return self.works

    def at(self, now_ns: int) -> None:
        self.now_ns = now_ns
        anyio.run(self.schedule.round)


def test_the_first_is_held_soon_after_the_start_and_then_one_in_each_interval(tmp_path: Path) -> None:
    days = Days(tmp_path)
    for now_ns in (0, FIRST_NS - 1, FIRST_NS, FIRST_NS + 1, FIRST_NS + DAY_NS - 1, FIRST_NS + DAY_NS):
        days.at(now_ns)
    assert days.held == [FIRST_NS, FIRST_NS + DAY_NS]
    assert days.schedule.age_ns() == 0
    assert days.said == []


def test_what_an_earlier_process_has_held_counts(tmp_path: Path) -> None:
    days = Days(tmp_path)
    record_drill(tmp_path, a_cell(), STARTED_NS - DAY_NS // 2)
    days.schedule.look()
    days.at(FIRST_NS)
    assert days.held == []
    days.at(DAY_NS // 2)
    assert days.held == [DAY_NS // 2]


def test_one_that_could_not_be_held_is_tried_again_a_little_later(tmp_path: Path) -> None:
    days = Days(tmp_path)
    days.works = False
    for now_ns in (FIRST_NS, FIRST_NS + 1, FIRST_NS + AGAIN_NS):
        days.at(now_ns)
    assert days.held == [FIRST_NS, FIRST_NS + AGAIN_NS]


def test_overdue_is_told_once_and_again_after_a_good_one(tmp_path: Path) -> None:
    """Where there never was one, the time since the start counts: no data is not good news."""
    days = Days(tmp_path)
    days.works = False
    days.at(2 * DAY_NS)
    assert not days.schedule.is_overdue
    days.at(2 * DAY_NS + 1)
    days.at(2 * DAY_NS + 2)
    assert days.schedule.is_overdue
    assert len(days.said) == 1
    assert days.schedule.age_ns() is None
    days.works = True
    days.at(3 * DAY_NS)
    assert not days.schedule.is_overdue
    days.works = False
    days.at(5 * DAY_NS + SECOND_NS)
    assert len(days.said) == 2


def test_a_house_that_stood_still_for_a_week_is_not_overdue_when_it_starts(tmp_path: Path) -> None:
    days = Days(tmp_path)
    record_drill(tmp_path, a_cell(), STARTED_NS - 7 * DAY_NS)
    days.schedule.look()
    days.at(0)
    assert not days.schedule.is_overdue
    days.at(FIRST_NS)
    assert days.held == [FIRST_NS]


def test_none_is_held_where_none_is_wanted(tmp_path: Path) -> None:
    days = Days(tmp_path, every_s=0)
    days.at(100 * DAY_NS)
    assert (days.held, days.said, days.schedule.is_overdue) == ([], [], False)


def test_a_record_that_cannot_be_read_is_no_drill(tmp_path: Path) -> None:
    days = Days(tmp_path)
    with StateManager.open(tmp_path / "state.sqlite") as manager:
        manager.writer("house").put("house", KEY, {"something": "else"})
    days.schedule.look()
    assert days.schedule.newest_ns is None


def test_cell_follows_cell(tmp_path: Path) -> None:
    Days(tmp_path)
    seen = []
    for number in range(len(CELLS) + 1):
        fault, agent = next_cell(last_drill(tmp_path))
        seen.append((fault, agent))
        record_drill(tmp_path, a_cell(fault=fault, agent=agent), number)
    assert seen == [*CELLS, CELLS[0]]
    assert next_cell({"fault": "sulk", "agent": "joey"}) == CELLS[0]
