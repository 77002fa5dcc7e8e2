"""`ark agents` and `ark drill` at the Watchdog's desk, over its real socket; behind it a Watchdog that follows a script.

The real Watchdog is drilled in `tests/faults/test_drills.py`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deployment.drills import cell as drilling
from deployment.drills.schedule import last_drill
from deployment.watchdog_desk.desk import WatchdogDesk
from deployment.watchdog_desk.port import AtCore, Core
from deployment.watchdog_desk.words import Child, Happened
from mutable_core.clock import monotonic_ns
from mutable_core.state_manager import StateManager
from tests.deployment.conftest import Asked
from tests.deployment.handmade import envelopes, run
from tests.deployment.watchdog_makers import Tree, a_child, served

NAMES = ("kyle", "joey", "hrm", "kenny", "aletheia", "id")
MILLI = 1_000_000
BEAT_NS = 25 * MILLI


class Scripted(Tree):
    """A Watchdog whose agents do what the script says when a fault is injected, all at once.

    Args:
        rows: of the run's journal. script: (what, ms after the injection, incarnation).

    Attributes:
        hole_ms: when Kyle sent no heartbeat, ms after the injection.
        unanswered: looks after the injection at which the agent still has something to answer.
        dying: looks at which the process of an agent that was shut out is still there.
    """

    def __init__(self, rows: int, script: Sequence[tuple[str, int, int]]) -> None:
        super().__init__(*[a_child(name, incarnation=1, happened=()) for name in NAMES])
        self.rows, self.script = rows, script
        self.began_ns = monotonic_ns() - 100 * BEAT_NS
        self.hole_ms = (0, 0)
        self.unanswered = self.dying = 0
        self.injected_ns = 0
        self.drilled = ""

    def children(self) -> Sequence[Child]:
        self.dying = max(0, self.dying - 1)
        if not self.dying:
            self._change(
                self.drilled, lambda one: one if one.phase == "running" else msgspec.structs.replace(one, pid=0)
            )
        return self.given

    def core(self) -> Core:
        pending = dict.fromkeys(NAMES, 0)
        if self.drilled and self.unanswered:
            self.unanswered -= 1
            pending[self.drilled] = 3
        return Core("run", self.rows, {name: AtCore(pending=count) for name, count in pending.items()})

    def beats(self, name: str) -> Sequence[int]:
        """The agent that misbehaves sends none from a while before it on."""
        silent = range(self.injected_ns - 200 * MILLI, 10**30) if name == self.drilled else range(0)
        if name == "kyle":
            silent = range(*(self.injected_ns + ms * MILLI for ms in self.hole_ms))
        return [one for one in range(self.began_ns, monotonic_ns(), BEAT_NS) if one not in silent]

    def inject(self, name: str, fault: str, by: str) -> None:
        super().inject(name, fault, by)
        self.injected_ns, self.drilled = monotonic_ns(), name
        self._follows(name, [("injected", 0, 1), *self.script])

    def release(self, name: str, by: str, detail: str) -> None:
        assert not self.dying, "what it takes to start again is measured from the fork"
        super().release(name, by, detail)
        self._follows(name, [("probing", 0, 2), ("born", 1, 2), ("caught_up", 9, 2), ("readmitted", 12, 2)])

    def _follows(self, name: str, script: Sequence[tuple[str, int, int]]) -> None:
        now_ns = monotonic_ns()
        new = tuple(Happened(what, now_ns + ms * MILLI, incarnation) for what, ms, incarnation in script)
        phase = {"quarantined": "quarantined", "ended": "backing_off"}.get(new[-1].what, "running")
        self._change(name, lambda one: msgspec.structs.replace(one, phase=phase, pid=77, happened=one.happened + new))

    def _change(self, name: str, change: Callable[[Child], Child]) -> None:
        self.given = [change(one) if one.name == name else one for one in self.given]


CRASHED = (("suspected", 2, 1), ("ended", 3, 1), ("born", 5, 2), ("caught_up", 11, 2))
LIED = (("suspected", 2, 1), ("killed", 3, 1), ("ended", 4, 1), ("quarantined", 4, 1))


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with a whole run."""
    folder = tmp_path_factory.mktemp("state")
    run(folder / "run")
    StateManager.open(folder / "state.sqlite").close()
    return folder


@pytest.fixture
def crashing(state: Path) -> Iterator[Scripted]:
    tree = Scripted(len(envelopes(state / "run")), CRASHED)
    with served(state, WatchdogDesk(tree)):
        yield tree


def drilled(asked: Asked, state: Path, *words: str) -> tuple[int, dict[str, Any]]:
    ran = asked("drill", *words, "--by", "ann", "--quiet-seconds", "0.3", "--json", "--state", str(state))
    assert ran.stderr == ""
    return ran.returncode, json.loads(ran.stdout)


def test_a_drill_says_what_was_seen_and_is_written_down(asked: Asked, state: Path, crashing: Scripted) -> None:
    code, found = drilled(asked, state, "crash")
    assert code == 0, found
    assert crashing.told == [("inject", "joey", "crash", "ann")]
    times = [found[name] for name in ("detected_ms", "isolated_ms", "restarted_ms", "back_ms")]
    assert times == [2.0, 3.0, 8.0, 11.0]
    assert (found["lost"], found["duplicated"], found["replayed"], found["findings"]) == (0, 0, True, [])
    assert 0 < found["siblings_gap_ms"] <= BEAT_NS / MILLI
    assert found["rows"] == crashing.rows
    record = last_drill(state)
    assert record is not None
    assert (record["fault"], record["agent"], record["findings"]) == ("crash", "joey", [])
    assert time.time_ns() - record["at_ns"] < 60 * 10**9


