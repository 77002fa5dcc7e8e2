from __future__ import annotations

import pytest

from monitoring.health import Availability
from monitoring.slos import SLOS, Signals, report
from monitoring.tap import Tap
from tests.monitoring.makers import MILLI, SECOND, HandClock, a_discrepancy, an_envelope, verified

START = HandClock().now_ns


def signals(tap: Tap | None = None, *, availability: Availability | None = None, after_s: float = 10) -> Signals:
    return Signals(tap or Tap(), availability or Availability(), START + round(after_s * SECOND))


def status(name: str, of: Signals) -> str:
    (found,) = (slo["status"] for slo in report(of)["slos"] if slo["name"] == name)
    return found


def with_latency(name: str, ms: float) -> Tap:
    tap = Tap(lambda: START)
    latencies = {
        "p95_decision_latency": tap.pass_latency,
        "hrm_eval_latency": tap.hrm_latency,
        "state_write": tap.write_latency,
    }
    latencies[name].took(START, round(ms * MILLI))
    return tap


def test_without_data_every_slo_is_unknown_and_none_is_met() -> None:
    """I10: no data is not good news."""
    page = report(signals())
    assert (page["total"], page["met"], page["violated"], page["unknown"]) == (len(SLOS), 0, 0, len(SLOS))
    assert all(slo["value"] is None and slo["samples"] == 0 for slo in page["slos"])
    assert page["violations"] == []


LATENCY_TARGETS = [("p95_decision_latency", 400), ("hrm_eval_latency", 120), ("state_write", 50)]


@pytest.mark.parametrize(("name", "target_ms"), LATENCY_TARGETS)
def test_a_latency_of_exactly_the_target_is_met(name: str, target_ms: float) -> None:
    assert status(name, signals(with_latency(name, target_ms))) == "met"


@pytest.mark.parametrize(("name", "target_ms"), LATENCY_TARGETS)
def test_a_latency_above_the_target_is_violated_and_listed(name: str, target_ms: float) -> None:
    page = report(signals(with_latency(name, target_ms + 0.001)))
    assert page["violated"] == 1
    assert page["violations"] == [{"name": name, "value": target_ms + 0.001, "target": target_ms, "unit": "ms"}]


@pytest.mark.parametrize(("name", "target_ms"), LATENCY_TARGETS)
def test_a_latency_older_than_the_window_is_unknown_again(name: str, target_ms: float) -> None:
    assert status(name, signals(with_latency(name, target_ms), after_s=301)) == "unknown"


def test_five_slow_decisions_in_a_hundred_are_met_and_six_are_not() -> None:
    """p95, nearest rank."""
    tap = Tap()
    for n in range(95):
        tap.pass_latency.took(START + n, 1 * MILLI)
    for n in range(5):
        tap.pass_latency.took(START + 95 + n, 900 * MILLI)
    assert status("p95_decision_latency", signals(tap)) == "met"
    tap.pass_latency.took(START + 100, 900 * MILLI)
    assert status("p95_decision_latency", signals(tap)) == "violated"


def test_one_verdict_that_does_not_recompute_is_drift() -> None:
    tap = Tap()
    tap.seen(an_envelope(verified()), START)
    assert status("ethics_drift", signals(tap)) == "met"
    tap.seen(an_envelope(a_discrepancy("verdict_mismatch")), START + 1)
    assert status("ethics_drift", signals(tap)) == "violated"


def test_another_finding_is_no_drift() -> None:
    tap = Tap()
    tap.seen(an_envelope(verified()), START)
    tap.seen(an_envelope(a_discrepancy("books_differ")), START)
    assert status("ethics_drift", signals(tap)) == "met"


def test_no_mismatch_is_no_news_when_no_verdict_was_recomputed() -> None:
    tap = Tap()
    tap.seen(an_envelope(verified()), START)
    assert status("ethics_drift", signals(tap, after_s=302)) == "unknown"


def looked_at(*ready: bool, every_s: float = 1) -> Availability:
    availability = Availability()
    for n, is_ready in enumerate(ready):
        availability.look(START + round(n * every_s * SECOND), is_ready=is_ready)
    return availability


def test_availability_counts_from_the_first_time_that_the_house_was_ready() -> None:
    """Starting is not an outage."""
    assert looked_at(False, False).over_window(START + 2 * SECOND) == (None, 0)
    assert looked_at(False, True, True).over_window(START + 3 * SECOND) == (1.0, 2)


def test_an_outage_lowers_availability_by_its_share() -> None:
    availability = looked_at(True, True, True, False)
    assert availability.over_window(START + 4 * SECOND) == (0.75, 4)
    assert status("availability_995", signals(availability=availability, after_s=4)) == "violated"


def test_time_that_nobody_looked_at_was_not_available() -> None:
    """A process that was stopped for ten seconds comes back with a gap, not with a clean record."""
    value, _ = looked_at(True, True, every_s=10).over_window(START + 10 * SECOND)
    assert value == pytest.approx(0.3)


def test_availability_is_unknown_when_the_last_look_is_older_than_the_window() -> None:
    assert status("availability_995", signals(availability=looked_at(True), after_s=301)) == "unknown"


def test_a_house_that_was_always_ready_is_available() -> None:
    availability = looked_at(*[True] * 400)
    assert status("availability_995", signals(availability=availability, after_s=400)) == "met"
