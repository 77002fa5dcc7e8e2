from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from math import inf, nan

import pytest
from prometheus_client import Metric as Family
from prometheus_client.parser import text_string_to_metric_families

from monitoring.catalogue import BY_NAME, CATALOGUE, KNOWN
from monitoring.exposition import FROM_TAP, HISTOGRAMS, as_json, as_text, registry_over
from monitoring.readings import SERIES_MAX, Readings
from monitoring.tap import Tap
from mutable_core.errors import UnknownName
from tests.monitoring.makers import HandClock, a_day_of, a_row, an_envelope, trace

USERS_KNOW = {
    "ark_pass_latency_ms", "hrm_eval_latency_ms", "state_write_latency_ms", "kyle_ingest_rate",
    "joey_pattern_confidence_avg", "kenny_exec_success_rate", "hrm_denials_total", "watchdog_quarantines_total",
    "graveyard_validations_total", "agent_heartbeat_failures", "redis_stream_depth",
}  # fmt: skip


def text_of(tap: Tap, readings: Readings | None = None) -> str:
    return as_text(registry_over(tap, readings or Readings(), HandClock())).decode()


def parsed(text: str) -> dict[str, Family]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def values(text: str) -> Mapping[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parsed(text).values()
        for sample in family.samples
    }


def a_busy_tap() -> Tap:
    tap = Tap(HandClock())
    a_day_of(tap, decisions=60, at_ns=HandClock().now_ns)
    return tap


def full_readings() -> Readings:
    """Every reading with as many label sets as a real run has."""
    agents = ("kyle", "joey", "hrm", "kenny", "aletheia", "id")
    values_of = {"agent": agents, "reason": ("crash", "silent"), "stream": ("bus",), "currency": ("USD",)}
    readings = Readings()
    for metric in CATALOGUE:
        if metric.source == "reading" and metric.name not in ("ark_reading_failures", "joey_pattern_confidence_avg"):
            samples: dict[tuple[str, ...], float] = {(): 1.0}
            for label in metric.labels:
                samples = {(*key, value): 1.0 for key in samples for value in values_of.get(label, ("x",))}
            readings.give(metric.name, lambda samples=samples: samples)
    return readings


def test_the_names_that_users_know_are_all_there() -> None:
    assert {metric.name for metric in KNOWN} == USERS_KNOW


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_every_metric_is_explained_even_before_it_has_a_sample(metric: object) -> None:
    text = text_of(Tap())
    assert f"# HELP {metric.name} " in text
    assert re.search(rf"^# TYPE {metric.name} (counter|gauge|histogram|untyped)$", text, re.MULTILINE)


def test_the_catalogue_and_what_fills_it_name_the_same_metrics() -> None:
    """Folder = register: no metric without a source, no source without a metric."""
    from_tap = {metric.name for metric in CATALOGUE if metric.source == "tap"}
    assert from_tap == set(FROM_TAP) | set(HISTOGRAMS)
    assert len(BY_NAME) == len(CATALOGUE)


