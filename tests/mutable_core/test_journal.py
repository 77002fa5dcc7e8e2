"""The journal: append, commit, reopen; nothing is durable that was not committed, nothing is taken after a failure."""

from __future__ import annotations

import sqlite3
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mutable_core.errors import DiskUnavailable, JournalBroken
from mutable_core.journal import Journal
from mutable_core.journal.chain import GENESIS

ROWS = [b'{"n":%d}' % number for number in range(12)]


def chained(rows: list[bytes]) -> bytes:
    """The head, as the docstring of the chain defines it, computed here by itself."""
    head = bytes(32)
    for row in rows:
        head = sha256(head + sha256(b"\0" + row).digest()).digest()
    return head


def filled(journal: Journal, rows: list[bytes], *, first_stamp: int = 100) -> Journal:
    for index, row in enumerate(rows):
        journal.append(row, first_stamp + index)
    return journal


def test_a_new_journal_is_empty_and_its_head_is_the_genesis() -> None:
    journal = Journal.in_memory()
    assert (journal.seq, journal.durable_seq, journal.pending, journal.head) == (0, 0, 0, GENESIS)
    assert list(journal.rows()) == []
    journal.close()


def test_an_appended_row_counts_at_once_and_is_durable_only_once_committed() -> None:
    """I3: effects wait for `durable_seq`, so it must not run ahead of the commit."""
    journal = filled(Journal.in_memory(), ROWS[:3])
    assert (journal.seq, journal.durable_seq, journal.pending) == (3, 0, 3)
    assert list(journal.rows()) == []
    journal.commit()
    assert (journal.seq, journal.durable_seq, journal.pending) == (3, 3, 0)
    assert list(journal.rows()) == ROWS[:3]
    journal.close()


def test_what_was_committed_can_be_read_by_another_connection(tmp_path: Path) -> None:
    journal = filled(Journal.open(tmp_path / "j"), ROWS[:2])
    journal.commit()
    with sqlite3.connect(f"file:{tmp_path / 'j'}?mode=ro", uri=True) as reader:
        assert reader.execute("SELECT last_seq FROM segments").fetchall() == [(2,)]
    reader.close()
    journal.close()


def test_every_commit_is_one_that_a_power_failure_leaves() -> None:
    """WAL with synchronous NORMAL is not durable at commit; FULL (2) is."""
    journal = Journal.open(Path(":memory:"))
    assert journal._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    journal.close()


@given(st.lists(st.integers(0, 4), max_size=12), st.lists(st.binary(min_size=1, max_size=20), max_size=12))
def test_head_and_rows_do_not_depend_on_how_rows_were_grouped(sizes: list[int], rows: list[bytes]) -> None:
    """The chain depends on the rows alone: any split into commits gives the same head and the same rows back."""
    rows = [row.replace(b"\n", b"-") for row in rows]  # a row is one line: canonical JSON holds no line break
    journal, left = Journal.in_memory(), list(rows)
    for size in sizes:
        filled(journal, left[:size])
        del left[:size]
        journal.commit()
    filled(journal, left).commit()
    assert journal.head == chained(rows)
    assert list(journal.rows()) == rows
    journal.close()


def test_the_head_covers_rows_that_are_not_durable_yet() -> None:
    journal = filled(Journal.in_memory(), ROWS[:4])
    assert journal.head == chained(ROWS[:4])
    filled(journal, ROWS[4:6])
    assert journal.head == chained(ROWS[:6])
    journal.close()


@pytest.mark.parametrize("cut", range(len(ROWS) + 1))
def test_reopening_continues_the_chain(tmp_path: Path, cut: int) -> None:
    first = filled(Journal.open(tmp_path / "j"), ROWS[:cut])
    first.commit()
    first.close()
    again = Journal.open(tmp_path / "j")
    assert (again.seq, again.durable_seq, again.head) == (cut, cut, chained(ROWS[:cut]))
    filled(again, ROWS[cut:]).commit()
    assert again.head == chained(ROWS)
    assert list(again.rows()) == ROWS
    again.close()


def test_an_uncommitted_tail_is_gone_after_reopening(tmp_path: Path) -> None:
    journal = filled(Journal.open(tmp_path / "j"), ROWS[:3])
    journal.commit()
    filled(journal, ROWS[3:7])
    journal.close()
    again = Journal.open(tmp_path / "j")
    assert (again.seq, again.head, list(again.rows())) == (3, chained(ROWS[:3]), ROWS[:3])
    again.close()


def test_a_commit_of_nothing_writes_nothing() -> None:
    journal = filled(Journal.in_memory(), ROWS[:1])
    journal.commit()
    calls: list[tuple[int, int, int]] = []
    journal.on_commit = lambda *call: calls.append(call)
    journal.commit()
    assert calls == []
    assert len(list(journal.segments())) == 1
    journal.close()


