"""The operator's desk: people halt, ask, sign and look; whatever else comes in leaves no trace."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from hashlib import sha256
from pathlib import Path
from threading import Thread
from typing import Any

import anyio
import anyio.to_thread
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployment.desk import server
from deployment.desk.address import address
from deployment.desk.allowance import Allowance
from deployment.desk.client import DeskDenied, HouseSilent, ask, connected
from deployment.desk.desk import PER_MINUTE
from deployment.desk.server import opened, serve
from deployment.desk.signing import seen
from deployment.desk.waiting import LISTED_MAX
from deployment.desk.words import (
    LINE_MAX,
    SOCKET,
    Act,
    Consent,
    DeclareBroadcast,
    DeclareFiling,
    DeclareSignal,
    Denied,
    Done,
    Halt,
    LiftVeto,
    ListWaiting,
    Question,
    Resume,
    SetVeto,
    ShowAct,
    Stands,
    Waiting,
    answer_in,
    encode,
    question_in,
)
from deployment.topology.replay import replay
from deployment.topology.state_dir import JOURNAL
from mutable_core.clock import SECOND_NS
from mutable_core.errors import Broken
from mutable_core.journal import verify
from mutable_core.messages import (
    Approved,
    BroadcastPublished,
    CatalystFiled,
    ConsentRecorded,
    DiscrepancyFound,
    DrillOrdered,
    HaltOrdered,
    NothingProposed,
    OperationApproved,
    OperationAsked,
    OrderIntended,
    PersonSigned,
    ProposalMade,
    Refused,
    RunStarted,
    SignalDeclared,
    VetoLifted,
    VetoSet,
)
from tests.deployment.desk_makers import WHY, Live, Office, an_office, live, never_rationed, signed, with_large_orders
from tests.deployment.handmade import envelopes, finished, trading
from tests.faults.processes import ended, envelopes_of, eventually, journal_of


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    one = an_office(tmp_path / "run")
    yield one
    one.house.close()


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """For what is denied: it needs no house of its own. Never rationed: each question comes a second later."""
    one = an_office(tmp_path_factory.mktemp("untouched") / "run", monotonic=never_rationed())
    yield one
    one.house.close()


@pytest.fixture(scope="module")
def resumption(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Office, Act]]:
    """A resume that waits, and goes on waiting."""
    one = an_office(tmp_path_factory.mktemp("resumption") / "run", monotonic=never_rationed())
    yield one, one.resumption()
    one.house.close()


# -- what is appended ------------------------------------------------------------------------------------------------

SAID: dict[str, tuple[Question, Any]] = {
    "halt": (Halt("global", "", "halted", "ann", WHY), HaltOrdered("global", "", "halted", "ann", WHY)),
    "halt one": (
        Halt("instrument", "A", "reduce_only", "ann", WHY),
        HaltOrdered("instrument", "A", "reduce_only", "ann", WHY),
    ),
    "veto": (SetVeto("strategy", "alternating", "ann", WHY), VetoSet("strategy", "alternating", "ann", WHY)),
    "consent": (Consent("ann", "trading", 5), ConsentRecorded("ann", "trading", 5)),
    "broadcast": (DeclareBroadcast("A", "our view on A"), BroadcastPublished("A", "our view on A")),
    "filing": (DeclareFiling("B", "8-K of today"), CatalystFiled("B", "8-K of today")),
    "signal": (DeclareSignal("other", "B", "sell"), SignalDeclared("other", "B", "sell")),
}


def test_a_command_appends_exactly_its_message_and_it_is_on_disk_when_it_is_said_to_be(office: Office) -> None:
    for count, (question, body) in enumerate(SAID.values(), 1):
        done = office.done(question)
        told = office.told()
        assert (len(told), told[-1], done.outcome) == (count, body, "recorded")
        assert envelopes(office.folder)[done.position - 1].body == body


def test_a_veto_that_stands_can_be_lifted(office: Office) -> None:
    office.done(SetVeto("account", "paper", "ann", WHY))
    assert Stands("veto", "account", "paper") in office.waiting().standing
    office.done(LiftVeto("account", "paper", "bob"))
    assert office.told()[-1] == VetoLifted("account", "paper", "bob")
    assert not office.waiting().standing


def test_what_is_private_in_a_text_is_not_written_down(office: Office) -> None:
    """Rule 17 for what people write; a halt goes through all the same."""
    office.done(Halt("global", "", "halted", "ann", "ask ann@example.com, password=hunter2"))
    assert office.told()[-1].reason == "ask [private], [credential]"


# -- what is denied --------------------------------------------------------------------------------------------------

DENIED: dict[str, Question] = {
    "an instrument that is not traded": Halt("instrument", "C", "halted", "ann", WHY),
    "an instrument in other letters": Halt("instrument", "a", "halted", "ann", WHY),
    "an account of somebody else": SetVeto("account", "live", "ann", WHY),
    "a strategy that does not run": SetVeto("strategy", "mean_reversion", "ann", WHY),
    "everything, with a name": Halt("global", "A", "halted", "ann", WHY),
    "a veto that does not stand": LiftVeto("global", "", "ann"),
    "a halt that does not stand": Resume("global", "", "ann", WHY),
    "a purpose that nobody asks for": Consent("ann", "tradng", 5),
    "a filing on nothing": DeclareFiling("C", "8-K of today"),
    "text that moves the cursor": Halt("global", "", "halted", "ann", "all \x1b[2Jis well"),
    "text that runs backwards": DeclareBroadcast("A", "sell \u202eyub"),
    "an act that nobody asked for": ShowAct("00ff"),
}


@pytest.mark.parametrize("case", DENIED)
def test_a_command_that_would_do_nothing_is_denied_and_appends_nothing(untouched: Office, case: str) -> None:
    assert untouched.denied(DENIED[case]).what


GOOD = encode(Halt("global", "", "halted", "ann", WHY))

HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"\x00\xff\xfe",
    "bad UTF-8": GOOD.replace(b"ann", b"a\xffn"),
    "half of a character": GOOD.replace(b"ann", rb"\ud800"),
    "3 000 deep": b"[" * 3_000,
    "3 000 deep in a field": b'{"x":' + b"[" * 3_000 + b"]" * 3_000 + b"," + GOOD[1:],
    "unknown kind": GOOD.replace(b'"halt"', b'"obey"'),
    "no kind": GOOD.replace(b'"ask":"halt",', b""),
    "unknown field": GOOD.replace(b"{", b'{"bypass":true,'),
    "a field twice": GOOD.replace(b"}", b',"by":"bob"}'),
    "a field missing": GOOD.replace(b',"by":"ann"', b""),
    "another spelling": GOOD.replace(b":", b": "),
    "two questions": GOOD + b"\n" + GOOD,
    "a number for a name": GOOD.replace(b'"ann"', b"7"),
    "a level that is none": GOOD.replace(b'"level":"halted"', b'"level":"off"'),
    "a name in capitals": GOOD.replace(b"ann", b"Ann"),
    "a name with a line end": GOOD.replace(b"ann", rb"ann\n"),
    "a reason too long": GOOD.replace(WHY.encode(), b"w" * 501),
    "no reason": GOOD.replace(WHY.encode(), b""),
    "an array of questions": b"[" + GOOD + b"]",
    "a line too long": GOOD + b" " * LINE_MAX,
    "a time beyond 64 bits": encode(Consent("ann", "trading", 5)).replace(b"5", b"9" * 400),
    "a message of the log": encode(HaltOrdered("global", "", "halted", "ann", WHY)),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_line_that_is_no_question_appends_nothing(untouched: Office, case: str) -> None:
    before = untouched.house.journal.seq
    assert isinstance(answer_in(untouched.desk.answer(HOSTILE[case])), Denied)
    assert untouched.house.journal.seq == before


def test_the_good_line_of_the_table_above_is_one(office: Office) -> None:
    """Else the table would prove nothing."""
    assert isinstance(answer_in(office.desk.answer(GOOD)), Done)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=60).map(lambda text: GOOD.replace(b"ann", text.encode())))
def test_no_line_makes_the_desk_raise_and_only_questions_append(resumption: tuple[Office, Act], line: bytes) -> None:
    office, _ = resumption
    before = office.house.journal.seq
    answer = answer_in(office.desk.answer(line))
    assert isinstance(answer, Denied | Done)
    assert (office.house.journal.seq > before) == (question_in(line) is not None) == isinstance(answer, Done)


def test_commands_are_rationed_and_a_halt_has_a_ration_of_its_own(tmp_path: Path) -> None:
    now = [0]
    office = an_office(tmp_path / "run", monotonic=lambda: now[0])
    for _ in range(PER_MINUTE):
        office.done(DeclareSignal("other", "A", "buy"))
    assert office.denied(DeclareSignal("other", "A", "buy")).is_busy
    office.halted()
    now[0] += SECOND_NS
    office.done(DeclareSignal("other", "A", "buy"))
    assert office.denied(DeclareSignal("other", "A", "buy")).is_busy
    office.house.close()


@given(st.lists(st.integers(0, 5 * 10**9), max_size=150))
def test_never_more_than_a_burst_and_a_minute_s_worth_pass_within_a_minute(gaps: list[int]) -> None:
    now = [0]
    allowance = Allowance(10, lambda: now[0])
    passed: list[int] = []
    for gap in gaps:
        now[0] += gap
        if allowance.takes_one():
            passed.append(now[0])
    for first in passed:
        assert sum(first <= one < first + 60 * SECOND_NS for one in passed) <= 20


def test_after_the_end_of_the_source_one_can_look_and_nothing_more(office: Office) -> None:
    """Log time stands still: what is asked then would wait for ever."""
    finished(office.house)
    office.denied(Halt("global", "", "halted", "ann", WHY))
    assert office.waiting().acts == ()


# -- halt and resume -------------------------------------------------------------------------------------------------


def test_under_a_halt_proposals_are_refused_by_rule_14_and_joey_is_quiet(office: Office) -> None:
    office.halted()
    slices = iter(office.house.slices())
    office.house.turn(next(slices))
    before = office.house.journal.seq
    office.house.turn(next(slices))
    office.house.drill(DrillOrdered("no_stop"), 1)
    office.house.journal.commit()
    after = [one.body for one in envelopes(office.folder)[before:]]
    assert not [one for one in after if isinstance(one, ProposalMade) and not one.is_drill]
    assert {one.reason for one in after if isinstance(one, NothingProposed)} == {"halted"}
    (refused,) = [one for one in after if isinstance(one, Refused)]
    assert 14 in [one.rule for one in refused.verdict.violations]


def test_one_signature_waits_and_two_lift_the_halt(office: Office) -> None:
    act = office.resumption()
    assert office.done(signed(act, "alice")).outcome == "waits"
    assert office.is_halted()
    assert office.waiting().acts[0].signed == ("alice",)
    done = office.done(signed(act, "bob"))
    assert done.outcome == "approved"
    assert not office.is_halted()
    assert office.waiting().acts == ()
    kinds = [type(one.body) for one in envelopes(office.folder)]
    assert kinds.count(PersonSigned) == 2
    assert kinds.count(OperationApproved) == 1


def test_the_same_person_twice_does_not_lift_it(office: Office) -> None:
    act = office.resumption()
    office.done(signed(act, "alice"))
    assert "already" in office.denied(signed(act, "alice")).what
    assert office.is_halted()


def test_the_asker_s_own_signature_does_not_count(office: Office) -> None:
    act = office.resumption()
    assert "asked" in office.denied(signed(act, "carol")).what
    office.done(signed(act, "alice"))
    office.denied(signed(act, "carol"))
    assert office.is_halted()


FORGED: dict[str, dict[str, Any]] = {
    "the key of somebody else": {"person": "alice", "by": "bob"},
    "the key of a stranger": {"person": "alice", "by": "mallory"},
    "a person that the run does not know": {"person": "mallory"},
    "a digest that is another's": {"person": "alice", "digest": "ab" * 32},
    "a position that is another's": {"person": "alice", "position": 1},
    "an act that does not wait": {"person": "alice", "act_id": "ab" * 16},
}


@pytest.mark.parametrize("case", FORGED)
def test_a_signature_that_would_count_for_nobody_is_not_appended(resumption: tuple[Office, Act], case: str) -> None:
    office, act = resumption
    assert office.denied(signed(act, **FORGED[case])).what
    assert office.is_halted()


@given(bit=st.integers(0, 511))
@settings(max_examples=40, deadline=None)
def test_no_signature_with_a_bit_changed_is_taken(resumption: tuple[Office, Act], bit: int) -> None:
    office, act = resumption
    good = signed(act, "alice")
    changed = bytearray(bytes.fromhex(good.signature))
    changed[bit // 8] ^= 1 << bit % 8
    office.denied(msgspec.structs.replace(good, signature=changed.hex()))


def test_a_signature_is_for_one_act_and_not_for_the_next_of_its_kind(office: Office) -> None:
    first = office.resumption()
    office.done(Resume("global", "", "carol", WHY))
    second = office.waiting().acts[1]
    over_first = signed(first, "alice")
    changed = msgspec.structs.replace(over_first, act_id=second.act_id, digest=second.digest, position=second.position)
    office.denied(changed)
    office.done(over_first)


def test_where_too_few_people_are_known_a_resume_is_denied_and_says_so(tmp_path: Path) -> None:
    office = an_office(tmp_path / "run", names=("alice", "carol"))
    office.halted()
    assert "two people" in office.denied(Resume("global", "", "carol", WHY)).what
    office.house.close()


def test_what_waits_expires_after_five_minutes_of_log_time(office: Office) -> None:
    """The clock is the market's: on daily bars the next bar is a day later, whatever the wall clock says."""
    act = office.resumption()
    assert act.expires_in_ns == 300 * SECOND_NS
    office.house.turn(next(iter(office.house.slices())))
    assert office.waiting().acts == ()
    office.denied(signed(act, "alice"))
    assert office.is_halted()


