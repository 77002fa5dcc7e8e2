"""Is this journal what was written? Reads a file, trusts nothing, names the first bad row."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mutable_core.errors import JournalBroken, MalformedMessage
from mutable_core.journal import chain
from mutable_core.journal.store import Segment, open_read_only, read_segments
from mutable_core.messages import Envelope, decode


class Checked(NamedTuple):
    """One row that passed: its bytes, the envelope in them, and when the bus sequenced it."""

    row: bytes
    envelope: Envelope
    stamp_ns: int
    head: bytes


def checked_rows(path: Path) -> Iterator[Checked]:
    """Rows of the journal at `path`, each verified before it is handed out.

    Raises:
        JournalBroken: at the first row that is altered, missing, swapped, added or not canonical; `row` names it.
        MalformedSource: the file is no journal.
    """
    connection = open_read_only(path)
    head, seq = chain.GENESIS, 0
    try:
        for segment in read_segments(connection):
            if segment.first_seq != seq + 1:
                raise JournalBroken(f"row {seq + 1} is missing or out of order", row=seq + 1, where=path.name)
            for checked in _checked_segment(segment, head, path.name):
                yield checked
                head, seq = checked.head, seq + 1
            _check_frame(segment, head, seq, path.name)
    except (sqlite3.Error, OverflowError, MemoryError, UnicodeError) as error:
        raise JournalBroken(f"row {seq + 1} cannot be read: {error}", row=seq + 1, where=path.name) from error
    finally:
        connection.close()


def _checked_segment(segment: Segment, head: bytes, name: str) -> Iterator[Checked]:
    size = chain.MARK_BYTES
    for index, row in enumerate(segment.rows):
        seq = segment.first_seq + index
        head = chain.link(head, row)
        if head[:size] != segment.marks[index * size : (index + 1) * size]:
            raise JournalBroken(f"row {seq} is not what was written", row=seq, where=name)
        try:
            envelope = decode(row)
        except MalformedMessage as error:
            raise JournalBroken(f"row {seq} is no message: {error.what}", row=seq, where=name) from error
        if envelope.seq != seq:
            raise JournalBroken(f"row {seq} says that it is row {envelope.seq}", row=seq, where=name)
        stamp = int.from_bytes(segment.stamps[index * 8 : index * 8 + 8], "little", signed=True)
        yield Checked(row, envelope, stamp, head)


def _check_frame(segment: Segment, head: bytes, seq: int, name: str) -> None:
    if len(segment.rows) < len(segment.marks) // chain.MARK_BYTES:
        raise JournalBroken(f"row {seq + 1} is missing", row=seq + 1, where=name)
    sealed = chain.seal(segment.first_seq, segment.last_seq, segment.marks, segment.stamps, segment.head)
    if segment.last_seq != seq or segment.head != head or segment.seal != sealed:
        raise JournalBroken(
            f"the segment of rows {segment.first_seq}-{segment.last_seq} is not what was written",
            row=segment.first_seq,
            where=name,
        )


class Report(NamedTuple):
    """What verification found. `first_bad_row` is None where all is well."""

    ok: bool
    rows: int
    head: str
    first_bad_row: int | None
    finding: str


def verify(path: Path) -> Report:
    """Verify the whole journal at `path`: chain, order, framing, canonical form, and SQLite's own structure."""
    rows, head = 0, chain.GENESIS
    try:
        for checked in checked_rows(path):
            rows, head = rows + 1, checked.head
    except JournalBroken as error:
        return Report(False, rows, head.hex(), error.row, str(error))
    structure = _structure_fault(path)
    if structure:
        return Report(False, rows, head.hex(), rows + 1, f"the rows are whole, the file is not: {structure}")
    return Report(True, rows, head.hex(), None, "")


def _structure_fault(path: Path) -> str:
    connection = open_read_only(path)
    try:
        answer = connection.execute("PRAGMA integrity_check").fetchone()[0]
    except (sqlite3.Error, OverflowError, MemoryError, UnicodeError) as error:
        return str(error)
    finally:
        connection.close()
    return "" if answer == "ok" else str(answer).splitlines()[0]
