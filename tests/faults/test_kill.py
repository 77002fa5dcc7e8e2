"""A run that is killed, however often and wherever, ends as if nothing had happened (I3, I4, I7)."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.faults.processes import (
    JOURNAL_FILES,
    LOADED,
    Outcome,
    ark,
    assert_exactly_once,
    bars_file,
    bytes_of,
    ended,
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
    "traces_incomplete", "journal_rows", "journal_head", "end_equity",
)  # fmt: skip
"""Keys of the summary that a kill may not change."""


class Case:
    """A source, how it is run, and what comes of it undisturbed."""

    def __init__(self, folder: Path, source: str, seed: int, env: dict[str, str], speed: str = "max") -> None:
        self.folder, self.env = folder, env
        self.arguments = ["run", "--until-end", "--json", "--source", source, "--seed", str(seed)]
        ran = ark(*self.arguments, "--speed", "max", "--state", str(folder / "undisturbed"), env=env)
        assert ran.returncode == 0, ran.stderr
        self.summary = said(ran)
        self.journal = journal_of(folder / "undisturbed")
        self.outcome: Outcome = outcome(self.journal)
        self.arguments += ["--speed", speed]
        assert self.outcome.head == self.summary["journal_head"]
        assert_exactly_once(self.outcome)

    def on(self, state: Path) -> list[str]:
        return [*self.arguments, "--state", str(state)]

    def assert_same(self, state: Path, summary: dict[str, Any]) -> None:
        """The journal, the orders, the money and the venue's memory are those of the undisturbed run."""
        assert {key: summary[key] for key in SAME} == {key: self.summary[key] for key in SAME}
        assert summary["journal_ok"] is True
        assert summary["reconciled"] is True
        found = outcome(journal_of(state))
        assert found == self.outcome
        assert_exactly_once(found)
        verified = ark("verify", str(journal_of(state)), "--json")
        assert verified.returncode == 0
        assert said(verified)["head"] == self.summary["journal_head"]


def a_point(case: Case, state: Path, chance: Random) -> Callable[[], bool]:
    """A condition on the disk that comes true somewhere on the rest of the way, or while the process starts."""
    kind = chance.choice(("venue", "venue", "journal", "start"))
    if kind == "start":  # inside the replay of what an earlier run left
        before = (state / "owner.lock").read_bytes() if state.exists() else b""
        return lambda: (state / "owner.lock").exists() and (state / "owner.lock").read_bytes() not in (b"", before)
    names = ("venue.log",) if kind == "venue" else JOURNAL_FILES
    whole = bytes_of(case.folder / "undisturbed", *names)
    now = bytes_of(state, *names)
    enough = now + max(1, int(chance.random() * 0.4 * whole))
    return lambda: bytes_of(state, *names) >= enough


def killed_until_it_ends(case: Case, state: Path, chance: Random, *, kills_max: int) -> tuple[int, dict[str, Any]]:
    """Start and kill at random points, then let it end. Returns how often it was killed, and the last summary."""
    kills = 0
    while kills < kills_max:
        point = a_point(case, state, chance)
        with started(*case.on(state), env=case.env) as process:
            eventually(lambda: point() or process.poll() is not None, "the point of the kill", within_s=100)  # noqa: B023
            if process.poll() is not None:
                ran = ended(process)
                assert ran.returncode == 0, ran.stderr
                return kills, said(ran)
            process.kill()
            assert process.wait(30) == -signal.SIGKILL
            kills += 1
    ran = ark(*case.on(state), env=case.env)
    assert ran.returncode == 0, ran.stderr
    return kills, said(ran)


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """An order at every bar of every instrument."""
    folder = tmp_path_factory.mktemp("busy")
    return Case(folder, f"file:{bars_file(folder / 'bars.csv', days=150)}", 0, LOADED)


