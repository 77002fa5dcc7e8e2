"""`ark consent`"""

from __future__ import annotations

import argparse
from datetime import UTC, date, datetime

from deployment.commands.port import Command
from deployment.desk import asking
from mutable_core.clock import SECOND_NS


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("person", metavar="PERSON")
    parser.add_argument("purpose", metavar="PURPOSE", help="what for: trading")
    parser.add_argument(
        "--until", required=True, type=_day, metavar="DATE",
        help="2026-12-31: valid until that day begins (UTC, by the log's clock); a day that has passed withdraws it",
    )  # fmt: skip
    asking.add_state(parser)


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"`{text}` is no day like 2026-12-31") from error
    if not 1970 <= day.year <= 2200:
        raise argparse.ArgumentTypeError(f"`{text}` is not between 1970 and 2200")
    return day


def _run(arguments: argparse.Namespace) -> int:
    from deployment.desk.words import Consent

    day = arguments.until
    until = datetime(day.year, day.month, day.day, tzinfo=UTC)
    person, purpose = asking.named(arguments.person, "PERSON"), asking.named(arguments.purpose, "PURPOSE")
    return asking.told(arguments, Consent(person, purpose, int(until.timestamp()) * SECOND_NS))


COMMAND = Command("consent", "record that a person agrees that data about them is used for a purpose", _arguments, _run)
