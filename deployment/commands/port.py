"""What a command is."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from deployment.topology.state_dir import journals
from mutable_core.errors import UnknownName


class Command(msgspec.Struct, frozen=True):
    """A word after `ark`, or a word after that. `run` returns the exit code and may raise ArkError."""

    name: str
    help: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def no_arguments(_parser: argparse.ArgumentParser) -> None: ...


def add_actions(
    parser: argparse.ArgumentParser,
    actions: Sequence[Command],
    shared: Callable[[argparse.ArgumentParser], None] = no_arguments,
    *,
    required: bool = True,
) -> None:
    """The words after a command: each with the arguments that all share, then its own.

    `arguments.act` is the `run` of the chosen one; `arguments.action` is None where none was chosen and none had to be.
    """
    words = parser.add_subparsers(
        dest="action", required=required, help="; ".join(f"`{action.name}`: {action.help}" for action in actions)
    )
    for action in actions:
        one = words.add_parser(action.name, help=action.help, description=action.help, allow_abbrev=False)
        shared(one)
        action.arguments(one)
        one.set_defaults(act=action.run)


def print_json(result: Any) -> None:
    """One JSON object on the last line of stdout."""
    print(msgspec.json.encode(result).decode())


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line of stdout")


def add_journal(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "journal",
        nargs="?",
        type=Path,
        metavar="JOURNAL",
        help="a journal.sqlite, or a folder with journals; default: the newest in the state folder",
    )


def journal_at(path: Path | None) -> Path:
    """The journal that a person means.

    Raises:
        UnknownName: there is none there.
    """
    from mutable_core.settings import settings_from

    at = path or settings_from().state_dir
    if path is not None and not path.exists():
        raise UnknownName("there is no such file or folder", where=str(path), to_do="give the path of a journal.sqlite")
    found = journals(at)
    if not found:
        raise UnknownName("there is no journal", where=str(at), to_do="run `ark run` first, or give a path")
    return found[0]
