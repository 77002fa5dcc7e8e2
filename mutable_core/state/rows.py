"""A row of the store, and the hash that chains it to all rows before it.

hash = SHA-256("ark state" ‖ 0x00 ‖ hash of the row before ‖ MessagePack array of the row's fields, the hash left out).
The value itself is not hashed again: the row holds the SHA-256 of the stored bytes, so that a value can be dropped by
retention, or be a token that only the vault can open, and the chain still holds.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Literal, NamedTuple, TypeAlias

import msgspec

Kind: TypeAlias = Literal["put", "delete", "rollback", "reseal", "snapshot", "prune"]

GENESIS = bytes(32)
_DOMAIN = b"ark state\x00"
_encoder = msgspec.msgpack.Encoder()


class Row(NamedTuple):
    """One version of one key.

    Attributes:
        revision: of the store, from 1, contiguous; orders everything.
        version: of this key, from 1, contiguous.
        is_secret: 1 where the stored bytes are a token of the vault.
        points_at: the revision that holds the value; None where this row holds it, or where there is none.
        digest: SHA-256 of the stored bytes; None where the key is not there from this row on.
        author: who wrote it; `person` is the human being behind the operator.
        ts_ns: UTC; later than in every transaction before, whatever the clock did.
    """

    revision: int
    namespace: str
    key: str
    version: int
    kind: Kind
    is_secret: int
    points_at: int | None
    digest: bytes | None
    author: str
    person: str
    reason: str
    ts_ns: int
    hash: bytes

    @property
    def root(self) -> int:
        """The revision whose stored bytes are this row's value."""
        return self.revision if self.points_at is None else self.points_at

    @property
    def is_deleted(self) -> bool:
        return self.digest is None

    def linked(self, previous: bytes) -> bytes:
        """What the hash must be, after a row with the hash `previous`."""
        return sha256(_DOMAIN + previous + _encoder.encode(self[:-1])).digest()


COLUMNS = ", ".join(Row._fields)
