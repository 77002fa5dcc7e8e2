"""`ark run`"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from deployment.commands.port import Command, add_json, print_json

INTERRUPTED = 130  # 128 + SIGINT: stopped before the end, whole, and ready to go on

if TYPE_CHECKING:
    from deployment.summary import Summary
    from mutable_core.settings import Settings


def _speed(text: str) -> float:
    if text == "max":
        return 0.0
    try:
        speed = float(text)
    except ValueError:
        speed = -1.0
    if not 0 < speed <= 1e12:
        raise argparse.ArgumentTypeError(f"speed `{text}` is neither `max` nor a number > 0")
    return speed


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--source", default="embedded", help="embedded (default), file:PATH, synthetic or synthetic:ROWS"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the synthetic source (default 0)")
    parser.add_argument(
        "--until-end", action="store_true", help="stop when the source ends; serves metrics only with --port"
    )
    parser.add_argument(
        "--speed", type=_speed, default=None, metavar="N|max",
        help="market time per wall time (default: a day a second, with --until-end: max); gaps are cut to a second",
    )  # fmt: skip
    parser.add_argument("--state", type=Path, default=None, help="the state folder (default: $ARK_STATE_DIR)")
    parser.add_argument("--host", default=None, help="metrics server address (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=None, help="metrics server port (default 9090; 0 picks one)")
    add_json(parser)


def _settings(arguments: argparse.Namespace) -> Settings:
    from mutable_core.settings import settings_from

    given = {"state_dir": arguments.state, "metrics_host": arguments.host, "metrics_port": arguments.port}
    return settings_from().model_copy(update={name: value for name, value in given.items() if value is not None})


def _run(arguments: argparse.Namespace) -> int:
    from deployment.run import DAY_A_SECOND, Options, run
    from deployment.summary import summarise

    until_end = arguments.until_end
    speed = arguments.speed if arguments.speed is not None else (0.0 if until_end else DAY_A_SECOND)
    options = Options(
        source=arguments.source,
        seed=arguments.seed,
        speed=speed,
        until_end=until_end,
        serve=not until_end or arguments.port is not None,
        quiet=arguments.json,
    )
    ran = run(_settings(arguments), options)
    summary = summarise(ran.journal)
    if arguments.json:
        details = {
            "journal": str(ran.journal),
            "has_ended": ran.has_ended,
            "elapsed_s": round(ran.elapsed_s, 3),
            "recovered": ran.found,
        }
        print_json(msgspec.structs.asdict(summary) | details)
    elif until_end:
        _print(summary, ran.elapsed_s)
    else:
        state = "whole" if summary.journal_ok else summary.finding
        print(f"journal {state}: {summary.journal_rows:,} rows, head {summary.journal_head}")
    if until_end and not ran.has_ended and is_fine(summary, until_end=False):
        return INTERRUPTED
    return 0 if is_fine(summary, until_end=until_end) else 1


def is_fine(summary: Summary, *, until_end: bool) -> bool:
    """Whole, explained and, where the run came to its end, reconciled."""
    whole = summary.journal_ok and not summary.verdict_mismatches and not summary.discrepancies
    return whole and (not until_end or (summary.reconciled and not summary.traces_incomplete))


def _print(summary: Summary, elapsed_s: float) -> None:
    for name, value in msgspec.structs.asdict(summary).items():
        print(f"{name:22} {value}")
    print(f"{'elapsed_s':22} {elapsed_s:.3f}")


COMMAND = Command("run", "run the house on a market source, in PAPER mode", _arguments, _run)
