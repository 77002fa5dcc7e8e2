"""`python -m benchmarks.rollback [--json]`: what going back costs with 10 and with 100 000 versions, and what the disk
takes.

The two stores are on the same disk and take turns, and so does a file to which as many bytes are appended and synced as
SQLite writes for one rollback: its cost is the floor. Quote the ratios, not the microseconds.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from monitoring.series import percentile
from mutable_core.state.points import Named, Version
from mutable_core.state.rows import Row
from mutable_core.state.values import encode
from mutable_core.state.versions import Draft
from mutable_core.state_manager import StateManager

FEW, MANY = 10, 100_000
ROUNDS, WARM_UP = 400, 20
KEYS = 20  # beside the one that is turned back


def store_of(path: Path, versions: int) -> StateManager:
    """A key with so many versions, and others with one; written in one transaction, which is not what is measured."""
    state = StateManager.open(path)
    draft = Draft("kenny", "a", "put", "kenny", "", "")
    with state._writing() as ts_ns:
        rows: list[Row] = [
            state._versions.append(draft._replace(key=f"k{number}"), encode(number), ts_ns) for number in range(KEYS)
        ]
        rows += [
            state._versions.append(draft, encode({"n": number, "fill": "x" * 100}), ts_ns) for number in range(versions)
        ]
    assert len(rows) == versions + KEYS
    state.writer("operator").snapshot("begin")
    return state


def timed(act: Callable[[], object]) -> float:
    began = time.perf_counter_ns()
    act()
    return (time.perf_counter_ns() - began) / 1e3


def wal_bytes(state: StateManager) -> int:
    """How much one rollback writes: frames of pages."""
    wal = state.path.with_name(state.path.name + "-wal")
    state._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    state.writer("kenny").rollback("kenny", "a", Version(1))
    return wal.stat().st_size


def measure(rounds: int = ROUNDS) -> dict[str, Any]:
    """Medians and 99th percentiles in µs, and their ratios."""
    chance = Random(1)
    with tempfile.TemporaryDirectory() as folder:
        stores = {versions: store_of(Path(folder) / f"{versions}.sqlite", versions) for versions in (FEW, MANY)}
        writes = {versions: wal_bytes(state) for versions, state in stores.items()}
        floor = os.open(Path(folder) / "floor", os.O_WRONLY | os.O_CREAT)
        times: dict[str, list[float]] = {}

        def synced(count: int) -> None:
            os.write(floor, bytes(count))
            os.fdatasync(floor)

        for number in range(rounds + WARM_UP):
            for versions, state in stores.items():
                kenny, to = state.writer("kenny"), Version(chance.randrange(1, versions + 1))
                turns: dict[str, Callable[[], object]] = {
                    f"rollback_of_a_key_{versions}": partial(kenny.rollback, "kenny", "a", to),
                    f"rollback_of_the_namespace_{versions}": partial(kenny.rollback_namespace, "kenny", Named("begin")),
                    f"floor_{versions}": partial(synced, writes[versions]),
                }
                for name, act in turns.items():
                    took = timed(act)
                    if number >= WARM_UP:
                        times.setdefault(name, []).append(took)
        os.close(floor)
        for state in stores.values():
            assert state.verify().ok
            state.close()
    medians = {name: percentile(values, 0.5) or 0.0 for name, values in times.items()}
    return {
        "rounds": rounds,
        "bytes_written_by_a_rollback": {str(versions): count for versions, count in writes.items()},
        "median_us": {name: round(value, 1) for name, value in medians.items()},
        "p99_us": {name: round(percentile(values, 0.99) or 0.0, 1) for name, values in times.items()},
        "ratio_key": round(medians[f"rollback_of_a_key_{MANY}"] / medians[f"rollback_of_a_key_{FEW}"], 3),
        "ratio_namespace": round(
            medians[f"rollback_of_the_namespace_{MANY}"] / medians[f"rollback_of_the_namespace_{FEW}"], 3
        ),
        "fdatasyncs_of_a_rollback": round(medians[f"rollback_of_a_key_{MANY}"] / medians[f"floor_{MANY}"], 2),
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rollback", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line of stdout")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rollbacks of each kind (default {ROUNDS})")
    arguments = parser.parse_args(argv)
    result = measure(arguments.rounds)
    if arguments.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:32} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
