"""`ark rules list`"""

from __future__ import annotations

import argparse

from deployment.commands.port import Command, add_json, print_json


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("list",), help="list: the 26 rules, and which of them are enforced")
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    from graveyard.ethics import RULES, ruleset_digest

    if arguments.json:
        rules = [
            {
                "id": rule.id,
                "name": rule.name,
                "category": rule.category,
                "severity": rule.severity,
                "limit": rule.limit,
                "enforced": rule.enforced,
                "why": rule.why,
                "clauses": len(rule.clauses),
            }
            for rule in RULES
        ]
        print_json({"ruleset": ruleset_digest(), "rules": rules})
        return 0
    for rule in RULES:
        state = "enforced" if rule.enforced is True else ("partly" if rule.enforced else "NOT YET")
        print(f"{rule.id:2} {rule.name:24} {rule.category:11} {rule.severity:9} {state:9} {rule.limit}")
    enforced = sum(1 for rule in RULES if rule.enforced)
    print(f"{enforced} of {len(RULES)} rules are enforced; the others are declared and not yet heard.")
    return 0


COMMAND = Command("rules", "the rules of the Graveyard", _arguments, _run)
