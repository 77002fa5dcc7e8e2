"""Copies of files that others write at the same time, and copies that survive a power failure.

A run is copied as a crash could have left it: journal and venue are taken at one moment, between two commits. So a house
that starts from the copy goes the way that it goes after any crash, and ends as if nothing had happened.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from deployment.backups.manifest import CopiedFile
from mutable_core.durable import sync
from mutable_core.errors import DiskUnavailable

PAGES_A_STEP = 1_024
"""Between two steps others have their turn, and whoever wants to stop is heard."""
CHUNK = 1 << 20
MOMENTS = 10_000
"""How often a moment between two commits is looked for. It is some 20 µs long."""

Stopped = Callable[[], bool]
"""Whether the copying should end now, unfinished."""


class CopyStopped(Exception):
    """The process ends, and the copy with it."""


class Moment(NamedTuple):
    """A run between two commits: a reader that sees the journal as it was, and how long the venue's file was then."""

    journal: sqlite3.Connection
    venue_bytes: int


@contextmanager
def moment_of(journal: Path, venue: Path) -> Iterator[Moment]:
    """Journal and venue as they were at one moment.

    The venue's length is looked at while no commit comes between two looks at the journal. Orders leave after the commit
    that they rest on, so none of them is in the venue's file without being in the journal.

    Raises:
        DiskUnavailable: no such moment was found, or a file cannot be read.
    """
    with closing(reader(journal)) as still, closing(reader(journal)) as running:
        for _ in range(MOMENTS):
            still.execute("BEGIN")
            before = _last_row(still)  # from here on this reader sees no later commit
            length = venue.stat().st_size if venue.exists() else 0
            if _last_row(running) == before:
                yield Moment(still, length)
                return
            still.execute("ROLLBACK")
    raise DiskUnavailable("the journal grows too fast for a backup", where=str(journal))


def _last_row(connection: sqlite3.Connection) -> int:
    found = connection.execute("SELECT last_seq FROM segments ORDER BY first_seq DESC LIMIT 1").fetchone()
    return int(found[0]) if found else 0


def reader(path: Path) -> sqlite3.Connection:
    """A reader of a database that may come into use at any moment, so it never takes the file for immutable."""
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=5)


def copy_database(source: sqlite3.Connection, target: Path, is_stopped: Stopped) -> None:
    """What `source` sees, as one file at `target`. A source inside a transaction is copied as it was at its begin.

    Raises:
        CopyStopped: `is_stopped` said so.
        DiskUnavailable: it cannot be read or written.
    """

    def between(_status: int, _remaining: int, _total: int) -> None:
        if is_stopped():
            raise CopyStopped

    try:
        with closing(sqlite3.connect(target, isolation_level=None)) as copy:
            copy.execute("PRAGMA journal_mode = OFF")  # a copy that was not finished is thrown away
            copy.execute("PRAGMA synchronous = OFF")
            source.backup(copy, pages=PAGES_A_STEP, progress=between, sleep=0.001)
    except sqlite3.Error as error:
        raise DiskUnavailable(f"the backup cannot be written: {error}", where=str(target)) from error
    target.chmod(0o600)


def copy_file(source: Path, target: Path, is_stopped: Stopped, *, length: int | None = None) -> None:
    """The first `length` bytes of a file that only grows, or all of it.

    Raises:
        CopyStopped: `is_stopped` said so.
    """
    left = source.stat().st_size if length is None else length
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with source.open("rb") as data, os.fdopen(descriptor, "wb") as copy:
        while left > 0 and (chunk := data.read(min(left, CHUNK))):
            if is_stopped():
                raise CopyStopped
            copy.write(chunk)
            left -= len(chunk)


def described(folder: Path, path: Path) -> CopiedFile:
    """What stands in the manifest about a file."""
    with path.open("rb") as data:
        digest = sha256()
        size = 0
        while chunk := data.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return CopiedFile(path.relative_to(folder).as_posix(), size, digest.hexdigest())


def sync_tree(folder: Path) -> None:
    """Return when everything below `folder`, and its name, survives a power failure."""
    for path in (*folder.rglob("*"), folder, folder.parent):
        sync(path)
