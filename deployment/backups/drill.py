"""The restore drill: proves a backup by doing with it what one would do in need.

It is restored into a folder of its own, every journal is verified row by row and replayed from its first row by the agents
of this build, and what comes out is compared with the journal, the manifest and the snapshot in the backup.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from agents.runtime.hosted import Hosted
from deployment.backups.manifest import CopiedRun, Manifest
from deployment.backups.restoring import restore
from deployment.backups.shelf import newest_good
from deployment.build import build_digest
from deployment.topology.house import run_key
from deployment.topology.replay import replay
from deployment.topology.snapshots import Snapshot, Snapshots
from deployment.topology.state_dir import JOURNAL
from mutable_core.clock import monotonic_ns
from mutable_core.errors import ArkError, Broken, StateInUse
from mutable_core.freezing import freeze
from mutable_core.journal import checked_rows
from mutable_core.journal.signing import Signer
from mutable_core.messages import RunStarted

_PLACE = ".drill"
_LOCK = ".drill.lock"


class Drilled(msgspec.Struct, frozen=True):
    """How a drill ended.

    Attributes:
        name: of the backup; empty where there was none.
        taken_ns: when the backup was taken; 0 where there was none.
        finding: what was wrong; empty where it was proved.
        rows: of all its journals. compared: rows that agents said again, byte for byte.
        snapshots: how many of its snapshots were compared with the replay.
        took_ms: how long it took.
    """

    name: str
    taken_ns: int
    ok: bool
    finding: str
    rows: int = 0
    compared: int = 0
    snapshots: int = 0
    took_ms: int = 0


def drill(shelf: Path, signer: Signer, believed: Sequence[bytes]) -> Drilled:
    """Prove the newest backup on the shelf.

    Args:
        shelf: the folder of the backups.
        signer: the journal's, whose key signed the snapshots.
        believed: public keys that may have signed the backup.

    Raises:
        StateInUse: another drill runs.
    """
    began_ns = monotonic_ns()
    newest = newest_good(shelf, believed)
    if newest is None or newest.manifest is None:
        return Drilled("", 0, ok=False, finding="there is no good backup")
    name, taken_ns = newest.name, newest.manifest.taken_ns
    try:
        with _place(shelf) as place:
            manifest = restore(newest.folder, place, believed, deep=True)
            proofs = [_proved(place / run.folder, run, signer) for run in manifest.runs]
    except StateInUse:
        raise
    except ArkError as error:
        return Drilled(name, taken_ns, ok=False, finding=str(error))
    took_ms = (monotonic_ns() - began_ns) // 1_000_000
    compared, snapshots = (sum(column) for column in zip(*proofs, strict=True))
    return Drilled(name, taken_ns, True, "", _rows(manifest), compared, snapshots, took_ms)


def _rows(manifest: Manifest) -> int:
    return sum(run.rows for run in manifest.runs)


@contextmanager
def _place(shelf: Path) -> Iterator[Path]:
    """A folder for one drill at a time; what a killed one left is removed, and so is this one in the end."""
    lock = os.open(shelf / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StateInUse("another drill runs", where=str(shelf), to_do="wait until it is done") from error
        folder = shelf / _PLACE
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        try:
            yield folder / "restored"
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def _proved(folder: Path, run: CopiedRun, signer: Signer) -> tuple[int, int]:
    """Rows that were said again, and snapshots that were compared.

    Raises:
        Broken: something is not what it should be.
    """
    snapshot = _snapshot(folder, signer)
    is_compared = False

    def after_row(seq: int, hosts: tuple[Hosted, ...]) -> None:
        nonlocal is_compared
        if snapshot is not None and seq == snapshot.seq:
            _compare(snapshot, hosts, run.folder)
            is_compared = True

    result = replay(folder / JOURNAL, after_row)
    if run.rows and (result.rows, result.head) != (run.rows, run.head):
        raise Broken(f"the replay of `{run.folder}` ended with another head than the manifest has", where=run.folder)
    return result.compared, int(is_compared)


def _snapshot(folder: Path, signer: Signer) -> Snapshot | None:
    """The one that a start would use; of another build, a start would use none."""
    first = next(iter(checked_rows(folder / JOURNAL)), None)
    if first is None or not isinstance(first.envelope.body, RunStarted):
        return None
    run = run_key(first.envelope.body)
    return Snapshots(folder, signer, build=build_digest(), run=run).find(folder / JOURNAL).snapshot


def _compare(snapshot: Snapshot, hosts: tuple[Hosted, ...], where: str) -> None:
    for host in hosts:
        if freeze(host.state) != freeze(snapshot.memory.agents[host.name]):
            raise Broken(
                f"snapshot {snapshot.seq} says otherwise than the journal what `{host.name}` knows",
                where=where,
                to_do="remove the snapshots of this run: its next start replays the whole journal",
            )
