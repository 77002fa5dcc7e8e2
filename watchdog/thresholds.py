"""The four loops that operators know (agents, queues, the Graveyard's violations, events), and what each holds against whom.

A loop looks at readings, counters that only grow within one incarnation, and judges their change over a window: what a
child did before it was restarted, or an hour ago, is not held against it. A finding has a reason out of a closed list,
what was measured and what is allowed. What follows from it is for the supervisor and `watchdog.policy`.

No data is not good news: a reading that stays away is a finding, and so is a loop that does not run.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Literal, NamedTuple

import msgspec

from mutable_core.clock import MINUTE_NS, SECOND_NS
from watchdog.alerts import Notice, Severity

MILLI_NS = 1_000_000

Reason = Literal[
    "consecutive_failures",
    "failure_rate",
    "latency",
    "stuck",
    "spin",
    "leak",
    "flood",
    "rejected",
    "contradictory",
    "unsigned",
    "clock_offset",
    "queue_depth",
    "queue_stuck",
    "violations",
    "no_reading",
    "loop_silent",
]
Loop = Literal["agents", "queues", "violations", "events"]


class Level(IntEnum):
    """What a finding asks for: a word to people, a louder one, the end of a process, the end of all new risk."""

    WARN = 1
    ALARM = 2
    ISOLATE = 3
    HALT = 4


SEVERITY: Mapping[Level, Severity] = {
    Level.WARN: Severity.WARNING,
    Level.ALARM: Severity.CRITICAL,
    Level.ISOLATE: Severity.CRITICAL,
    Level.HALT: Severity.EMERGENCY,
}


class Limits(msgspec.Struct, frozen=True):
    """The numbers. What is *above* a limit is found; `failures_in_a_row` is found from its limit on.

    Attributes:
        warn_at: a warning comes from this share of a limit on.
        period_ns: how often each loop looks.
        silent_periods: a loop that did not run for so many of its periods is found.
        window_ns: what rates and means are taken over; `leak_window_ns` for memory, which moves slowly.
        requests_min: rates are taken over more requests than this; `samples_min`: means over more samples.
        stuck_ns: no progress for so long with work waiting.
        spin_share: CPU seconds per second while nothing is handled over `spin_ns`. Half a core: where processes are
            more than cores, who spins gets no whole one.
        leak_bytes_per_s: slope of the memory over at least `leak_span_ns`.
        said_per_s: messages said, where there are also more than `said_per_heard` for each that was handled.
        rejected_share: of proposals that were refused; people are told, nobody is isolated for being refused.
    """

    warn_at: float = 0.7
    period_ns: Mapping[Loop, int] = msgspec.field(
        default_factory=lambda: {
            "agents": 5 * SECOND_NS,
            "queues": 2 * SECOND_NS,
            "violations": 10 * SECOND_NS,
            "events": SECOND_NS,
        }
    )
    silent_periods: int = 3
    window_ns: int = MINUTE_NS
    failures_in_a_row: int = 5
    failure_rate: float = 0.20
    requests_min: int = 10
    latency_ms: float = 5_000.0
    samples_min: int = 10
    stuck_ns: int = 10 * SECOND_NS
    spin_share: float = 0.5
    spin_ns: int = 10 * SECOND_NS
    leak_bytes_per_s: float = float(1 << 20)
    leak_span_ns: int = MINUTE_NS
    leak_window_ns: int = 10 * MINUTE_NS
    said_per_s: float = 1_000.0
    said_per_heard: float = 20.0
    rejected_share: float = 0.9
    clock_offset_ms: float = 500.0
    queue_depth: int = 1_000
    violations_per_minute: int = 10


LIMITS = Limits()


class AgentReading(msgspec.Struct, frozen=True, gc=False):
    """What is known of one agent at one moment; counters count from the start of its incarnation.

    Attributes:
        at_ns: monotonic.
        handled: messages that it has answered.
        pending: messages that wait for it now.
        cpu_ns: user and system time.
        requests: what it was asked for; `failures`: of those, how many it did not do (late, ended, refused by the bus).
        failures_in_a_row: since it last did one.
        latency_ns: sum over `latencies` samples, from told to answered.
        said: messages appended for it; `rejected`: its proposals that were refused, of `proposed`.
        contradictory: answers that differ from what it had said to the same message before.
        unsigned: what came in its name and was not its own, or not allowed to it.
        clock_offset_ns: its clock minus ours; signed.
    """

    at_ns: int
    incarnation: int = 1
    handled: int = 0
    pending: int = 0
    cpu_ns: int = 0
    rss_bytes: int = 0
    requests: int = 0
    failures: int = 0
    failures_in_a_row: int = 0
    latency_ns: int = 0
    latencies: int = 0
    said: int = 0
    proposed: int = 0
    rejected: int = 0
    contradictory: int = 0
    unsigned: int = 0
    clock_offset_ns: int = 0


class QueueReading(msgspec.Struct, frozen=True, gc=False):
    """One queue of the bus at one moment: `depth` messages wait, `taken` were taken from it since the start."""

    at_ns: int
    depth: int
    taken: int


class ViolationReading(msgspec.Struct, frozen=True, gc=False):
    """How many violations of the Graveyard were counted since the start."""

    at_ns: int
    total: int


class Finding(msgspec.Struct, frozen=True, gc=False):
    """What a loop holds against whom: `subject` is an agent, a queue, or a loop. `measured` and `limit` are in `unit`."""

    loop: Loop
    subject: str
    reason: Reason
    level: Level
    measured: float
    limit: float
    unit: str = ""

    def __str__(self) -> str:
        """`joey: failure_rate 0.25 (allowed 0.2)`: for people, in alerts and in the log."""
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.subject}: {self.reason} {self.measured:.6g}{unit} (allowed {self.limit:.6g})"


# -- the rules of the four loops ------------------------------------------------------------------------------------------

NO_CURE: frozenset[Reason] = frozenset({"contradictory", "unsigned"})
"""Reasons that a restart does not cure: who is isolated for them is quarantined at once."""


class Part(NamedTuple):
    """A window: its first and its last reading, and all."""

    first: AgentReading
    last: AgentReading
    readings: Sequence[AgentReading]


def judge_agent(name: str, readings: Sequence[AgentReading], limits: Limits = LIMITS) -> tuple[Finding, ...]:
    """All that is held against an agent now; several things may be.

    Args:
        name: the agent's.
        readings: oldest first; only those of the newest incarnation count.
        limits: the numbers.
    """
    if not readings:
        return ()
    newest = readings[-1].incarnation
    of_this = list(readings)
    if of_this[0].incarnation != newest:
        of_this = [reading for reading in of_this if reading.incarnation == newest]
    part = _part(of_this, limits.window_ns)
    found = [
        *_failures(name, part, limits),
        *_latency(name, part, limits),
        *_progress(name, of_this, limits),
        *_leak(name, _part(of_this, limits.leak_window_ns), limits),
        *_said(name, part, limits),
        *_false(name, part.last),
        *_graded(name, "clock_offset", abs(part.last.clock_offset_ns) / MILLI_NS, limits.clock_offset_ms, limits, "ms"),
    ]
    return tuple(found)


def judge_queue(name: str, readings: Sequence[QueueReading], limits: Limits = LIMITS) -> tuple[Finding, ...]:
    """More than 1 000 wait, or some wait and none was taken for too long; readings oldest first."""
    if not readings:
        return ()
    last = readings[-1]
    found = list(
        _graded(name, "queue_depth", last.depth, limits.queue_depth, limits, "messages", "queues", Level.ALARM)
    )
    stood_ns = _stood_ns((one.at_ns, one.depth, one.taken) for one in reversed(readings))
    if stood_ns >= limits.stuck_ns:
        found.append(_finding("queues", name, "queue_stuck", Level.ALARM, stood_ns, limits.stuck_ns))
    return tuple(found)


def judge_violations(readings: Sequence[ViolationReading], limits: Limits = LIMITS) -> tuple[Finding, ...]:
    """More than 10 within the last minute halt the house; readings oldest first, at least a minute's."""
    if not readings:
        return ()
    last = readings[-1]
    # The newest reading that is a minute old or older: what came before it is not of this minute.
    before = [one for one in readings if one.at_ns <= last.at_ns - MINUTE_NS]
    count = last.total - (before[-1] if before else readings[0]).total
    return tuple(
        _graded(
            "graveyard", "violations", count, limits.violations_per_minute, limits, "per min", "violations", Level.HALT
        )
    )


