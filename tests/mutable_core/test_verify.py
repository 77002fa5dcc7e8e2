"""Verification: every way to falsify a journal is found, and the first bad row is named."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from mutable_core.errors import JournalBroken, MalformedSource
from mutable_core.journal import Journal, chain, checked_rows, verify
from mutable_core.messages import SliceClosed, encode
from tests.makers import an_envelope

COMMITS = (3, 1, 4)  # rows 1–3, 4, 5–8
ROWS = [encode(an_envelope(SliceClosed(seq, seq), seq=seq)) for seq in range(1, 9)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    journal, rows = Journal.open(tmp_path / "journal.sqlite"), iter(ROWS)
    for size in COMMITS:
        for _ in range(size):
            journal.append(next(rows), 7)
        journal.commit()
    journal.close()
    return tmp_path / "journal.sqlite"


def rewrite(path: Path, first_seq: int, column: str, change: Callable[[bytes], bytes]) -> None:
    with sqlite3.connect(path) as db:
        where = (first_seq,)
        old = db.execute(f"SELECT {column} FROM segments WHERE first_seq = ?", where).fetchone()[0]
        new = change(old)
        assert new != old, "a falsification that changes nothing proves nothing"
        db.execute(f"UPDATE segments SET {column} = ? WHERE first_seq = ?", (new, first_seq))
    db.close()


def rewrite_rows(path: Path, first_seq: int, change: Callable[[list[bytes]], list[bytes]]) -> None:
    rewrite(path, first_seq, "rows", lambda rows: b"\n".join(change(rows.split(b"\n"))))


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_a_journal_as_it_was_written_is_whole(path: Path) -> None:
    report = verify(path)
    assert report[:5] == (True, 8, chain.head_after(chain.GENESIS, ROWS).hex(), None, "")
    checked = list(checked_rows(path))
    assert [one.row for one in checked] == ROWS
    assert [one.envelope.seq for one in checked] == list(range(1, 9))
    assert {one.stamp_ns for one in checked} == {7}


def test_an_empty_journal_is_whole(tmp_path: Path) -> None:
    Journal.open(tmp_path / "j").close()
    assert verify(tmp_path / "j")[:5] == (True, 0, chain.GENESIS.hex(), None, "")


@pytest.mark.parametrize(
    ("what", "first_seq", "change", "first_bad"),
    [
        ("one byte of row 6 altered", 5, lambda rows: [rows[0], flip(rows[1], 8), *rows[2:]], 6),
        ("row 1 altered", 1, lambda rows: [flip(rows[0], 8), *rows[1:]], 1),
        ("row 8 altered", 5, lambda rows: [*rows[:3], flip(rows[3], 8)], 8),
        ("row 6 missing", 5, lambda rows: [rows[0], *rows[2:]], 6),
        ("row 5 missing", 5, lambda rows: rows[1:], 5),
        ("row 8, the last, missing", 5, lambda rows: rows[:3], 8),
        ("row 3, the last of its segment, missing", 1, lambda rows: rows[:2], 3),
        ("rows 6 and 7 swapped", 5, lambda rows: [rows[0], rows[2], rows[1], rows[3]], 6),
        ("a row added after row 6", 5, lambda rows: [*rows[:2], ROWS[0], *rows[2:]], 7),
        ("a row added at the end of a segment", 1, lambda rows: [*rows, ROWS[3]], 4),
        ("row 7 said twice", 5, lambda rows: [*rows[:3], *rows[2:]], 8),
        ("an empty row added", 5, lambda rows: [*rows, b""], 9),
    ],
)
def test_a_change_of_the_rows_is_found_and_the_first_bad_row_is_named(
    path: Path, what: str, first_seq: int, change, first_bad: int
) -> None:
    rewrite_rows(path, first_seq, change)
    report = verify(path)
    assert (report.ok, report.first_bad_row) == (False, first_bad), report.finding


@pytest.mark.parametrize("at", range(32))
def test_every_altered_byte_of_the_marks_is_found(path: Path, at: int) -> None:
    rewrite(path, 5, "marks", lambda marks: flip(marks, at))
    assert (verify(path).ok, verify(path).first_bad_row) == (False, 5 + at // chain.MARK_BYTES)


@pytest.mark.parametrize("column", ["stamps", "head", "seal"])
@pytest.mark.parametrize("at", [0, 17, 31])
def test_every_altered_byte_beside_the_rows_is_found(path: Path, column: str, at: int) -> None:
    """No byte of a segment is unguarded; what does not belong to one row names its segment."""
    rewrite(path, 5, column, lambda value: flip(value, at))
    report = verify(path)
    assert not report.ok
    assert report.first_bad_row == 5


@pytest.mark.parametrize(
    ("what", "statement", "first_bad"),
    [
        ("the first segment is gone", "DELETE FROM segments WHERE first_seq = 1", 1),
        ("a segment in the middle is gone", "DELETE FROM segments WHERE first_seq = 4", 4),
        ("a segment stands where another stood", "UPDATE segments SET first_seq = 9 WHERE first_seq = 4", 4),
        ("a segment claims a row more", "UPDATE segments SET last_seq = 9 WHERE first_seq = 5", 5),
        (
            "a segment is told twice",
            "INSERT INTO segments SELECT 9, 12, rows, marks, stamps, head, seal FROM segments WHERE first_seq = 5",
            9,
        ),
    ],
)
def test_a_change_of_the_segments_is_found(path: Path, what: str, statement: str, first_bad: int) -> None:
    with sqlite3.connect(path) as db:
        assert db.execute(statement).rowcount == 1
    db.close()
    assert (verify(path).ok, verify(path).first_bad_row) == (False, first_bad)


def forge(path: Path, first_seq: int, rows: list[bytes]) -> None:
    """Replace a segment's rows and everything that can be computed from them, as a patient forger would."""
    hashes = chain.links(chain.head_after(chain.GENESIS, ROWS[: first_seq - 1]), chain.leaves(rows))
    last, stamps, head = first_seq + len(rows) - 1, bytes(8 * len(rows)), hashes[-1]
    blob, marks = b"\n".join(rows), chain.marks(hashes)
    with sqlite3.connect(path) as db:
        query = "SELECT seal FROM segments WHERE first_seq < ? ORDER BY first_seq DESC"
        (before,) = db.execute(query, (first_seq,)).fetchone() or (chain.NO_SEAL,)
        seal = chain.seal(before, first_seq, last, blob, marks, stamps, head)
        db.execute(
            "UPDATE segments SET last_seq = ?, rows = ?, marks = ?, stamps = ?, head = ?, seal = ? WHERE first_seq = ?",
            (last, blob, marks, stamps, head, seal, first_seq),
        )
    db.close()


