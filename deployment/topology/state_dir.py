"""The state folder: one owner at a time, one folder inside it for each run."""

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
_SEAL_NOTE = "seal-version"


class StateDir:
    """Holds the state folder for this process. A second process is refused and told who holds it.

    The lock is the kernel's (flock): it ends with the process, however that ends.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    def __enter__(self) -> Self:
        """Take the folder.

        Raises:
            StateInUse: another process has it; its pid and host are named.
            DiskUnavailable: the folder cannot be made or written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(self.path / "owner.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DiskUnavailable(
                f"the state folder cannot be used: {error.strerror}",
                where=str(self.path),
                to_do="make it writable, or name another with `ARK_STATE_DIR` or `--state`",
            ) from error
        self._take(self._lock)
        return self

    def _take(self, lock: int) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _owner(os.pread(lock, 4096, 0))
            os.close(lock)
            raise StateInUse(
                f"the state folder is in use by {holder}",
                where=str(self.path),
                to_do="stop that one, or name another folder with `ARK_STATE_DIR` or `--state`",
            ) from error
        owner = {"pid": os.getpid(), "host": socket.gethostname(), "since_ns": str(wall_ns())}
        try:
            os.ftruncate(lock, 0)
            os.pwrite(lock, json.dumps(owner).encode(), 0)
        except OSError as error:
            raise DiskUnavailable(
                f"the state folder cannot be written: {error.strerror}", where=str(self.path), to_do="free the disk"
            ) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def keys(self) -> Path:
        """Where private keys lie that belong to this state; the Watchdog looks at who could read them."""
        return self.path / "keys"

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
        """The folder of the run of source `name` with the given key (hex), made if needed."""
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
        folder = self.path / f"{slug}-{key[:12]}"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise DiskUnavailable(
                f"the run's folder cannot be made: {error.strerror}", where=str(folder), to_do="free the disk"
            ) from error
        return folder


def _owner(text: bytes) -> str:
    try:
        owner = json.loads(text)
        return f"process {owner['pid']} on {owner['host']}"
    except (ValueError, KeyError, TypeError):
        return "a process that has not said its name yet"


def journals(path: Path) -> list[Path]:
    """Journals at or below `path`, the newest first."""
    if path.is_file():
        return [path]
    found = sorted(path.glob(f"**/{JOURNAL}"), key=lambda one: one.stat().st_mtime_ns, reverse=True)
    return list(found)
