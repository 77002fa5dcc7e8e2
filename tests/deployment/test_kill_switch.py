"""The kill switch: it latches, bars, withdraws and closes; only two people's signatures over exactly that lift it."""

from __future__ import annotations

import json
import os
import stat
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.kenny.venues.kill_port import HALTED, REDUCE_ONLY
from agents.kenny.venues.simulated import SimulatedVenue
from deployment.kill_switch import words
from deployment.kill_switch.latches import FILE, LatchFile, new_latch, note, read
from deployment.kill_switch.switch import KillSwitch
from deployment.kill_switch.triggers import HaltFile, pull_of, question_of, request_in, token_in
from deployment.kill_switch.watching import KillWatch
from deployment.kill_switch.words import Lifted, Look, Looked, Pull, WithdrawEntries, Withdrawn
from mutable_core import standing as standings
from mutable_core.errors import SettingsRefused
from mutable_core.messages import Bar, HaltOrdered, Observed
from mutable_core.privacy import findings
from mutable_core.standing import NONE, Standing
from tests.deployment.kill_makers import (
    CASH,
    INSTRUMENTS,
    Way,
    a_beaten,
    a_pull,
    a_resume,
    a_switch,
    a_way,
    an_entry,
    denied,
    pulled,
)
from tests.makers import an_envelope


def a_market(path: Path | None = None) -> SimulatedVenue:
    """Both instruments at 100; an entry rests in each, and 10 ACME are held."""
    venue = SimulatedVenue.open(path, cash_micros=CASH, instruments=INSTRUMENTS)
    held = msgspec.structs.replace(an_entry("held"), limit_price=Decimal(200), stop_price=Decimal(90))
    show(venue, 1)
    venue.place(held, 1)
    show(venue, 3)
    for key, instrument in (("acme", "ACME"), ("zinc", "ZINC")):
        venue.place(an_entry(key, instrument), 5)
    return venue


def show(venue: SimulatedVenue, row: int) -> None:
    for at, instrument in enumerate(("ACME", "ZINC"), row):
        bar = Bar(*[Decimal(100)] * 4, Decimal(1_000_000))
        venue.show(Observed(instrument, "test", at, 0, bar, True, True), at)


@pytest.fixture
def way() -> Way:
    return a_way(a_market())


@pytest.fixture
def switch(tmp_path: Path, way: Way) -> KillSwitch:
    return a_switch(tmp_path / "state", way)


def working(way: Way) -> tuple[str, ...]:
    return way.venue.statement().open_orders


# -- what it does ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "left", "bars"),
    [
        (("global", "", "reduce_only"), (), {"": REDUCE_ONLY}),
        (("global", "", "halted"), (), {"": HALTED}),
        (("account", "paper", "halted"), (), {"": HALTED}),
        (("instrument", "ACME", "reduce_only"), ("zinc",), {"ACME": REDUCE_ONLY}),
        (("strategy", "any", "halted"), ("acme", "zinc"), {}),
    ],
)
def test_a_halt_bars_what_opens_there_and_withdraws_its_entries(
    switch: KillSwitch, way: Way, given: tuple[str, ...], left: tuple[str, ...], bars: dict[str, int]
) -> None:
    """A venue knows no strategies: what they have working stays, and the house opens nothing more."""
    answer = pulled(switch, *given)
    assert working(way) == tuple(sorted((*left, "held.stop")))
    assert way.venue.bars() == bars
    assert answer.withdrawn == 2 - len(left)
    assert answer.last_cancel_ms is not None
    assert answer.fault == ""


def test_flattening_closes_what_is_held_and_nothing_else(switch: KillSwitch, way: Way) -> None:
    answer = pulled(switch, "instrument", "ACME", "flattening")
    assert (answer.withdrawn, answer.closing) == (1, 1)
    show(way.venue, 7)
    assert way.venue.statement().positions == ()
    assert working(way) == ("zinc",)


def test_a_strategy_s_positions_cannot_be_closed_and_nothing_is_done(switch: KillSwitch, way: Way) -> None:
    denied(switch.pull(a_pull("strategy", "any", "flattening")))
    assert switch.standing == ()
    assert len(working(way)) == 3


@pytest.mark.parametrize("given", [("global", "ACME"), ("instrument", ""), ("account", "")])
def test_a_scope_and_its_name_belong_together(switch: KillSwitch, given: tuple[str, str]) -> None:
    denied(switch.pull(a_pull(*given)))  # type: ignore[arg-type]


