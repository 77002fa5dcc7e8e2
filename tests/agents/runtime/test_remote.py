"""An agent in a process of its own: what is killed is replaced without a trace, what lies is not believed, and nobody
waits longer than the patience."""

from __future__ import annotations

import ast
import os
import select
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest

from agents.runtime import wire
from agents.runtime.agent import FetchStatement, Say, Step, cause_of
from agents.runtime.hands import Back
from agents.runtime.remote import CHOKED_MAX, KEEP_AFTER, KEEP_AT, RemoteAgent, Switchboard
from mutable_core.errors import (
    AgentFailed,
    AgentGone,
    AgentLate,
    AgentMisbehaved,
    ApprovalForged,
    ArkError,
    JournalBroken,
    VenueUnavailable,
)
from mutable_core.freezing import freeze
from mutable_core.messages import (
    Envelope,
    InputRejected,
    NothingProposed,
    SliceClosed,
    SourceEnded,
    StatementWanted,
    encode,
)
from tests.agents.runtime.living import Family, a_family
from tests.agents.runtime.samples import SAMPLES
from tests.makers import an_envelope
from tests.mutable_core.toys import (
    COUNTER,
    ECHO,
    QUIET,
    TOYS,
    a_bus,
    an_agent,
    answering,
    log,
    told,
    with_envelopes,
)

SLICE = SliceClosed(1, 1)


def row_of(envelope: Envelope) -> bytes:
    return encode(envelope)


def tell(remote: RemoteAgent, seq: int, body: Any = SLICE) -> Envelope:
    envelope = an_envelope(body, seq=seq)
    remote.tell(row_of(envelope), envelope)
    return envelope


def ask(remote: RemoteAgent, seq: int, body: Any = SLICE) -> tuple[Any, int]:
    return remote.answer(tell(remote, seq, body))


# -- the end of a process -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_processes_killed_at_any_moment_leave_no_mark_in_the_log(seed: int) -> None:
    """A successor is given the state and what was heard since; it is back before the patience is over."""
    chance = Random(seed)
    undisturbed = a_bus()
    with a_family() as family:
        bus = family.bus()
        for number in range(1, 60):
            for one in (bus, undisturbed):
                told(one, number)
            if chance.random() < 0.2:
                family.children[chance.choice(list(family.children))].kill()
            if chance.random() < 0.1:
                family.remotes[chance.choice(list(family.remotes))].keep()
            bus.run()
            undisturbed.run()
        assert log(bus) == log(undisturbed)
        assert sum(family.incarnations.values()) > 6


def test_a_process_killed_in_the_midst_of_what_it_hears_is_replaced_in_the_midst_of_it() -> None:
    undisturbed = a_bus()
    with a_family() as family:
        bus = family.bus()
        for number in range(1, 2_000):
            told(bus, number)
            told(undisturbed, number)
        killer = threading.Timer(0.01, family.children["echo"].kill)
        killer.start()
        bus.run()
        killer.join()
        undisturbed.run()
        assert log(bus) == log(undisturbed)


def test_a_successor_begins_with_the_newest_kept_state_and_not_with_the_beginning() -> None:
    with a_family([COUNTER]) as family:
        remote = family.remotes["counter"]
        for seq in range(1, 6):
            ask(remote, seq)
        assert remote.state == 15
        assert remote.kept == (5, freeze(15), b"")
        family.children["counter"].kill()
        assert ask(remote, 6)[0] == tuple(COUNTER.decide(15, an_envelope(SLICE, seq=6)).says)
        assert family.incarnations["counter"] == 2
        assert remote.state == 21


def test_a_successor_that_says_something_else_than_was_said_is_not_believed() -> None:
    """What was said stands in the log: whoever contradicts it is not the same agent."""
    other = an_agent(
        "fickle", (SliceClosed,), (StatementWanted,), lambda n, _heard: Step(n, (Say(StatementWanted(os.getpid())),))
    )
    with a_family([other]) as family:
        ask(family.remotes["fickle"], 1)
        family.children["fickle"].kill()
        with pytest.raises(AgentMisbehaved, match="row 1"):
            ask(family.remotes["fickle"], 2)


