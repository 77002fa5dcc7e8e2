"""Takes one store from its format to another, in one SQLite transaction: after `kill -9` it has the old or the new one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from mutable_core.errors import DiskUnavailable, SettingsRefused
from mutable_core.migrations.port import Migration, Step


class Migrated(NamedTuple):
    """One store: formats before and after, and what was done, one sentence for each step."""

    before: int
    after: int
    steps: tuple[str, ...]


def format_of(path: Path) -> int:
    """The format that the store at `path` says it has. Nothing is written, no file is left beside it.

    Raises:
        SettingsRefused: it is no SQLite file.
        DiskUnavailable: it cannot be read.
    """
    wal = path.with_name(path.name + "-wal")
    how = "mode=ro" if wal.is_file() and wal.stat().st_size else "immutable=1"
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?{how}", uri=True)) as connection:
            return int(connection.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.OperationalError as error:
        raise DiskUnavailable(f"the store cannot be read: {error}", where=str(path)) from error
    except sqlite3.DatabaseError as error:
        raise SettingsRefused(f"the file is no store: {error}", where=str(path)) from error


def migrate(path: Path, migrations: Sequence[Migration], to: int) -> Migrated:
    """Bring the store at `path` to format `to` by `migrations` of this store; all steps or none.

    Its owner must not have it open.

    Raises:
        SettingsRefused: no migrations lead from its format to `to`.
        Broken: what it holds is not what its format promises; it is as it was.
        DiskUnavailable: the disk does not take it; it is as it was.
    """
    if format_of(path) == to:
        return Migrated(to, to, ())
    try:
        with closing(_connected(path)) as connection:
            return _migrated(connection, migrations, to, path)
    except sqlite3.Error as error:
        raise DiskUnavailable(
            f"the store could not be migrated: {error}", where=str(path), to_do="it is as it was; free the disk"
        ) from error


def _migrated(connection: sqlite3.Connection, migrations: Sequence[Migration], to: int, path: Path) -> Migrated:
    with _transaction(connection):
        before = int(connection.execute("PRAGMA user_version").fetchone()[0])
        steps = _way(migrations, before, to, path)
        for _, step in steps:
            step(connection)
        connection.execute(f"PRAGMA user_version = {to:d}")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return Migrated(before, to, tuple(what for what, _ in steps))


def _way(migrations: Sequence[Migration], before: int, to: int, path: Path) -> list[tuple[str, Step]]:
    """The steps from one format to the other."""
    numbers = range(before + 1, to + 1) if to > before else range(before, to, -1)
    by_number = {one.number: one for one in migrations}
    missing = [number for number in numbers if number not in by_number]
    if missing:
        raise SettingsRefused(
            f"no migration leads from format {before} to {to}", where=str(path), to_do="use the build that wrote it"
        )
    chosen = [by_number[number] for number in numbers]
    return [(one.what, one.up if to > before else one.down) for one in chosen]


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, isolation_level=None)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA busy_timeout = 5000")
    return connection


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
