"""A journal that was altered after it was written is found out, and the first bad row is named.

The last segments removed from the file, and a whole chain written anew, are found by signed checkpoints:
`tests/mutable_core/test_checkpoints.py`. (`tests/deployment/test_replay.py` shows that a replay finds the latter too.)
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from mutable_core.errors import MalformedSource
from mutable_core.journal import chain, verify
from tests.faults.processes import LOADED, POWERLESS, ark, bars_file, journal_of, one_line, said

pytestmark = pytest.mark.faults

COLUMNS = ("first_seq", "last_seq", "rows", "marks", "stamps", "head", "seal")


class Segment(NamedTuple):
    first_seq: Any
    last_seq: Any
    rows: Any
    marks: Any
    stamps: Any
    head: Any
    seal: Any

    @property
    def lines(self) -> list[bytes]:
        return list(self.rows.split(b"\n"))


class Whole(NamedTuple):
    """A journal as it was written: one file."""

    path: Path
    data: bytes
    segments: tuple[Segment, ...]

    def a_segment(self, lines_min: int = 4) -> Segment:
        """One in the middle, of several rows."""
        return next(one for one in self.segments[len(self.segments) // 2 :] if len(one.lines) >= lines_min)


def segments_in(path: Path) -> tuple[Segment, ...]:
    connection = sqlite3.connect(path)
    try:
        query = f"SELECT {', '.join(COLUMNS)} FROM segments ORDER BY first_seq"
        return tuple(Segment(*row) for row in connection.execute(query))
    finally:
        connection.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder = tmp_path_factory.mktemp("whole")
    source = f"file:{bars_file(folder / 'bars.csv', days=12)}"
    ran = ark("run", "--until-end", "--json", "--source", source, "--state", str(folder / "state"), env=LOADED)
    assert ran.returncode == 0, ran.stderr
    copy = folder / "whole.sqlite"
    shutil.copyfile(journal_of(folder / "state"), copy)
    segments = segments_in(copy)
    report = verify(copy)
    assert report.ok
    assert report.rows == segments[-1].last_seq == said(ran)["journal_rows"]
    return Whole(copy, copy.read_bytes(), segments)


def written(path: Path, data: bytes) -> Path:
    """These bytes as a file without a WAL beside it."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.write_bytes(data)
    return path


def changed(whole: Whole, path: Path, *statements: tuple[str, tuple[Any, ...]]) -> Path:
    """A copy in which SQL did something, folded into one file."""
    written(path, whole.data)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for statement, values in statements:
            connection.execute(statement, values)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()
    return path


def with_segment(whole: Whole, path: Path, old: Segment, **values: Any) -> Path:
    """A copy in which one segment has other values."""
    sets = ", ".join(f"{name} = ?" for name in values)
    return changed(whole, path, (f"UPDATE segments SET {sets} WHERE first_seq = ?", (*values.values(), old.first_seq)))


def flipped(data: bytes, position: int, bit: int = 0) -> bytes:
    return data[:position] + bytes([data[position] ^ 1 << bit]) + data[position + 1 :]


def assert_found(path: Path, row: int) -> None:
    report = verify(path)
    assert not report.ok
    assert report.first_bad_row == row, report.finding
    assert path.name in report.finding


