"""Snapshots: everything that a run has in memory, frozen and signed, so that a restart replays only what came after it.

A snapshot is a saving of time and never a source of truth: that is the journal. Kept here:

* It is taken between two turns, when nothing is queued, no order is on its way and every row before it is durable; it is
  no journal row, and the journal's head is the same with and without it.
* It is believed only if the journal's own key has signed it, for this run, by this very build, and if the journal holds
  its row under its hash. Whatever else lies there is passed over for an older one, or for none, and named in the report.
* A file appears under its name only when it is whole and on the disk; the newest two stay.

Whoever can use the journal's key can sign a snapshot that no journal leads to. `ark replay` replays all of a journal,
needs no snapshot, and so shows what a snapshot should have said.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from mutable_core.clock import wall_ns
from mutable_core.durable import sync
from mutable_core.errors import ArkError
from mutable_core.freezing import NotFrozen, freeze, thaw
from mutable_core.journal.signing import Signer, verify_signature
from mutable_core.journal.store import open_read_only
from mutable_core.journal.verifier import UNREADABLE

EVERY_ROWS = 8_192
"""What is replayed at a restart at most, but for rows that came while an order was on its way: about a second."""
KEPT = 2
DOMAIN = b"ark snapshot"
_MAGIC = b"ark snapshot 1\n"
_LENGTH_BYTES = 4
_SIGNATURE_BYTES = 64
_HEADER_BYTES_MAX = 4_096
_FILE_BYTES_MAX = 256 << 20
_STEM = "snapshot-"
_PATTERN = f"{_STEM}*.ark"
_DRAFT = "snapshot.draft"


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is signed.

    Attributes:
        build: digest of the source that took it, 64 hex digits.
        run: key of the run, 32 hex digits.
        seq: the last journal row in it.
        head: the chain's hash after that row, 32 bytes.
        body: SHA-256 of the frozen memory.
    """

    build: str
    run: str
    seq: int
    head: bytes
    body: bytes


class Memory(NamedTuple):
    """What a house knows between two turns.

    Attributes:
        agents: agent → its state.
        effects: see `agents.kenny.effects.Memory`.
        lease_granted_ns, discrepancy: what the log says of the lease; see `LeaseKeeper`.
        rows_read: position in the source.
        closed_row: position of the last slice that was closed.
        shown_row: the last row that the paper venue has seen, and kept.
    """

    agents: dict[str, Any]
    effects: Any
    lease_granted_ns: int
    discrepancy: str
    rows_read: int
    closed_row: int
    shown_row: int
    now_ns: int
    has_ended: bool


class Snapshot(NamedTuple):
    header: Header
    memory: Memory

    @property
    def seq(self) -> int:
        return self.header.seq

    @property
    def head(self) -> bytes:
        return self.header.head


class Found(NamedTuple):
    """The snapshot to start from, if any, and why newer files were passed over, a sentence each."""

    snapshot: Snapshot | None
    passed_over: tuple[str, ...]


def _named(path: Path) -> str:
    """`the snapshot at row 8,192`: the bare digits of its name would look like the number of an account."""
    row = path.stem.removeprefix(_STEM)
    return f"the snapshot at row {int(row):,}" if row.isascii() and row.isdigit() else f"the snapshot `{path.name}`"


