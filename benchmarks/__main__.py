"""`python -m benchmarks [--json]`: what one core does with the whole path, durable, against this disk's own floor.

Every figure is from this run on this machine; quote ratios, since machines differ. A decision is one observation that
became a proposal, was vetted, approved, made durable, placed through the door, filled, verified, and journalled again.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from msgspec.structs import replace

from benchmarks.sources import TurnsSource
from deployment.summary import summarise
from deployment.topology.house import House, genesis
from deployment.topology.state_dir import JOURNAL
from monitoring.series import percentile
from mutable_core.clock import SECOND_NS
from mutable_core.messages import Envelope, RowReceived, Verified
from mutable_core.settings import Settings

WARM_UP = 60
SYNCS = 200
RECORD = b"\n" * 512


def fdatasync_floor(folder: Path) -> dict[str, float]:
    """Append 512 bytes and fdatasync, one at a time: what a durable record costs on this disk at least."""
    path = folder / "floor"
    durations = []
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        cpu = time.process_time()
        for _ in range(SYNCS):
            began = time.perf_counter()
            os.write(handle, RECORD)
            os.fdatasync(handle)
            durations.append((time.perf_counter() - began) * 1e3)
        cpu = (time.process_time() - cpu) / SYNCS
    finally:
        os.close(handle)
    return {
        "fdatasync_p50_ms": round(percentile(durations, 0.5) or 0.0, 4),
        "fdatasync_p99_ms": round(percentile(durations, 0.99) or 0.0, 4),
        "fdatasync_cpu_us": round(cpu * 1e6, 1),
    }


def sleeper_floor() -> dict[str, float]:
    """How late a sleep of 1 ms wakes on this machine: no program's latency is below it."""
    late = []
    for _ in range(500):
        due = time.perf_counter() + 0.001
        time.sleep(0.001)
        late.append((time.perf_counter() - due) * 1e3)
    return {
        "sleeper_p50_ms": round(percentile(late, 0.5) or 0.0, 4),
        "sleeper_p99_ms": round(percentile(late, 0.99) or 0.0, 4),
    }


def _settings() -> Settings:
    return Settings(strategies=("alternating",), cash=Decimal(10) ** 9, day_notional=Decimal(10) ** 11)


def _house(folder: Path, *, quiet: int = 0) -> House:
    source = TurnsSource(1_000_000, quiet=quiet)
    folder.mkdir()
    started = genesis(_settings(), source, SECOND_NS)
    started = replace(started, mandate=replace(started.mandate, instruments=source.traded))
    house = House(folder, source, started)
    house.start()
    return house


def saturation(folder: Path, seconds: float) -> dict[str, object]:
    """Closed loop: the next moment as soon as the last one is done. CPU seconds of the whole process are counted."""
    house = _house(folder / "saturation")
    moments = iter(house.slices())
    for _ in range(WARM_UP):
        house.turn(next(moments))
    commits: list[int] = []
    house.journal.on_commit = lambda rows, _ns, _pending: commits.append(rows)
    gc.collect()
    gc.freeze()
    decisions, rows_before = 0, house.journal.seq
    wall, cpu = time.perf_counter(), time.process_time()
    while time.perf_counter() - wall < seconds:
        moment = next(moments)
        house.turn(moment)
        decisions += len(moment.rows)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    rows = house.journal.seq - rows_before
    house.close()
    summary = summarise(folder / "saturation" / JOURNAL)
    return {
        "decisions": decisions,
        "decisions_per_core_second": round(decisions / cpu, 1),
        "decisions_per_second": round(decisions / wall, 1),
        "cpu_us_per_decision": round(cpu / decisions * 1e6, 1),
        "messages_per_decision": round(rows / decisions, 2),
        "messages_per_core_second": round(rows / cpu, 1),
        "commits": len(commits),
        "decisions_per_commit": round(decisions / len(commits), 2),
        "approved_share": round(summary.approvals / summary.proposals, 4),
        "verdict_mismatches": summary.verdict_mismatches,
        "journal_ok": summary.journal_ok,
    }


class Timer:
    """From the moment at which a row was due to the moment at which its decision was verified."""

    def __init__(self) -> None:
        self.due: dict[str, float] = {}
        self.latencies_ms: list[float] = []

    def seen(self, envelope: Envelope, _stamp_ns: int) -> None:
        if isinstance(envelope.body, Verified):
            due = self.due.pop(envelope.trace_id, None)
            if due is not None:
                self.latencies_ms.append((time.perf_counter() - due) * 1e3)


def open_loop(folder: Path, seconds: float, rate_hz: int, *, quiet: int) -> dict[str, object]:
    """Moments come when they are due, ready or not; a late one is counted from when it was due.

    A moment has 4 observations that become decisions and `quiet` that do not; latencies are of the decisions.
    """
    house = _house(folder / f"open-{rate_hz}-{quiet}", quiet=quiet)
    moments = iter(house.slices())
    for _ in range(WARM_UP):
        house.turn(next(moments))
    timer = Timer()
    house.bus.taps.append(timer.seen)
    due_of: dict[int, float] = {}

    def began(envelope: Envelope) -> None:
        body = envelope.body
        assert isinstance(body, RowReceived)
        timer.due[envelope.trace_id] = due_of[body.row]

    house.bus.folds[RowReceived].append(began)
    gc.collect()
    gc.freeze()
    start, events = time.perf_counter(), 0
    while True:
        moment = next(moments)
        due = start + events / rate_hz
        if due - start > seconds:
            break
        now = time.perf_counter()
        if now < due:
            time.sleep(due - now)
        due_of = {row.row: due for row in moment.rows}
        house.turn(moment)
        events += len(moment.rows)
    lasted = time.perf_counter() - start
    house.close()
    return {
        "offered_hz": rate_hz,
        "decision_share": round(4 / (4 + quiet), 3),
        "served_hz": round(events / lasted, 1),
        "samples": len(timer.latencies_ms),
        "p50_ms": _at(timer.latencies_ms, 0.5),
        "p99_ms": _at(timer.latencies_ms, 0.99),
        "p999_ms": _at(timer.latencies_ms, 0.999),
    }


def _at(values: list[float], fraction: float) -> float | None:
    value = percentile(values, fraction)
    return None if value is None else round(value, 3)


def measure(seconds: float) -> dict[str, object]:
    """All figures of one run; about 3 × `seconds` and a little."""
    with tempfile.TemporaryDirectory(prefix="ark-bench-") as name:
        folder = Path(name)
        result: dict[str, object] = {}
        result |= fdatasync_floor(folder)
        result |= sleeper_floor()
        result |= saturation(folder, seconds)
        paced = open_loop(folder, seconds, 1_000, quiet=16)
        result |= {key: paced[key] for key in ("p50_ms", "p99_ms", "p999_ms", "served_hz", "samples")}
        slow = open_loop(folder, seconds / 2, 100, quiet=16)
        result["open_loop"] = [slow, paced, open_loop(folder, seconds / 2, 1_000, quiet=0)]
        from benchmarks import rules, supervision  # not before: the peers' engines must not weigh on the house

        result["rules"] = rules.measure()
        result["supervision"] = supervision.measure()
        return result


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line of stdout")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement (default 10)")
    arguments = parser.parse_args(argv)
    result = measure(arguments.seconds)
    if arguments.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:28} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
