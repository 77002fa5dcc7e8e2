"""The runbooks do what they say: each incident is made for real, and the runbook's own commands are run, word for word.

A block that opens with ```sh must succeed; one that opens with ```sh fails must not. Nothing else of a runbook is run.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from mutable_core.journal import verify
from tests.faults.processes import LOADED, TOP, ark, assert_exactly_once, bars_file, environment, journal_of, outcome
from tests.mutable_core.old_journals import contents, unpacked

pytestmark = pytest.mark.faults

BLOCK = re.compile(r"^```sh( fails)?\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    text: str
    fails: bool


def blocks(runbook: str) -> list[Block]:
    """The commands of a runbook, in order."""
    text = (TOP / "docs" / "runbooks" / runbook).read_text(encoding="utf-8")
    return [Block(found[2], bool(found[1])) for found in BLOCK.finditer(text)]


def followed(runbook: str, settings: Mapping[str, str]) -> list[subprocess.CompletedProcess[str]]:
    """What a person sees who follows the runbook with these variables."""
    ran = []
    env = environment(dict(LOADED) | dict(settings))
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    found = blocks(runbook)
    assert found, runbook
    for block in found:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.text], cwd=TOP, env=env, text=True, capture_output=True,
            stdin=subprocess.DEVNULL, timeout=120, check=False,
        )  # fmt: skip
        assert (done.returncode != 0) == block.fails, (block.text, done.stdout[-2000:], done.stderr[-2000:])
        ran.append(done)
    return ran


class House:
    """A run that has ended, as the journal of an undisturbed one, and what it was started with."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.run = ["--until-end", "--source", f"file:{bars_file(folder / 'bars.csv', days=60, symbols=2)}"]
        self.assert_runs(self.state)
        self.outcome = outcome(journal_of(self.state))

    def assert_runs(self, state: Path) -> None:
        ran = ark("run", *self.run, "--state", str(state), env=LOADED)
        assert ran.returncode == 0, ran.stderr

    def variables(self, folder: Path) -> dict[str, str]:
        """What the runbooks' words stand for."""
        return {
            "ARK_STATE_DIR": str(self.state),
            "NEW": str(folder / "new"),
            "KEPT_KEY": str(self.state / "keys" / "journal.key"),
            "RUN": " ".join(self.run),
        }

    def assert_whole(self, state: Path) -> None:
        found = outcome(journal_of(state))
        assert found == self.outcome
        assert_exactly_once(found)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(tmp_path_factory.mktemp("original"))


@pytest.fixture
def house(original: House, tmp_path: Path) -> House:
    """A copy that may be spoiled."""
    copy = object.__new__(House)
    copy.state, copy.run, copy.outcome = tmp_path / "state", original.run, original.outcome
    shutil.copytree(original.state, copy.state)
    return copy


def backed_up(house: House) -> None:
    ran = ark("backup", "now", "--state", str(house.state), env=LOADED)
    assert ran.returncode == 0, ran.stderr


def test_restore(house: House, tmp_path: Path) -> None:
    """The state folder's journal is gone; the newest backup becomes a house that ends as the lost one."""
    backed_up(house)
    journal_of(house.state).unlink()
    followed("backups.md", house.variables(tmp_path))
    house.assert_whole(tmp_path / "new")


def test_journal_damaged(house: House, tmp_path: Path) -> None:
    """A byte of a row changes: it is named, and the newest backup takes its place."""
    backed_up(house)
    journal = journal_of(house.state)
    with closing(sqlite3.connect(journal, isolation_level=None)) as connection:
        first, rows = connection.execute("SELECT first_seq, rows FROM segments ORDER BY first_seq LIMIT 1").fetchone()
        lines = rows.split(b"\n")
        lines[2] = lines[2].replace(b"7", b"8", 1)
        assert b"\n".join(lines) != rows
        connection.execute("UPDATE segments SET rows = ? WHERE first_seq = ?", (b"\n".join(lines), first))
    seen = followed("journal-damaged.md", house.variables(tmp_path))
    assert '"first_bad_row":3' in seen[0].stdout
    house.assert_whole(tmp_path / "new")


def test_disk_full(original: House, tmp_path: Path) -> None:
    """A disk that fills up in the middle stops the run; with space again the runbook brings it to its end."""
    mount = shutil.which("mount")
    disk = tmp_path / "disk"
    disk.mkdir()
    made = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, check=False
    )
    if not made or made.returncode:
        pytest.skip("this user may not mount a tmpfs")
    try:
        state = disk / "state"
        ran = ark("run", *original.run, "--state", str(state), env=LOADED)
        assert ran.returncode == 1
        subprocess.run([mount or "", "-o", "remount,size=64m", disk], check=True)
        followed("disk-full.md", original.variables(tmp_path) | {"ARK_STATE_DIR": str(state)})
        original.assert_whole(state)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_downgrade(tmp_path: Path) -> None:
    """A store that was upgraded goes back byte for byte, and forward again."""
    state = tmp_path / "state"
    journal = unpacked("journal-1-synthetic-600.sqlite", state / "run" / "journal.sqlite")
    before = contents(journal)
    assert ark("upgrade", "--state", str(state), env=LOADED).returncode == 0
    upgraded = verify(journal)
    found = blocks("upgrade.md")
    back = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", found[0].text], cwd=TOP, text=True, capture_output=True, check=False,
        env=environment({"ARK_STATE_DIR": str(state)}) | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert back.returncode == 0, back.stderr
    older = contents(journal)
    assert {name: older[name] for name in before} == before
    followed("upgrade.md", {"ARK_STATE_DIR": str(state)})
    assert verify(journal).head == upgraded.head