def _failures(name: str, part: Part, limits: Limits) -> Iterable[Finding]:
    row = part.last.failures_in_a_row
    if row >= limits.failures_in_a_row:
        yield _finding("agents", name, "consecutive_failures", Level.ISOLATE, row, limits.failures_in_a_row)
    elif row > _warning(limits.failures_in_a_row, limits):
        yield _finding("agents", name, "consecutive_failures", Level.WARN, row, limits.failures_in_a_row)
    requests = part.last.requests - part.first.requests
    if requests > limits.requests_min:
        rate = (part.last.failures - part.first.failures) / requests
        yield from _graded(name, "failure_rate", rate, limits.failure_rate, limits)


def _latency(name: str, part: Part, limits: Limits) -> Iterable[Finding]:
    samples = part.last.latencies - part.first.latencies
    if samples > limits.samples_min:
        mean_ms = (part.last.latency_ns - part.first.latency_ns) / samples / MILLI_NS
        yield from _graded(name, "latency", mean_ms, limits.latency_ms, limits, "ms")


def _progress(name: str, readings: Sequence[AgentReading], limits: Limits) -> Iterable[Finding]:
    """Liveness is not progress: a loop that answers pings may still do nothing, or do nothing at full speed."""
    stood_ns = _stood_ns((one.at_ns, one.pending, one.handled) for one in reversed(readings))
    if stood_ns >= limits.stuck_ns:
        yield _finding("agents", name, "stuck", Level.ISOLATE, stood_ns, limits.stuck_ns)
    last = readings[-1]
    for one in reversed(readings):
        if one.handled != last.handled:
            return
        idle_ns = last.at_ns - one.at_ns
        if idle_ns >= limits.spin_ns:
            share = (last.cpu_ns - one.cpu_ns) / idle_ns
            yield from _graded(name, "spin", share, limits.spin_share, limits, "CPU s per s")
            return


