"""`ark export`"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from deployment.commands.port import Command, add_journal, add_json, journal_at, print_json


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_journal(parser)
    parser.add_argument(
        "--from", dest="since", default="", metavar="A", help="first row: a log position or an ISO time"
    )
    parser.add_argument("--to", dest="until", default="", metavar="B", help="last row: a log position or an ISO time")
    parser.add_argument(
        "--out", type=Path, metavar="PATH", help="a folder, or a name ending in .tar.gz; default: ark-evidence-A-B"
    )
    parser.add_argument("--full", action="store_true", help="leave rows in that speak of people")
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    from deployment.export import export

    path = journal_at(arguments.journal)
    done = export(path, since=arguments.since, until=arguments.until, out=arguments.out, full=arguments.full)
    if arguments.json:
        print_json(done._asdict() | {"journal": str(path)})
    else:
        print(f"{done.path}: rows {done.first}-{done.last}, signed to row {done.signed_to}, {done.approvals} approvals")
        print(f"{done.left_out} rows speak of people and are there as hashes alone; rules: {done.rules}")
        print(
            f"check it with: {_how(Path(done.path))} --key KEY; KEY is what `ark verify` names, not what the bundle says"
        )
    return 0


def _how(bundle: Path) -> str:
    """The command for who has the bundle: the verifier is inside, and an archive is unpacked first."""
    folder = shlex.quote(str(bundle) if bundle.is_dir() else bundle.name.removesuffix(".tar.gz"))
    unpack = "" if bundle.is_dir() else f"tar -xzf {shlex.quote(str(bundle))} && "
    return f"{unpack}python3 -I {folder}/verifier.py {folder}"


COMMAND = Command("export", "an evidence bundle that a stranger can check with Python alone", _arguments, _run)
