"""The hash chain: each row's hash covers the row and, through the hash before it, all rows before.

`link(previous, row)` = SHA-256(previous ‖ row). The chain begins with `GENESIS`. It depends on the rows alone, not on
how they were grouped on the way to the disk.
"""

from __future__ import annotations

from hashlib import sha256

GENESIS = bytes(32)
MARK_BYTES = 8
"""How much of each row's hash is stored beside it, to name the first bad row inside a segment."""


def link(previous: bytes, row: bytes) -> bytes:
    return sha256(previous + row).digest()


def links(previous: bytes, rows: list[bytes]) -> list[bytes]:
    """The hash after each row."""
    hashes = []
    for row in rows:
        previous = sha256(previous + row).digest()
        hashes.append(previous)
    return hashes


def seal(first_seq: int, last_seq: int, marks: bytes, stamps: bytes, head: bytes) -> bytes:
    """Covers what a segment stores beside its rows, so that no byte of a segment is unguarded."""
    return sha256(b"ark segment %d %d " % (first_seq, last_seq) + marks + stamps + head).digest()
