"""Brings every store of a state folder to another format, up or down: `ark upgrade` and `ark downgrade`.

First all formats are read: where one cannot be had, nothing is touched. Then a copy of each store is migrated in one
transaction, signed, verified, and put in the place of the store; what the store was is kept beside it. A kill in between
leaves every store in its old or its new format; the same command again does the rest.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

from deployment.backups.copying import copy_database, reader
from deployment.topology.state_dir import DATABASE, JOURNAL, StateDir
from mutable_core.durable import sync
from mutable_core.errors import Broken, SettingsRefused, StateInUse, UnknownName
from mutable_core.journal import Journal, verify
from mutable_core.journal.signing import Signer
from mutable_core.migrations import FIRST, MIGRATIONS, NEWEST, format_of, migrate
from mutable_core.state_manager import StateManager


class Moved(NamedTuple):
    """What became of one store: its formats before and after, the steps, and the copy of what it was.

    `steps` and `kept` are empty where it had the format already; `kept` is empty where nothing was done.
    """

    path: str
    store: str
    before: int
    after: int
    steps: tuple[str, ...]
    kept: str


def move(state: Path, targets: Mapping[str, int], *, dry_run: bool = False) -> list[Moved]:
    """Bring every store of `state` that `targets` names to the format that it gives.

    Raises:
        UnknownName: there is no such folder, or no store in it.
        SettingsRefused: a store has a format that this build does not know, or cannot be brought there.
        Broken: a store is damaged; it was left as it was.
        StateInUse: a house runs.
        DiskUnavailable: the disk does not take it; the store is as it was.
    """
    if not state.is_dir() or not any(True for _ in _stores(state)):
        raise UnknownName("there is no store", where=str(state), to_do="give a state folder with `--state`")
    with ExitStack() as held:
        if not dry_run:
            held.enter_context(StateDir(state))
        planned = [_planned(store, path, targets[store]) for store, path in _stores(state) if store in targets]
        return planned if dry_run else [_move(one, state) for one in planned]


def _stores(state: Path) -> Iterator[tuple[str, Path]]:
    if (state / DATABASE).is_file():
        yield "state", state / DATABASE
    for path in sorted(state.glob(f"*/{JOURNAL}")):
        yield "journal", path


def _planned(store: str, path: Path, to: int) -> Moved:
    before = format_of(path)
    if not FIRST[store] <= before <= NEWEST[store]:
        raise SettingsRefused(
            f"the {store} has format {before}, and this build knows {FIRST[store]} to {NEWEST[store]}",
            where=str(path),
            to_do="use the build that wrote it; nothing was touched",
        )
    if not FIRST[store] <= to <= NEWEST[store]:
        raise SettingsRefused(f"there is no format {to} of the {store}", to_do=f"{FIRST[store]} to {NEWEST[store]}")
    way = range(before + 1, to + 1) if to > before else range(before, to, -1)
    what = {one.number: one.what for one in MIGRATIONS if one.store == store}
    return Moved(str(path), store, before, to, tuple(what[number] for number in way), "")


def _move(planned: Moved, state: Path) -> Moved:
    """Migrate a copy, sign it, verify it, and put it in the place of the store, which is kept beside it."""
    path = Path(planned.path)
    if planned.before == planned.after:
        return planned
    if planned.before == NEWEST[planned.store]:
        _demand_whole(planned.store, path)
    draft = path.with_name(f"{path.name}.draft")
    _remove(draft)
    with closing(reader(path)) as source:
        copy_database(source, draft, lambda: False)
    migrate(draft, [one for one in MIGRATIONS if one.store == planned.store], planned.after)
    if planned.store == "journal" and planned.after == NEWEST["journal"]:
        # From here on its rows must stand under a signature; an unsigned journal beside a key would be refused.
        # Not anchored yet: the anchor must never speak of what a kill may still take back. The next start tells it.
        journal = Journal.open(draft, Signer.open(state / "keys"))
        journal.checkpoint()
        journal.close()
    if planned.after == NEWEST[planned.store]:
        _demand_whole(planned.store, draft)
    _fold(draft)
    _fold(path)
    kept = path.with_name(f"{path.name}.format-{planned.before}")
    _exchange(draft, path, kept)
    return planned._replace(kept=str(kept))


def _fold(path: Path) -> None:
    """Leave one file: what its log beside it holds goes into it, and the log away."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    left = [name for ending in ("-wal", "-shm") if (name := path.with_name(path.name + ending)).exists()]
    if left:
        raise StateInUse("another process has the store open", where=str(path), to_do="stop it, then try again")


def _exchange(draft: Path, path: Path, kept: Path) -> None:
    """From one moment to the next `path` is what `draft` was; what it was itself is `kept`."""
    sync(draft)
    kept.unlink(missing_ok=True)
    kept.hardlink_to(path)
    draft.replace(path)
    sync(path.parent)


def _remove(draft: Path) -> None:
    """What a killed one left."""
    for ending in ("", "-wal", "-shm", "-journal"):
        draft.with_name(draft.name + ending).unlink(missing_ok=True)


def _demand_whole(store: str, path: Path) -> None:
    if store == "journal":
        finding = verify(path).finding
    else:
        with StateManager.open_read_only(path) as manager:
            finding = manager.verify().finding
    if finding:
        raise Broken(
            f"the {store} is damaged, and was left as it was: {finding}",
            where=str(path),
            to_do="see docs/runbooks/journal-damaged.md",
        )
