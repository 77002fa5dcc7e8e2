"""The state folder: one owner at a time, one folder inside it for each run.

state.sqlite       what the house remembers between runs: versioned values, boot reports
keys/              the journal's key pair
anchor.log         every checkpoint of every journal, again, outside the journals
backups/           copies
<run>/             journal.sqlite, venue.log, snapshot-*.ark; for a paper venue this is the account
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from mutable_core.clock import wall_ns
from mutable_core.errors import Broken, DiskUnavailable, StateInUse

JOURNAL = "journal.sqlite"
VENUE = "venue.log"
DATABASE = "state.sqlite"
KEYS = "keys"
ANCHOR = "anchor.log"
BACKUPS = "backups"
_SEAL_NOTE = "seal-version"
_OWNER = "owner.lock"


class StateDir:
    """Holds the state folder, and the folder of each run in it that is asked for, for this process.

    A second process is refused and told who holds it, also where it came to the same run by another state folder. The
    locks are the kernel's (flock): they end with the process, however that ends.

    Args:
        is_held: the process that started this one holds the folder for both; only runs in it are taken here.
    """

    def __init__(self, path: Path, *, is_held: bool = False) -> None:
        self.path = path
        self._is_held = is_held
        self._locks: list[int] = []

    def __enter__(self) -> Self:
        """Take the folder.

        Raises:
            StateInUse: another process has it; its pid and host are named.
            DiskUnavailable: the folder cannot be made or written.
        """
        if self._is_held:
            return self
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise _unusable(self.path, error) from error
        try:
            self._take(self.path, "the state folder")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _take(self, folder: Path, what: str) -> None:
        """Lock a folder, and write into it who has it."""
        try:
            lock = os.open(folder / _OWNER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unusable(folder, error) from error
        self._locks.append(lock)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StateInUse(
                f"{what} is in use by {_owner(os.pread(lock, 4_096, 0))}",
                where=str(folder),
                to_do="stop that one, or name another folder with `ARK_STATE_DIR` or `--state`",
            ) from error
        owner = {"pid": os.getpid(), "host": socket.gethostname(), "since_ns": str(wall_ns())}
        try:
            os.ftruncate(lock, 0)
            os.pwrite(lock, json.dumps(owner).encode(), 0)
        except OSError as error:
            raise DiskUnavailable(
                f"the state folder cannot be written: {error.strerror}", where=str(folder), to_do="free the disk"
            ) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        locks, self._locks = self._locks, []
        for lock in locks:
            os.close(lock)

    @property
    def keys(self) -> Path:
        """Where private keys lie that belong to this state; the Watchdog looks at who could read them."""
        return self.path / KEYS

    @property
    def database(self) -> Path:
        """The versioned state of the house; see `mutable_core.state_manager`."""
        return self.path / DATABASE

    @property
    def anchor(self) -> Path:
        """Where every checkpoint is written down a second time."""
        return self.path / ANCHOR

    @property
    def backups(self) -> Path:
        return self.path / BACKUPS

    def newest_seal(self) -> int:
        """The newest version of the rules that ever ran here; 0 before the first.

        Raises:
            Broken: nobody can say, for the note cannot be read.
        """
        try:
            return int((self.path / _SEAL_NOTE).read_text(encoding="ascii"))
        except FileNotFoundError:
            return 0
        except (OSError, ValueError) as error:
            raise Broken(
                "the newest version of the rules that ran here cannot be read",
                where=str(self.path / _SEAL_NOTE),
                to_do="see docs/runbooks/seal-broken.md",
            ) from error

    def note_seal(self, version: int) -> None:
        """From now on no older version of the rules runs here."""
        if version <= self.newest_seal():
            return
        note = self.path / f"{_SEAL_NOTE}.new"
        try:
            note.write_text(f"{version}\n", encoding="ascii")
            note.replace(self.path / _SEAL_NOTE)
        except OSError as error:
            raise DiskUnavailable(
                f"the state folder cannot be written: {error.strerror}", where=str(note), to_do="free the disk"
            ) from error

    def run_folder(self, name: str, key: str) -> Path:
        """The folder of the run of source `name` with the given key (hex), made if needed, and held.

        Raises:
            StateInUse: another process has it, though not this state folder: it was mounted or linked into two.
            DiskUnavailable: it cannot be made or written.
        """
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
        folder = self.path / f"{slug}-{key[:12]}"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise DiskUnavailable(
                f"the run's folder cannot be made: {error.strerror}", where=str(folder), to_do="free the disk"
            ) from error
        self._take(folder, "the account of this run")
        return folder


def _unusable(folder: Path, error: OSError) -> DiskUnavailable:
    return DiskUnavailable(
        f"the state folder cannot be used: {error.strerror}",
        where=str(folder),
        to_do="make it writable, or name another with `ARK_STATE_DIR` or `--state`",
    )


def _owner(text: bytes) -> str:
    try:
        owner = json.loads(text)
        return f"process {owner['pid']} on {owner['host']}"
    except (ValueError, KeyError, TypeError):
        return "a process that has not said its name yet"


def journals(path: Path) -> list[Path]:
    """Journals at or below `path`, the newest first; of a state folder its own, not those in its backups."""
    if path.is_file():
        return [path]
    found = [one for one in path.glob(f"**/{JOURNAL}") if one.relative_to(path).parts[0] != BACKUPS]
    return sorted(found, key=lambda one: one.stat().st_mtime_ns, reverse=True)