def test_what_waited_before_a_restart_waits_after_it_and_can_be_signed(tmp_path: Path) -> None:
    before = an_office(tmp_path / "run")
    act = before.resumption()
    before.done(signed(act, "alice"))
    before.house.close()
    office = an_office(tmp_path / "run", slices=0)
    assert office.waiting().acts == (msgspec.structs.replace(act, signed=("alice",)),)
    assert office.done(signed(act, "bob")).outcome == "approved"
    office.house.close()


def test_no_more_acts_are_listed_than_one_answer_holds(tmp_path: Path) -> None:
    office = an_office(tmp_path / "run", monotonic=never_rationed())
    office.halted()
    answers = [office.asks(Resume("global", "", "carol", WHY)) for _ in range(LISTED_MAX + 5)]
    assert all(isinstance(one, Done) and one.outcome == "waits" for one in answers)
    waiting = office.waiting()
    assert (len(waiting.acts), waiting.left_off) == (LISTED_MAX, 5)
    office.denied(ShowAct(waiting.acts[0].act_id[:4]))
    office.house.close()


# -- an order that waits ---------------------------------------------------------------------------------------------


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    """Each order is worth between 5 % and 10 % of the equity."""
    with_large_orders(monkeypatch, 7)
    one = an_office(tmp_path / "run", slices=1, settings=trading(ARK_CASH="100000"))
    yield one
    one.house.close()


