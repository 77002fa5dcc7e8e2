"""Faults in a real house: real processes under the Watchdog, drilled and operated by the commands that people use.

How long anything took is measured by `ark drill --all` (docs/reference/fault-matrix.md), never asserted here.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from deployment.drills.matrix import CELLS
from deployment.drills.schedule import last_drill
from deployment.watchdog_desk.client import ask
from deployment.watchdog_desk.words import Child, Look
from mutable_core.errors import ArkError
from mutable_core.messages import AgentEnded, AgentHeld, AgentReleased, FaultInjected, HaltOrdered
from tests.faults.processes import (
    LOADED,
    TOP,
    ark,
    ended,
    envelopes_of,
    environment,
    eventually,
    free_port,
    journal_of,
    said,
    session_members,
    started,
)

pytestmark = pytest.mark.faults

DRILLED = LOADED | {"ARK_DRILL_EVERY": "0", "ARK_KILL_PORT": "0"}


class Drilled(NamedTuple):
    """A paper house that stays up, five seconds of its market in each."""

    process: subprocess.Popen[str]
    state: Path

    def children(self) -> dict[str, Child]:
        """By name; none as long as the Watchdog does not answer."""
        try:
            return {child.name: child for child in ask(self.state, Look()).children}
        except ArkError:
            return {}

    def works(self, *but: str) -> bool:
        """Whether all agents but these are heard."""
        agents = [child for child in self.children().values() if child.is_agent and child.name not in but]
        return bool(agents) and all(child.phase == "running" and not child.held for child in agents)

    def drill(self, *words: str) -> dict[str, Any]:
        return said(ark("drill", *words, "--by", "ann", "--json", "--state", str(self.state), env=DRILLED))

    def agents(self, act: str, name: str) -> subprocess.CompletedProcess[str]:
        words = ("agents", act, name, "--by", "ann", "--reason", "we want to look at it", "--state", str(self.state))
        return ark(*words, env=DRILLED)

    def told(self, kind: type) -> list[Any]:
        """What stands of it in the journal on the disk."""
        return [one.body for one in envelopes_of(journal_of(self.state)) if isinstance(one.body, kind)]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drilled]:
    state = tmp_path_factory.mktemp("drilled") / "state"
    words = ("run", "--source", "synthetic", "--speed", "5", "--port", str(free_port()), "--state", str(state))
    with started(*words, env=DRILLED) as process:
        one = Drilled(process, state)
        eventually(lambda: process.poll() is not None or one.works(), "all six work")
        assert process.poll() is None, ended(process)
        yield one


def assert_contained(found: dict[str, Any]) -> None:
    """It was seen, cut off, and came back; nothing was lost or doubled, and the journal says itself again."""
    assert None not in (found["detected_ms"], found["isolated_ms"], found["restarted_ms"], found["back_ms"]), found
    assert (found["lost"], found["duplicated"], found["replayed"]) == (0, 0, True), found


@pytest.mark.parametrize(
    ("fault", "agent"), [("crash", "joey"), ("hang_sync", "kenny"), ("lie", "aletheia"), ("flood", "kyle")]
)
def test_a_fault_is_contained(house: Drilled, fault: str, agent: str) -> None:
    """One of each way to be caught: by its death, by its heartbeats, by its words."""
    assert_contained(house.drill(fault, agent, "--quiet-seconds", "1"))
    assert house.told(FaultInjected)[-1] == FaultInjected(fault, agent, "ann")
    recorded = last_drill(house.state)
    assert recorded is not None
    assert (recorded["fault"], recorded["agent"]) == (fault, agent)
    assert house.told(HaltOrdered) == [], "what is contained is no reason to halt"


def test_an_agent_that_ends_leaves_a_record_of_it(house: Drilled) -> None:
    before = len(house.told(AgentEnded))
    assert_contained(house.drill("segfault", "id", "--quiet-seconds", "0.5"))
    new = eventually(lambda: house.told(AgentEnded)[before:], "the crash record is on the disk")
    assert [one.agent for one in new] == ["id"]


def test_people_isolate_release_and_restart(house: Drilled) -> None:
    """Each stands in the log under the person's name; what the agent missed it hears when it is back."""
    held, released = len(house.told(AgentHeld)), len(house.told(AgentReleased))
    assert house.agents("isolate", "joey").returncode == 0
    eventually(lambda: house.children()["joey"].held == "isolated", "the bus holds it back")
    assert house.works("joey")
    assert house.agents("restart", "joey").returncode == 1
    assert house.agents("release", "joey").returncode == 0
    eventually(house.works, "it is heard again")
    before = house.children()["joey"].incarnation
    assert house.agents("restart", "joey").returncode == 0
    eventually(lambda: house.works() and house.children()["joey"].incarnation > before, "a new incarnation works")
    eventually(lambda: len(house.told(AgentReleased)) > released, "it is on the disk")
    assert [(one.agent, one.why) for one in house.told(AgentHeld)[held:] if one.by == "ann"] == [("joey", "isolated")]
    assert [one.agent for one in house.told(AgentReleased)[released:] if one.by == "ann"] == ["joey"]


BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("runbook", ["agent-quarantined.md", "drills.md"])
def test_the_runbooks_do_what_they_say(house: Drilled, runbook: str) -> None:
    """Word for word, on the house that runs; a drill's exit code says whether it kept its bounds, and may be 1."""
    text = (TOP / "docs" / "runbooks" / runbook).read_text(encoding="utf-8")
    env = environment(DRILLED | {"ARK_STATE_DIR": str(house.state)})
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    blocks = BLOCK.findall(text)
    assert blocks
    for block in blocks:
        eventually(house.works, "all six work")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block], cwd=TOP, env=env, text=True, capture_output=True,
            stdin=subprocess.DEVNULL, timeout=100, check=False,
        )  # fmt: skip
        assert done.returncode in ((0, 1) if "ark drill" in block else (0,)), (block, done.stdout, done.stderr)
    eventually(house.works, "all six work")


@pytest.mark.nightly
def test_where_drills_are_off_no_fault_is_injected(tmp_path: Path) -> None:
    words = ("run", "--source", "synthetic", "--speed", "5", "--port", str(free_port()), "--state", str(tmp_path / "s"))
    with started(*words, env=DRILLED | {"ARK_DRILLS": "off"}) as process:
        one = Drilled(process, tmp_path / "s")
        eventually(lambda: process.poll() is not None or one.works(), "all six work")
        ran = ark("drill", "crash", "--by", "ann", "--quiet-seconds", "0.1", "--state", str(one.state), env=DRILLED)
        assert ran.returncode == 1
        assert "ARK_DRILLS" in ran.stderr
        process.terminate()
        assert ended(process).returncode in (0, 130)
        assert session_members(process.pid) == []
        assert one.told(FaultInjected) == []


@pytest.mark.nightly
@pytest.mark.parametrize(("fault", "agent"), CELLS)
def test_every_cell_is_contained(house: Drilled, fault: str, agent: str) -> None:
    assert_contained(house.drill(fault, agent, "--quiet-seconds", "10"))