def test_said_twice_it_is_done_once(switch: KillSwitch, way: Way) -> None:
    first = pulled(switch, "global", "", "flattening")
    again = pulled(switch, "global", "", "flattening")
    assert (first.withdrawn, again.withdrawn) == (2, 0)
    assert len(switch.standing) == 1
    show(way.venue, 7)
    assert way.venue.statement().positions == ()


def test_a_weaker_halt_does_not_loosen_a_stronger_one(switch: KillSwitch, way: Way) -> None:
    pulled(switch, "global", "", "halted")
    assert pulled(switch, "global", "", "reduce_only").level == "halted"
    assert way.venue.bars() == {"": HALTED}


def test_entries_can_be_withdrawn_without_a_halt(switch: KillSwitch, way: Way) -> None:
    """The way of a cancel when Kenny cannot."""
    answer = words.answer_in(switch.answer(words.encode(WithdrawEntries())))
    assert answer == Withdrawn(2)
    assert (switch.standing, way.venue.bars(), working(way)) == ((), {}, ("held.stop",))


# -- what is in the way ----------------------------------------------------------------------------------------------


def test_a_venue_that_does_not_answer_is_told_again_until_it_does(switch: KillSwitch, way: Way) -> None:
    way.is_cut = True
    answer = pulled(switch, "global", "", "flattening")
    assert (answer.last_cancel_ms, answer.withdrawn) == (None, 0)
    assert "cut" in answer.fault
    switch.beat()
    assert not switch.path_is_up
    way.is_cut = False
    switch.beat()
    assert (working(way)[0].startswith("kill-"), switch.path_is_up, switch.fault) == (False, True, "")
    assert len(working(way)) == 2  # the protection, and what closes the position
    assert way.venue.bars() == {"": HALTED}


def test_a_disk_that_takes_nothing_stops_no_halt(tmp_path: Path, way: Way) -> None:
    state = tmp_path / "state"
    switch = a_switch(state, way)
    (state / f"{FILE}.{os.getpid()}").mkdir()  # the draft cannot be written
    answer = pulled(switch)
    assert "latch" in answer.fault
    assert answer.withdrawn == 2
    (state / f"{FILE}.{os.getpid()}").rmdir()
    switch.beat()
    assert switch.fault == ""
    assert len(a_switch(state, way).standing) == 1


def test_the_latch_is_on_the_disk_before_the_venue_hears_of_it(tmp_path: Path) -> None:
    """So whoever sees what followed at the venue finds the reason."""
    state = tmp_path / "state"
    found: list[object] = []

    class Seeing(Way):
        def set_bars(self, bars: object) -> None:
            found.append(KillWatch(state).orders(lambda: NONE))
            super().set_bars(bars)  # type: ignore[arg-type]

    pulled(a_switch(state, Seeing(a_market())))
    assert found == [(HaltOrdered("global", "", "halted", "ann", a_pull().reason),)]


# -- restarts --------------------------------------------------------------------------------------------------------


def test_a_latch_outlives_the_kill_switch_and_the_venue_s_bars_are_put_right(tmp_path: Path, way: Way) -> None:
    pulled(a_switch(tmp_path / "state", way), "instrument", "ACME", "halted")
    way.venue.set_bars({})
    again = a_switch(tmp_path / "state", way)
    again.beat()
    assert way.venue.bars() == {"ACME": HALTED}
    assert [one.covered for one in again.standing] == [("instrument", "ACME")]


def test_the_first_halt_of_a_kill_switch_whose_file_is_gone_lowers_no_bar(tmp_path: Path, way: Way) -> None:
    way.venue.set_bars({"ACME": HALTED})
    pulled(a_switch(tmp_path / "state", way), "instrument", "ZINC", "reduce_only")
    assert way.venue.bars() == {"ACME": HALTED, "ZINC": REDUCE_ONLY}


def test_where_the_latch_file_is_gone_the_venue_s_bars_say_what_was_latched(tmp_path: Path, way: Way) -> None:
    """Nobody lifts a halt by removing a file."""
    state = tmp_path / "state"
    pulled(a_switch(state, way), "instrument", "ACME", "reduce_only")
    (state / FILE).unlink()
    again = a_switch(state, way)
    way.is_open = False  # the kill switch starts before the core opens the venue
    again.beat()
    assert again.standing == ()
    way.is_open = True
    again.beat()
    assert [(one.covered, one.level) for one in again.standing] == [(("instrument", "ACME"), "reduce_only")]
    assert way.venue.bars() == {"ACME": REDUCE_ONLY}