def test_a_large_order_waits_for_a_person_and_leaves_when_one_has_signed(large: Office) -> None:
    act = large.waiting().acts[0]
    assert (act.kind, act.needed, act.signed) == ("order", 1, ())
    assert [(one.rule, one.clause) for one in act.violations] == [(26, 0)]
    assert act.mark_then_atoms == act.mark_now_atoms > 0
    assert OrderIntended not in {type(one.body) for one in envelopes(large.folder)}
    assert large.done(signed(act, "bob")).outcome == "approved"
    bodies = [one.body for one in envelopes(large.folder)]
    (approved,) = [one for one in bodies if isinstance(one, Approved)]
    (intended,) = [one for one in bodies if isinstance(one, OrderIntended)]
    assert (approved.proposal_id, approved.digest, approved.facts.people) == (act.act_id, act.digest, 1)
    assert intended.order.proposal_id == act.act_id


def test_what_all_have_signed_is_vetted_again_and_the_rules_may_still_refuse_it(large: Office) -> None:
    act = large.waiting().acts[0]
    large.done(SetVeto("global", "", "ann", WHY))
    done = large.done(signed(act, "bob"))
    assert done.outcome == "refused"
    assert "rule 13" in done.what
    kinds = {type(one.body) for one in envelopes(large.folder)}
    assert Refused in kinds
    assert OrderIntended not in kinds


