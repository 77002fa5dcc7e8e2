"""The hash chain: each row's hash covers the row and, through the hash before it, all rows before.

`leaf(row)` = SHA-256(0x00 ‖ row), which is also the row's leaf in the Merkle tree (`merkle.py`); `link(previous, leaf)` =
SHA-256(previous ‖ leaf). Chain and tree can both be recomputed from leaves alone, so a row may be left out of what is
handed on, and all the others still be checked. The chain begins with `GENESIS` and depends on the rows alone, not on
how they were grouped on the way to the disk.

Beside the rows a segment stores marks, stamps and the head; its `seal` covers all of them, the rows, and the seal before.
One hash of a segment's bytes therefore checks it, and the last seal checks the whole file.
"""

from __future__ import annotations

from hashlib import sha256

GENESIS = bytes(32)
NO_SEAL = bytes(32)
"""What the seal of the first segment follows on."""
MARK_BYTES = 8
"""How much of each row's hash is stored beside it, to name the first bad row inside a segment."""


def leaf(row: bytes) -> bytes:
    return sha256(b"\0" + row).digest()


def leaves(rows: list[bytes]) -> list[bytes]:
    return [sha256(b"\0" + row).digest() for row in rows]


def link(previous: bytes, leaf: bytes) -> bytes:
    return sha256(previous + leaf).digest()


def links(previous: bytes, leaves: list[bytes]) -> list[bytes]:
    """The chain's hash after each leaf."""
    hashes = []
    for one in leaves:
        previous = sha256(previous + one).digest()
        hashes.append(previous)
    return hashes


def head_after(previous: bytes, rows: list[bytes]) -> bytes:
    """The chain's hash after the last of `rows`; `previous` where there are none."""
    for row in rows:
        previous = sha256(previous + sha256(b"\0" + row).digest()).digest()
    return previous


def marks(hashes: list[bytes]) -> bytes:
    return b"".join([one[:MARK_BYTES] for one in hashes])


def seal(
    previous: bytes, first_seq: int, last_seq: int, rows: bytes, marks: bytes, stamps: bytes, head: bytes
) -> bytes:
    """Covers every byte that a segment stores, and through `previous`, the seal before it, every segment before.

    `previous` is `NO_SEAL` for the first segment; `rows` are joined by newlines, as they are stored.
    """
    frame = b"ark segment %d %d %d %d %d " % (first_seq, last_seq, len(rows), len(marks), len(stamps))
    digest = sha256(frame + previous + head + marks + stamps)
    digest.update(rows)  # apart: joining them would copy them
    return digest.digest()
