"""Everybody in a process of his own: the same journal as in one process, and what is missing while one is away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mutable_core.journal import checked_rows, verify
from mutable_core.messages import (
    AgentHeld,
    AgentReleased,
    Approved,
    Envelope,
    LeaseGranted,
    Observed,
    OrderAccepted,
    OrderIntended,
    ProposalMade,
    Refused,
    RowReceived,
    Verified,
)
from tests.faults.process_tree import AGENTS, child, is_back, killed
from tests.faults.processes import (
    LOADED,
    ark,
    assert_exactly_once,
    bars_file,
    bytes_of,
    ended,
    envelopes_of,
    eventually,
    journal_of,
    outcome,
    said,
    session_members,
    started,
)

pytestmark = pytest.mark.faults


def rows_of(journal: Path) -> list[bytes]:
    return [checked.row for checked in checked_rows(journal)]


def assert_same_journal(folder: Path, source: str, env: dict[str, str]) -> None:
    """Message for message, byte for byte: and so the same head."""
    heads = []
    for topology in ("embedded", "processes"):
        state = folder / topology
        arguments = ("run", "--until-end", "--json", "--source", source, "--seed", "5", "--state", str(state))
        ran = ark(*arguments, "--topology", topology, env=env)
        assert ran.returncode == 0, ran.stderr
        heads.append(said(ran)["journal_head"])
    embedded, processes = (journal_of(folder / topology) for topology in ("embedded", "processes"))
    for row, again in zip(rows_of(embedded), rows_of(processes), strict=True):
        assert row == again
    assert heads[0] == heads[1]
    assert outcome(embedded) == outcome(processes)


def test_the_journal_is_that_of_one_process(tmp_path: Path) -> None:
    """An order at every bar, on a file that Kyle's process reads."""
    bars = bars_file(tmp_path / "bars.csv", days=25)
    assert_same_journal(tmp_path, f"file:{bars}", LOADED)
    assert_exactly_once(outcome(journal_of(tmp_path / "processes")))


@pytest.mark.nightly
def test_the_journal_of_ticks_is_that_of_one_process(tmp_path: Path) -> None:
    assert_same_journal(tmp_path, "synthetic:6000", LOADED)


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_the_journal_of_the_embedded_data_is_that_of_one_process(tmp_path: Path) -> None:
    assert_same_journal(tmp_path, "embedded", {})


def test_what_cannot_begin_ends_in_one_line(tmp_path: Path) -> None:
    """The error of a child is the run's, with its line and its exit code."""
    ran = ark(
        "run", "--topology", "processes", "--source", "file:/nowhere/bars.csv", "--state", str(tmp_path / "state")
    )
    assert ran.returncode == 2
    assert ran.stdout == ""
    (line,) = ran.stderr.splitlines()
    assert line.startswith("ark: ")
    assert "bars.csv" in line


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_it_has_begun_ends_it_in_one_line(tmp_path: Path, stop: signal.Signals) -> None:
    """While the nursery loads what everybody needs, nobody hears signals yet but Python itself."""
    state = tmp_path / "state"
    with started("run", "--topology", "processes", "--port", "0", "--state", str(state)) as process:
        eventually(lambda: child(process.pid, "nursery"), "the nursery loads")
        process.send_signal(stop)
        ran = ended(process)
        eventually(lambda: not session_members(process.pid), "nobody is left", within_s=5)
    assert ran.returncode == 130, ran.stderr
    (line,) = ran.stderr.splitlines()
    assert line.startswith("ark: stopped by a signal")


# -- while one is away --------------------------------------------------------------------------------------------------


