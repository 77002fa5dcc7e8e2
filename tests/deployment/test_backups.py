"""Backups: taken whole or not at all, believed only as they were signed, kept for their time, restored where nothing is."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import stat
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from deployment.backups import drill as drills
from deployment.backups.copying import CopyStopped, moment_of
from deployment.backups.drill import drill
from deployment.backups.manifest import MANIFEST, CopiedFile, Manifest, is_inside, read, signed
from deployment.backups.restoring import restore
from deployment.backups.schedule import AGAIN_NS, FIRST_NS, Schedule, record, recorded
from deployment.backups.shelf import UNFINISHED, Limits, believed_keys, held, names_on, newest_good, shelved, tidy
from deployment.backups.taking import KEYS, take
from deployment.topology.replay import replay
from deployment.topology.snapshots import Snapshots
from deployment.topology.state_dir import BACKUPS, journals
from mutable_core.clock import DAY_NS, HOUR_NS, SECOND_NS
from mutable_core.errors import Broken, DiskUnavailable, SettingsRefused, StateInUse
from mutable_core.journal import Journal, verify
from mutable_core.journal.signing import Signer
from tests.deployment.backup_makers import FOR_EVER, a_state, files_in, settings_for, signer_of, taken
from tests.faults.processes import eventually


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run has left; never changed."""
    return a_state(tmp_path_factory.mktemp("left") / "state")


@pytest.fixture
def state(left: Path, tmp_path: Path) -> Path:
    shutil.copytree(left, tmp_path / "state")
    return tmp_path / "state"


def believed(state: Path) -> tuple[bytes, ...]:
    return believed_keys(state / "keys")


# -- taking -------------------------------------------------------------------------------------------------------------


def test_a_backup_holds_everything_but_the_private_key_and_is_listed_as_good(state: Path) -> None:
    backup = taken(state)
    assert newest_good(state / BACKUPS, believed(state)) == backup
    names = {path for path in files_in(backup.folder) if path != MANIFEST}
    assert names == {file.path for file in backup.manifest.files}
    (run,) = (run.folder for run in backup.manifest.runs)
    assert {"state.sqlite", "anchor.log", "seal-version", "keys/journal.pub"} <= names
    assert {f"{run}/journal.sqlite", f"{run}/venue.log"} <= names
    assert any(name.startswith(f"{run}/snapshot-") for name in names)
    assert not any("journal.key" in name for name in names)
    report = verify(journals(state)[0])
    assert [(one.rows, one.head, one.format) for one in backup.manifest.runs] == [(report.rows, report.head, 2)]


