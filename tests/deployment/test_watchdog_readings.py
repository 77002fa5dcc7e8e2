"""What the Watchdog knows reaches the metrics under the catalogue's names and labels; what it does not know does not."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from deployment.watchdog_desk.port import AtCore, Core
from deployment.watchdog_desk.readings import Samples, readings
from monitoring.catalogue import BY_NAME
from monitoring.readings import Readings
from mutable_core.clock import SECOND_NS
from watchdog.alerts import Alert, Severity
from watchdog.supervisor import ChildStatus


def a_status(name: str = "joey", **changes: Any) -> ChildStatus:
    made = ChildStatus(
        name=name, role="agent", is_agent=True, phase="running", incarnation=2, pid=7, phi=0.25, handled=3, rss_bytes=64,
        cpu_ns=SECOND_NS // 2, beats_failed=4, restarts={"signal": 1}, quarantines={"quarantined": 2},
        enforced=("memory",), open=("network",), happened=(),
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def an_alert(severity: Severity) -> Alert:
    return Alert("joey_isolated", severity, "supervisor", "it was late", 1, 1, 1)


def shown(**changes: Any) -> Samples:
    given: dict[str, Any] = {
        "children": [a_status(), a_status("venue", is_agent=False)],
        "core": Core("run", 9, {"joey": AtCore(5, 6, "")}),
        "standing": [an_alert(Severity.CRITICAL)],
        "drill_age_ns": 3 * SECOND_NS,
    }
    return readings(**given | changes)


def test_every_sample_is_one_that_the_catalogue_takes() -> None:
    taken = Readings()
    for name, samples in shown().items():
        taken.give(name, partial(dict, samples))
        assert taken.take(BY_NAME[name]) == samples


def test_only_agents_are_told_each_with_what_is_known_of_it() -> None:
    samples = shown()
    assert samples["ark_agent_phi"] == {("joey",): 0.25}
    assert samples["ark_agent_cpu_seconds_total"] == {("joey",): 0.5}
    assert samples["ark_agent_restarts_total"] == {("joey", "signal"): 1.0}
    assert samples["watchdog_quarantines_total"] == {("joey", "quarantined"): 2.0}
    assert samples["agent_heartbeat_failures"] == {("joey",): 4.0}
    assert samples["ark_isolation"] == {("joey", "memory"): 1.0, ("joey", "network"): 0.0}
    assert (samples["ark_agent_pending"], samples["ark_bus_refused_total"]) == ({("joey",): 5.0}, {("joey",): 6.0})
    assert samples["ark_drill_age_seconds"] == {(): 3.0}


def test_an_agent_is_in_one_phase() -> None:
    phases = shown(children=[a_status(phase="quarantined")])["ark_agent_phase"]
    assert [labels for labels, value in phases.items() if value] == [("joey", "quarantined")]
    assert len(phases) > 1


def test_alerts_are_counted_by_severity_and_none_is_zero() -> None:
    assert shown()["ark_alerts_standing"] == {("WARNING",): 0.0, ("CRITICAL",): 1.0, ("EMERGENCY",): 0.0}


def test_a_drill_that_never_was_has_no_age() -> None:
    assert "ark_drill_age_seconds" not in shown(drill_age_ns=None)
