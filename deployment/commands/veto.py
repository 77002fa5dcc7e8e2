"""`ark veto set` and `ark veto lift`"""

from __future__ import annotations

import argparse

from deployment.commands.port import Command
from deployment.desk import asking


def _arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="set|lift", required=True)
    for name, what in (("set", "forbid every order that it covers"), ("lift", "allow them again")):
        one = actions.add_parser(name, help=what, description=what, allow_abbrev=False)
        asking.add_scope(one)
        if name == "set":
            asking.add_reason(one)  # the log has no field for why a veto was lifted
        asking.add_by(one)
        asking.add_state(one)


def _run(arguments: argparse.Namespace) -> int:
    from deployment.desk.words import LiftVeto, SetVeto

    scope, name = asking.scope_of(arguments)
    by = asking.by_of(arguments)
    if arguments.action == "lift":
        return asking.told(arguments, LiftVeto(scope, name, by))
    return asking.told(arguments, SetVeto(scope, name, by, asking.text_of(arguments.reason, "--reason")))


COMMAND = Command("veto", "forbid an account's, strategy's or instrument's orders, or everything's", _arguments, _run)
