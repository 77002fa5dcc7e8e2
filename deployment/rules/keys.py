"""The keys of those who sign the rules: made here, kept in a file that only their owner can read, never in a checkout."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from graveyard.signers import EXAMPLE_KEYS
from mutable_core.durable import PRIVATE_BYTES_MAX as MAX_BYTES
from mutable_core.durable import read_private, write_new
from mutable_core.errors import SettingsRefused

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_PUBLIC = re.compile(r"[0-9a-f]{64}")


class KeyPair(NamedTuple):
    """Where a new key lies; `public` has 64 hex digits."""

    public: str
    private_file: Path
    public_file: Path


def new_key(name: str, folder: Path, passphrase: bytes | None) -> KeyPair:
    """Make a key: `NAME.key` (mode 0600, PEM, encrypted where there is a passphrase) and `NAME.pub`.

    Raises:
        SettingsRefused: the name is none, a file of it is there, or the folder is in a checkout or cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise SettingsRefused(f"`{name[:40]}` is no name of a key", to_do="use a–z, 0–9, - and _, at most 40")
    _demand_outside_checkouts(folder)
    key = Ed25519PrivateKey.generate()
    public = public_of(key)
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    pair = KeyPair(public, folder / f"{name}.key", folder / f"{name}.pub")
    try:
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        write_new(pair.private_file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption), 0o600)
        write_new(pair.public_file, f"{public}\n".encode(), 0o644)
    except FileExistsError as error:
        raise SettingsRefused(
            "a key of this name is there, and is not written over", where=str(error.filename), to_do="take another name"
        ) from error
    except OSError as error:
        raise _unwritable(folder, error) from error
    return pair


def _unwritable(folder: Path, error: OSError) -> SettingsRefused:
    to_do = "name another folder with `--out`"
    return SettingsRefused(f"the key cannot be written: {error.strerror}", where=str(folder), to_do=to_do)


def private_key(path: Path, passphrase: bytes | None) -> Ed25519PrivateKey:
    """The key in a file that nobody else can read.

    Raises:
        SettingsRefused: there is none, somebody else could read it, or the passphrase does not open it.
    """
    data = _private_bytes(path)
    try:
        key = load_pem_private_key(data, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SettingsRefused(
            "the key cannot be opened", where=str(path), to_do="check the file and its passphrase (`--passphrase-file`)"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsRefused("the key is no Ed25519 key", where=str(path), to_do="make one with `ark rules keys new`")
    return key


def is_encrypted(path: Path) -> bool:
    """Whether a passphrase is needed.

    Raises:
        SettingsRefused: as `private_key`.
    """
    return b"ENCRYPTED" in _private_bytes(path)


def passphrase_in(path: Path) -> bytes:
    """The first line of a file that nobody else can read.

    Raises:
        SettingsRefused: there is none, somebody else could read it, or it is empty.
    """
    line = _private_bytes(path).partition(b"\n")[0].rstrip(b"\r")
    if not line:
        raise SettingsRefused("the passphrase is empty", where=str(path), to_do="write one into its first line")
    return line


def public_of(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes_raw().hex()


def public_key(path: Path) -> str:
    """The key in a `NAME.pub` file, 64 hex digits.

    Raises:
        SettingsRefused: there is none, or it is a key of the examples.
    """
    try:
        text = path.read_bytes()[:MAX_BYTES].decode("ascii").strip()
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(text))
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise _no_public_key(path) from error
    if not _PUBLIC.fullmatch(text):
        raise _no_public_key(path)
    if text in EXAMPLE_KEYS:
        raise SettingsRefused("this is a key of the examples, which everybody holds", where=str(path))
    return text


def _no_public_key(path: Path) -> SettingsRefused:
    return SettingsRefused(
        "there is no public key", where=str(path), to_do="give the `.pub` file of `ark rules keys new`"
    )


def _private_bytes(path: Path) -> bytes:
    return read_private(path, "make a new key")


def _demand_outside_checkouts(folder: Path) -> None:
    for parent in (folder.resolve(), *folder.resolve().parents):
        if (parent / ".git").exists():
            raise SettingsRefused(
                "the folder is inside a checkout, where a key gets committed",
                where=str(folder),
                to_do="name one outside with `--out`",
            )
