"""`ark run`"""

from __future__ import annotations

import argparse
import signal
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Literal

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
    parser.add_argument(
        "--topology", choices=("auto", "embedded", "processes"), default=None,
        help="everybody in a process of his own under the Watchdog, or all in one (default: $ARK_TOPOLOGY, else auto)",
    )  # fmt: skip
    add_json(parser)


def _settings(arguments: argparse.Namespace) -> Settings:
    from mutable_core.errors import SettingsRefused
    from mutable_core.settings import settings_from

    given = {
        "state_dir": arguments.state,
        "metrics_host": arguments.host,
        "metrics_port": arguments.port,
        "topology": arguments.topology,
    }
    settings = settings_from()
    changes = {name: value for name, value in given.items() if value is not None}
    if arguments.state is not None and str(arguments.state) == ".":
        raise SettingsRefused("`--state` names no folder", to_do="write ./FOLDER for one below the current folder")
    return settings.model_copy(update=changes)


def _run(arguments: argparse.Namespace) -> int:
    from deployment.run import DAY_A_SECOND, Options, run
    from deployment.summary import summarise

    until_end = arguments.until_end
    speed = arguments.speed if arguments.speed is not None else (0.0 if until_end else DAY_A_SECOND)
    settings = _settings(arguments)
    options = Options(
        source=arguments.source,
        seed=arguments.seed,
        speed=speed,
        until_end=until_end,
        serve=not until_end or arguments.port is not None,
        quiet=arguments.json,
        topology=_topology(settings, until_end=until_end),
    )
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # until the loop takes it, and after that
    try:
        ran = run(settings, options)
    except KeyboardInterrupt:
        print("ark: stopped by a signal; the next start goes on where the journal ends", file=sys.stderr)
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)
    if not until_end and not arguments.json:
        return _stopped(ran.journal)
    summary = summarise(ran.journal)
    if arguments.json:
        details = {
            "journal": str(ran.journal),
            "has_ended": ran.has_ended,
            "elapsed_s": round(ran.elapsed_s, 3),
            "recovered": ran.found,
        }
        print_json(msgspec.structs.asdict(summary) | details)
    else:
        _print(summary, ran.elapsed_s)
    found = findings(summary, until_end=ran.has_ended)
    for finding in found[:1]:
        print(f"ark: {finding}", file=sys.stderr)
    if found:
        return 1
    return INTERRUPTED if until_end and not ran.has_ended else 0


def _topology(settings: Settings, *, until_end: bool) -> Literal["embedded", "processes"]:
    """A run that stays up is supervised, unless it is told otherwise, or is to approve its orders itself."""
    if settings.topology != "auto":
        return settings.topology
    return "embedded" if until_end or settings.authority == "embedded" else "processes"


def _stopped(journal: Path) -> int:
    """How a run that stayed up is left: whole, and without a discrepancy. Nothing is computed again: that takes its time."""
    from mutable_core.journal import verify
    from mutable_core.journal.search import rows_with
    from mutable_core.messages import KIND_OF, DiscrepancyFound

    report = verify(journal)
    print(f"journal {'whole' if report.ok else report.finding}: {report.rows:,} rows, head {report.head}")
    found = next(rows_with(journal, f'{{"kind":"{KIND_OF[DiscrepancyFound]}"'), None) if report.ok else None
    if found is not None:
        print(
            f"ark: a discrepancy stands at row {found.envelope.seq}; see docs/runbooks/discrepancy-found.md",
            file=sys.stderr,
        )
    return 0 if report.ok and found is None else 1


def findings(summary: Summary, *, until_end: bool) -> list[str]:
    """What a person must know before relying on this run; empty where it is whole, explained and, at its end, reconciled."""
    rows = summary.observations + summary.rejected_inputs
    found = {
        summary.finding or "the journal is not whole": not summary.journal_ok or bool(summary.discrepancies),
        f"{summary.verdict_mismatches} verdicts do not follow from the log": bool(summary.verdict_mismatches),
        "the books and the venue's last statement differ": until_end and not summary.reconciled,
        f"{summary.traces_incomplete} traces did not come to their end": until_end and bool(summary.traces_incomplete),
        f"{summary.rejected_inputs} of {rows} rows were rejected: {summary.rejected_by_reason}": (
            summary.rejected_inputs > summary.observations
        ),
        f"equity is {summary.end_equity}": bool(rows) and Decimal(summary.end_equity) <= 0,
    }
    return [text for text, is_so in found.items() if is_so]


def _print(summary: Summary, elapsed_s: float) -> None:
    for name, value in msgspec.structs.asdict(summary).items():
        print(f"{name:22} {value}")
    print(f"{'elapsed_s':22} {elapsed_s:.3f}")


COMMAND = Command("run", "run the house on a market source, in PAPER mode", _arguments, _run)