def _leak(name: str, part: Part, limits: Limits) -> Iterable[Finding]:
    # Whoever grows that fast for that long has grown by this much; most never do, and a slope costs something.
    grown_min = _warning(limits.leak_bytes_per_s, limits) * limits.leak_span_ns / SECOND_NS
    has_grown = part.last.rss_bytes - part.first.rss_bytes >= grown_min
    if has_grown and part.last.at_ns - part.first.at_ns >= limits.leak_span_ns:
        yield from _graded(name, "leak", _slope(part.readings), limits.leak_bytes_per_s, limits, "bytes per s")


def _said(name: str, part: Part, limits: Limits) -> Iterable[Finding]:
    first, last = part.first, part.last
    said = last.said - first.said
    if said > limits.said_per_heard * max(1, last.handled - first.handled):
        rate = said / max(1, last.at_ns - first.at_ns) * SECOND_NS
        yield from _graded(name, "flood", rate, limits.said_per_s, limits, "per s")
    proposed = last.proposed - first.proposed
    if proposed > limits.requests_min:
        share = (last.rejected - first.rejected) / proposed
        if share > limits.rejected_share:
            yield _finding("agents", name, "rejected", Level.WARN, share, limits.rejected_share)


def _false(name: str, last: AgentReading) -> Iterable[Finding]:
    """One is enough: an agent is a pure function of its inbox, and speaks on its own connection only."""
    if last.contradictory:
        yield _finding("agents", name, "contradictory", Level.ISOLATE, last.contradictory, 0)
    if last.unsigned:
        yield _finding("agents", name, "unsigned", Level.ISOLATE, last.unsigned, 0)


def _graded(
    subject: str,
    reason: Reason,
    measured: float,
    limit: float,
    limits: Limits,
    unit: str = "",
    loop: Loop = "agents",
    level: Level = Level.ISOLATE,
) -> Iterable[Finding]:
    """Above the limit `level`; above 70 % of it a warning."""
    if measured > limit:
        yield Finding(loop, subject, reason, level, measured, limit, unit)
    elif measured > _warning(limit, limits):
        yield Finding(loop, subject, reason, Level.WARN, measured, limit, unit)


def _warning(limit: float, limits: Limits) -> float:
    """0.7 · 0.2 is 0.14, not the float below it."""
    return round(limits.warn_at * limit, 9)


def _finding(loop: Loop, subject: str, reason: Reason, level: Level, measured: float, limit: float) -> Finding:
    if reason in {"stuck", "queue_stuck", "no_reading", "loop_silent"}:
        return Finding(loop, subject, reason, level, measured / SECOND_NS, limit / SECOND_NS, "s")
    return Finding(loop, subject, reason, level, measured, limit)


