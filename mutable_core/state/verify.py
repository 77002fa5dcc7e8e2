"""Is the store what was written? Every row against its hash, every number, every value, every right; no key is needed.

What cannot be seen from inside: the newest rows cut off together with where their keys stand, or a whole chain written
anew. For that somebody outside must have kept `StateManager.head()`: backups and boot reports do.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from mutable_core.errors import ArkError
from mutable_core.state import retention, rights, schema
from mutable_core.state.errors import StateBroken
from mutable_core.state.rows import COLUMNS, GENESIS, Row
from mutable_core.state.values import decode


class StateReport(NamedTuple):
    """`head` is the hash of the last row, hex; `finding` one line, empty where the store is whole."""

    ok: bool
    revisions: int
    keys: int
    head: str
    first_bad_revision: int | None
    finding: str


class _Finding(Exception):
    """`revision` is the first bad one; 0 where it is not one row that is bad."""

    def __init__(self, revision: int, what: str) -> None:
        super().__init__(what)
        self.revision = revision


class _Pointed(NamedTuple):
    """The row that another one points at."""

    namespace: str
    key: str
    kind: str
    is_secret: int
    points_at: int | None
    digest: bytes | None


_QUERY = f"""
SELECT {", ".join(f"v.{name.strip()}" for name in COLUMNS.split(","))}, v.value,
       r.namespace, r.key, r.kind, r.is_secret, r.points_at, r.digest
FROM versions v LEFT JOIN versions r ON r.revision = v.points_at ORDER BY v.revision
"""  # noqa: S608 - constants
_TYPES = {"namespace": str, "key": str, "kind": str, "author": str, "person": str, "reason": str, "hash": bytes}


def verify(path: Path) -> StateReport:
    """The store at `path`, which may be in use, or a copy that may not be written.

    Raises:
        MalformedSource: there is none.
    """
    try:
        connection = schema.open_read_only(path)
    except StateBroken as error:
        return StateReport(False, 0, 0, "", None, str(error))
    try:
        return verified(connection)
    finally:
        connection.close()


def verified(connection: sqlite3.Connection) -> StateReport:
    """As `verify`, of a store that is open."""
    walk = _Walk()
    bad, finding = None, ""
    try:
        connection.execute("BEGIN")  # one state of the store throughout
        try:
            _demand_schema(connection)
            for row, value, pointed in _rows(connection):
                walk.step(row, value, pointed)
            walk.demand_end(connection)
            _demand_sound(connection)
        finally:
            connection.rollback()
    except _Finding as error:
        bad, finding = error.revision or None, str(error)
    except (*schema.FAILURES, ArkError) as error:
        bad, finding = walk.revision + 1, " ".join(str(error).split())
    keys = sum(1 for namespace, _ in walk.heads if not namespace.startswith("#"))
    return StateReport(not finding, walk.revision, keys, walk.hash.hex(), bad, finding)


def _rows(connection: sqlite3.Connection) -> Iterator[tuple[Row, bytes | None, _Pointed | None]]:
    width = len(Row._fields)
    for found in connection.execute(_QUERY):
        yield Row(*found[:width]), found[width], None if found[-6] is None else _Pointed(*found[width + 1 :])


class _Walk:
    """What must follow from the rows so far."""

    def __init__(self) -> None:
        self.revision, self.hash, self.ts_ns = 0, GENESIS, 0
        self.heads: dict[tuple[str, str], tuple[int, int]] = {}
        self._dropped: set[int] = set()
        self._missing: set[int] = set()

    def step(self, row: Row, value: bytes | None, pointed: _Pointed | None) -> None:
        if row.revision != self.revision + 1:
            raise _Finding(self.revision + 1, f"revision {self.revision + 1} is missing")
        for said in self._wrong(row, value, pointed):
            raise _Finding(row.revision, f"revision {row.revision} {said}")
        if row.kind == "prune" and value is not None:
            self._dropped |= retention.revisions_in(value, below=row.revision)
        if value is None and row.points_at is None and row.digest is not None:
            self._missing.add(row.revision)
        self.revision, self.hash, self.ts_ns = row.revision, row.hash, row.ts_ns
        self.heads[row.namespace, row.key] = (row.version, row.revision)

    def _wrong(self, row: Row, value: bytes | None, pointed: _Pointed | None) -> Iterator[str]:
        if any(type(getattr(row, name)) is not kind for name, kind in _TYPES.items()):
            yield "holds values of other types than were written"
        if row.linked(self.hash) != row.hash:
            yield "is not what was written: its hash does not follow"
        version = self.heads.get((row.namespace, row.key), (0, 0))[0] + 1
        if row.version != version:
            yield f"is version {row.version} of its key, where {version} follows"
        if row.ts_ns < self.ts_ns:
            yield "is earlier than the one before"
        if not rights.may(row.author, row.namespace, row.kind):
            yield f"was written by `{row.author}`, who may not"
        if (row.points_at is None) != (pointed is None) or (pointed is not None and not _leads(row, pointed)):
            yield "points at what is not its value"
        if value is not None:
            yield from _wrong_value(row, value)

    def demand_end(self, connection: sqlite3.Connection) -> None:
        """What only all rows together say."""
        stray = self._missing ^ self._dropped
        if stray:
            raise _Finding(
                min(stray), f"the value of revision {min(stray)} is missing, or was to be dropped and is there"
            )
        heads = {
            (namespace, key): (version, revision)
            for namespace, key, version, revision in connection.execute(
                "SELECT namespace, key, version, revision FROM heads"
            )
        }
        if heads != self.heads:
            raise _Finding(
                0, "where the keys stand does not follow from the versions; run `ark state verify --rebuild`"
            )


def _leads(row: Row, pointed: _Pointed) -> bool:
    """The row points back at the one that holds its value itself, or at the delete that it repeats."""
    assert row.points_at is not None
    there = (pointed.namespace, pointed.key, pointed.digest, pointed.is_secret, pointed.points_at)
    return row.points_at < row.revision and there == (row.namespace, row.key, row.digest, row.is_secret, None)


def _wrong_value(row: Row, value: object) -> Iterator[str]:
    if not isinstance(value, bytes) or row.points_at is not None or sha256(value).digest() != row.digest:
        yield "has a value that was not written"
    elif not row.is_secret:
        decode(value)


def _demand_schema(connection: sqlite3.Connection) -> None:
    """The tables are those that we make: nothing was planted beside them."""
    blank = sqlite3.connect(":memory:", isolation_level=None)
    try:
        schema.create(blank)
        ours, theirs = (
            sorted(str(sql) for (sql,) in one.execute("SELECT sql FROM sqlite_master")) for one in (blank, connection)
        )
    finally:
        blank.close()
    if ours != theirs:
        raise _Finding(0, "the tables are not those of a state store")


def _demand_sound(connection: sqlite3.Connection) -> None:
    (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if said != "ok":
        raise _Finding(0, f"SQLite finds the file unsound: {' '.join(str(said).split())}")
