"""Find messages in a journal by an id that stands in them. No index: a segment is searched as bytes, in SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mutable_core.journal.store import open_read_only
from mutable_core.messages import Envelope, decode


class Found(NamedTuple):
    envelope: Envelope
    stamp_ns: int


def rows_with(path: Path, text: str) -> Iterator[Found]:
    """Messages whose bytes hold `text`, in order."""
    needle = text.encode()
    connection = open_read_only(path)
    try:
        query = "SELECT rows, stamps FROM segments WHERE instr(rows, ?) > 0 ORDER BY first_seq"
        for rows, stamps in connection.execute(query, (needle,)):
            for index, row in enumerate(rows.split(b"\n")):
                if needle in row:
                    stamp = int.from_bytes(stamps[index * 8 : index * 8 + 8], "little", signed=True)
                    yield Found(decode(row), stamp)
    finally:
        connection.close()


def row_at(path: Path, seq: int) -> Envelope | None:
    """The message at a log position; None beyond the end."""
    connection = open_read_only(path)
    try:
        query = "SELECT first_seq, rows FROM segments WHERE first_seq <= ? AND last_seq >= ?"
        found = connection.execute(query, (seq, seq)).fetchone()
    finally:
        connection.close()
    return decode(found[1].split(b"\n")[seq - found[0]]) if found else None