def _part(readings: Sequence[AgentReading], window_ns: int) -> Part:
    begin_ns = readings[-1].at_ns - window_ns
    inside = readings[bisect_left(readings, begin_ns, key=lambda one: one.at_ns) :]
    return Part(inside[0], inside[-1], inside)


def _stood_ns(newest_first: Iterable[tuple[int, int, int]]) -> int:
    """How long (at, waiting, done) something has waited in every reading while `done` stood still; 0 where it has not.

    Two readings say nothing: where the watcher itself stood still there is nothing between them.
    """
    stood: list[int] = []
    last_done = None
    for at_ns, waiting, done in newest_first:
        last_done = done if last_done is None else last_done
        if waiting == 0 or done != last_done:
            break
        stood.append(at_ns)
    return stood[0] - stood[-1] if len(stood) > 2 else 0


def _slope(readings: Sequence[AgentReading]) -> float:
    """Of the memory, bytes per second: least squares; two moments at least."""
    origin_ns, count = readings[0].at_ns, len(readings)
    seconds = [(one.at_ns - origin_ns) / SECOND_NS for one in readings]
    mean_s, mean_b = sum(seconds) / count, sum(one.rss_bytes for one in readings) / count
    spread = sum((s - mean_s) ** 2 for s in seconds)
    return sum((s - mean_s) * (one.rss_bytes - mean_b) for s, one in zip(seconds, readings, strict=True)) / spread


# -- the loops themselves -------------------------------------------------------------------------------------------------