def test_only_its_owner_may_read_a_backup(state: Path) -> None:
    backup = taken(state)
    for path in (backup.folder, *backup.folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_backup_is_not_taken_for_a_run(state: Path) -> None:
    before = journals(state)
    taken(state)
    assert journals(state) == before


def test_two_backups_of_one_second_have_two_names_in_their_order(state: Path) -> None:
    now_ns = 1_763_600_000 * SECOND_NS
    names = [take(state, signer_of(state), FOR_EVER, now=lambda: now_ns)[0].name for _ in range(3)]
    assert names == ["20251120T005320Z-001", "20251120T005320Z-002", "20251120T005320Z-003"]
    assert names_on(state / BACKUPS) == names[::-1]


def test_without_a_journal_there_is_nothing_to_back_up(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused, match="no journal"):
        take(tmp_path, Signer.open(tmp_path / "keys"), FOR_EVER)
    assert names_on(tmp_path / BACKUPS) == []


def test_a_damaged_journal_makes_no_backup_and_the_older_ones_stay(state: Path) -> None:
    """A copy of damage would push out what could still be restored."""
    older = taken(state)
    with closing(sqlite3.connect(journals(state)[0])) as connection, connection:
        connection.execute("UPDATE segments SET rows = CAST(replace(rows, 'kyle', 'kylf') AS BLOB)")
    with pytest.raises(Broken, match="damaged"):
        take(state, signer_of(state), Limits(1, 1), now=lambda: older.manifest.taken_ns + 30 * DAY_NS)
    assert names_on(state / BACKUPS) == [older.name]


def test_a_backup_does_not_fill_the_disk(state: Path) -> None:
    with pytest.raises(DiskUnavailable, match="must stay free"):
        take(state, signer_of(state), FOR_EVER, free_min=2**60)
    assert names_on(state / BACKUPS) == []


def test_a_backup_that_is_stopped_leaves_nothing(state: Path) -> None:
    ready = threading.Event()
    ready.set()
    with pytest.raises(CopyStopped):
        take(state, signer_of(state), FOR_EVER, is_stopped=ready.is_set)
    assert [path for path in (state / BACKUPS).iterdir() if path.is_dir()] == []


def test_what_was_left_unfinished_is_no_backup_and_the_next_one_clears_it_away(state: Path) -> None:
    """As a kill leaves it."""
    (state / BACKUPS / f"{UNFINISHED}20240101T000000Z-001" / KEYS).mkdir(parents=True)
    assert names_on(state / BACKUPS) == []
    backup = taken(state)
    assert [path for path in (state / BACKUPS).iterdir() if path.is_dir()] == [backup.folder]


def test_one_backup_at_a_time(state: Path) -> None:
    with held(state / BACKUPS), pytest.raises(StateInUse):
        taken(state)
    taken(state)


def test_a_run_is_copied_at_a_moment_between_two_commits(state: Path) -> None:
    """While the moment lasts, the house goes on: neither what it commits nor what it sends then is in the copy."""
    journal = journals(state)[0]
    venue = journal.with_name("venue.log")
    writer = Journal.open(journal)
    size, rows = venue.stat().st_size, writer.seq
    with moment_of(journal, venue) as moment:
        writer.append(b"later", 0)
        writer.commit()
        venue.write_bytes(venue.read_bytes() + b"later")
        (copied,) = moment.journal.execute("SELECT max(last_seq) FROM segments").fetchone()
    writer.close()
    assert (copied, moment.venue_bytes) == (rows, size)


class Interrupted(type(Path())):  # type: ignore[misc]
    """A venue's file; while its size is looked at, the house commits and sends once more."""

    def stat(self, **how: bool) -> os.stat_result:
        if INTERRUPTIONS:
            INTERRUPTIONS.pop()()
        return super().stat(**how)


INTERRUPTIONS: list[Callable[[], None]] = []


def test_a_moment_in_which_a_commit_came_is_not_taken(state: Path) -> None:
    """Else an order could be in the copy of the venue, and its intent not in the copy of the journal."""
    journal = journals(state)[0]
    venue = journal.with_name("venue.log")
    writer = Journal.open(journal)
    rows, size = writer.seq, venue.stat().st_size

    def commit_and_send() -> None:
        writer.append(b"later", 0)
        writer.commit()
        with venue.open("ab") as file:
            file.write(b"later")

    INTERRUPTIONS[:] = [commit_and_send]
    with moment_of(journal, Interrupted(venue)) as moment:
        (copied,) = moment.journal.execute("SELECT max(last_seq) FROM segments").fetchone()
    writer.close()
    assert (copied, moment.venue_bytes) == (rows + 1, size + len(b"later"))


# -- believing ----------------------------------------------------------------------------------------------------------


def finding(state: Path, name: str) -> str:
    return shelved(state / BACKUPS, name, believed(state)).finding


def test_a_manifest_that_was_changed_is_not_believed(state: Path) -> None:
    backup = taken(state)
    path = backup.folder / MANIFEST
    text = path.read_bytes()
    path.write_bytes(text.replace(b'"rows": ', b'"rows": 1'))
    assert "not what was signed" in finding(state, backup.name)
    path.write_bytes(text[:-20])
    assert "cannot be read" in finding(state, backup.name)
    path.unlink()
    assert "no manifest" in finding(state, backup.name)
    path.write_bytes(text)
    assert finding(state, backup.name) == ""


def test_a_backup_under_another_name_is_not_believed(state: Path) -> None:
    """Else an old one could be shown as the newest."""
    backup = taken(state)
    backup.folder.rename(backup.folder.with_name("20990101T000000Z-001"))
    assert backup.name in finding(state, "20990101T000000Z-001")


def test_a_backup_of_another_key_is_not_believed(state: Path, tmp_path: Path) -> None:
    backup = taken(state)
    foreign = Signer.open(tmp_path / "foreign")
    (backup.folder / MANIFEST).write_bytes(signed(backup.manifest, foreign))
    assert "not this journal's" in finding(state, backup.name)
    with pytest.raises(Broken, match="not this journal's"):
        restore(backup.folder, tmp_path / "new", believed(state))


def test_a_file_that_is_gone_or_cut_is_seen_at_a_glance(state: Path) -> None:
    backup = taken(state)
    path = backup.folder / "state.sqlite"
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    assert "state.sqlite" in finding(state, backup.name)
    path.unlink()
    assert "state.sqlite" in finding(state, backup.name)
    path.symlink_to(state / "state.sqlite")
    assert "state.sqlite" in finding(state, backup.name)


@pytest.mark.parametrize("path", ["../out", "/etc/passwd", "a/../../out", "a//b", "", "a/./b", MANIFEST, "a\0b"])
def test_no_manifest_names_a_file_outside_its_backup(state: Path, path: str) -> None:
    assert not is_inside(path)
    backup = taken(state)
    manifest = msgspec.structs.replace(backup.manifest, files=(CopiedFile(path, 0, "0" * 64),))
    (backup.folder / MANIFEST).write_bytes(signed(manifest, signer_of(state)))
    assert "outside" in finding(state, backup.name)


def test_a_manifest_of_a_newer_build_is_not_read_as_ours(state: Path) -> None:
    backup = taken(state)
    manifest = msgspec.structs.replace(backup.manifest, format=99)
    (backup.folder / MANIFEST).write_bytes(signed(manifest, signer_of(state)))
    assert "99" in finding(state, backup.name)


# -- keeping ------------------------------------------------------------------------------------------------------------


class Days:
    """Takes backups at chosen hours of chosen days."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.begin_ns = 1_763_600_000 * SECOND_NS

    def take(self, hours: float, limits: Limits = FOR_EVER) -> str:
        now_ns = self.begin_ns + int(hours * HOUR_NS)
        return take(self.state, signer_of(self.state), limits, now=lambda: now_ns)[0].name


def test_what_is_older_than_its_days_goes_and_the_rest_stays(state: Path) -> None:
    days = Days(state)
    names = [days.take(24 * day) for day in range(4)]
    assert days.take(24 * 9, Limits(7, 0)) == names_on(state / BACKUPS)[0]
    assert names_on(state / BACKUPS)[1:] == [names[3], names[2]]  # exactly seven days old is kept


def test_the_newest_good_one_is_never_removed_however_old_or_large(state: Path) -> None:
    days = Days(state)
    old = days.take(0)
    new = days.take(24, Limits(1, 1))
    assert names_on(state / BACKUPS) == [new] != [old]
    assert tidy(state / BACKUPS, Limits(1, 1), days.begin_ns + 400 * DAY_NS, believed(state)) == ()
    assert names_on(state / BACKUPS) == [new]


def test_a_bad_one_that_is_newer_does_not_push_out_the_last_good_one(state: Path) -> None:
    days = Days(state)
    days.take(0)
    good = days.take(1)
    bad = state / BACKUPS / "20990101T000000Z-001"
    bad.mkdir()
    newest = days.take(2, Limits(1, 1))
    assert newest in names_on(state / BACKUPS)
    assert shelved(state / BACKUPS, newest, believed(state)).finding == ""
    assert good not in names_on(state / BACKUPS)
    assert newest_good(state / BACKUPS, believed(state)).name == newest


def test_all_together_take_no_more_than_they_may_and_the_oldest_go_first(state: Path) -> None:
    days = Days(state)
    names = [days.take(hour) for hour in range(4)]
    one = sum(path.stat().st_size for path in (state / BACKUPS / names[0]).rglob("*"))
    newest = days.take(5, Limits(7, 3 * one + one // 2))
    assert names_on(state / BACKUPS) == [newest, names[3], names[2]]


# -- restoring ----------------------------------------------------------------------------------------------------------


def test_what_is_restored_is_what_was_copied(state: Path, tmp_path: Path) -> None:
    backup = taken(state)
    for into in (tmp_path / "new", tmp_path / "empty"):
        if into.name == "empty":
            into.mkdir()
        restore(backup.folder, into, believed(state), deep=True)
        before = {name: data for name, data in files_in(backup.folder).items() if name != MANIFEST}
        assert files_in(into) == before
        assert stat.S_IMODE(into.stat().st_mode) == 0o700
    report = verify(journals(tmp_path / "new")[0], deep=True)
    assert report.head == verify(journals(state)[0]).head
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "new", "state"]


def test_nothing_is_restored_over_what_is_there(state: Path, tmp_path: Path) -> None:
    backup = taken(state)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "one").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("full", "file", "link"):
        with pytest.raises(SettingsRefused):
            restore(backup.folder, tmp_path / name, believed(state))
    assert files_in(tmp_path / "full") == {"one": b"mine"}


def test_every_byte_is_compared_before_anything_appears(state: Path, tmp_path: Path) -> None:
    backup = taken(state)
    for file in backup.manifest.files:
        path = backup.folder / file.path
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        with pytest.raises(Broken, match=file.path):
            restore(backup.folder, tmp_path / "new", believed(state))
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state"]
    restore(backup.folder, tmp_path / "new", believed(state))


def test_a_backup_whose_journal_is_damaged_is_not_restored_though_it_is_signed(state: Path, tmp_path: Path) -> None:
    """Who holds the key can sign a bad copy; the journal's own seals still say so."""
    backup = taken(state)
    run = backup.manifest.runs[0].folder
    path = backup.folder / run / "journal.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE segments SET stamps = zeroblob(length(stamps))")
    files = tuple(
        described if described.path != f"{run}/journal.sqlite" else _described(backup.folder, path)
        for described in backup.manifest.files
    )
    manifest = msgspec.structs.replace(backup.manifest, files=files)
    (backup.folder / MANIFEST).write_bytes(signed(manifest, signer_of(state)))
    with pytest.raises(Broken, match="damaged"):
        restore(backup.folder, tmp_path / "new", believed(state))
    assert not (tmp_path / "new").exists()


