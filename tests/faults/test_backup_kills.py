"""A backup, a restore or a migration that is killed at any of its disk calls leaves what was, or what should be.

And a backup that was taken from a running house, at any moment, leads to the same end as the undisturbed run.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from deployment.backups.restoring import restore
from deployment.backups.shelf import Limits, believed_keys, names_on, newest_good, shelved
from deployment.backups.taking import take
from deployment.topology.state_dir import BACKUPS
from mutable_core.errors import StateInUse
from mutable_core.journal import verify
from mutable_core.journal.signing import Signer
from mutable_core.migrations import MIGRATIONS, migrate
from tests.faults.cases import Case, folder_in_memory
from tests.faults.nursery import Nursery
from tests.faults.processes import (
    LOADED,
    bars_file,
    bytes_of,
    ended,
    eventually,
    journal_of,
    outcome,
    started,
)
from tests.faults.syscalls import Plan
from tests.mutable_core.old_journals import contents, unpacked

pytestmark = pytest.mark.faults

FOR_EVER = Limits(36_500, 0)


@pytest.fixture
def memory() -> Iterator[Path]:
    with folder_in_memory() as folder:
        yield folder


def points(calls: int, wanted: int) -> list[int]:
    """Calls to be killed at, spread over all of them; the first and the last are among them."""
    return sorted({1 + (calls - 1) * n // (wanted - 1) for n in range(wanted)})


def killed(nursery: Nursery, below: Path, at: int, *words: str) -> None:
    """Unless it has made fewer calls: what an earlier kill left had to be cleared away in some of them."""
    ran = nursery.ark(*words, settings={"ARK_DISK_FREE_MIN": "0"}, plan=Plan(below=str(below), at=at, then="kill"))
    assert ran.code in (-9, 0), (at, ran.err)


def calls_of(nursery: Nursery, below: Path, *words: str) -> int:
    ran = nursery.ark(*words, settings={"ARK_DISK_FREE_MIN": "0"}, plan=Plan(below=str(below)))
    assert ran.code == 0, ran.err
    return len(ran.calls)


def assert_all_good(state: Path, into: Path) -> int:
    """Every backup that is there under a name can be restored; returns how many."""
    believed = believed_keys(state / "keys")
    names = names_on(state / BACKUPS)
    for name in names:
        assert shelved(state / BACKUPS, name, believed).finding == ""
    if names:
        restore(state / BACKUPS / names[0], into, believed)
        shutil.rmtree(into)
    return len(names)


def _backup_rounds(nursery: Nursery, case: Case, memory: Path, wanted: int) -> None:
    state = memory / "state"
    shutil.copytree(case.state, state)
    words = ("backup", "now", "--state", str(state))
    calls = calls_of(nursery, state, *words)
    journal = verify(journal_of(state)).head
    for at in points(calls, wanted):
        before = assert_all_good(state, memory / "restored")
        killed(nursery, state, at, *words)
        assert assert_all_good(state, memory / "restored") - before in (0, 1)
        assert verify(journal_of(state)).head == journal
    assert nursery.ark(*words, settings={"ARK_DISK_FREE_MIN": "0"}).code == 0
    folders = [path.name for path in (state / BACKUPS).iterdir() if path.is_dir()]
    assert sorted(folders, reverse=True) == names_on(state / BACKUPS)


def _backup_refusals(nursery: Nursery, case: Case, memory: Path, wanted: int) -> None:
    """A disk that refuses a call: a good backup or one line and none, and the next one is good."""
    state = memory / "state"
    shutil.copytree(case.state, state)
    words = ("backup", "now", "--state", str(state))
    for at in points(calls_of(nursery, state, *words), wanted):
        before = len(names_on(state / BACKUPS))
        plan = Plan(below=str(state), at=at, then="fail")
        ran = nursery.ark(*words, settings={"ARK_DISK_FREE_MIN": "0"}, plan=plan)
        if ran.code:
            assert ran.err.startswith("ark: "), (at, ran.err)
            assert ran.err.count("\n") == 1, (at, ran.err)
            assert len(names_on(state / BACKUPS)) - before in (0, 1)  # 1: only its name, or the record of it, failed
    assert_all_good(state, memory / "restored")
    assert nursery.ark(*words, settings={"ARK_DISK_FREE_MIN": "0"}).code == 0


def _restore_rounds(nursery: Nursery, case: Case, memory: Path, wanted: int) -> None:
    state, new = memory / "state", memory / "into" / "new"
    shutil.copytree(case.state, state)
    take(state, Signer.open(state / "keys"), FOR_EVER)
    words = ("backup", "restore", "newest", "--into", str(new), "--state", str(state))
    calls = calls_of(nursery, new.parent, *words)
    whole = {path.relative_to(new): path.read_bytes() for path in new.rglob("*") if path.is_file()}
    for at in points(calls, wanted):
        shutil.rmtree(new.parent)
        killed(nursery, new.parent, at, *words)
        found = {path.relative_to(new): path.read_bytes() for path in new.rglob("*") if path.is_file()}
        assert found in ({}, whole)
        if not found:
            assert nursery.ark(*words).code == 0


def _migration_rounds(nursery: Nursery, memory: Path, wanted: int, verb: tuple[str, ...], back_to: int) -> None:
    """Whatever the kill left is the old contents or the new, and the same command again brings the new."""
    state = memory / "state"
    journal = unpacked("journal-1-synthetic-600.sqlite", state / "run" / "journal.sqlite")
    if back_to == 2:
        assert nursery.ark("upgrade", "--state", str(state)).code == 0
    first = memory / "first"
    shutil.copytree(state, first)
    words = (*verb, "--state", str(state))
    calls = calls_of(nursery, state, *words)
    old, new = without_signatures(first / "run" / "journal.sqlite"), without_signatures(journal)
    assert old != new
    for at in points(calls, wanted):
        shutil.rmtree(state)
        shutil.copytree(first, state)
        killed(nursery, state, at, *words)
        assert without_signatures(journal) in (old, new)
        ran = nursery.ark(*words)
        assert ran.code == 0, ran.err
        assert without_signatures(journal) == new
        if new["format"] == 2:
            assert verify(journal, deep=True).finding == ""
        assert not [path for path in journal.parent.iterdir() if "draft" in path.name]
        assert without_signatures(journal.with_name(f"journal.sqlite.format-{back_to}")) == old


def without_signatures(journal: Path) -> dict[str, Any]:
    """What a checkpoint says holds its time and its key; how many rows it covers is the same each time."""
    found = contents(journal)
    if "checkpoints" in found:
        found["checkpoints"] = [row[0] for row in found["checkpoints"][1]]
    return found


UP, DOWN = ("upgrade",), ("downgrade", "--to-format", "journal=1")


def test_a_backup_killed_at_any_call_is_no_backup_or_a_whole_one(
    nursery: Nursery, cases: tuple[Case, Case], memory: Path
) -> None:
    _backup_rounds(nursery, cases[0], memory, 24)


def test_a_backup_that_the_disk_refuses_says_one_line(nursery: Nursery, cases: tuple[Case, Case], memory: Path) -> None:
    _backup_refusals(nursery, cases[0], memory, 16)


@pytest.mark.nightly
def test_a_backup_that_the_disk_refuses_at_every_call(nursery: Nursery, cases: tuple[Case, Case], memory: Path) -> None:
    _backup_refusals(nursery, cases[0], memory, 2_000)


def test_a_restore_killed_at_any_call_leaves_nothing_or_everything(
    nursery: Nursery, cases: tuple[Case, Case], memory: Path
) -> None:
    _restore_rounds(nursery, cases[1], memory, 12)


@pytest.mark.parametrize(("verb", "back_to"), [(UP, 1), (DOWN, 2)])
def test_a_migration_killed_at_any_call_leaves_the_old_format_or_the_new(
    nursery: Nursery, memory: Path, verb: tuple[str, ...], back_to: int
) -> None:
    _migration_rounds(nursery, memory, 14, verb, back_to)


@pytest.mark.nightly
def test_a_backup_killed_at_every_call(nursery: Nursery, cases: tuple[Case, Case], memory: Path) -> None:
    _backup_rounds(nursery, cases[0], memory, 2_000)


@pytest.mark.nightly
def test_a_restore_killed_at_every_call(nursery: Nursery, cases: tuple[Case, Case], memory: Path) -> None:
    _restore_rounds(nursery, cases[1], memory, 2_000)


@pytest.mark.nightly
@pytest.mark.parametrize(("verb", "back_to"), [(UP, 1), (DOWN, 2)])
def test_a_migration_killed_at_every_call(nursery: Nursery, memory: Path, verb: tuple[str, ...], back_to: int) -> None:
    _migration_rounds(nursery, memory, 2_000, verb, back_to)


def test_a_migration_killed_inside_its_transaction_leaves_the_old_format(nursery: Nursery, memory: Path) -> None:
    """At each call to the write-ahead log of the copy that is migrated: the copy has the old contents or the new."""
    state = memory / "state"
    journal = unpacked("journal-1-synthetic-600.sqlite", state / "run" / "journal.sqlite")
    copy = memory / "copy.sqlite"
    shutil.copyfile(journal, copy)
    old = contents(copy)
    migrate(copy, MIGRATIONS, 2)
    new = contents(copy)
    draft = journal.with_name("journal.sqlite.draft")
    plan = {"below": str(state), "files": (f"{draft.name}-wal",)}
    calls = len(nursery.ark("upgrade", "--state", str(state), plan=Plan(**plan)).calls)
    seen = []
    for at in points(calls, 40):
        shutil.rmtree(state)
        unpacked("journal-1-synthetic-600.sqlite", journal)
        ran = nursery.ark("upgrade", "--state", str(state), plan=Plan(**plan, at=at, then="kill"))
        if ran.code == 0:
            continue  # the key is there now, and was not made: so it had fewer calls
        assert contents(journal) == old
        if draft.exists():
            found = contents(draft)
            seen.append(found["format"])
            assert _only(found) in (_only(old), _only(new))
    assert {1, 2} <= set(seen)


def _only(found: dict[str, Any]) -> dict[str, Any]:
    return {"format": found["format"], "segments": found["segments"]}


# -- from a running house -----------------------------------------------------------------------------------------------


class Running:
    """An undisturbed run, and backups of the same run in another state folder, taken while it ran."""

    def __init__(self, nursery: Nursery, folder: Path, *, days: int, seed: int) -> None:
        self.nursery = nursery
        self.arguments = [
            "run",
            "--until-end",
            "--json",
            "--source",
            f"file:{bars_file(folder / 'bars.csv', days=days)}",
        ]
        self.env = LOADED | {"ARK_DISK_FREE_MIN": "0"}
        self.run(folder / "undisturbed")
        self.outcome = outcome(journal_of(folder / "undisturbed"))
        self.state, self.folder, self.chance = folder / "state", folder, Random(seed)

    def run(self, state: Path) -> None:
        ran = self.nursery.ark(*self.arguments, "--state", str(state), settings=self.env, brief=True)
        assert ran.code == 0, ran.err

    def back_up(self, wanted: int) -> list[Path]:
        """Backups at moments when something was just written."""
        taken = []
        whole = bytes_of(self.folder / "undisturbed", "venue.log")
        with started(*self.arguments, "--state", str(self.state), env=self.env) as process:
            for part in sorted(self.chance.random() * 0.9 for _ in range(wanted)):
                enough = max(1, int(part * whole))
                eventually(
                    lambda: bytes_of(self.state, "venue.log") >= enough or process.poll() is not None,  # noqa: B023
                    "the venue's log grows",
                )
                taken.append(take(self.state, Signer.open(self.state / "keys"), FOR_EVER)[0].folder)
            ran = ended(process)
        assert ran.returncode == 0, ran.stderr
        assert outcome(journal_of(self.state)) == self.outcome
        return taken

    def assert_leads_to_the_same_end(self, backup: Path, into: Path) -> int:
        """Returns how many rows the backup had."""
        manifest = restore(backup, into, believed_keys(self.state / "keys"), deep=True)
        shutil.copyfile(self.state / "keys" / "journal.key", into / "keys" / "journal.key")
        (into / "keys" / "journal.key").chmod(0o600)
        self.run(into)
        assert outcome(journal_of(into)) == self.outcome
        assert verify(journal_of(into), deep=True).finding == ""
        return manifest.runs[0].rows


def test_a_backup_of_a_running_house_leads_to_the_same_end(nursery: Nursery, tmp_path: Path) -> None:
    """I4: a restored house starts, goes on, and sends nothing twice and nothing never; the running one is undisturbed."""
    running = Running(nursery, tmp_path, days=60, seed=3)
    rows = [
        running.assert_leads_to_the_same_end(backup, tmp_path / f"restored-{number}")
        for number, backup in enumerate(running.back_up(3))
    ]
    assert 0 < rows[0] < running.outcome.rows


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(10, 20))
def test_many_backups_of_a_running_house_lead_to_the_same_end(nursery: Nursery, tmp_path: Path, seed: int) -> None:
    running = Running(nursery, tmp_path, days=200, seed=seed)
    for number, backup in enumerate(running.back_up(12)):
        running.assert_leads_to_the_same_end(backup, tmp_path / f"restored-{number}")


def test_two_that_back_up_at_once_do_not_spoil_each_other(cases: tuple[Case, Case], memory: Path) -> None:
    state = memory / "state"
    shutil.copytree(cases[0].state, state)
    signer = Signer.open(state / "keys")

    def again() -> bool:
        with pytest.raises(StateInUse):
            take(state, signer, FOR_EVER)
        return False

    taken, _ = take(state, signer, FOR_EVER, is_stopped=again)
    assert newest_good(state / BACKUPS, (signer.public,)) == taken
