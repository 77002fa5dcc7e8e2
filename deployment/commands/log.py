"""`ark log`"""

from __future__ import annotations

import argparse
import time
from collections import deque
from typing import Any

from deployment.commands.port import Command, add_journal, add_json, journal_at, print_json


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_journal(parser)
    parser.add_argument(
        "--kind", action="append", default=[], help="only these, e.g. decision.refused; may be repeated"
    )
    parser.add_argument("--author", help="only what this agent or edge said")
    parser.add_argument("--last", type=int, default=20, metavar="N", help="the last N of them (default 20)")
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    import msgspec

    from deployment.why import in_words
    from mutable_core.errors import UnknownName
    from mutable_core.journal import checked_rows
    from mutable_core.messages import KIND_OF
    from mutable_core.privacy import redacted_fields

    kinds = {name.rpartition("/")[0] for name in KIND_OF.values()}
    unknown = sorted(set(arguments.kind) - kinds)
    if unknown:
        raise UnknownName(f"no message is called {unknown[0][:60]!a}", to_do="see docs/reference/messages.md")
    path = journal_at(arguments.journal)
    found: deque[Any] = deque(maxlen=max(1, arguments.last))
    for checked in checked_rows(path):
        envelope = checked.envelope
        if arguments.kind and envelope.kind not in arguments.kind:
            continue
        if arguments.author in (None, envelope.author):
            found.append(envelope)
    if arguments.json:
        print_json({"journal": str(path), "rows": [redacted_fields(msgspec.to_builtins(one)) for one in found]})
        return 0
    for one in found:
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(one.ts_seen_ns // 1_000_000_000))
        print(f"{one.seq:>8}  {at}  {one.author:9} {one.kind:28} {in_words(one)}")
    return 0


COMMAND = Command("log", "the last rows of a journal: who said what, and when", _arguments, _run)