def _described(folder: Path, path: Path) -> CopiedFile:
    from deployment.backups.copying import described

    return described(folder, path)


def test_somebody_must_say_whose_signature_counts(state: Path, tmp_path: Path) -> None:
    backup = taken(state)
    with pytest.raises(SettingsRefused, match=signer_of(state).public.hex()):
        restore(backup.folder, tmp_path / "new", ())


def test_a_lost_key_is_retired_and_what_it_signed_is_still_believed(state: Path, tmp_path: Path) -> None:
    backup = taken(state)
    lost = signer_of(state).public
    restore(backup.folder, tmp_path / "new", believed(state), new_key=True)
    signer = signer_of(tmp_path / "new")
    assert signer.public != lost
    assert signer.former == (lost,)
    assert verify(journals(tmp_path / "new")[0], deep=True).finding == ""


def test_a_restored_house_goes_on(state: Path, tmp_path: Path) -> None:
    backup = taken(state)
    restore(backup.folder, tmp_path / "new", believed(state), new_key=True)
    head = verify(journals(state)[0]).head
    assert verify(journals(a_state(tmp_path / "new"))[0]).head == head


# -- the drill ----------------------------------------------------------------------------------------------------------


def test_the_drill_proves_the_newest_backup_and_leaves_nothing(state: Path) -> None:
    taken(state)
    newest = taken(state)
    found = drill(state / BACKUPS, signer_of(state), believed(state))
    result = replay(journals(state)[0])
    assert (found.ok, found.finding, found.name) == (True, "", newest.name)
    assert (found.rows, found.compared, found.snapshots) == (result.rows, result.compared, 1)
    assert [path for path in (state / BACKUPS).iterdir() if path.is_dir() and path.name.startswith(".")] == []


