"""What the Watchdog knows, as samples of the metrics that `monitoring/catalogue.py` names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import get_args

from deployment.watchdog_desk.port import Core
from mutable_core.clock import SECOND_NS
from watchdog.alerts import Alert, Severity
from watchdog.policy import Phase
from watchdog.supervisor import ChildStatus

Samples = dict[str, dict[tuple[str, ...], float]]
"""Metric → label values, in the catalogue's order → value. A metric that is not there is not known."""


def readings(
    children: Sequence[ChildStatus], core: Core, standing: Iterable[Alert], drill_age_ns: int | None
) -> Samples:
    """Samples of now.

    Args:
        children: as `Supervisor.status` gives them; agents are told, the others have their own metrics.
        core: what it last said of itself.
        standing: alerts that stand.
        drill_age_ns: since the newest fault drill; None where there was none.
    """
    agents = [child for child in children if child.is_agent]
    found: Samples = {
        "ark_agent_phase": {
            (one.name, phase): float(one.phase == phase) for one in agents for phase in get_args(Phase)
        },
        "ark_agent_phi": {(one.name,): one.phi for one in agents},
        "ark_agent_memory_bytes": {(one.name,): float(one.rss_bytes) for one in agents},
        "ark_agent_cpu_seconds_total": {(one.name,): one.cpu_ns / SECOND_NS for one in agents},
        "agent_heartbeat_failures": {(one.name,): float(one.beats_failed) for one in agents},
        "ark_agent_restarts_total": _by((one.name, one.restarts) for one in agents),
        "watchdog_quarantines_total": _by((one.name, one.quarantines) for one in agents),
        "ark_isolation": {key: value for one in agents for key, value in _jail(one)},
        "ark_agent_pending": {(name,): float(one.pending) for name, one in core.agents.items()},
        "ark_bus_refused_total": {(name,): float(one.refused) for name, one in core.agents.items()},
        "ark_alerts_standing": _severities(standing),
    }
    if drill_age_ns is not None:
        found["ark_drill_age_seconds"] = {(): drill_age_ns / SECOND_NS}
    return found


def _by(counts: Iterable[tuple[str, Mapping[str, int]]]) -> dict[tuple[str, ...], float]:
    return {(name, what): float(count) for name, each in counts for what, count in each.items()}


def _jail(one: ChildStatus) -> Iterator[tuple[tuple[str, ...], float]]:
    yield from (((one.name, what), 1.0) for what in one.enforced)
    yield from (((one.name, what), 0.0) for what in one.open)


def _severities(standing: Iterable[Alert]) -> dict[tuple[str, ...], float]:
    count = Counter(alert.severity for alert in standing)
    return {(severity.name,): float(count[severity]) for severity in Severity}
