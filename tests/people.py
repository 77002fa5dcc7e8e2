"""People who sign in tests: each has a key that follows from the name, and signs one waiting act at one position."""

from __future__ import annotations

from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from graveyard.people import statement
from mutable_core.messages import ApprovalAwaited, Envelope, Person, PersonSigned


def key_of(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(sha256(name.encode()).digest())


def a_person(name: str) -> Person:
    return Person(name, key_of(name).public_key().public_bytes_raw().hex())


PEOPLE = tuple(a_person(name) for name in ("ann", "bob", "eve"))


def signed(awaited: Envelope, person: str = "ann", *, key: str = "", **changes: object) -> PersonSigned:
    """What `person` signs of the act that began to wait with `awaited`; by another's `key`, or with other words."""
    body = awaited.body
    assert isinstance(body, ApprovalAwaited)
    words = {"act_id": body.act_id, "digest": body.digest, "position": awaited.seq, "person": person}
    said = statement(**words)  # type: ignore[arg-type]
    values = words | {"signature": key_of(key or person).sign(said).hex()} | changes
    return PersonSigned(**values)  # type: ignore[arg-type]
