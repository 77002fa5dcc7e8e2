"""What the commands at the desk share: which house, who asks, what about, and how the answer is told."""

from __future__ import annotations

import argparse
import getpass
import re
from pathlib import Path
from typing import TYPE_CHECKING

from deployment.commands.port import add_json, print_json
from mutable_core.errors import SettingsRefused

if TYPE_CHECKING:
    from deployment.desk.words import Question
    from mutable_core.messages import Scope

SCOPES: tuple[Scope, ...] = ("global", "account", "strategy", "instrument")
_NAME = re.compile(r"[a-z0-9_-]{1,32}")


def add_state(parser: argparse.ArgumentParser) -> None:
    """`--state` and `--json`."""
    parser.add_argument("--state", type=Path, default=None, help="the state folder (default: $ARK_STATE_DIR)")
    add_json(parser)


def add_by(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--by", default=None, metavar="NAME", help="who you are (default: the name of your login)")


def add_scope(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scope", choices=SCOPES, default="global", help="what it covers (default: global, everything)"
    )
    parser.add_argument("--name", default="", help="which account, strategy or instrument")


def add_reason(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reason", required=True, metavar="TEXT", help="why: it is kept in the log for ever")


def state_of(arguments: argparse.Namespace) -> Path:
    """The state folder that is meant."""
    from mutable_core.settings import settings_from

    default = settings_from().state_dir  # read in any case: an unknown variable is said by every command
    return arguments.state if arguments.state is not None else default


def by_of(arguments: argparse.Namespace) -> str:
    """Who asks. It is a statement, not a proof: whoever may speak at the desk may say any name.

    Raises:
        SettingsRefused: that is no name.
    """
    name = arguments.by if arguments.by is not None else _login()
    return named(name, "--by")


def _login() -> str:
    try:
        return getpass.getuser().lower()
    except (KeyError, OSError):  # a container's user may have no name
        return ""


def named(name: str, option: str) -> str:
    """The name of a person or profile.

    Raises:
        SettingsRefused: that is none.
    """
    if _NAME.fullmatch(name):
        return name
    raise SettingsRefused(f"`{name[:40]}` is no name", where=option, to_do="use a–z, 0–9, - and _, at most 32")


def scope_of(arguments: argparse.Namespace) -> tuple[Scope, str]:
    """What is covered.

    Raises:
        SettingsRefused: a name is missing, or too much.
    """
    scope, name = arguments.scope, arguments.name
    if (scope == "global") == bool(name):
        what = "`global` covers everything and has no name" if name else f"which {scope}?"
        raise SettingsRefused(what, where="--name", to_do="give `--scope` and `--name` together")
    return scope, _short(name, "--name", 64)


def text_of(text: str, option: str, *, least: int = 3) -> str:
    """What a person writes, `least`–500 characters.

    Raises:
        SettingsRefused: it is shorter or longer.
    """
    text = " ".join(text.split())
    if len(text) < least:
        raise SettingsRefused(f"at least {least} characters are needed", where=option, to_do="say why, in a few words")
    return _short(text, option, 500)


def instrument_of(arguments: argparse.Namespace) -> str:
    return _short(str(arguments.instrument), "INSTRUMENT", 64)


def _short(text: str, option: str, most: int) -> str:
    if len(text) > most or not text.isprintable():
        raise SettingsRefused(f"`{text[:20]!a}…` is longer than {most} characters, or not printable", where=option)
    return text


def told(arguments: argparse.Namespace, question: Question) -> int:
    """Ask, print what follows, and return the exit code: 1 where the rules refuse it.

    Raises:
        HouseSilent: there is no house that answers.
        DeskDenied: it was not done, and why.
    """
    from deployment.desk.client import ask
    from deployment.desk.words import Done

    answer = ask(state_of(arguments), question)
    assert isinstance(answer, Done)
    if arguments.json:
        print_json(answer)
    else:
        act = f"act {answer.act_id}: " if answer.act_id else ""
        print(f"{act}{answer.what}; log position {answer.position}")
    return 1 if answer.outcome == "refused" else 0
