"""`ark boots`"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from deployment.commands.port import Command, print_json
from deployment.desk import asking

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LAST = 20


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--last", type=int, default=LAST, metavar="N", help=f"so many, the newest last (default {LAST})"
    )
    asking.add_state(parser)


def _run(arguments: argparse.Namespace) -> int:
    from mutable_core.errors import SettingsRefused

    if arguments.last < 1:
        raise SettingsRefused("at least one start is shown", where="--last")
    shown = list(_boots(asking.state_of(arguments), arguments.last))
    if arguments.json:
        print_json({"boots": shown})
    else:
        for one in shown:
            print(_in_words(one))
    return 0 if all(one["signed"] for one in shown) else 1


def _boots(state: Path, last: int) -> Iterator[dict[str, Any]]:
    """The newest boot reports, oldest first, each with its version and whether the journal's key has signed it."""
    from deployment.topology.boot_report import KEY, NAMESPACE, is_signed
    from deployment.topology.state_dir import DATABASE, KEYS
    from mutable_core.journal.signing import FORMER, PUBLIC, public_keys
    from mutable_core.state_manager import StateManager, Version

    keys = tuple(key for name in (PUBLIC, FORMER) for key in public_keys(state / KEYS / name))
    with StateManager.open_read_only(state / DATABASE) as memory:
        for entry in sorted(memory.history(NAMESPACE, KEY, last=last), key=lambda one: one.version):
            if entry.is_pruned or entry.is_deleted:
                continue
            kept = memory.get(NAMESPACE, KEY, at=Version(entry.version))
            if kept is not None:
                yield {"version": entry.version, "signed": is_signed(kept.value, keys), "report": kept.value["report"]}


def _in_words(one: dict[str, Any]) -> str:
    from deployment.desk.pages import legible
    from deployment.topology.boot_report import in_a_line, report_in
    from mutable_core.state.points import in_words

    report = report_in(one)
    signed = "signed" if one["signed"] else "NOT SIGNED by the journal's key"
    if report is None:
        return f"{one['version']:>4}  a report that this build cannot read; {signed}"
    lines = [
        f"{one['version']:>4}  {in_words(report.ts_ns)}  {report.run}, pid {report.pid} on {report.host}, {signed}"
    ]
    lines.append(f"      {in_a_line(report)}")
    lines += [f"      adopted {key}: {status}" for key, status in report.orders_adopted.items()]
    lines += [f"      sent only now: {key}" for key in report.orders_sent_now]
    lines += [f"      UNKNOWN to the venue: {key}" for key in report.orders_unknown]
    lines += [f"      cancelled again: {key}" for key in report.cancels_waiting]
    lines += [f"      not believed: {why}" for why in report.passed_over]
    return "\n".join(map(legible, lines))


COMMAND = Command(
    "boots", "what each start has found, adopted and never sent, and whether it is signed", _arguments, _run
)