@pytest.fixture(scope="module")
def ticks(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Quotes with bad ones among them; long stretches without an order."""
    return Case(tmp_path_factory.mktemp("ticks"), "synthetic:6000", 11, LOADED)


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_anywhere_it_ends_the_same(busy: Case, tmp_path: Path, seed: int) -> None:
    """I4: exactly once, shown where there is an order at every bar."""
    kills, summary = killed_until_it_ends(busy, tmp_path / "state", Random(seed), kills_max=4)
    assert kills >= 2
    busy.assert_same(tmp_path / "state", summary)


def test_killed_among_ticks_it_ends_the_same(ticks: Case, tmp_path: Path) -> None:
    kills, summary = killed_until_it_ends(ticks, tmp_path / "state", Random(5), kills_max=3)
    assert kills >= 2
    ticks.assert_same(tmp_path / "state", summary)


def test_killed_on_the_embedded_data_it_ends_the_same(tmp_path: Path) -> None:
    """Splits, brackets that work for weeks, and the strategies that a user gets."""
    case = Case(tmp_path, "embedded", 0, {})
    kills, summary = killed_until_it_ends(case, tmp_path / "state", Random(4), kills_max=1)
    assert kills == 1
    case.assert_same(tmp_path / "state", summary)


def test_killed_at_a_pace_it_ends_the_same(busy: Case, tmp_path: Path) -> None:
    """What the journal holds does not depend on how fast the market came: 150 days at 300 days a second."""
    paced = [*busy.on(tmp_path / "state"), "--speed", str(86_400 * 300)]
    for part in (0.2, 0.7):
        enough = int(part * bytes_of(busy.folder / "undisturbed", "venue.log"))
        with started(*paced, env=busy.env) as process:
            eventually(lambda: bytes_of(tmp_path / "state", "venue.log") >= enough, "the venue's log grows")  # noqa: B023
            process.kill()
            assert process.wait(30) == -signal.SIGKILL
    ran = ark(*paced, env=busy.env)
    assert ran.returncode == 0, ran.stderr
    busy.assert_same(tmp_path / "state", said(ran))


def test_a_run_that_has_ended_changes_nothing_when_it_is_run_again(busy: Case) -> None:
    again = ark(*busy.on(busy.folder / "undisturbed"), env=busy.env)
    assert again.returncode == 0, again.stderr
    busy.assert_same(busy.folder / "undisturbed", said(again))


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_cleanly_and_it_resumes_to_the_same_end(
    busy: Case, tmp_path: Path, stop: signal.Signals
) -> None:
    """The journal is committed, no child is left, and the stopped run says what it has so far."""
    state = tmp_path / "state"
    with started(*busy.on(state), "--speed", str(86_400 * 100), env=busy.env) as process:
        eventually(lambda: bytes_of(state, "venue.log") >= 20_000, "orders are sent")
        process.send_signal(stop)
        stopped = ended(process)
        assert session_members(process.pid) == []
    assert stopped.stderr == ""
    summary = said(stopped)
    assert 0 < summary["journal_rows"] < busy.summary["journal_rows"]
    assert summary["journal_ok"] is True
    assert summary["verdict_mismatches"] == 0
    assert stopped.returncode in (0, 130)
    resumed = ark(*busy.on(state), env=busy.env)
    assert resumed.returncode == 0, resumed.stderr
    assert said(resumed)["recovered"]["rows_found"] == summary["journal_rows"]
    busy.assert_same(state, said(resumed))


def test_a_stopped_and_continued_process_ends_the_same(busy: Case, tmp_path: Path) -> None:
    """A machine that sleeps: SIGSTOP in the middle, SIGCONT later; nothing is lost or said twice."""
    state = tmp_path / "state"
    with started(*busy.on(state), env=busy.env) as process:
        eventually(lambda: bytes_of(state, "venue.log") >= 50_000, "orders are sent")
        process.send_signal(signal.SIGSTOP)
        eventually(lambda: _run_state(process.pid) == "T", "it stands still")
        before = bytes_of(state, "venue.log")
        refused = ark(*busy.on(state), env=busy.env)
        assert refused.returncode == 2
        assert str(process.pid) in refused.stderr
        assert bytes_of(state, "venue.log") == before
        process.send_signal(signal.SIGCONT)
        ran = ended(process)
    assert ran.returncode == 0, ran.stderr
    busy.assert_same(state, said(ran))


def _run_state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(100, 125))
def test_killed_many_times_it_ends_the_same(busy: Case, tmp_path: Path, seed: int) -> None:
    _, summary = killed_until_it_ends(busy, tmp_path / "state", Random(seed), kills_max=12)
    busy.assert_same(tmp_path / "state", summary)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(4))
def test_the_embedded_run_killed_many_times_ends_the_same(tmp_path: Path, seed: int) -> None:
    case = Case(tmp_path, "embedded", 0, {})
    _, summary = killed_until_it_ends(case, tmp_path / "state", Random(seed), kills_max=12)
    case.assert_same(tmp_path / "state", summary)