def test_a_run_in_which_people_spoke_ends_whole_and_says_the_same_again(large: Office) -> None:
    """I7: what people say is an input like any other."""
    large.done(signed(large.waiting().acts[0], "bob"))
    large.resumption()
    finished(large.house)
    large.house.close()
    assert verify(large.folder / JOURNAL).ok
    assert replay(large.folder / JOURNAL).compared
    assert DiscrepancyFound not in {type(one.body) for one in envelopes(large.folder)}


# -- what a person signs ---------------------------------------------------------------------------------------------


def test_the_digest_that_is_signed_is_computed_from_the_act_s_own_bytes(office: Office) -> None:
    act = office.resumption()
    read = seen(act)
    asked = next(one.body for one in envelopes(office.folder) if isinstance(one.body, OperationAsked))
    assert (read.act, read.digest, read.canonical) == (asked, act.digest, encode(asked))


def respelt(act: Act, old: str, new: str) -> dict[str, str]:
    """With the digest that belongs to it."""
    canonical = act.canonical.replace(old, new)
    return {"canonical": canonical, "digest": sha256(canonical.encode()).hexdigest()}


LIES: dict[str, Any] = {
    "another digest": lambda act: {"digest": "ab" * 32},
    "another id": lambda act: {"act_id": "ab" * 16},
    "another act": lambda act: {"canonical": act.canonical.replace("resume", "withdrawal")},
    "another spelling": lambda act: respelt(act, ":", ": "),
    "a field twice": lambda act: respelt(act, "}", ',"scope":"account"}'),
    "no act": lambda act: {"canonical": "{}"},
    "an order that is none": lambda act: {"kind": "order"},
}


