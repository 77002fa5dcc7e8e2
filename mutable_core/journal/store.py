"""The journal on disk: append-only segments in SQLite (WAL, synchronous=FULL), one per group commit.

A segment is a run of rows (canonical JSON, one a line), the chain's head after them, a mark per row, a time stamp per
row, and a seal over all of it. Stamps say when the bus sequenced a row (ns, monotonic clock of that boot): they explain
latencies, are not part of the chain, and a replay does not reproduce them.

A journal that has a key is signed as it grows: a checkpoint (`checkpoints.py`) lies beside the segment that it ends at,
written in the same transaction. Checkpoints are beside the rows, not among them: the same input gives the same head,
whenever it was signed.
"""

from __future__ import annotations

import sqlite3
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from mutable_core.errors import DiskUnavailable, JournalBroken, MalformedSource
from mutable_core.journal import chain
from mutable_core.journal.anchor import Anchor
from mutable_core.journal.checkpoints import Checkpoints
from mutable_core.journal.signing import Signer
from mutable_core.journal.verifier import UNREADABLE, Checkpoint, read_only

FORMAT = 2
_CHECKPOINT_PAGES = 4_000  # about 16 MB of WAL between checkpoints; the default of 1 000 shows in the tail latency

Committed = Callable[[int, int, int], None]
"""Called after each commit with rows, duration in ns, and rows that were pending before it."""
Durable = Callable[[int, list[bytes], bytes], None]


_INSERT_SEGMENT = (
    "INSERT INTO segments (first_seq, last_seq, rows, marks, stamps, head, seal) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_INSERT_CHECKPOINT = "INSERT INTO checkpoints (rows, note, signature, peaks) VALUES (?, ?, ?, ?)"
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

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        signing: Checkpoints | None = None,
        anchor: Anchor | None = None,
    ) -> None:
        self.path = path
        self.seq, self._head, self._seal = _end(connection)
        self.durable_seq = self._opened_at = self.seq
        self.on_commit: Committed = _no_one
        self.on_durable: Durable = _nobody
        self._connection = connection
        self._signing = signing
        self._anchor = anchor
        self._rows: list[bytes] = []
        self._stamps = array("q")
        self._failed = ""

    @classmethod
    def open(cls, path: Path, signer: Signer | None = None, anchor: Anchor | None = None) -> Journal:
        """The journal at `path`, made if it is not there; with a signer it is signed as it grows.

        Raises:
            DiskUnavailable: the folder cannot be written.
            JournalBroken: the file is no journal, of another format, signed by another key, or ends before what the
                anchor says that it held.
        """
        _refuse_other_formats(path)
        try:
            connection = _connect(path)
        except UNREADABLE as error:
            raise _disk_error(error, path) from error
        try:
            _create(connection)
            signing = Checkpoints.resume(connection, signer, anchor, path.name) if signer else None
            journal = cls(connection, path, signing, anchor)
        except UNREADABLE as error:
            connection.close()
            raise _disk_error(error, path) from error
        except JournalBroken:
            connection.close()
            raise
        if signing is not None and signing.newest is not None and anchor is not None:
            anchor.offer(signing.newest)  # a crash may have come between the commit and the copy
        return journal

    @classmethod
    def in_memory(cls) -> Journal:
        """A journal that is gone with the process: for replays and tests of agents."""
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        _create(connection)
        return cls(connection, Path(":memory:"))

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
        return chain.head_after(self._head, self._rows)

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
        leaves = chain.leaves(rows)
        hashes = chain.links(self._head, leaves)
        first, last, head = self.durable_seq + 1, self.seq, hashes[-1]
        blob, marks, stamps = b"\n".join(rows), chain.marks(hashes), self._stamps.tobytes()
        seal = chain.seal(self._seal, first, last, blob, marks, stamps, head)
        checkpoint = self._signing.extended(leaves, head, seal) if self._signing else None
        self._write((first, last, blob, marks, stamps, head, seal), checkpoint)
        self._head, self._seal, self.durable_seq = head, seal, last
        self._rows, self._stamps = [], array("q")
        self.on_durable(first, rows, head)
        self.on_commit(len(rows), time.perf_counter_ns() - began, pending)

    def checkpoint(self) -> None:
        """Sign what is durable and not signed yet. Commits do so every 1 024 rows or 60 s, and `close` at the end.

        Raises:
            DiskUnavailable: it cannot be written.
        """
        if self._signing is not None and not self._failed and self._signing.unsigned:
            self._write(None, self._signing.signed(self._head, self._seal))

    @property
    def signed_seq(self) -> int:
        """Position of the last row that a checkpoint covers; 0 without a signer."""
        return self._signing.signed_rows if self._signing else 0

    @property
    def newest_checkpoint(self) -> Checkpoint | None:
        return self._signing.newest if self._signing else None

    def _write(
        self, segment: tuple[int, int, bytes, bytes, bytes, bytes, bytes] | None, one: Checkpoint | None
    ) -> None:
        """One transaction, one fsync."""
        try:
            if segment is not None and one is not None:
                self._connection.execute("BEGIN IMMEDIATE")
            if segment is not None:
                self._connection.execute(_INSERT_SEGMENT, segment)
            if one is not None:
                self._connection.execute(_INSERT_CHECKPOINT, (one.note.rows, one.text, one.signature, one.peaks))
            if self._connection.in_transaction:
                self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._failed = str(self.path.name)
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")  # for those who still read from here; nothing is written again
            is_taken = isinstance(error, sqlite3.IntegrityError) and (
                error.sqlite_errorcode == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
            )
            if is_taken:
                raise JournalBroken(
                    "another process has written to the journal",
                    row=self.durable_seq + 1,
                    where=str(self.path),
                    to_do="find out which, keep the folder, and restore the newest backup",
                ) from error
            raise _disk_error(error, self.path) from error
        if one is not None and self._signing is not None:
            self._signing.newest = one
            if self._anchor is not None:
                self._anchor.offer(one)

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
        """Sign what was committed since `open` and leave one file: the WAL is folded into the database.

        What was not committed is dropped. Rows that were only found here are not signed: nobody may have verified them.
        """
        try:
            if self.durable_seq > self._opened_at:
                self.checkpoint()
        finally:
            self._connection.close()
            if self._anchor is not None:
                self._anchor.close()


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
        connection = read_only(path)
        found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'segments'").fetchone()
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    except UNREADABLE as error:
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
        to_do="run `ark upgrade`, or use the build that wrote it",
    )


