"""The thresholds that operators know, exactly at their edges, with made-up time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mutable_core.clock import SECOND_NS
from watchdog.alerts import Notice, Severity
from watchdog.thresholds import (
    LIMITS,
    AgentReading,
    Finding,
    Level,
    Loops,
    QueueReading,
    ViolationReading,
    judge_agent,
    judge_queue,
    judge_violations,
    notices,
)

MS = 1_000_000
MIB = 1 << 20
EVERY_S = 5


def reading(at_s: float, **counted: Any) -> AgentReading:
    return AgentReading(round(at_s * SECOND_NS), **counted)


def a_minute(**at_the_end: int) -> list[AgentReading]:
    """Readings every 5 s for a minute in which what is given was reached evenly, and something was always handled."""
    steps = 60 // EVERY_S
    return [
        reading(
            step * EVERY_S,
            **({"handled": step} | {name: value * step // steps for name, value in at_the_end.items()}),
        )
        for step in range(steps + 1)
    ]


def found(readings: list[AgentReading]) -> dict[str, Level]:
    return {finding.reason: finding.level for finding in judge_agent("joey", readings)}


# -- the known ones -----------------------------------------------------------------------------------------------------


def test_the_numbers_are_those_that_operators_know() -> None:
    assert (
        LIMITS.failures_in_a_row,
        LIMITS.failure_rate,
        LIMITS.requests_min,
        LIMITS.latency_ms,
        LIMITS.samples_min,
        LIMITS.queue_depth,
        LIMITS.violations_per_minute,
        LIMITS.warn_at,
    ) == (5, 0.20, 10, 5_000, 10, 1_000, 10, 0.70)
    assert {loop: period // SECOND_NS for loop, period in LIMITS.period_ns.items()} == {
        "agents": 5,
        "queues": 2,
        "violations": 10,
        "events": 1,
    }


@pytest.mark.parametrize(
    ("row", "level"), [(0, None), (3, None), (4, Level.WARN), (5, Level.ISOLATE), (500, Level.ISOLATE)]
)
def test_five_failures_in_a_row_isolate(row: int, level: Level | None) -> None:
    assert found([reading(0), reading(5, handled=1, failures_in_a_row=row)]).get("consecutive_failures") == level


@pytest.mark.parametrize(
    ("requests", "failures", "level"),
    [
        (10, 10, None),  # too few to speak of a rate
        (11, 11, Level.ISOLATE),
        (100, 14, None),
        (100, 15, Level.WARN),
        (100, 20, Level.WARN),
        (100, 21, Level.ISOLATE),
        (1_000_000, 0, None),
    ],
)
def test_a_fifth_of_its_requests_within_a_minute(requests: int, failures: int, level: Level | None) -> None:
    assert found(a_minute(requests=requests, failures=failures)).get("failure_rate") == level


def test_what_failed_an_hour_ago_is_not_held_against_it() -> None:
    """The public ARK divided by all that ever was: who was restored was isolated again by the next look."""
    readings = [
        reading(0, handled=1, requests=0),
        reading(60, handled=2, requests=100, failures=100),
        reading(3_600, handled=3, requests=100, failures=100),
        reading(3_660, handled=4, requests=200, failures=100),
    ]
    assert "failure_rate" not in found(readings)


def test_what_an_incarnation_did_is_not_held_against_the_next() -> None:
    before = a_minute(requests=100, failures=100, contradictory=1)
    assert found(before)
    assert found([*before, reading(65, incarnation=2, handled=1)]) == {}
    stood = [reading(at_s, handled=7, pending=1) for at_s in (0, 5, 10)]
    assert found(stood) == {"stuck": Level.ISOLATE}
    assert found([*stood, reading(15, incarnation=2, handled=7, pending=1)]) == {}


@pytest.mark.parametrize(
    ("samples", "mean_ms", "level"),
    [
        (10, 60_000, None),
        (11, 3_500, None),
        (11, 3_501, Level.WARN),
        (11, 5_000, Level.WARN),
        (11, 5_001, Level.ISOLATE),
    ],
)
def test_a_mean_latency_of_5_s(samples: int, mean_ms: int, level: Level | None) -> None:
    readings = [reading(0), reading(60, handled=1, latencies=samples, latency_ns=samples * mean_ms * MS)]
    assert found(readings).get("latency") == level


@pytest.mark.parametrize(
    ("depth", "level"), [(0, None), (700, None), (701, Level.WARN), (1_000, Level.WARN), (1_001, Level.ALARM)]
)
def test_a_thousand_messages_in_a_queue(depth: int, level: Level | None) -> None:
    levels = [one.level for one in judge_queue("bus", [QueueReading(0, depth, 1)]) if one.reason == "queue_depth"]
    assert levels == ([level] if level else [])


@pytest.mark.parametrize(
    ("count", "level"), [(0, None), (7, None), (8, Level.WARN), (10, Level.WARN), (11, Level.HALT)]
)
def test_more_than_ten_violations_a_minute_halt_the_house(count: int, level: Level | None) -> None:
    readings = [ViolationReading(0, 1_000), ViolationReading(60 * SECOND_NS, 1_000 + count)]
    assert [one.level for one in judge_violations(readings)] == ([level] if level else [])


def test_violations_count_for_a_minute() -> None:
    """Ten a minute for an hour are never eleven within one."""
    readings = [ViolationReading(minute * 60 * SECOND_NS, 10 * minute) for minute in range(60)]
    assert [one.level for one in judge_violations(readings)] == [Level.WARN]
    assert judge_violations([*readings, ViolationReading(3_600 * SECOND_NS, 590)]) == ()


# -- progress, CPU, memory, speech --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("points", "is_stuck"),
    [
        ([(0, 1), (5, 1), (10, 1)], True),
        ([(0, 9), (5, 9), (10, 9)], True),
        ([(0, 0), (5, 0), (10, 0)], False),  # idle
        ([(0, 1), (5, 0), (10, 1)], False),  # it was empty in between
        ([(0, 1), (5, 1), (9.9, 1)], False),
        ([(0, 1), (60, 1)], False),  # nobody looked in between: that is the watcher's fault
    ],
)
def test_no_progress_while_messages_wait(points: list[tuple[float, int]], is_stuck: bool) -> None:
    readings = [reading(at_s, handled=7, pending=pending) for at_s, pending in points]
    assert ("stuck" in found(readings)) is is_stuck
    queue = [QueueReading(round(at_s * SECOND_NS), pending, 7) for at_s, pending in points]
    assert ("queue_stuck" in {one.reason for one in judge_queue("bus", queue)}) is is_stuck


def test_who_handles_something_is_not_stuck_however_much_waits() -> None:
    assert "stuck" not in found([reading(5 * step, handled=step, pending=900) for step in range(10)])


@pytest.mark.parametrize(
    ("share", "level"), [(0.3, None), (0.36, Level.WARN), (0.5, Level.WARN), (0.51, Level.ISOLATE), (1, Level.ISOLATE)]
)
def test_cpu_time_without_work_is_a_spin(share: float, level: Level | None) -> None:
    """Also after an hour of rest: what counts are the last ten seconds."""
    rest = [reading(5 * step, handled=3) for step in range(720)]
    spin = [reading(3_600 + 5 * step, handled=3, cpu_ns=round(5 * step * share * SECOND_NS)) for step in range(3)]
    assert found([*rest, *spin]).get("spin") == level


def test_cpu_time_with_work_is_work() -> None:
    assert found([reading(5 * step, handled=step, cpu_ns=5 * step * SECOND_NS) for step in range(20)]) == {}


@pytest.mark.parametrize(
    ("mib_per_s", "lasting_s", "level"),
    [
        (0.6, 600, None),
        (0.8, 600, Level.WARN),
        (0.8, 60, Level.WARN),
        (1.1, 600, Level.ISOLATE),
        (1.1, 60, Level.ISOLATE),
        (50, 55, None),
    ],
)
def test_memory_that_grows_steadily_is_a_leak(mib_per_s: float, lasting_s: int, level: Level | None) -> None:
    readings = [
        reading(at_s, handled=at_s, rss_bytes=round(60 * MIB + at_s * mib_per_s * MIB))
        for at_s in range(0, lasting_s + 1, EVERY_S)
    ]
    assert found(readings).get("leak") == level


def test_memory_that_was_taken_once_is_no_leak() -> None:
    """A model of 200 MiB is loaded; then nothing grows."""
    readings = [reading(at_s, handled=at_s, rss_bytes=(60 + 200 * (at_s >= 10)) * MIB) for at_s in range(0, 601, 5)]
    assert "leak" not in found(readings)


def test_memory_that_goes_up_and_down_is_no_leak() -> None:
    readings = [reading(at_s, handled=at_s, rss_bytes=(60 + at_s % 50 * 4) * MIB) for at_s in range(0, 601, 5)]
    assert "leak" not in found(readings)


@pytest.mark.parametrize(
    ("said", "handled", "level"),
    [
        (120_000, 12, Level.ISOLATE),
        (48_000, 12, Level.WARN),
        (36_000, 12, None),
        (120_000, 6_000, None),  # 20 for each that it has handled: it is busy
    ],
)
def test_more_messages_than_work_are_a_flood(said: int, handled: int, level: Level | None) -> None:
    assert found(a_minute(said=said, handled=handled)).get("flood") == level


@pytest.mark.parametrize(("proposed", "rejected", "told"), [(10, 10, False), (100, 90, False), (100, 91, True)])
def test_people_are_told_of_an_agent_whose_proposals_are_refused(proposed: int, rejected: int, told: bool) -> None:
    """It is not isolated for it: the rules have done their work."""
    assert found(a_minute(proposed=proposed, rejected=rejected)) == ({"rejected": Level.WARN} if told else {})


@pytest.mark.parametrize("reason", ["contradictory", "unsigned"])
def test_one_lie_is_enough(reason: str) -> None:
    assert found([reading(0), reading(5, handled=1, **{reason: 1})]) == {reason: Level.ISOLATE}


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("ms", "level"), [(350, None), (351, Level.WARN), (500, Level.WARN), (501, Level.ISOLATE)])
def test_a_clock_that_differs(sign: int, ms: int, level: Level | None) -> None:
    assert found([reading(0, clock_offset_ns=sign * ms * MS)]).get("clock_offset") == level


@settings(deadline=None)
@given(
    counters=st.dictionaries(
        st.sampled_from(["requests", "latencies", "said", "proposed", "cpu_ns", "rss_bytes", "pending"]),
        st.integers(0, 10**15),
    )
)
def test_no_reading_makes_it_raise(counters: dict[str, int]) -> None:
    """What the loop cannot judge would end the loop."""
    judge_agent("joey", a_minute(**counters))
    judge_agent("joey", [reading(0, **counters)] * 3)
    assert judge_agent("joey", []) == judge_queue("bus", []) == judge_violations([]) == ()


@settings(deadline=None)
@given(st.integers(0, 3_000), st.integers(0, 3_000))
def test_worse_is_never_judged_milder(one: int, other: int) -> None:
    def levels(failures: int) -> int:
        return max((f.level for f in judge_agent("joey", a_minute(requests=3_000, failures=failures))), default=0)

    assert levels(min(one, other)) <= levels(max(one, other))


# -- the loops ------------------------------------------------------------------------------------------------------------


def test_each_loop_looks_at_its_own_period() -> None:
    loops, looks = Loops(0), dict.fromkeys(LIMITS.period_ns, 0)
    for second in range(1, 61):
        for loop in loops.look(second * SECOND_NS):
            looks[loop] += 1
    assert looks == {"agents": 12, "queues": 30, "violations": 6, "events": 60}


def test_it_says_when_the_next_look_is_due() -> None:
    loops = Loops(0)
    assert loops.due_ns() == SECOND_NS
    assert loops.look(loops.due_ns() - 1) == {}
    assert set(loops.look(loops.due_ns())) == {"events"}


def run(loops: Loops, seconds: range, at: Any) -> list[Finding]:
    told: list[Finding] = []
    for second in seconds:
        at(second)
        for findings in loops.look(second * SECOND_NS).values():
            told += findings
    return told


def test_an_agent_that_fails_is_found_by_its_loop() -> None:
    loops = Loops(0, ["joey"])

    def fails(second: int) -> None:
        loops.agent("joey", reading(second, handled=second, requests=4 * second, failures=second))

    first = run(loops, range(1, 11), fails)[0]
    assert (first.loop, first.subject, first.reason, first.level) == ("agents", "joey", "failure_rate", Level.ISOLATE)
    assert (first.measured, first.limit) == (0.25, 0.2)


def test_an_agent_nobody_hears_of_is_found() -> None:
    """I10: the public ARK called an agent that was silent for a day 0.9 healthy."""
    loops = Loops(0, ["joey", "kyle"])
    loud = run(loops, range(1, 16), lambda second: loops.agent("kyle", reading(second, handled=second)))
    assert [(one.subject, one.reason, one.measured) for one in loud] == [("joey", "no_reading", 15)]


def test_an_agent_that_is_away_on_purpose_is_not_missed_and_begins_anew() -> None:
    loops = Loops(0, ["joey"])

    def lies(second: int) -> None:
        loops.agent("joey", reading(second, handled=1, contradictory=1))

    assert [one.reason for one in run(loops, range(1, 7), lies)] == ["contradictory"]
    loops.away("joey")
    lies(7)
    assert run(loops, range(7, 60), lambda _: None) == []
    loops.expect("joey", 60 * SECOND_NS)
    assert [one.reason for one in run(loops, range(60, 76), lambda _: None)] == ["no_reading"]


def test_a_queue_and_violations_are_found_by_their_loops() -> None:
    loops = Loops(0)

    def full(second: int) -> None:
        loops.queue("bus", QueueReading(second * SECOND_NS, 1_001, second))
        loops.violations(ViolationReading(second * SECOND_NS, 500 + 2 * second))

    told = run(loops, range(11), full)
    assert {(one.reason, one.level) for one in told} == {("queue_depth", Level.ALARM), ("violations", Level.HALT)}
    assert next(one.measured for one in told if one.reason == "violations") == 20


def test_a_count_that_begins_anew_is_not_a_spike() -> None:
    """The core was started again, and counts what it replays."""
    loops = Loops(0)
    loops.violations(ViolationReading(0, 7))
    told = run(loops, range(1, 11), lambda _: None)
    loops.violations(ViolationReading(10 * SECOND_NS, 0))
    loops.violations(ViolationReading(11 * SECOND_NS, 5))
    assert told + run(loops, range(11, 31), lambda _: None) == []
    loops.violations(ViolationReading(31 * SECOND_NS, 11))
    told = run(loops, range(31, 41), lambda _: None)
    assert [(one.reason, one.measured, one.level) for one in told] == [("violations", 11, Level.HALT)]


def test_what_others_have_found_is_told_once_by_the_next_look_with_how_often() -> None:
    loops = Loops(0)
    for _ in range(10_000):
        loops.event("joey", "unsigned", Level.ISOLATE)
    told = loops.look(SECOND_NS)["events"]
    assert told == (Finding("events", "joey", "unsigned", Level.ISOLATE, 10_000, 0),)
    assert loops.look(2 * SECOND_NS)["events"] == ()


@pytest.mark.parametrize(("periods", "is_silent"), [(2.9, False), (3, True)])
def test_a_loop_that_does_not_run_is_found_by_whoever_asks(periods: float, is_silent: bool) -> None:
    """`gather(return_exceptions=True)` once hid a dead loop: here its silence is seen from outside."""
    loops = Loops(0)
    now_ns = round(periods * LIMITS.period_ns["agents"])
    assert ("agents" in {one.subject for one in loops.silent(now_ns)}) is is_silent


def test_a_loop_that_was_silent_says_so_itself_when_it_runs_again() -> None:
    loops = Loops(0)
    told = loops.look(30 * SECOND_NS)
    assert {one.subject for findings in told.values() for one in findings if one.reason == "loop_silent"} == set(told)
    assert loops.silent(30 * SECOND_NS) == ()
    assert loops.look(31 * SECOND_NS) == {"events": ()}


def test_windows_are_bounded() -> None:
    """A day of readings at 40 Hz is not kept."""
    loops = Loops(0, ["joey"])
    for second in range(86_400 // 8):
        loops.agent("joey", reading(second, handled=second))
        loops.queue("bus", QueueReading(second * SECOND_NS, 0, second))
        loops.violations(ViolationReading(second * SECOND_NS, 0))
        loops.look(second * SECOND_NS)
    kept = (loops._agents["joey"], loops._queues["bus"], loops._violations)
    assert max(len(one) for one in kept) <= 302


# -- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "level", "told"),
    [
        ("failure_rate", Level.WARN, [("joey_high_failure_rate", Severity.WARNING)]),
        ("latency", Level.WARN, [("joey_high_latency", Severity.WARNING)]),
        ("stuck", Level.ISOLATE, [("joey_isolated", Severity.CRITICAL)]),
        ("failure_rate", Level.ISOLATE, [("joey_isolated", Severity.CRITICAL)]),
        ("queue_depth", Level.ALARM, [("redis_queue_overload", Severity.CRITICAL)]),
        ("violations", Level.WARN, [("graveyard_violation_spike", Severity.WARNING)]),
        (
            "violations",
            Level.HALT,
            [("graveyard_violation_spike", Severity.CRITICAL), ("system_emergency_halt", Severity.EMERGENCY)],
        ),
        ("leak", Level.WARN, [("joey_leak", Severity.WARNING)]),
        ("loop_silent", Level.ALARM, [("joey_loop_silent", Severity.CRITICAL)]),
    ],
)
def test_alerts_have_the_names_that_operators_know(reason: Any, level: Level, told: list[tuple[str, Severity]]) -> None:
    finding = Finding("agents", "joey", reason, level, 21, 10)
    assert notices([finding]) == tuple(Notice(name, severity, str(finding)) for name, severity in told)
