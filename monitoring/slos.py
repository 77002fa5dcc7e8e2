"""What the house promises, and whether the last five minutes kept it. No data is unknown, and unknown is not met."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias, assert_never

import msgspec

from monitoring.health import Availability
from monitoring.series import Latencies, percentile
from monitoring.tap import WINDOW_S, Tap
from mutable_core.clock import SECOND_NS

Status = Literal["met", "violated", "unknown"]
Measured: TypeAlias = "tuple[float | None, int]"
"""(value, samples it rests on); None where there is nothing to measure."""

WINDOW_NS = WINDOW_S * SECOND_NS


class Signals(msgspec.Struct, frozen=True):
    """What an SLO may read."""

    tap: Tap
    availability: Availability
    now_ns: int


class Slo(msgspec.Struct, frozen=True):
    """A promise: `measure` is on the right side of `target`, inclusive, over the window."""

    name: str
    target: float
    unit: str
    bound: Literal["at_least", "at_most"]
    promise: str
    measure: Callable[[Signals], Measured]


class SloReading(msgspec.Struct, frozen=True):
    name: str
    target: float
    unit: str
    bound: Literal["at_least", "at_most"]
    value: float | None
    samples: int
    window_s: int
    status: Status


def _drift(signals: Signals) -> Measured:
    """Verdicts that did not follow from the log. None found is good news only where some were recomputed."""
    since_ns = signals.now_ns - WINDOW_NS - SECOND_NS  # a pace may lose its oldest second: a mismatch must not be lost
    mismatches = signals.tap.mismatches.since(since_ns)
    looked_at = signals.tap.verifications.since(signals.now_ns - WINDOW_NS) + mismatches
    return (float(mismatches) if looked_at else None), looked_at


def _p95(latencies: Latencies, now_ns: int) -> Measured:
    recent = latencies.since(now_ns - WINDOW_NS)
    return percentile(recent, 0.95), len(recent)


SLOS = (
    Slo("availability_995", 0.995, "fraction", "at_least", "ready, once it has been ready",
        lambda signals: signals.availability.over_window(signals.now_ns)),
    Slo("p95_decision_latency", 400.0, "ms", "at_most", "p95 of ark_pass_latency_ms",
        lambda signals: _p95(signals.tap.pass_latency, signals.now_ns)),
    Slo("hrm_eval_latency", 120.0, "ms", "at_most", "p95 of hrm_eval_latency_ms",
        lambda signals: _p95(signals.tap.hrm_latency, signals.now_ns)),
    Slo("ethics_drift", 0.0, "verdicts", "at_most", "verdicts that do not follow from the log", _drift),
    Slo("state_write", 50.0, "ms", "at_most", "p95 of state_write_latency_ms",
        lambda signals: _p95(signals.tap.write_latency, signals.now_ns)),
)  # fmt: skip


def read(slo: Slo, signals: Signals) -> SloReading:
    value, samples = slo.measure(signals)
    return SloReading(slo.name, slo.target, slo.unit, slo.bound, value, samples, WINDOW_S, _status(slo, value))


def _status(slo: Slo, value: float | None) -> Status:
    if value is None:
        return "unknown"
    match slo.bound:
        case "at_least":
            return "met" if value >= slo.target else "violated"
        case "at_most":
            return "met" if value <= slo.target else "violated"
        case _:
            assert_never(slo.bound)


def report(signals: Signals) -> dict[str, Any]:
    """What `/slos` answers."""
    readings = [read(slo, signals) for slo in SLOS]
    tally = {status: sum(reading.status == status for reading in readings) for status in ("met", "violated", "unknown")}
    violations = [
        {"name": reading.name, "value": reading.value, "target": reading.target, "unit": reading.unit}
        for reading in readings
        if reading.status == "violated"
    ]
    return {
        "slos": [msgspec.to_builtins(reading) for reading in readings],
        "total": len(readings),
        **tally,
        "violations": violations,
    }
