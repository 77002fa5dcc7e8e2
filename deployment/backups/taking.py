"""Takes a backup of a state folder, whether a house runs in it or not.

The order is that of dependence: what may only speak of rows that are in the journal (the anchor) is copied before the
journal, the rest after it. Everything lies in an unfinished folder, is verified there, signed, synced, and renamed.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from shutil import rmtree

from deployment.backups.copying import (
    Stopped,
    copy_database,
    copy_file,
    described,
    moment_of,
    reader,
    sync_tree,
)
from deployment.backups.manifest import FORMAT, MANIFEST, CopiedRun, Manifest, signed
from deployment.backups.shelf import UNFINISHED, Limits, Shelved, believed_keys, held, names_on, tidy
from deployment.build import build_digest
from deployment.topology.state_dir import ANCHOR, BACKUPS, DATABASE, JOURNAL, VENUE
from mutable_core.clock import SECOND_NS, wall_ns
from mutable_core.durable import sync
from mutable_core.errors import Broken, DiskUnavailable, SettingsRefused
from mutable_core.journal import verify
from mutable_core.journal.signing import FORMER, PUBLIC, Signer
from mutable_core.migrations import format_of
from watchdog.disk import space_of

KEYS = "keys"
SEAL_NOTE = "seal-version"
SMALL = (SEAL_NOTE, ANCHOR, f"{KEYS}/{PUBLIC}", f"{KEYS}/{FORMER}")
"""Files of the state folder that belong to every backup, where they are there. Never a private key."""
SNAPSHOTS = "snapshot-*.ark"
TRIES = 5
"""For a snapshot that its house removes while it is copied."""


def take(
    state: Path,
    signer: Signer,
    limits: Limits,
    *,
    free_min: int = 0,
    is_stopped: Stopped = lambda: False,
    now: Callable[[], int] = wall_ns,
) -> tuple[Shelved, tuple[str, ...]]:
    """A new backup of the state folder, and the names of those that had had their time.

    Args:
        state: the state folder.
        signer: the journal's.
        limits: which older backups are kept.
        free_min: bytes that must be left free on the disk.
        is_stopped: whether the caller ends; asked now and then.
        now: wall time, ns.

    Raises:
        CopyStopped: `is_stopped` said so; nothing is left under a name.
        SettingsRefused: there is nothing to back up.
        Broken: a journal is damaged: a copy of it is no backup.
        DiskUnavailable: there is not enough space.
        StateInUse: another process takes a backup.
    """
    shelf = state / BACKUPS
    with held(shelf):
        taken_ns = now()
        runs = sorted(path.parent for path in state.glob(f"*/{JOURNAL}"))
        if not runs:
            raise SettingsRefused("there is no journal to back up", where=str(state), to_do="run `ark run` first")
        _demand_space(state, free_min)
        name = _next_name(shelf, taken_ns)
        draft = shelf / f"{UNFINISHED}{name}"
        try:
            manifest = _fill(draft, state, runs, name, taken_ns, is_stopped)
            (draft / MANIFEST).write_bytes(signed(manifest, signer))
            (draft / MANIFEST).chmod(0o600)
            sync_tree(draft)
            draft.rename(shelf / name)
        except OSError as error:
            raise DiskUnavailable(f"the backup cannot be written: {error.strerror}", where=str(draft)) from error
        except sqlite3.Error as error:
            raise DiskUnavailable(f"a journal cannot be read for the backup: {error}", where=str(state)) from error
        finally:
            rmtree(draft, ignore_errors=True)  # gone under its name, or failed: a full disk needs the space
        sync(shelf)
        removed = tidy(shelf, limits, taken_ns, (signer.public, *believed_keys(state / KEYS)))
        return Shelved(name, shelf / name, manifest, ""), removed


def _demand_space(state: Path, free_min: int) -> None:
    """A backup must not be what fills the disk under a house that trades.

    Raises:
        DiskUnavailable: it would be.
    """
    parts = ("*.sqlite*", "*.log", f"*/{JOURNAL}*", f"*/{VENUE}", f"*/{SNAPSHOTS}")
    needed = sum(path.stat().st_size for part in parts for path in state.glob(part) if path.is_file())
    free = space_of(state).free_bytes
    if free - needed < free_min:
        raise DiskUnavailable(
            f"a backup takes {needed:,} bytes, {free:,} are free and {free_min:,} must stay free",
            where=str(state),
            to_do="free the disk, or set `ARK_BACKUP_KEEP_DAYS` or `ARK_BACKUP_MAX_BYTES` lower",
        )


def _next_name(shelf: Path, taken_ns: int) -> str:
    """The UTC second, and a number within it; later than every name that is there."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(taken_ns // SECOND_NS))
    numbers = [int(name[-3:]) for name in names_on(shelf) if name.startswith(stamp)]
    return f"{stamp}-{max(numbers, default=0) + 1:03d}"


def _fill(draft: Path, state: Path, runs: list[Path], name: str, taken_ns: int, is_stopped: Stopped) -> Manifest:
    """Copy everything into `draft`; returns what is in it."""
    draft.mkdir(mode=0o700)
    (draft / KEYS).mkdir(mode=0o700)
    for path in SMALL:
        if (state / path).is_file():
            copy_file(state / path, draft / path, is_stopped)
    copied = tuple(_copied_run(run, draft / run.name, is_stopped) for run in runs)
    state_format = 0
    if (state / DATABASE).is_file():
        with closing(reader(state / DATABASE)) as source:
            copy_database(source, draft / DATABASE, is_stopped)
        state_format = format_of(draft / DATABASE)
    files = sorted(path for path in draft.rglob("*") if path.is_file())
    return Manifest(
        format=FORMAT,
        name=name,
        taken_ns=taken_ns,
        build=build_digest(),
        state_format=state_format,
        runs=copied,
        files=tuple(described(draft, path) for path in files),
    )


def _copied_run(run: Path, target: Path, is_stopped: Stopped) -> CopiedRun:
    """Journal and venue of one moment, and the newest snapshot that speaks of no later row."""
    target.mkdir(mode=0o700)
    with moment_of(run / JOURNAL, run / VENUE) as moment:
        if (run / VENUE).exists():
            copy_file(run / VENUE, target / VENUE, is_stopped, length=moment.venue_bytes)
        copy_database(moment.journal, target / JOURNAL, is_stopped)
    report = verify(target / JOURNAL)
    if not report.ok:
        raise Broken(
            f"the journal of `{run.name}` is damaged, and no backup of it was made: {report.finding}",
            where=str(run),
            to_do="see docs/runbooks/journal-damaged.md; the backups from before are kept",
        )
    _copy_snapshot(run, target, report.rows, is_stopped)
    return CopiedRun(run.name, report.rows, report.head, format_of(target / JOURNAL))


def _copy_snapshot(run: Path, target: Path, rows: int, is_stopped: Stopped) -> None:
    for _ in range(TRIES):
        found = [path for path in sorted(run.glob(SNAPSHOTS), reverse=True) if _position(path) <= rows]
        if not found:
            return
        try:
            copy_file(found[0], target / found[0].name, is_stopped)
        except FileNotFoundError:
            continue  # its house keeps the newest only
        return


def _position(snapshot: Path) -> int:
    """The row that a snapshot's name says; one whose name says none belongs to no journal."""
    digits = "".join(filter(str.isdigit, snapshot.stem))
    return int(digits) if digits else 2**63
