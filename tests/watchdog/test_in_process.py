"""Supervision within one process: nothing lost, nothing said twice, and the log as if nothing had happened."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.runtime.agent import Agent, Say, Step
from agents.runtime.hosted import Hosted
from mutable_core.bus.ordering import Bus
from mutable_core.clock import SECOND_NS
from mutable_core.errors import AgentGone, AgentMisbehaved, ArkError, Unacceptable
from mutable_core.journal import Journal
from mutable_core.messages import AgentEnded, AgentHeld, Envelope, InputRejected, SliceClosed, decode
from tests.mutable_core.toys import CLOSER, ECHO, EDGES, a_bus, an_agent, log, told, with_envelopes
from watchdog.in_process import CHOKES, IN_PROCESS, Supervised
from watchdog.policy import Readmit, Rules


def adding(before: Callable[[int, Envelope], None] = lambda _count, _heard: None) -> Agent:
    """Adds up the positions that it hears and says the sum; `before` may raise."""

    def decide(count: int, heard: Envelope) -> Step[int]:
        before(count, heard)
        count += heard.seq
        return Step(count, (Say(InputRejected(str(count), heard.seq, "malformed", "")),))

    return an_agent("adder", (SliceClosed,), (InputRejected,), decide)


class Fault(Exception):
    """What the toys raise."""


class Chance:
    """Raises on chosen messages, as often as chosen."""

    def __init__(self, times: dict[int, int]) -> None:
        self.left = dict(times)

    def __call__(self, _count: int, heard: Envelope) -> None:
        if self.left.get(heard.seq, 0) > 0:
            self.left[heard.seq] -= 1
            raise Fault(f"at {heard.seq}")


class House:
    """A bus with one supervised child, two others behind it, and a clock that the test moves."""

    def __init__(self, times: dict[int, int], rules: Rules = IN_PROCESS) -> None:
        self.now_ns, self.crashes, self.unanswered = SECOND_NS, list[AgentEnded](), list[tuple[str, ArkError]]()
        self.fault = Chance(times)
        agent = adding(self.fault)
        self.child = Supervised(
            lambda: Hosted(agent), rules=rules, monotonic=lambda: self.now_ns, on_ended=self.crashes.append
        )
        self.bus = Bus(Journal.in_memory(), [self.child, Hosted(ECHO), Hosted(CLOSER)], EDGES)
        self.bus.on_unanswered = lambda name, error: self.unanswered.append((name, error))

    def hears(self, count: int, first: int = 1) -> None:
        for number in range(first, first + count):
            told(self.bus, number)
            self.bus.run()

    def passes(self, ns: int) -> Readmit | None:
        self.now_ns += ns
        readmit = self.child.due()
        if readmit is not None:
            self.bus.release("adder", readmit.by, "its probe passed")
            self.bus.run()
        return readmit

    def said(self) -> list[str]:
        return [one.body.symbol for _, one in with_envelopes(log(self.bus)) if isinstance(one.body, InputRejected)]


def undisturbed(inputs: int) -> list[bytes]:
    house = House({})
    house.hears(inputs)
    return log(house.bus)


HEARD = tuple(range(1, 61, 5))
"""Where the child's first twelve messages stand in the log."""


def sums(count: int, without: int = 0) -> list[str]:
    """What the child has said after `count` of them; none left out."""
    return [str(sum(HEARD[: number + 1])) for number in range(count)][: count - without]


# -- nobody else notices ------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(times=st.dictionaries(st.sampled_from(HEARD), st.integers(1, CHOKES - 1), max_size=5), rest_s=st.integers(0, 70))
def test_a_child_that_raises_leaves_no_mark_in_the_log(times: dict[int, int], rest_s: int) -> None:
    """The same input gives the same journal, whatever crashed in between; the crash records say what did."""
    house = House(times, Rules(intensity=100, backoff_base_ns=0))
    for number in range(1, 13):
        house.hears(1, number)
        house.now_ns += rest_s * SECOND_NS
    assert log(house.bus) == undisturbed(12)
    assert len(house.crashes) == sum(times.values())
    assert house.unanswered == []


def test_a_crash_record_says_who_how_and_what_was_answered_last() -> None:
    house = House({6: 2})
    house.hears(3)
    how = "raised Fault: at 6"
    assert house.crashes == [AgentEnded("adder", 1, how, 1), AgentEnded("adder", 2, how, 1)]
    assert house.child.ward.incarnation == 3


def test_the_failed_attempt_leaves_nothing_in_the_state() -> None:
    """The new child has the state from before the message, also where a child keeps something beside it."""
    births = []

    def birth() -> Hosted:
        births.append(heard := list[int]())

        def once(_count: int, envelope: Envelope) -> None:
            heard.append(envelope.seq)
            if envelope.seq == 6 and len(heard) > 1:
                raise Fault

        return Hosted(adding(once))

    child = Supervised(birth, monotonic=lambda: 0)
    bus = Bus(Journal.in_memory(), [child, Hosted(ECHO), Hosted(CLOSER)], EDGES)
    for number in range(1, 4):
        told(bus, number)
        bus.run()
    assert births == [[1, 6], [6, 11]]
    assert child.state == sum(HEARD[:3])


