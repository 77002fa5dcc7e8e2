"""`ark halt`"""

from __future__ import annotations

import argparse

from deployment.commands.port import Command
from deployment.desk import asking


def _arguments(parser: argparse.ArgumentParser) -> None:
    asking.add_scope(parser)
    parser.add_argument(
        "--level", choices=("reduce-only", "halted"), default="reduce-only",
        help="reduce-only (default): nothing is opened; halted: no order at all, not even a way out",
    )  # fmt: skip
    asking.add_reason(parser)
    asking.add_by(parser)
    asking.add_state(parser)


def _run(arguments: argparse.Namespace) -> int:
    from deployment.desk.words import Halt

    scope, name = asking.scope_of(arguments)
    level = arguments.level.replace("-", "_")
    reason = asking.text_of(arguments.reason, "--reason")
    return asking.told(arguments, Halt(scope, name, level, asking.by_of(arguments), reason))


COMMAND = Command(
    "halt", "stop opening, or stop everything, in the house that runs; one person is enough", _arguments, _run
)
