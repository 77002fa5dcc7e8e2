"""`ark drill`: put a fault into an agent of the running paper house, and measure what follows."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from deployment.commands.port import Command, print_json
from deployment.desk import asking

if TYPE_CHECKING:
    from pathlib import Path

    from deployment.drills.cell import Cell
    from deployment.watchdog_desk.words import AgentName
    from watchdog.faults import FaultName

DEFAULT_AGENT = "joey"


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "fault", nargs="?", default=None, metavar="FAULT",
        help="one of crash, exit, segfault, hang_async, hang_sync, spin, redos, leak, fork_bomb, flood, lie, replay",
    )  # fmt: skip
    parser.add_argument("agent", nargs="?", default=None, metavar="AGENT", help=f"who (default: {DEFAULT_AGENT})")
    parser.add_argument(
        "--all", action="store_true", help="every fault in every agent, one after the other; ~15 minutes"
    )
    parser.add_argument("--next", action="store_true", help="the cell after the last one: what the schedule holds")
    parser.add_argument(
        "--quiet-seconds", type=float, default=None, metavar="N",
        help="how long the house is left alone before each drill (default: 3, with --all: 10)",
    )  # fmt: skip
    parser.add_argument("--write", action="store_true", help="with --all: write docs/reference/fault-matrix.json")
    parser.add_argument("--parent", type=int, default=0, metavar="PID", help="end with the process that began this one")
    asking.add_by(parser)
    asking.add_state(parser)


def _run(arguments: argparse.Namespace) -> int:
    _check(arguments)
    if arguments.parent:
        from watchdog.jail.kernel import end_with

        end_with(arguments.parent)
    state = asking.state_of(arguments)
    if arguments.all:
        return _all(arguments, state)
    from deployment.drills.schedule import last_drill, next_cell

    fault, agent = next_cell(last_drill(state)) if arguments.next else _named(arguments)
    return _one(arguments, state, fault, agent)


def _check(arguments: argparse.Namespace) -> None:
    from mutable_core.errors import SettingsRefused

    ways = [bool(arguments.fault), arguments.all, arguments.next]
    if sum(ways) != 1:
        raise SettingsRefused("name one fault, or give `--all` or `--next`", to_do="see `ark drill --help`")
    if arguments.write and not arguments.all:
        raise SettingsRefused("`--write` writes all cells", to_do="give `--all` too")
    if arguments.quiet_seconds is not None and not 0 < arguments.quiet_seconds <= 60:
        raise SettingsRefused("it must be more than 0 and at most 60 s", where="--quiet-seconds")


def _named(arguments: argparse.Namespace) -> tuple[FaultName, AgentName]:
    from deployment.drills.matrix import AGENTS
    from mutable_core.errors import UnknownName
    from watchdog.faults import FAULTS_ALL

    fault = next((one for one in FAULTS_ALL if one == arguments.fault), None)
    agent = next((one for one in AGENTS if one == (arguments.agent or DEFAULT_AGENT)), None)
    if fault is None:
        raise UnknownName(f"`{arguments.fault[:40]}` is no fault", to_do=f"choose from {', '.join(FAULTS_ALL)}")
    if agent is None:
        raise UnknownName(f"`{arguments.agent[:40]}` is no agent", to_do=f"choose from {', '.join(AGENTS)}")
    return fault, agent


def _one(arguments: argparse.Namespace, state: Path, fault: FaultName, agent: AgentName) -> int:
    import msgspec

    from deployment.drills.cell import QUIET_S, drill
    from deployment.drills.schedule import record_drill
    from mutable_core.clock import wall_ns

    quiet_s = arguments.quiet_seconds or QUIET_S
    cell = drill(state, fault, agent, asking.by_of(arguments), audits={}, quiet_s=quiet_s).cell
    record_drill(state, cell, wall_ns())
    if arguments.json:
        print_json(msgspec.structs.asdict(cell))
    else:
        print(_in_words(cell))
    return 1 if cell.findings else 0


def _all(arguments: argparse.Namespace, state: Path) -> int:
    from deployment.drills.matrix import PACE_S, drill_all, findings, write
    from deployment.drills.schedule import record_drill
    from mutable_core.clock import wall_ns

    def told(cell: Cell) -> None:
        record_drill(state, cell, wall_ns())
        if not arguments.json:
            print(_in_a_line(cell), flush=True)

    quiet_s = arguments.quiet_seconds or PACE_S
    matrix = drill_all(state, asking.by_of(arguments), quiet_s=quiet_s, tell=told)
    if arguments.write:
        write(matrix)
    found = findings(matrix)
    if arguments.json:
        print_json({"findings": found, "matrix": matrix})
    else:
        kept = sum(not cell.findings for cell in matrix.cells)
        print(f"{kept} of {len(matrix.cells)} cells kept every bound")
        print("\n".join(found))
    return 1 if found else 0


def _in_a_line(cell: Cell) -> str:
    isolated, restarted = (_number(ms) for ms in (cell.isolated_ms, cell.restarted_ms))
    line = f"{cell.fault:10} {cell.agent:8} isolated {isolated:>8} ms  siblings {cell.siblings_gap_ms:6.1f} ms"
    return f"{line}  restarted {restarted:>8} ms  {'; '.join(cell.findings) or 'fine'}"


def _in_words(cell: Cell) -> str:
    replayed = "replayed byte for byte" if cell.replayed else "NOT replayed"
    rows = (
        ("detected", f"{_number(cell.detected_ms)} ms"),
        ("isolated", f"{_number(cell.isolated_ms)} ms"),
        ("siblings' worst gap", f"{cell.siblings_gap_ms} ms; undisturbed {cell.undisturbed_gap_ms} ms"),
        ("siblings' 99.9 %", f"{cell.siblings_p999_ms} ms; undisturbed {cell.undisturbed_p999_ms} ms"),
        ("started again", f"{_number(cell.restarted_ms)} ms; heard again after {_number(cell.back_ms)} ms"),
        ("lost, duplicated", f"{cell.lost}, {cell.duplicated}; {cell.rows} rows, {replayed}"),
        ("alerts", ", ".join(cell.alerts) or "none"),
        ("signs", " · ".join(cell.signs) or "none"),
        ("findings", "; ".join(cell.findings) or "none"),
    )
    return "\n".join([f"{cell.fault} in {cell.agent}", *(f"  {what:20} {text}" for what, text in rows)])


def _number(ms: float | None) -> str:
    return "never" if ms is None else f"{ms:.1f}"


COMMAND = Command(
    "drill", "let an agent of the running paper house misbehave, and measure what follows", _arguments, _run
)
