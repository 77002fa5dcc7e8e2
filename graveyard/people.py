"""What a person signs, and how the signature is checked: exactly one act, at exactly one place in the log.

There is no way to sign several acts at once, or one that has not been asked for: the statement names the act's id, its
digest, and the log position at which it began to wait.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_DOMAIN = b"ark.person/1\0"  # a signature over anything else is none over this


def statement(*, act_id: str, digest: str, position: int, person: str) -> bytes:
    """The bytes that a person signs: domain, act, digest of the act, position of its `ApprovalAwaited`, who signs."""
    return _DOMAIN + "\n".join((act_id, digest, str(position), person)).encode()


def is_signed(public_key: str, signature: str, said: bytes) -> bool:
    """Whether `signature` (128 hex digits, Ed25519) over `said` is by the holder of `public_key`; never raises."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(bytes.fromhex(signature), said)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