@pytest.mark.parametrize("change", ["a byte", "cut", "empty", "another key"])
def test_a_latch_file_that_cannot_be_believed_halts_everything(tmp_path: Path, way: Way, change: str) -> None:
    state = tmp_path / "state"
    pulled(a_switch(state, way), "instrument", "ACME", "reduce_only")
    path = state / FILE
    text = path.read_bytes()
    if change == "another key":
        LatchFile(state, tmp_path / "keys").write(())
    else:
        path.write_bytes({"a byte": text.replace(b"ACME", b"ZINC"), "cut": text[:-10], "empty": b""}[change])
    watch = KillWatch(state)
    assert [(one.scope, one.level) for one in watch.orders(lambda: NONE)] == [("global", "halted")]
    again = a_switch(state, way)
    again.beat()
    levels = {one.covered: one.level for one in again.standing}
    assert levels == {("global", ""): "halted", ("instrument", "ACME"): "reduce_only"}  # the venue told of the second
    assert way.venue.bars() == {"": HALTED, "ACME": REDUCE_ONLY}


# -- lifting ---------------------------------------------------------------------------------------------------------


def test_two_people_s_signatures_over_exactly_that_lift_it(tmp_path: Path, way: Way) -> None:
    switch = a_switch(tmp_path / "state", way)
    latch = pulled(switch).latch
    assert switch.lift(a_resume(latch).signed("alice", "bob")) == Lifted(latch)
    assert (switch.standing, way.venue.bars()) == ((), {})
    assert a_switch(tmp_path / "state", way).standing == ()


def test_a_latch_elsewhere_goes_on_standing(switch: KillSwitch, way: Way) -> None:
    latch, other = pulled(switch).latch, pulled(switch, "instrument", "ACME", "halted").latch
    assert switch.lift(a_resume(latch).signed("alice", "bob")) == Lifted(latch)
    assert [one.latch for one in switch.standing] == [other]
    assert way.venue.bars() == {"ACME": HALTED}


UNSIGNED = {
    "nobody": lambda one: one.signed(),
    "one person": lambda one: one.signed("alice"),
    "one person twice": lambda one: one.signed("alice", "alice"),
    "who asked": lambda one: one.signed("alice", "carol"),
    "a stranger": lambda one: one.signed("alice", "mallory"),
    "another's key": lambda one: one.signed("alice", "bob", by={"bob": "alice"}),
    "another position": lambda one: msgspec.structs.replace(one.signed("alice", "bob"), position=18),
    "another act": lambda one: msgspec.structs.replace(
        one.signed("alice", "bob"), operation=one.with_(by="dave").signed().operation
    ),
    "another latch": lambda one: one.with_(reason="because it is fine" + note(new_latch())).signed("alice", "bob"),
    "no latch": lambda one: one.with_(reason="because it is fine").signed("alice", "bob"),
    "another scope": lambda one: one.with_(scope="instrument", name="ACME").signed("alice", "bob"),
    "another operation": lambda one: one.with_(operation="withdrawal").signed("alice", "bob"),
    "no act": lambda one: msgspec.structs.replace(one.signed("alice", "bob"), operation="{}"),
}


@pytest.mark.parametrize("case", UNSIGNED)
def test_what_nobody_signed_so_lifts_nothing(switch: KillSwitch, way: Way, case: str) -> None:
    latch = pulled(switch).latch
    denied(switch.lift(UNSIGNED[case](a_resume(latch))))
    assert len(switch.standing) == 1
    assert way.venue.bars() == {"": HALTED}


def test_a_halt_after_the_resume_was_asked_for_is_not_lifted_by_it(switch: KillSwitch) -> None:
    signed = a_resume(pulled(switch).latch).signed("alice", "bob")
    pulled(switch)
    denied(switch.lift(signed))


def test_what_lifted_once_lifts_nothing_more(switch: KillSwitch) -> None:
    signed = a_resume(pulled(switch).latch).signed("alice", "bob")
    assert isinstance(switch.lift(signed), Lifted)
    pulled(switch)
    denied(switch.lift(signed))


def test_while_the_file_halt_is_there_nothing_is_lifted(tmp_path: Path, switch: KillSwitch) -> None:
    signed = a_resume(pulled(switch).latch).signed("alice", "bob")
    (tmp_path / "state" / "HALT").touch()
    assert "HALT" in denied(switch.lift(signed)).what
    (tmp_path / "state" / "HALT").unlink()
    assert isinstance(switch.lift(signed), Lifted)


