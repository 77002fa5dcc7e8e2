"""Where the backups of a state folder stand: which there are, which are good, and which have had their time.

A backup appears under its name only when it is whole and on the disk; what is still being made begins with a dot.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from deployment.backups.manifest import Manifest, Read, read
from mutable_core.clock import DAY_NS
from mutable_core.durable import sync
from mutable_core.errors import ArkError, Broken, DiskUnavailable, SettingsRefused, StateInUse
from mutable_core.journal.signing import FORMER, PUBLIC, public_keys

UNFINISHED = "."
"""What a folder that is still being made begins with."""
_LOCK = ".lock"
_NAME = re.compile(r"\d{8}T\d{6}Z-\d{3}")
_LEFT = re.compile(r"\.\d{8}T\d{6}Z-\d{3}(\.removed)?")


class Shelved(NamedTuple):
    """One backup as it is found; `manifest` is None and `finding` says why where it is not good."""

    name: str
    folder: Path
    manifest: Manifest | None
    finding: str


class Limits(NamedTuple):
    """How long backups are kept, and what they may take all together; 0 bytes is no limit."""

    keep_days: int
    max_bytes: int


def names_on(shelf: Path) -> list[str]:
    """Of the backups, the newest first."""
    if not shelf.is_dir():
        return []
    return sorted((path.name for path in shelf.iterdir() if _NAME.fullmatch(path.name)), reverse=True)


def believed_keys(keys: Path) -> tuple[bytes, ...]:
    """The journal's public keys of a state folder: the one in force, and those before it."""
    return (*public_keys(keys / PUBLIC), *public_keys(keys / FORMER))


def shelved(shelf: Path, name: str, believed: Sequence[bytes]) -> Shelved:
    """A backup by its signature, and by names and sizes of its files; their bytes are not read.

    Args:
        shelf: the folder of the backups.
        name: of the backup.
        believed: public keys; none means that whoever signed is believed.
    """
    folder = shelf / name
    try:
        found = read(folder)
        _demand_key(found, believed, name)
        _demand_files(folder, found.manifest)
    except ArkError as error:
        return Shelved(name, folder, None, error.what)
    return Shelved(name, folder, found.manifest, "")


def newest_good(shelf: Path, believed: Sequence[bytes]) -> Shelved | None:
    """The newest backup that is good at a glance."""
    return next((one for name in names_on(shelf) if (one := shelved(shelf, name, believed)).manifest), None)


def _demand_key(found: Read, believed: Sequence[bytes], name: str) -> None:
    if believed and found.key not in believed:
        raise Broken("the backup was signed by a key that is not this journal's", where=name)


def _demand_files(folder: Path, manifest: Manifest) -> None:
    for file in manifest.files:
        try:
            found = (folder / file.path).lstat()
        except OSError as error:
            raise Broken(f"`{file.path}` of the backup is not there", where=folder.name) from error
        if not stat.S_ISREG(found.st_mode) or found.st_size != file.size:
            raise Broken(f"`{file.path}` of the backup has {found.st_size} bytes, not {file.size}", where=folder.name)


@contextmanager
def held(shelf: Path) -> Iterator[None]:
    """The shelf, for one writer; what an earlier one left unfinished is removed.

    Raises:
        StateInUse: another process takes or removes backups now.
        DiskUnavailable: the folder cannot be written.
    """
    try:
        shelf.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(shelf / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DiskUnavailable(f"the backups cannot be written: {error.strerror}", where=str(shelf)) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StateInUse(
                "another process works on the backups", where=str(shelf), to_do="wait until it is done"
            ) from error
        _clear(shelf)
        yield
    finally:
        os.close(lock)


def _clear(shelf: Path) -> None:
    for path in shelf.iterdir():
        if _LEFT.fullmatch(path.name) and path.is_dir():
            shutil.rmtree(path, ignore_errors=True)


def tidy(shelf: Path, limits: Limits, now_ns: int, believed: Sequence[bytes]) -> tuple[str, ...]:
    """Remove what is too old, then the oldest until the rest fits; the newest good one is never removed.

    Returns the names of the removed. The caller holds the shelf.
    """
    found = [shelved(shelf, name, believed) for name in names_on(shelf)]
    good = [one for one in found if one.manifest]
    if not good:
        return ()  # nobody knows what the others are still good for
    oldest_ns = now_ns - limits.keep_days * DAY_NS
    kept = [one for one in found if one is good[0] or _taken_ns(one) >= oldest_ns]
    sizes = {one.name: _bytes_of(one.folder) for one in kept}
    while limits.max_bytes and sum(sizes.values()) > limits.max_bytes and len(kept) > 1:
        last = next(one for one in reversed(kept) if one is not good[0])
        kept.remove(last)
        del sizes[last.name]
    removed = tuple(one.name for one in found if one not in kept)
    for name in removed:
        _remove(shelf, name)
    return removed


def _taken_ns(one: Shelved) -> int:
    """When it was taken; of one that cannot be read, when its folder was last changed."""
    return one.manifest.taken_ns if one.manifest else one.folder.stat().st_mtime_ns


def _bytes_of(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*"))


def _remove(shelf: Path, name: str) -> None:
    """First out of sight, then away: a kill in between leaves no half backup under its name."""
    out_of_sight = shelf / f"{UNFINISHED}{name}.removed"
    (shelf / name).rename(out_of_sight)
    sync(shelf)
    shutil.rmtree(out_of_sight, ignore_errors=True)


def named(shelf: Path, name: str) -> str:
    """The name of a backup that a person means; `newest` is one too.

    Raises:
        SettingsRefused: there is none of that name.
    """
    names = names_on(shelf)
    if name == "newest" and names:
        return names[0]
    if name not in names:
        raise SettingsRefused(f"there is no backup {name[:60]!a}", where=str(shelf), to_do="see `ark backup list`")
    return name
