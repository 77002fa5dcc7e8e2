"""A Graveyard's folder in a folder of the test, sealed by fresh keys, and what can be done to it."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from graveyard.ethics import canonical_ruleset
from graveyard.seal import Examined, Seal, Signature, encode_seal, examine, graveyard_folder, signed_bytes
from graveyard.sealed_files import PROOFS, RULES_SEALED, SEAL, read_folder, source_digest

NOT_BEFORE, EXPIRES = "2026-03-01", "2026-05-30"
DAY_NS = 86_400 * 10**9
NOW_NS = int(datetime(2026, 4, 1, tzinfo=UTC).timestamp()) * 10**9

KEYS = tuple(Ed25519PrivateKey.generate() for _ in range(4))  # fresh in every run: three are pinned, one is nobody's


def public(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes_raw().hex()


PINNED = tuple(public(key) for key in KEYS[:3])


def example_key(number: int) -> Ed25519PrivateKey:
    """A key that everybody can make: it must be refused wherever it appears."""
    return Ed25519PrivateKey.from_private_bytes(sha256(f"ark example signer {number}".encode()).digest())


def today() -> str:
    return datetime.now(UTC).date().isoformat()


def in_days(days: int) -> str:
    return (datetime.now(UTC).date() + timedelta(days=days)).isoformat()


class Grave(NamedTuple):
    """The folder, and the seal that was made for it."""

    folder: Path
    seal: Seal

    def look(self, **changes: Any) -> Examined:
        return examine(self.folder, **({"now_ns": NOW_NS, "pinned": PINNED} | changes))

    def write(self, seal: Seal) -> None:
        (self.folder / SEAL).write_bytes(encode_seal(seal))

    def signed(self, *keys: Ed25519PrivateKey, **changes: Any) -> Seal:
        """The seal with these fields, signed over them by these keys; it stands in the folder."""
        seal = msgspec.structs.replace(self.seal, signatures=(), **changes)
        seal = signed_by(seal, *keys)
        self.write(seal)
        return seal

    def resealed(self) -> Seal:
        """A good seal of the files as they now are."""
        files = read_folder(self.folder).files
        return self.signed(
            *KEYS[:2], source=source_digest(files), report=sha256(files[PROOFS]).hexdigest(),
            ruleset=sha256(files[RULES_SEALED]).hexdigest(),
        )  # fmt: skip


def signed_by(seal: Seal, *keys: Ed25519PrivateKey) -> Seal:
    signatures = [Signature(public(key), key.sign(signed_bytes(seal)).hex()) for key in keys]
    return msgspec.structs.replace(seal, signatures=tuple(sorted(signatures, key=lambda one: one.key)))


def a_grave(folder: Path, *, not_before: str = NOT_BEFORE, expires: str = EXPIRES) -> Grave:
    """The Graveyard as it is loaded, sealed by the first two keys."""
    shutil.copytree(graveyard_folder(), folder, ignore=shutil.ignore_patterns("__pycache__", "*.json", "*.draft"))
    rules = canonical_ruleset()
    ruleset = sha256(rules).hexdigest()
    report = msgspec.json.encode({"properties": [], "ruleset": ruleset})
    (folder / RULES_SEALED).write_bytes(rules)
    (folder / PROOFS).write_bytes(report)
    seal = Seal(
        format=1, version=7, not_before=not_before, expires=expires, ruleset=ruleset,
        source=source_digest(read_folder(folder).files), report=sha256(report).hexdigest(), looser=(), signatures=(),
    )  # fmt: skip
    seal = signed_by(seal, *KEYS[:2])
    grave = Grave(folder, seal)
    grave.write(seal)
    return grave
