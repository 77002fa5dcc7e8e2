"""The rows of the store as one connection sees them: found, appended, and checked against their hashes when read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from hashlib import sha256
from typing import NamedTuple

from mutable_core.clock import wall_ns
from mutable_core.errors import UnknownName
from mutable_core.state.errors import StateBroken, ValuePruned
from mutable_core.state.points import KeyPoint, Moment, Named, Point, Revision, Version
from mutable_core.state.rights import SNAPSHOTS
from mutable_core.state.rows import COLUMNS, GENESIS, Kind, Row

_INSERT = f"INSERT INTO versions ({COLUMNS}, value) VALUES ({', '.join('?' * (len(Row._fields) + 1))})"  # noqa: S608 - constants
_HEAD = "INSERT INTO heads (namespace, key, version, revision) VALUES (?,?,?,?) ON CONFLICT (namespace, key) DO UPDATE SET version = excluded.version, revision = excluded.revision"


class Draft(NamedTuple):
    """A row before it has its numbers."""

    namespace: str
    key: str
    kind: Kind
    author: str
    person: str
    reason: str
    is_secret: int = 0
    points_at: int | None = None
    digest: bytes | None = None


class Versions:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    # -- found ---------------------------------------------------------------------------------------------------------

    def last(self) -> Row | None:
        return self._one("ORDER BY revision DESC")

    def head(self, namespace: str, key: str) -> Row | None:
        """The newest version of the key, a delete too."""
        found = self._connection.execute(
            "SELECT revision FROM heads WHERE namespace = ? AND key = ?", (namespace, key)
        ).fetchone()
        return self.at_revision(found[0]) if found else None

    def at_revision(self, revision: int) -> Row:
        """The row of a revision that is there.

        Raises:
            StateBroken: there is none, or it is not what was written.
        """
        row = self._one("WHERE revision = ?", revision)
        if row is None:
            raise _damaged(revision)
        return row

    def at_version(self, namespace: str, key: str, version: int) -> Row | None:
        return self._one("WHERE namespace = ? AND key = ? AND version = ?", namespace, key, version)

    def as_of(self, namespace: str, key: str, revision: int) -> Row | None:
        """The version of the key that stood when the store was at `revision`; None before its first."""
        return self._one(
            "WHERE namespace = ? AND key = ? AND revision <= ? ORDER BY revision DESC", namespace, key, revision
        )

    def of(self, namespace: str, key: str, last: int | None) -> Iterator[Row]:
        """The `last` versions of the key, or all, the newest first."""
        head = self.head(namespace, key)
        newest = head.version if head else 0
        for version in range(newest, 0 if last is None else max(0, newest - last), -1):
            row = self.at_version(namespace, key, version)
            if row is None:
                raise StateBroken(f"version {version} is missing", where=f"{namespace}/{key}")
            yield row

    def names(self, namespace: str | None = None) -> list[tuple[str, str]]:
        """Namespace and key of everything that was ever written, sorted; rows of the store about itself left out."""
        found = self._connection.execute("SELECT namespace, key FROM heads ORDER BY namespace, key").fetchall()
        return [(n, k) for n, k in found if n == namespace or (namespace is None and not n.startswith("#"))]

    def revision_at(self, point: Point) -> int:
        """The revision that the store was at.

        Raises:
            UnknownName: no snapshot has this name, or there is no such revision yet.
        """
        match point:
            case Revision(number):
                last = self.last()
                if not 0 <= number <= (last.revision if last else 0):
                    raise UnknownName(
                        f"the store has no revision {number}", where=f"it is at {last.revision if last else 0}"
                    )
                return number
            case Named(name):
                taken = self.head(SNAPSHOTS, name)
                if taken is None:
                    raise UnknownName(f"no snapshot is called `{name[:64]}`", to_do="see `ark state snapshots`")
                return taken.revision
            case Moment(ts_ns):
                return self._revision_before(ts_ns)

    def _revision_before(self, ts_ns: int) -> int:
        """The last revision not later than this. Times never go back along revisions, so halving finds it."""
        last = self.last()
        low, high = 0, last.revision if last else 0
        while low < high:
            middle = (low + high + 1) // 2
            if self.at_revision(middle).ts_ns <= ts_ns:
                low = middle
            else:
                high = middle - 1
        return low

    def row_at(self, namespace: str, key: str, point: KeyPoint) -> Row | None:
        """The key's row at the point; None where it was not there yet.

        Raises:
            UnknownName: the key has no such version; as `revision_at`.
        """
        if not isinstance(point, Version):
            return self.as_of(namespace, key, self.revision_at(point))
        row = self.at_version(namespace, key, point.number)
        if row is None:
            head = self.head(namespace, key)
            raise UnknownName(
                f"`{key[:80]}` has no version {point.number}",
                where=f"{namespace}, it is at {head.version if head else 0}",
            )
        return row

    # -- values --------------------------------------------------------------------------------------------------------

    def is_pruned(self, row: Row) -> bool:
        query = "SELECT value IS NULL FROM versions WHERE revision = ?"
        return not row.is_deleted and bool(self._connection.execute(query, (row.root,)).fetchone()[0])

    def stored(self, row: Row) -> bytes:
        """The bytes of the row's value, checked.

        Raises:
            ValuePruned: retention dropped them.
            StateBroken: they are not what was written.
        """
        data = self._stored(row)
        if data is None:
            raise ValuePruned(
                f"the value of version {row.version} was dropped by retention",
                where=f"{row.namespace}/{row.key}",
                to_do="choose a version that `ark state history` does not mark as pruned",
            )
        if sha256(data).digest() != row.digest:
            raise _damaged(row.root)
        return data

    def _stored(self, row: Row) -> bytes | None:
        found = self._connection.execute("SELECT value FROM versions WHERE revision = ?", (row.root,)).fetchone()
        if found is None or not isinstance(found[0], bytes | None):
            raise _damaged(row.root)
        return found[0]

    # -- appended ------------------------------------------------------------------------------------------------------

    def now_ns(self) -> int:
        """The time of a transaction that begins now: later than every one before, whatever the clock did."""
        last = self.last()
        return max(wall_ns(), last.ts_ns + 1 if last else 0)

    def append(self, draft: Draft, value: bytes | None, ts_ns: int) -> Row:
        """One more row; the caller holds the transaction."""
        last, head = self.last(), self.head(draft.namespace, draft.key)
        if value is not None:
            draft = draft._replace(digest=sha256(value).digest())
        unlinked = Row(
            last.revision + 1 if last else 1, draft.namespace, draft.key, head.version + 1 if head else 1,
            draft.kind, draft.is_secret, draft.points_at, draft.digest,
            draft.author, draft.person, draft.reason, ts_ns, b"",
        )  # fmt: skip
        row = unlinked._replace(hash=unlinked.linked(last.hash if last else GENESIS))
        self._connection.execute(_INSERT, (*row, value))
        self._connection.execute(_HEAD, (row.namespace, row.key, row.version, row.revision))
        return row

    # -- checked -------------------------------------------------------------------------------------------------------

    def _one(self, where: str, *values: object) -> Row | None:
        query = f"SELECT {COLUMNS} FROM versions {where} LIMIT 1"  # noqa: S608 - `where` is a constant of this module
        found = self._connection.execute(query, values).fetchone()
        if found is None:
            return None
        row = Row(*found)
        if row.linked(self._hash_before(row.revision)) != row.hash:
            raise _damaged(row.revision)
        return row

    def _hash_before(self, revision: int) -> bytes:
        if revision == 1:
            return GENESIS
        found = self._connection.execute("SELECT hash FROM versions WHERE revision = ?", (revision - 1,)).fetchone()
        if found is None or not isinstance(found[0], bytes):
            raise _damaged(revision - 1)
        return found[0]


def _damaged(revision: int) -> StateBroken:
    return StateBroken(
        f"revision {revision} of the state store is not what was written",
        to_do="run `ark state verify`, then restore a backup",
    )