class Live:
    """A house that runs, and what its journal says."""

    def __init__(self, process: subprocess.Popen[str], state: Path) -> None:
        self.process, self.state = process, state

    def envelopes(self) -> list[Envelope]:
        return list(envelopes_of(journal_of(self.state)))

    def count(self, kind: type) -> int:
        return sum(isinstance(one.body, kind) for one in self.envelopes())

    def grows(self, kind: type, by: int) -> None:
        enough = self.count(kind) + by
        eventually(lambda: self.count(kind) >= enough, f"{by} more {kind.__name__}", within_s=40)

    def says(self, kind: type, agent: str) -> None:
        eventually(
            lambda: any(isinstance(one.body, kind) and one.body.agent == agent for one in self.envelopes()),
            f"{kind.__name__} {agent}",
            within_s=40,
        )

    def agents(self, *words: str) -> dict[str, Any]:
        ran = ark("agents", *words, "--state", str(self.state), "--json")
        assert ran.returncode in (0, 1), ran.stderr
        found = json.loads(ran.stdout)
        assert isinstance(found, dict)
        return found

    def has_caught_up(self, name: str) -> bool:
        """It runs, and the bus hears it."""
        held = [one.body for one in self.envelopes() if isinstance(one.body, AgentHeld | AgentReleased)]
        mine = [one for one in held if one.agent == name]
        return bool(child(self.process.pid, name)) and isinstance(mine[-1], AgentReleased)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Two days a second of bars, with an order at each: for long enough."""
    folder = tmp_path_factory.mktemp("live")
    state, bars = folder / "state", bars_file(folder / "bars.csv", days=2_000, symbols=3)
    arguments = ("run", "--source", f"file:{bars}", "--speed", str(2 * 86_400), "--port", "0", "--state", str(state))
    with started(*arguments, env=LOADED) as process:
        eventually(lambda: bytes_of(state, "venue.log"), "the venue has heard of orders", within_s=40)
        one = Live(process, state)
        one.grows(OrderIntended, 1)
        yield one


def opening(envelopes: list[Envelope]) -> set[str]:
    """Ids of orders that open risk."""
    orders = [one.body.order for one in envelopes if isinstance(one.body, OrderIntended)]
    return {order.client_order_id for order in orders if not order.reduces}


def is_permission(one: Envelope) -> bool:
    """A lease that lasts. One that lasts no time states what was inspected, and permits nothing."""
    return isinstance(one.body, LeaseGranted) and one.body.until_ns > one.body.granted_ns


def is_opened(one: Envelope, ids: set[str]) -> bool:
    return isinstance(one.body, OrderAccepted) and one.body.client_order_id in ids


AWAY: dict[str, Callable[[Envelope, set[str]], bool]] = {
    "joey": lambda one, _: isinstance(one.body, ProposalMade),
    "hrm": lambda one, ids: isinstance(one.body, Approved | Refused) or is_permission(one) or is_opened(one, ids),
    "aletheia": lambda one, ids: isinstance(one.body, Verified) or is_permission(one) or is_opened(one, ids),
    "id": lambda one, ids: is_permission(one) or is_opened(one, ids),
}
"""Agent → what must not be in the log while it is isolated."""


@pytest.mark.parametrize("name", ["joey", "aletheia"])
def test_while_one_is_isolated_what_needs_it_does_not_happen(live: Live, name: str) -> None:
    """Degraded modes: the others go on; nothing is lost, for what it missed is given back."""
    live.agents("isolate", name, "--by", "ann", "--reason", "a test")
    live.says(AgentHeld, name)
    live.grows(Observed, 12)
    live.agents("release", name, "--by", "ann", "--reason", "a test")
    eventually(lambda: live.has_caught_up(name), f"`{name}` is heard again", within_s=40)
    live.grows(OrderIntended, 1)
    envelopes = live.envelopes()
    ids = opening(envelopes)
    (held,) = [one.seq for one in envelopes if isinstance(one.body, AgentHeld) and one.body.agent == name]
    released = max(one.seq for one in envelopes if isinstance(one.body, AgentReleased) and one.body.agent == name)
    wrong = [one for one in envelopes if held < one.seq < released and AWAY[name](one, ids)]
    assert not wrong
    assert any(AWAY[name](one, ids) for one in envelopes if one.seq < held), "the test would show nothing"


def test_who_is_isolated_stays_so_when_the_core_is_killed_and_the_house_goes_on(live: Live) -> None:
    """The next core asks everybody about what was said before, and then shuts out whom a person had shut out."""

    def is_isolated() -> bool:
        (joey,) = [one for one in live.agents("status")["children"] if one["name"] == "joey"]
        return bool(joey["phase"] == "isolated" and not child(live.process.pid, "joey"))

    live.agents("isolate", "joey", "--by", "ann", "--reason", "a test")
    eventually(is_isolated, "joey is isolated", within_s=40)
    before = killed(live.process.pid, "core")
    eventually(lambda: is_back(live.process.pid, "core", before), "another core is there", within_s=40)
    live.grows(Observed, 12)
    eventually(is_isolated, "he is isolated again", within_s=40)
    live.agents("release", "joey", "--by", "ann", "--reason", "a test")
    eventually(lambda: live.has_caught_up("joey"), "he is heard again", within_s=40)
    live.grows(ProposalMade, 1)


def test_one_that_is_stopped_is_held_and_started_anew_and_the_others_go_on(live: Live) -> None:
    """SIGSTOP: no exit, no word. The log goes on without it; its next process says what it missed."""
    before = child(live.process.pid, "joey")
    os.kill(before, signal.SIGSTOP)
    live.grows(Observed, 12)
    eventually(lambda: child(live.process.pid, "joey") not in (0, before), "another Joey is there", within_s=40)
    eventually(lambda: live.has_caught_up("joey"), "he is heard", within_s=40)
    live.grows(ProposalMade, 1)


def test_it_stops_in_order_and_the_journal_is_whole(live: Live) -> None:
    """The last test of this house: SIGTERM, nobody is left, and it replays byte for byte, holds and all."""
    assert all(child(live.process.pid, name) for name in AGENTS)
    live.process.send_signal(signal.SIGTERM)
    stopped = ended(live.process, within_s=40)
    assert stopped.returncode == 0, stopped.stderr
    assert session_members(live.process.pid) == []
    journal = journal_of(live.state)
    assert verify(journal).ok
    assert live.count(RowReceived) > 0
    replayed = ark("replay", str(journal))
    assert replayed.returncode == 0, replayed.stderr
