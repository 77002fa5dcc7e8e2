"""`ark people new`"""

from __future__ import annotations

import argparse
from pathlib import Path

from deployment.commands.port import Command, add_json, print_json


def _arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="new", required=True)
    new = actions.add_parser("new", help="make a person's key", description="make a person's key", allow_abbrev=False)
    new.add_argument("name", metavar="NAME", help="as it will stand in the people file")
    new.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="where the key goes; outside of any checkout"
    )
    new.add_argument(
        "--passphrase-file", type=Path, default=None, metavar="FILE", help="encrypt the key with its first line"
    )
    add_json(new)


def _run(arguments: argparse.Namespace) -> int:
    from deployment.desk.asking import named
    from deployment.rules.keys import new_key, passphrase_in

    name = named(arguments.name, "NAME")
    passphrase = passphrase_in(arguments.passphrase_file) if arguments.passphrase_file else None
    pair = new_key(name, arguments.out, passphrase)
    line = f"{name} {pair.public}"
    if arguments.json:
        print_json({"name": name, "public_key": pair.public, "private_file": str(pair.private_file), "line": line})
    else:
        print(line)
    return 0


COMMAND = Command(
    "people", "make the key with which a person signs; prints the line for the people file", _arguments, _run
)
