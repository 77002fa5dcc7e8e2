"""The manifest of a backup: what is in it, byte by byte, signed with the journal's key.

`MANIFEST.json` holds the manifest and the signature over its canonical bytes. Nothing of a backup is believed that the
manifest does not say.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from mutable_core.errors import Broken
from mutable_core.journal.signing import Signer, verify_signature

MANIFEST = "MANIFEST.json"
DOMAIN = b"ark backup"
FORMAT = 1


class CopiedFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file: its path inside the backup, with `/`, its bytes, and their SHA-256 (64 hex digits)."""

    path: str
    size: int
    sha256: str


class CopiedRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One run: its folder, how many rows its journal has, the chain's head after them (64 hex digits), and its format."""

    folder: str
    rows: int
    head: str
    format: int


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one backup holds.

    Attributes:
        name: the backup's folder.
        taken_ns: wall time when it was begun.
        build: digest of the build that took it.
        state_format: of state.sqlite; 0 where there was none.
    """

    format: int
    name: str
    taken_ns: int
    build: str
    state_format: int
    runs: tuple[CopiedRun, ...]
    files: tuple[CopiedFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files)


class _Signed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    manifest: Manifest
    key: str
    signature: str


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Signed).decode


class Read(msgspec.Struct, frozen=True):
    """A manifest whose signature holds, and the key (32 bytes) that made it."""

    manifest: Manifest
    key: bytes


def signed(manifest: Manifest, signer: Signer) -> bytes:
    """The bytes of `MANIFEST.json`."""
    signature = signer.sign(DOMAIN, _encode(manifest))
    one = _Signed(manifest, signer.public.hex(), signature.hex())
    return msgspec.json.format(_encode(one), indent=1) + b"\n"


def read(folder: Path) -> Read:
    """The manifest of the backup in `folder`.

    Raises:
        Broken: there is none, it is not what was signed, or it is of a newer build.
    """
    try:
        one = _decode((folder / MANIFEST).read_bytes())
        key, signature = bytes.fromhex(one.key), bytes.fromhex(one.signature)
    except OSError as error:
        raise Broken(f"the backup has no manifest: {error.strerror}", where=folder.name) from error
    except ValueError as error:  # what msgspec raises is one too
        raise Broken(f"the backup's manifest cannot be read: {error}", where=folder.name) from error
    if not verify_signature(key, DOMAIN, _encode(one.manifest), signature):
        raise Broken("the backup's manifest is not what was signed", where=folder.name)
    if one.manifest.format != FORMAT:
        raise Broken(f"the backup has format {one.manifest.format}, not {FORMAT}", where=folder.name)
    if one.manifest.name != folder.name:
        raise Broken(f"the backup says that it is `{one.manifest.name}`", where=folder.name)
    for file in one.manifest.files:
        if not is_inside(file.path):
            raise Broken("the backup's manifest names a file outside it", where=folder.name)
    return Read(one.manifest, key)


def is_inside(path: str) -> bool:
    """Whether a path of a manifest stays in its folder, and is not the manifest itself."""
    parts = path.split("/")
    return path != MANIFEST and "\0" not in path and not {"", ".", ".."} & set(parts)