def test_what_a_process_said_before_it_ended_counts() -> None:
    with a_family([COUNTER]) as family:
        family.has_successors = False
        remote, envelope = family.remotes["counter"], an_envelope(SLICE, seq=1)
        remote.tell(row_of(envelope), envelope)
        remote.flush()
        family.children["counter"].has_handled(1)
        family.children["counter"].kill()
        family.children["counter"].ended()
        remote.lost()
        assert len(remote.answer(envelope)[0]) == 1
        assert remote.position == 1


def wait_until_readable(remote: RemoteAgent) -> None:
    assert select.select([remote.fileno()], [], [], 20)[0]


def test_nobody_takes_the_place_of_one_that_has_ended_within_the_patience() -> None:
    with a_family([COUNTER], patience_ms=30) as family:
        family.has_successors = False
        family.replace("counter")
        with pytest.raises(AgentGone):
            ask(family.remotes["counter"], 1)


def test_a_core_that_nobody_can_join_does_not_wait_for_a_successor() -> None:
    remote = RemoteAgent(COUNTER.spec, Switchboard(), patience_ms=1_000_000)
    remote.begin(None, 0)
    with pytest.raises(AgentGone):
        ask(remote, 1)


def test_a_message_that_each_process_chokes_on_is_given_to_so_many_and_no_more() -> None:
    def decide(count: int, heard: Envelope) -> Step[int]:
        return Step(count // (3 - heard.seq))

    with a_family([an_agent("brittle", (SliceClosed,), (), decide)]) as family:
        for seq in (1, 2):
            ask(family.remotes["brittle"], seq)
        with pytest.raises(AgentMisbehaved, match="row 3: ZeroDivisionError"):
            ask(family.remotes["brittle"], 3)
        assert family.incarnations["brittle"] == CHOKED_MAX


def test_a_successor_has_caught_up_when_it_has_answered_what_its_predecessor_heard() -> None:
    with a_family([COUNTER]) as family:
        remote, caught_up = family.remotes["counter"], []
        remote.on_caught_up = caught_up.append
        ask(remote, 1)
        assert (caught_up, remote.has_caught_up) == ([1], True)
        for seq in range(2, 9):
            ask(remote, seq)
        family.children["counter"].kill()
        ask(remote, 9)
        assert (caught_up, remote.has_caught_up, remote.answered) == ([1, 2], True, 9)


# -- late and held ------------------------------------------------------------------------------------------------------


def test_siblings_of_one_that_stands_still_go_on_and_it_answers_when_it_is_released() -> None:
    slow = answering("slow", SliceClosed, QUIET)
    with a_family([slow, *TOYS]) as family:
        bus = family.bus()
        told_of = []
        bus.on_unanswered = lambda name, error: told_of.append((name, type(error)))
        told(bus, 1)
        bus.run()
        family.remotes["slow"].patience_ms = 30
        family.children["slow"].kill(signal.SIGSTOP)
        for number in (2, 3):
            told(bus, number)
        bus.run()
        assert told_of == [("slow", AgentLate)]
        assert bus.held["slow"].why == "late"
        family.remotes["slow"].patience_ms = 20_000
        family.children["slow"].kill(signal.SIGCONT)
        bus.release("slow", "watchdog", "it answers again")
        bus.run()
        rows = log(bus)
    authors = [envelope.author for _, envelope in with_envelopes(rows)]
    assert authors.count("slow") == 3
    assert authors.index("watchdog") < authors.index("echo", authors.index("watchdog"))
    again = a_bus([slow, *TOYS])
    assert again.replay(with_envelopes(rows)) == len(rows) - 5


def test_telling_a_process_that_stands_still_never_waits() -> None:
    with a_family([answering("still", InputRejected, QUIET)], patience_ms=30) as family:
        remote = family.remotes["still"]
        family.children["still"].kill(signal.SIGSTOP)
        long = InputRejected("A" * 10_000, 1, "stale", "")
        envelopes = [tell(remote, seq, long) for seq in range(1, 2_001)]  # twenty times what a socket takes
        with pytest.raises(AgentLate):
            remote.answer(envelopes[0])
        assert remote.pending == 2_000
        family.children["still"].kill(signal.SIGCONT)
        remote.patience_ms = 20_000
        for envelope in envelopes:
            assert len(remote.answer(envelope)[0]) == 1
        assert remote.pending == 0


def test_while_one_is_waited_for_the_others_are_sent_what_waits_for_them() -> None:
    """They work at the same time: the second has answered before it is asked."""
    with a_family([answering("one", SliceClosed, QUIET), answering("two", SliceClosed, QUIET)]) as family:
        envelopes = [tell(remote, 1) for remote in family.remotes.values()]
        family.remotes["one"].answer(envelopes[0])
        family.children["two"].has_handled(1)
        family.remotes["two"].look()
        assert family.remotes["two"].pending == 0


# -- what is kept -------------------------------------------------------------------------------------------------------


def test_the_tail_is_bounded_by_what_is_kept_now_and_then() -> None:
    with a_family([COUNTER]) as family:
        remote = family.remotes["counter"]
        for first in range(1, 3 * KEEP_AT, KEEP_AFTER):
            for envelope in [tell(remote, seq) for seq in range(first, first + KEEP_AFTER)]:
                remote.answer(envelope)
        assert remote.kept.position > KEEP_AFTER
        assert len(remote._tail) <= KEEP_AT + KEEP_AFTER


def test_a_state_is_that_after_everything_that_was_told() -> None:
    with a_family([COUNTER]) as family:
        remote = family.remotes["counter"]
        remote.patience_ms = 20_000
        assert remote.state is None
        envelopes = [tell(remote, seq) for seq in range(1, 4)]
        assert remote.state == 6
        for envelope in envelopes:
            remote.answer(envelope)
        assert remote.state == 6


def test_a_state_that_is_asked_for_while_its_process_ends_comes_from_the_successor() -> None:
    with a_family([COUNTER]) as family:
        remote = family.remotes["counter"]
        ask(remote, 1)
        family.children["counter"].kill()
        assert remote.state == 1


def test_an_agent_may_begin_where_a_snapshot_was_taken() -> None:
    with a_family([COUNTER], begins=False) as family:
        remote = family.remotes["counter"]
        remote.begin(freeze(40), 8)
        assert ask(remote, 9)[0] == tuple(COUNTER.decide(40, an_envelope(SLICE, seq=9)).says)
        assert remote.state == 49


# -- lies ---------------------------------------------------------------------------------------------------------------


class Impostor:
    """A process that speaks frames of its own choice: the other end of the socket, held by the test itself."""

    def __init__(self, pid: int = 0, patience_ms: int = 5_000) -> None:
        ours, self.theirs = socket.socketpair()
        self.remote = RemoteAgent(ECHO.spec, Switchboard(), patience_ms=patience_ms)
        self.remote.begin(None, 0)
        self.remote.joined(1, pid or os.getpid(), ours)

    def sends(self, *messages: Any) -> None:
        for message in messages:
            self.theirs.sendall(message if isinstance(message, bytes) else wire.frame(message))

    def sends_at_the_end(self, *messages: Any) -> None:
        self.sends(*messages)
        self.theirs.close()


@pytest.fixture
def impostor() -> Iterator[Impostor]:
    one = Impostor()
    yield one
    one.remote.lost()
    one.theirs.close()


def speaking(*bodies: Any, position: int = 1, wants: int = 0, cause: Any = None) -> wire.Answer:
    return wire.Answer(
        position, tuple(wire.Spoken(one if isinstance(one, bytes) else encode(one), cause) for one in bodies), wants
    )


def framed(payload: bytes) -> bytes:
    return len(payload).to_bytes(wire.LENGTH_BYTES, "big") + payload


GOOD = StatementWanted(1)
CAUSE = wire.SpokenCause("0" * 32, "1" * 32, 0, 1)
LIES: dict[str, Any] = {
    "what it may not say": speaking(QUIET),
    "what it may not say, behind what it may": speaking(GOOD, QUIET),
    "an answer to another row": speaking(GOOD, position=2),
    "an answer to no row": speaking(GOOD, position=0),
    "no body at all": speaking(b""),
    "a body that is no body": speaking(b"{}"),
    "a body in another spelling": speaking(encode(GOOD).replace(b":", b": ", 1)),
    "a body with a number that is none": speaking(encode(GOOD).replace(b":1", b":null")),
    "half a body": speaking(encode(GOOD)[:-1]),
    "bytes that are no text": speaking(encode(GOOD)[:-1] + b"\xff}"),
    "a cause that is no id": wire.frame(speaking(GOOD, cause=wire.SpokenCause("x", "1" * 32, 0, 1))),
    "a cause of endless depth": wire.frame(speaking(GOOD, cause=wire.SpokenCause("0" * 32, "1" * 32, 1 << 40, 1))),
    "less than nothing wanted": wire.frame(speaking(GOOD, wants=-1)),
    "a frame of the core": wire.Hear(b"{}"),
    "a state that nobody asked for": wire.Kept(1, 1, b"x", b""),
    "a result that nobody asked for": wire.Result(1, b""),
    "an error that nobody asked for": wire.Raised(1, "Broken", "x", "", ""),
    "a question outside a call": wire.Call(1, "approve", b""),
    "a beginning from elsewhere": wire.Began(7),
    "a frame that is too long": (wire.FRAME_MAX + 1).to_bytes(4, "big"),
    "the longest frame that can be said": b"\xff" * 4,
    "bytes that are no frame": framed(b"abc"),
    "an empty frame": framed(b""),
    "a frame with an unknown field": framed(b"\x83\xa5frame\xa5began\xa5after\x00\xa1x\x01"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_ends_the_connection_and_nothing_of_it_is_believed(impostor: Impostor, lie: str) -> None:
    envelope = tell(impostor.remote, 1)
    impostor.remote.flush()
    impostor.sends(LIES[lie], speaking(GOOD))
    with pytest.raises(AgentMisbehaved, match="echo"):
        impostor.remote.answer(envelope)
    assert not impostor.remote.is_there
    assert impostor.remote.refused >= 1
    assert impostor.remote.answered == 0
    with pytest.raises(AgentGone):
        impostor.remote.answer(envelope)


def test_what_was_said_in_front_of_a_lie_counts_and_the_rest_a_successor_says(impostor: Impostor) -> None:
    remote = impostor.remote
    first, second = tell(remote, 1), tell(remote, 2)
    remote.flush()
    impostor.sends(speaking(GOOD), speaking(QUIET, position=2), speaking(GOOD, position=3))
    with pytest.raises(AgentMisbehaved):
        remote.look()
    assert remote.answer(first)[0] == (Say(GOOD),)
    with pytest.raises(AgentGone):
        remote.answer(second)
    ours, theirs = socket.socketpair()
    remote.joined(2, os.getpid(), ours)
    with theirs:
        theirs.sendall(b"".join(map(wire.frame, (wire.Began(0), speaking(GOOD), speaking(GOOD, GOOD, position=2)))))
        assert len(remote.answer(second)[0]) == 2


def test_an_answer_that_is_repeated_is_a_lie(impostor: Impostor) -> None:
    remote = impostor.remote
    first, second = tell(remote, 1), tell(remote, 2)
    remote.flush()
    impostor.sends(speaking(GOOD), speaking(GOOD))
    with pytest.raises(AgentMisbehaved):
        remote.answer(first), remote.answer(second)


def test_a_flood_is_seen_between_turns_by_its_first_frame(impostor: Impostor) -> None:
    impostor.theirs.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            impostor.sends(speaking(GOOD))
    with pytest.raises(AgentMisbehaved):
        impostor.remote.look()
    assert impostor.remote.refused > 1


def test_bytes_that_another_process_sends_are_not_believed() -> None:
    """The kernel says who sent them, whoever got hold of the socket."""
    stranger = Impostor(pid=os.getppid())
    envelope = tell(stranger.remote, 1)
    stranger.remote.flush()
    stranger.sends(speaking(GOOD))
    with pytest.raises(AgentMisbehaved):
        stranger.remote.answer(envelope)
    stranger.theirs.close()


def test_bytes_of_another_user_are_not_believed() -> None:
    one = Impostor()
    ours, theirs = socket.socketpair()
    one.remote.joined(2, os.getpid(), ours, uid=os.getuid() + 1)
    with theirs, one.theirs:
        theirs.sendall(wire.frame(wire.Began(0)))
        with pytest.raises(AgentMisbehaved):
            one.remote.look()


def test_a_state_of_another_position_is_a_lie(impostor: Impostor) -> None:
    remote = impostor.remote
    tell(remote, 1)
    remote.keep()
    remote.flush()
    impostor.sends(speaking(GOOD), wire.Kept(1, 0, b"x", b""))
    with pytest.raises(AgentMisbehaved):
        remote.look()
    assert remote.kept == (0, None, b"")


def test_a_state_in_front_of_the_answers_that_led_to_it_is_a_lie(impostor: Impostor) -> None:
    remote = impostor.remote
    tell(remote, 1)
    remote.keep()
    remote.flush()
    impostor.sends(wire.Kept(1, 1, b"x", b""))
    with pytest.raises(AgentMisbehaved):
        remote.look()


def test_frames_come_whole_however_they_are_cut(impostor: Impostor) -> None:
    remote = impostor.remote
    envelopes = [tell(remote, seq) for seq in (1, 2, 3)]
    remote.flush()
    data = b"".join(wire.frame(speaking(GOOD, position=seq, cause=CAUSE)) for seq in (1, 2, 3))
    for index in range(len(data)):
        impostor.sends(data[index : index + 1])
        remote.look()
    assert [len(remote.answer(envelope)[0]) for envelope in envelopes] == [1, 1, 1]


def test_an_agent_is_asked_about_messages_in_the_order_that_it_was_told_them(impostor: Impostor) -> None:
    tell(impostor.remote, 1)
    with pytest.raises(ValueError, match="before row 1"):
        impostor.remote.answer(an_envelope(SLICE, seq=2))


# -- hands --------------------------------------------------------------------------------------------------------------


class ToyHands:
    """Count what they are let know, and do what a test needs."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.wanted = 0

    def attach(self, state: Callable[[], Any]) -> None:
        self.state = state

    def fold(self, envelope: Envelope) -> None:
        self.seen.append(envelope.seq)

    def want(self, wants: Any) -> None:
        self.wanted += len(wants)

    def call(self, what: str, payload: bytes, back: Back) -> bytes:
        deed: Callable[[bytes, Back], bytes] = getattr(self, f"_{what}")
        return deed(payload, back)

    def _known(self, _payload: bytes, _back: Back) -> bytes:
        return repr((self.seen, self.wanted, self.state())).encode()

    def _ask_back(self, payload: bytes, back: Back) -> bytes:
        before = len(self.seen)
        answer = back("question", payload)
        return repr((answer, self.seen[before:], self.state())).encode()

    def _raise(self, payload: bytes, _back: Back) -> bytes:
        raise {
            b"forged": ApprovalForged("it is forged", where="here", to_do="stop"),
            b"venue": VenueUnavailable("no word"),
            b"journal": JournalBroken("torn", row=3),
            b"own": _OwnError("of a module of its own"),
            b"value": ValueError("a defect"),
        }[payload]

    def _exit(self, _payload: bytes, _back: Back) -> bytes:
        os._exit(7)

    def _linger(self, payload: bytes, back: Back) -> bytes:
        """Goes on when the file is there."""
        while not Path(payload.decode()).exists():
            os.sched_yield()
        return back("question", b"still?")

    def kept(self) -> bytes | None:
        return None if self.wanted % 2 else repr((self.seen, self.wanted)).encode()

    def resume(self, kept: bytes) -> None:
        self.seen, self.wanted = ast.literal_eval(kept.decode())


class _OwnError(VenueUnavailable):
    pass


def wishing(count: int, heard: Envelope) -> Step[int]:
    wants = (FetchStatement(cause_of(heard)),) if isinstance(heard.body, SourceEnded) else ()
    return Step(count + 1, (), wants)


HANDY = an_agent("handy", (SliceClosed, SourceEnded), (), wishing)
FOLDED = frozenset({SourceEnded, NothingProposed})


@pytest.fixture
def handy() -> Iterator[Family]:
    with a_family([HANDY], hands={"handy": ToyHands}, extra_folds=FOLDED) as family:
        yield family


def known(remote: RemoteAgent) -> Any:
    return ast.literal_eval(remote.call("known").decode())


def test_hands_know_of_the_log_what_they_must_and_what_is_wanted(handy: Family) -> None:
    remote = handy.remotes["handy"]
    ask(remote, 1)
    assert ask(remote, 2, SourceEnded(1)) == ((), 1)
    tell(remote, 3, QUIET)
    assert known(remote) == ([2, 3], 1, 2)


def test_a_call_comes_after_all_that_was_told_before_it(handy: Family) -> None:
    remote = handy.remotes["handy"]
    for seq in range(1, 200):
        tell(remote, seq, SourceEnded(1))
    assert known(remote) == (list(range(1, 200)), 199, 199)


def test_what_hands_ask_back_is_answered_in_the_midst_of_the_call(handy: Family) -> None:
    """What the core appends meanwhile the hands know of at once; the agent decides on it when the call is over."""
    remote = handy.remotes["handy"]

    def answer_back(what: str, payload: bytes) -> bytes:
        tell(remote, 1, SourceEnded(1))
        tell(remote, 2, QUIET)
        return f"{what}: {payload.decode()}".encode()

    said = remote.call("ask_back", b"hello", answer_back=answer_back)
    assert said == repr((b"question: hello", [1, 2], 0)).encode()
    assert known(remote) == ([1, 2], 1, 1)
    assert remote.state == 1


@pytest.mark.parametrize(
    ("payload", "kind"),
    [(b"forged", ApprovalForged), (b"venue", VenueUnavailable), (b"own", VenueUnavailable)],
)
def test_an_error_of_the_hands_reaches_the_core_as_itself(handy: Family, payload: bytes, kind: type[ArkError]) -> None:
    with pytest.raises(kind) as raised:
        handy.remotes["handy"].call("raise", payload)
    assert type(raised.value) is kind
    if payload == b"forged":
        assert (raised.value.what, raised.value.where, raised.value.to_do) == ("it is forged", "here", "stop")
    assert known(handy.remotes["handy"])[1] == 0
    assert handy.incarnations["handy"] == 1


def test_a_defect_of_the_hands_is_said_and_ends_the_process(handy: Family) -> None:
    handy.has_successors = False
    with pytest.raises(AgentFailed, match="ValueError: a defect"):
        handy.remotes["handy"].call("raise", b"value")
    assert handy.children["handy"].ended() == 1


def test_an_error_of_the_core_reaches_the_hands_as_itself(handy: Family) -> None:
    def answer_back(_what: str, _payload: bytes) -> bytes:
        raise VenueUnavailable("the core has none")

    with pytest.raises(VenueUnavailable, match="the core has none"):
        handy.remotes["handy"].call("ask_back", b"", answer_back=answer_back)


def test_a_process_that_ends_in_a_call_is_gone_and_its_successor_can_be_called(handy: Family) -> None:
    remote = handy.remotes["handy"]
    with pytest.raises(AgentGone):
        remote.call("exit")
    assert known(remote) == ([], 0, 0)
    assert handy.incarnations["handy"] == 2


def test_a_call_that_was_given_up_is_not_gone_on_with(handy: Family, tmp_path: Path) -> None:
    """The hands learn that nobody waits, and end: a successor begins from the log, never in the midst."""
    remote, flag = handy.remotes["handy"], tmp_path / "go"
    handy.has_successors = False
    with pytest.raises(AgentLate):
        remote.call("linger", str(flag).encode(), deadline_ms=30, answer_back=lambda what, payload: b"yes")
    flag.touch()
    while remote.is_there:
        wait_until_readable(remote)
        remote.look()
        remote.flush()
    assert handy.children["handy"].ended() == 1


def test_hands_are_kept_with_the_state_and_resumed_by_a_successor(handy: Family) -> None:
    remote = handy.remotes["handy"]
    for seq in (1, 2):
        ask(remote, seq, SourceEnded(1))
    assert remote.state == 2
    assert remote.kept == (2, freeze(2), b"([1, 2], 2)")
    handy.replace("handy")
    tell(remote, 3, QUIET)
    assert known(remote) == ([1, 2, 3], 2, 2)


def test_while_hands_cannot_be_kept_nothing_is_kept(handy: Family) -> None:
    """The state is shown all the same."""
    remote = handy.remotes["handy"]
    ask(remote, 1, SourceEnded(1))
    assert remote.state == 1
    assert remote.kept == (0, None, b"")
    handy.replace("handy")
    assert known(remote) == ([1], 1, 1)


def test_hands_can_be_called_before_the_agent_begins() -> None:
    with a_family([HANDY], hands={"handy": ToyHands}, extra_folds=FOLDED, begins=False) as family:
        assert known(family.remotes["handy"]) == ([], 0, 0)
        family.remotes["handy"].begin(freeze(5), 3, b"([2], 0)")
        assert known(family.remotes["handy"]) == ([2], 0, 5)


@pytest.mark.parametrize("kind", SAMPLES, ids=[kind.__name__ for kind in SAMPLES])
def test_every_message_goes_over_the_wire_unchanged(kind: type) -> None:
    say = Say(SAMPLES[kind], cause_of(an_envelope(SLICE)))
    answer = wire.from_agent(wire.frame(wire.Answer(1, (wire.spoken(say),), 0))[wire.LENGTH_BYTES :])
    assert isinstance(answer, wire.Answer)
    assert wire.said(answer.says[0]) == say
