"""`ark downgrade`"""

from __future__ import annotations

import argparse
from pathlib import Path

from deployment.commands.port import Command, add_json


def _format(text: str) -> tuple[str, int]:
    from mutable_core.migrations import FIRST

    store, _, number = text.partition("=")
    if store not in FIRST or not number.isdecimal():
        raise argparse.ArgumentTypeError(f"`{text[:40]}` is not like `journal=1`")
    return store, int(number)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--to-format", type=_format, action="append", required=True, metavar="STORE=N",
        help="the format that an older build reads, e.g. `journal=1`; may be repeated",
    )  # fmt: skip
    parser.add_argument("--state", type=Path, default=None, help="the state folder (default: $ARK_STATE_DIR)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and touch nothing")
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    from deployment.commands.upgrade import told
    from deployment.upgrading import move
    from mutable_core.settings import settings_from

    state = arguments.state or settings_from().state_dir
    moved = move(state, dict(arguments.to_format), dry_run=arguments.dry_run)
    told(moved, as_json=arguments.json, dry_run=arguments.dry_run)
    return 0


COMMAND = Command("downgrade", "bring stores back to the format of an older build", _arguments, _run)
