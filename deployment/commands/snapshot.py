"""`ark snapshot`"""

from __future__ import annotations

import argparse

from deployment.commands.port import Command
from deployment.desk import asking


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", nargs="?", default="snapshot", metavar="NAME", help="what to call it (default: snapshot)"
    )
    asking.add_by(parser)
    asking.add_state(parser)


def _run(arguments: argparse.Namespace) -> int:
    from deployment.desk.words import TakeSnapshot

    return asking.told(arguments, TakeSnapshot(asking.named(arguments.name, "NAME"), asking.by_of(arguments)))


COMMAND = Command(
    "snapshot", "keep what the house that runs knows now, before something that cannot be undone", _arguments, _run
)
