"""What agents, the house and people keep between runs: every write is a new version, and no version is ever lost.

Each key counts its versions from 1, without gaps and without reuse; the store counts its rows the same way (*revisions*),
and chains them by hash. Going back is a new version too: a row that points at the old value, so that it costs the same
whatever lies between. An author writes in the namespace of its own name; compare-and-set (`expect`) holds across
processes. A write returns when it is on the disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from mutable_core import privacy
from mutable_core.clock import DAY_NS
from mutable_core.errors import DiskUnavailable, UnknownName
from mutable_core.state import retention, rights, schema
from mutable_core.state.errors import StateConflict, StateFull, ValueRefused
from mutable_core.state.points import KeyPoint, Named, Point, Revision, Version, checked_name
from mutable_core.state.rows import GENESIS, Kind, Row
from mutable_core.state.values import Value, decode, encode, named_in, texts_in
from mutable_core.state.verify import StateReport, verified
from mutable_core.state.versions import Draft, Versions
from mutable_core.vault import Vault, VaultLocked

STATE = "state.sqlite"
"""The name of the store in the state folder."""

STORE_BYTES_MAX = 1 << 30
KEY_CHARACTERS_MAX = 200
REASON_CHARACTERS_MAX = 2_000
_PRUNED_AT_ONCE = 50_000  # their runs fit into one row, however they lie


class Versioned(NamedTuple):
    """A value, and the version of its key that it is."""

    value: Value
    version: int
    ts_ns: int
    author: str
    revision: int
    is_secret: bool


class Entry(NamedTuple):
    """One version of one key, without its value.

    Attributes:
        restores: the version whose value this one has; None where it has its own, or where the key was not there.
        is_deleted: the key is not there from this version on.
        is_pruned: retention dropped the value.
        author, person: who wrote it; `person` is the human being behind the operator, else empty.
    """

    namespace: str
    key: str
    version: int
    revision: int
    kind: Kind
    restores: int | None
    is_deleted: bool
    is_secret: bool
    is_pruned: bool
    author: str
    person: str
    reason: str
    ts_ns: int


class Change(NamedTuple):
    """What is different about a key at two points; None where it was not there."""

    namespace: str
    key: str
    before: Entry | None
    after: Entry | None


class SnapshotTaken(NamedTuple):
    name: str
    revision: int
    person: str
    reason: str
    ts_ns: int


class StateManager:
    """The store at one path, for one thread. Readers see what is committed, whoever committed it."""

    def __init__(self, connection: sqlite3.Connection, path: Path, vault: Vault | None, bytes_max: int) -> None:
        self.path = path
        self._connection = connection
        self._versions = Versions(connection)
        self._vault = vault
        self._bytes_max = bytes_max
        self._has_failed = False

    @classmethod
    def open(cls, path: Path, *, vault: Vault | None = None, bytes_max: int = STORE_BYTES_MAX) -> Self:
        """The store at `path`, made if it is not there.

        Args:
            path: its folder is made too.
            vault: seals and opens secrets; without one they can be neither written nor read.
            bytes_max: a store of this size takes no more values until `prune` has made room.

        Raises:
            DiskUnavailable, StateBusy: it cannot be made or opened.
            StateBroken: it cannot be read, or is of another format; it was not touched.
        """
        return cls(schema.open_writable(path), path, vault, bytes_max)

    @classmethod
    def open_read_only(cls, path: Path, *, vault: Vault | None = None) -> Self:
        """The store at `path`, which may be in use, or a copy that may not be written.

        Raises:
            MalformedSource: there is none.
            StateBroken: it cannot be read, or is of another format.
        """
        return cls(schema.open_read_only(path), path, vault, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave one file, if nobody else has it open."""
        self._connection.close()

    def writer(self, author: str, *, person: str = "") -> Writer:
        """Writes as `author`: an agent, `house` or `operator`; `person` is the human being behind the operator.

        Raises:
            UnknownName: nobody is called so.
        """
        if author not in rights.AUTHORS:
            raise UnknownName(
                f"no author is called `{author[:40]}`", to_do=f"choose from {', '.join(sorted(rights.AUTHORS))}"
            )
        return Writer(self, author, person)

    # -- reading -------------------------------------------------------------------------------------------------------

    def get(self, namespace: str, key: str, *, at: KeyPoint | None = None) -> Versioned | None:
        """The key's value now, or at a point; None where the key was not there.

        Raises:
            UnknownName: there is no such version, revision or snapshot.
            ValuePruned: retention dropped the value.
            VaultLocked: the value is secret, and no key opens it.
            StateBroken: what is read is not what was written.
        """
        with self._reading():
            row = self._row(namespace, key, at)
            if row is None or row.is_deleted:
                return None
            value = self._opened(row, self._versions.stored(row))
            return Versioned(value, row.version, row.ts_ns, row.author, row.revision, bool(row.is_secret))

    def entry(self, namespace: str, key: str, *, at: KeyPoint | None = None) -> Entry | None:
        """As `get`, but without the value; a deleted key has one too."""
        with self._reading():
            row = self._row(namespace, key, at)
            return None if row is None else self._entry(row)

    def version(self, namespace: str, key: str) -> int:
        """The newest version of the key, what `expect` is compared with; 0 before the first."""
        with self._reading():
            head = self._versions.head(namespace, key)
            return head.version if head else 0

    def history(self, namespace: str, key: str, *, last: int | None = None) -> list[Entry]:
        """The `last` versions of the key, or all, the newest first."""
        with self._reading():
            return [self._entry(row) for row in self._versions.of(namespace, key, last)]

    def keys(self, namespace: str | None = None) -> list[tuple[str, str]]:
        """Namespace and key of everything that is there now, sorted."""
        with self._reading():
            return [
                name
                for name in self._versions.names(namespace)
                if (head := self._versions.head(*name)) is not None and not head.is_deleted
            ]

    def diff(self, before: Point, after: Point, *, namespace: str | None = None) -> list[Change]:
        """What was different at two points, sorted by key. A key that changed and changed back is not.

        Raises:
            UnknownName: there is no such revision or snapshot.
        """
        with self._reading():
            first, second = self._versions.revision_at(before), self._versions.revision_at(after)
            found = []
            for name in self._versions.names(namespace):
                one, other = (_there(self._versions.as_of(*name, revision)) for revision in (first, second))
                if not _same(one, other):
                    found.append(Change(*name, one and self._entry(one), other and self._entry(other)))
            return found

    def snapshots(self) -> list[SnapshotTaken]:
        """The named snapshots, the oldest first."""
        with self._reading():
            rows = [row for key in self._versions.names(rights.SNAPSHOTS) if (row := self._versions.head(*key))]
            taken = [SnapshotTaken(row.key, row.revision, row.person, row.reason, row.ts_ns) for row in rows]
            return sorted(taken, key=lambda one: one.revision)

    def head(self) -> tuple[int, bytes]:
        """The last revision and its hash (32 bytes), which bind everything before; 0 and zeros for an empty store."""
        with self._reading():
            last = self._versions.last()
            return (last.revision, last.hash) if last else (0, GENESIS)

    def verify(self) -> StateReport:
        """Every row, number, hash, value and right checked."""
        return verified(self._connection)

    # -- keeping -------------------------------------------------------------------------------------------------------

    def rebuild_heads(self) -> None:
        """Write down anew where each key stands, from the versions."""
        with self._writing():
            self._connection.execute("DELETE FROM heads")
            self._connection.execute(
                "INSERT INTO heads (namespace, key, version, revision) "
                "SELECT namespace, key, max(version), max(revision) FROM versions GROUP BY namespace, key"
            )

    def vacuum(self) -> None:
        """Give the room of dropped values back to the disk.

        Raises:
            StateBusy: somebody reads or writes; nothing was changed.
        """
        try:
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except schema.FAILURES as error:
            raise schema.told(error, self.path) from error

    # -- inside --------------------------------------------------------------------------------------------------------

    def _row(self, namespace: str, key: str, at: KeyPoint | None) -> Row | None:
        return self._versions.head(namespace, key) if at is None else self._versions.row_at(namespace, key, at)

    def _entry(self, row: Row) -> Entry:
        restores = None if row.points_at is None else self._versions.at_revision(row.points_at).version
        return Entry(
            row.namespace, row.key, row.version, row.revision, row.kind, restores, row.is_deleted, bool(row.is_secret),
            self._versions.is_pruned(row), row.author, row.person, row.reason, row.ts_ns,
        )  # fmt: skip

    def _opened(self, row: Row, data: bytes) -> Value:
        return self._demand_vault(row.key).unseal(data, row.namespace, row.key) if row.is_secret else decode(data)

    def _demand_vault(self, key: str) -> Vault:
        if self._vault is None:
            raise VaultLocked(
                f"`{key[:80]}` is secret, and no key was given",
                where=self.path.name,
                to_do="name the key file with `ARK_VAULT_KEY_FILE`, or make one with `ark state key new`",
            )
        return self._vault

    def _demand_room(self, more: int) -> None:
        pages, free, size = (
            int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        if (pages - free) * size + more > self._bytes_max:
            raise StateFull(
                f"the state store has reached its {self._bytes_max} bytes, and takes no more values",
                where=str(self.path),
                to_do="make room with `ark state prune`",
            )

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """One state of the store throughout, whoever writes meanwhile."""
        try:
            self._connection.execute("BEGIN")
            yield
        except schema.FAILURES as error:
            raise schema.told(error, self.path) from error
        finally:
            if self._connection.in_transaction:
                self._connection.rollback()

    @contextmanager
    def _writing(self) -> Iterator[int]:
        """One transaction, all of it or nothing; gives its time, ns. After a failed disk nothing more is taken."""
        if self._has_failed:
            raise DiskUnavailable("the state store failed before and takes nothing more", where=str(self.path))
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            schema.demand_format(self._connection, self.path)
            yield self._versions.now_ns()
            self._connection.execute("COMMIT")
        except schema.FAILURES as error:
            told = schema.told(error, self.path)
            self._has_failed = isinstance(told, DiskUnavailable)
            raise told from error
        finally:
            if self._connection.in_transaction:
                self._connection.rollback()


class Writer:
    """What one author may do to the store. Each call is one transaction; all raise, beside what they name:

    CapabilityExceeded: the author may not. ValueRefused: a name, reason or value cannot be stored.
    StateBusy, StateFull, DiskUnavailable: nothing was written.
    """

    def __init__(self, manager: StateManager, author: str, person: str) -> None:
        self._manager = manager
        self._versions = manager._versions
        self._author = author
        self._person = person

    def put(
        self, namespace: str, key: str, value: Value, *,
        expect: int | None = None, secret: bool = False, reason: str = "",
    ) -> int:  # fmt: skip
        """Give the key a value; returns its new version.

        Args:
            namespace: the author's own.
            key: 1 to `KEY_CHARACTERS_MAX` characters that can be printed, none of them private.
            value: None, bool, int, str, bytes, Decimal, list, tuple, dict with str keys; nested; it comes back the same.
            expect: the version the key must be at, 0 where it must never have been written.
            secret: stored as a token that only the vault's key opens.
            reason: why, for a person; what is private in it is taken out.

        Raises:
            StateConflict: the key is at another version than expected.
            ValueRefused: it holds something private, and is not secret.
            VaultLocked: it is secret, and there is no key.
        """
        draft = self._draft(namespace, key, "put", reason)._replace(is_secret=int(secret))
        data = self._data(namespace, key, value, secret=secret)
        with self._manager._writing() as ts_ns:
            self._demand_version(namespace, key, expect)
            self._manager._demand_room(len(data))
            return self._versions.append(draft, data, ts_ns).version

    def delete(self, namespace: str, key: str, *, expect: int | None = None, reason: str = "") -> int:
        """Say that the key is not there from now on; returns the new version, which says so.

        Raises:
            StateConflict: the key is at another version than expected.
            UnknownName: it is not there.
        """
        draft = self._draft(namespace, key, "delete", reason)
        with self._manager._writing() as ts_ns:
            self._demand_version(namespace, key, expect)
            head = self._versions.head(namespace, key)
            if head is None or head.is_deleted:
                raise UnknownName(f"`{key[:80]}` is not there", where=namespace, to_do="see `ark state history`")
            return self._versions.append(draft, None, ts_ns).version

    def rollback(self, namespace: str, key: str, to: KeyPoint, *, expect: int | None = None, reason: str = "") -> int:
        """Make the key what it was at `to`, as a new version, which is returned.

        Raises:
            StateConflict: the key is at another version than expected.
            UnknownName: the key was never there, or there is no such version, revision or snapshot.
            ValuePruned: retention dropped the value.
        """
        draft = self._draft(namespace, key, "rollback", reason)
        with self._manager._writing() as ts_ns:
            self._demand_version(namespace, key, expect)
            if self._versions.head(namespace, key) is None:
                raise UnknownName(f"`{key[:80]}` was never there", where=namespace)
            return self._back(draft, self._versions.row_at(namespace, key, to), ts_ns).version

    def rollback_namespace(self, namespace: str, to: Point, *, reason: str = "") -> list[Entry]:
        """Make every key of the namespace what it was at `to`; returns the new versions of those that differed.

        Raises:
            UnknownName: there is no such revision or snapshot.
            ValuePruned: retention dropped one of the values; nothing was written.
        """
        self._draft(namespace, "-", "rollback", reason)
        return self._back_all(namespace, to, reason)

    def rollback_everything(self, to: Point, *, reason: str = "") -> list[Entry]:
        """As `rollback_namespace`, for all namespaces at once."""
        for namespace in rights.NAMESPACES:
            self._draft(namespace, "-", "rollback", reason)
        return self._back_all(None, to, reason)

    def snapshot(self, name: str, *, reason: str = "") -> int:
        """Name the store as it is now; returns the revision that bears the name.

        Raises:
            StateConflict: the name is taken.
        """
        draft = self._draft(rights.SNAPSHOTS, checked_name(name), "snapshot", reason)
        with self._manager._writing() as ts_ns:
            taken = self._versions.head(rights.SNAPSHOTS, name)
            if taken is not None:
                raise StateConflict(
                    f"a snapshot is called `{name}` already", version=taken.version, to_do="take another name"
                )
            return self._versions.append(draft, None, ts_ns).revision

    def prune(self, *, keep_versions: int = 1, keep_days: int | None = None, reason: str = "") -> int:
        """Drop values that no kept version has; returns how many. Rows, numbers and digests stay.

        Args:
            keep_versions: newest versions of each key whose values stay, ≥ 1.
            keep_days: whatever stood at any moment of so many days stays too, ≥ 0; None keeps none for its age.
            reason: why, for a person.
        """
        if keep_versions < 1 or (keep_days is not None and keep_days < 0):
            raise ValueRefused("the newest version of a key is never dropped", to_do="keep at least one")
        draft = self._draft(rights.PRUNES, "retention", "prune", reason)
        connection = self._manager._connection
        with self._manager._writing() as ts_ns:
            since_ns = ts_ns if keep_days is None else ts_ns - keep_days * DAY_NS
            gone = retention.droppable(connection, versions=keep_versions, since_ns=since_ns)
            for first in range(0, len(gone), _PRUNED_AT_ONCE):
                some = gone[first : first + _PRUNED_AT_ONCE]
                retention.drop(connection, some)
                self._versions.append(draft, retention.spans(some), ts_ns)
            return len(gone)

    def reseal(self, *, reason: str = "") -> int:
        """Seal every secret that stands now with the newest key, as a new version; returns how many."""
        with self._manager._writing() as ts_ns:
            count = 0
            for namespace, key in self._versions.names():
                head = self._versions.head(namespace, key)
                if head is not None and head.is_secret and not head.is_deleted:
                    draft = self._draft(namespace, key, "reseal", reason)._replace(is_secret=1)
                    value = self._manager._opened(head, self._versions.stored(head))
                    self._versions.append(draft, self._data(namespace, key, value, secret=True), ts_ns)
                    count += 1
            return count

    # -- inside --------------------------------------------------------------------------------------------------------

    def _draft(self, namespace: str, key: str, kind: Kind, reason: str) -> Draft:
        rights.demand(self._author, namespace, kind)
        _demand_key(key)
        if len(reason) > REASON_CHARACTERS_MAX:
            raise ValueRefused(f"the reason is longer than {REASON_CHARACTERS_MAX} characters")
        encode([reason, self._person])
        return Draft(namespace, key, kind, self._author, self._person, privacy.redacted(reason))

    def _data(self, namespace: str, key: str, value: Value, *, secret: bool) -> bytes:
        data = encode(value)
        if secret:
            return self._manager._demand_vault(key).seal(value, namespace, key)
        _demand_public(key, value)
        return data

    def _demand_version(self, namespace: str, key: str, expect: int | None) -> None:
        if expect is None:
            return
        head = self._versions.head(namespace, key)
        version = head.version if head else 0
        if version != expect:
            raise StateConflict(
                f"`{key[:80]}` is at version {version}, not {expect}", version=version, where=namespace,
                to_do="read it again, and decide again",
            )  # fmt: skip

    def _back_all(self, namespace: str | None, to: Point, reason: str) -> list[Entry]:
        with self._manager._writing() as ts_ns:
            revision = self._versions.revision_at(to)
            written = []
            for name in self._versions.names(namespace):
                then, now = self._versions.as_of(*name, revision), self._versions.head(*name)
                if not _same(_there(then), _there(now)):
                    written.append(self._back(self._draft(*name, "rollback", reason), then, ts_ns))
            return [self._manager._entry(row) for row in written]

    def _back(self, draft: Draft, then: Row | None, ts_ns: int) -> Row:
        """One row that has the value of `then` by pointing at it, however often it was pointed at before."""
        if then is None:
            return self._versions.append(draft, None, ts_ns)
        if not then.is_deleted:
            self._versions.stored(then)
        pointing = draft._replace(points_at=then.root, digest=then.digest, is_secret=then.is_secret)
        return self._versions.append(pointing, None, ts_ns)


def _there(row: Row | None) -> Row | None:
    return None if row is None or row.is_deleted else row


def _same(one: Row | None, other: Row | None) -> bool:
    """Whether the key had the same value in both."""
    if one is None or other is None:
        return one is other
    return (one.digest, one.is_secret) == (other.digest, other.is_secret)


def _demand_key(key: str) -> None:
    if type(key) is not str or not 0 < len(key) <= KEY_CHARACTERS_MAX or not key.isprintable():
        raise ValueRefused(
            "the name of a key is no such name", to_do=f"use 1 to {KEY_CHARACTERS_MAX} characters that can be printed"
        )
    if any(privacy.findings(key)):
        raise ValueRefused(
            "the name of a key holds something private",
            to_do="name what it is, not whose; put the private part into a secret value",
        )


def _demand_public(key: str, value: Value) -> None:
    private = any(privacy.holds_private(text) for text in texts_in(value))
    if private or any(privacy.holds_credential(text) for text in named_in(key, value)):
        raise ValueRefused(
            f"the value of `{key}` holds something private or a credential",
            to_do="write it with `--secret`, or leave it out",
        )


__all__ = [
    "STATE", "Change", "Entry", "Named", "Revision", "SnapshotTaken", "StateManager", "Version", "Versioned", "Writer",
]  # fmt: skip
