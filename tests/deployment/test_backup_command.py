"""`ark backup`: what a person sees of backups, and the exit codes that a timer looks at."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from deployment.backups.schedule import recorded
from deployment.topology.state_dir import BACKUPS
from tests.deployment.backup_makers import a_state, files_in, signer_of
from tests.deployment.conftest import Asked

SMALL = {"ARK_DISK_FREE_MIN": "0"}


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_state(tmp_path_factory.mktemp("left") / "state", rows=200)


@pytest.fixture
def state(left: Path, tmp_path: Path) -> Path:
    shutil.copytree(left, tmp_path / "state")
    return tmp_path / "state"


@pytest.fixture
def backup(asked: Asked, state: Path) -> Asked:
    """`ark backup` on that state folder; what it says is in `.stdout`."""

    def ask(*words: str, **more: Any) -> Any:
        return asked("backup", *words, env=SMALL | {"ARK_STATE_DIR": str(state)} | more.get("env", {}))

    return ask


def said(ran: Any) -> dict[str, Any]:
    (line,) = ran.stdout.splitlines()
    return json.loads(line)


def refused(ran: Any) -> str:
    (line,) = ran.stderr.splitlines()
    assert ran.stdout == ""
    assert line.startswith("ark: ")
    return line


def test_a_backup_is_taken_recorded_and_listed(backup: Asked, state: Path) -> None:
    ran = backup("now", "--json")
    assert ran.returncode == 0
    taken = said(ran)
    assert said(backup("list", "--json"))["backups"] == [{k: v for k, v in taken.items() if k != "removed"}]
    assert taken["name"] in backup("list").stdout
    assert recorded(state, "backup")["name"] == taken["name"]


def test_no_backups_is_said_and_is_no_finding(backup: Asked) -> None:
    ran = backup("list")
    assert (ran.returncode, "no backups" in ran.stdout) == (0, True)


def test_a_folder_that_is_not_there_is_no_empty_shelf(backup: Asked, tmp_path: Path) -> None:
    """A name with a slip in it must not read as `no backups`, exit code 0."""
    for words in (("--state", str(tmp_path / "nowhere")), ("--from", str(tmp_path / "nowhere"))):
        ran = backup("list", *words)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert "nowhere" in refused(ran)


def test_a_backup_that_failed_leaves_nothing(backup: Asked, state: Path) -> None:
    """What it had copied would hold the space that a full disk needs."""
    (journal,) = state.glob("*/journal.sqlite")
    with closing(sqlite3.connect(journal)) as connection, connection:
        connection.execute("UPDATE segments SET head = zeroblob(32) WHERE first_seq = 1")
    assert backup("now").returncode == 1
    assert [path.name for path in (state / BACKUPS).iterdir() if path.is_dir()] == []


def test_a_backup_that_is_not_good_is_a_finding(backup: Asked, state: Path) -> None:
    name = said(backup("now", "--json"))["name"]
    (state / BACKUPS / name / "state.sqlite").unlink()
    ran = backup("list", "--json")
    assert ran.returncode == 1
    (one,) = said(ran)["backups"]
    assert (one["ok"], "state.sqlite" in one["finding"]) == (False, True)


def test_older_ones_go_as_the_settings_say(backup: Asked) -> None:
    first = said(backup("now", "--json"))["name"]
    assert said(backup("now", "--json", env={"ARK_BACKUP_MAX_BYTES": "1"}))["removed"] == [first]


def test_what_is_restored_is_what_was_backed_up_and_the_key_is_asked_for(
    backup: Asked, state: Path, tmp_path: Path
) -> None:
    name = said(backup("now", "--json"))["name"]
    ran = backup("restore", name, "--into", str(tmp_path / "new"))
    assert ran.returncode == 0
    assert "keys/journal.key" in ran.stdout
    copied = {k: v for k, v in files_in(state / BACKUPS / name).items() if k != "MANIFEST.json"}
    assert files_in(tmp_path / "new") == copied
    assert "not empty" in refused(backup("restore", "newest", "--into", str(tmp_path / "new")))


def test_a_state_folder_that_is_lost_comes_back_from_backups_kept_elsewhere(
    backup: Asked, state: Path, tmp_path: Path
) -> None:
    """The key that counts is then given by hand, for nothing of the lost folder can say it."""
    backup("now")
    public = signer_of(state).public.hex()
    shutil.copytree(state / BACKUPS, tmp_path / "elsewhere")
    shutil.rmtree(state)
    words = ("restore", "newest", "--from", str(tmp_path / "elsewhere"), "--into", str(tmp_path / "new"))
    ran = backup(*words)
    assert (ran.returncode, public in refused(ran)) == (2, True)
    ran = backup(*words, "--key", "0" * 64)
    assert (ran.returncode, "not this journal's" in refused(ran)) == (1, True)
    assert backup(*words, "--key", public, "--new-key", "--json").returncode == 0
    assert signer_of(tmp_path / "new").former == (bytes.fromhex(public),)


def test_the_drill_says_what_it_proved_and_writes_it_down(backup: Asked, state: Path) -> None:
    backup("now")
    ran = backup("drill", "--json")
    told = said(ran)
    assert (ran.returncode, told["ok"], told["finding"]) == (0, True, "")
    assert told["rows"] > told["compared"] > 0
    assert recorded(state, "drill")["ok"] is True


def test_a_drill_without_a_backup_is_a_finding_and_is_written_down(backup: Asked, state: Path) -> None:
    ran = backup("drill")
    assert (ran.returncode, "no good backup" in ran.stdout) == (1, True)
    assert recorded(state, "drill")["ok"] is False


@pytest.mark.parametrize(
    ("words", "names", "code"),
    [
        ((), "action", 2),
        (("take",), "take", 2),
        (("restore", "newest"), "--into", 2),
        (("restore", "none", "--into", "{}/new"), "none", 2),
        (("restore", "../state", "--into", "{}/new"), "state", 2),
        (("list", "--key", "abc"), "--key", 2),
        (("now", "--state", "{}/none"), "none", 2),
        (("drill", "--state", "{}/none"), "none", 2),
    ],
)
def test_what_is_wrong_gets_one_line_and_a_code(
    backup: Asked, tmp_path: Path, words: tuple[str, ...], names: str, code: int
) -> None:
    ran = backup(*(word.replace("{}", str(tmp_path)) for word in words))
    assert ran.returncode == code
    assert names in refused(ran)
    assert not (tmp_path / "none").exists()
