"""Migrations: a store of an older build becomes exactly what this build would have written, and goes back byte for byte."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mutable_core.errors import ArkError, DiskUnavailable, JournalBroken, SettingsRefused
from mutable_core.journal import Journal, checked_rows, verify
from mutable_core.journal.signing import Signer
from mutable_core.journal.store import FORMAT
from mutable_core.migrations import FIRST, MIGRATIONS, NEWEST, Migration, format_of, migrate
from mutable_core.state import schema
from mutable_core.state_manager import StateManager
from tests.mutable_core.old_journals import NAMES, contents, unpacked, written_1

JOURNAL = [one for one in MIGRATIONS if one.store == "journal"]


def test_the_register_leads_from_the_first_format_to_the_one_that_this_build_writes() -> None:
    assert {"journal": FORMAT, "state": schema.FORMAT} == NEWEST
    for store, newest in NEWEST.items():
        numbers = [one.number for one in MIGRATIONS if one.store == store]
        assert numbers == list(range(FIRST[store] + 1, newest + 1))


def test_the_corpus_is_there() -> None:
    assert len(NAMES) == 4


@pytest.mark.parametrize("name", NAMES)
def test_a_journal_of_an_older_build_goes_up_and_back_as_it_was(tmp_path: Path, name: str) -> None:
    path = unpacked(name, tmp_path / "journal.sqlite")
    before = contents(path)
    assert migrate(path, JOURNAL, 2).before == 1
    up = contents(path)
    assert up["format"] == 2
    assert [(row[0], row[1], row[2], row[4]) for row in up["segments"][1]] == [
        (row[0], row[1], row[2], row[4]) for row in before["segments"][1]
    ]
    report = verify(path, deep=True)
    assert report.finding == ""
    assert sum(1 for _ in checked_rows(path)) == report.rows
    migrate(path, JOURNAL, 1)
    down = contents(path)
    assert down.pop("checkpoints")[1] == []
    assert down == before


@pytest.mark.parametrize("name", NAMES)
def test_a_journal_that_went_up_goes_on(tmp_path: Path, name: str) -> None:
    path = unpacked(name, tmp_path / "journal.sqlite")
    migrate(path, JOURNAL, 2)
    journal = Journal.open(path)
    rows = journal.seq
    journal.append(b"one more", 5)
    journal.commit()
    journal.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT max(last_seq) FROM segments").fetchone() == (rows + 1,)
    assert "no message" in verify(path).finding  # its place in the chain is right, and it is none of ours


rows_of_a_segment = st.lists(
    st.tuples(st.binary(max_size=40).filter(lambda row: b"\n" not in row), st.integers(-(2**63), 2**63 - 1)),
    min_size=1,
    max_size=6,
)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(segments=st.lists(rows_of_a_segment, max_size=6))
def test_up_gives_what_this_build_would_have_written_and_down_what_was_there(
    tmp_path: Path, segments: list[list[tuple[bytes, int]]]
) -> None:
    for path in tmp_path.iterdir():
        path.unlink()
    old = written_1(tmp_path / "old.sqlite", segments)
    before = contents(old)
    journal = Journal.open(tmp_path / "new.sqlite")
    for segment in segments:
        for row, stamp in segment:
            journal.append(row, stamp)
        journal.commit()
    journal.close()
    migrate(old, JOURNAL, 2)
    new = contents(tmp_path / "new.sqlite")
    up = contents(old)
    assert up["segments"][1] == new["segments"][1]
    assert up["checkpoints"] == new["checkpoints"]
    assert up["format"] == new["format"]
    migrate(old, JOURNAL, 1)
    down = contents(old)
    assert (down["format"], down["segments"]) == (before["format"], before["segments"])


def test_what_was_signed_stays_where_it_is_on_the_way_back_and_holds_when_it_comes_up_again(tmp_path: Path) -> None:
    state = tmp_path / "state"
    path = unpacked(NAMES[-1], state / "run" / "journal.sqlite")
    migrate(path, JOURNAL, 2)
    journal = Journal.open(path, Signer.open(state / "keys"))
    journal.checkpoint()
    journal.close()
    signed = contents(path)
    migrate(path, JOURNAL, 1)
    migrate(path, JOURNAL, 2)
    assert contents(path) == signed
    report = verify(path, deep=True)
    assert (report.ok, report.checkpoints, report.signed_rows) == (True, 1, report.rows)


DAMAGE = {
    "a row": "UPDATE segments SET rows = CAST(replace(rows, 'kyle', 'kylf') AS BLOB)",
    "a mark": "UPDATE segments SET marks = zeroblob(length(marks))",
    "a stamp": "UPDATE segments SET stamps = zeroblob(length(stamps))",
    "a head": "UPDATE segments SET head = zeroblob(32)",
    "a seal": "UPDATE segments SET seal = zeroblob(32)",
    "a position": "UPDATE segments SET last_seq = last_seq + 1 WHERE first_seq = (SELECT max(first_seq) FROM segments)",
    "a segment is gone": "DELETE FROM segments WHERE first_seq = 1",
    "stamps are cut": "UPDATE segments SET stamps = substr(stamps, 9)",
}


@pytest.mark.parametrize("format_", [1, 2])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_journal_is_not_migrated_and_stays_as_it_is(tmp_path: Path, damage: str, format_: int) -> None:
    path = unpacked("journal-1-synthetic-2000.sqlite", tmp_path / "journal.sqlite")
    migrate(path, JOURNAL, format_)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(DAMAGE[damage])
    before = contents(path)
    with pytest.raises(JournalBroken) as raised:
        migrate(path, JOURNAL, 3 - format_)
    assert 1 <= raised.value.row <= 3_586
    assert contents(path) == before


def test_the_row_that_was_altered_is_named(tmp_path: Path) -> None:
    path = written_1(tmp_path / "journal.sqlite", [[(b"one", 1), (b"two", 2)], [(b"three", 3), (b"four", 4)]])
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE segments SET rows = ? WHERE first_seq = 3", (b"three\nfive",))
    with pytest.raises(JournalBroken, match="row 4 is not"):
        migrate(path, JOURNAL, 2)


def test_all_steps_or_none(tmp_path: Path) -> None:
    """A second step that fails takes the first one back."""
    path = unpacked(NAMES[-1], tmp_path / "journal.sqlite")
    before = contents(path)

    def breaks(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE half (one)")
        raise sqlite3.OperationalError("disk I/O error")

    third = Migration("journal", 3, "breaks", breaks, breaks)
    with pytest.raises(DiskUnavailable):
        migrate(path, [*JOURNAL, third], 3)
    assert contents(path) == before


def test_a_format_that_no_migration_leads_to_is_refused(tmp_path: Path) -> None:
    path = unpacked(NAMES[-1], tmp_path / "journal.sqlite")
    before = path.read_bytes()
    for to in (0, 3):
        with pytest.raises(SettingsRefused, match="no migration"):
            migrate(path, JOURNAL, to)
    assert contents(path)["format"] == 1
    assert path.read_bytes() == before


# -- a newer build was here ---------------------------------------------------------------------------------------------


def newer(path: Path) -> dict[str, bytes]:
    """The store as a newer build would leave it; returns every byte in its folder."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    return bytes_in(path.parent)