def test_the_next_cell_follows_the_one_that_was_written_down(asked: Asked, state: Path, crashing: Scripted) -> None:
    drilled(asked, state, "crash", "kyle")
    code, found = drilled(asked, state, "--next")
    assert (code, found["agent"]) == (0, "joey")


def test_who_is_shut_out_is_released_by_whoever_drills(asked: Asked, state: Path) -> None:
    """And only once its process has ended."""
    tree = Scripted(len(envelopes(state / "run")), LIED)
    tree.dying = 12
    with served(state, WatchdogDesk(tree)):
        code, found = drilled(asked, state, "lie", "kenny")
    assert code == 0, found
    assert [told[:3] for told in tree.told] == [("inject", "kenny", "lie"), ("release", "kenny", "ann")]
    assert found["restarted_ms"] == 9.0


@pytest.mark.parametrize("hole_ms", [(-200, 10**6), (-150, 10**6)])
def test_a_sibling_that_falls_silent_is_a_finding(
    asked: Asked, state: Path, crashing: Scripted, hole_ms: tuple[int, int]
) -> None:
    crashing.hole_ms = hole_ms
    code, found = drilled(asked, state, "crash")
    assert code == 1
    assert found["siblings_gap_ms"] > 100
    assert len(found["findings"]) == 1


def test_a_silence_that_was_over_before_is_not_the_faults(asked: Asked, state: Path, crashing: Scripted) -> None:
    crashing.hole_ms = (-250, -100)
    code, found = drilled(asked, state, "crash")
    assert (code, found["findings"]) == (0, [])
    assert found["undisturbed_gap_ms"] >= 150
    assert found["siblings_gap_ms"] <= BEAT_NS / MILLI


def test_a_drill_lasts_until_all_is_answered(asked: Asked, state: Path, crashing: Scripted) -> None:
    crashing.unanswered = 5
    assert drilled(asked, state, "crash")[0] == 0
    assert crashing.unanswered == 0


def test_an_agent_that_does_not_come_back_is_a_finding(
    asked: Asked, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drilling, "FOLLOW_S", 0.1)
    tree = Scripted(len(envelopes(state / "run")), CRASHED[:2])
    with served(state, WatchdogDesk(tree)):
        code, found = drilled(asked, state, "crash")
    assert code == 1
    assert found["restarted_ms"] is None
    assert len(found["findings"]) == 2


def test_without_a_house_that_works_no_drill_begins(asked: Asked, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drilling, "READY_S", 0.05)
    tree = Scripted(1, CRASHED)
    tree.given[0] = msgspec.structs.replace(tree.given[0], phase="backing_off")
    with served(state, WatchdogDesk(tree)):
        ran = asked("drill", "crash", "--by", "ann", "--state", str(state))
    assert (ran.returncode, tree.told) == (3, [])


def test_where_drills_are_off_none_is_held(asked: Asked, state: Path) -> None:
    tree = Scripted(1, CRASHED)
    with served(state, WatchdogDesk(tree, no_drills="`ARK_DRILLS` is off")):
        ran = asked("drill", "crash", "--by", "ann", "--quiet-seconds", "0.1", "--state", str(state))
    assert (ran.returncode, tree.told) == (1, [])
    assert "ARK_DRILLS" in ran.stderr


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("sulk",),
        ("crash", "nobody"),
        ("crash", "--all"),
        ("--all", "--next"),
        ("crash", "--write"),
        ("crash", "--quiet-seconds", "0"),
        ("crash", "--by", "Ann!"),
    ],
)
def test_what_makes_no_sense_is_said_in_one_line(asked: Asked, words: tuple[str, ...], tmp_path: Path) -> None:
    ran = asked("drill", *words, "--state", str(tmp_path))
    assert (ran.returncode, ran.stdout) == (2, "")
    assert len(ran.stderr.splitlines()) == 1


@pytest.mark.parametrize("words", [("drill", "crash"), ("agents", "status")])
def test_without_a_watchdog_it_is_unavailable(asked: Asked, words: tuple[str, ...], tmp_path: Path) -> None:
    ran = asked(*words, "--state", str(tmp_path))
    assert ran.returncode == 3
    assert len(ran.stderr.splitlines()) == 1


# -- agents -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    one = Tree()
    with served(tmp_path, WatchdogDesk(one)):
        yield one


def test_the_status_shows_every_child(asked: Asked, tree: Tree, tmp_path: Path) -> None:
    """Exit code 1: Joey is held back."""
    for words in (("agents", "status", "--json"), ("agents", "--json", "status")):
        ran = asked(*words, "--state", str(tmp_path))
        assert ran.returncode == 1
        assert [child["name"] for child in json.loads(ran.stdout)["children"]] == ["kyle", "joey", "venue"]
    lines = asked("agents", "status", "--state", str(tmp_path)).stdout.splitlines()
    assert len(lines) == len(tree.given)
    assert "late" in lines[1]
    tree.core = Core  # type: ignore[method-assign]
    assert asked("agents", "status", "--state", str(tmp_path)).returncode == 0


@pytest.mark.parametrize(("act", "phase"), [("isolate", "running"), ("release", "isolated"), ("restart", "running")])
def test_people_isolate_release_and_restart(asked: Asked, tree: Tree, tmp_path: Path, act: str, phase: str) -> None:
    tree.given = [a_child("joey", phase=phase)]
    words = ("agents", act, "joey", "--by", "ann", "--reason", "we want to look at it", "--state", str(tmp_path))
    ran = asked(*words)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert tree.told == [(act, "joey", "ann", "we want to look at it")]


def test_why_is_always_said(asked: Asked, tree: Tree, tmp_path: Path) -> None:
    ran = asked("agents", "isolate", "joey", "--by", "ann", "--state", str(tmp_path))
    assert (ran.returncode, tree.told) == (2, [])
