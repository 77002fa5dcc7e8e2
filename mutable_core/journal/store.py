"""The journal on disk: append-only segments in SQLite (WAL, synchronous=FULL), one per group commit.

A segment is a run of rows (canonical JSON, one a line), the chain's head after them, a mark per row, and a time stamp
per row. Stamps say when the bus sequenced a row (ns, monotonic clock of that boot): they explain latencies, are not
part of the chain, and a replay does not reproduce them.
"""

from __future__ import annotations

import sqlite3
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import sqlite_utils

from mutable_core.errors import DiskUnavailable, JournalBroken, MalformedSource
from mutable_core.journal import chain

FORMAT = 1
_CHECKPOINT_PAGES = 4_000  # about 16 MB of WAL between checkpoints; the default of 1 000 shows in the tail latency

Committed = Callable[[int, int, int], None]
"""Called after each commit with rows, duration in ns, and rows that were pending before it."""
Durable = Callable[[int, list[bytes], bytes], None]


_COLUMN_TYPES = [int, int, bytes, bytes, bytes, bytes, bytes]


class Segment(NamedTuple):
    first_seq: int
    last_seq: int
    rows: list[bytes]
    marks: bytes
    stamps: bytes
    head: bytes
    seal: bytes


def _no_one(_rows: int, _duration_ns: int, _pending: int) -> None:
    return None


def _nobody(_first: int, _rows: list[bytes], _head: bytes) -> None:
    return None


class Journal:
    """Appends rows; `commit` makes them durable.

    Attributes:
        on_commit: told after each commit: rows, how long it took (ns), how many had waited.
        on_durable: told after each commit: position of its first row, the rows, the chain's head after the last.
        seq: position of the last appended row; 0 when empty.
        durable_seq: position of the last row that a power failure leaves on the disk.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, head: bytes, seq: int) -> None:
        self.path = path
        self.seq = self.durable_seq = seq
        self.on_commit: Committed = _no_one
        self.on_durable: Durable = _nobody
        self._connection = connection
        self._head = head
        self._rows: list[bytes] = []
        self._stamps = array("q")
        self._failed = ""

    @classmethod
    def open(cls, path: Path) -> Journal:
        """The journal at `path`, made if it is not there.

        Raises:
            DiskUnavailable: the folder cannot be written.
            JournalBroken: the file is no journal, or of another format.
        """
        try:
            connection = _connect(path)
            _create(connection)
        except sqlite3.DatabaseError as error:
            raise _disk_error(error, path) from error
        last = connection.execute("SELECT last_seq, head FROM segments ORDER BY first_seq DESC LIMIT 1").fetchone()
        return cls(connection, path, last[1] if last else chain.GENESIS, last[0] if last else 0)

    @classmethod
    def in_memory(cls) -> Journal:
        """A journal that is gone with the process: for replays and tests of agents."""
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        _create(connection)
        return cls(connection, Path(":memory:"), chain.GENESIS, 0)

    @property
    def head(self) -> bytes:
        """The chain's head after every row appended so far, durable or not. 32 bytes."""
        return self._link()

    @property
    def pending(self) -> int:
        return self.seq - self.durable_seq

    def append(self, row: bytes, stamp_ns: int) -> None:
        """Take one row; it is not durable before `commit`.

        Raises:
            DiskUnavailable: a commit failed before.
        """
        if self._failed:
            raise DiskUnavailable("the journal failed before and takes nothing more", where=self._failed)
        self._rows.append(row)
        self._stamps.append(stamp_ns)
        self.seq += 1

    def _link(self) -> bytes:
        return self._head if not self._rows else chain.links(self._head, self._rows)[-1]

    def commit(self) -> None:
        """Return when everything appended so far survives a power failure.

        Raises:
            DiskUnavailable: it does not. The journal takes nothing more: a failed fsync is never retried, since
                the kernel may have dropped the pages that it failed to write.
        """
        if self._failed:
            raise DiskUnavailable("the journal failed before and takes nothing more", where=self._failed)
        if not self._rows:
            return
        began, rows, pending = time.perf_counter_ns(), self._rows, self.pending
        hashes = chain.links(self._head, rows)
        first, last, head = self.durable_seq + 1, self.seq, hashes[-1]
        marks = b"".join([h[: chain.MARK_BYTES] for h in hashes])
        stamps = self._stamps.tobytes()
        try:
            self._connection.execute(
                "INSERT INTO segments (first_seq, last_seq, rows, marks, stamps, head, seal) VALUES (?,?,?,?,?,?,?)",
                (first, last, b"\n".join(rows), marks, stamps, head, chain.seal(first, last, marks, stamps, head)),
            )
        except sqlite3.Error as error:
            self._failed = str(self.path.name)
            raise _disk_error(error, self.path) from error
        self._head, self.durable_seq = head, last
        self._rows, self._stamps = [], array("q")
        self.on_durable(first, rows, head)
        self.on_commit(len(rows), time.perf_counter_ns() - began, pending)

    def segments(self) -> Iterator[Segment]:
        """Durable segments in order, unchecked; `verify.py` checks."""
        return read_segments(self._connection)

    def rows(self) -> Iterator[bytes]:
        """Durable rows in order, unchecked."""
        for segment in self.segments():
            yield from segment.rows

    def rows_backwards(self) -> Iterator[bytes]:
        """Durable rows from the last to the first, unchecked."""
        for (rows,) in self._connection.execute("SELECT rows FROM segments ORDER BY first_seq DESC"):
            yield from reversed(rows.split(b"\n"))

    def close(self) -> None:
        """Leave one file: the WAL is folded into the database. What was not committed is dropped."""
        self._connection.close()


