"""`ark agents`: who the six are; and how they are, isolated, released and restarted in a house that runs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from deployment.commands.port import Command, add_actions, add_json, no_arguments, print_json
from deployment.desk import asking

if TYPE_CHECKING:
    from pathlib import Path

    from deployment.watchdog_desk.words import AgentName, Child, Isolate, Release, Restart

NAMES: tuple[AgentName, ...] = ("kyle", "joey", "hrm", "kenny", "aletheia", "id")


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_json(parser)
    add_actions(parser, ACTIONS, _shared, required=False)


def _shared(parser: argparse.ArgumentParser) -> None:
    """`--json` may stand before the word or after it: here its absence says nothing."""
    asking.add_state(parser)
    for action in parser._actions:
        if action.dest == "json":
            action.default = argparse.SUPPRESS


def _named(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("agent", choices=NAMES, metavar="NAME", help=f"one of {', '.join(NAMES)}")
    asking.add_by(parser)
    asking.add_reason(parser)


def _run(arguments: argparse.Namespace) -> int:
    return _who(arguments) if arguments.action is None else int(arguments.act(arguments))


def _who(arguments: argparse.Namespace) -> int:
    from deployment.topology.wiring import AGENTS
    from mutable_core.messages import KIND_OF

    specs = [agent.spec for agent in AGENTS]
    if arguments.json:
        print_json({
            "agents": [
                {
                    "name": spec.name,
                    "does": spec.does,
                    "hears": sorted(KIND_OF[kind] for kind in set(spec.hears)),
                    "says": sorted(KIND_OF[kind] for kind in spec.says),
                    "reports": sorted(KIND_OF[kind] for kind in spec.reports),
                }
                for spec in specs
            ]
        })  # fmt: skip
        return 0
    for spec in specs:
        print(f"{spec.name:10} {spec.does}")
        print(f"{'':10} says {', '.join(KIND_OF[kind] for kind in (*spec.says, *spec.reports))}")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    """1 where a child of the Watchdog does not work."""
    from deployment.watchdog_desk.client import ask
    from deployment.watchdog_desk.words import Look

    seen = ask(asking.state_of(arguments), Look())
    if arguments.json:
        print_json(seen)
    else:
        print("\n".join(map(_in_a_line, seen.children)))
    return 0 if all(_works(child) for child in seen.children) else 1


def _works(child: Child) -> bool:
    return child.phase == "running" and not child.held


def _in_a_line(child: Child) -> str:
    from deployment.desk.pages import legible

    last = child.happened[-1] if child.happened else None
    held = f"held back: {child.held}; " if child.held else ""
    newest = f"{last.what}{': ' if last.detail else ''}{last.detail}" if last else ""
    process = f"pid {child.pid}" if child.pid else "no process"
    counts = f"{child.pending} pending, {child.refused} refused, phi {child.phi:.1f}, {child.rss_bytes >> 20} MiB"
    line = f"{child.name:10} {child.phase:12} incarnation {child.incarnation}, {process}, {counts}"
    return legible(f"{line}; {held}{newest}")


def _isolate(arguments: argparse.Namespace) -> int:
    from deployment.watchdog_desk.words import Isolate

    return _asked(arguments, Isolate(arguments.agent, asking.by_of(arguments), _reason(arguments)))


def _release(arguments: argparse.Namespace) -> int:
    from deployment.watchdog_desk.words import Release

    return _asked(arguments, Release(arguments.agent, asking.by_of(arguments), _reason(arguments)))


def _restart(arguments: argparse.Namespace) -> int:
    from deployment.watchdog_desk.words import Restart

    return _asked(arguments, Restart(arguments.agent, asking.by_of(arguments), _reason(arguments)))


def _reason(arguments: argparse.Namespace) -> str:
    return asking.text_of(arguments.reason, "--reason")


def _asked(arguments: argparse.Namespace, question: Isolate | Release | Restart) -> int:
    from deployment.watchdog_desk.client import ask

    state: Path = asking.state_of(arguments)
    done = ask(state, question)
    if arguments.json:
        print_json(done)
    else:
        print(done.what)
    return 0


ACTIONS = (
    Command("status", "how each child of the Watchdog is; exit code 1 where one does not work", no_arguments, _status),
    Command("isolate", "kill one and keep it out until it is released; the house goes on without it", _named, _isolate),
    Command("release", "start one that is isolated or quarantined; it is heard again after a probe", _named, _release),
    Command("restart", "end one, and start it again from its state", _named, _restart),
)

COMMAND = Command(
    "agents",
    "who the six are, what they hear and may say; how they are, isolate, release and restart them",
    _arguments,
    _run,
)
