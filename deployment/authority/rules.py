"""The rules that the authority was started to keep: in its memory, in the files beside them, and under their seal.

The files that were loaded, the seal's own and their folders are looked at again before a signature, at most every 50 ms:
by device, inode, size, mode and times, which costs some 100 µs; all of them at each probe. What is in memory stays what
was sealed whatever becomes of the files, so nothing looser is signed meanwhile. Their bytes are read where one of these
differs. Other bytes end the process: what runs was loaded from files that are gone.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from graveyard.errors import RulesChanged
from graveyard.ethics import ruleset_digest
from graveyard.seal import faults as faults_of_seal
from graveyard.seal import graveyard_folder
from graveyard.sealed_files import DRAFT, NOT_SOURCE, Folder, Stamp, read_folder
from mutable_core.clock import SECOND_NS, monotonic_ns

LOOK_EVERY_NS = SECOND_NS // 20


def seal_faults(folder: Path, now_ns: int) -> tuple[str, ...]:
    """What is wrong with the seal of the rules, a line each; empty where it holds."""
    return faults_of_seal(folder, now_ns=now_ns)


class RulesKept:
    """The pinned rules, as they were when this was made.

    Args:
        pinned: the digest that the house was started to keep, 64 hex digits.
        folder: of the Graveyard's files.
        monotonic: ns; injected so that tests need not wait.

    Raises:
        RulesChanged: the rules in memory are others.
    """

    def __init__(self, pinned: str, folder: Path | None = None, monotonic: Callable[[], int] = monotonic_ns) -> None:
        self.pinned = pinned
        self._monotonic = monotonic
        self._looked_ns = -LOOK_EVERY_NS
        self.folder = folder or graveyard_folder()
        self.check_memory()
        found = read_folder(self.folder)
        self.files = _digest(found)
        self._keep(found)

    def check_memory(self) -> None:
        """Compute the digest of the rules in memory again.

        Raises:
            RulesChanged: they are not the pinned ones.
        """
        found = ruleset_digest()
        if found != self.pinned:
            raise RulesChanged(pinned=self.pinned, found=found)

    def check_now_and_then(self) -> None:
        """`check_files`, unless that was done a moment ago.

        Raises:
            RulesChanged: as there.
        """
        now = self._monotonic()
        if now - self._looked_ns >= LOOK_EVERY_NS:
            self.check_files()
            self._looked_ns = now

    def check_files(self, *, all_of_them: bool = False) -> None:
        """Look at the files again; read them where anything about them has changed.

        Raises:
            RulesChanged: their bytes are others, or they cannot be read any more.
        """
        for path, stamp in self._stamps if all_of_them else self._loaded:
            try:
                now = _stamp(path)
            except OSError:
                now = None
            if now != stamp:
                self._read_again()
                return

    def _read_again(self) -> None:
        found = read_folder(self.folder)
        digest = _digest(found)
        if digest != self.files:
            raise RulesChanged(pinned=self.pinned, found=f"other files, {digest}")
        self._keep(found)

    def _keep(self, found: Folder) -> None:
        """Every file as it was when it was read, and every folder, whose time tells of a file that came or went."""
        folders = sorted({Path(name).parent.as_posix() for name in found.files} | {"."})
        at = f"{self.folder}/"
        files = [(at + name, stamp) for name, stamp in found.stamps.items() if name != DRAFT]
        of_folders = [(at + name, _stamp(at + name)) for name in folders]
        loaded = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
        loaded |= {at + name for name in NOT_SOURCE}
        self._stamps = [*files, *of_folders]
        self._loaded = [(path, stamp) for path, stamp in files if path in loaded] + of_folders


def _stamp(path: str) -> Stamp:
    """A folder's size and count of links follow what is in it, caches of bytecode too: only its own time counts."""
    found = os.stat(path, follow_symlinks=False)  # noqa: PTH116  # hot path: before a signature
    size = 0 if stat.S_ISDIR(found.st_mode) else found.st_size
    return found.st_dev, found.st_ino, size, found.st_mode, found.st_mtime_ns, found.st_ctime_ns


def _digest(found: Folder) -> str:
    """Over names and bytes of all files, and over what is wrong with them; a draft of the next seal is left out."""
    total = sha256()
    for name in sorted(found.files.keys() - {DRAFT}):
        total.update(f"{name}\0{len(found.files[name])}\0".encode("utf-8", "surrogateescape"))
        total.update(found.files[name])
    total.update("\n".join(found.faults).encode("utf-8", "surrogateescape"))
    return total.hexdigest()
