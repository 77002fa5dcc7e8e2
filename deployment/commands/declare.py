"""`ark declare broadcast|filing|signal`"""

from __future__ import annotations

import argparse

from deployment.commands.port import Command
from deployment.desk import asking

_ACTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "broadcast": ("we have published something on an instrument", ("instrument", "title")),
    "filing": ("there is a filing on an instrument that anybody can read", ("instrument", "filing")),
    "signal": ("another profile is about to trade an instrument", ("profile", "instrument", "side")),
}


def _arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="|".join(_ACTIONS), required=True)
    for name, (what, words) in _ACTIONS.items():
        one = actions.add_parser(name, help=what, description=what, allow_abbrev=False)
        for word in words:
            one.add_argument(word, metavar=word.upper(), choices=("buy", "sell") if word == "side" else None)
        asking.add_state(one)


def _run(arguments: argparse.Namespace) -> int:
    from deployment.desk.words import DeclareBroadcast, DeclareFiling, DeclareSignal

    instrument = asking.instrument_of(arguments)
    match arguments.action:
        case "broadcast":
            return asking.told(arguments, DeclareBroadcast(instrument, asking.text_of(arguments.title, "TITLE")))
        case "filing":
            return asking.told(arguments, DeclareFiling(instrument, asking.text_of(arguments.filing, "FILING")))
        case _:
            profile = asking.named(arguments.profile, "PROFILE")
            return asking.told(arguments, DeclareSignal(profile, instrument, arguments.side))


COMMAND = Command(
    "declare", "tell the house what it cannot see: a broadcast, a filing, another's signal", _arguments, _run
)
