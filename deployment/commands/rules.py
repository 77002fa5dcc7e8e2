"""`ark rules`: the rules of the Graveyard, what is proved about them, what changed, and their seal."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from deployment.commands.port import Command, add_actions, add_json, print_json
from deployment.rules import diff, prove, release
from mutable_core.errors import Broken


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_actions(parser, ACTIONS)


def _run(arguments: argparse.Namespace) -> int:
    try:
        return int(arguments.act(arguments))
    except ModuleNotFoundError as error:
        if error.name != "z3":
            raise
        from mutable_core.errors import SettingsRefused

        raise SettingsRefused(
            "the solver is not installed",
            where=f"ark rules {arguments.action}",
            to_do="run `make .venv/dev`, or install the extra `prove` of this checkout",
        ) from error
    except _graveyard_error() as error:
        raise Broken(f"{error}", to_do="see docs/runbooks/seal-broken.md") from error


def _graveyard_error() -> type[Exception]:
    from graveyard.errors import GraveyardError

    return GraveyardError


def _list(arguments: argparse.Namespace) -> int:
    from graveyard.ethics import RULES, ruleset_digest
    from graveyard.expressions import formula
    from graveyard.seal import examine

    if arguments.json:
        seal = examine(now_ns=0).seal
        print_json({
            "ruleset": ruleset_digest(),
            "version": seal.version if seal else None,
            "rules": [
                {
                    "id": rule.id,
                    "name": rule.name,
                    "category": rule.category,
                    "severity": rule.severity,
                    "limit": rule.limit,
                    "unit": rule.unit,
                    "enforced": True,  # a rule without a clause cannot be written
                    "why": rule.why,
                    "clauses": len(rule.clauses),
                    "formulas": [formula(clause) for clause in rule.clauses],
                }
                for rule in RULES
            ],
        })  # fmt: skip
        return 0
    for rule in RULES:
        print(f"{rule.id:2} {rule.name:24} {rule.category:11} {rule.severity:9} {rule.limit}")
    print(f"{len(RULES)} rules, {sum(len(rule.clauses) for rule in RULES)} clauses; all are enforced.")
    return 0


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--newest-seen", type=int, default=0, metavar="N", help="the newest version ever seen; an older one is refused"
    )
    add_json(parser)


def _check(arguments: argparse.Namespace) -> int:
    from graveyard.ethics import ruleset_digest
    from graveyard.seal import examine, midnight_ns
    from mutable_core.clock import DAY_NS, wall_ns

    now_ns = wall_ns()
    seal, signatures, faults = examine(now_ns=now_ns, newest_version=arguments.newest_seen)
    days_left = (midnight_ns(seal.expires) - now_ns) // DAY_NS if seal else None
    if arguments.json:
        print_json({
            "holds": not faults,
            "ruleset": ruleset_digest(),
            "version": seal.version if seal else None,
            "signatures": signatures,
            "not_before": seal.not_before if seal else None,
            "expires": seal.expires if seal else None,
            "days_left": days_left,
            "faults": faults,
        })  # fmt: skip
        return 1 if faults else 0
    for fault in faults:
        print(f"broken: {fault}")
    if seal and not faults:
        print(f"version {seal.version} is sealed by {signatures}, until {seal.expires} ({days_left} days)")
    return 1 if faults else 0


def _keys_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("verb", choices=("new",), help="new: make a key pair, `NAME.key` and `NAME.pub`")
    parser.add_argument("name", metavar="NAME", help="of the person who signs with it")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="outside of any checkout")
    parser.add_argument(
        "--passphrase-file", type=Path, default=None, metavar="FILE", help="encrypt with its first line"
    )
    parser.add_argument("--ask-passphrase", action="store_true", help="encrypt with what the person types")
    add_json(parser)


def _keys(arguments: argparse.Namespace) -> int:
    from deployment.rules.keys import new_key

    pair = new_key(arguments.name, arguments.out, _passphrase(arguments))
    if arguments.json:
        told: dict[str, Any] = pair._asdict() | {"name": arguments.name}
        print_json({name: str(value) for name, value in told.items()})
        return 0
    print(f"private: {pair.private_file} (keep it; never commit it)")
    print(f"public:  {pair.public_file}")
    print(pair.public)
    return 0


def _passphrase(arguments: argparse.Namespace) -> bytes | None:
    from getpass import getpass

    from deployment.rules.keys import passphrase_in
    from mutable_core.errors import SettingsRefused

    if arguments.passphrase_file is not None:
        return passphrase_in(arguments.passphrase_file)
    if not arguments.ask_passphrase:
        return None
    first, second = getpass("passphrase: "), getpass("once more: ")
    if first != second or not first:
        raise SettingsRefused("the two passphrases differ, or are empty", to_do="try again")
    return first.encode()


ACTIONS: tuple[Command, ...] = (
    Command("list", "the rules, their limits and their clauses", add_json, _list),
    Command("prove", "prove what the rules guarantee, for all acts", prove.arguments, prove.run),
    Command("diff", "what two rulesets let pass and refuse differently", diff.arguments, diff.run),
    Command("release", "check, prove, compare, sign and install the rules", release.arguments, release.run),
    Command("check", "whether the seal holds, and everything that is wrong with it", _check_arguments, _check),
    Command("keys", "make a key for one who signs the rules", _keys_arguments, _keys),
)

COMMAND = Command("rules", "the rules of the Graveyard, their proofs and their seal", _arguments, _run)
