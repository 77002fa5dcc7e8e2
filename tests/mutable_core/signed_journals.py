"""Small signed journals in state folders of their own, and every way to falsify one that a forger has."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mutable_core.journal import Anchor, Journal, Signer, chain
from mutable_core.journal.signing import CHECKPOINT
from mutable_core.journal.verifier import NO_NOTE, Checkpoint, Frontier, read_note, written_note
from mutable_core.messages import SliceClosed, encode
from tests.makers import an_envelope

SEGMENTS = (3, 1, 4, 2, 3)
CHECKPOINTS = (4, 8, 13)
"""Rows 1–3, 4, 5–8, 9–10, 11–13; signed at 4, 8 and at the end."""


def a_row(seq: int, step: int = 1) -> bytes:
    return encode(an_envelope(SliceClosed(seq, step), seq=seq))


ROWS = [a_row(seq) for seq in range(1, sum(SEGMENTS) + 1)]


class State(NamedTuple):
    """A state folder with one run in it."""

    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / "run" / "journal.sqlite"

    @property
    def anchor(self) -> Path:
        return self.folder / "anchor.log"

    @property
    def signer(self) -> Signer:
        return Signer.open(self.folder / "keys")

    @property
    def key(self) -> str:
        return self.signer.public.hex()

    def open(self) -> Journal:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return Journal.open(self.path, self.signer, Anchor(self.anchor))


def written(
    folder: Path, rows: Sequence[bytes] = ROWS, segments: Sequence[int] = SEGMENTS, signed: Sequence[int] = CHECKPOINTS
) -> State:
    """A journal of these rows, committed in these groups, signed after these rows and at its end."""
    state = State(folder)
    journal, left = state.open(), iter(rows)
    for size in segments:
        for _ in range(size):
            journal.append(next(left), 7)
        journal.commit()
        if journal.durable_seq in signed:
            journal.checkpoint()
    journal.close()
    return state


@contextmanager
def database(path: Path) -> Any:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


def sql(statement: str, *values: Any) -> Callable[[State], None]:
    def act(state: State) -> None:
        with database(state.path) as db:
            assert db.execute(statement, values).rowcount > 0, "a falsification that changes nothing proves nothing"

    return act


def column(table: str, name: str, key: int, change: Callable[[bytes], bytes]) -> Callable[[State], None]:
    """One value of one segment or checkpoint changed."""
    where = "first_seq" if table == "segments" else "rows"

    def act(state: State) -> None:
        with database(state.path) as db:
            (old,) = db.execute(f"SELECT {name} FROM {table} WHERE {where} = ?", (key,)).fetchone()
            new = change(old)
            assert new != old
            db.execute(f"UPDATE {table} SET {name} = ? WHERE {where} = ?", (new, key))

    return act


def rows_of(first_seq: int, change: Callable[[list[bytes]], list[bytes]]) -> Callable[[State], None]:
    return column("segments", "rows", first_seq, lambda blob: b"\n".join(change(blob.split(b"\n"))))


def flip(data: bytes, at: int, bit: int = 0) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


def rehashed(seq: int, row: bytes, *, keep_heads: bool = False) -> Callable[[State], None]:
    """Another row at `seq`, and everything that can be computed without a key computed again, to the end.

    `keep_heads`: the stored heads stay as they were, for somebody who only compares those.
    """

    def act(state: State) -> None:
        with database(state.path) as db:
            head, seal = chain.GENESIS, chain.NO_SEAL
            query = "SELECT first_seq, last_seq, rows, stamps, head FROM segments ORDER BY first_seq"
            for first, last, blob, stamps, stored in db.execute(query).fetchall():
                rows = blob.split(b"\n")
                if first <= seq <= last:
                    assert rows[seq - first] != row
                    rows[seq - first] = row
                hashes = chain.links(head, chain.leaves(rows))
                joined, marks, head = b"\n".join(rows), chain.marks(hashes), stored if keep_heads else hashes[-1]
                seal = chain.seal(seal, first, last, joined, marks, stamps, head)
                db.execute(
                    "UPDATE segments SET rows = ?, marks = ?, head = ?, seal = ? WHERE first_seq = ?",
                    (joined, marks, head, seal, first),
                )

    return act


def signed_again(state: State, *, since: int = 0) -> Signer:
    """Checkpoints after row `since` made anew over what the journal holds now, by a forger with a key of their own."""
    forger = Signer(Ed25519PrivateKey.generate())
    with database(state.path) as db:
        segments = {last: (head, seal) for last, head, seal in db.execute("SELECT last_seq, head, seal FROM segments")}
        blobs = db.execute("SELECT rows FROM segments ORDER BY first_seq").fetchall()
        leaves = chain.leaves([row for (blob,) in blobs for row in blob.split(b"\n")])
        previous, tree = NO_NOTE, Frontier()
        found = db.execute("SELECT rows, note, signature FROM checkpoints ORDER BY rows").fetchall()
        for rows, old, signature in found:
            one = Checkpoint(read_note(old), old, signature)
            if rows > since:
                tree.extend(leaves[tree.size : rows])
                head, seal = segments[rows]
                note = one.note._replace(
                    origin=leaves[0], head=head, seal=seal, root=tree.root(), previous=previous, key=forger.public
                )
                text = written_note(note)
                one = Checkpoint(note, text, forger.sign(CHECKPOINT, text), tree.peaks)
                db.execute("UPDATE checkpoints SET note = ?, signature = ?, peaks = ? WHERE rows = ?", (*one[1:], rows))
            previous = one.digest
    return forger


def both(*acts: Callable[[State], Any]) -> Callable[[State], None]:
    def act(state: State) -> None:
        for one in acts:
            one(state)

    return act


def cut_off(after: int) -> Callable[[State], None]:
    """The segments and checkpoints after this row are gone, as if they had never been."""
    return both(
        sql("DELETE FROM segments WHERE first_seq > ?", after), sql("DELETE FROM checkpoints WHERE rows > ?", after)
    )


TAMPERINGS: dict[str, tuple[Callable[[State], Any], int]] = {
    "a byte of row 6 altered": (rows_of(5, lambda rows: [rows[0], flip(rows[1], 9), *rows[2:]]), 6),
    "rows 6 and 7 swapped": (rows_of(5, lambda rows: [rows[0], rows[2], rows[1], rows[3]]), 6),
    "row 6 missing": (rows_of(5, lambda rows: [rows[0], *rows[2:]]), 6),
    "row 7 said twice": (rows_of(5, lambda rows: [*rows[:3], *rows[2:]]), 8),
    "a row put in after row 6": (rows_of(5, lambda rows: [*rows[:2], ROWS[0], *rows[2:]]), 7),
    "a segment gone": (sql("DELETE FROM segments WHERE first_seq = 4"), 4),
    "a segment again at the end": (
        sql("INSERT INTO segments SELECT 14, 17, rows, marks, stamps, head, seal FROM segments WHERE first_seq = 5"), 14,
    ),
    "a stamp altered": (column("segments", "stamps", 5, lambda stamps: flip(stamps, 3)), 5),
    "the last rows cut off": (sql("DELETE FROM segments WHERE first_seq = 11"), 11),
    "the last rows cut off with their checkpoint": (cut_off(10), 11),
    "everything after row 4 cut off, up to a checkpoint": (cut_off(4), 5),
    "row 6 written anew with every hash after it": (rehashed(6, a_row(6, 2)), 5),
    "row 6 written anew, and its checkpoints taken away": (
        both(rehashed(6, a_row(6, 2)), sql("DELETE FROM checkpoints WHERE rows > 4")), 5,
    ),
    "row 6 written anew, and signed by somebody else": (
        both(rehashed(6, a_row(6, 2)), lambda state: signed_again(state, since=4)), 5,
    ),
    "everything signed by somebody else": (signed_again, 1),
    "the note of a checkpoint altered": (column("checkpoints", "note", 8, lambda note: flip(note, 40)), 5),
    "the signature of the newest checkpoint altered": (column("checkpoints", "signature", 13, lambda one: flip(one, 5)), 9),
    "the signature of the first checkpoint altered": (column("checkpoints", "signature", 4, lambda one: flip(one, 5)), 1),
    "the peaks of a checkpoint altered": (column("checkpoints", "peaks", 8, lambda one: flip(one, 5)), 5),
    "a checkpoint gone": (sql("DELETE FROM checkpoints WHERE rows = 8"), 5),
    "all checkpoints gone": (sql("DELETE FROM checkpoints"), 1),
}  # fmt: skip
"""What was done, and the first row that can no longer be believed."""