def test_a_lift_that_the_venue_did_not_hear_is_told_again(switch: KillSwitch, way: Way) -> None:
    signed = a_resume(pulled(switch).latch).signed("alice", "bob")
    way.is_cut = True
    assert isinstance(switch.lift(signed), Lifted)
    way.is_cut = False
    assert way.venue.bars() == {"": HALTED}
    switch.beat()
    assert way.venue.bars() == {}


def test_what_people_sign_with_a_latch_looks_like_nothing_private() -> None:
    """Rules 17 and 18 would refuse the resume."""
    assert not any(any(findings("it is fine again" + note(new_latch()))) for _ in range(200))


# -- questions that are none -----------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(line=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_no_line_makes_it_raise_or_halt(tmp_path_factory: pytest.TempPathFactory, line: bytes) -> None:
    switch = a_switch(tmp_path_factory.mktemp("state"), a_way())
    assert words.answer_in(switch.answer(line)) is not None
    assert switch.standing == ()


def test_it_says_what_stands(switch: KillSwitch) -> None:
    latch = pulled(switch).latch
    switch.beat()
    answer = words.answer_in(switch.answer(words.encode(Look())))
    assert isinstance(answer, Looked)
    assert ([one.latch for one in answer.standing], answer.path_is_up, answer.fault) == ([latch], True, "")


# -- the file and HTTP -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "scope", "name", "level"),
    [
        ("", "global", "", "halted"),
        ("\n", "global", "", "halted"),
        ("global", "global", "", "halted"),
        ("flatten", "global", "", "flattening"),
        ("instrument ACME\n", "instrument", "ACME", "halted"),
        ("instrument ACME flatten", "instrument", "ACME", "flattening"),
        ("account paper", "account", "paper", "halted"),
        ("strategy any flatten", "strategy", "any", "halted"),
        ("instrument", "global", "", "halted"),
        ("stop ACME", "global", "", "halted"),
        ("please stop everything", "global", "", "halted"),
        ("\ufffd\ufffd", "global", "", "halted"),
    ],
)
def test_what_a_halt_file_asks_for(text: str, scope: str, name: str, level: str) -> None:
    """What cannot be read halts everything."""
    pull = pull_of(text)
    assert (pull.scope, pull.name, pull.level) == (scope, name, level)


def test_each_change_of_the_file_halts_once(tmp_path: Path) -> None:
    file = HaltFile(tmp_path)
    assert file.news() is None
    file.path.write_text("instrument ACME")
    assert file.news() == pull_of("instrument ACME")
    assert file.news() is None
    file.path.write_text("global flatten")
    assert file.news() == pull_of("global flatten")
    file.path.unlink()
    assert file.news() is None
    file.path.symlink_to("/dev/zero")
    assert file.news() == pull_of("")


TOKEN = b"secret"
GOOD = b"POST /halt HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\nContent-Length: 0\r\n\r\n"


def http(text: bytes) -> object:
    request = request_in(text, TOKEN)
    return request if request is None or isinstance(request, int) else question_of(request)


def with_body(body: bytes) -> bytes:
    return GOOD.replace(b"Length: 0", b"Length: %d" % len(body)) + body


HTTP = {
    "everything": (GOOD, Pull("global", "", "halted", "http", "a request over HTTP")),
    "a part": (
        with_body(b'{"scope":"instrument","name":"ACME","level":"flattening","by":"ann"}'),
        Pull("instrument", "ACME", "flattening", "ann", "a request over HTTP"),
    ),
    "a look": (GOOD.replace(b"POST /halt", b"GET /"), Look()),
    "half": (GOOD[:-2], None),
    "half a body": (with_body(b"{}")[:-1], None),
    "no token": (GOOD.replace(b"Authorization: Bearer secret\r\n", b""), 401),
    "another token": (GOOD.replace(b"secret", b"secrets"), 401),
    "another path": (GOOD.replace(b"/halt", b"/resume"), 404),
    "another method": (GOOD.replace(b"POST", b"GET"), 405),
    "no HTTP": (b"halt!\r\n\r\n", 400),
    "no number": (GOOD.replace(b"Length: 0", b"Length: -1"), 400),
    "an endless number": (GOOD.replace(b"Length: 0", b"Length: " + b"9" * 5_000), 400),
    "chunks": (GOOD.replace(b"Host: x", b"Transfer-Encoding: chunked"), 400),
    "no JSON": (with_body(b"halt"), 400),
    "another level": (with_body(b'{"level":"stop"}'), 400),
    "another field": (with_body(b'{"lift":true}'), 400),
    "too much": (b"x" * 20_000, 413),
}


