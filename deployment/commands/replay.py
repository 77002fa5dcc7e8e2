"""`ark replay`"""

from __future__ import annotations

import argparse
import time

from deployment.commands.port import Command, add_journal, add_json, journal_at, print_json


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_journal(parser)
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    from deployment.topology.replay import replay

    path = journal_at(arguments.journal)
    began = time.monotonic()
    result = replay(path)
    elapsed_s = round(time.monotonic() - began, 3)
    if arguments.json:
        print_json({"journal": str(path), "elapsed_s": elapsed_s} | result._asdict())
    else:
        print(f"{path}: {result.rows} rows replayed, {result.compared} said again byte for byte, in {elapsed_s} s")
    return 0


COMMAND = Command(
    "replay", "give the agents the inputs of a journal again; they must say the same, byte for byte", _arguments, _run
)