def test_what_is_no_error_passes_through() -> None:
    """Ctrl-C is not a crash of whoever happened to decide."""

    def interrupted(_count: int, _heard: Envelope) -> None:
        raise KeyboardInterrupt

    bus = a_bus()
    child = Supervised(lambda: Hosted(adding(interrupted)))
    with pytest.raises(KeyboardInterrupt):
        child.answer(told(bus, 1))
    assert child.ward.incarnation == 1


# -- a message on which it chokes ---------------------------------------------------------------------------------------


def test_a_message_on_which_it_chokes_three_times_quarantines_it_and_is_named() -> None:
    house = House({6: CHOKES})
    house.hears(4)
    [(name, error)] = house.unanswered
    assert (name, type(error)) == ("adder", AgentMisbehaved)
    assert error.where == "seq 6, market.slice_closed"
    assert house.said() == sums(1), "its siblings went on, and it is held"
    assert house.bus.held["adder"] == AgentHeld("adder", 6, "quarantined", "watchdog", str(error))
    assert [one.incarnation for one in house.crashes] == [1, 2, 3]


def test_the_message_is_never_skipped() -> None:
    """It is the first that the child hears when it is let in again, and nothing after it was lost either."""
    house = House({6: CHOKES})
    house.hears(3)
    assert house.passes(60 * SECOND_NS - 1) is None
    assert house.passes(1) == Readmit("watchdog")
    rows = [one.body.row for _, one in with_envelopes(log(house.bus)) if isinstance(one.body, InputRejected)]
    heard = [one.seq for _, one in with_envelopes(log(house.bus)) if isinstance(one.body, SliceClosed)]
    assert rows == heard
    assert house.child.ward.phase == "running"


def test_the_journal_of_a_quarantine_replays_byte_for_byte() -> None:
    house = House({6: CHOKES})
    house.hears(3)
    house.passes(60 * SECOND_NS)
    house.hears(2, 4)
    rows = log(house.bus)
    again = House({})
    assert again.bus.replay([(row, decode(row)) for row in rows]) > 0
    assert again.bus.end_replay() == 0
    again.bus.run()
    assert again.child.state == house.child.state


def test_a_probe_that_chokes_doubles_the_quarantine_and_says_nothing_in_the_log() -> None:
    house = House({6: CHOKES + 1})
    house.hears(3)
    before = log(house.bus)
    assert house.passes(60 * SECOND_NS) is None
    assert log(house.bus) == before
    assert house.passes(120 * SECOND_NS - 1) is None
    assert house.passes(1) == Readmit("watchdog")


def test_a_probe_is_in_shadow() -> None:
    """What it says, and the state that it leads to, are dropped; the real answer comes in its turn."""
    house = House({6: CHOKES})
    house.hears(3)
    state = house.child.state
    house.now_ns += 60 * SECOND_NS
    assert house.child.due() == Readmit("watchdog")
    assert (house.child.state, house.said()) == (state, sums(1))


def test_a_child_that_raises_too_often_is_quarantined_though_no_message_chokes_it() -> None:
    """Six different messages within a minute: the intensity is used up."""
    house = House(dict.fromkeys(HEARD[:6], 1))
    house.hears(6)
    assert house.said() == sums(5)
    [(_, error)] = house.unanswered
    assert "5 restarts were not enough" in error.what


def test_the_intensity_is_of_a_minute() -> None:
    house = House(dict.fromkeys(HEARD[:12], 1))
    for number in range(1, 13):
        house.hears(1, number)
        house.now_ns += 13 * SECOND_NS
    assert house.said() == sums(12)


def test_with_a_backoff_it_is_away_until_it_is_due() -> None:
    house = House({6: 1, 11: 1}, Rules(backoff_base_ns=5))
    house.hears(2)
    assert house.said() == sums(2), "the first restart is immediate"
    house.hears(1, 3)
    assert [type(error) for _, error in house.unanswered] == [AgentGone]
    assert house.passes(4) is None
    assert house.passes(1) == Readmit("watchdog")
    assert len(house.said()) == 3


# -- people -------------------------------------------------------------------------------------------------------------


def test_a_person_isolates_and_releases() -> None:
    house = House({})
    house.hears(1)
    quarantine = house.child.isolate("ann", "odd")
    assert quarantine is not None
    house.bus.hold("adder", "isolated", quarantine.by, quarantine.why)
    house.hears(2, 2)
    assert house.said() == sums(1)
    assert house.passes(10**6 * SECOND_NS) is None
    assert house.child.isolate("bob", "odd too") is None
    readmit = house.child.release("bob")
    assert readmit == Readmit("bob", "released")
    house.bus.release("adder", readmit.by, "fine")
    house.bus.run()
    assert len(house.said()) == 3


def test_one_that_is_shut_out_answers_nobody() -> None:
    child = Supervised(lambda: Hosted(adding()))
    child.isolate("ann", "odd")
    with pytest.raises(AgentGone, match="`adder` is isolated: odd"):
        child.answer(told(a_bus(), 1))


def test_one_that_runs_cannot_be_released() -> None:
    with pytest.raises(Unacceptable):
        Supervised(lambda: Hosted(adding())).release("ann")
