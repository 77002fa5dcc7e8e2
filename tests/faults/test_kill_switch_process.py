"""The kill switch as a process: every trigger works, with all else frozen and every database locked."""

from __future__ import annotations

import signal
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deployment.desk import server
from deployment.desk.client import PATIENCE_S
from deployment.kill_switch.words import TOKEN
from mutable_core.errors import VenueUnavailable
from mutable_core.leash import Ping, Stop, from_process, send
from mutable_core.messages import Observed
from tests.agents.kenny.venues.venue_makers import a_bar, an_order
from tests.agents.kenny.venues.venue_processes import Place, Process, in_a_process, in_a_thread
from tests.deployment.desk_makers import WHY
from tests.faults.kill_process import Standing, is_locked, locked, standing_by
from tests.faults.processes import ark, eventually, free_port, said, started

pytestmark = pytest.mark.faults


def a_row(row: int) -> Observed:
    return Observed("ACME", "test", row, 0, a_bar("100", "100", "100", "100"), True, True)


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture
def one(tmp_path: Path, port: int) -> Iterator[Standing]:
    """Ten of ACME are held, and twenty entries work; nobody is there who trades."""
    with in_a_thread(tmp_path) as venue, standing_by_over(tmp_path / "state", venue, port) as kill:
        yield kill


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[tuple[Standing, Process]]:
    """The same, and the venue can be stopped and killed."""
    with in_a_process(tmp_path) as venue, standing_by_over(tmp_path / "state", venue, 0) as kill:
        yield kill, venue


@contextmanager
def standing_by_over(state: Path, venue: Place, port: int) -> Iterator[Standing]:
    market, trade = venue.market(), venue.trade()
    market.show(a_row(1), 1)
    trade.place(an_order("held", quantity="10", stop="90"), 1)
    market.show(a_row(2), 2)
    for number in range(20):
        trade.place(an_order(f"o{number}", limit="50", time_in_force="gtc"), 2)
    with standing_by(state, venue, port=port) as kill:
        yield kill


def entries(kill: Standing) -> list[str]:
    stated = kill.venue.lines[1].statement()
    return [key for key in stated.open_orders if key.startswith("o")]


def test_a_kill_switch_that_is_stuck_keeps_nobody_from_telling_the_house(one: Standing) -> None:
    """Before the patience with the kill switch is over."""
    words = ("halt", "--reason", WHY, "--by", "ann", "--state", str(one.state))
    with server.opened(one.state) as house:
        house.settimeout(PATIENCE_S - 3)
        one.process.send_signal(signal.SIGSTOP)
        try:
            with started(*words) as asked:
                connection, _ = house.accept()
                with connection:
                    assert connection.recv(4_096).startswith(b'{"ask":"halt","scope":"global"')
                    assert asked.poll() is None
        finally:
            one.process.send_signal(signal.SIGCONT)


def by_command(kill: Standing, *words: str) -> None:
    assert said(ark("halt", "--reason", WHY, "--by", "ann", "--json", "--state", str(kill.state), *words))[
        "kill_switch"
    ]


def by_http(kill: Standing, port: int, token: bytes | None = None, body: bytes = b"") -> int:
    token = token or (kill.state / TOKEN).read_bytes().strip()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/halt", data=body, headers={"Authorization": f"Bearer {token.decode()}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


TRIGGERS: dict[str, Callable[[Standing, int], Any]] = {
    "command": lambda kill, _: by_command(kill, "--level", "halted"),
    "http": by_http,
    "file": lambda kill, _: (kill.state / "HALT").write_text("global"),
    "signal": lambda kill, _: kill.process.send_signal(signal.SIGUSR1),
}
FLATTENING: dict[str, Callable[[Standing, int], Any]] = {
    "command": lambda kill, _: by_command(kill, "--flatten"),
    "http": lambda kill, port: by_http(kill, port, body=b'{"level":"flattening"}'),
    "file": lambda kill, _: (kill.state / "HALT").write_text("flatten"),
    "signal": lambda kill, _: kill.process.send_signal(signal.SIGUSR2),
}


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_every_trigger_halts_with_all_else_frozen_and_the_databases_locked(
    one: Standing, port: int, trigger: str
) -> None:
    assert len(entries(one)) == 20
    databases = (one.state / "state.sqlite", one.state / "journal.sqlite")
    with locked(*databases) as frozen:
        frozen.send_signal(signal.SIGSTOP)
        assert all(map(is_locked, databases))
        TRIGGERS[trigger](one, port)
        eventually(lambda: not entries(one), "every entry is withdrawn")
        found = eventually(lambda: (seen := one.looked()) and seen.standing and seen, "it is latched")
        assert [(latch.scope, latch.level) for latch in found.standing] == [("global", "halted")]
        one.venue.lines[1].place(an_order("late"), 3)  # type: ignore[union-attr]
        assert "late" not in one.venue.lines[1].statement().open_orders
    assert one.venue.lines[1].statement().open_orders == ("held.stop",)


@pytest.mark.parametrize("trigger", FLATTENING)
def test_every_trigger_can_flatten(one: Standing, port: int, trigger: str) -> None:
    FLATTENING[trigger](one, port)
    eventually(lambda: any(key.startswith("kill-") for key in one.venue.lines[1].statement().open_orders), "it closes")
    one.venue.lines[0].show(a_row(3), 3)  # type: ignore[union-attr]
    assert one.venue.lines[0].statement().positions == ()


def test_who_has_not_the_token_halts_nothing(one: Standing, port: int) -> None:
    assert by_http(one, port, token=b"0" * 64) == 401
    assert len(entries(one)) == 20


def test_a_latch_outlives_a_kill_of_the_kill_switch(one: Standing, port: int) -> None:
    by_http(one, port)
    one.process.kill()
    one.process.wait()
    with standing_by(one.state, one.venue) as again:
        assert [latch.level for latch in again.looked().standing] == ["halted"]  # type: ignore[union-attr]


def test_a_venue_that_stands_still_is_reported_and_told_when_it_goes_on(apart: tuple[Standing, Process]) -> None:
    one, venue = apart
    venue.freeze()
    by_command(one, "--level", "halted")
    answer = eventually(lambda: (seen := one.looked()) and not seen.path_is_up and seen, "it says so")
    assert answer.fault
    venue.wake()
    eventually(lambda: not entries(one), "every entry is withdrawn")


def test_a_venue_that_is_gone_is_no_reason_to_end(apart: tuple[Standing, Process]) -> None:
    one, venue = apart
    venue.kill_it()
    by_command(one, "--level", "halted")
    assert one.looked().standing  # type: ignore[union-attr]
    with pytest.raises(VenueUnavailable):
        venue.lines[1].statement()


def test_it_answers_pings_from_its_loop_and_ends_when_told(one: Standing) -> None:
    send(one.leash, Ping(3))
    assert eventually(lambda: pong(one), "a pong") == 3
    send(one.leash, Stop())
    assert one.process.wait(20) == 0
    assert not (one.state / "kill.sock").exists()


def pong(kill: Standing) -> int | None:
    try:
        found = from_process(kill.leash)
    except BlockingIOError:
        return None
    return found.n if found else None
