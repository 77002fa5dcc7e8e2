"""Processes of a house that are killed, one or all, whenever: nothing lost, nothing doubled, nothing left behind."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from random import Random

import pytest

from mutable_core.messages import AgentEnded, AgentHeld
from tests.faults.process_tree import AGENTS, is_back, killed
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

SAME = (
    "observations", "rejected_inputs", "proposals", "approvals", "refusals", "orders", "fills", "traces",
    "traces_incomplete", "end_equity",
)  # fmt: skip
"""What a crash may not change, although its record gives all later messages another place, and so another id."""


class Case:
    """A market, and what comes of it undisturbed."""

    def __init__(self, folder: Path, days: int) -> None:
        self.folder = folder
        self.arguments = [
            "run",
            "--until-end",
            "--json",
            "--source",
            f"file:{bars_file(folder / 'bars.csv', days=days)}",
        ]
        ran = ark(*self.arguments, "--topology", "embedded", "--state", str(folder / "undisturbed"), env=LOADED)
        assert ran.returncode == 0, ran.stderr
        self.summary = said(ran)
        self.whole = bytes_of(folder / "undisturbed", "venue.log")

    def on(self, state: Path) -> list[str]:
        return [*self.arguments, "--topology", "processes", "--state", str(state)]

    def until(self, process: subprocess.Popen[str], state: Path, part: float) -> None:
        """Until the venue has heard so much of all that it will hear."""
        enough = max(1, int(part * self.whole))
        eventually(
            lambda: bytes_of(state, "venue.log") >= enough or process.poll() is not None, "orders are sent", within_s=90
        )
        assert process.poll() is None, "it was too quick to be disturbed"

    def assert_same(self, state: Path, ran: subprocess.CompletedProcess[str]) -> None:
        """Orders, fills and money are those of the undisturbed run; the books agree, and the journal replays."""
        assert ran.returncode == 0, ran.stderr
        summary = said(ran)
        assert {key: summary[key] for key in SAME} == {key: self.summary[key] for key in SAME}
        assert (summary["journal_ok"], summary["reconciled"], summary["discrepancies"]) == (True, True, 0)
        assert_exactly_once(outcome(journal_of(state)))
        assert ark("replay", str(journal_of(state))).returncode == 0


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(tmp_path_factory.mktemp("busy"), days=60)


def test_agents_killed_in_the_midst_of_it_change_nothing_but_their_records(busy: Case, tmp_path: Path) -> None:
    """Each of the six once, in an order that chance gives; all are back in time, for nobody was held."""
    state, names = tmp_path / "state", list(AGENTS)
    Random(7).shuffle(names)
    with started(*busy.on(state), env=LOADED) as process:
        for number, name in enumerate(names, start=1):
            busy.until(process, state, 0.1 * number)
            before = killed(process.pid, name)
            eventually(lambda: is_back(process.pid, name, before), f"`{name}` is back")  # noqa: B023
        ran = ended(process, within_s=90)
    busy.assert_same(state, ran)
    bodies = [one.body for one in envelopes_of(journal_of(state))]
    assert sorted(one.agent for one in bodies if isinstance(one, AgentEnded)) == sorted(AGENTS)
    assert not [one for one in bodies if isinstance(one, AgentHeld)]


@pytest.mark.parametrize("names", [("core", "core"), ("kill", "venue", "core")])
def test_core_and_venue_are_killed_and_it_ends_the_same(busy: Case, tmp_path: Path, names: tuple[str, ...]) -> None:
    """The core's death begins everything but the venue anew, and leaves no mark at all in the journal.

    That of the venue may: an order that it had just been handed is unknown, until it is there again and says.
    """
    state = tmp_path / "state"
    with started(*busy.on(state), env=LOADED) as process:
        for number, name in enumerate(names, start=1):
            busy.until(process, state, 0.2 * number)
            before = killed(process.pid, name)
            eventually(lambda: is_back(process.pid, name, before), f"`{name}` is back")  # noqa: B023
        ran = ended(process, within_s=90)
    busy.assert_same(state, ran)
    if "venue" not in names:
        assert said(ran)["journal_head"] == busy.summary["journal_head"]


@pytest.mark.parametrize("seed", [1])
def test_after_the_watchdog_was_killed_nothing_is_left_and_the_next_start_recovers(
    busy: Case, tmp_path: Path, seed: int
) -> None:
    """No orphan: the kernel ends everybody with it. What follows is what would have followed."""
    state, chance = tmp_path / "state", Random(seed)
    for part in (0.1 + 0.3 * chance.random(), 0.5 + 0.3 * chance.random()):
        with started(*busy.on(state), env=LOADED) as process:
            busy.until(process, state, part)
            process.kill()
            assert process.wait(30) == -signal.SIGKILL
            eventually(lambda: not session_members(process.pid), "nobody is left", within_s=5)
    ran = ark(*busy.on(state), env=LOADED)
    busy.assert_same(state, ran)
    assert said(ran)["journal_head"] == busy.summary["journal_head"]


@pytest.mark.parametrize("stop", [signal.SIGTERM])
def test_a_signal_stops_it_in_order_wherever_it_is(busy: Case, tmp_path: Path, stop: signal.Signals) -> None:
    """Nobody is left, everything is committed, and the next start goes on to the same end."""
    state = tmp_path / "state"
    with started(*busy.on(state), env=LOADED) as process:
        busy.until(process, state, 0.3)
        process.send_signal(stop)
        stopped = ended(process, within_s=40)
        assert session_members(process.pid) == []
    assert stopped.returncode == 130, stopped.stderr
    assert said(stopped)["journal_ok"] is True
    ran = ark(*busy.on(state), env=LOADED)
    busy.assert_same(state, ran)
    assert said(ran)["journal_head"] == busy.summary["journal_head"]


@pytest.mark.nightly
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(10, 25))
def test_whoever_is_killed_whenever_it_ends_the_same(busy: Case, tmp_path: Path, seed: int) -> None:
    """Agents, core, venue, kill switch and Watchdog, a dozen times."""
    state, chance = tmp_path / "state", Random(seed)
    ran: subprocess.CompletedProcess[str] | None = None
    for _ in range(4):
        with started(*busy.on(state), env=LOADED) as process:
            for name in chance.choices((*AGENTS, "core", "venue", "kill"), k=3):
                eventually(
                    lambda: bytes_of(state, "venue.log") or process.poll() is not None,
                    "it runs",
                    within_s=90,
                )
                if process.poll() is not None:
                    break
                killed(process.pid, name)
            process.kill()
            process.wait(30)
            eventually(lambda: not session_members(process.pid), "nobody is left", within_s=5)
    ran = ark(*busy.on(state), env=LOADED)
    assert ran.returncode == 0, ran.stderr
    assert said(ran)["reconciled"] is True
    assert said(ran)["discrepancies"] == 0
    assert_exactly_once(outcome(journal_of(state)))
    assert ark("replay", str(journal_of(state))).returncode == 0
