"""Journal, format 1 to 2: rows get leaf hashes, and the seals of segments become a chain over every stored byte.

Format 1: link = SHA-256(previous ‖ row); a seal covers marks, stamps and head of its own segment.
Format 2: link = SHA-256(previous ‖ SHA-256(0x00 ‖ row)); a seal covers the rows too, and the seal before.
Rows and stamps stay as they are; marks, heads and seals are computed again, after the old ones were checked. The formulas
of both formats are written out here: a migration does not change when the code that runs today does.

Checkpoints, which format 1 does not know, stay where they are on the way back: format 1 does not look at their table, and
what they say about rows stays true.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple

from mutable_core.errors import JournalBroken
from mutable_core.migrations.port import Migration

_MARK = 8
_ZERO = bytes(32)


class _Written(NamedTuple):
    """What a segment stores."""

    first: int
    last: int
    rows: bytes
    marks: bytes
    stamps: bytes
    head: bytes
    seal: bytes


class _Frame(NamedTuple):
    """What a format computes for a segment."""

    marks: bytes
    head: bytes
    seal: bytes


_Formula = Callable[[_Written, "_Frame"], _Frame]
"""A segment, and the frame of the segment before it."""


def _frame_1(one: _Written, before: _Frame) -> _Frame:
    hashes, head = [], before.head
    for row in one.rows.split(b"\n"):
        head = sha256(head + row).digest()
        hashes.append(head[:_MARK])
    marks = b"".join(hashes)
    sealed = sha256(b"ark segment %d %d " % (one.first, one.last) + marks + one.stamps + head)
    return _Frame(marks, head, sealed.digest())


def _frame_2(one: _Written, before: _Frame) -> _Frame:
    hashes, head = [], before.head
    for row in one.rows.split(b"\n"):
        head = sha256(head + sha256(b"\0" + row).digest()).digest()
        hashes.append(head[:_MARK])
    marks = b"".join(hashes)
    frame = b"ark segment %d %d %d %d %d " % (one.first, one.last, len(one.rows), len(marks), len(one.stamps))
    sealed = sha256(frame + before.seal + head + marks + one.stamps + one.rows)
    return _Frame(marks, head, sealed.digest())


def _rewrite(connection: sqlite3.Connection, old: _Formula, new: _Formula) -> None:
    """Segment by segment, so that memory does not grow with the journal."""
    seq, was, becomes = 0, _Frame(b"", _ZERO, _ZERO), _Frame(b"", _ZERO, _ZERO)
    while (one := _next(connection, seq)) is not None:
        was, becomes = old(one, was), new(one, becomes)
        _demand_whole(one, was, seq)
        connection.execute(
            "UPDATE segments SET marks = ?, head = ?, seal = ? WHERE first_seq = ?", (*becomes, one.first)
        )
        seq = one.last


def _next(connection: sqlite3.Connection, seq: int) -> _Written | None:
    query = "SELECT first_seq, last_seq, rows, marks, stamps, head, seal FROM segments WHERE first_seq > ? ORDER BY 1"
    found = connection.execute(f"{query} LIMIT 1", (seq,)).fetchone()
    if found is None:
        return None
    if [type(value) for value in found] != [int, int, bytes, bytes, bytes, bytes, bytes]:
        raise _broken(seq + 1)
    return _Written(*found)


def _demand_whole(one: _Written, computed: _Frame, seq: int) -> None:
    """What stands there must be what the old format computes.

    Raises:
        JournalBroken: it is not.
    """
    count = one.rows.count(b"\n") + 1
    if one.first != seq + 1 or one.last != seq + count or len(one.stamps) != 8 * count:
        raise _broken(seq + 1)
    if (one.marks, one.head, one.seal) != computed:
        pairs = range(0, len(computed.marks), _MARK)
        bad = next((at // _MARK for at in pairs if one.marks[at : at + _MARK] != computed.marks[at : at + _MARK]), 0)
        raise _broken(one.first + bad)


def _broken(row: int) -> JournalBroken:
    return JournalBroken(
        f"row {row} is not what was written; a damaged journal is not migrated",
        row=row,
        to_do="see docs/runbooks/journal-damaged.md",
    )


_CHECKPOINTS = """CREATE TABLE IF NOT EXISTS "checkpoints" (
   "rows" INTEGER PRIMARY KEY,
   "note" BLOB NOT NULL,
   "signature" BLOB NOT NULL,
   "peaks" BLOB NOT NULL
) STRICT"""


def _up(connection: sqlite3.Connection) -> None:
    connection.execute(_CHECKPOINTS)
    _rewrite(connection, _frame_1, _frame_2)


def _down(connection: sqlite3.Connection) -> None:
    _rewrite(connection, _frame_2, _frame_1)


MIGRATION = Migration("journal", 2, "rows get leaf hashes, and seals become a chain over every stored byte", _up, _down)
