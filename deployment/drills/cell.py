"""One drill: put one fault into one agent of the running house, follow what happens, and say what it cost.

All times are the Watchdog's own stamps on the monotonic clock, so that looking often or seldom changes no number. An agent
that is shut out is released here as a person would release it: how long a quarantine lasts is not what a drill measures.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from deployment.drills.audit import Audit, Finding
from deployment.drills.course import Course, Gaps, course, gaps, p999, worst
from deployment.watchdog_desk.client import ask
from deployment.watchdog_desk.words import AgentName, Child, Inject, Listen, Look, Release, Seen
from mutable_core.clock import SECOND_NS, monotonic_ns
from mutable_core.errors import Unavailable
from watchdog.faults import FaultName

QUIET_S = 3.0
"""The undisturbed stretch before a drill, by default."""
READY_S = 60.0
FOLLOW_S = 45.0
SETTLE_S = 15.0
LOOK_S = 0.02
MILLI_NS = 1_000_000
_OUT = ("quarantined", "isolated")

GAP_MAX_MS = 100.0
P999_FACTOR = 2.0
ISOLATED_MAX_MS = 600.0
"""The lease of an agent's leash, and 100 ms."""
RESTARTED_MAX_MS = 50.0


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """What one drill has shown; ms, None for what did not come.

    Attributes:
        detected_ms: from the injection to the first sign.
        isolated_ms: from the injection to when the agent could not be heard any more.
        siblings_gap_ms: the worst gap between heartbeats of the other agents, from the injection until all was well.
        siblings_p999_ms: the 99.9 % point of those gaps. undisturbed_gap_ms, undisturbed_p999_ms: the same just before.
        restarted_ms: from the agent's end (where it was shut out: from its fork) to having its state, and what it missed.
        back_ms: from the injection to being heard again.
        lost, duplicated, replayed: see `deployment.drills.audit.Finding`; rows: of the journal, read for it.
        alerts: that were raised meanwhile. signs: what happened to the agent, in order.
        findings: what is not as it must be; empty for a good cell.
    """

    fault: FaultName
    agent: AgentName
    detected_ms: float | None
    isolated_ms: float | None
    siblings_gap_ms: float
    siblings_p999_ms: float
    undisturbed_gap_ms: float
    undisturbed_p999_ms: float
    restarted_ms: float | None
    back_ms: float | None
    lost: int
    duplicated: int
    replayed: bool
    rows: int
    alerts: tuple[str, ...]
    signs: tuple[str, ...]
    findings: tuple[str, ...] = ()


class Drilled(NamedTuple):
    """A cell, and the gaps that its siblings' numbers are of: many cells together say more of a 99.9 % point than one."""

    cell: Cell
    before: Gaps
    during: Gaps


class _Followed(NamedTuple):
    """How it went: the last look, and the course, if the fault was injected at all."""

    seen: Seen
    course: Course | None
    is_back: bool


def drill(
    state: Path, fault: FaultName, agent: AgentName, by: str, *, audits: dict[str, Audit], quiet_s: float = QUIET_S
) -> Drilled:
    """Inject, follow, measure.

    Args:
        state: the state folder of the running house.
        fault: what the agent is to do.
        agent: who.
        by: who asks; stands in the log.
        audits: by the run's folder; what was read for an earlier drill need not be read again.
        quiet_s: how long everything is left alone first, > 0.

    Raises:
        HouseSilent: no Watchdog runs on this state folder.
        DeskDenied: no fault may be injected there.
        Unavailable: the six do not all work, so that nothing could be shown.
    """
    folder = _ready(state).folder
    audit = audits.setdefault(folder, Audit(state / folder))
    audit.read()
    time.sleep(quiet_s)
    _ready(state)
    quiet_ns = monotonic_ns() - int(quiet_s * SECOND_NS)
    asked_ns = ask(state, Inject(fault, agent, by)).at_ns
    followed = _followed(state, agent, asked_ns, by)
    until_ns = monotonic_ns()
    beats = ask(state, Listen(quiet_ns, until_ns)).beats
    siblings = {name: [quiet_ns + one for one in stamps] for name, stamps in beats.items() if name != agent}
    before, during = _before(siblings, asked_ns), _during(siblings, asked_ns, until_ns)
    found = _settled(audit, followed.seen.rows)
    alerts = tuple(dict.fromkeys(one.name for one in followed.seen.alerts if one.at_ns >= asked_ns))
    return Drilled(_cell(fault, agent, followed, before, during, found, alerts), before, during)


