"""`ark resume`"""

from __future__ import annotations

import argparse

from deployment.commands.port import Command
from deployment.desk import asking


def _arguments(parser: argparse.ArgumentParser) -> None:
    asking.add_scope(parser)
    asking.add_reason(parser)
    asking.add_by(parser)
    asking.add_state(parser)


def _run(arguments: argparse.Namespace) -> int:
    from deployment.desk.words import Resume

    scope, name = asking.scope_of(arguments)
    reason = asking.text_of(arguments.reason, "--reason", least=10)
    return asking.told(arguments, Resume(scope, name, asking.by_of(arguments), reason))


COMMAND = Command(
    "resume", "ask for a halt to be lifted; two other people must agree with `ark approvals sign`", _arguments, _run
)