def _refuse_other_formats(path: Path) -> None:
    """Before anything is opened for writing: a journal of another build is left as it is, byte for byte."""
    if not path.is_file() or not path.stat().st_size:
        return
    try:
        connection = read_only(path)
        try:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
        finally:
            connection.close()
    except UNREADABLE as error:
        raise _disk_error(error, path) from error
    if version not in (0, FORMAT):
        raise _other_format(version, path.name)


def _end(connection: sqlite3.Connection) -> tuple[int, bytes, bytes]:
    """Position of the last row, head and seal after it."""
    last = connection.execute("SELECT last_seq, head, seal FROM segments ORDER BY first_seq DESC LIMIT 1").fetchone()
    return last or (0, chain.GENESIS, chain.NO_SEAL)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # WAL with NORMAL is not durable at commit
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    connection.execute("PRAGMA busy_timeout = 5000")
    return connection


def _create(connection: sqlite3.Connection) -> None:
    query = "SELECT count(*) FROM sqlite_master WHERE name IN ('segments', 'checkpoints')"
    if connection.execute("PRAGMA user_version").fetchone()[0] == FORMAT:
        if connection.execute(query).fetchone()[0] == 2:
            return
        raise JournalBroken("the file is no journal: its tables are gone", row=1)
    import sqlite_utils  # it loads for a quarter of a second: only a new store needs it

    connection.execute("BEGIN IMMEDIATE")  # a journal is there, or it is not: a crash leaves no third thing
    database = sqlite_utils.Database(connection)
    database.table("checkpoints").create(
        {"rows": int, "note": bytes, "signature": bytes, "peaks": bytes},
        pk="rows",
        not_null={"note", "signature", "peaks"},
        strict=True,
        if_not_exists=True,
    )
    database.table("segments").create(
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
    connection.execute("COMMIT")


def _disk_error(error: Exception, path: Path) -> DiskUnavailable | JournalBroken:
    if not isinstance(error, sqlite3.Error) or "not a database" in str(error) or "malformed" in str(error):
        return JournalBroken(f"the file cannot be read as a journal: {error}", row=1, where=path.name)
    return DiskUnavailable(
        f"the journal cannot be made durable: {error}",
        where=str(path),
        to_do="nothing was sent that is not on disk; free the disk, then start again: the run resumes",
    )
