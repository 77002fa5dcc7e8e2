"""Files that survive a power failure: written whole, synced, and their names too."""

from __future__ import annotations

import os
from pathlib import Path


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
