"""The bus, whoever listens: agents in this process and agents in processes of their own keep the same order and say the
same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.runtime.agent import Agent, FetchStatement, Say, Step, cause_of
from agents.runtime.hosted import Hosted
from mutable_core.bus.ordering import Bus
from mutable_core.errors import AgentFailed, AgentMisbehaved, CapabilityExceeded, ReplayDiverged
from mutable_core.ids import derived_id
from mutable_core.journal import Journal
from mutable_core.messages import (
    AgentHeld,
    AgentReleased,
    Envelope,
    NothingProposed,
    SliceClosed,
    SourceEnded,
    StatementWanted,
)
from tests.agents.runtime.living import a_family
from tests.mutable_core.toys import (
    COUNTER,
    ECHO,
    EDGES,
    QUIET,
    TOYS,
    a_bus,
    an_agent,
    answering,
    log,
    told,
    with_envelopes,
)

Topology = Callable[..., AbstractContextManager[Bus]]


@contextmanager
def embedded(agents: Sequence[Agent] = TOYS, journal: Journal | None = None) -> Iterator[Bus]:
    bus = Bus(journal or Journal.in_memory(), [Hosted(agent) for agent in agents], EDGES)
    bus.on_wants = lambda wants: None
    yield bus


@contextmanager
def processes(agents: Sequence[Agent] = TOYS, journal: Journal | None = None) -> Iterator[Bus]:
    with a_family(agents) as family:
        yield family.bus(journal)


@pytest.fixture(params=[embedded, processes], ids=["embedded", "processes"])
def topology(request: pytest.FixtureRequest) -> Topology:
    return request.param  # type: ignore[no-any-return]


def fed(bus: Bus, batches: Sequence[int]) -> list[bytes]:
    """Inputs in batches, delivered after each."""
    number = 0
    for size in batches:
        for _ in range(size):
            number += 1
            told(bus, number, SourceEnded(number) if number % 5 == 0 else None)
        bus.run()
    return log(bus)


def test_the_log_is_the_same_bytes_wherever_the_agents_live(topology: Topology) -> None:
    batches = [1, 3, 1, 1, 7, 2]
    with topology() as bus:
        assert fed(bus, batches) == fed(a_bus(), batches)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=8))
@settings(max_examples=8, deadline=None)
def test_in_whatever_batches_inputs_come_both_topologies_write_the_same_log(batches: list[int]) -> None:
    with processes() as bus:
        assert fed(bus, batches) == fed(a_bus(), batches)


def test_answers_stand_in_the_order_of_the_messages_and_then_of_the_listeners(topology: Topology) -> None:
    """Also where the last of them has answered long before the first."""
    agents = [
        answering("first", SliceClosed, QUIET),
        answering("second", SliceClosed, StatementWanted(2)),
        an_agent("third", (NothingProposed,), (), lambda count, _heard: Step(count)),
    ]
    with topology(agents) as bus:
        told(bus, 1)
        told(bus, 2)
        bus.run()
        authors = [envelope.author for _, envelope in with_envelopes(log(bus))]
    assert authors == ["world", "world", "first", "second", "first", "second"]


def test_an_answer_may_follow_from_an_earlier_message_than_the_one_just_heard(topology: Topology) -> None:
    def decide(state: tuple[Envelope, ...], heard: Envelope) -> Step[tuple[Envelope, ...]]:
        state = state or (heard,)
        return Step(state, (Say(QUIET, cause_of(state[0])),))

    agent = an_agent("late", (SliceClosed,), (NothingProposed,), decide)  # type: ignore[arg-type]
    with topology([Agent(agent.spec, (), agent.decide)]) as bus:
        for number in (1, 2):
            told(bus, number)
            bus.run()
        said = [envelope for _, envelope in with_envelopes(log(bus)) if envelope.author == "late"]
    first = derived_id("input", "1")
    assert [(one.cause_id, one.ts_event_ns, one.ts_seen_ns) for one in said] == [(first, 1, 1), (first, 1, 2)]


def test_that_something_is_wanted_is_told_after_what_was_said_stands_in_the_log(topology: Topology) -> None:
    def decide(count: int, heard: Envelope) -> Step[int]:
        return Step(count, (Say(QUIET),), (FetchStatement(cause_of(heard)),) if heard.seq == 1 else ())

    with topology([an_agent("wisher", (SliceClosed,), (NothingProposed,), decide)]) as bus:
        seen: list[int] = []
        bus.on_wants = lambda wants: seen.append(bus.journal.seq)
        for number in (1, 2):
            told(bus, number)
            bus.run()
    assert seen == [2]


def test_what_may_not_be_said_is_not_appended_and_neither_is_what_was_said_beside_it(topology: Topology) -> None:
    def decide(count: int, _heard: Envelope) -> Step[int]:
        return Step(count, (Say(QUIET), Say(StatementWanted(1))))

    with topology([an_agent("liar", (SliceClosed,), (NothingProposed,), decide)]) as bus:
        told(bus, 1)
        with pytest.raises((CapabilityExceeded, AgentMisbehaved), match="liar"):
            bus.run()
        assert len(log(bus)) == 1


def test_an_agent_that_raises_ends_a_run_in_which_nobody_sees_to_it(topology: Topology) -> None:
    def decide(count: int, heard: Envelope) -> Step[int]:
        return Step(count // (3 - heard.seq))

    with topology([an_agent("brittle", (SliceClosed,), (), decide)]) as bus:
        for number in (1, 2, 3):
            told(bus, number)
        with pytest.raises((AgentFailed, AgentMisbehaved), match="brittle"):
            bus.run()
        assert len(log(bus)) == 3


def test_a_replay_says_every_message_again_and_goes_on(topology: Topology) -> None:
    """I7, from wherever the log was cut."""
    batches = [2, 1, 4]
    rows = fed(a_bus(), batches)
    for cut in (1, len(rows) // 2, len(rows)):
        journal = Journal.in_memory()
        for row in rows[:cut]:
            journal.append(row, 0)
        known = sum(envelope.author == "world" for _, envelope in with_envelopes(rows[:cut]))
        with topology(journal=journal) as bus:
            bus.replay(with_envelopes(rows[:cut]))
            bus.end_replay()
            number = 0
            for size in batches:
                for _ in range(size):
                    number += 1
                    if number > known:
                        told(bus, number, SourceEnded(number) if number % 5 == 0 else None)
                if number >= known:
                    bus.run()
            assert log(bus) == rows, cut


def test_an_agent_that_says_something_else_than_the_journal_stops_the_replay(topology: Topology) -> None:
    rows = with_envelopes(fed(a_bus(), [3]))
    other = an_agent("counter", COUNTER.spec.hears, COUNTER.spec.says, lambda n, heard: COUNTER.decide(n + 1, heard))
    with topology([other, ECHO, TOYS[2]]) as bus, pytest.raises(ReplayDiverged, match="row 4 "):
        bus.replay(rows)


def test_who_is_held_is_not_heard_and_who_is_released_answers_all_of_it_in_order(topology: Topology) -> None:
    with topology([answering("one", SliceClosed, QUIET), answering("two", SliceClosed, StatementWanted(2))]) as bus:
        told(bus, 1)
        bus.run()
        assert bus.hold("one", "isolated", "ann", "a look").body == AgentHeld("one", 4, "isolated", "ann", "a look")
        assert dict(bus.held) == {"one": AgentHeld("one", 4, "isolated", "ann", "a look")}
        told(bus, 2)
        told(bus, 3)
        bus.run()
        bus.release("one", "ann", "all is well")
        told(bus, 4)
        bus.run()
        assert dict(bus.held) == {}
        rows = log(bus)
    by_id = {envelope.id: envelope.seq for _, envelope in with_envelopes(rows)}
    assert [(e.author, by_id[e.cause_id]) for _, e in with_envelopes(rows)] == [
        ("world", 1), ("one", 1), ("two", 1), ("watchdog", 4), ("world", 5), ("world", 6), ("two", 5), ("two", 6),
        ("watchdog", 9), ("world", 10), ("one", 5), ("one", 6), ("one", 10), ("two", 10),
    ]  # fmt: skip
    with topology([answering("one", SliceClosed, QUIET), answering("two", SliceClosed, StatementWanted(2))]) as bus:
        assert bus.replay(with_envelopes(rows)) == 8
        assert bus.end_replay() == 0


def test_a_log_that_ends_while_somebody_is_held_goes_on_with_them_held(topology: Topology) -> None:
    with embedded() as bus:
        told(bus, 1)
        bus.run()
        bus.hold("echo", "ended", "watchdog", "SIGKILL")
        told(bus, 2)
        bus.run()
        rows = log(bus)
    journal = Journal.in_memory()
    for row in rows:
        journal.append(row, 0)
    with topology(journal=journal) as bus:
        bus.replay(with_envelopes(rows))
        bus.end_replay()
        bus.run()
        assert log(bus) == rows
        assert set(bus.held) == {"echo"}
        released = bus.release("echo", "watchdog", "it is back")
        assert released is not None
        assert released.body == AgentReleased("echo", "watchdog", "it is back")
        bus.run()
        answered = [e for _, e in with_envelopes(log(bus)) if e.author == "echo" and e.seq > len(rows)]
        assert {one.cause_id for one in answered} >= {derived_id("input", "2")}
