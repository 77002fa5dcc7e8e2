"""A journal read for export: every row checked, its leaf kept, and the signed checkpoints that cover it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from mutable_core.errors import JournalBroken, UnknownName
from mutable_core.journal import chain
from mutable_core.journal.merkle import inclusion_path
from mutable_core.journal.signing import verify_signature
from mutable_core.journal.store import open_read_only
from mutable_core.journal.verifier import Bad, Checkpoint, JournalCheck, anchor_beside
from mutable_core.journal.verify import believed_keys


class Read(NamedTuple):
    """A whole journal.

    Attributes:
        leaves: of every row.
        checkpoints: those that hold, oldest first.
        rows: of the wanted range, by position.
        head_before: the chain's head before the first of them.
    """

    leaves: list[bytes]
    checkpoints: list[Checkpoint]
    rows: dict[int, bytes]
    head_before: bytes

    @property
    def signed_rows(self) -> int:
        return self.checkpoints[-1].note.rows if self.checkpoints else 0


def read(path: Path, first: int, last: int) -> Read:
    """The journal at `path`, and its rows `first` … `last`.

    Raises:
        JournalBroken: a row is not what was written: broken evidence is not handed out.
    """
    with _opened(path) as check:
        found = Read([], check.cover.checkpoints, {}, chain.GENESIS)
        for one in check.rows():
            found.leaves.append(chain.leaf(one.row))
            if one.seq < first:
                found = found._replace(head_before=one.head)
            elif one.seq <= last:
                found.rows[one.seq] = one.row
        return found


@contextmanager
def _opened(path: Path) -> Iterator[JournalCheck]:
    connection = open_read_only(path)
    try:
        yield JournalCheck(connection, believed_keys(path), anchor_beside(path), verify=verify_signature, after=0)
    except Bad as bad:
        raise JournalBroken(bad.what, row=bad.row, where=path.name, to_do="see `ark verify`") from bad
    finally:
        connection.close()


class Inclusion(NamedTuple):
    """What shows that a row stands in the tree of the newest checkpoint (RFC 9162). Hashes in hex; `leaf_index` is 0-based."""

    row: str
    leaf: str
    leaf_index: int
    tree_rows: int
    path: list[str]
    root: str
    checkpoint: str
    signature: str


def inclusion(path: Path, seq: int) -> Inclusion:
    """The proof for the row at position `seq`.

    Raises:
        UnknownName: there is no such row, or no checkpoint covers it.
        JournalBroken: the journal is not what was written.
    """
    found = read(path, seq, seq)
    if seq not in found.rows or seq > found.signed_rows:
        raise UnknownName(
            f"no checkpoint covers a row `{seq}`", where=path.name, to_do=f"{found.signed_rows} rows are signed"
        )
    newest = found.checkpoints[-1]
    return Inclusion(
        row=found.rows[seq].decode(),
        leaf=found.leaves[seq - 1].hex(),
        leaf_index=seq - 1,
        tree_rows=newest.note.rows,
        path=[one.hex() for one in inclusion_path(found.leaves[: newest.note.rows], seq - 1)],
        root=newest.note.root.hex(),
        checkpoint=newest.text.decode(),
        signature=newest.signature.hex(),
    )
