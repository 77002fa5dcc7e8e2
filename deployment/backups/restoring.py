"""Restores a backup into an empty place: nothing appears there that is not whole, verified and on the disk.

The private key of the journal is in no backup. Before a restored house starts, a person puts it back, or says that a new
one is to be made (`new_key`); then the old public key stands among the former ones and what it signed is still believed.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from deployment.backups.copying import copy_file, described, sync_tree
from deployment.backups.manifest import Manifest, Read, read
from deployment.backups.taking import KEYS
from deployment.topology.state_dir import DATABASE, JOURNAL
from mutable_core.durable import sync
from mutable_core.errors import Broken, DiskUnavailable, SettingsRefused
from mutable_core.journal import verify
from mutable_core.journal.signing import FORMER, PUBLIC, public_keys
from mutable_core.migrations import NEWEST
from mutable_core.state_manager import StateManager


def restore(
    backup: Path, into: Path, believed: Sequence[bytes], *, new_key: bool = False, deep: bool = False
) -> Manifest:
    """The backup at `backup` as a state folder at `into`.

    Args:
        backup: the folder of one backup.
        into: a folder that is empty, or not there.
        believed: the public keys whose signature counts; at least one.
        new_key: the private key is lost: the house makes another when it starts.
        deep: verify every row of every journal again, not the seals only.

    Raises:
        SettingsRefused: `into` is not empty, or nobody says whose signature counts.
        Broken: the backup is not what was signed; nothing was written.
        DiskUnavailable: it cannot be written; nothing is left.
    """
    found = read(backup)
    demand_believed(found, believed, backup.name)
    _demand_empty(into)
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{into.name}.", dir=into.parent))
        try:
            _fill(draft, backup, found.manifest)
            check_contents(draft, found.manifest, deep=deep)
            if new_key:
                _retire(draft / KEYS)
            sync_tree(draft)
            draft.rename(into)  # an empty folder is replaced
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        sync(into.parent)
    except OSError as error:
        raise DiskUnavailable(f"the backup cannot be restored: {error.strerror}", where=str(into)) from error
    return found.manifest


def demand_believed(found: Read, believed: Sequence[bytes], name: str) -> None:
    """One of the believed keys has signed it.

    Raises:
        SettingsRefused: nobody says whose signature counts.
        Broken: another key signed it.
    """
    if not believed:
        raise SettingsRefused(
            f"nobody says whose backups are believed; `{name}` was signed by {found.key.hex()}",
            to_do="if that is the journal's key, give it with `--key`",
        )
    if found.key not in believed:
        raise Broken("the backup was signed by a key that is not this journal's", where=name)


def _demand_empty(into: Path) -> None:
    if into.is_symlink() or (into.exists() and not into.is_dir()):
        raise SettingsRefused("a backup is restored into a folder", where=str(into), to_do="name another with `--into`")
    if into.is_dir() and next(into.iterdir(), None) is not None:
        raise SettingsRefused(
            "the folder is not empty, and nothing is restored over what is there",
            where=str(into),
            to_do="name an empty one with `--into`",
        )


def _fill(draft: Path, backup: Path, manifest: Manifest) -> None:
    """Copy what the manifest names, and compare each copy with it."""
    for file in manifest.files:
        target = draft / file.path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        source = backup / file.path
        if source.is_symlink() or not source.is_file():
            raise Broken(f"`{file.path}` of the backup is not there", where=backup.name)
        copy_file(source, target, lambda: False)
        if described(draft, target) != file:
            raise Broken(f"`{file.path}` of the backup is not what was signed", where=backup.name)


def check_contents(folder: Path, manifest: Manifest, *, deep: bool) -> None:
    """The journals and the versioned state are whole, and are those that the manifest speaks of.

    Raises:
        Broken: they are not.
    """
    for run in manifest.runs:
        if run.format < NEWEST["journal"]:
            continue  # its bytes are those that were signed; `ark upgrade` verifies it before it changes it
        report = verify(folder / run.folder / JOURNAL, deep=deep)
        if not report.ok:
            raise Broken(f"the journal of `{run.folder}` is damaged: {report.finding}", where=manifest.name)
        if (report.rows, report.head) != (run.rows, run.head):
            raise Broken(f"the journal of `{run.folder}` is not the one in the manifest", where=manifest.name)
    if manifest.state_format == NEWEST["state"]:
        with StateManager.open_read_only(folder / DATABASE) as state:
            finding = state.verify().finding
        if finding:
            raise Broken(f"the versioned state is damaged: {finding}", where=manifest.name)


def _retire(keys: Path) -> None:
    """The public key becomes a former one, so that a new pair is made at the next start."""
    retired = (*public_keys(keys / FORMER), *public_keys(keys / PUBLIC))
    (keys / FORMER).write_text("".join(f"{key.hex()}\n" for key in dict.fromkeys(retired)), encoding="ascii")
    (keys / PUBLIC).unlink(missing_ok=True)
