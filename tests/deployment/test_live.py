"""A live run from outside: its pages, its signals, and what is left when it is gone."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mutable_core.journal import verify
from tests.faults.processes import (
    JOURNAL_FILES,
    LOADED,
    bytes_of,
    ended,
    eventually,
    free_port,
    journal_of,
    page,
    session_members,
    started,
)

pytestmark = pytest.mark.faults

PACE = ("--speed", "120")
"""Two minutes of market a second: an order or so each second, and years until the disk is full."""


class Live(NamedTuple):
    process: subprocess.Popen[str]
    port: int
    state: Path

    def until_ready(self) -> None:
        eventually(lambda: page(self.port, "/readyz")[0] == 200, "/readyz says 200", within_s=20)

    def metric(self, name: str) -> float:
        families = text_string_to_metric_families(page(self.port, "/metrics")[1])
        return sum(sample.value for family in families for sample in family.samples if sample.name == name)


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    port, state = free_port(), tmp_path / "state"
    arguments = ("run", "--source", "synthetic", "--port", str(port), "--state", str(state), *PACE)
    with started(*arguments, env=LOADED) as process:
        one = Live(process, port, state)
        one.until_ready()
        yield one


def assert_gone(live: Live, stopped: subprocess.CompletedProcess[str]) -> None:
    """No process, no listener, and a whole journal."""
    assert "Traceback" not in stopped.stderr
    assert session_members(live.process.pid) == []
    socket.create_server(("127.0.0.1", live.port)).close()
    assert verify(journal_of(live.state)).ok
    assert not list(live.state.glob("*/*-wal")) or bytes_of(live.state, "journal.sqlite-wal") == 0


def test_the_pages_answer(live: Live) -> None:
    status, text = page(live.port, "/metrics")
    assert status == 200
    names = {family.name for family in text_string_to_metric_families(text)}
    assert {"ark_journal_rows", "ark_ready"} <= names
    assert "trace_id" not in text
    assert page(live.port, "/healthz")[0] == 200
    for path in ("/metrics/json", "/slos", "/healthz", "/readyz"):
        status, text = page(live.port, path)
        assert status == 200, path
        assert isinstance(json.loads(text), dict)
    assert json.loads(page(live.port, "/readyz")[1])["ready"] is True
    assert page(live.port, "/nothing")[0] == 404


def test_the_pages_move_with_the_run(live: Live) -> None:
    before = live.metric("ark_journal_rows")
    eventually(lambda: live.metric("ark_journal_rows") > before + 50, "the journal grows")
    assert live.metric("ark_journal_durable_position") <= live.metric("ark_journal_rows")
    assert live.metric("ark_ready") == 1


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(live: Live, stop: signal.Signals) -> None:
    live.process.send_signal(stop)
    stopped = ended(live.process, within_s=20)
    assert stopped.returncode == 0, stopped.stderr
    assert_gone(live, stopped)


def test_two_signals_end_it_cleanly_too(live: Live) -> None:
    """A person presses Ctrl-C twice."""
    live.process.send_signal(signal.SIGINT)
    live.process.send_signal(signal.SIGINT)
    stopped = ended(live.process, within_s=20)
    assert stopped.returncode in (0, 130, -signal.SIGINT), stopped.stderr
    assert_gone(live, stopped)


def test_a_stopped_process_goes_on_when_it_is_continued(tmp_path: Path) -> None:
    """All in one process; of a house in many, `test_processes_kills` stops one or the other."""
    port, state = free_port(), tmp_path / "state"
    arguments = ("run", "--source", "synthetic", "--port", str(port), "--state", str(state), "--topology", "embedded")
    with started(*arguments, *PACE, env=LOADED) as process:
        one = Live(process, port, state)
        one.until_ready()
        _stop_and_continue(one)


def _stop_and_continue(live: Live) -> None:
    live.process.send_signal(signal.SIGSTOP)
    eventually(lambda: _is_stopped(live.process.pid), "it stands still")
    frozen = bytes_of(live.state, *JOURNAL_FILES)
    assert page_is_mute(live.port)
    assert bytes_of(live.state, *JOURNAL_FILES) == frozen
    live.process.send_signal(signal.SIGCONT)
    live.until_ready()
    eventually(lambda: bytes_of(live.state, *JOURNAL_FILES) > frozen, "the journal grows again")
    live.process.send_signal(signal.SIGTERM)
    stopped = ended(live.process, within_s=20)
    assert stopped.returncode == 0, stopped.stderr
    assert_gone(live, stopped)


def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def page_is_mute(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=0.2) as one:
        one.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
        try:
            return not one.recv(1)
        except TimeoutError:
            return True


def test_clients_that_say_nothing_do_not_hold_it_up(live: Live) -> None:
    """Open connections that never ask, and one that asks nonsense: it serves others, and it ends."""
    mute = [socket.create_connection(("127.0.0.1", live.port), timeout=5) for _ in range(20)]
    try:
        mute[0].sendall(b"\x16\x03\x01nonsense\r\n\r\n")
        assert page(live.port, "/readyz")[0] == 200
        live.process.send_signal(signal.SIGTERM)
        stopped = ended(live.process, within_s=20)
    finally:
        for one in mute:
            one.close()
    assert stopped.returncode == 0, stopped.stderr
    assert_gone(live, stopped)


def test_killed_live_it_comes_back_on_the_same_state(live: Live, tmp_path: Path) -> None:
    eventually(lambda: live.metric("ark_journal_rows") > 300, "the journal grows")
    live.process.kill()
    live.process.wait(20)
    rows = verify(journal_of(live.state)).rows
    port = free_port()
    again = ("run", "--source", "synthetic", "--port", str(port), "--state", str(live.state), *PACE)
    with started(*again, env=LOADED) as process:
        second = Live(process, port, live.state)
        second.until_ready()
        assert second.metric("ark_journal_rows") >= rows
        process.send_signal(signal.SIGTERM)
        assert ended(process, within_s=20).returncode == 0


def test_when_the_source_has_ended_it_is_alive_and_not_ready(tmp_path: Path) -> None:
    """I10: a house to which no market comes any more is not ready to trade, and says why."""
    port = free_port()
    arguments = ("run", "--source", "synthetic:200", "--speed", "max", "--port", str(port), "--state", str(tmp_path))
    with started(*arguments) as process:
        eventually(lambda: "ended" in page(port, "/readyz")[1], "the source has ended")
        assert page(port, "/readyz")[0] == 503
        assert page(port, "/healthz")[0] == 200
        process.send_signal(signal.SIGINT)
        assert ended(process, within_s=20).returncode == 0


def test_with_a_free_port_asked_for_it_says_which(tmp_path: Path) -> None:
    """`--port 0` is of use only to a person who is told the number."""
    with started("run", "--source", "synthetic", "--port", "0", "--state", str(tmp_path), *PACE) as process:
        eventually(lambda: list(tmp_path.glob("*/journal.sqlite")), "it has begun")
        port = eventually(lambda: _listening(process.pid), "it listens")
        eventually(lambda: page(port, "/readyz")[0] == 200, "/readyz says 200", within_s=20)
        process.send_signal(signal.SIGINT)
        assert str(port) in ended(process, within_s=20).stderr


def _listening(pid: int) -> int:
    """The port on which the process listens, from /proc; 0 where on none."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            inodes.add(str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]"))
        except OSError:
            continue
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and fields[9] in inodes:
            return int(fields[1].rpartition(":")[2], 16)
    return 0
