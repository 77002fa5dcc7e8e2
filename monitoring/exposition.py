"""From the Tap and the Readings to what Prometheus reads, and the same as JSON.

The text is format 0.0.4, whoever asks: every Prometheus reads it. It is made in the thread of whoever asks; nothing
is kept between two scrapes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    UnknownMetricFamily,
)
from prometheus_client.core import (
    Metric as Family,
)
from prometheus_client.registry import Collector

from monitoring.catalogue import CATALOGUE, READING_FAILURES, Metric
from monitoring.readings import Readings, Samples
from monitoring.series import Latencies, percentile
from monitoring.tap import PROPOSER, WINDOW_S, Tap
from mutable_core.clock import SECOND_NS, monotonic_ns
from mutable_core.messages import Approved, OrderFilled, ProposalMade, Refused

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

HISTOGRAMS: dict[str, Callable[[Tap], Latencies]] = {
    "ark_pass_latency_ms": lambda tap: tap.pass_latency,
    "hrm_eval_latency_ms": lambda tap: tap.hrm_latency,
    "state_write_latency_ms": lambda tap: tap.write_latency,
}

FROM_TAP: dict[str, Callable[[Tap, int], Samples]] = {
    "kyle_ingest_rate": lambda tap, now_ns: _one(tap.ingest_rate(now_ns)),
    "kenny_exec_success_rate": lambda tap, _: _one(tap.exec_success_rate()),
    "hrm_denials_total": lambda tap, _: {(str(rule), PROPOSER): n for rule, n in tap.denials.copy().items()},
    "ark_violations_total": lambda tap, _: {(severity,): n for severity, n in tap.violations.copy().items()},
    "graveyard_validations_total": lambda tap, _: _one(tap.verdicts()),
    "ark_messages_total": lambda tap, _: _by_label(tap.messages_by_kind()),
    "ark_inputs_rejected_total": lambda tap, _: _by_label(tap.inputs_rejected),
    "ark_proposals_total": lambda tap, _: _one(tap.count(ProposalMade)),
    "ark_approvals_total": lambda tap, _: _one(tap.count(Approved)),
    "ark_refusals_total": lambda tap, _: _one(tap.count(Refused)),
    "ark_orders_total": lambda tap, _: _by_label(tap.orders_by_state()),
    "ark_fills_total": lambda tap, _: _one(tap.count(OrderFilled)),
    "ark_decisions_verified_total": lambda tap, _: _by_label(tap.verified),
    "ark_discrepancies_total": lambda tap, _: _by_label(tap.discrepancies),
    "ark_journal_commits_total": lambda tap, _: _one(tap.commits),
    "ark_journal_rows_committed_total": lambda tap, _: _one(tap.rows_committed),
    "ark_journal_rows_pending": lambda tap, _: _one(tap.rows_pending if tap.commits else None),
    "ark_traces_open": lambda tap, _: _one(len(tap.traces_open)),
    "ark_traces_unmatched_total": lambda tap, _: _one(tap.spans_unmatched),
    "ark_spans_evicted_total": lambda tap, _: _one(tap.traces_open.evicted + tap.proposals_open.evicted),
}


class HouseCollector(Collector):
    """The catalogue, filled in."""

    def __init__(self, tap: Tap, readings: Readings, now_ns: Callable[[], int] = monotonic_ns) -> None:
        self._tap, self._readings, self._now_ns = tap, readings, now_ns

    def describe(self) -> Iterator[Family]:
        return (_empty(metric) for metric in CATALOGUE)

    def collect(self) -> Iterator[Family]:
        for metric, samples in _samples(self._tap, self._readings, self._now_ns()):
            family = _empty(metric)
            if isinstance(family, HistogramMetricFamily):
                latencies = HISTOGRAMS[metric.name](self._tap)
                buckets = [(_le(bound), float(count)) for bound, count in latencies.cumulative()]
                family.add_metric((), buckets, latencies.sum_ms)
            else:
                for labels, value in samples.items():
                    family.add_metric(labels, value)
            yield family


def registry_over(tap: Tap, readings: Readings, now_ns: Callable[[], int] = monotonic_ns) -> CollectorRegistry:
    """The house's metrics and `process_*` (CPU, memory, descriptors, start) of the process that asks."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(HouseCollector(tap, readings, now_ns))
    ProcessCollector(registry=registry)
    return registry


def as_text(registry: CollectorRegistry) -> bytes:
    return generate_latest(registry)


def as_json(tap: Tap, readings: Readings, now_ns: int) -> dict[str, Any]:
    """`counters` and `gauges` as lists of labels and value by name, `histograms` with exact percentiles."""
    counters: dict[str, Any] = {}
    gauges: dict[str, Any] = {}
    histograms: dict[str, Any] = {}
    for metric, samples in _samples(tap, readings, now_ns):
        if metric.type == "histogram":
            histograms[metric.name] = _statistics(HISTOGRAMS[metric.name](tap), now_ns)
        else:
            place = gauges if metric.type == "gauge" else counters
            place[metric.name] = [
                {"labels": dict(zip(metric.labels, labels, strict=True)), "value": value}
                for labels, value in samples.items()
            ]
    return {"counters": counters, "gauges": gauges, "histograms": histograms}


def _samples(tap: Tap, readings: Readings, now_ns: int) -> Iterator[tuple[Metric, Samples]]:
    failures: dict[tuple[str, ...], float] = {}
    for metric in CATALOGUE:
        if metric.type == "histogram":
            yield metric, {}
        elif metric.source == "tap":
            yield metric, FROM_TAP[metric.name](tap, now_ns)
        elif metric is not READING_FAILURES:
            samples = readings.take(metric)
            if samples is None:
                failures[(metric.name,)] = 1.0
            yield metric, samples or {}
    yield READING_FAILURES, failures


def _empty(metric: Metric) -> CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily | UnknownMetricFamily:
    match metric.type:
        case "counter":
            return CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
        case "gauge":
            return GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
        case "histogram":
            return HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        case "untyped":
            return UnknownMetricFamily(metric.name, metric.help, labels=metric.labels)


def _le(bound: float) -> str:
    """`10.0` and `+Inf`, as every client spells them."""
    return "+Inf" if bound == inf else repr(bound)


def _one(value: float | None) -> Samples:
    return {} if value is None else {(): value}


def _by_label(tally: dict[str, int]) -> Samples:
    return {(key,): count for key, count in tally.copy().items()}


def _statistics(latencies: Latencies, now_ns: int) -> dict[str, Any]:
    """Counted for ever; percentiles of the newest samples of the window, null where there are none."""
    recent = latencies.since(now_ns - WINDOW_S * SECOND_NS)
    return {
        "count": latencies.cumulative()[-1][1],
        "sum": latencies.sum_ms,
        "window_s": WINDOW_S,
        "samples": len(recent),
        "p50": percentile(recent, 0.50),
        "p95": percentile(recent, 0.95),
        "p99": percentile(recent, 0.99),
        "max": percentile(recent, 1.0),
    }