def test_whoever_watches_commits_hears_how_many_rows_were_made_durable() -> None:
    journal, calls = Journal.in_memory(), []
    journal.on_commit = lambda *call: calls.append((call, journal.durable_seq))
    for size in (3, 1, 5):
        filled(journal, ROWS[:size]).commit()
    assert [(rows, pending, durable) for (rows, _, pending), durable in calls] == [(3, 3, 3), (1, 1, 4), (5, 5, 9)]
    assert all(duration_ns > 0 for (_, duration_ns, _), _ in calls)
    journal.close()


def test_stamps_are_kept_row_by_row() -> None:
    """They explain latencies; they are not part of the chain."""
    journal = filled(Journal.in_memory(), ROWS[:3], first_stamp=-1)
    journal.commit()
    (segment,) = journal.segments()
    assert [int.from_bytes(segment.stamps[i : i + 8], "little", signed=True) for i in (0, 8, 16)] == [-1, 0, 1]
    assert segment.head == chained(ROWS[:3])
    journal.close()


# -- failures ---------------------------------------------------------------------------------------------------------


def a_full_disk(journal: Journal) -> None:
    pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
    journal._connection.execute(f"PRAGMA max_page_count = {pages}")


def a_closed_file(journal: Journal) -> None:
    journal._connection.close()


def a_read_only_file(journal: Journal) -> None:
    journal._connection.execute("PRAGMA query_only = 1")


@pytest.mark.parametrize("failing", [a_full_disk, a_closed_file, a_read_only_file])
def test_a_commit_that_fails_says_so_and_nothing_counts_as_durable(tmp_path: Path, failing) -> None:
    journal = filled(Journal.open(tmp_path / "j"), ROWS[:2])
    journal.commit()
    failing(journal)
    journal.append(b"x" * 100_000, 1)
    with pytest.raises(DiskUnavailable):
        journal.commit()
    assert (journal.durable_seq, journal.seq) == (2, 3)
    journal.close()
    again = Journal.open(tmp_path / "j")
    assert list(again.rows()) == ROWS[:2]
    again.close()


@pytest.mark.parametrize(
    ("failing", "healed"),
    [
        (a_full_disk, "PRAGMA max_page_count = 1000000"),
        (a_read_only_file, "PRAGMA query_only = 0"),
    ],
)
def test_after_a_failed_commit_nothing_is_taken_any_more_even_if_the_disk_is_well_again(
    tmp_path: Path, failing, healed: str
) -> None:
    """A failed fsync is never retried: the kernel may have dropped the pages that it failed to write."""
    journal = filled(Journal.open(tmp_path / "j"), ROWS[:2])
    journal.commit()
    failing(journal)
    journal.append(b"x" * 100_000, 1)
    with pytest.raises(DiskUnavailable):
        journal.commit()
    journal._connection.execute(healed)
    for _ in range(2):
        with pytest.raises(DiskUnavailable):
            journal.commit()
    assert journal.durable_seq == 2
    assert list(journal.rows()) == ROWS[:2]
    journal.close()


def test_a_failed_commit_is_told_to_nobody(tmp_path: Path) -> None:
    journal, calls = Journal.open(tmp_path / "j"), []
    journal.on_commit = lambda *call: calls.append(call)
    a_closed_file(filled(journal, ROWS[:1]))
    with pytest.raises(DiskUnavailable):
        journal.commit()
    assert calls == []


# -- what is no journal -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 3])
def test_a_journal_of_another_format_is_refused_and_left_as_it_is(tmp_path: Path, version: int) -> None:
    """Byte for byte: the build that wrote it must be able to go on."""
    with sqlite3.connect(tmp_path / "j") as other:
        other.execute("CREATE TABLE segments (first_seq INTEGER PRIMARY KEY)")
        other.execute(f"PRAGMA user_version = {version}")
    other.close()
    before = (tmp_path / "j").read_bytes()
    with pytest.raises(JournalBroken, match="format"):
        Journal.open(tmp_path / "j")
    assert (tmp_path / "j").read_bytes() == before
    assert list(tmp_path.iterdir()) == [tmp_path / "j"]


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    content = b"these are somebody's notes, not a journal\n" * 50
    (tmp_path / "j").write_bytes(content)
    with pytest.raises(JournalBroken):
        Journal.open(tmp_path / "j")
    assert (tmp_path / "j").read_bytes() == content


def test_a_database_of_the_right_format_without_segments_is_refused_in_our_words(tmp_path: Path) -> None:
    """Errors of this house tell the caller what to do; a bare `sqlite3.OperationalError` does not."""
    with sqlite3.connect(tmp_path / "j") as other:
        other.execute("PRAGMA user_version = 2")
    other.close()
    with pytest.raises(JournalBroken):
        Journal.open(tmp_path / "j").close()


def test_a_folder_that_is_not_there_is_a_disk_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(DiskUnavailable):
        Journal.open(tmp_path / "nowhere" / "j")
