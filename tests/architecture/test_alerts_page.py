"""Each alert that the Watchdog can raise leads somewhere: its name stands in the runbook."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from tests.architecture.house import TOP
from watchdog.thresholds import Finding, Level, Loop, Reason, notices

PAGE = (TOP / "docs" / "runbooks" / "alerts.md").read_text(encoding="utf-8")
RUNBOOKS = (TOP / "docs" / "runbooks").glob("*.md")
BY_OTHERS = ("SUBJECT_isolated", "watchdog_stood_still", "fault_drill_overdue")
"""Raised by the supervisor and the schedule of drills."""
LINK = re.compile(r"\]\(([^)#:]+)\)")


def finding(reason: Reason, level: Level) -> Finding:
    loop: Loop = "agents"
    return Finding(loop=loop, subject="SUBJECT", reason=reason, level=level, measured=2.0, limit=1.0)


RAISED = [(reason, level) for reason in get_args(Reason) for level in (Level.WARN, Level.ISOLATE, Level.HALT)]
ALARMS = [(reason, Level.ALARM) for reason in ("queue_depth", "queue_stuck", "loop_silent")]


@pytest.mark.parametrize(("reason", "level"), RAISED + ALARMS)
def test_what_a_loop_finds_has_its_place_on_the_page(reason: Reason, level: Level) -> None:
    assert [one.name for one in notices([finding(reason, level)]) if f"`{one.name}`" not in PAGE] == []


@pytest.mark.parametrize("name", BY_OTHERS)
def test_what_others_raise_has_its_place_on_the_page(name: str) -> None:
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize("runbook", sorted(path.name for path in RUNBOOKS))
def test_what_a_runbook_points_to_is_there(runbook: str) -> None:
    path = TOP / "docs" / "runbooks" / runbook
    assert [to for to in LINK.findall(path.read_text(encoding="utf-8")) if not (path.parent / to).exists()] == []
