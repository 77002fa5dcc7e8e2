"""Secrets of the state store, sealed with a key that lies outside of it.

The key file holds Fernet keys, one a line: the first seals, all open. It lies outside the state folder, so that whoever
gets the store, or a backup of it, gets no secret. A sealed value names the place that it was sealed for, and opens nowhere
else. Keys are made by a person (`ark state key new`), never in passing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from mutable_core.durable import read_private, sync, write_new
from mutable_core.errors import SettingsRefused, Unavailable
from mutable_core.state.errors import StateBroken
from mutable_core.state.values import Value, decode, encode


class VaultLocked(Unavailable):
    """There is no key that opens, or seals, this value."""


class Vault:
    """Seals and opens values; knows its keys, and never shows them."""

    def __init__(self, path: Path, keys: MultiFernet) -> None:
        self.path = path
        self._keys = keys

    @classmethod
    def open(cls, path: Path, *, outside: Path) -> Self:
        """The vault of the key file at `path`.

        Args:
            path: of a file that nobody else can read.
            outside: the state folder, in which the key must not lie.

        Raises:
            VaultLocked: there is no such file.
            SettingsRefused: it lies inside `outside`, somebody else could read it, or it holds no keys.
        """
        _demand_outside(path, outside)
        return cls(path, _keys_in(path))

    def seal(self, value: Value, namespace: str, key: str) -> bytes:
        """A token that `unseal` opens for the same place only.

        Raises:
            ValueRefused: the value cannot be stored.
        """
        return self._keys.encrypt(encode([namespace, key, value]))

    def unseal(self, token: bytes, namespace: str, key: str) -> Value:
        """The value that was sealed for this place.

        Raises:
            VaultLocked: no key of the file opens it.
            StateBroken: it was sealed for another place.
        """
        sealed = decode(self._opened(token))
        if not isinstance(sealed, list) or sealed[:2] != [namespace, key]:
            raise StateBroken("a secret was sealed for another place", where=f"{namespace}/{key}")
        return sealed[2]

    def _opened(self, token: bytes) -> bytes:
        try:
            return self._keys.decrypt(token)
        except InvalidToken:
            self._keys = _keys_in(self.path)  # another process may have added one since
        try:
            return self._keys.decrypt(token)
        except InvalidToken as error:
            raise VaultLocked(
                "no key of the key file opens this secret",
                where=str(self.path),
                to_do="put the key that sealed it back into the file, on a line of its own",
            ) from error


def new_key(path: Path, *, outside: Path) -> None:
    """Make the key file, with one key; mode 0600.

    Raises:
        SettingsRefused: it is there already, lies inside `outside`, or cannot be written.
    """
    _demand_outside(path, outside)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_new(path, Fernet.generate_key() + b"\n", 0o600)
        sync(path.parent)
    except FileExistsError as error:
        raise SettingsRefused(
            "a key is there, and is not written over", where=str(path), to_do="for another one: `ark state key rotate`"
        ) from error
    except OSError as error:
        raise _unwritable(path, error) from error


def add_key(path: Path, *, outside: Path) -> None:
    """Put a new key before the others: it seals from now on, and the others still open.

    Raises:
        VaultLocked, SettingsRefused: as `Vault.open`, or the file cannot be written.
    """
    Vault.open(path, outside=outside)
    draft = path.with_name(path.name + ".new")
    try:
        draft.unlink(missing_ok=True)
        write_new(draft, Fernet.generate_key() + b"\n" + _private_bytes(path), 0o600)
        draft.replace(path)
        sync(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error


def _demand_outside(path: Path, outside: Path) -> None:
    if path.resolve().is_relative_to(outside.resolve()):
        raise SettingsRefused(
            "the key file lies inside the state folder, and would be copied with what it locks",
            where=str(path),
            to_do="name a file elsewhere with `ARK_VAULT_KEY_FILE`",
        )


def _keys_in(path: Path) -> MultiFernet:
    lines = [line.strip() for line in _private_bytes(path).splitlines() if line.strip()]
    try:
        return MultiFernet([Fernet(line) for line in lines])
    except ValueError as error:
        raise SettingsRefused(
            "the key file holds no keys, or a line that is none", where=str(path), to_do="put the right file back"
        ) from error


def _private_bytes(path: Path) -> bytes:
    if not os.path.lexists(path):
        raise VaultLocked(
            "there is no key for secrets",
            where=str(path),
            to_do="make one with `ark state key new`, or name yours with `ARK_VAULT_KEY_FILE`",
        )
    return read_private(path, "`ark state key rotate`")


def _unwritable(path: Path, error: OSError) -> SettingsRefused:
    return SettingsRefused(
        f"the key file cannot be written: {error.strerror}",
        where=str(path),
        to_do="name another with `ARK_VAULT_KEY_FILE`",
    )