def test_without_a_backup_a_drill_has_a_finding(state: Path) -> None:
    """I10: no backup is not good news."""
    found = drill(state / BACKUPS, signer_of(state), believed(state))
    assert not found.ok
    assert found.finding


def test_a_drill_finds_an_altered_file(state: Path) -> None:
    backup = taken(state)
    path = backup.folder / "anchor.log"
    path.write_bytes(path.read_bytes().swapcase())
    found = drill(state / BACKUPS, signer_of(state), believed(state))
    assert (found.ok, found.name) == (False, backup.name)
    assert "anchor.log" in found.finding


def test_a_drill_finds_a_snapshot_that_says_otherwise_than_the_journal(state: Path) -> None:
    """Who can use the key can sign a snapshot that no journal leads to; the replay shows it."""
    from deployment.topology.house import run_key
    from mutable_core.journal import checked_rows

    journal = journals(state)[0]
    began = next(iter(checked_rows(journal))).envelope.body
    keep = {"build": began.build, "run": run_key(began)}
    found = Snapshots(journal.parent, signer_of(state), **keep).find(journal).snapshot
    assert found is not None
    agents = found.memory.agents | {"kyle": found.memory.agents["joey"]}
    forger = Snapshots(journal.parent, signer_of(state), **keep)
    assert forger.take(found.memory._replace(agents=agents), found.seq, found.head)
    taken(state)
    drilled = drill(state / BACKUPS, signer_of(state), believed(state))
    assert not drilled.ok
    assert "`kyle`" in drilled.finding


