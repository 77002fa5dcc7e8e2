"""`ark resume`"""

from __future__ import annotations

import argparse

from deployment.commands.port import Command, print_json
from deployment.desk import asking


def _arguments(parser: argparse.ArgumentParser) -> None:
    asking.add_scope(parser)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--reason", metavar="TEXT", help="why: it is kept in the log for ever")
    what.add_argument("--checklist", action="store_true", help="show what must be in order first, and ask for nothing")
    asking.add_by(parser)
    asking.add_state(parser)


def _run(arguments: argparse.Namespace) -> int:
    from deployment.desk.words import Resume

    if arguments.checklist:
        return _checklist(arguments)
    scope, name = asking.scope_of(arguments)
    reason = asking.text_of(arguments.reason, "--reason", least=10)
    return asking.told(arguments, Resume(scope, name, asking.by_of(arguments), reason))


def _checklist(arguments: argparse.Namespace) -> int:
    """1 where something is not in order."""
    from deployment.desk.client import ask
    from deployment.desk.words import Checklist, ShowChecklist

    answer = ask(asking.state_of(arguments), ShowChecklist())
    assert isinstance(answer, Checklist)
    if arguments.json:
        print_json({"is_green": not answer.faults, "checks": answer.checks})
    else:
        for one in answer.checks:
            print(f"{'RED  ' if one.fault else 'green'}  {one.name}{': ' if one.fault else ''}{one.fault}")
    return 1 if answer.faults else 0


COMMAND = Command(
    "resume", "ask for a halt to be lifted; two other people must agree with `ark approvals sign`", _arguments, _run
)
