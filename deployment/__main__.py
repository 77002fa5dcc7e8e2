"""`ark`, the command line: what a person can ask of this house, and one clear line when it cannot be done.

Exit codes: 0 fine, 1 a finding, 2 usage or configuration, 3 unavailable, 130 stopped by a signal before the end. With `--json` the last line of stdout is one
JSON object and nothing else is on stdout.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from deployment.from_source import import_graveyard
from mutable_core.errors import ArkError

INTERRUPTED = 130  # 128 + SIGINT, as shells count it


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        print(f"ark: {message}; see `{self.prog} --help`", file=sys.stderr)
        raise SystemExit(2)


def parser() -> argparse.ArgumentParser:
    from deployment.commands import COMMANDS

    root = Parser(prog="ark", description="Governed, supervised, multi-agent trading.", allow_abbrev=False)
    subparsers = root.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        one = subparsers.add_parser(command.name, help=command.help, description=command.help, allow_abbrev=False)
        command.arguments(one)
        one.set_defaults(run=command.run)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    return in_one_line(lambda: _run(argv))


def _run(argv: Sequence[str] | None) -> int:
    import_graveyard()
    arguments = parser().parse_args(argv)
    return int(arguments.run(arguments))


def in_one_line(act: Callable[[], int]) -> int:
    """Do it; whatever stops it is said in one line on stderr, and in the exit code."""
    try:
        try:
            return act()
        finally:
            sys.stdout.flush()  # here, where a reader that has hung up can still be met
    except ArkError as error:
        print(f"ark: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"ark: {error.strerror or error} ({error.filename or 'no file'})", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
