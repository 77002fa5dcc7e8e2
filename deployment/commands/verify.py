"""`ark verify`"""

from __future__ import annotations

import argparse

from deployment.commands.port import Command, add_journal, add_json, journal_at, print_json


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_journal(parser)
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    from mutable_core.journal import verify

    path = journal_at(arguments.journal)
    report = verify(path)
    if arguments.json:
        print_json(report._asdict() | {"journal": str(path)})
    elif report.ok:
        print(f"{path}: {report.rows} rows, whole; head {report.head}")
    else:
        print(f"{path}: first bad row {report.first_bad_row}: {report.finding}")
    return 0 if report.ok else 1


COMMAND = Command(
    "verify", "check a journal: every row, its order, and the file; name the first bad row", _arguments, _run
)