def test_one_drill_at_a_time(state: Path) -> None:
    taken(state)
    lock = os.open(state / BACKUPS / drills._LOCK, os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        with pytest.raises(StateInUse):
            drill(state / BACKUPS, signer_of(state), believed(state))
    finally:
        os.close(lock)


# -- the schedule -------------------------------------------------------------------------------------------------------


class Clock:
    """Wall and monotonic time, moved by hand."""

    def __init__(self) -> None:
        self.ns = 1_763_600_000 * SECOND_NS

    def __call__(self) -> int:
        return self.ns

    def pass_(self, ns: int) -> None:
        self.ns += ns


@pytest.fixture
def clock() -> Clock:
    return Clock()


def a_schedule(state: Path, clock: Callable[[], int], **changes: object) -> Schedule:
    return Schedule(state, signer_of(state), settings_for(state, **changes), wall=clock, monotonic=clock)


def test_the_first_backup_comes_some_minutes_after_the_start_and_then_one_in_each_interval(
    state: Path, clock: Clock
) -> None:
    schedule = a_schedule(state, clock)
    schedule.round()
    assert (names_on(state / BACKUPS), schedule.age_ns()) == ([], None)
    clock.pass_(FIRST_NS)
    schedule.round()
    assert len(names_on(state / BACKUPS)) == 1
    assert schedule.age_ns() == 0
    clock.pass_(HOUR_NS - SECOND_NS)
    schedule.round()
    assert len(names_on(state / BACKUPS)) == 1
    clock.pass_(SECOND_NS)
    schedule.round()
    assert len(names_on(state / BACKUPS)) == 2
    assert recorded(state, "backup")["name"] == names_on(state / BACKUPS)[0]


def test_a_backup_that_a_person_took_counts(state: Path, clock: Clock) -> None:
    schedule = a_schedule(state, clock)
    clock.pass_(FIRST_NS)
    take(state, signer_of(state), FOR_EVER, now=clock)
    clock.pass_(HOUR_NS // 2)
    schedule.round()
    assert len(names_on(state / BACKUPS)) == 1
    assert schedule.age_ns() == HOUR_NS // 2


def test_no_interval_takes_none_and_still_tells_the_age(state: Path, clock: Clock) -> None:
    schedule = a_schedule(state, clock, backup_every=0)
    take(state, signer_of(state), FOR_EVER, now=clock)
    clock.pass_(400 * DAY_NS)
    schedule.round()
    assert len(names_on(state / BACKUPS)) == 1
    assert schedule.age_ns() == 400 * DAY_NS


def test_a_failure_is_counted_and_tried_again_and_then_forgotten(state: Path, clock: Clock) -> None:
    schedule = a_schedule(state, clock)
    clock.pass_(FIRST_NS)
    with held(state / BACKUPS):
        schedule.round()
        schedule.round()
    assert (schedule.failures, schedule.age_ns()) == (1, None)
    assert schedule.failure
    clock.pass_(AGAIN_NS)
    schedule.round()
    assert (schedule.failures, schedule.failure, schedule.age_ns()) == (1, "", 0)


def test_a_backup_that_was_removed_is_not_young(state: Path, clock: Clock) -> None:
    """I10: the age is that of what is there, not of what was written down once."""
    schedule = a_schedule(state, clock)
    clock.pass_(FIRST_NS)
    schedule.round()
    shutil.rmtree(state / BACKUPS)
    schedule.look()
    assert schedule.age_ns() is None


def test_the_newest_drill_is_told_with_its_age(state: Path, clock: Clock) -> None:
    schedule = a_schedule(state, clock)
    schedule.look()
    assert schedule.drill_age_ns() is None
    record(state, "drill", {"at_ns": clock(), "ok": False})
    clock.pass_(HOUR_NS)
    schedule.look()
    assert (schedule.drill_age_ns(), schedule.drill_ok) == (HOUR_NS, False)


def test_it_runs_by_itself_and_ends_with_its_block(state: Path) -> None:
    schedule = Schedule(state, signer_of(state), settings_for(state, backup_every=1), first_ns=0)
    with schedule:
        eventually(lambda: schedule.newest_ns is not None, "a backup")
    assert schedule.failures == 0
    assert not [thread for thread in threading.enumerate() if thread.name == "backups"]
    assert names_on(state / BACKUPS)
    assert read(state / BACKUPS / names_on(state / BACKUPS)[0]).manifest == _manifest(state)


def _manifest(state: Path) -> Manifest:
    newest = newest_good(state / BACKUPS, believed(state))
    assert newest is not None
    assert newest.manifest is not None
    return newest.manifest
