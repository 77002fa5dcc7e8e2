"""What the authority's process signs, and how anybody who has its public key tells a real approval from a forged one.

One Ed25519 signature covers a batch: the digests of up to 64 approvals, in their order. Each approval carries the whole
list, so that it can be checked alone. Kept here: what is signed begins with a name of its own, so that no signature by
a person, over a seal or of embedded mode can be taken for one over approvals · a type is compared by identity, never by
`==`, which a class may answer as it likes · no argument makes the verifier raise.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from graveyard.errors import MalformedRequest
from graveyard.words import Approval

BATCH_MAX = 64
_ITEM = b"ark.authority.approval/1\0"
_BATCH = b"ark.authority.batch/1\0"
_HEX = frozenset("0123456789abcdef")
_DIGEST_CHARS, _SIGNATURE_CHARS = 64, 128
INT64_MAX = 2**63 - 1

_encode = msgspec.json.Encoder().encode
_fields_of = msgspec.structs.astuple


class Said(NamedTuple):
    """What an approval says: its fields but the signature and the batch. See `Approval`."""

    proposal_id: str
    account: str
    digest: str
    position: int
    opening: bool
    hold_micros: int
    expires_ns: int
    ruleset: str


SAID_TYPES = (str, str, str, int, bool, int, int, str)
_APPROVAL_TYPES = (*SAID_TYPES, str, tuple)


def are_exactly(values: Sequence[Any], types: tuple[type, ...]) -> bool:
    """Whether the values are of exactly these types. A metaclass can lie about `==`; nothing can about `is`."""
    return len(values) == len(types) and all(type(value) is one for value, one in zip(values, types, strict=True))


def is_hex(text: str, chars: int) -> bool:
    return len(text) == chars and _HEX.issuperset(text)


def fault_of(said: tuple[Any, ...]) -> str:
    """Why an approval with these words cannot be signed; empty where it can."""
    if not are_exactly(said, SAID_TYPES):
        return "a value is of another type"
    one = Said(*said)
    if not one.proposal_id or not one.account:
        return "proposal or account has no name"
    if len(one.digest) != _DIGEST_CHARS or len(one.ruleset) != _DIGEST_CHARS:
        return "a digest has not 64 characters"
    if not 1 <= one.position <= INT64_MAX or not 1 <= one.expires_ns <= INT64_MAX:
        return "position or expiry is out of range"
    if not (1 if one.opening else 0) <= one.hold_micros <= INT64_MAX:
        return "the hold is out of range"
    return ""


def item_digest(said: tuple[Any, ...]) -> str:
    """SHA-256 of one approval's words, 64 hex digits.

    Raises:
        MalformedRequest: a text that cannot be written, such as a lone surrogate.
    """
    try:
        return sha256(_ITEM + _encode(tuple(said))).hexdigest()
    except (UnicodeError, msgspec.MsgspecError, TypeError, OverflowError) as error:
        raise MalformedRequest(f"an approval cannot be written: {error}") from error


def statement(batch: Sequence[str]) -> bytes:
    """The bytes that are signed for a batch of digests, in this order."""
    return _BATCH + sha256(b"%d\0" % len(batch) + "".join(batch).encode()).digest()


class BatchSigner:
    """Holds a private key that it makes itself and never gives away; signs batches of approvals."""

    __slots__ = ("_key",)

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()

    @property
    def public_key(self) -> str:
        """64 hex digits."""
        return self._key.public_key().public_bytes_raw().hex()

    def sign(self, batch: Sequence[Said]) -> tuple[Approval, ...]:
        """Approvals with these words, in their order, under one signature.

        Raises:
            MalformedRequest: none or more than 64, two alike, or words that cannot be signed; nothing is signed.
        """
        if not 1 <= len(batch) <= BATCH_MAX:
            raise MalformedRequest(f"a batch of `{len(batch)}` approvals cannot be signed")
        for said in batch:
            fault = fault_of(said)
            if fault:
                raise MalformedRequest(f"an approval was asked for that cannot be signed, {fault}: `{said!r:.200}`")
        digests = tuple(map(item_digest, batch))
        if len(set(digests)) != len(digests):
            raise MalformedRequest("an approval is twice in one batch")
        signature = self._key.sign(statement(digests)).hex()
        return tuple(Approval(*said, signature, digests) for said in batch)


class PublicVerifier:
    """Tells with the public key alone whether the authority's process made an approval.

    Expiry, single use, account and durable position are for the venue door to check.

    Args:
        public_key: Ed25519, 64 hex digits.

    Raises:
        MalformedRequest: it is no such key.
    """

    __slots__ = ("_digests", "_key", "_signature")

    def __init__(self, public_key: str) -> None:
        try:
            self._key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        except (ValueError, TypeError) as error:
            raise MalformedRequest("the authority's public key is not 64 hex digits of Ed25519") from error
        self._digests: tuple[str, ...] = ()  # of the last batch that was genuine: its siblings cost no signature
        self._signature = ""

    def verify(self, approval: Approval) -> bool:
        """Whether the authority made exactly this approval; never raises."""
        try:
            return self._is_genuine(approval)
        except Exception:  # noqa: BLE001  # error = refusal, whatever it is
            return False

    def _is_genuine(self, approval: Approval) -> bool:
        if type(approval) is not Approval:
            return False
        fields = _fields_of(approval)
        if not are_exactly(fields, _APPROVAL_TYPES) or fault_of(fields[:-2]):
            return False
        signature, batch = fields[-2:]
        return item_digest(fields[:-2]) in batch if self._is_signed(signature, batch) else False

    def _is_signed(self, signature: str, batch: tuple[str, ...]) -> bool:
        if batch is self._digests and signature == self._signature:
            return True  # the very list that was checked; siblings of one answer share it
        if not 1 <= len(batch) <= BATCH_MAX or not are_exactly(batch, (str,) * len(batch)):
            return False
        if batch == self._digests and signature == self._signature:
            return True
        if not is_hex(signature, _SIGNATURE_CHARS) or not all(is_hex(one, _DIGEST_CHARS) for one in batch):
            return False
        if len(set(batch)) != len(batch):
            return False
        try:
            self._key.verify(bytes.fromhex(signature), statement(batch))
        except InvalidSignature:
            return False
        self._signature, self._digests = signature, batch
        return True
