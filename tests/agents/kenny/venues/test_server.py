"""The venue's process: who may say what, what a silence means, and what survives a kill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from socket import AF_UNIX, SOCK_SEQPACKET, socket, socketpair
from threading import Thread
from typing import Any

import msgspec
import pytest
from venue_makers import a_bar, an_order

from agents.kenny.venues import venue_wire as wire
from agents.kenny.venues.kill_port import HALTED, REDUCE_ONLY
from agents.kenny.venues.remote import Line, RemoteVenue
from agents.kenny.venues.server import serve
from agents.kenny.venues.venue_wire import ALLOWED, Right
from mutable_core.errors import JournalBroken, MalformedMessage, SettingsRefused, StateInUse, VenueUnavailable
from mutable_core.leash import Ping, Stop, from_process, pair, send
from mutable_core.messages import CorporateActionObserved, Observed, OrderRejected
from tests.agents.kenny.venues.venue_processes import INSTRUMENTS, Place, Process, in_a_process, in_a_thread
from tests.faults.processes import eventually

LATCH = "abcdefghijklmnop"


def a_row(row: int, price: str = "100") -> Observed:
    return Observed("ACME", "test", row, 0, a_bar(price, price, price, price), True, True)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with in_a_thread(tmp_path) as one:
        yield one


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[Process]:
    with in_a_process(tmp_path) as one:
        yield one


# -- rights ----------------------------------------------------------------------------------------------------------

CALLS: dict[str, wire.Call] = {
    "open": wire.Open("nowhere", 1, INSTRUMENTS, None),
    "show": wire.Show(a_row(9), 9),
    "apply": wire.Apply(CorporateActionObserved("ACME", 2, 1, 0, "inferred"), 9, 9),  # type: ignore[arg-type]
    "note": wire.Note(),
    "shown_row": wire.ShownRow(),
    "place": wire.Place(an_order("a"), 1),
    "cancel": wire.Cancel("a", 1),
    "knows": wire.Knows("a"),
    "events": wire.Events(0),
    "state": wire.State(),
    "ask": wire.Ask(),
    "set_bars": wire.SetBars({"": 1}),
    "bars": wire.Bars(),
    "withdraw": wire.Withdraw(""),
    "close": wire.Close("", LATCH),
}


def test_the_table_above_names_every_call_there_is() -> None:
    assert {type(call) for call in CALLS.values()} == set(wire.Call.__args__)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("right", "name"),
    [(right, name) for right, allowed in ALLOWED.items() for name, call in CALLS.items() if type(call) not in allowed],
)
def test_what_a_right_does_not_hold_is_not_done_and_ends_the_connection(place: Place, right: Right, name: str) -> None:
    market = place.market()
    market.show(a_row(1), 1)
    before = market.statement()
    line = Line(place.connection(right), 10_000)
    with pytest.raises(VenueUnavailable, match="ended"):
        line.ask(CALLS[name], Any)
    line.close()
    kill, trade = place.kill(), place.trade()
    assert (trade.statement(), kill.bars()) == (before, {})
    assert trade.knows("a") is False


def test_only_the_kill_switch_can_do_what_it_does() -> None:
    """And it has no word that could open anything."""
    assert {wire.SetBars, wire.Withdraw, wire.Close}.isdisjoint(ALLOWED["market"] | ALLOWED["trade"])
    assert {wire.Place, wire.Show, wire.Apply, wire.Open}.isdisjoint(ALLOWED["kill"])


def test_a_newer_connection_of_a_right_ends_the_older(place: Place) -> None:
    """Nobody who was replaced trades on."""
    place.market().show(a_row(1), 1)
    old, new = place.trade(), place.trade()
    new.place(an_order("new"), 1)
    with pytest.raises(VenueUnavailable):
        old.place(an_order("old"), 1)
    assert (new.knows("new"), new.knows("old")) == (True, False)


@pytest.mark.parametrize("data", [b"\xff\xff\xff\x7f", b"\x02\x00\x00\x00\xc1\xc1", b"\x00\x00\x00\x00"])
def test_bytes_that_are_no_request_end_their_connection_and_no_other(place: Place, data: bytes) -> None:
    market = place.market()
    raw = place.connection("trade")
    raw.sendall(data)
    assert raw.recv(1) == b""
    raw.close()
    assert market.is_up()


# -- order -----------------------------------------------------------------------------------------------------------


def test_kenny_sees_everything_that_was_shown_before_he_asked(place: Place) -> None:
    """Two connections, one order: what the core has shown counts before what Kenny says after it."""
    market, trade = place.market(), place.trade()
    for row in range(1, 400, 2):
        market.show(a_row(row), row)
        trade.place(an_order(f"o{row}"), row)
        market.show(a_row(row + 1), row + 1)
        assert trade.events(0)[-1].client_order_id == f"o{row}"
        assert len(trade.events(0)) == row + 1  # accepted and filled, each
    assert market.shown_row == 400


def test_rows_that_come_while_earlier_ones_are_worked_through_are_taken_first_too(apart: Process) -> None:
    """Whoever was not answered in time asks again: the answer holds all that was shown before the second question."""
    market, raw = apart.market(), apart.connection("trade")
    market.show(a_row(1), 1)
    market.settle()
    raw.sendall(wire.framed(wire.Asked(1, wire.Place(an_order("a", limit="50", time_in_force="gtc"), 1))))
    raw.settimeout(20)
    raw.recv(1 << 16)
    apart.freeze()
    raw.sendall(wire.framed(wire.Asked(2, wire.Ask())))
    for row in range(2, 1_000):
        market.show(a_row(row), row)
    apart.wake()
    market.show(a_row(1_000, "40"), 1_000)
    raw.sendall(wire.framed(wire.Asked(3, wire.Events(0))))
    heard, answers = bytearray(), []
    while len(answers) < 2:
        heard += raw.recv(1 << 16)
        answers += [wire.answered(frame) for frame in wire.frames_in(heard)]
    raw.close()
    assert isinstance(answers[1], wire.Said)
    events = msgspec.msgpack.decode(answers[1].result, type=list[wire.AnyEvent])
    assert [event.client_order_id for event in events] == ["a", "a"]  # accepted, and filled by the last row


def test_more_events_than_one_answer_holds_come_all(place: Place) -> None:
    market, trade = place.market(), place.trade()
    market.show(a_row(1), 1)
    for number in range(wire.EVENTS_MAX + 10):
        trade.place(an_order(f"o{number}", quantity="0"), 1)
    assert [event.venue_seq for event in trade.events(0)] == list(range(1, wire.EVENTS_MAX + 11))


# -- opening ---------------------------------------------------------------------------------------------------------


def test_before_it_is_opened_nothing_is_answered_but_the_kill_switch_s_bars_are_kept(place: Place) -> None:
    trade, kill = place.trade(), place.kill()
    with pytest.raises(VenueUnavailable):
        trade.statement()
    assert not trade.is_up()
    kill.set_bars({"": REDUCE_ONLY})
    assert kill.bars() == {"": REDUCE_ONLY}
    place.market().show(a_row(1), 1)
    trade.place(an_order("a"), 1)
    assert isinstance(trade.events(0)[0], OrderRejected)


def test_bars_that_stood_in_the_log_are_not_lowered_by_an_opening(place: Place) -> None:
    place.market()
    place.kill().set_bars({"": HALTED})
    with in_a_thread(place.folder / "..") as other:
        kill = other.kill()
        kill.set_bars({"": REDUCE_ONLY, "ACME": HALTED})
        place.control.close()
        eventually(lambda: opens(other, place.folder), "the first server lets go of the log")
        assert kill.bars() == {"": HALTED, "ACME": HALTED}


def opens(place: Place, folder: Path) -> bool:
    place.folder = folder
    try:
        place.market()
    except StateInUse:
        return False
    return True


def test_opened_again_it_forgets_what_the_journal_has_lost(place: Place) -> None:
    market, trade = place.market(), place.trade()
    market.show(a_row(1), 1)
    trade.place(an_order("a", time_in_force="gtc"), 1)
    market.show(a_row(2), 2)
    assert len(trade.events(0)) == 2
    again = place.market(until_row=1)
    assert [len(trade.events(0)), again.statement().positions] == [1, ()]
    again.show(a_row(2), 2)
    assert len(trade.events(0)) == 2


def test_why_an_opening_was_refused_is_said_by_its_own_class(place: Place) -> None:
    market, trade = place.market(), place.trade()
    market.show(a_row(1), 1)
    market.note()
    market.show(a_row(2), 2)
    market.note()
    trade.place(an_order("late"), 3)
    with pytest.raises(JournalBroken, match="after market row 1"):
        place.market(until_row=1)
    with pytest.raises(SettingsRefused):
        RemoteVenue.open(
            place.connection("market"), path=place.folder / "venue.log", cash_micros=5, instruments=INSTRUMENTS,
            until_row=None,
        )  # fmt: skip


# -- silence ---------------------------------------------------------------------------------------------------------


def test_a_venue_that_stands_still_is_unavailable_and_answers_what_is_asked_when_it_goes_on(apart: Process) -> None:
    apart.market().show(a_row(1), 1)
    trade = apart.trade(patience_ms=20)
    eventually(trade.is_up, "it is loaded")
    apart.freeze()
    with pytest.raises(VenueUnavailable):
        trade.place(an_order("a"), 1)
    assert not trade.is_up()
    with pytest.raises(VenueUnavailable):
        trade.statement()
    apart.wake()
    eventually(trade.is_up, "it goes on")
    trade.line.patience_ms = 10_000
    assert trade.knows("a") is True  # it was heard, late: whoever was told nothing must ask
    assert trade.statement().open_orders == ("a",)  # and this is the answer to this question, not to an earlier one


def test_rows_shown_while_it_stands_still_arrive_in_order(apart: Process) -> None:
    market = apart.market()
    market.line.patience_ms = 20
    apart.freeze()
    for row in range(1, 3_000):
        market.show(a_row(row), row)
    apart.wake()
    eventually(market.is_up, "it goes on")
    market.line.patience_ms = 20_000
    assert market.shown_row == 2_999


def test_after_a_silence_requests_fail_at_once_until_the_late_answer_comes() -> None:
    now = [0]
    ours, theirs = socketpair()
    line = Line(ours, 1, monotonic=lambda: now[0])
    heard: list[int] = []

    def asked() -> bool:
        try:
            line.ask(wire.Ask(), bool, patience_ms=-1)
        except VenueUnavailable:
            heard.append(len(list(wire.frames_in(bytearray(drained(theirs))))))
            return False
        return True

    assert [asked(), asked(), asked()] == [False] * 3
    assert heard == [1, 0, 0]  # those at once were not even sent
    theirs.sendall(wire.framed(wire.Said(1, wire.msgspec.Raw(wire.encode(True)))))  # type: ignore[attr-defined]
    assert asked() is False
    assert heard[-1] == 1
    now[0] += 10**9
    assert asked() is False
    assert heard[-1] == 1
    line.close()
    theirs.close()


def drained(sock: socket) -> bytes:
    sock.setblocking(False)
    try:
        return sock.recv(1 << 20)
    except BlockingIOError:
        return b""


def test_an_answer_that_comes_too_late_is_taken_for_no_other() -> None:
    now = [0]
    ours, theirs = socketpair()
    line = Line(ours, 10_000, monotonic=lambda: now[0])
    with pytest.raises(VenueUnavailable):
        line.ask(wire.Knows("first"), bool, patience_ms=-1)
    now[0] += 10**9
    for number, known in ((1, False), (2, True)):
        theirs.sendall(wire.framed(wire.Said(number, msgspec.Raw(wire.encode(known)))))
    assert line.ask(wire.Knows("second"), bool) is True
    line.close()
    theirs.close()


def test_answers_that_are_none_end_the_connection() -> None:
    ours, theirs = socketpair()
    line = Line(ours, 10_000)
    theirs.sendall(b"\x01\x00\x00\x00\xc1")
    with pytest.raises(VenueUnavailable):
        line.ask(wire.Ask(), bool)
    with pytest.raises(VenueUnavailable, match="ended"):
        line.ask(wire.Ask(), bool)
    line.close()
    theirs.close()


# -- death -----------------------------------------------------------------------------------------------------------


def test_what_was_answered_survives_a_kill_of_the_venue(apart: Process) -> None:
    market, trade, kill = apart.market(), apart.trade(), apart.kill()
    market.show(a_row(1), 1)
    trade.place(an_order("held"), 1)
    market.show(a_row(2), 2)
    trade.place(an_order("works", limit="50", time_in_force="gtc"), 2)
    kill.set_bars({"ACME": HALTED})
    closing = kill.close_positions("ACME", LATCH)
    events, stated = list(trade.events(0)), trade.statement()
    apart.kill_it()
    with pytest.raises(VenueUnavailable):
        trade.statement()
    with in_a_thread(apart.folder) as place:
        again, other = place.market(), place.trade()
        assert (list(other.events(0)), other.statement(), place.kill().bars()) == (events, stated, {"ACME": HALTED})
        assert closing[0] in other.statement().open_orders
        assert again.shown_row == 2


def test_an_order_whose_answer_came_is_known_after_a_kill_in_the_same_moment(apart: Process) -> None:
    apart.market().show(a_row(1), 1)
    apart.trade().place(an_order("a"), 1)
    apart.kill_it()
    with in_a_thread(apart.folder) as place:
        place.market()
        assert place.trade().knows("a") is True


def test_it_ends_with_whoever_handed_it_its_connections(apart: Process) -> None:
    apart.market()
    apart.control.close()
    assert apart.process.wait(20) == 0


def test_pings_are_answered_by_the_loop_that_works_and_stop_ends_it() -> None:
    ours, control = socketpair(AF_UNIX, SOCK_SEQPACKET)
    watchdog, leash = pair()
    codes: list[int] = []
    thread = Thread(target=lambda: codes.append(serve(control, leash)), daemon=True)
    thread.start()
    send(watchdog, Ping(7))
    assert eventually(lambda: heard_on(watchdog), "a pong").n == 7
    send(watchdog, Stop())
    thread.join(20)
    assert codes == [0]
    for sock in (ours, control, watchdog, leash):
        sock.close()


def heard_on(watchdog: socket) -> Any:
    try:
        return from_process(watchdog)
    except (BlockingIOError, MalformedMessage):
        return None
