"""`ark approvals list`, `show` and `sign`"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from deployment.commands.port import Command, print_json
from deployment.desk import asking
from mutable_core.errors import SettingsRefused

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from deployment.desk.signing import Seen
    from deployment.desk.words import Act, Waiting

TYPED = 8
"""Digits of the digest that a person types to sign: enough to have looked at it."""
_SHORTEST = 4


def _arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="list|show|sign", required=True)
    listed = actions.add_parser("list", help="what waits for people", description="what waits", allow_abbrev=False)
    asking.add_state(listed)
    for name, what in (("show", "the exact act, and what will be signed"), ("sign", "sign exactly one act")):
        one = actions.add_parser(name, help=what, description=what, allow_abbrev=False)
        one.add_argument("act", metavar="ID", help="of one act, or how it begins and no other does")
        one.add_argument("--person", required=name == "sign", default="NAME", metavar="NAME", help="who signs")
        if name == "sign":
            one.add_argument("--key", type=Path, required=True, metavar="FILE", help="the key of that person")
            one.add_argument(
                "--passphrase-file", type=Path, default=None, metavar="FILE", help="where the key needs one"
            )
            one.add_argument("--digest", default=None, metavar="DIGEST", help="all 64 digits, instead of being asked")
        asking.add_state(one)


def _run(arguments: argparse.Namespace) -> int:
    match arguments.action:
        case "list":
            return _list(arguments)
        case "show":
            return _show(arguments)
        case _:
            return _sign(arguments)


def _list(arguments: argparse.Namespace) -> int:
    from deployment.desk.client import ask
    from deployment.desk.pages import as_json, listing
    from deployment.desk.words import ListWaiting, Waiting

    waiting = ask(asking.state_of(arguments), ListWaiting())
    assert isinstance(waiting, Waiting)
    if arguments.json:
        print_json(
            {
                "now_ns": str(waiting.now_ns),
                "acts": [as_json(act) for act in waiting.acts],
                "left_off": waiting.left_off,
                "standing": waiting.standing,
            }
        )
    else:
        print("\n".join(listing(waiting)))
    return 0


def _one(arguments: argparse.Namespace) -> tuple[Waiting, Act, Seen]:
    from deployment.desk.client import ask
    from deployment.desk.signing import seen
    from deployment.desk.words import ShowAct, Waiting

    beginning = str(arguments.act).lower()
    if not re.fullmatch(rf"[0-9a-f]{{{_SHORTEST},32}}", beginning):
        raise SettingsRefused(f"`{beginning[:40]}` is no id", where="ID", to_do="give one from `ark approvals list`")
    waiting = ask(asking.state_of(arguments), ShowAct(beginning))
    assert isinstance(waiting, Waiting)
    act = waiting.acts[0]
    return waiting, act, seen(act)


def _show(arguments: argparse.Namespace) -> int:
    from deployment.desk.pages import as_json, page

    waiting, act, read = _one(arguments)
    if arguments.json:
        statement = read.statement(arguments.person)
        print_json(as_json(act) | {"digest_computed": read.digest, "statement_hex": statement.hex()})
    else:
        print("\n".join(page(act, read, waiting.currency, arguments.person)))
    return 0


def _sign(arguments: argparse.Namespace) -> int:
    from deployment.desk.pages import page

    person = asking.named(arguments.person, "--person")
    key = _key(arguments)
    waiting, act, read = _one(arguments)
    print("\n".join(page(act, read, waiting.currency, person)), file=sys.stderr)
    _demand_looked(arguments.digest, read, person)
    return asking.told(arguments, read.signed(person, key))


def _key(arguments: argparse.Namespace) -> Ed25519PrivateKey:
    from deployment.rules.keys import is_encrypted, passphrase_in, private_key

    file = arguments.passphrase_file
    if file is None and is_encrypted(arguments.key):
        raise SettingsRefused(
            "the key needs a passphrase", where=str(arguments.key), to_do="give `--passphrase-file FILE`"
        )
    return private_key(arguments.key, passphrase_in(file) if file else None)


def _demand_looked(digest: str | None, read: Seen, person: str) -> None:
    """The person says which act they mean, by its digest as it was computed here."""
    wanted = read.digest if digest is not None else read.digest[:TYPED]
    given = digest if digest is not None else _typed(person)
    if given.strip().lower() != wanted:
        raise SettingsRefused(
            f"that is not the digest of act `{read.act_id}`",
            to_do="nothing was signed; look at the act with `ark approvals show`",
        )


def _typed(person: str) -> str:
    print(f"\nto sign as {person}, type the first {TYPED} digits of the digest: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline(TYPED + 2)


COMMAND = Command("approvals", "acts that wait for people: list them, show one, sign one", _arguments, _run)