@pytest.mark.parametrize("case", LIES)
def test_an_act_that_is_not_what_the_house_calls_it_cannot_be_signed(resumption: tuple[Office, Act], case: str) -> None:
    _, act = resumption
    with pytest.raises(Broken):
        seen(msgspec.structs.replace(act, **LIES[case](act)))


# -- the door, from outside ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live(tmp_path_factory.mktemp("live") / ("deep" * 40)) as one:  # a path that no socket's name could hold
        yield one


@pytest.mark.faults
def test_the_socket_is_its_owner_s_alone(running: Live) -> None:
    found = (running.state / SOCKET).stat()
    assert stat.S_ISSOCK(found.st_mode)
    assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o600, os.geteuid())


def heard(sock: socket.socket) -> bytes:
    """All that comes until the other side hangs up."""
    parts: list[bytes] = []
    with suppress(ConnectionError):
        while part := sock.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def said_by_people(state: Path) -> list[Any]:
    bodies = [one.body for one in envelopes_of(journal_of(state)) if one.author == "operator"]
    return [body for body in bodies if not isinstance(body, RunStarted)]


@pytest.mark.faults
def test_hostile_clients_append_nothing_and_the_house_goes_on(running: Live) -> None:
    before = said_by_people(running.state)
    for line in HOSTILE.values():
        with connected(running.state) as sock:
            with suppress(ConnectionError):  # it hangs up in the middle of a line that is too long
                sock.sendall(line + b"\n")
            answer = heard(sock)
        assert not answer or isinstance(answer_in(answer.rstrip(b"\n")), Denied)
    with connected(running.state) as endless, pytest.raises(ConnectionError):
        endless.sendall(b"x" * 10_000_000)
    running.goes_on()
    assert said_by_people(running.state) == before


@pytest.mark.faults
def test_a_thousand_silent_clients_keep_nobody_out(running: Live) -> None:
    """Half a line and then nothing: they are dropped, the others are answered meanwhile."""
    before = said_by_people(running.state)
    with ExitStack() as held:
        silent = [held.enter_context(connected(running.state)) for _ in range(1_000)]
        for number, sock in enumerate(silent[900:]):
            with suppress(ConnectionError):
                sock.sendall(GOOD[: number % len(GOOD)])
        running.goes_on()
        assert heard(silent[0]) == b""  # dropped by the house
    running.goes_on()
    assert said_by_people(running.state) == before


async def _visited(folder: Path, visit: Callable[[Path], None]) -> None:
    """A desk in this process, and a visitor in a thread of its own."""
    office = an_office(folder / "run")
    try:
        with opened(folder) as sock:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(serve, office.desk, sock)
                await anyio.to_thread.run_sync(visit, folder)
                tasks.cancel_scope.cancel()
    finally:
        office.house.close()