def bytes_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_newer_journal_is_refused_with_one_line_and_not_touched(tmp_path: Path) -> None:
    path = unpacked(NAMES[-1], tmp_path / "journal.sqlite")
    migrate(path, JOURNAL, 2)
    before = newer(path)
    with pytest.raises(JournalBroken, match="99") as raised:
        Journal.open(path)
    assert "\n" not in str(raised.value)
    report = verify(path)
    assert not report.ok
    assert "99" in report.finding
    with pytest.raises(SettingsRefused):
        migrate(path, JOURNAL, 2)
    assert bytes_in(tmp_path) == before


def test_a_newer_state_store_is_refused_with_one_line_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    StateManager.open(path).close()
    before = newer(path)
    for door in (StateManager.open, StateManager.open_read_only):
        with pytest.raises(ArkError, match="99") as raised:
            door(path)
        assert "\n" not in str(raised.value)
    assert bytes_in(tmp_path) == before


def test_an_older_journal_is_refused_and_told_the_way_up(tmp_path: Path) -> None:
    path = unpacked(NAMES[-1], tmp_path / "journal.sqlite")
    before = bytes_in(tmp_path)
    with pytest.raises(JournalBroken, match="ark upgrade"):
        Journal.open(path)
    assert format_of(path) == 1
    assert bytes_in(tmp_path) == before