class Snapshots:
    """The snapshots of one run.

    Args:
        folder: of the run.
        signer: holds the journal's key.
        build, run: what a snapshot must have been taken by and of.
        every: rows between two snapshots, ≥ 1.

    Attributes:
        seq: of the newest snapshot that was found or taken; 0 before the first.
        taken_ns: wall time at which this process took its newest one; 0 before the first.
        failure: why the last one could not be written; empty where it could.
    """

    def __init__(self, folder: Path, signer: Signer, *, build: str, run: str, every: int = EVERY_ROWS) -> None:
        self.seq = 0
        self.taken_ns = 0
        self.failure = ""
        self._folder = folder
        self._signer = signer
        self._build = build
        self._run = run
        self._every = every
        self._next = every

    def is_due(self, seq: int) -> bool:
        return seq >= self._next

    # -- taking -----------------------------------------------------------------------------------------------------

    def take(self, memory: Memory, seq: int, head: bytes) -> bool:
        """Write the snapshot of the house at row `seq`. False, and `failure`, where the disk does not take it.

        A run goes on without: its next start is slower, and nothing else.

        Raises:
            NotFrozen: the memory holds what cannot be frozen.
        """
        self._next = seq + self._every
        if seq == self.seq:
            return True  # what is there already says the same
        body = freeze(memory)
        header = msgspec.msgpack.encode(Header(self._build, self._run, seq, head, sha256(body).digest()))
        signature = self._signer.sign(DOMAIN, header)
        length = len(header).to_bytes(_LENGTH_BYTES, "big")
        try:
            self._write(f"{_STEM}{seq:012}.ark", b"".join((_MAGIC, length, header, signature, body)))
        except OSError as error:
            self.failure = f"snapshot {seq} could not be written: {error.strerror}"
            return False
        self.seq, self.taken_ns, self.failure = seq, wall_ns(), ""
        return True

    def _write(self, name: str, data: bytes) -> None:
        """Whole and durable under its name, or not there at all."""
        draft = self._folder / _DRAFT
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._folder / name)
        sync(self._folder)
        for older in [path for path in self._files() if path.name <= name][KEPT:]:
            with suppress(OSError):
                older.unlink()

    # -- finding ----------------------------------------------------------------------------------------------------

    def find(self, journal: Path) -> Found:
        """The newest snapshot that can be believed; `journal` is the run's, and is read only.

        What stands in the journal under the snapshot's row is compared, not verified: whoever starts from it verifies
        the journal (`checked_rows(path, after=seq)`), and must compare again.
        """
        passed_over: list[str] = []
        for path in self._files():
            try:
                snapshot = self._read(path)
                self._compare(snapshot.header, journal)
            except (OSError, sqlite3.Error, ArkError) as error:
                passed_over.append(f"{_named(path)}: {error}")
                continue
            self.seq, self._next = snapshot.seq, snapshot.seq + self._every
            return Found(snapshot, tuple(passed_over))
        return Found(None, tuple(passed_over))

    def _files(self) -> list[Path]:
        """The newest first."""
        return sorted(self._folder.glob(_PATTERN), key=lambda path: path.name, reverse=True)

    def _read(self, path: Path) -> Snapshot:
        if not path.is_file():  # to read a pipe would take for ever
            raise NotFrozen("it is no file")
        if path.stat().st_size > _FILE_BYTES_MAX:
            raise NotFrozen("it is too large")
        header, body = self._signed(path.read_bytes())
        if header.run != self._run:
            raise NotFrozen("it is of another run")
        if header.build != self._build:
            raise NotFrozen("it was taken by another build")
        if sha256(body).digest() != header.body:
            raise NotFrozen("its content is not what was signed")
        memory = thaw(body)
        if not isinstance(memory, Memory):
            raise NotFrozen("it holds no memory of a house")
        return Snapshot(header, memory)

    def _signed(self, data: bytes) -> tuple[Header, bytes]:
        """Header and body of a file whose header the journal's key has signed."""
        start = len(_MAGIC) + _LENGTH_BYTES
        length = int.from_bytes(data[len(_MAGIC) : start], "big")
        if not data.startswith(_MAGIC) or length > _HEADER_BYTES_MAX:
            raise NotFrozen("it is no snapshot")
        header, rest = data[start : start + length], data[start + length :]
        signature, body = rest[:_SIGNATURE_BYTES], rest[_SIGNATURE_BYTES:]
        keys = (self._signer.public, *self._signer.former)
        if not any(verify_signature(key, DOMAIN, header, signature) for key in keys):
            raise NotFrozen("the journal's key has not signed it")
        try:
            return msgspec.msgpack.decode(header, type=Header), body
        except msgspec.MsgspecError as error:
            raise NotFrozen("its header cannot be read") from error

    def _compare(self, header: Header, journal: Path) -> None:
        connection = open_read_only(journal)
        try:
            found = connection.execute("SELECT head FROM segments WHERE last_seq = ?", (header.seq,)).fetchone()
        except UNREADABLE as error:
            raise NotFrozen(f"the journal cannot be read: {error}") from error
        finally:
            connection.close()
        if found is None:
            raise NotFrozen(f"the journal has no row {header.seq}, or wrote it otherwise")
        if found[0] != header.head:
            raise NotFrozen("it is of another journal")