def test_the_oldest_who_has_not_asked_makes_room_for_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where nobody is ever dropped for being slow."""
    monkeypatch.setattr(server, "CONNECTION_S", 3_600.0)

    def visit(folder: Path) -> None:
        with ExitStack() as held:
            silent = [held.enter_context(connected(folder)) for _ in range(server.OPEN_MAX + 3)]
            assert isinstance(ask(folder, ListWaiting()), Waiting)
            assert [heard(sock) for sock in silent[:3]] == [b"", b"", b""]
            silent[-1].sendall(encode(ListWaiting()) + b"\n")
            assert isinstance(answer_in(heard(silent[-1]).rstrip(b"\n")), Waiting)

    anyio.run(_visited, tmp_path, visit)


def test_who_does_not_finish_the_line_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CONNECTION_S", 0.05)

    def visit(folder: Path) -> None:
        with connected(folder) as sock:
            sock.sendall(GOOD)
            assert heard(sock) == b""

    anyio.run(_visited, tmp_path, visit)


@pytest.mark.faults
def test_half_a_line_that_ends_there_is_no_question(running: Live) -> None:
    before = said_by_people(running.state)
    with connected(running.state) as sock:
        sock.sendall(GOOD)  # whole, but for the end of the line
        sock.shutdown(socket.SHUT_WR)
        assert heard(sock) == b""
    assert said_by_people(running.state) == before


AS_ANOTHER = """
import os, socket, sys
os.chdir(sys.argv[1])
os.setgroups([]); os.setgid(65534); os.setuid(65534)
sock = socket.socket(socket.AF_UNIX); sock.settimeout(20)
sock.connect("operator.sock")
try:
    sock.sendall(sys.argv[2].encode() + b"\\n")
    print(len(sock.recv(65536)))
except ConnectionError:
    print(0)
"""


@pytest.mark.faults
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_is_not_answered_even_where_files_would_let_them_in(running: Live) -> None:
    """SO_PEERCRED: the kernel says who is there."""
    before = said_by_people(running.state)
    running.state.chmod(0o777)
    (running.state / SOCKET).chmod(0o777)
    try:
        words = [sys.executable, "-c", AS_ANOTHER, str(running.state), GOOD.decode()]
        ran = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    finally:
        (running.state / SOCKET).chmod(0o600)
        running.state.chmod(0o700)
    assert (ran.returncode, ran.stdout.strip()) == (0, "0"), ran.stderr
    running.goes_on()
    assert said_by_people(running.state) == before


@pytest.mark.faults
def test_a_house_that_ends_takes_its_socket_with_it_and_one_that_is_killed_leaves_one_that_is_replaced(
    tmp_path: Path,
) -> None:
    with live(tmp_path) as first:
        first.ask(Halt("global", "", "halted", "ann", WHY))
        first.process.kill()
        first.process.wait(30)
        assert (first.state / SOCKET).exists()
        with pytest.raises(HouseSilent):
            first.ask(ListWaiting())
    with live(tmp_path) as second:
        answer = second.ask(ListWaiting())
        assert isinstance(answer, Waiting)
        assert answer.standing == (Stands("halted", "global", ""),)  # what was said to be done survived the kill
        second.process.send_signal(signal.SIGTERM)
        assert ended(second.process).returncode == 0
        assert not (second.state / SOCKET).exists()
    assert verify(journal_of(tmp_path / "state")).ok


def test_a_file_in_the_place_of_the_socket_is_not_asked(tmp_path: Path) -> None:
    (tmp_path / SOCKET).write_text("mine")
    with pytest.raises((HouseSilent, DeskDenied)):
        ask(tmp_path, ListWaiting())


def test_a_client_believes_no_answer_that_is_none(tmp_path: Path) -> None:
    """Whoever listens there may say what they like; it is one error of one line."""
    listener = socket.socket(socket.AF_UNIX)
    with listener, address(tmp_path) as name:
        listener.bind(name)
        listener.listen()

        def lie() -> None:
            one, _ = listener.accept()
            with one:
                one.recv(65_536)
                one.sendall(b'{"answer":"done","bypass":true}\n')

        thread = Thread(target=lie)
        thread.start()
        with pytest.raises(HouseSilent):
            ask(tmp_path, ListWaiting())
        thread.join()
    eventually(lambda: not thread.is_alive(), "the liar ends")