def read_segments(connection: sqlite3.Connection) -> Iterator[Segment]:
    query = "SELECT first_seq, last_seq, rows, marks, stamps, head, seal FROM segments ORDER BY first_seq"
    for values in connection.execute(query):
        if [type(value) for value in values] != _COLUMN_TYPES:
            raise sqlite3.DataError("a segment holds values of other types than were written")
        first, last, rows, marks, stamps, head, seal = values
        yield Segment(first, last, rows.split(b"\n"), marks, stamps, head, seal)


def open_read_only(path: Path) -> sqlite3.Connection:
    """A reader of a journal that may be in use, or be a copy.

    Raises:
        MalformedSource: there is no such file, or it is no journal.
    """
    if not path.is_file():
        raise MalformedSource("there is no journal", where=str(path), to_do="give the path of a journal.sqlite file")
    try:
        # Without a WAL beside it the file is all there is, and reading it must not leave anything in its folder.
        wal = path.with_name(path.name + "-wal")
        how = "mode=ro" if wal.is_file() and wal.stat().st_size else "immutable=1"
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?{how}", uri=True, isolation_level=None)
        found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'segments'").fetchone()
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.DatabaseError as error:
        raise JournalBroken(f"the file cannot be read as a journal: {error}", row=1, where=path.name) from error
    if not found:
        raise MalformedSource("the file is no journal", where=str(path), to_do="give the path of a journal.sqlite file")
    if version != FORMAT:
        raise _other_format(version, path.name)
    return connection


def _other_format(version: int, name: str) -> JournalBroken:
    return JournalBroken(
        f"the file is no journal of format {FORMAT}, which this build reads; it says {version}",
        row=1,
        where=name,
        to_do="use the build that wrote it",
    )


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # WAL with NORMAL is not durable at commit
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    connection.execute("PRAGMA busy_timeout = 5000")
    return connection


def _create(connection: sqlite3.Connection) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == FORMAT and connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'segments'").fetchone():
        return
    if version:
        raise _other_format(version, "")
    sqlite_utils.Database(connection).table("segments").create(
        {
            "first_seq": int, "last_seq": int, "rows": bytes, "marks": bytes,
            "stamps": bytes, "head": bytes, "seal": bytes,
        },
        pk="first_seq",
        not_null={"last_seq", "rows", "marks", "stamps", "head", "seal"},
        strict=True,
        if_not_exists=True,
    )  # fmt: skip
    connection.execute(f"PRAGMA user_version = {FORMAT}")


def _disk_error(error: sqlite3.Error, path: Path) -> DiskUnavailable | JournalBroken:
    if "not a database" in str(error) or "malformed" in str(error):
        return JournalBroken(f"the file cannot be read as a journal: {error}", row=1, where=path.name)
    return DiskUnavailable(
        f"the journal cannot be made durable: {error}",
        where=str(path),
        to_do="nothing was sent that is not on disk; free the disk, then start again: the run resumes",
    )