def test_the_exposition_is_valid_and_every_sample_belongs_to_a_metric_of_the_catalogue() -> None:
    for family in parsed(text_of(a_busy_tap(), full_readings())).values():
        if not family.name.startswith("process_"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            for sample in family.samples:
                assert set(sample.labels) - {"le"} == set(BY_NAME[name].labels)


def test_what_is_not_known_has_no_sample() -> None:
    """I10: no data is neither 0 nor 1."""
    families = parsed(text_of(Tap()))
    for name in ("kyle_ingest_rate", "kenny_exec_success_rate", "joey_pattern_confidence_avg", "redis_stream_depth"):
        assert families[name].samples == []


def test_a_confidence_is_not_made_up_from_proposals_that_have_none() -> None:
    assert parsed(text_of(a_busy_tap(), full_readings()))["joey_pattern_confidence_avg"].samples == []


def test_the_heartbeat_failures_keep_their_name() -> None:
    """Users query `agent_heartbeat_failures`, without `_total`."""
    readings = Readings()
    readings.give("agent_heartbeat_failures", lambda: {("joey",): 3.0})
    assert values(text_of(Tap(), readings))["agent_heartbeat_failures", frozenset({("agent", "joey")})] == 3.0


@pytest.mark.parametrize("name", HISTOGRAMS)
def test_a_histogram_agrees_with_itself(name: str) -> None:
    samples = parsed(text_of(a_busy_tap()))[name].samples
    buckets = [(float(sample.labels["le"]), sample.value) for sample in samples if sample.name == f"{name}_bucket"]
    (count,) = (sample.value for sample in samples if sample.name == f"{name}_count")
    assert buckets == sorted(buckets)
    assert buckets[-1] == (inf, count)
    assert count > 0


def test_denials_say_the_rule_and_who_had_proposed() -> None:
    labels = [
        sample.labels
        for sample in parsed(text_of(a_busy_tap()))["hrm_denials"].samples
        if sample.name == "hrm_denials_total"
    ]
    assert {label["agent"] for label in labels} == {"joey"}
    assert all(label["rule_id"].isdigit() for label in labels)


def test_a_trace_id_is_never_a_label() -> None:
    text = text_of(a_busy_tap(), full_readings())
    assert not any("trace" in label for metric in CATALOGUE for label in metric.labels)
    assert not any(trace(n) in text for n in range(-1, 60))


def test_there_are_at_most_two_thousand_series_after_a_run() -> None:
    assert len(values(text_of(a_busy_tap(), full_readings()))) <= 2_000


def test_a_thousand_rows_make_no_more_series_than_one() -> None:
    few, many = Tap(), Tap()
    few.seen(an_envelope(a_row()), 0)
    for n in range(1_000):
        many.seen(an_envelope(a_row(), of=n), n)
    assert len(values(text_of(few))) == len(values(text_of(many)))


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(lambda: 1 / 0, id="it raises"),
        pytest.param(lambda: nan, id="it is not a number"),
        pytest.param(lambda: {("a", "b"): 1.0}, id="it has too many labels"),
        pytest.param(lambda: {(str(n),): 1.0 for n in range(SERIES_MAX + 1)}, id="it has too many series"),
    ],
)
def test_a_broken_reading_has_no_sample_and_is_named_and_the_rest_is_told(broken: object) -> None:
    readings = Readings()
    readings.give("ark_agent_up", broken)
    readings.give("ark_journal_rows", lambda: 7.0)
    text = text_of(Tap(), readings)
    assert parsed(text)["ark_agent_up"].samples == []
    assert values(text)["ark_reading_failures", frozenset({("metric", "ark_agent_up")})] == 1.0
    assert values(text)["ark_journal_rows", frozenset()] == 7.0


@pytest.mark.parametrize("name", ["ark_agent_upp", "ark_messages_total"])
def test_a_reading_for_a_metric_that_takes_none_is_refused(name: str) -> None:
    with pytest.raises(UnknownName):
        Readings().give(name, lambda: 1.0)


def test_the_json_page_says_the_same_as_the_text() -> None:
    tap, clock = a_busy_tap(), HandClock()
    page = as_json(tap, full_readings(), clock())
    text_values = values(text_of(tap, full_readings()))
    for name, samples in (page["counters"] | page["gauges"]).items():
        for sample in samples:
            assert text_values[name, frozenset(sample["labels"].items())] == sample["value"]
    for name, statistics in page["histograms"].items():
        assert text_values[f"{name}_count", frozenset()] == statistics["count"]


def test_promtool_finds_nothing_but_the_names_that_users_know(request: pytest.FixtureRequest) -> None:
    """The three `_ms` names are older than the naming advice; anything else would be ours."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    text = text_of(a_busy_tap(), full_readings())
    ran = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    complaints = (ran.stdout + ran.stderr).strip().splitlines()
    assert {complaint.split()[0] for complaint in complaints} <= set(HISTOGRAMS)
