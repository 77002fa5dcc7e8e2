"""`python -m benchmarks.memory [--decisions N] [--json]`: how much the process grows while it decides.

The whole path of `python -m benchmarks`, with the monitoring's tap as a run has it: resident memory after a warm-up, at
each tenth of the way, and at the end; and how long the venue's log, with all its orders, takes to open again.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from msgspec.structs import replace

from agents.kenny.venues.simulated import SimulatedVenue
from benchmarks.sources import TurnsSource
from deployment.topology.house import House, genesis
from deployment.topology.state_dir import VENUE
from monitoring.tap import Tap
from mutable_core.clock import SECOND_NS
from mutable_core.settings import Settings

WARM_UP = 20_000
"""Decisions before the first figure unless told otherwise: until then caches and windows fill, which are bounded."""
PAGE_KB = 4
TOP = 15


def resident_mb() -> float:
    """Resident memory of this process, MB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * PAGE_KB / 1024


def measure(folder: Path, decisions: int, *, warm_up: int = WARM_UP, with_traces: bool = False) -> dict[str, object]:
    """Decide `decisions` times after the warm-up.

    Args:
        folder: where journal and venue lie; they grow by about 15 kB a decision.
        decisions: > 0.
        warm_up: decisions before the first figure.
        with_traces: find out which lines hold what has grown; several times slower.
    """
    source = TurnsSource(warm_up + decisions)
    settings = Settings(strategies=("alternating",), cash=Decimal(10) ** 9, day_notional=Decimal(10) ** 11)
    started = genesis(settings, source, SECOND_NS)
    house = House(folder, source, replace(started, mandate=replace(started.mandate, instruments=source.traded)))
    tap = Tap()
    house.bus.taps.append(tap.seen)
    house.journal.on_commit = tap.committed
    house.start()
    done, moments, series = 0, iter(house.slices()), [0.0]
    while done < warm_up:
        done += _turn(house, moments)
    before = _traced() if with_traces else None
    series, began, done = [resident_mb()], time.perf_counter(), 0
    for tenth in range(1, 11):
        while done < decisions * tenth // 10:
            done += _turn(house, moments)
        series.append(resident_mb())
    took = time.perf_counter() - began
    grown = _grown(before) if before else []
    rows = house.journal.seq
    house.close()
    return {
        "decisions": done,
        "rss_after_warm_up_mb": round(series[0], 2),
        "rss_at_end_mb": round(series[-1], 2),
        "growth_mb": round(series[-1] - series[0], 2),
        "growth_mb_per_million_decisions": round((series[-1] - series[0]) / done * 1e6, 2),
        "rss_series_mb": [round(one, 1) for one in series],
        "seconds": round(took, 1),
        "journal_rows": rows,
        "grown": grown,
    } | _reopened(folder, house)


def _turn(house: House, moments: object) -> int:
    moment = next(moments)  # type: ignore[call-overload]
    house.turn(moment)
    return len(moment.rows)


def _reopened(folder: Path, house: House) -> dict[str, object]:
    began = time.perf_counter()
    venue = SimulatedVenue.open(
        folder / VENUE, cash_micros=house.started.cash_micros, instruments=house.started.instruments
    )
    took = time.perf_counter() - began
    events = venue.statement().venue_seq
    venue.close()
    return {
        "venue_events": events,
        "venue_log_mb": round((folder / VENUE).stat().st_size / 1e6, 1),
        "venue_open_s": round(took, 3),
    }


def _traced() -> tracemalloc.Snapshot:
    tracemalloc.start(1)
    gc.collect()
    return tracemalloc.take_snapshot()


def _grown(before: tracemalloc.Snapshot) -> list[str]:
    gc.collect()
    after = tracemalloc.take_snapshot()
    tracemalloc.stop()
    return [str(one) for one in after.compare_to(before, "lineno")[:TOP]]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--decisions", type=int, default=200_000, help="after the warm-up (default 200 000)")
    parser.add_argument("--warm-up", type=int, default=WARM_UP, help=f"decisions before that (default {WARM_UP})")
    parser.add_argument("--folder", type=Path, help="where to keep the journal meanwhile; a temporary one unless given")
    parser.add_argument("--traces", action="store_true", help="name the lines that hold what has grown; slow")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="ark-memory-", dir=arguments.folder) as name:
        result = measure(Path(name), arguments.decisions, warm_up=arguments.warm_up, with_traces=arguments.traces)
    if arguments.json:
        print(json.dumps(result))
        return 0
    for name, value in result.items():
        if name != "grown":
            print(f"{name:34} {value}")
    for line in result["grown"]:  # type: ignore[attr-defined]
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