@pytest.mark.parametrize("case", HTTP)
def test_what_a_request_over_http_asks_for(case: str) -> None:
    """Nothing can be lifted this way, and nothing is read without the token."""
    text, asked = HTTP[case]
    assert http(text) == asked


@pytest.mark.parametrize("cut", range(0, len(GOOD), 7))
def test_a_request_that_is_not_whole_is_waited_for(cut: int) -> None:
    assert http(GOOD[:cut]) is None


def test_the_token_is_its_owner_s_alone_and_stays(tmp_path: Path) -> None:
    token = token_in(tmp_path)
    path = tmp_path / "kill.token"
    assert len(token) == 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert token_in(tmp_path) == token
    path.chmod(0o640)
    with pytest.raises(SettingsRefused):
        token_in(tmp_path)


# -- what a house sees of it -----------------------------------------------------------------------------------------


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "state"
    path.mkdir()
    return path


def folded(standing: Standing, *orders: HaltOrdered) -> Standing:
    for seq, order in enumerate(orders, 1):
        standing = standings.fold(standing, an_envelope(order, seq=seq))
    return standing


def test_the_log_hears_of_each_latch_once(state: Path, way: Way) -> None:
    switch, watch, standing = a_switch(state, way), KillWatch(state), NONE
    assert watch.orders(lambda: standing) == ()
    pulled(switch, "instrument", "ACME", "reduce_only")
    (order,) = watch.orders(lambda: standing)
    assert (order.scope, order.name, order.level) == ("instrument", "ACME", "reduce_only")
    standing = folded(standing, order)
    assert watch.orders(lambda: standing) == ()
    pulled(switch, "global", "", "flattening")
    (order,) = watch.orders(lambda: standing)
    assert (order.scope, order.level) == ("global", "flattening")


def test_a_halt_that_is_said_again_reaches_the_log_again(state: Path, way: Way) -> None:
    """It overtakes a resume that was asked for in between."""
    switch, watch = a_switch(state, way), KillWatch(state)
    pulled(switch)
    standing = folded(NONE, *watch.orders(lambda: NONE))
    pulled(switch)
    assert len(watch.orders(lambda: standing)) == 1


def test_a_house_that_starts_hears_only_what_its_log_does_not_hold(state: Path, way: Way) -> None:
    pulled(a_switch(state, way), "global", "", "halted")
    (order,) = KillWatch(state).orders(lambda: NONE)
    assert KillWatch(state).orders(lambda: folded(NONE, order)) == ()
    weaker = msgspec.structs.replace(order, level="reduce_only")
    assert KillWatch(state).orders(lambda: folded(NONE, weaker)) == (order,)


def test_a_halted_house_hears_of_a_flattening(state: Path, way: Way) -> None:
    pulled(a_switch(state, way), "global", "", "flattening")
    halted = folded(NONE, HaltOrdered("global", "", "halted", "ann", "why"))
    assert [one.level for one in KillWatch(state).orders(lambda: halted)] == ["flattening"]


def test_what_the_log_lifted_and_the_kill_switch_did_not_is_halted_again(state: Path, way: Way) -> None:
    pulled(a_switch(state, way))
    watch = KillWatch(state)
    (order,) = watch.orders(lambda: NONE)
    assert watch.orders(lambda: NONE) == ()  # what is on its way into the log is not said twice
    watch.look_again()
    assert watch.orders(lambda: NONE) == (order,)


def test_the_way_is_up_as_long_as_the_kill_switch_says_so(state: Path, way: Way) -> None:
    watch = KillWatch(state)
    assert not watch.path_is_up()  # no data is not good news
    one = a_beaten(state, way)
    assert one.watch.path_is_up()
    assert watch.path_is_up()
    way.is_cut = True
    one.beat()
    assert not watch.path_is_up()
    one.page.close()
    way.is_cut = False
    assert a_beaten(state, way).watch.path_is_up()
    assert watch.path_is_up()  # a new kill switch has a new page


def test_the_latch_file_is_signed_over_all_of_it(state: Path, way: Way) -> None:
    pulled(a_switch(state, way))
    public = bytes.fromhex((state / "keys" / "kill.pub").read_text())
    text, _, signature = (state / FILE).read_bytes().partition(b"\n")
    assert isinstance(read(state, public), tuple)
    assert json.loads(text)["standing"][0]["by"] == "ann"
    for at in range(0, len(text), 11):
        (state / FILE).write_bytes(text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :] + b"\n" + signature)
        assert read(state, public) == "unbelievable"