class Loops:
    """Takes readings as they come, looks at them when it is time, and knows which loop has not run.

    Windows are bounded: each loop keeps what it saw at its own looks, at most so much as its longest window needs; and
    the first reading of an incarnation, from which the others count.

    Args:
        now_ns: monotonic; the loops are due a period from now.
        agents: who must be heard of from now on.
        limits: the numbers.
    """

    def __init__(self, now_ns: int, agents: Iterable[str] = (), limits: Limits = LIMITS) -> None:
        self._limits = limits
        self.ran_ns: dict[Loop, int] = dict.fromkeys(limits.period_ns, now_ns)
        """When each loop looked last."""
        self._kept = {loop: limits.leak_window_ns // period_ns + 2 for loop, period_ns in limits.period_ns.items()}
        self._heard_ns: dict[str, int] = {}
        self._new_agents: dict[str, AgentReading] = {}
        self._agents: dict[str, deque[AgentReading]] = {}
        self._new_queues: dict[str, QueueReading] = {}
        self._queues: dict[str, deque[QueueReading]] = {}
        self._new_violations: ViolationReading | None = None
        self._violations: deque[ViolationReading] = deque(maxlen=self._kept["violations"])
        self._events: dict[tuple[str, Reason, Level], int] = {}
        for name in agents:
            self.expect(name, now_ns)

    def expect(self, name: str, now_ns: int) -> None:
        """An agent must be heard of from now on; what it did before is forgotten."""
        self._new_agents.pop(name, None)
        self._agents[name] = deque(maxlen=self._kept["agents"])
        self._heard_ns[name] = now_ns

    def away(self, name: str) -> None:
        """An agent is not there on purpose (shut out, being started); what it did is forgotten."""
        for of in (self._new_agents, self._agents, self._heard_ns):
            of.pop(name, None)

    def agent(self, name: str, reading: AgentReading) -> None:
        """The newest reading of an agent that is expected; as many as one likes between two looks."""
        readings = self._agents.get(name)
        if readings is None:
            return
        self._heard_ns[name] = reading.at_ns
        if readings and readings[-1].incarnation == reading.incarnation:
            self._new_agents[name] = reading
        else:
            self._new_agents.pop(name, None)
            readings.clear()
            readings.append(reading)

    def queue(self, name: str, reading: QueueReading) -> None:
        """The newest reading of a queue."""
        self._new_queues[name] = reading

    def violations(self, reading: ViolationReading) -> None:
        """The newest count; what was counted before the first is not of this minute. A count may begin anew."""
        if self._violations and reading.total >= self._violations[-1].total:
            self._new_violations = reading
        else:
            self._new_violations = None
            self._violations.clear()
            self._violations.append(reading)

    def event(self, subject: str, reason: Reason, level: Level) -> None:
        """Something that somebody else has found already; told at the next look of the events' loop."""
        key = (subject, reason, level)
        self._events[key] = self._events.get(key, 0) + 1

    def due_ns(self) -> int:
        """When the next look is due."""
        return min(ran + self._limits.period_ns[loop] for loop, ran in self.ran_ns.items())

    def look(self, now_ns: int) -> Mapping[Loop, tuple[Finding, ...]]:
        """Run the loops that are due, and say of each what it found, also nothing; a loop that is late says that too."""
        found: dict[Loop, tuple[Finding, ...]] = {}
        for loop, period_ns in self._limits.period_ns.items():
            if now_ns - self.ran_ns[loop] >= period_ns:
                late = tuple(one for one in self.silent(now_ns) if one.subject == loop)
                found[loop] = late + self._run(loop, now_ns)
                self.ran_ns[loop] = now_ns
        return found

    def silent(self, now_ns: int) -> tuple[Finding, ...]:
        """The loops that have not run for three of their periods; to be asked by somebody who is not the loops' runner."""
        late = (
            (loop, now_ns - self.ran_ns[loop], self._limits.silent_periods * period_ns)
            for loop, period_ns in self._limits.period_ns.items()
        )
        return tuple(
            _finding(loop, loop, "loop_silent", Level.ALARM, age_ns, limit_ns)
            for loop, age_ns, limit_ns in late
            if age_ns >= limit_ns
        )

    def _run(self, loop: Loop, now_ns: int) -> tuple[Finding, ...]:
        match loop:
            case "agents":
                return self._look_at_agents(now_ns)
            case "queues":
                return self._look_at_queues()
            case "violations":
                return self._look_at_violations()
            case "events":
                events, self._events = self._events, {}
                return tuple(Finding("events", *key, measured=count, limit=0) for key, count in events.items())

    def _look_at_agents(self, now_ns: int) -> tuple[Finding, ...]:
        found: list[Finding] = []
        allowed_ns = self._limits.silent_periods * self._limits.period_ns["agents"]
        for name, reading in self._new_agents.items():
            self._agents[name].append(reading)
        self._new_agents = {}
        for name, readings in self._agents.items():
            found += judge_agent(name, readings, self._limits)
            unheard_ns = now_ns - self._heard_ns[name]
            if unheard_ns >= allowed_ns:
                found.append(_finding("agents", name, "no_reading", Level.WARN, unheard_ns, allowed_ns))
        return tuple(found)

    def _look_at_queues(self) -> tuple[Finding, ...]:
        found: list[Finding] = []
        for name, reading in self._new_queues.items():
            self._queues.setdefault(name, deque(maxlen=self._kept["queues"])).append(reading)
        self._new_queues = {}
        for name, readings in self._queues.items():
            found += judge_queue(name, readings, self._limits)
        return tuple(found)

    def _look_at_violations(self) -> tuple[Finding, ...]:
        if self._new_violations is not None:
            self._violations.append(self._new_violations)
            self._new_violations = None
        return judge_violations(self._violations, self._limits)


# -- the names that operators know ------------------------------------------------------------------------------------------

NAMES: Mapping[tuple[Reason, Level], str] = {
    ("failure_rate", Level.WARN): "{}_high_failure_rate",
    ("latency", Level.WARN): "{}_high_latency",
    ("queue_depth", Level.ALARM): "redis_queue_overload",
    ("violations", Level.WARN): "graveyard_violation_spike",
}
"""Others are called `<subject>_<reason>`, every isolation `<agent>_isolated`."""


def notices(found: Iterable[Finding]) -> tuple[Notice, ...]:
    """Findings under the names of their alerts; a halt is also a spike of violations."""
    told: list[Notice] = []
    for finding in found:
        if finding.level is Level.HALT:
            told.append(Notice("graveyard_violation_spike", Severity.CRITICAL, str(finding)))
        told.append(Notice(_name(finding), SEVERITY[finding.level], str(finding)))
    return tuple(told)


def _name(finding: Finding) -> str:
    if finding.level is Level.HALT:
        return "system_emergency_halt"
    if finding.level is Level.ISOLATE:
        return f"{finding.subject}_isolated"
    pattern = NAMES.get((finding.reason, finding.level))
    return pattern.format(finding.subject) if pattern else f"{finding.subject}_{finding.reason}"