def _ready(state: Path) -> Seen:
    """A house in which all six work."""
    deadline = time.monotonic() + READY_S
    while True:
        seen = ask(state, Look())
        idle = [child for child in seen.children if child.is_agent and not _works(child)]
        if seen.folder and not idle:
            return seen
        if time.monotonic() > deadline:
            who = (
                ", ".join(f"`{child.name}` is {child.held or child.phase}" for child in idle) or "the core does not run"
            )
            raise Unavailable(f"no drill begins now: {who}", to_do="see `ark agents status`")
        time.sleep(LOOK_S)


def _works(child: Child) -> bool:
    return child.phase == "running" and not child.held


def _followed(state: Path, agent: AgentName, asked_ns: int, by: str) -> _Followed:
    """Look until the agent is heard again and has nothing left to answer."""
    deadline, is_released = time.monotonic() + FOLLOW_S, False
    while True:
        seen = ask(state, Look())
        child = next(one for one in seen.children if one.name == agent)
        now = course(child.happened, asked_ns)
        if now is not None and now.back_ns is not None and _works(child) and not child.pending:
            return _Followed(seen, now, True)
        if time.monotonic() > deadline:
            return _Followed(seen, now, False)
        if now is not None and now.is_out and child.phase in _OUT and not child.pid and not is_released:
            ask(state, Release(agent, by, f"the drill has seen it {child.phase}"))
            is_released = True
        time.sleep(LOOK_S)


def _before(siblings: Mapping[str, list[int]], asked_ns: int) -> Gaps:
    return gaps({name: [one for one in stamps if one <= asked_ns] for name, stamps in siblings.items()}, asked_ns)


def _during(siblings: Mapping[str, list[int]], asked_ns: int, until_ns: int) -> Gaps:
    """From the last heartbeat before it on: a gap that began before and ends after counts."""
    since = {}
    for name, stamps in siblings.items():
        earlier = [one for one in stamps if one <= asked_ns][-1:] or [asked_ns]
        since[name] = earlier + [one for one in stamps if one > asked_ns]
    return gaps(since, until_ns)


def _settled(audit: Audit, until: int) -> Finding:
    """The audit, once all that began before `until` has its answer on the disk, or has had time enough."""
    deadline = time.monotonic() + SETTLE_S
    audit.read()
    while (audit.rows < until or audit.awaits(until)) and not audit.broken and time.monotonic() < deadline:
        time.sleep(LOOK_S)
        audit.read()
    return audit.finding(until)


def _cell(
    fault: FaultName,
    agent: AgentName,
    followed: _Followed,
    before: Gaps,
    during: Gaps,
    found: Finding,
    alerts: tuple[str, ...],
) -> Cell:
    went = followed.course or Course(0)
    cell = Cell(
        fault=fault,
        agent=agent,
        detected_ms=_ms(went.injected_ns, went.detected_ns),
        isolated_ms=_ms(went.injected_ns, went.isolated_ns),
        siblings_gap_ms=_as_ms(worst(during)),
        siblings_p999_ms=_as_ms(p999(during)),
        undisturbed_gap_ms=_as_ms(worst(before)),
        undisturbed_p999_ms=_as_ms(p999(before)),
        restarted_ms=_ms(went.start_ns, went.caught_up_ns),
        back_ms=_ms(went.injected_ns, went.back_ns),
        lost=found.lost,
        duplicated=found.duplicated,
        replayed=found.replayed,
        rows=found.rows,
        alerts=alerts,
        signs=went.signs,
    )
    findings = [found.what] if found.what else []
    if not followed.is_back:
        findings.append(f"`{agent}` was not heard again within {FOLLOW_S:.0f} s")
    return msgspec.structs.replace(cell, findings=(*findings, *exceeded(cell)))


def exceeded(cell: Cell) -> tuple[str, ...]:
    """Which bounds the cell does not keep; what was not measured keeps none (I10)."""
    bounds = (
        ("isolated", cell.isolated_ms, ISOLATED_MAX_MS),
        ("restarted", cell.restarted_ms, RESTARTED_MAX_MS),
        ("worst gap of the siblings", cell.siblings_gap_ms, GAP_MAX_MS),
    )
    return tuple(
        f"{what}: {'never' if measured is None else f'{measured:.1f} ms'}, at most {most:.1f} ms"
        for what, measured, most in bounds
        if measured is None or measured > most
    )


def _ms(from_ns: int | None, until_ns: int | None) -> float | None:
    return None if from_ns is None or until_ns is None else _as_ms(until_ns - from_ns)


def _as_ms(ns: int) -> float:
    return round(ns / MILLI_NS, 3)
