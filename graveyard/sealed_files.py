"""What the seal covers: every file of the Graveyard's folder, read without following a link.

Kept here: a link, a device, a file that everybody may write, a file too large or one too many is a fault, never an
exception · bytecode caches are not read, but nobody else may be able to write them · what is not listed as the seal's
own file is source, whatever its name, so a file that merely appears is noticed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

SEAL, RULES_SEALED, PROOFS, DRAFT = "SEAL.json", "RULES.json", "PROOFS.json", "SEAL.json.draft"
NOT_SOURCE = frozenset({SEAL, RULES_SEALED, PROOFS, DRAFT})
BYTECODE = "__pycache__"

MAX_BYTES = 16_777_216  # of all files together
MAX_FILES = 1_000
MAX_DEPTH = 6

Stamp = tuple[int, int, int, int, int, int]
"""Device, inode, size, mode, ns of the last change of the content, ns of the last change of anything."""


class Folder(NamedTuple):
    """The files below a folder, by their name relative to it, `/` between parts; links and devices are left out.

    Attributes:
        stamps: of the same files; equal stamps mean that nothing was written in between.
        faults: what is wrong with them, one line each, names relative to the folder.
    """

    files: Mapping[str, bytes]
    stamps: Mapping[str, Stamp]
    faults: tuple[str, ...]


def read_folder(folder: Path) -> Folder:
    """Read everything once. Raises nothing: what cannot be read is a fault."""
    reading = _Reading()
    try:
        _demand_parent(folder, reading)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        why = "a link" if folder.is_symlink() else error.strerror or "no folder"
        return Folder({}, {}, (f"the folder `{folder.name}` cannot be opened: {why}",))
    try:
        reading.folder(handle, "", depth=0)
    finally:
        os.close(handle)
    return Folder(reading.files, reading.stamps, tuple(reading.faults))


def source_digest(files: Mapping[str, bytes]) -> str:
    """SHA-256 over names and bytes of all files but the seal's own, 64 hex digits."""
    total = sha256()
    for name in sorted(files.keys() - NOT_SOURCE):
        total.update(f"{name}\0{len(files[name])}\0".encode("utf-8", "surrogateescape"))
        total.update(files[name])
    return total.hexdigest()


def _demand_parent(folder: Path, reading: _Reading) -> None:
    mode = folder.parent.stat().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        reading.fault(folder.name, "can be renamed by everybody: its parent is writable by all")


class _Reading:
    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.stamps: dict[str, Stamp] = {}
        self.faults: list[str] = []
        self._bytes_left = MAX_BYTES

    def fault(self, name: str, what: str) -> None:
        self.faults.append(f"`{ascii(name)[1:-1]}` {what}")  # a name may hold line breaks, or bytes that are no text

    def folder(self, handle: int, at: str, *, depth: int) -> None:
        """Everything below an open folder whose name, `/` at its end, is `at`."""
        self._demand_mode(os.fstat(handle).st_mode, at or "the folder")
        if depth > MAX_DEPTH:
            self.fault(at, f"is deeper than {MAX_DEPTH} folders")
            return
        for name in sorted(os.listdir(handle)):  # relative to an open folder: no path is walked twice
            try:
                self._entry(handle, name, at, depth)
            except OSError as error:
                self.fault(at + name, f"cannot be read: {error.strerror}")

    def _entry(self, parent: int, name: str, at: str, depth: int) -> None:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            handle = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
            try:
                if name == BYTECODE:
                    self._bytecode(handle, f"{at}{name}/")
                else:
                    self.folder(handle, f"{at}{name}/", depth=depth + 1)
            finally:
                os.close(handle)
        elif stat.S_ISREG(found.st_mode):
            self._file(parent, name, at)
        else:
            self.fault(at + name, "is a link" if stat.S_ISLNK(found.st_mode) else "is no file")

    def _bytecode(self, handle: int, at: str) -> None:
        """Python believes a cache whose time and size fit its source: it must be nobody else's to write."""
        self._demand_mode(os.fstat(handle).st_mode, at)
        for name in os.listdir(handle):  # relative to an open folder
            try:
                mode = os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode
            except FileNotFoundError:
                continue  # another process has just renewed it
            if stat.S_ISREG(mode):
                self._demand_mode(mode, f"{at}{name}")
            else:
                self.fault(at + name, "is no file")

    def _file(self, parent: int, name: str, at: str) -> None:
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
        with open(handle, "rb") as file:  # noqa: PTH123  # a descriptor, not a path
            found = os.fstat(handle)
            self._demand_mode(found.st_mode, f"{at}{name}")
            data = file.read(self._bytes_left + 1) if len(self.files) < MAX_FILES else None
        if data is None or len(data) > self._bytes_left:
            self.fault(at + name, "is too large, or one file too many")
            return
        self._bytes_left -= len(data)
        self.files[at + name] = data
        self.stamps[at + name] = (
            found.st_dev,
            found.st_ino,
            found.st_size,
            found.st_mode,
            found.st_mtime_ns,
            found.st_ctime_ns,
        )

    def _demand_mode(self, mode: int, name: str) -> None:
        if mode & stat.S_IWOTH:
            self.fault(name, "may be written by everybody")
