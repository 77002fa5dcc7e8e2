"""`ark halt`"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from deployment.commands.port import Command, print_json
from deployment.desk import asking
from mutable_core.errors import ArkError

if TYPE_CHECKING:
    from pathlib import Path

    from deployment.desk.words import Done, HouseLevel
    from deployment.desk.words import Halt as Question
    from deployment.kill_switch.words import Pulled


def _arguments(parser: argparse.ArgumentParser) -> None:
    asking.add_scope(parser)
    parser.add_argument(
        "--level", choices=("reduce-only", "halted"), default="reduce-only",
        help="reduce-only (default): nothing is opened; halted: no order at all, not even a way out",
    )  # fmt: skip
    parser.add_argument(
        "--flatten", action="store_true", help="close what is held there too, at the market; halts fully"
    )
    asking.add_reason(parser)
    asking.add_by(parser)
    asking.add_state(parser)


def _run(arguments: argparse.Namespace) -> int:
    """Tell the kill switch, which needs nobody, and the house itself. Either alone suffices."""
    from deployment.desk.words import Halt
    from deployment.kill_switch.client import is_there

    scope, name = asking.scope_of(arguments)
    is_full = arguments.flatten or arguments.level == "halted"
    level: HouseLevel = "halted" if is_full else "reduce_only"
    halt = Halt(scope, name, level, asking.by_of(arguments), asking.text_of(arguments.reason, "--reason"))
    state = asking.state_of(arguments)
    if not is_there(state) and not arguments.flatten:
        return asking.told(arguments, halt)
    return _both(arguments, state, halt)


def _both(arguments: argparse.Namespace, state: Path, halt: Question) -> int:
    """Both at once: one that is stuck keeps nobody from telling the other, or from hearing what it answered."""
    faults: list[ArkError] = []
    of_house: list[ArkError] = []
    with ThreadPoolExecutor(2) as told:
        house = told.submit(_done, state, halt, of_house)
        pulled = _pulled(arguments, state, halt, faults)
        if pulled is not None and not arguments.json:
            _print_pulled(pulled)
        done = house.result()
    faults += of_house
    if pulled is None and done is None:
        raise faults[0]
    if arguments.json:
        print_json({"kill_switch": pulled, "house": done, "faults": [str(one) for one in faults]})
    else:
        if done is not None:
            print(f"house: {done.what}; log position {done.position}")
        for one in faults:
            print(f"ark: {one}", file=sys.stderr)
    return 0 if pulled is not None or not arguments.flatten else 1


def _pulled(arguments: argparse.Namespace, state: Path, halt: Question, faults: list[ArkError]) -> Pulled | None:
    from deployment.kill_switch.client import ask
    from deployment.kill_switch.words import Pull, Pulled

    level = "flattening" if arguments.flatten else halt.level
    try:
        answer = ask(state, Pull(halt.scope, halt.name, level, halt.by, halt.reason))
    except ArkError as error:
        faults.append(error)
        return None
    assert isinstance(answer, Pulled)
    return answer


def _done(state: Path, halt: Question, faults: list[ArkError]) -> Done | None:
    from deployment.desk.client import ask
    from deployment.desk.words import Done

    try:
        answer = ask(state, halt)
    except ArkError as error:
        faults.append(error)
        return None
    assert isinstance(answer, Done)
    return answer


def _print_pulled(pulled: Pulled) -> None:
    when = f"after {pulled.last_cancel_ms} ms" if pulled.last_cancel_ms is not None else "not confirmed yet"
    closing = f", {pulled.closing} positions are being closed" if pulled.level == "flattening" else ""
    print(f"kill switch: {pulled.level}, {pulled.withdrawn} entries withdrawn{closing}; {when}", flush=True)
    if pulled.fault:
        print(f"kill switch: tried again until it is done: {pulled.fault}", flush=True)


COMMAND = Command(
    "halt", "stop opening, or stop everything, in the house that runs; one person is enough", _arguments, _run
)
