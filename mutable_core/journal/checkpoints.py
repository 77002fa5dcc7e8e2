"""Checkpoints: signed notes of what the journal held (rows, head, Merkle root, seal), each naming the one before.

One good signature on the newest therefore covers everything before it. A `Checkpoints` is the writer's side: it keeps the
Merkle tree's frontier as the journal grows and says when a checkpoint is due. What reads them is in `verifier.py`.
"""

from __future__ import annotations

import sqlite3
from typing import NoReturn

from graveyard.ethics import ruleset_digest
from mutable_core.clock import monotonic_ns, wall_ns
from mutable_core.errors import JournalBroken
from mutable_core.journal import chain
from mutable_core.journal.anchor import Anchor
from mutable_core.journal.signing import CHECKPOINT, Signer, verify_signature
from mutable_core.journal.verifier import (
    DUE_ROWS,
    NO_NOTE,
    Checkpoint,
    Frontier,
    Keys,
    Note,
    anchor_lines,
    anchored,
    covered,
    origins,
    stored_checkpoints,
    written_note,
)

DUE_NS = 60 * 1_000_000_000


class Checkpoints:
    """Where the signing of one journal stands.

    Attributes:
        newest: the newest checkpoint that was written; None before the first.
    """

    def __init__(self, signer: Signer, newest: Checkpoint | None = None) -> None:
        self.newest = newest
        self._signer = signer
        self._ruleset = bytes.fromhex(ruleset_digest())
        self._tree = Frontier.at(newest.note.rows, newest.peaks) if newest else Frontier()
        self._origin = newest.note.origin if newest else b""
        self._signed_ns = monotonic_ns()

    @classmethod
    def resume(cls, connection: sqlite3.Connection, signer: Signer, anchor: Anchor | None, name: str) -> Checkpoints:
        """Go on where the journal ends; the rows after its newest checkpoint are read again.

        Raises:
            JournalBroken: a checkpoint is not ours or not what was written, the rows after it do not follow on it, or
                the journal ends before one that was anchored.
        """
        keys = Keys(frozenset({signer.public, *signer.former}), "the signer")
        cover = covered(stored_checkpoints(connection), keys, verify_signature)
        if cover.bad is not None:
            raise JournalBroken(
                cover.bad.what,
                row=cover.bad.row,
                where=name,
                to_do="if the key was replaced, put the old public key into `former.pub` beside the new one",
            )
        resumed = cls(signer, cover.checkpoints[-1] if cover.checkpoints else None)
        resumed._read_tail(connection, name)
        lines = anchor_lines(anchor.path, origins(connection)) if anchor else []
        outside = anchored(lines, keys, verify_signature)
        if outside is not None and outside.note.rows > resumed.signed_rows:
            resumed._refuse(outside.note.rows, name)
        return resumed

    def _refuse(self, anchored_rows: int, name: str) -> NoReturn:
        """The anchor is written after the journal: it never holds a checkpoint that the journal does not."""
        ends = self._tree.size
        what = f"the journal is cut off after row {ends}" if anchored_rows > ends else "a checkpoint is missing"
        raise JournalBroken(
            f"{what}: the anchor has one of {anchored_rows} rows",
            row=(ends if anchored_rows > ends else self.signed_rows) + 1,
            where=name,
            to_do="restore the newest backup; or, to go on from here, move the anchor's file away",
        )

    def _read_tail(self, connection: sqlite3.Connection, name: str) -> None:
        """Rows that are durable and not signed yet. They were verified before a run resumes; here they must only follow."""
        note = self.newest.note if self.newest else None
        head = note.head if note else chain.GENESIS
        query = "SELECT rows, head FROM segments WHERE first_seq > ? ORDER BY first_seq"
        for rows, stored in connection.execute(query, (note.rows if note else 0,)):
            leaves = chain.leaves(rows.split(b"\n"))
            head = chain.links(head, leaves)[-1]
            self._extend(leaves)
            if head != stored:
                row = self.signed_rows + 1
                raise JournalBroken(
                    f"the rows after row {row - 1} do not follow on what was signed", row=row, where=name
                )

    @property
    def signed_rows(self) -> int:
        return self.newest.note.rows if self.newest else 0

    @property
    def unsigned(self) -> int:
        """Durable rows that no checkpoint covers."""
        return self._tree.size - self.signed_rows

    def extended(self, leaves: list[bytes], head: bytes, seal: bytes) -> Checkpoint | None:
        """Take the rows of a segment; the checkpoint that ends it, if one is due."""
        self._extend(leaves)
        if self.unsigned >= DUE_ROWS or monotonic_ns() - self._signed_ns >= DUE_NS:
            return self.signed(head, seal)
        return None

    def _extend(self, leaves: list[bytes]) -> None:
        if not self._tree.size:
            self._origin = leaves[0]
        self._tree.extend(leaves)

    def signed(self, head: bytes, seal: bytes) -> Checkpoint:
        """A checkpoint of everything so far; it counts as written once `newest` is set to it."""
        note = Note(
            origin=self._origin,
            rows=self._tree.size,
            head=head,
            root=self._tree.root(),
            seal=seal,
            previous=self.newest.digest if self.newest else NO_NOTE,
            ruleset=self._ruleset,
            time_ns=wall_ns(),
            key=self._signer.public,
        )
        text = written_note(note)
        self._signed_ns = monotonic_ns()
        return Checkpoint(note, text, self._signer.sign(CHECKPOINT, text), self._tree.peaks)
