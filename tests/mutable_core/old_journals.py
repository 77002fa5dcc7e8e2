"""Journals of format 1: the corpus that its last build left, and a writer of our own, from the format's description."""

from __future__ import annotations

import gzip
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).parents[1] / "corpus"
NAMES = sorted(path.name.removesuffix(".gz") for path in CORPUS.glob("journal-1-*.gz"))


def unpacked(name: str, into: Path) -> Path:
    """A journal of the corpus, as a file of the test's own."""
    into.parent.mkdir(parents=True, exist_ok=True)
    into.write_bytes(gzip.decompress((CORPUS / f"{name}.gz").read_bytes()))
    return into


def written_1(path: Path, segments: Sequence[Sequence[tuple[bytes, int]]]) -> Path:
    """A journal of format 1 with these rows and stamps."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(
            "CREATE TABLE segments (first_seq INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL, rows BLOB NOT NULL, marks"
            " BLOB NOT NULL, stamps BLOB NOT NULL, head BLOB NOT NULL, seal BLOB NOT NULL) STRICT"
        )
        connection.execute("PRAGMA user_version = 1")
        head, first = bytes(32), 1
        for segment in segments:
            marks = b""
            for row, _ in segment:
                head = sha256(head + row).digest()
                marks += head[:8]
            last = first + len(segment) - 1
            stamps = b"".join(stamp.to_bytes(8, "little", signed=True) for _, stamp in segment)
            seal = sha256(f"ark segment {first} {last} ".encode() + marks + stamps + head).digest()
            rows = b"\n".join(row for row, _ in segment)
            connection.execute(
                "INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?, ?)", (first, last, rows, marks, stamps, head, seal)
            )
            first = last + 1
    return path


def contents(path: Path) -> dict[str, Any]:
    """All that the database says: its format, its tables, their rows."""
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
        return {
            "format": connection.execute("PRAGMA user_version").fetchone()[0],
            **{name: (sql, connection.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall()) for name, sql in tables},
        }
