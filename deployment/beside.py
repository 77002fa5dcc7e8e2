"""What runs beside a house for as long as it does: the watch on its disk, and its backups."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from deployment.backups.schedule import Schedule
from deployment.monitor import Beside
from deployment.topology.house import House
from deployment.topology.state_dir import StateDir
from mutable_core.journal import Anchor
from mutable_core.journal.signing import Signer
from mutable_core.settings import Settings
from watchdog.disk import DiskWatch


@contextmanager
def disk_watched(state: StateDir, settings: Settings) -> Iterator[DiskWatch]:
    """The disk of the state folder, looked at before anything is written, and as long as the block lasts.

    Raises:
        DiskUnavailable: less is free than the setting demands.
    """
    with DiskWatch(state.path, free_min=settings.disk_free_min) as disk:
        yield disk


@contextmanager
def beside(
    house: House,
    state: StateDir,
    signer: Signer,
    settings: Settings,
    disk: DiskWatch,
    anchor: Anchor,
    *,
    stays_up: bool,
) -> Iterator[Beside]:
    """Everything that runs beside `house`; only one that stays up is backed up on a schedule."""
    disk.tell(lambda fault: _suspend(house, fault))
    if not stays_up:
        yield Beside(disk, None, anchor)
        return
    with Schedule(state.path, signer, settings) as backups:
        yield Beside(disk, backups, anchor)


def _suspend(house: House, fault: str) -> None:
    house.lease.suspend(f"the disk: {fault}")
    print(f"ark: nothing is opened any more: {fault}; free the disk, then start again", file=sys.stderr)
