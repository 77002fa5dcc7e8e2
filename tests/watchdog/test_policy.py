"""The policy as a table, and what holds of it whatever happens: OTP's words, made-up time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mutable_core.clock import HOUR_NS, SECOND_NS
from mutable_core.errors import Unacceptable
from watchdog import policy
from watchdog.policy import ALIVE, RULES, Action, Kill, Probe, Quarantine, Readmit, Rules, Start, Ward

MS = 1_000_000


class Watched:
    """One ward, its actions, and a clock that the test moves."""

    def __init__(self, rules: Rules = RULES, **ward: Any) -> None:
        self.rules, self.now_ns, self.ward = rules, SECOND_NS, Ward("joey", **ward)
        self.did: list[Action] = []

    def take(self, turn: policy.Turn) -> Action | None:
        self.ward, action = turn
        if action is not None:
            self.did.append(action)
        return action

    def runs(self) -> Watched:
        self.take(policy.begin(self.ward, self.now_ns))
        self.ward = policy.caught_up(policy.started(self.ward, self.now_ns), self.now_ns)
        return self

    def ends(self, **how: Any) -> Action | None:
        return self.take(policy.ended(self.ward, self.now_ns, self.rules, 0.5, **how))

    def passes(self, ns: int) -> Action | None:
        self.now_ns += ns
        return self.take(policy.due(self.ward, self.now_ns, self.rules))

    def comes_back(self) -> None:
        """Whatever it waits for in a backoff is over, and it works."""
        if self.ward.phase == "backing_off":
            assert self.ward.due_ns is not None
            self.passes(self.ward.due_ns - self.now_ns)
        self.ward = policy.caught_up(self.ward, self.now_ns)

    def is_quarantined(self) -> Watched:
        self.runs().take(policy.quarantine(self.ward, self.now_ns, self.rules, why="it lies"))
        return self

    def is_isolated(self) -> Watched:
        self.runs().take(policy.isolate(self.ward, "ann", self.now_ns))
        return self

    def is_probing(self) -> Watched:
        self.is_quarantined().passes(self.rules.quarantine_ns)
        return self


# -- starting and ending ----------------------------------------------------------------------------------------------


def test_a_child_is_started_catches_up_and_runs() -> None:
    watched = Watched()
    assert watched.take(policy.begin(watched.ward, watched.now_ns)) == Start(watched.now_ns)
    assert (watched.ward.phase, watched.ward.incarnation) == ("starting", 1)
    watched.ward = policy.caught_up(watched.ward, watched.now_ns)
    assert watched.ward.phase == "running"


def test_it_is_begun_once() -> None:
    watched = Watched().runs()
    assert watched.take(policy.begin(watched.ward, watched.now_ns)) is None


def test_the_first_restart_is_immediate() -> None:
    watched = Watched().runs()
    assert watched.ends() == Start(watched.now_ns)
    assert (watched.ward.phase, watched.ward.incarnation) == ("starting", 2)


def test_a_crash_loop_waits_ever_longer_and_is_quarantined_by_the_sixth_end() -> None:
    """Intensity 5 within 60 s, in OTP's sense: five restarts are allowed, one more is not."""
    watched, waited = Watched().runs(), []
    for _ in range(5):
        watched.ends(why="it raised")
        waited.append((watched.ward.due_ns or watched.now_ns) - watched.now_ns)
        watched.comes_back()
    assert waited == [0, 5 * MS, 10 * MS, 20 * MS, 40 * MS]
    until_ns = watched.now_ns + 60 * SECOND_NS
    assert watched.ends(why="it raised") == Quarantine(until_ns, "it raised; 5 restarts were not enough")
    assert (watched.ward.phase, watched.ward.due_ns, watched.ward.incarnation) == ("quarantined", until_ns, 6)


def test_nothing_is_started_before_its_backoff_is_over() -> None:
    watched = Watched().runs()
    watched.ends()
    watched.comes_back()
    assert watched.ends() is None
    assert watched.passes(5 * MS - 1) is None
    assert watched.passes(1) == Start(watched.now_ns)
    assert watched.passes(10**12) is None, "it is started once"


