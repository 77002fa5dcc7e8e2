"""What the Watchdog sees when it looks at the house itself: whether the seal holds, and who could read the keys.

`SealWatch` looks once when it starts, again as soon as a file of the Graveyard changes, and now and then in any case.
Once broken it stays broken until the process is started again: a change that was put back was there.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from watchfiles import watch
from watchfiles.main import FileChange

from graveyard import ethics
from graveyard.ethics import ruleset_digest
from graveyard.seal import examine, graveyard_folder
from graveyard.sealed_files import BYTECODE, DRAFT, Folder, Stamp, read_folder
from graveyard.signers import PINNED
from mutable_core.clock import SECOND_NS, monotonic_ns, wall_ns
from mutable_core.messages import Inspection

EVERY_NS = 10 * SECOND_NS  # between two looks at everything; one takes 2–5 ms
NEVER_NS = 10**18
GLANCE_MS = 400  # between two looks at sizes and times of the files; for file systems that do not tell of changes
GROUP_MS = 50  # changes this close together are one
MAX_FAULTS = 40  # that are told


class SealWatch:
    """Knows whether the seal holds; finds out within a second that it does not.

    Args:
        folder: the Graveyard's; by default that of the loaded one.
        keystore: the folder of the keys; None where this process has none.
        on_broken: told once, with the faults found first, by the thread that found them (at the start: the starter's).
        newest_version: the newest version of the rules that was ever seen; an older one is a fault.
        every_ns: at least this often everything is looked at, on the monotonic clock.
        wall, monotonic: ns; injected so that tests need not wait.
    """

    def __init__(
        self,
        *,
        folder: Path | None = None,
        keystore: Path | None = None,
        pinned: tuple[str, ...] = PINNED,
        newest_version: int = 0,
        on_broken: Callable[[tuple[str, ...]], None] = lambda _: None,
        every_ns: int = EVERY_NS,
        wall: Callable[[], int] = wall_ns,
        monotonic: Callable[[], int] = monotonic_ns,
    ) -> None:
        self._folder = folder or graveyard_folder()
        self._keystore = keystore
        self._pinned, self._newest_version = pinned, newest_version
        self._on_broken = on_broken
        self._every_ns = every_ns
        self._wall, self._monotonic = wall, monotonic
        self._faults: tuple[str, ...] = ("the seal was not looked at yet",)
        self._ruleset, self._version, self._signatures = "", 0, 0
        self._first: Mapping[str, Stamp] = {}
        self._looked_ns = 0
        self._breaking = threading.Lock()
        self._stop = _Stop()
        self._thread: threading.Thread | None = None

    @classmethod
    def once(cls) -> Self:
        """Looked at once, now, and never again: for what ends soon, or is watched by somebody else."""
        watch = cls(every_ns=NEVER_NS)
        watch._faults = ()
        watch._first = read_folder(watch._folder).stamps
        watch._look()
        return watch

    @property
    def faults(self) -> tuple[str, ...]:
        """Everything that was ever found wrong, one line each; empty where the seal holds. Costs nothing to ask."""
        return self._faults

    @property
    def version(self) -> int:
        """Of the rules, as the seal says; 0 where it cannot be read."""
        return self._version

    def start(self) -> None:
        """Look, and go on looking in a thread of its own until `stop`. Returns when changes are watched."""
        self._faults = ()
        self._first = read_folder(self._folder).stamps
        self._thread = threading.Thread(target=self._watch, name="seal-watch", daemon=True)
        self._thread.start()
        self._stop.asked.wait()
        self._look()

    def stop(self) -> None:
        """End the thread; what was found stays."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
            self._thread = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def inspect(self, *, venue_is_up: bool, kill_path_is_up: bool) -> Inspection:
        """What to state in the log with the lease; what has not been looked at for long is a fault."""
        age_ns = self._monotonic() - self._looked_ns
        if self._looked_ns and age_ns > 3 * self._every_ns:
            self._found((f"the seal was not looked at for {age_ns // SECOND_NS} s",))
        return Inspection(
            ruleset=self._ruleset,
            seal_version=self._version,
            seal_signatures=self._signatures,
            seal_faults=self._faults,
            keystore_exposed=exposed_keys(self._keystore),
            venue_is_up=venue_is_up,
            kill_path_is_up=kill_path_is_up,
        )

    def _watch(self) -> None:
        try:
            changes = watch(
                self._folder,
                watch_filter=_counts,
                debounce=GROUP_MS,
                step=GROUP_MS // 2,
                rust_timeout=GLANCE_MS,
                yield_on_timeout=True,
                stop_event=self._stop,
                raise_interrupt=False,
            )
            for changed in changes:
                self._heard(changed)
            if not self._stop.is_set():
                self._found(("the seal is not watched any more",))
        except Exception as error:  # noqa: BLE001  # who does not watch any more must say so, whatever it was
            self._found((f"the seal is not watched any more: it raised `{type(error).__name__}`",))
        finally:
            self._stop.asked.set()

    def _heard(self, changed: set[FileChange]) -> None:
        """Some files have changed, or, with none, it is time for a glance."""
        names = sorted({ascii(Path(path).name)[1:-1] for _, path in changed})
        if names:
            self._found((f"changed while it was watched: {', '.join(names[:5])}",))
        if names or self._monotonic() - self._looked_ns >= self._every_ns:
            self._look()
        else:
            self._glance(read_folder(self._folder))

    def _glance(self, now: Folder) -> None:
        """Sizes, times and modes must be those of the start: a file system sets the time of a change itself."""
        before, after = self._first, now.stamps
        names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        names = [ascii(name)[1:-1] for name in names if name != DRAFT]
        if names or now.faults:
            self._found((*([f"changed while it was watched: {', '.join(names[:5])}"] if names else []), *now.faults))

    def _look(self) -> None:
        """At everything: files, signatures, time, report, and the rules in memory."""
        found = examine(self._folder, now_ns=self._wall(), pinned=self._pinned, newest_version=self._newest_version)
        self._ruleset = ruleset_digest(ethics.RULES, ethics.FACT_BOUNDS)
        self._version, self._signatures = found.seal.version if found.seal else 0, found.signatures
        self._looked_ns = self._monotonic()
        if found.faults:
            self._found(found.faults)
        self._glance(read_folder(self._folder))

    def _found(self, faults: tuple[str, ...]) -> None:
        with self._breaking:
            is_first = not self._faults
            self._faults = tuple(dict.fromkeys((*self._faults, *faults)))[:MAX_FAULTS]
            told = self._faults
        if is_first:
            self._on_broken(told)


class _Stop(threading.Event):
    """The watcher asks it from the moment on from which it misses nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()

    def is_set(self) -> bool:
        self.asked.set()
        return super().is_set()


def _counts(_: object, path: str) -> bool:
    """Bytecode is written by whoever imports, a draft by whoever prepares a release: neither is sealed."""
    return BYTECODE not in Path(path).parts and Path(path).name != DRAFT


def exposed_keys(keystore: Path | None) -> int:
    """How many key files others than this user could read; 0 without a key store, 1 for one that cannot be looked at.

    A public key (`.pub`) is for everybody. A link counts: nobody can say where it leads tomorrow.
    """
    if keystore is None:
        return 0
    exposed = 0
    try:
        for folder, _, names in os.walk(keystore, onerror=_raise):
            exposed += sum(1 for name in names if not name.endswith(".pub") and _is_exposed(Path(folder, name)))
    except FileNotFoundError:
        return exposed
    except OSError:
        return max(1, exposed)
    return exposed


def _raise(error: OSError) -> None:
    raise error


def _is_exposed(path: Path) -> bool:
    found = path.lstat()
    return bool(found.st_mode & 0o077) or found.st_uid != os.geteuid()
