"""`python -m tests.simulation SEED [SEEDS]`: run seeds; shrink the first that fails, and print how to run it again."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext

from tests.simulation.bugs import BUGS
from tests.simulation.script import SECONDS, Fault, Script, drawn, read, written
from tests.simulation.shrink import shrunk
from tests.simulation.simulation import Outcome, simulate


def shrunk_script(failed: Outcome, *, tries: int = 200) -> Script:
    """The shortest script found that breaks the same law."""
    assert failed.violation is not None
    law, script = failed.violation.law, failed.script

    def fails(faults: Sequence[Fault]) -> bool:
        outcome = simulate(script.with_faults(faults), with_replay=law == "I7")
        return outcome.violation is not None and outcome.violation.law == law

    return script.with_faults(shrunk(script.faults, fails, tries=tries))


def command(script: Script, bug: str = "") -> str:
    """What runs exactly this script again."""
    words = ["python -m tests.simulation", str(script.seed)]
    if script.seconds != SECONDS:
        words.append(f"--seconds {script.seconds}")
    if bug:
        words.append(f"--bug {bug}")
    return " ".join((*words, f"--script '{written(script.faults)}'"))


def _scripts(words: argparse.Namespace) -> Iterator[Script]:
    for seed in range(words.seed, words.seed + words.seeds):
        script = drawn(seed, words.seconds)
        yield script if words.script is None else script.with_faults(read(words.script))


def main() -> int:
    """Exit code 0: all was well; 1: a violation was found; 2: the command was not understood."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("seeds", type=int, nargs="?", default=1, help="so many, one after the other")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of market, each")
    parser.add_argument("--script", help="these faults instead of the drawn ones")
    parser.add_argument("--bug", choices=sorted(BUGS), help="plant this bug")
    parser.add_argument("--no-shrink", action="store_true")
    parser.add_argument("--replay", action="store_true", help="replay each journal at the end")
    words = parser.parse_args()
    began, seconds, reached = time.process_time(), 0, Counter[str]()
    with BUGS[words.bug]() if words.bug else nullcontext():
        for script in _scripts(words):
            outcome = simulate(script, with_replay=words.replay)
            seconds += outcome.seconds
            reached += outcome.reached
            if words.seeds == 1:
                print(f"seed {script.seed}: {outcome.rows} rows, head {outcome.head}")
            if outcome.violation is not None:
                print(f"seed {script.seed}: {outcome.violation}")
                short = script if words.no_shrink else shrunk_script(outcome)
                print(
                    f"{len(short.faults)} of {len(script.faults)} faults are enough:\n  {command(short, words.bug or '')}"
                )
                return 1
    took = time.process_time() - began
    print(f"{words.seeds} seeds, {seconds / 3600:.2f} h in {took:.1f} s of CPU: {seconds / 3600 / took:.2f} h/s")
    print("  ".join(f"{state} {count}" for state, count in sorted(reached.items())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
