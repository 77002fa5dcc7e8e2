"""The life of an agent's process: it answers the Watchdog from the task that works, ends when it is told to, and misbehaves
only in a drill."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.runtime.agent import Agent, Step
from agents.runtime.process import EXIT_CHOKED, EXIT_ORDERLY, OUTBOX_BYTES_MAX
from mutable_core import leash
from mutable_core.errors import AgentMisbehaved
from mutable_core.messages import Envelope, NothingProposed, SliceClosed, encode
from tests.agents.runtime.living import Child, Family, a_family
from tests.makers import an_envelope
from tests.mutable_core.toys import ECHO, QUIET, an_agent, answering


@pytest.fixture
def family() -> Iterator[Family]:
    with a_family([ECHO]) as one:
        one.has_successors = False
        yield one


def tell(family: Family, name: str, seq: int, body: object = None) -> Envelope:
    envelope = an_envelope(SliceClosed(1, 1) if body is None else body, seq=seq)
    family.remotes[name].tell(encode(envelope), envelope)
    return envelope


def test_pings_are_answered_with_what_was_worked_through(family: Family) -> None:
    child = family.children["echo"]
    assert (child.ping(1).n, child.ping(2).handled) == (1, 0)
    for seq in range(1, 11):
        tell(family, "echo", seq)
    family.switchboard.flush()
    child.has_handled(10)
    pong = child.ping(9)
    assert (pong.n, pong.handled) == (9, 10)


def gated(gate: Path) -> Agent:
    """Stands in its first decision until somebody has opened the gate, and closed it."""

    def decide(count: int, _heard: Envelope) -> Step[int]:
        if count == 0:
            gate.read_bytes()
        return Step(count + 1)

    os.mkfifo(gate)
    return an_agent("gated", (SliceClosed,), (), decide)


def test_pings_are_answered_in_the_midst_of_a_long_queue(tmp_path: Path) -> None:
    """A process that works is not taken for one that stands still, however much it has to do."""
    messages = 500
    with a_family([gated(tmp_path / "gate")]) as family:
        child = family.children["gated"]
        child.kill(signal.SIGSTOP)
        for seq in range(1, messages + 1):
            tell(family, "gated", seq)
        family.switchboard.flush()
        child.kill(signal.SIGCONT)
        with (tmp_path / "gate").open("wb"):  # now it stands in front of all of them
            assert leash.send(child.leash, leash.Ping(1))
        pong = child.pong()
        assert 1 <= pong.handled < messages


def test_a_loop_that_decides_nothing_answers_nothing(tmp_path: Path) -> None:
    """In-band: that the process lives is no news; that it works is."""
    with a_family([gated(tmp_path / "gate")]) as family:
        child = family.children["gated"]
        tell(family, "gated", 1)
        family.switchboard.flush()
        with (tmp_path / "gate").open("wb"):
            assert leash.send(child.leash, leash.Ping(1))
            with pytest.raises(BlockingIOError):
                leash.from_process(child.leash)
        assert child.pong().handled == 1


def test_a_process_that_the_core_does_not_listen_to_answers_pings_and_stops_deciding() -> None:
    """What it says waits, but not without end."""
    messages = 600
    with a_family([answering("talker", SliceClosed, NothingProposed("A" * 10_000, "no_signal"))]) as family:
        child, remote = family.children["talker"], family.remotes["talker"]
        envelopes = [tell(family, "talker", seq) for seq in range(1, messages + 1)]
        remote.flush()
        child.has_handled(1)
        before, same = 0, 0
        while same < 20:
            remote.flush()
            now = child.ping().handled
            before, same = now, same + 1 if now == before else 0
        assert OUTBOX_BYTES_MAX / 10_000 < before < messages
        for envelope in envelopes:
            remote.answer(envelope)
        child.has_handled(messages)


def test_told_to_stop_it_ends_in_order(family: Family) -> None:
    assert leash.send(family.children["echo"].leash, leash.Stop())
    assert family.children["echo"].ended() == EXIT_ORDERLY


def test_what_was_said_before_it_was_stopped_was_sent(family: Family) -> None:
    envelope = tell(family, "echo", 1)
    family.switchboard.flush()
    family.children["echo"].has_handled(1)
    leash.send(family.children["echo"].leash, leash.Stop())
    assert family.children["echo"].ended() == EXIT_ORDERLY
    assert len(family.remotes["echo"].answer(envelope)[0]) == 1


def test_without_a_watchdog_it_ends(family: Family) -> None:
    family.children["echo"].leash.shutdown(socket.SHUT_RDWR)
    assert family.children["echo"].ended() == EXIT_ORDERLY


def test_without_a_core_it_ends(family: Family) -> None:
    family.remotes["echo"].lost()
    assert family.children["echo"].ended() == EXIT_ORDERLY


def test_what_is_no_frame_of_a_leash_ends_it(family: Family) -> None:
    family.children["echo"].leash.send(b"no frame")
    assert family.children["echo"].ended() == EXIT_CHOKED


def inject(child: Child, fault: str) -> None:
    assert leash.send(child.leash, leash.Inject(fault))


@pytest.mark.parametrize("fault", ["crash", "exit", "spin", "lie"])
def test_where_no_drills_are_allowed_nothing_is_injected(family: Family, fault: str) -> None:
    child = family.children["echo"]
    inject(child, fault)
    envelope = tell(family, "echo", 1)
    assert len(family.remotes["echo"].answer(envelope)[0]) == 1
    assert child.ping().handled == 1


@pytest.fixture
def drilled() -> Iterator[Family]:
    with a_family([answering("toy", SliceClosed, QUIET)], may_drill=True) as one:
        one.has_successors = False
        yield one


@pytest.mark.parametrize(
    ("fault", "code"),
    [("crash", EXIT_CHOKED), ("exit", 0), ("segfault", -signal.SIGSEGV), ("no such fault", EXIT_CHOKED)],
)
def test_an_injected_end_is_an_end(drilled: Family, fault: str, code: int) -> None:
    inject(drilled.children["toy"], fault)
    assert drilled.children["toy"].ended() == code


@pytest.mark.parametrize("fault", ["hang_async", "hang_sync", "spin"])
def test_an_injected_hang_answers_no_ping(drilled: Family, fault: str) -> None:
    child = drilled.children["toy"]
    child.ping()
    inject(child, fault)
    assert leash.send(child.leash, leash.Ping(2))
    with pytest.raises(BlockingIOError):
        leash.from_process(child.leash)
    child.kill()
    assert child.ended() == -signal.SIGKILL


@pytest.mark.parametrize("fault", ["lie", "replay", "flood"])
def test_an_injected_lie_is_found_out(drilled: Family, fault: str) -> None:
    remote, child = drilled.remotes["toy"], drilled.children["toy"]
    remote.answer(tell(drilled, "toy", 1))
    inject(child, fault)
    with pytest.raises(AgentMisbehaved, match="toy"):
        answer_all(drilled, range(2, 1_000))


def answer_all(family: Family, positions: range) -> None:
    for seq in positions:
        family.remotes["toy"].answer(tell(family, "toy", seq))
