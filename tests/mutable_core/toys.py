"""Toy agents for tests of the bus: they speak real messages, and what they say follows from all that they heard."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from agents.runtime.agent import Agent, AgentSpec, Say, Step
from agents.runtime.hosted import Hosted
from mutable_core.bus.ordering import Bus
from mutable_core.ids import derived_id
from mutable_core.journal import Journal
from mutable_core.messages import (
    AgentHeld,
    AgentReleased,
    AnyBody,
    Envelope,
    InputRejected,
    NothingProposed,
    SliceClosed,
    SourceEnded,
    StatementWanted,
    Verified,
    decode,
)

EDGES: dict[str, frozenset[type]] = {
    "world": frozenset({SliceClosed, SourceEnded}),
    "watchdog": frozenset({AgentHeld, AgentReleased}),
}


def counted(count: int, heard: Envelope) -> Step[int]:
    """Says one, two or no messages to a slice, by how much was heard before: the state shows in what is said."""
    count += heard.seq
    says = [Say(InputRejected(str(count), heard.seq, "malformed", heard.kind)) for _ in range(count % 3)]
    return Step(count, tuple(says))


def echoed(count: int, heard: Envelope) -> Step[int]:
    """Answers what the first agent said, and every slice, so that answers queue behind what others appended."""
    count = count * 31 % 1_009 + heard.seq
    return Step(count, (Say(StatementWanted(count)),))


def closed(count: int, heard: Envelope) -> Step[int]:
    """Ends the chain: answers answers, every other time."""
    return Step(count + 1, (Say(Verified(str(count), "refused")),) if count % 2 else ())


def an_agent(
    name: str,
    hears: Iterable[type],
    says: Iterable[type],
    decide: Callable[[int, Envelope], Step[int]],
    reports: Iterable[type] = (),
) -> Agent:
    return Agent(AgentSpec(name, "a toy", tuple(hears), tuple(says), tuple(reports)), 0, decide)


COUNTER = an_agent("counter", (SliceClosed,), (InputRejected,), counted)
ECHO = an_agent("echo", (InputRejected, SliceClosed, SourceEnded), (StatementWanted,), echoed)
CLOSER = an_agent("closer", (StatementWanted,), (Verified,), closed)
TOYS = (COUNTER, ECHO, CLOSER)


def a_bus(agents: Sequence[Agent] = TOYS, journal: Journal | None = None) -> Bus:
    return Bus(journal or Journal.in_memory(), [Hosted(agent) for agent in agents], EDGES)


def told(bus: Bus, number: int, body: AnyBody | None = None) -> Envelope:
    """The world's `number`-th message; its times and its id follow from the number."""
    body = SliceClosed(number, number) if body is None else body
    return bus.begin("world", body, derived_id("input", str(number)), number, number)


def log(bus: Bus) -> list[bytes]:
    bus.journal.commit()
    return list(bus.journal.rows())


def with_envelopes(rows: Iterable[bytes]) -> list[tuple[bytes, Envelope]]:
    return [(row, decode(row)) for row in rows]


def answering(name: str, hears: type, body: AnyBody) -> Agent:
    """Says the same to everything that it hears."""
    return an_agent(name, (hears,), (type(body),), lambda count, _heard: Step(count, (Say(body),)))


QUIET = NothingProposed("A", "no_signal")
