"""The file of the store: how it is made, opened, and recognised.

A store appears whole under its name or not at all. Nothing here writes to a file of another format: migrations do, and
they find `FORMAT`, `format_of` and `create` here.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from pathlib import Path

from mutable_core.durable import sync
from mutable_core.errors import ArkError, DiskUnavailable, MalformedSource
from mutable_core.state.errors import StateBroken, StateBusy

FORMAT = 1
PATIENCE_MS = 10_000  # a writer holds the store for one fdatasync; this is tens of thousands of them

FAILURES = (sqlite3.Error, UnicodeDecodeError)
"""What the module raises; the second where a damaged file leads SQLite to say something that is no text."""

_DISK = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH")
_BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED")


def create(connection: sqlite3.Connection) -> None:
    """The tables of `FORMAT` in an empty database."""
    import sqlite_utils  # it loads for a quarter of a second: only a new store needs it

    database = sqlite_utils.Database(connection)
    database.table("versions").create(
        {
            "revision": int, "namespace": str, "key": str, "version": int, "kind": str, "is_secret": int,
            "points_at": int, "digest": bytes, "author": str, "person": str, "reason": str, "ts_ns": int,
            "hash": bytes, "value": bytes,
        },
        pk="revision",
        not_null={"namespace", "key", "version", "kind", "is_secret", "author", "person", "reason", "ts_ns", "hash"},
        strict=True,
    )  # fmt: skip
    database.table("versions").create_index(["namespace", "key", "version"], index_name="by_version", unique=True)
    database.table("versions").create_index(["namespace", "key"], index_name="by_revision")  # SQLite adds the revision
    # Where each key stands now: follows from `versions`, and is there so that finding a key's end costs one step.
    database.table("heads").create(
        {"namespace": str, "key": str, "version": int, "revision": int},
        pk=("namespace", "key"),
        not_null={"namespace", "key", "version", "revision"},
        strict=True,
    )
    connection.execute(f"PRAGMA user_version = {FORMAT}")


def open_writable(path: Path) -> sqlite3.Connection:
    """The store at `path`, made if it is not there.

    Raises:
        DiskUnavailable, StateBusy: it cannot be made or opened.
        StateBroken: it cannot be read, or is of another format; it was not touched.
    """
    try:
        if not path.exists():
            _make(path)
        _demand_format(path)
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute(f"PRAGMA busy_timeout = {PATIENCE_MS}")
        connection.execute("PRAGMA synchronous = FULL")  # WAL with NORMAL is not durable at commit
        connection.execute("PRAGMA secure_delete = ON")  # what retention drops is gone from the file
        connection.execute("SELECT 1 FROM versions, heads LIMIT 1")
    except FAILURES as error:
        raise told(error, path) from error
    except OSError as error:
        raise DiskUnavailable(
            f"the state store cannot be made: {error.strerror}", where=str(path), to_do="make its folder writable"
        ) from error
    return connection


def open_read_only(path: Path) -> sqlite3.Connection:
    """The store at `path`, which may be in use, or be a copy in a folder that may not be written.

    Raises:
        MalformedSource: there is none.
        StateBroken: it cannot be read, or is of another format.
    """
    try:
        connection = _connect_read_only(path)
        _demand_version(_version(connection), path)
        connection.execute("SELECT 1 FROM versions, heads LIMIT 1")
    except FAILURES as error:
        raise told(error, path) from error
    return connection


def format_of(path: Path) -> int:
    """The format that the file says it has; nothing is written.

    Raises:
        MalformedSource: there is no file.
        StateBroken: it cannot be read.
    """
    try:
        connection = _connect_read_only(path)
        try:
            return _version(connection)
        finally:
            connection.close()
    except FAILURES as error:
        raise told(error, path) from error


def demand_format(connection: sqlite3.Connection, path: Path) -> None:
    """The format is still ours: a newer build may have migrated the store that we hold open.

    Raises:
        StateBroken: it is not.
    """
    _demand_version(_version(connection), path)


def told(error: Exception, path: Path) -> ArkError:
    """What SQLite says, as one of ours."""
    name = getattr(error, "sqlite_errorname", None) or ""
    if name.startswith(_BUSY):
        return StateBusy(
            "another process holds the state store", where=str(path), to_do="try again; nothing was written"
        )
    if name.startswith(_DISK):
        return DiskUnavailable(
            f"the state store cannot be read or made durable: {error}",
            where=str(path),
            to_do="nothing was acknowledged that is not on disk; free the disk or make it writable, then start again",
        )
    return StateBroken(
        f"the file cannot be read as a state store: {error}", where=str(path), to_do="run `ark state verify`"
    )


def _make(path: Path) -> None:
    """Under another name first: nobody sees a half-made store, and of two makers one is first."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".state-") as folder:
        draft = Path(folder) / "draft"
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        connection = sqlite3.connect(draft, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN")
            create(connection)
            connection.execute("COMMIT")
            # Only now: a close that cannot fold a WAL into its file says nothing, and what is linked must be whole.
            connection.execute("PRAGMA journal_mode = WAL")
        finally:
            connection.close()
        _demand_format(draft)
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    sync(path.parent)


def _connect_read_only(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise MalformedSource(
            "there is no state store", where=str(path), to_do="run `ark run` first, or give `--state`"
        )
    # Without a WAL beside it the file is all there is, and reading it must not leave anything in its folder.
    how = "mode=ro" if path.with_name(path.name + "-wal").exists() else "immutable=1"
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?{how}", uri=True, isolation_level=None)
    connection.execute(f"PRAGMA busy_timeout = {PATIENCE_MS}")
    return connection


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _demand_format(path: Path) -> None:
    _demand_version(format_of(path), path)


def _demand_version(version: int, path: Path) -> None:
    if version == FORMAT:
        return
    raise StateBroken(
        f"the file is no state store of format {FORMAT}, which this build reads; it says {version}",
        where=str(path),
        to_do="run `ark upgrade`" if 0 < version < FORMAT else "use the build that wrote it; it was not touched",
    )
