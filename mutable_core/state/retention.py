"""Which values of old versions may go. Rows stay, with the digest of what they held: numbers and chain have no gap.

A value is kept while a kept version has it: each key's newest versions, what stood at any moment of the kept days, and
what stood at any named snapshot. What was dropped is written down as a row of its own, so that a value which is merely
missing is found out.
"""

from __future__ import annotations

import sqlite3

from mutable_core.state.errors import StateBroken
from mutable_core.state.rights import SNAPSHOTS
from mutable_core.state.values import decode, encode

# `heads` is not asked: where it is damaged, a value that stands must not be taken for an old one.
_DROPPABLE = """
WITH stood AS (
    SELECT v.revision, coalesce(v.points_at, v.revision) AS root, n.revision AS next_revision, n.ts_ns AS next_ts_ns,
           (SELECT max(m.version) FROM versions m WHERE m.namespace = v.namespace AND m.key = v.key) - v.version AS age
    FROM versions v
    LEFT JOIN versions n ON n.namespace = v.namespace AND n.key = v.key AND n.version = v.version + 1
), kept AS (
    SELECT root FROM stood
    WHERE age < :versions OR next_ts_ns > :since_ns OR EXISTS (
        SELECT 1 FROM versions s WHERE s.namespace = :snapshots AND s.revision >= stood.revision
        AND s.revision < stood.next_revision
    )
)
SELECT revision FROM versions
WHERE value IS NOT NULL AND namespace NOT LIKE '#%' AND revision NOT IN (SELECT root FROM kept)
ORDER BY revision
"""


def droppable(connection: sqlite3.Connection, *, versions: int, since_ns: int) -> list[int]:
    """Revisions whose values may go, ascending.

    A key's newest `versions` stay, and what stood at `since_ns` or later.
    """
    of = {"versions": versions, "since_ns": since_ns, "snapshots": SNAPSHOTS}
    return [found[0] for found in connection.execute(_DROPPABLE, of)]


def drop(connection: sqlite3.Connection, revisions: list[int]) -> None:
    connection.executemany("UPDATE versions SET value = NULL WHERE revision = ?", [(one,) for one in revisions])


def spans(revisions: list[int]) -> bytes:
    """Ascending revisions as runs, `[first, last, first, last, …]`: what a prune writes down."""
    runs: list[int] = []
    for one in revisions:
        if runs and runs[-1] == one - 1:
            runs[-1] = one
        else:
            runs += (one, one)
    return encode(runs)


def revisions_in(data: bytes, *, below: int) -> set[int]:
    """The revisions of runs that `spans` wrote.

    Raises:
        StateBroken: these are no runs of revisions before the prune's own, `below`.
    """
    runs = decode(data)
    if not isinstance(runs, list) or len(runs) % 2 or not all(type(one) is int and one < below for one in runs):
        raise StateBroken("a prune did not write down what it dropped")
    return {one for first, last in zip(runs[::2], runs[1::2], strict=True) for one in range(first, last + 1)}
