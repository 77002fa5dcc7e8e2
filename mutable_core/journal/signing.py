"""The journal's own key (Ed25519). With it the house signs what it has written: checkpoints, snapshots, boots, backups.

A signature is over domain ‖ 0x00 ‖ text, so that what was signed as one thing cannot be shown as another. The key is made
at the first start, lies in `journal.key` (PEM, readable by its owner alone), and never leaves the machine; `journal.pub`
(64 hex digits) is for everybody. Public keys that were replaced stand in `former.pub`, one a line, written by a person.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from mutable_core.durable import sync, write_new
from mutable_core.errors import DiskUnavailable, SettingsRefused

PRIVATE = "journal.key"
PUBLIC = "journal.pub"
FORMER = "former.pub"
CHECKPOINT = b"ark checkpoint"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Signer:
    """Signs with the journal's key.

    Attributes:
        public: the public key, 32 bytes.
        former: public keys that signed before this one and are still believed.
    """

    def __init__(self, key: Ed25519PrivateKey, former: tuple[bytes, ...] = ()) -> None:
        self._key = key
        self.public = key.public_key().public_bytes_raw()
        self.former = former

    @classmethod
    def open(cls, folder: Path, name: str = "journal") -> Signer:
        """The key in `folder`; made, with the folder, if there has never been one. `name`: of the files, before the dot.

        Raises:
            SettingsRefused: others can read the key, it is no key, it is gone, or it does not fit its public half.
            DiskUnavailable: the folder cannot be read or written.
        """
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _refuse_readable(folder)
            private, public = folder / f"{name}.key", folder / f"{name}.pub"
            if not private.exists():
                _make(private, public)
            _refuse_readable(private)
            signer = cls(_private_key(private), public_keys(folder / FORMER))
            _publish(public, signer.public)
        except OSError as error:
            raise DiskUnavailable(f"the key of the {name} cannot be opened: {error}", where=str(folder)) from error
        return signer

    def sign(self, domain: bytes, text: bytes) -> bytes:
        """64 bytes over domain ‖ 0x00 ‖ text. `domain` holds no zero byte."""
        return self._key.sign(_message(domain, text))


def verify_signature(public: bytes, domain: bytes, text: bytes, signature: bytes) -> bool:
    """False for anything but this key's signature of this text in this domain; never raises."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, _message(domain, text))
    except (InvalidSignature, ValueError, UnsupportedAlgorithm):
        return False
    return True


def public_keys(path: Path) -> tuple[bytes, ...]:
    """The keys in a file of 64 hex digits a line; none where there is no file.

    Raises:
        SettingsRefused: a line is no key.
    """
    if not path.is_file():
        return ()
    try:
        keys = tuple(bytes.fromhex(line) for line in path.read_text(encoding="ascii").split())
    except ValueError as error:
        raise _no_key(path) from error
    if any(len(key) != 32 for key in keys):
        raise _no_key(path)
    return keys


def _message(domain: bytes, text: bytes) -> bytes:
    return domain + b"\0" + text


def _make(private: Path, public: Path) -> None:
    if public.exists():  # a new key would make every checkpoint so far look forged, and nobody would have been asked
        raise SettingsRefused(
            f"the key `{private.name}` is gone and `{public.name}` is still there",
            where=str(private.parent),
            to_do=f"put the key back; or, if it is lost, move the line of `{public.name}` to `{FORMER}`, and a new one is made",
        )
    text = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    draft = private.with_name(f"{private.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    write_new(draft, text, 0o600)
    try:
        os.link(draft, private)  # fails where another process was first; then its key is the key
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    sync(private.parent)


def _publish(path: Path, public: bytes) -> None:
    if not path.exists():
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        draft.unlink(missing_ok=True)
        write_new(draft, public.hex().encode() + b"\n", 0o644)
        draft.replace(path)
        sync(path.parent)
    elif public_keys(path) != (public,):
        private = path.with_suffix(".key").name
        raise SettingsRefused(f"`{path.name}` is not the public half of `{private}`", where=str(path.parent))


def _private_key(path: Path) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _no_key(path) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key(path)
    return key


def _no_key(path: Path) -> SettingsRefused:
    return SettingsRefused(
        f"`{path.name}` holds no Ed25519 key", where=str(path), to_do="put back the key that was there"
    )


def _refuse_readable(path: Path) -> None:
    if path.stat().st_mode & _OTHERS:
        raise SettingsRefused(
            f"`{path.name}` is open to others than its owner",
            where=str(path),
            to_do="take their rights away (chmod go=), and think who may have read the key",
        )
