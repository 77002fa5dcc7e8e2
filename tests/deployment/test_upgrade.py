"""`ark upgrade` and `ark downgrade`: every store of a state folder to another format, or none touched and one line."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from deployment.topology.replay import replay
from deployment.topology.state_dir import StateDir
from mutable_core.journal import verify
from mutable_core.migrations import format_of
from mutable_core.state_manager import StateManager
from tests.deployment.backup_makers import a_state, files_in
from tests.deployment.conftest import Asked
from tests.mutable_core.old_journals import NAMES, contents, unpacked


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A state folder of a build that wrote format 1, with every journal of the corpus as a run."""
    for name in NAMES:
        unpacked(name, tmp_path / "state" / name.removesuffix(".sqlite") / "journal.sqlite")
    return tmp_path / "state"


def said(ran: Any) -> list[dict[str, Any]]:
    (line,) = ran.stdout.splitlines()
    return json.loads(line)["stores"]


def refused(ran: Any, code: int) -> str:
    assert (ran.returncode, ran.stdout) == (code, "")
    (line,) = ran.stderr.splitlines()
    return line


def journals_of(state: Path) -> list[Path]:
    return sorted(state.glob("*/journal.sqlite"))


def test_every_store_goes_up_is_signed_and_is_kept_as_it_was(asked: Asked, old: Path) -> None:
    before = {path: contents(path) for path in journals_of(old)}
    ran = asked("upgrade", "--state", str(old), "--json")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert {(one["before"], one["after"]) for one in said(ran)} == {(1, 2)}
    for path, was in before.items():
        report = verify(path, deep=True)
        assert (report.finding, report.signed_rows) == ("", report.rows)
        assert contents(path.with_name("journal.sqlite.format-1")) == was
        assert sorted(one.name for one in path.parent.iterdir()) == ["journal.sqlite", "journal.sqlite.format-1"]


def test_it_comes_back_as_it_was(asked: Asked, old: Path) -> None:
    before = {path: contents(path) for path in journals_of(old)}
    asked("upgrade", "--state", str(old))
    ran = asked("downgrade", "--to-format", "journal=1", "--state", str(old), "--json")
    assert {(one["before"], one["after"]) for one in said(ran)} == {(2, 1)}
    for path, was in before.items():
        found = contents(path)
        found.pop("checkpoints")
        assert found == was
    assert "ark upgrade" in refused(asked("replay", str(journals_of(old)[-1])), 1)
    assert asked("upgrade", "--state", str(old)).returncode == 0
    assert all(verify(path).ok for path in journals_of(old))


def test_the_way_back_is_not_told_as_the_way_there(asked: Asked, tmp_path: Path) -> None:
    state = a_state(tmp_path / "state", rows=20)
    for words in (("--dry-run",), ()):
        ran = asked("downgrade", "--to-format", "journal=1", "--state", str(state), *words)
        assert "from format 2 to 1: what was brought is taken back: " in ran.stdout
    assert "taken back" not in asked("upgrade", "--state", str(state)).stdout


def test_a_run_that_went_down_and_up_again_goes_on_and_replays(asked: Asked, tmp_path: Path) -> None:
    """What agents say is no matter of the format: the same rows, the same head, and the house goes on from them."""
    state = a_state(tmp_path / "state", rows=200)
    (journal,) = journals_of(state)
    head = verify(journal).head
    assert asked("downgrade", "--to-format", "journal=1", "--state", str(state)).returncode == 0
    assert asked("upgrade", "--state", str(state)).returncode == 0
    a_state(state, rows=200)
    assert verify(journal, deep=True).head == head == replay(journal).head


def test_a_second_time_changes_nothing(asked: Asked, old: Path) -> None:
    asked("upgrade", "--state", str(old))
    before = files_in(old)
    ran = asked("upgrade", "--state", str(old), "--json")
    assert ran.returncode == 0
    assert all(one["steps"] == [] for one in said(ran))
    assert {k: v for k, v in files_in(old).items() if k != "owner.lock"} == {
        k: v for k, v in before.items() if k != "owner.lock"
    }


def test_a_dry_run_says_what_would_be_done_and_touches_nothing(asked: Asked, old: Path) -> None:
    before = files_in(old)
    ran = asked("upgrade", "--dry-run", "--state", str(old), "--json")
    assert ran.returncode == 0
    assert all(one["steps"] and not one["kept"] for one in said(ran))
    assert files_in(old) == before


