"""Ids: random where the world enters, derived everywhere after, opaque always."""

from __future__ import annotations

import os
import time
from hashlib import blake2b
from typing import NewType

Id = NewType("Id", str)
"""32 lower-case hex digits. A trace id has the form of a W3C trace id."""


def derived_id(*parts: str) -> Id:
    """The id that follows from `parts`: the same parts give the same id, in any process, for ever."""
    return Id(blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest())


def client_order_id(proposal_id: str) -> Id:
    """The venue's handle for the order of a proposal: the same proposal has the same one for ever, in any process."""
    return derived_id("client_order", proposal_id)


def uuid7() -> Id:
    """A fresh UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then random. For the edges only."""
    millis = time.time_ns() // 1_000_000  # the one ambient clock read outside `clock.py`: ids sort by birth
    value = bytearray(millis.to_bytes(6, "big") + os.urandom(10))
    value[6] = 0x70 | (value[6] & 0x0F)
    value[8] = 0x80 | (value[8] & 0x3F)
    return Id(value.hex())
