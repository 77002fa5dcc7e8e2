"""The synthetic validation: it passes on a good house, and it cannot pass on nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest

from deployment.run_synthetic_loop import EXPECTED_RULE, Watch, _judged
from deployment.summary import Summary
from mutable_core.messages import Breach, Refused
from tests.faults.processes import TOP, environment


def looped(*arguments: str) -> dict[str, Any]:
    """What the loop said, on the one line of stdout; it passed."""
    ran = subprocess.run(
        [sys.executable, "-m", "deployment.run_synthetic_loop", *arguments, "--json"],
        cwd=TOP, env=environment(), capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert ran.returncode == 0, (ran.stdout, ran.stderr)
    lines = ran.stdout.splitlines()
    assert len(lines) == 1
    result = json.loads(lines[0])
    assert isinstance(result, dict)
    return result


def test_it_passes_and_every_violation_was_denied_by_its_own_rule(tmp_path: Path) -> None:
    """One run, for it takes its six seconds. Six kinds of violation, each at least once; nothing is left behind."""
    passed = looped("--duration", "6", "--hz", "20", "--inject-every", "3", "--state", str(tmp_path))
    assert passed["passed"] is True
    assert all(passed["criteria"].values())
    assert passed["errors"] == passed["traces_incomplete"] == passed["verdict_mismatches"] == 0
    assert passed["journal_ok"] is passed["reconciled"] is True
    assert passed["throughput_hz"] >= 20
    assert passed["latency_samples"] > 0
    assert passed["hrm_samples"] >= passed["violations_injected"]
    assert 0 < passed["latency_p50_ms"] <= passed["latency_p95_ms"] <= passed["latency_p99_ms"]
    assert passed["verdicts_recomputed"] > 0
    denied = {name.partition(":")[0]: rules for name, rules in passed["denied_by"].items()}
    assert set(denied) == set(get_args(Breach)) == set(EXPECTED_RULE)
    assert passed["violations_denied"] == passed["violations_injected"] >= 6
    for breach, rules in denied.items():
        assert EXPECTED_RULE[breach] in [int(rule) for rule in rules.strip("()").split(",") if rule.strip()]  # type: ignore[index]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.nightly
def test_a_minute_of_it_passes() -> None:
    assert looped("--duration", "60", "--inject-every", "10")["passed"] is True


# -- the judgement can fail -----------------------------------------------------------------------------------------


def a_good_summary(**changes: Any) -> Summary:
    values: dict[str, Any] = {"traces": 100, "verdicts_recomputed": 10, "journal_ok": True, "reconciled": True}
    return Summary(**(values | changes))


def a_good_watch() -> Watch:
    watch = Watch()
    watch.rows, watch.steps, watch.latencies_ms, watch.hrm_ms = 480, 120, [1.0] * 10, [0.5] * 10
    watch.expected = {breach: breach for breach in get_args(Breach)}
    watch.denied = {breach: (EXPECTED_RULE[breach],) for breach in get_args(Breach)}
    return watch


def judged(watch: Watch, summary: Summary, *, elapsed_s: float = 6.0, error: str = "") -> dict[str, bool]:
    result = _judged(watch, summary, elapsed_s=elapsed_s, duration_s=6.0, hz=20, error=error)
    assert result.passed is all(result.criteria.values())
    return result.criteria


def test_a_good_run_is_judged_good() -> None:
    assert all(judged(a_good_watch(), a_good_summary()).values())


def test_nothing_measured_is_a_failure() -> None:
    """I10: no data is not good news; each criterion that has nothing to go by fails."""
    criteria = judged(Watch(), Summary(), elapsed_s=0.0)
    has_no_data = set(criteria) - {"no_errors", "nothing_else_refused_so"}
    assert not any(criteria[name] for name in has_no_data)


def _slow(watch: Watch) -> None:
    watch.latencies_ms = [401.0] * 10


def _slow_judge(watch: Watch) -> None:
    watch.hrm_ms = [121.0] * 10


def _unasked(watch: Watch) -> None:
    watch.expected, watch.denied = {}, {}


def _let_through(watch: Watch) -> None:
    del watch.denied["no_stop"]


def _denied_by_another_rule(watch: Watch) -> None:
    watch.denied["no_stop"] = (5,)


def _good_refused(watch: Watch) -> None:
    watch.others = {8: 1}


def _no_latencies(watch: Watch) -> None:
    watch.latencies_ms = []


def _no_verdicts(watch: Watch) -> None:
    watch.hrm_ms = []


def _no_rows(watch: Watch) -> None:
    watch.steps = 0


@pytest.mark.parametrize(
    ("spoil", "criterion"),
    [
        (_slow, "latency_p95"),
        (_no_latencies, "latency_p95"),
        (_slow_judge, "hrm_p95"),
        (_no_verdicts, "hrm_p95"),
        (_unasked, "violations_denied"),
        (_let_through, "violations_denied"),
        (_denied_by_another_rule, "violations_denied"),
        (_good_refused, "nothing_else_refused_so"),
        (_no_rows, "throughput"),
    ],
)
def test_one_thing_wrong_fails_one_criterion(spoil: Any, criterion: str) -> None:
    watch = a_good_watch()
    spoil(watch)
    assert [name for name, holds in judged(watch, a_good_summary()).items() if not holds] == [criterion]


@pytest.mark.parametrize(
    ("changes", "criterion"),
    [
        ({"traces": 0}, "traces_complete"),
        ({"traces_incomplete": 1}, "traces_complete"),
        ({"verdicts_recomputed": 0}, "verdicts_recomputed"),
        ({"verdict_mismatches": 1}, "verdicts_recomputed"),
        ({"journal_ok": False}, "journal_whole"),
        ({"reconciled": False}, "journal_whole"),
        ({"discrepancies": 1}, "no_errors"),
    ],
)
def test_one_thing_wrong_in_the_journal_fails_one_criterion(changes: dict[str, Any], criterion: str) -> None:
    criteria = judged(a_good_watch(), a_good_summary(**changes))
    assert [name for name, holds in criteria.items() if not holds] == [criterion]


def test_an_error_and_a_slow_loop_fail() -> None:
    assert not judged(a_good_watch(), a_good_summary(), error="a disk was full")["no_errors"]
    assert not judged(a_good_watch(), a_good_summary(), elapsed_s=7.0)["throughput"]


def test_every_breach_has_the_rule_that_it_breaks() -> None:
    assert set(EXPECTED_RULE) == set(get_args(Breach))
    assert all(1 <= rule <= 26 for rule in EXPECTED_RULE.values())
    assert "verdict" in Refused.__struct_fields__