@pytest.mark.parametrize(("apart_s", "last"), [(12, "quarantined"), (12.001, "starting")])
def test_only_restarts_within_the_period_count(apart_s: float, last: str) -> None:
    """As in OTP the period's end belongs to it: the sixth end comes 60 s after the first."""
    watched = Watched(Rules(backoff_base_ns=0)).runs()
    for number in range(6):
        watched.now_ns += round(apart_s * SECOND_NS) if number else 0
        watched.ends()
        phase = watched.ward.phase
        watched.comes_back()
    assert phase == last


@pytest.mark.parametrize(("worked_s", "waits_ms"), [(59.999, 5), (60, 0)])
def test_failures_are_forgotten_after_stable_work_not_after_a_start(worked_s: float, waits_ms: int) -> None:
    watched = Watched().runs()
    watched.ends()
    watched.now_ns += HOUR_NS  # it takes an hour to catch up; that is not work
    watched.comes_back()
    watched.now_ns += round(worked_s * SECOND_NS)
    watched.ends()
    assert (watched.ward.due_ns or watched.now_ns) - watched.now_ns == waits_ms * MS


@pytest.mark.parametrize(
    ("restart", "is_normal", "phase"),
    [
        ("permanent", True, "starting"),
        ("permanent", False, "starting"),
        ("transient", True, "stopped"),
        ("transient", False, "starting"),
        ("temporary", True, "stopped"),
        ("temporary", False, "stopped"),
    ],
)
def test_who_is_started_again(restart: policy.Restart, is_normal: bool, phase: str) -> None:
    watched = Watched(restart=restart).runs()
    watched.ends(is_normal=is_normal)
    assert watched.ward.phase == phase


def test_the_end_of_an_older_incarnation_says_nothing() -> None:
    """It was killed and replaced; the kernel tells of its death later."""
    watched = Watched().runs()
    watched.ends()
    watched.comes_back()
    before = watched.ward
    assert watched.ends(incarnation=1) is None
    assert policy.caught_up(policy.begin(Ward("x"), 0)[0], 5, incarnation=7).phase == "starting"
    assert watched.ward == before


def test_what_was_stopped_stays_so() -> None:
    watched = Watched().runs()
    watched.ward = policy.stop(watched.ward, watched.now_ns)
    assert watched.ends() is None
    assert watched.passes(HOUR_NS) is None
    assert watched.ward.phase == "stopped"


# -- quarantine and probes --------------------------------------------------------------------------------------------


def test_a_late_child_is_killed_and_its_end_decides() -> None:
    watched = Watched().runs()
    assert watched.take(policy.kill(watched.ward, "no beat for 500 ms")) == Kill("no beat for 500 ms")
    assert watched.ends() == Start(watched.now_ns)


def test_what_no_restart_cures_is_quarantined_at_once() -> None:
    watched = Watched().runs()
    action = watched.take(policy.quarantine(watched.ward, watched.now_ns, RULES, why="it lies"))
    assert action == Quarantine(watched.now_ns + 60 * SECOND_NS, "it lies")
    assert watched.ends() is None, "its death was the point"


def test_after_the_quarantine_one_probe_decides() -> None:
    watched = Watched().is_quarantined()
    assert watched.passes(60 * SECOND_NS - 1) is None
    assert watched.passes(1) == Probe()
    assert (watched.ward.phase, watched.ward.incarnation) == ("probing", 2)
    assert watched.take(policy.probe_passed(watched.ward, watched.now_ns)) == Readmit("watchdog")
    assert watched.ward.phase == "running"


