"""`ark why`"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployment.commands.port import Command, add_json, journal_at, print_json
from deployment.topology.state_dir import journals

if TYPE_CHECKING:
    from deployment.why import Why


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("decision", metavar="ID", help="a decision, order, trace or message id, or a log position")
    parser.add_argument(
        "--journal", type=Path, default=None, help="default: every journal in the state folder, newest first"
    )
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    from deployment.why import why
    from mutable_core.settings import settings_from

    at = settings_from().state_dir if arguments.journal is None else journal_at(arguments.journal)
    answer = why(journals(at), arguments.decision)
    if arguments.json:
        print_json(answer)
    else:
        print("\n".join(_lines(answer)))
    return 0


def _lines(answer: Why) -> list[str]:
    proposal = answer.proposal
    verdict = answer.status.upper()
    order = f"{proposal['side']} {proposal['quantity']} {proposal['instrument']} at {proposal['limit_price']}"
    lines = [
        f"{verdict}  {order}, stop {proposal['stop_price']}, target {proposal['target_price']}",
        f"decision {answer.decision_id}   trace {answer.trace_id}",
        f"{proposal['strategy']}: {proposal['reason']}",
        "",
        "inputs",
    ]
    lines += [_input_line(one) for one in answer.inputs]
    lines += ["", f"rules {answer.ruleset[:16]}…, proved by report {answer.proofs[:16]}…"]
    lines += [f"      {'':27}{'measured':>22}    {'limit':>22} {'margin':>22}  unit, log positions of the facts"]
    lines += [_rule_line(finding) for finding in answer.rules]
    if answer.nearest is not None:
        lines += ["", f"would pass: {_nearest_line(answer.nearest)}"]
    lines += [f"signed by {one['person']} at log position {one['seq']}" for one in answer.people]
    lines += ["", f"life {'':9}seq   after ms  at (UTC)"]
    lines += [_life_line(event) for event in answer.life]
    return lines


def _input_line(one: dict[str, Any]) -> str:
    if one["seq"] is None:
        return f"  {one['field']} = {one['value']}: not in the log"
    return (
        f"  {one['instrument']} {one['field']} = {one['value']}, age {one['age_s']:g} s "
        f"(source row {one['row']}, log position {one['seq']})"
    )


def _rule_line(finding: dict[str, Any]) -> str:
    mark = "ok" if finding["holds"] else "NO"
    if not finding["applies"]:
        mark = "--"
    name = f"{finding['rule']:2}.{finding['clause']} {finding['name']}"
    measured, limit, margin = (_number(finding[key]) for key in ("measured", "limit", "margin"))
    line = f"  {mark} {name:29}{measured:>22} {finding['relation']:2} {limit:>22} {margin:>22}  {finding['unit']} {finding['positions']}"
    return line if finding["holds"] else f"{line}  ← {finding['why']}"


def _nearest_line(nearest: dict[str, Any]) -> str:
    atoms, wait_ns = nearest["quantity_atoms"], nearest["wait_ns"]
    quantity = "" if atoms is None else f"a quantity of {atoms / 100_000_000:.8f}".rstrip("0").rstrip(".")
    wait = f"in {wait_ns / 1e9:g} s" if wait_ns else ""
    return " ".join(part for part in (quantity, wait) if part)


def _number(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"


def _life_line(event: dict[str, Any]) -> str:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(int(event["seen_ns"]) // 1_000_000_000))
    return f"  {event['author']:9} {event['seq']:>7} {event['after_ms']:>10.3f}  {at}  {event['kind']}  {event['what']}"


COMMAND = Command("why", "why a decision was made: inputs, rules, verdict, and its order's life", _arguments, _run)
