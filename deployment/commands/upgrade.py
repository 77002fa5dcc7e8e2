"""`ark upgrade`"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from deployment.commands.port import Command, add_json, print_json

if TYPE_CHECKING:
    from deployment.upgrading import Moved


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state", type=Path, default=None, help="the state folder (default: $ARK_STATE_DIR)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and touch nothing")
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    from deployment.upgrading import move
    from mutable_core.migrations import NEWEST
    from mutable_core.settings import settings_from

    moved = move(arguments.state or settings_from().state_dir, NEWEST, dry_run=arguments.dry_run)
    told(moved, as_json=arguments.json, dry_run=arguments.dry_run)
    return 0


def told(moved: list[Moved], *, as_json: bool, dry_run: bool = False) -> None:
    """Say what became of each store."""
    if as_json:
        print_json({"dry_run": dry_run, "stores": [one._asdict() for one in moved]})
        return
    for one in moved:
        if one.before == one.after:
            print(f"{one.path}: has format {one.after} already")
            continue
        done = "would go" if dry_run else "went"
        steps = "; ".join(one.steps)
        if one.after < one.before:
            steps = f"what was brought is taken back: {steps}"
        print(f"{one.path}: {done} from format {one.before} to {one.after}: {steps}")
        if one.kept:
            print(f"  as it was: {one.kept}")


COMMAND = Command("upgrade", "bring the stores of an older build to the formats of this one", _arguments, _run)
