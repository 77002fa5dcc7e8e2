"""State folders that a house has left, to be backed up."""

from __future__ import annotations

from pathlib import Path

from deployment.backups.shelf import Limits, Shelved
from deployment.backups.taking import take
from deployment.run import Options, run
from mutable_core.journal.signing import Signer
from mutable_core.settings import Settings

FOR_EVER = Limits(36_500, 0)


def settings_for(state: Path, **changes: object) -> Settings:
    given = {"state_dir": state, "strategies": ("alternating",), "disk_free_min": 0, "authority": "embedded"}
    return Settings(**given | changes)


def a_state(folder: Path, *, rows: int = 600, seed: int = 7) -> Path:
    """What a run with an order at every bar has left."""
    options = Options(source=f"synthetic:{rows}", seed=seed, until_end=True, serve=False, quiet=True)
    run(settings_for(folder), options)
    return folder


def signer_of(state: Path) -> Signer:
    return Signer.open(state / "keys")


def taken(state: Path, limits: Limits = FOR_EVER) -> Shelved:
    return take(state, signer_of(state), limits)[0]


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