# -- one thing altered, the row known -------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_a_byte_altered_inside_a_row(whole: Whole, tmp_path: Path, place: str) -> None:
    segment = whole.a_segment()
    index = {"first": 0, "middle": len(segment.lines) // 2, "last": len(segment.lines) - 1}[place]
    start = sum(len(line) + 1 for line in segment.lines[:index])
    rows = flipped(segment.rows, start + len(segment.lines[index]) // 2)
    assert_found(with_segment(whole, tmp_path / "j", segment, rows=rows), segment.first_seq + index)


def test_a_byte_altered_in_every_row_of_the_file(whole: Whole, tmp_path: Path) -> None:
    """No row is special. The file is altered in place: each row's text is in it once."""
    tried = 0
    for segment in whole.segments:
        for index, line in enumerate(segment.lines):
            needle = line[:120]
            if whole.data.count(needle) == 1:
                tried += 1
                at = whole.data.index(needle) + 100
                assert_found(written(tmp_path / "j", flipped(whole.data, at)), segment.first_seq + index)
    assert tried > 100


def test_a_mark_altered(whole: Whole, tmp_path: Path) -> None:
    segment = whole.a_segment()
    marks = flipped(segment.marks, 2 * chain.MARK_BYTES + 3)
    assert_found(with_segment(whole, tmp_path / "j", segment, marks=marks), segment.first_seq + 2)


@pytest.mark.parametrize("column", ["stamps", "head", "seal"])
def test_what_belongs_to_a_whole_segment_altered(whole: Whole, tmp_path: Path, column: str) -> None:
    """Only the segment's seal guards these, so the segment's first row is named."""
    segment = whole.a_segment()
    value = flipped(getattr(segment, column), 13)
    assert_found(with_segment(whole, tmp_path / "j", segment, **{column: value}), segment.first_seq)


@pytest.mark.parametrize("delta", [-1, 1])
def test_a_segments_end_altered(whole: Whole, tmp_path: Path, delta: int) -> None:
    segment = whole.a_segment()
    path = with_segment(whole, tmp_path / "j", segment, last_seq=segment.last_seq + delta)
    report = verify(path)
    assert not report.ok
    assert report.first_bad_row in range(segment.first_seq, segment.last_seq + 2)


def test_two_rows_swapped(whole: Whole, tmp_path: Path) -> None:
    segment = whole.a_segment()
    lines = segment.lines
    lines[1], lines[3] = lines[3], lines[1]
    assert_found(with_segment(whole, tmp_path / "j", segment, rows=b"\n".join(lines)), segment.first_seq + 1)


def test_two_rows_swapped_with_their_marks(whole: Whole, tmp_path: Path) -> None:
    segment = whole.a_segment()
    lines, size = segment.lines, chain.MARK_BYTES
    marks = [segment.marks[at : at + size] for at in range(0, len(segment.marks), size)]
    lines[0], lines[2], marks[0], marks[2] = lines[2], lines[0], marks[2], marks[0]
    path = with_segment(whole, tmp_path / "j", segment, rows=b"\n".join(lines), marks=b"".join(marks))
    assert_found(path, segment.first_seq)


def test_two_segments_swapped(whole: Whole, tmp_path: Path) -> None:
    """Each stands where the other stood, numbers and all."""
    at = len(whole.segments) // 2
    one, other = whole.segments[at], whole.segments[at + 1]
    update = "UPDATE segments SET rows = ?, marks = ?, stamps = ?, head = ?, seal = ? WHERE first_seq = ?"
    path = changed(whole, tmp_path / "j", (update, (*other[2:], one.first_seq)), (update, (*one[2:], other.first_seq)))
    assert_found(path, one.first_seq)


@pytest.mark.parametrize("at", [0, 1, -2])
def test_a_segment_deleted(whole: Whole, tmp_path: Path, at: int) -> None:
    segment = whole.segments[at]
    path = changed(whole, tmp_path / "j", ("DELETE FROM segments WHERE first_seq = ?", (segment.first_seq,)))
    assert_found(path, segment.first_seq)


def test_every_segment_deleted_but_the_last(whole: Whole, tmp_path: Path) -> None:
    last = whole.segments[-1].first_seq
    assert_found(changed(whole, tmp_path / "j", ("DELETE FROM segments WHERE first_seq < ?", (last,))), 1)


def test_a_row_removed_from_a_segment(whole: Whole, tmp_path: Path) -> None:
    segment = whole.a_segment()
    rows = b"\n".join(segment.lines[:1] + segment.lines[2:])
    assert_found(with_segment(whole, tmp_path / "j", segment, rows=rows), segment.first_seq + 1)


def test_the_tail_of_a_segment_cut(whole: Whole, tmp_path: Path) -> None:
    """The rows before the cut are what was written: the first that is not there is the first bad one."""
    segment = whole.a_segment()
    rows = b"\n".join(segment.lines[:-2])
    assert_found(with_segment(whole, tmp_path / "j", segment, rows=rows), segment.last_seq - 1)


def test_the_tail_of_a_segment_cut_with_everything_beside_it(whole: Whole, tmp_path: Path) -> None:
    """The segment is whole in itself; what follows it is not its continuation."""
    segment = whole.a_segment()
    before = whole.segments[whole.segments.index(segment) - 1]
    lines, last = segment.lines[:-2], segment.last_seq - 2
    hashes = chain.links(before.head, chain.leaves(lines))
    blob, marks, stamps, head = b"\n".join(lines), chain.marks(hashes), segment.stamps[:-16], hashes[-1]
    path = with_segment(
        whole, tmp_path / "j", segment, last_seq=last, rows=blob, marks=marks, stamps=stamps, head=head,
        seal=chain.seal(before.seal, segment.first_seq, last, blob, marks, stamps, head),
    )  # fmt: skip
    assert_found(path, last + 1)


def test_a_row_cut_in_half(whole: Whole, tmp_path: Path) -> None:
    segment = whole.a_segment()
    assert_found(with_segment(whole, tmp_path / "j", segment, rows=segment.rows[:-40]), segment.last_seq)


def test_a_row_added_to_a_segment(whole: Whole, tmp_path: Path) -> None:
    segment = whole.a_segment()
    rows = segment.rows + b"\n" + segment.lines[-1]
    assert_found(with_segment(whole, tmp_path / "j", segment, rows=rows), segment.last_seq + 1)


def test_a_segment_duplicated_at_the_end(whole: Whole, tmp_path: Path) -> None:
    segment, last = whole.a_segment(), whole.segments[-1].last_seq
    count = segment.last_seq - segment.first_seq
    insert = f"INSERT INTO segments ({', '.join(COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?, ?)"
    path = changed(whole, tmp_path / "j", (insert, (last + 1, last + 1 + count, *segment[2:])))
    assert_found(path, last + 1)


def test_a_segment_duplicated_in_between(whole: Whole, tmp_path: Path) -> None:
    """Its number lies inside itself: between two rows that follow each other, where nothing can be."""
    segment = whole.a_segment()
    insert = f"INSERT INTO segments ({', '.join(COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?, ?)"
    path = changed(whole, tmp_path / "j", (insert, (segment.first_seq + 1, segment.last_seq, *segment[2:])))
    assert_found(path, segment.last_seq + 1)


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("value", [None, "text", 9, 2.5, b"", b"\xff\x00", "2"], ids=repr)
def test_a_column_of_another_type(whole: Whole, tmp_path: Path, column: str, value: Any) -> None:
    """A forged file need not keep our types. It is found, whatever stands there; nothing raises."""
    path = written(tmp_path / "j", whole.data)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE loose (first_seq, last_seq, rows, marks, stamps, head, seal)")
    connection.execute("INSERT INTO loose SELECT * FROM segments")
    connection.execute("DROP TABLE segments")
    connection.execute("ALTER TABLE loose RENAME TO segments")
    connection.execute(f"UPDATE segments SET {column} = ? WHERE first_seq = 1", (value,))
    connection.close()
    report = verify(path)
    assert not report.ok
    assert report.first_bad_row is not None
    assert 1 <= report.first_bad_row <= whole.segments[0].last_seq + 1


def test_rows_stored_as_text_instead_of_bytes(whole: Whole, tmp_path: Path) -> None:
    """One bit in a record's header tells SQLite so; the bytes are the same."""
    segment = whole.a_segment()
    path = with_segment(whole, tmp_path / "probe", segment, seal=segment.seal)
    path = written(tmp_path / "j", whole.data)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("UPDATE sqlite_master SET sql = replace(sql, 'STRICT', '') WHERE name = 'segments'")
    connection.close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("UPDATE segments SET rows = CAST(rows AS TEXT) WHERE first_seq = ?", (segment.first_seq,))
    connection.close()
    report = verify(path)
    assert not report.ok
    assert report.first_bad_row == segment.first_seq


# -- anything altered, anywhere -------------------------------------------------------------------------------------


def expected_rows(whole: Whole, path: Path) -> range | None:
    """Where the first bad row may be said to be; None where what a reader gets is what was written.

    A row or mark that differs is exact. What belongs to a whole segment, or to SQLite, is bounded.
    """
    try:
        now = segments_in(path)
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return range(1, whole.segments[-1].last_seq + 2)
    if now == whole.segments:
        return None
    for is_one, was in zip((*now, None), (*whole.segments, None), strict=False):
        if is_one == was or was is None:
            continue
        if is_one is None or is_one.first_seq != was.first_seq or not isinstance(is_one.rows, bytes):
            return range(was.first_seq, was.last_seq + 2)
        for index, (row, old) in enumerate(zip(is_one.lines, was.lines, strict=False)):
            if row != old:
                first = index if is_one.marks == was.marks else 0  # a broken page can take marks of earlier rows along
                return range(was.first_seq + first, was.first_seq + index + 1)
        return range(was.first_seq, was.last_seq + 2)
    return range(whole.segments[-1].last_seq + 1, whole.segments[-1].last_seq + 2)


def assert_found_or_harmless(whole: Whole, path: Path, where: str) -> bool:
    """True where it was found."""
    report = verify(path)
    expected = expected_rows(whole, written(path, path.read_bytes()))
    if report.ok:
        assert expected is None, where
        assert report.head == whole.segments[-1].head.hex(), where
        return False
    assert report.first_bad_row is not None
    if expected is not None:
        assert report.first_bad_row in expected, (where, report.finding)
    assert "\n" not in report.finding
    return True


def flips(whole: Whole, path: Path, *, seed: int, count: int) -> int:
    """One bit flipped at each of `count` seeded places, one copy each. Returns how many were found."""
    chance = Random(seed)
    found = 0
    for _ in range(count):
        at, bit = chance.randrange(len(whole.data)), chance.randrange(8)
        written(path, flipped(whole.data, at, bit))
        found += assert_found_or_harmless(whole, path, f"byte {at} bit {bit}")
    return found


@pytest.mark.parametrize("seed", range(4))
def test_any_byte_flipped_is_found_or_changes_nothing_that_is_read(whole: Whole, tmp_path: Path, seed: int) -> None:
    """Most bytes are rows; the rest is SQLite's: free space, counters and what `integrity_check` looks at."""
    assert flips(whole, tmp_path / "j", seed=seed, count=100) >= 50


@pytest.mark.parametrize("seed", range(2))
def test_any_byte_of_sqlites_own_flipped_is_found_or_harmless(whole: Whole, tmp_path: Path, seed: int) -> None:
    """The file's header, the schema, and the first bytes of every page: where a flip hurts a reader most."""
    chance = Random(seed)
    pages = len(whole.data) // 4096
    for _ in range(120):
        at = chance.randrange(pages) * 4096 + chance.randrange(16) if chance.random() < 0.5 else chance.randrange(600)
        bit = chance.randrange(8)
        written(tmp_path / "j", flipped(whole.data, at, bit))
        assert_found_or_harmless(whole, tmp_path / "j", f"byte {at} bit {bit}")


def test_the_record_headers_flipped_are_found_or_harmless(whole: Whole, tmp_path: Path) -> None:
    """Where SQLite keeps each column's type and length: a flip there can turn bytes into text or numbers."""
    tried = 0
    for segment in whole.segments[:: max(1, len(whole.segments) // 12)]:
        start = whole.data.find(segment.lines[0][:60])
        if start < 16:
            continue
        for at in range(start - 16, start):
            tried += 1
            written(tmp_path / "j", flipped(whole.data, at, tried % 8))
            assert_found_or_harmless(whole, tmp_path / "j", f"byte {at} bit {tried % 8}")
    assert tried > 50


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(100, 110))
def test_very_many_bytes_flipped_are_found_or_harmless(whole: Whole, tmp_path: Path, seed: int) -> None:
    assert flips(whole, tmp_path / "j", seed=seed, count=2_000) >= 1_000


def test_a_file_cut_anywhere_is_found(whole: Whole, tmp_path: Path) -> None:
    chance = Random(9)
    for size in [1, 15, 16, 99, 100, 4095, 4096, 4097, *(chance.randrange(len(whole.data)) for _ in range(30))]:
        try:
            report = verify(written(tmp_path / "j", whole.data[:size]))
        except MalformedSource:
            assert size < 4096  # what is left is no database yet
            continue
        assert not report.ok
        assert report.first_bad_row is not None


# -- the command line says it ---------------------------------------------------------------------------------------


def test_the_command_names_the_row_and_its_exit_code_is_1(whole: Whole, tmp_path: Path) -> None:
    segment = whole.a_segment()
    path = with_segment(whole, tmp_path / "j", segment, rows=flipped(segment.rows, 30))
    ran = ark("verify", str(path), "--json")
    assert ran.returncode == 1
    assert ran.stderr == ""
    answer = said(ran)
    assert answer["ok"] is False
    assert answer["first_bad_row"] == segment.first_seq
    told = ark("verify", str(path))
    assert told.returncode == 1
    assert str(segment.first_seq) in told.stdout


@pytest.mark.parametrize("command", ["verify", "replay", "why"])
@pytest.mark.parametrize("seed", range(3))
def test_no_command_shows_a_traceback_over_a_broken_journal(
    whole: Whole, tmp_path: Path, command: str, seed: int
) -> None:
    """Ten damages at once, and cut short: one line or one answer, exit code 1 or 2, in any case an end."""
    chance = Random(seed)
    data = whole.data[: chance.randrange(len(whole.data) // 2, len(whole.data))]
    for _ in range(10):
        data = flipped(data, chance.randrange(100, len(data)))
    path = written(tmp_path / "journal.sqlite", data)
    middle = whole.a_segment()
    arguments = {"verify": [str(path)], "replay": [str(path)], "why": [str(middle.first_seq), "--journal", str(path)]}
    ran = ark(command, *arguments[command], "--json")
    assert ran.returncode in (0, 1, 2) if command == "why" else ran.returncode == 1
    assert "Traceback" not in ran.stderr
    assert len(ran.stderr.splitlines()) <= 1


NO_JOURNALS: dict[str, Callable[[Path, Whole], object]] = {
    "truncated": lambda path, whole: path.write_bytes(whole.data[: len(whole.data) // 3]),
    "half a page": lambda path, whole: path.write_bytes(whole.data[:2000]),
    "empty": lambda path, _: path.write_bytes(b""),
    "text": lambda path, _: path.write_text("date,symbol,open\n2020-01-01,A,1\n" * 200),
    "another database": lambda path, _: _another_database(path, "CREATE TABLE prices (at, price)"),
    "a namesake table": lambda path, _: _another_database(path, "CREATE TABLE segments (first_seq, price)"),
    "a namesake view": lambda path, _: _another_database(path, "CREATE VIEW segments AS SELECT 1 AS first_seq"),
    "an empty folder": lambda path, _: path.mkdir(),
    "nothing": lambda path, _: None,
}


def _another_database(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


@pytest.mark.parametrize("command", ["verify", "replay"])
@pytest.mark.parametrize("what", NO_JOURNALS)
def test_what_is_no_journal_gets_one_line(whole: Whole, tmp_path: Path, what: str, command: str) -> None:
    path = tmp_path / "journal"
    NO_JOURNALS[what](path, whole)
    ran = ark(command, str(path))
    assert ran.returncode in (1, 2)
    lines = (ran.stdout + ran.stderr).splitlines()
    assert len(lines) == 1, lines
    if ran.returncode == 2 or command == "replay":
        one_line(ran)
    assert path.name in lines[0]


def test_a_journal_that_may_not_be_written_can_be_verified(whole: Whole, powerless: Path) -> None:
    """Evidence is read from places where a reader may leave no trace: a read-only folder, another's file."""
    copy = written(powerless / "journal.sqlite", whole.data)
    copy.chmod(0o444)
    powerless.chmod(0o555)
    ran = ark("verify", str(copy), "--json", before=POWERLESS)
    assert ran.returncode == 0, ran.stderr + ran.stdout
    assert list(powerless.iterdir()) == [copy]


def test_verifying_leaves_the_folder_as_it_was(whole: Whole, tmp_path: Path) -> None:
    copy = written(tmp_path / "journal.sqlite", whole.data)
    assert verify(copy).ok
    assert list(tmp_path.iterdir()) == [copy]
    assert copy.read_bytes() == whole.data
