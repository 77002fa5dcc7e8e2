"""`ark agents`"""

from __future__ import annotations

import argparse

from deployment.commands.port import Command, add_json, print_json


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    from deployment.topology.house import AGENTS
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


COMMAND = Command("agents", "who the six are, what they hear, and what they may say", _arguments, _run)
