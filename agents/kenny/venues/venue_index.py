"""The index beside a venue's log: snapshots of the exchange, and which ids are taken. Derived, and made again if lost.

The log is the truth. The index spares an open all calls but the last few hundred, and the process a memory of every id
that ever was. A snapshot holds the checksum of all that precedes it in the log: an index that belongs to another log, or
a log that was altered, is noticed at the open.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from agents.kenny.venues.calls import Taken
from agents.kenny.venues.venue_log import Position
from mutable_core.errors import DiskUnavailable, JournalBroken, VenueUnavailable

_FORMAT = 1
_SPOILED = (sqlite3.DatabaseError, UnicodeError)
"""What reading a spoiled file raises; the second, where SQLite quotes from it what is no text."""
_COLUMNS = "log_end, log_frames, log_crc, venue_seq, last_row, state, state_crc"


class Snapshot(NamedTuple):
    """An exchange as it was after the log's frames up to `at`; it depends on no market row after `last_row`."""

    at: Position
    venue_seq: int
    last_row: int
    state: bytes


class VenueIndex:
    """One SQLite file; made with `open`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    @classmethod
    def open(cls, path: Path) -> VenueIndex:
        """The index at `path`; an empty one where there is none, or none that can be read.

        Raises:
            DiskUnavailable: no file can be made there.
        """
        try:
            return cls(_connected(path), path)
        except (OSError, sqlite3.OperationalError) as error:
            raise _unusable(error, path) from error
        except _SPOILED:  # no database, or a spoiled one
            return cls(_anew(path), path)

    def reset(self) -> None:
        """Begin an empty one.

        Raises:
            DiskUnavailable: it cannot be made.
        """
        self._connection.close()
        self._connection = _anew(self._path)

    def newest(self, *, log_end: int, last_row: int | None = None, venue_seq: int | None = None) -> Snapshot | None:
        """The newest snapshot that is not beyond any of these; None where there is none that can be read."""
        query = f"SELECT {_COLUMNS} FROM snapshots WHERE log_end <= ?"  # noqa: S608  our own column names
        values = [log_end]
        for column, limit in (("last_row", last_row), ("venue_seq", venue_seq)):
            if limit is not None:
                query += f" AND {column} <= ?"
                values.append(limit)
        try:
            found = self._connection.execute(f"{query} ORDER BY log_end DESC LIMIT 1", values).fetchone()
            if found is None:
                return None
            end, frames, log_crc, seq, row, state, state_crc = found
            if type(state) is bytes and crc32(repr((end, frames, log_crc, seq, row)).encode() + state) == state_crc:
                return Snapshot(Position(end, frames, log_crc), seq, row, state)
        except _SPOILED:
            pass
        return None

    def is_taken(self, taken: Taken) -> bool:
        """Whether a `take` brought it.

        Raises:
            VenueUnavailable: it was closed.
            JournalBroken: the file was altered.
        """
        query = "SELECT 1 FROM taken WHERE client_order_id = ? AND told_ns = ?"
        try:
            return self._connection.execute(query, taken).fetchone() is not None
        except sqlite3.ProgrammingError as error:
            raise VenueUnavailable("the venue was closed", where=str(self._path)) from error
        except _SPOILED as error:
            raise JournalBroken(
                f"the venue's index is not what was written: {error}",
                row=0,
                where=str(self._path),
                to_do="remove this file alone: it is made again from the venue's log",
            ) from error

    def add(self, snapshot: Snapshot) -> None:
        """Keep a snapshot.

        Raises:
            DiskUnavailable: it was not kept.
        """
        known = (*snapshot.at, snapshot.venue_seq, snapshot.last_row)
        crc = crc32(repr(known).encode() + snapshot.state)
        try:
            self._connection.execute(
                f"INSERT OR REPLACE INTO snapshots ({_COLUMNS}) VALUES (?,?,?,?,?,?,?)",  # noqa: S608
                (*known, snapshot.state, crc),
            )
        except (sqlite3.Error, UnicodeError) as error:
            raise _unusable(error, self._path) from error

    def take(self, taken: Iterable[Taken], log_end: int) -> None:
        """Keep what was taken by frames before `log_end`.

        Raises:
            DiskUnavailable: nothing of it was kept.
        """
        rows = [(*one, log_end) for one in taken]
        try:
            with self._connection:
                self._connection.execute("BEGIN")
                self._connection.executemany(
                    "INSERT OR IGNORE INTO taken (client_order_id, told_ns, log_end) VALUES (?,?,?)", rows
                )
        except (sqlite3.Error, UnicodeError) as error:
            raise _unusable(error, self._path) from error

    def cut(self, log_end: int) -> None:
        """Forget what lies beyond the log's first `log_end` bytes.

        Raises:
            DiskUnavailable: it cannot be written.
        """
        try:
            with self._connection:
                self._connection.execute("BEGIN")
                self._connection.execute("DELETE FROM snapshots WHERE log_end > ?", (log_end,))
                # Positions grow with the rowid: from the end backwards, only what goes is looked at.
                self._connection.execute(
                    "DELETE FROM taken WHERE rowid > ifnull("
                    "(SELECT rowid FROM taken WHERE log_end <= ? ORDER BY rowid DESC LIMIT 1), 0)",
                    (log_end,),
                )
        except (sqlite3.Error, UnicodeError) as error:
            raise _unusable(error, self._path) from error

    def close(self) -> None:
        self._connection.close()


def _unusable(error: Exception, path: Path) -> DiskUnavailable:
    return DiskUnavailable(
        f"the venue's index cannot be used: {error}",
        where=str(path),
        to_do="free some space; this file alone may be removed, it is made again from the venue's log",
    )


def _anew(path: Path) -> sqlite3.Connection:
    try:
        path.unlink(missing_ok=True)  # first: a rollback journal without its database is harmless
        path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
        return _connected(path)
    except (OSError, sqlite3.Error) as error:
        raise _unusable(error, path) from error


def _connected(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        # As the log: it survives a kill. After a power cut it may be spoiled, and is made again.
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA journal_mode = PERSIST")
        if connection.execute("PRAGMA user_version").fetchone()[0] != _FORMAT:
            _create(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _create(connection: sqlite3.Connection) -> None:
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        for table in ("snapshots", "taken"):
            connection.execute(f"DROP TABLE IF EXISTS {table}")
        connection.execute(
            "CREATE TABLE snapshots (log_end INTEGER PRIMARY KEY, log_frames INTEGER NOT NULL, log_crc INTEGER NOT NULL,"
            " venue_seq INTEGER NOT NULL, last_row INTEGER NOT NULL, state BLOB NOT NULL, state_crc INTEGER NOT NULL)"
            " STRICT"
        )
        connection.execute(
            "CREATE TABLE taken (client_order_id TEXT NOT NULL, told_ns INTEGER NOT NULL, log_end INTEGER NOT NULL,"
            " PRIMARY KEY (client_order_id, told_ns)) STRICT"
        )
        connection.execute(f"PRAGMA user_version = {_FORMAT}")