@pytest.mark.parametrize("how", ["said", "ended", "silent"])
def test_a_probe_that_fails_doubles_the_quarantine(how: str) -> None:
    """Because it answered wrongly, died, or did not answer for 10 s."""
    watched = Watched().is_probing()
    watched.ward = policy.started(watched.ward, watched.now_ns)
    match how:
        case "said":
            action = watched.take(policy.probe_failed(watched.ward, watched.now_ns, RULES))
        case "ended":
            action = watched.ends()
        case _:
            assert watched.passes(10 * SECOND_NS - 1) is None
            action = watched.passes(1)
    assert isinstance(action, Quarantine)
    assert action.until_ns == watched.now_ns + 120 * SECOND_NS


def test_a_probe_has_its_time_from_when_its_process_is_there() -> None:
    watched = Watched().is_probing()
    watched.now_ns += 7 * SECOND_NS
    watched.ward = policy.started(watched.ward, watched.now_ns)
    assert watched.passes(10 * SECOND_NS - 1) is None
    assert isinstance(watched.passes(1), Quarantine)


def test_quarantines_double_up_to_an_hour() -> None:
    watched, minutes = Watched().is_quarantined(), []
    for _ in range(9):
        assert watched.ward.due_ns is not None
        minutes.append((watched.ward.due_ns - watched.now_ns) // (60 * SECOND_NS))
        watched.passes(watched.ward.due_ns - watched.now_ns)
        watched.take(policy.probe_failed(watched.ward, watched.now_ns, RULES))
    assert minutes == [1, 2, 4, 8, 16, 32, 60, 60, 60]


@pytest.mark.parametrize(("worked_s", "minutes"), [(59, 2), (60, 1)])
def test_only_stable_work_makes_quarantines_forgotten(worked_s: int, minutes: int) -> None:
    watched = Watched().is_probing()
    watched.take(policy.probe_passed(watched.ward, watched.now_ns))
    watched.now_ns += worked_s * SECOND_NS
    watched.take(policy.quarantine(watched.ward, watched.now_ns, RULES, why="again"))
    assert watched.ward.due_ns == watched.now_ns + minutes * 60 * SECOND_NS


def test_one_that_was_let_in_again_has_its_whole_intensity() -> None:
    watched = Watched().is_probing()
    watched.take(policy.probe_passed(watched.ward, watched.now_ns))
    for _ in range(5):
        watched.ends()
        watched.comes_back()
    assert watched.ward.phase == "running"
    watched.ends()
    assert watched.ward.phase == "quarantined"


def test_a_crash_loop_that_a_person_lets_in_again_at_once_has_its_whole_intensity_too() -> None:
    watched = Watched().runs()
    for _ in range(6):
        watched.ends()
        watched.comes_back()
    watched.take(policy.release(watched.ward, "ann", watched.now_ns))
    watched.take(policy.probe_passed(watched.ward, watched.now_ns))
    watched.ends()
    assert watched.ward.phase == "backing_off"


# -- people -----------------------------------------------------------------------------------------------------------


def test_an_isolated_child_stays_so_until_a_person_releases_it() -> None:
    watched = Watched().runs()
    assert watched.take(policy.isolate(watched.ward, "ann", watched.now_ns, why="odd")) == Quarantine(
        None, "odd", "ann"
    )
    assert watched.ends() is None
    assert watched.passes(1_000 * HOUR_NS) is None
    assert watched.take(policy.release(watched.ward, "bob", watched.now_ns, why="mended")) == Probe()
    assert watched.take(policy.probe_passed(watched.ward, watched.now_ns)) == Readmit("bob", "mended")


def test_isolated_twice_is_isolated_once() -> None:
    watched = Watched().is_isolated()
    before = watched.ward
    assert watched.take(policy.isolate(watched.ward, "bob", watched.now_ns)) is None
    assert watched.ward == before


def test_a_person_may_release_before_the_quarantine_is_over() -> None:
    watched = Watched().is_quarantined()
    assert watched.take(policy.release(watched.ward, "bob", watched.now_ns)) == Probe()


def test_released_while_it_is_being_probed_it_is_readmitted_by_that_person() -> None:
    watched = Watched().is_probing()
    assert watched.take(policy.release(watched.ward, "bob", watched.now_ns, why="mended")) is None
    assert watched.take(policy.probe_passed(watched.ward, watched.now_ns)) == Readmit("bob", "mended")


def test_an_isolation_is_stronger_than_a_quarantine_and_a_probe() -> None:
    for watched in (Watched().is_quarantined(), Watched().is_probing()):
        watched.take(policy.isolate(watched.ward, "ann", watched.now_ns))
        assert watched.take(policy.quarantine(watched.ward, watched.now_ns, RULES, why="x")) is None
        assert watched.take(policy.probe_passed(watched.ward, watched.now_ns)) is None
        assert watched.ward.phase == "isolated"


def test_a_restart_that_was_asked_for_is_immediate_and_does_not_count() -> None:
    watched = Watched().runs()
    for _ in range(20):
        assert watched.take(policy.restart(watched.ward, "ann", watched.now_ns)) == Kill("restarted by ann")
        assert watched.ends() == Start(watched.now_ns)
        watched.comes_back()
    assert (watched.ward.failures, watched.ward.restarts_ns) == (0, ())
    watched.ends()
    assert watched.ward.failures == 1, "the next end is its own"


def test_a_restart_ends_a_backoff_and_a_stop() -> None:
    watched = Watched(restart="temporary").runs()
    watched.ends()
    assert watched.take(policy.restart(watched.ward, "ann", watched.now_ns)) == Start(watched.now_ns)
    watched = Watched().runs()
    watched.ends()
    watched.comes_back()
    watched.ends()
    assert watched.ward.phase == "backing_off"
    assert watched.take(policy.restart(watched.ward, "ann", watched.now_ns)) == Start(watched.now_ns)


@pytest.mark.parametrize("shut_out", [Watched.is_quarantined, Watched.is_isolated, Watched.is_probing])
def test_a_restart_is_no_way_round_a_probe(shut_out: Callable[[Watched], Watched]) -> None:
    with pytest.raises(Unacceptable, match="`joey` is"):
        policy.restart(shut_out(Watched()).ward, "ann", 0)


def test_who_is_not_shut_out_cannot_be_released() -> None:
    with pytest.raises(Unacceptable, match="`joey` is not shut out, it is running"):
        policy.release(Watched().runs().ward, "ann", 0)


# -- the tree ---------------------------------------------------------------------------------------------------------

ORDER = ("venue", "kill", "core", "kyle", "metrics")


@pytest.mark.parametrize(
    ("strategy", "name", "torn_down"),
    [
        ("one_for_one", "core", ("core",)),
        ("rest_for_one", "core", ("core", "kyle", "metrics")),
        ("rest_for_one", "venue", ORDER),
        ("rest_for_one", "metrics", ("metrics",)),
        ("one_for_all", "kyle", ORDER),
    ],
)
def test_who_falls_with_whom(strategy: policy.Strategy, name: str, torn_down: tuple[str, ...]) -> None:
    """The core's death leaves the venue and the kill switch alone: they were started before it."""
    assert policy.affected(strategy, ORDER, name) == torn_down


# -- whatever happens -------------------------------------------------------------------------------------------------


class AnyLife(RuleBasedStateMachine):
    """Random events at random times against a plain record of what was done."""

    @initialize(intensity=st.integers(0, 6), base_ms=st.sampled_from([0, 5, 1_000]))
    def begin(self, intensity: int, base_ms: int) -> None:
        self.watched = Watched(Rules(intensity=intensity, backoff_base_ns=base_ms * MS)).runs()
        self.starts_ns: list[int] = []
        self.asked = False

    @rule(ns=st.one_of(st.integers(0, SECOND_NS), st.integers(0, 2 * HOUR_NS)))
    def time_passes(self, ns: int) -> None:
        before = self.watched.ward
        action = self.watched.passes(ns)
        assert before.due_ns is not None or (action is None and self.watched.ward == before)
        assert before.phase != "isolated" or action is None, "time releases nobody that a person isolated"
        if isinstance(action, Start):
            assert before.phase == "backing_off"

    @rule(chance=st.floats(0, 1, exclude_max=True))
    def ends(self, chance: float) -> None:
        before, watched = self.watched.ward, self.watched
        action = watched.take(policy.ended(before, watched.now_ns, watched.rules, chance))
        if before.phase not in ALIVE:
            assert (watched.ward, action) == (before, None)
            return
        if not before.is_asked and watched.ward.phase in {"starting", "backing_off"}:
            self.starts_ns.append(watched.now_ns)

    @rule()
    def catches_up(self) -> None:
        self.watched.ward = policy.caught_up(self.watched.ward, self.watched.now_ns)

    @rule()
    def is_late(self) -> None:
        before = self.watched.ward.phase
        assert (self.watched.take(policy.kill(self.watched.ward, "late")) is not None) == (before in ALIVE)

    @rule()
    def lies(self) -> None:
        watched = self.watched
        watched.take(policy.quarantine(watched.ward, watched.now_ns, watched.rules, why="it lies"))
        assert watched.ward.phase in {"quarantined", "isolated", "stopped"}

    @rule()
    def is_isolated(self) -> None:
        self.watched.take(policy.isolate(self.watched.ward, "ann", self.watched.now_ns))
        assert self.watched.ward.phase == "isolated"

    @precondition(lambda self: self.watched.ward.phase in policy.SHUT_OUT)
    @rule()
    def is_released(self) -> None:
        self.watched.take(policy.release(self.watched.ward, "ann", self.watched.now_ns))
        assert self.watched.ward.phase == "probing", "nobody comes back without a probe"

    @precondition(lambda self: self.watched.ward.phase not in policy.SHUT_OUT)
    @rule()
    def is_restarted(self) -> None:
        self.watched.take(policy.restart(self.watched.ward, "ann", self.watched.now_ns))

    @rule(passed=st.booleans())
    def is_probed(self, passed: bool) -> None:
        watched, before = self.watched, self.watched.ward
        verdict = (
            policy.probe_passed(before, watched.now_ns)
            if passed
            else policy.probe_failed(before, watched.now_ns, watched.rules)
        )
        if before.phase != "probing":
            assert verdict == (before, None)
        assert isinstance(watched.take(verdict), Readmit) == (passed and before.phase == "probing")

    @invariant()
    def never_more_restarts_than_the_intensity_within_a_period(self) -> None:
        rules = self.watched.rules
        recent = [ns for ns in self.watched.ward.restarts_ns if ns + rules.period_ns >= self.watched.now_ns]
        assert len(recent) <= rules.intensity
        assert set(recent) <= set(self.starts_ns)

    @invariant()
    def each_process_is_one_incarnation(self) -> None:
        births = [action for action in self.watched.did if isinstance(action, Start | Probe)]
        assert self.watched.ward.incarnation == len(births)

    @invariant()
    def something_is_due_exactly_where_time_decides(self) -> None:
        timed = self.watched.ward.phase in {"backing_off", "quarantined", "probing"}
        assert (self.watched.ward.due_ns is not None) == timed

    @invariant()
    def a_readmission_follows_a_probe(self) -> None:
        for before, action in zip(self.watched.did, self.watched.did[1:], strict=False):
            assert not isinstance(action, Readmit) or isinstance(before, Probe | Kill)


AnyLife.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
test_any_life = AnyLife.TestCase


@settings(deadline=None)
@given(chances=st.lists(st.floats(0, 1, exclude_max=True), min_size=6, max_size=6))
def test_the_same_events_at_the_same_times_give_the_same_life(chances: list[float]) -> None:
    """Pure: a replay of what happened decides the same."""

    def life() -> list[Ward]:
        ward, now_ns, lived = policy.begin(Ward("joey"), 0)[0], 0, []
        for chance in chances:
            now_ns += 7 * MS
            ward, _ = policy.ended(policy.caught_up(ward, now_ns), now_ns, RULES, chance)
            ward, _ = policy.due(ward, now_ns + SECOND_NS)
            lived.append(ward)
        return lived

    assert life() == life()