def test_a_damaged_journal_is_left_as_it_was(asked: Asked, old: Path) -> None:
    path = journals_of(old)[-1]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE segments SET rows = CAST(replace(rows, 'kyle', 'kylf') AS BLOB)")
    before = contents(path)
    assert "not what was written" in refused(asked("upgrade", "--state", str(old)), 1)
    assert contents(path) == before


def test_a_damaged_journal_of_this_build_does_not_go_down(asked: Asked, old: Path) -> None:
    asked("upgrade", "--state", str(old))
    path = journals_of(old)[-1]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE checkpoints SET signature = zeroblob(64)")
    before = contents(path)
    assert "damaged" in refused(asked("downgrade", "--to-format", "journal=1", "--state", str(old)), 1)
    assert contents(path) == before


def test_where_one_store_is_newer_nothing_at_all_is_touched(asked: Asked, old: Path) -> None:
    StateManager.open(old / "state.sqlite").close()
    with closing(sqlite3.connect(old / "state.sqlite")) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = files_in(old)
    assert "99" in refused(asked("upgrade", "--state", str(old)), 2)
    found = files_in(old)
    found.pop("owner.lock", None)
    assert found == before


def test_a_house_that_runs_is_not_upgraded_under_its_feet(asked: Asked, old: Path) -> None:
    with StateDir(old):
        assert "in use" in refused(asked("upgrade", "--state", str(old)), 2)
    assert {format_of(path) for path in journals_of(old)} == {1}


def test_a_log_that_was_not_folded_in_goes_along(asked: Asked, old: Path) -> None:
    """What a killed house left in its write-ahead log is part of its journal."""
    path = journals_of(old)[-1]
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("PRAGMA wal_autocheckpoint = 0")
    last = writer.execute("SELECT max(first_seq) FROM segments").fetchone()
    segment = writer.execute("SELECT * FROM segments WHERE first_seq = ?", last).fetchone()
    writer.execute("DELETE FROM segments WHERE first_seq = ?", last)
    writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    writer.execute("INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?, ?)", segment)
    killed = {name: path.with_name(name).read_bytes() for name in (path.name, f"{path.name}-wal")}
    writer.close()
    for name, data in killed.items():
        path.with_name(name).write_bytes(data)
    assert asked("upgrade", "--state", str(old)).returncode == 0
    assert verify(path).rows == segment[1]
    assert not path.with_name(f"{path.name}-wal").exists()


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("upgrade", "--state", "{}/none"), "none"),
        (("upgrade", "--state", "{}"), "no store"),
        (("downgrade", "--state", "{}/state"), "--to-format"),
        (("downgrade", "--to-format", "journal", "--state", "{}/state"), "journal=1"),
        (("downgrade", "--to-format", "venue=1", "--state", "{}/state"), "venue=1"),
        (("downgrade", "--to-format", "journal=0", "--state", "{}/state"), "format 0"),
        (("downgrade", "--to-format", "journal=3", "--state", "{}/state"), "format 3"),
    ],
)
def test_what_is_wrong_gets_one_line_and_a_code(
    asked: Asked, old: Path, tmp_path: Path, words: tuple[str, ...], names: str
) -> None:
    (tmp_path / "state" / "keep").write_text("")
    before = files_in(old)
    assert names in refused(asked(*(word.replace("{}", str(tmp_path)) for word in words)), 2)
    found = files_in(old)
    found.pop("owner.lock", None)
    assert found == before


# -- a newer build was here ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("store", ["journal", "state"])
def test_a_house_does_not_start_on_a_newer_store_and_does_not_touch_it(
    asked: Asked, tmp_path: Path, store: str
) -> None:
    state = a_state(tmp_path / "state", rows=100)
    path = journals_of(state)[0] if store == "journal" else state / "state.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    settings = {"ARK_STRATEGIES": "alternating", "ARK_DISK_FREE_MIN": "0", "ARK_AUTHORITY": "embedded"}
    words = ("run", "--until-end", "--json", "--source", "synthetic:100", "--seed", "7", "--state", str(state))
    assert "99" in refused(asked(*words, env=settings), 1)
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir() if one.name.startswith(f"{path.name}-")] == []