def test_a_segment_forged_with_its_own_seal_breaks_the_chain_behind_it(path: Path) -> None:
    other = encode(an_envelope(SliceClosed(99, 2), seq=2))
    forge(path, 1, [ROWS[0], other, ROWS[2]])
    assert (verify(path).ok, verify(path).first_bad_row) == (False, 4)


@pytest.mark.parametrize(
    ("what", "row"),
    [
        ("is no message", b'{"seq":6}'),
        ("is another spelling of the message", ROWS[5].replace(b'"seq":6', b'"seq": 6')),
        ("says that it is another row", ROWS[6]),
    ],
)
def test_a_row_that_is_well_chained_and_no_canonical_message_is_found(path: Path, what: str, row: bytes) -> None:
    forge(path, 5, [ROWS[4], row, *ROWS[6:]])
    assert (verify(path).ok, verify(path).first_bad_row) == (False, 6)


def test_rows_before_the_first_bad_one_are_handed_out(path: Path) -> None:
    rewrite_rows(path, 5, lambda rows: [*rows[:2], flip(rows[2], 8), rows[3]])
    handed_out = []
    with pytest.raises(JournalBroken) as raised:
        handed_out.extend(one.row for one in checked_rows(path))
    assert raised.value.row == 7
    assert verify(path).rows == 6
    assert verify(path).head == chain.head_after(chain.GENESIS, ROWS[:6]).hex()


def test_one_flipped_byte_anywhere_in_the_file_is_never_called_whole_with_other_rows(path: Path) -> None:
    """The file may hold free space where a byte means nothing; but never another row under `ok`."""
    data, found = path.read_bytes(), 0
    for at in range(0, len(data), 37):
        path.write_bytes(flip(data, at))
        try:
            report = verify(path)
        except MalformedSource:
            found += 1
            continue
        found += not report.ok
        if report.ok:
            assert [one.row for one in checked_rows(path)] == ROWS
    assert found > 10


@pytest.mark.parametrize("content", [None, b""])
def test_what_is_no_journal_is_said_to_be_none(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "j"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MalformedSource):
        verify(path)


def test_verifying_changes_nothing_in_the_file(path: Path) -> None:
    before = path.read_bytes()
    verify(path)
    assert path.read_bytes() == before
