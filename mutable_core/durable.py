"""Files that must be what they were: durable to the last byte, and, where they are private, nobody else's to read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from mutable_core.errors import SettingsRefused

PRIVATE_BYTES_MAX = 4_096
"""Of a file with keys or a passphrase."""


def sync(path: Path) -> None:
    """Return when the file's bytes, or the names in the folder, are on the disk.

    Raises:
        OSError: they are not.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_new(path: Path, data: bytes, mode: int) -> None:
    """A new file with exactly this mode, whatever the umask; its name is durable when its folder is synced.

    Raises:
        FileExistsError: something has the name.
        OSError: it could not be written.
    """
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:  # with a mode
        os.fchmod(file.fileno(), mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def read_private(path: Path, if_exposed: str) -> bytes:
    """The bytes of a file with a key, at most `PRIVATE_BYTES_MAX`.

    The descriptor is checked, so that the file cannot be changed for another in between.

    Args:
        path: of the file; a link is not followed.
        if_exposed: what else to do where somebody could have read it.

    Raises:
        SettingsRefused: it cannot be read, is no such file, or others than its owner, who must be us, could read it.
    """
    try:
        with open(path, "rb", opener=_no_link) as file:  # with flags that Path.open does not take
            found = os.fstat(file.fileno())
            data = file.read(PRIVATE_BYTES_MAX + 1)
    except OSError as error:
        raise SettingsRefused(f"the key file cannot be read: {error.strerror}", where=str(path)) from error
    if not stat.S_ISREG(found.st_mode) or len(data) > PRIVATE_BYTES_MAX:
        raise SettingsRefused("this is no key file", where=str(path))
    if found.st_mode & 0o077 or found.st_uid != os.geteuid():
        raise SettingsRefused(
            "somebody else could read the key file",
            where=str(path),
            to_do=f"own it and `chmod 600` it; if others can log in here, {if_exposed}",
        )
    return data


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
