"""`python -m deployment.run_synthetic_loop`: prove on this machine, now, that the whole path works and that bad is refused.

Made-up quotes go through the real agents in real time; at each interval an operator orders one proposal of every known
breach; latencies are differences between the agents' own messages as the bus sequenced them; the journal is then read
back from the disk and everything in it recomputed. Exit code 0 only if every criterion holds. No samples is a failure.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import msgspec

from agents.kyle.sources.port import Slice
from agents.kyle.sources.synthetic import SyntheticSource
from deployment.commands.port import print_json
from deployment.summary import Summary, summarise
from deployment.topology.house import House, genesis
from deployment.topology.state_dir import JOURNAL
from monitoring.series import percentile
from monitoring.tap import Tap
from mutable_core.clock import SECOND_NS
from mutable_core.errors import ArkError
from mutable_core.messages import Breach, DrillOrdered, Envelope, ProposalMade, Refused, RowReceived, Verified
from mutable_core.settings import settings_from

EXPECTED_RULE: dict[Breach, int] = {
    "oversize": 5,
    "no_stop": 8,
    "over_leveraged": 7,
    "stale_data": 21,
    "unknown_instrument": 23,
    "not_a_number": 5,
}
"""The rule that each breach breaks; a number that is none cannot be sized."""

WARM_UP_STEPS = 120
"""Steps taken at full speed before the clock starts, so that features have their history."""
RATE_SHARE_MIN = 0.99  # of the asked steps: a scheduler is late now and then
DECISION_P95_MS_MAX = 400.0
HRM_P95_MS_MAX = 120.0


class Watch:
    """Follows drills and refusals on the bus, and times each trace from its first message to `Verified`."""

    def __init__(self) -> None:
        self.is_on = False
        self.rows = 0
        self.steps = 0
        self.latencies_ms: list[float] = []
        self.hrm_ms: list[float] = []
        self.expected: dict[str, Breach] = {}  # drill proposal id → what is wrong with it
        self.denied: dict[str, tuple[int, ...]] = {}  # drill proposal id → rules that refused it
        self.others: dict[int, int] = {}  # rule → refusals of proposals that were no drills
        self._breach_of: dict[str, Breach] = {}  # trace → what was ordered
        self._began: dict[str, int] = {}
        self._proposed: dict[str, int] = {}

    def seen(self, envelope: Envelope, stamp_ns: int) -> None:
        body = envelope.body
        match body:
            case RowReceived():
                self.rows += self.is_on
                self._began[envelope.trace_id] = stamp_ns
            case DrillOrdered(breach=breach):
                self._began[envelope.trace_id] = stamp_ns
                self._breach_of[envelope.trace_id] = breach
            case ProposalMade():
                self._proposed[body.proposal.proposal_id] = stamp_ns
                if body.is_drill:
                    self.expected[body.proposal.proposal_id] = self._breach_of[envelope.trace_id]
            case Refused():
                self._vetted(body.proposal_id, stamp_ns)
                self._refused(body)
            case Verified(proposal_id=proposal_id):
                self._vetted(proposal_id, stamp_ns)
                if self.is_on:
                    self.latencies_ms.append((stamp_ns - self._began[envelope.trace_id]) / 1e6)
            case _:
                if envelope.kind == "decision.approved":
                    self._vetted(body.proposal_id, stamp_ns)  # type: ignore[union-attr]

    def _vetted(self, proposal_id: str, stamp_ns: int) -> None:
        made = self._proposed.pop(proposal_id, None)
        if made is not None and self.is_on:
            self.hrm_ms.append((stamp_ns - made) / 1e6)

    def _refused(self, body: Refused) -> None:
        rules = tuple(sorted({violation.rule for violation in body.verdict.violations}))
        if body.proposal_id in self.expected:
            self.denied[body.proposal_id] = rules
            return
        for rule in rules:
            self.others[rule] = self.others.get(rule, 0) + 1


class Result(msgspec.Struct, kw_only=True):
    """What was measured, and which criteria hold. `passed` is all of them."""

    passed: bool
    criteria: dict[str, bool]
    duration_s: float
    hz: int
    signals: int
    throughput_hz: float
    errors: int
    latency_samples: int
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    latency_p99_ms: float | None
    hrm_samples: int
    hrm_p95_ms: float | None
    violations_injected: int
    violations_denied: int
    denied_by: dict[str, str]
    refused_otherwise: dict[str, int]
    traces: int
    traces_incomplete: int
    verdicts_recomputed: int
    verdict_mismatches: int
    journal_ok: bool
    reconciled: bool
    error: str


def validate(*, duration_s: float, hz: int, inject_every_s: float, seed: int, state: Path | None) -> Result:
    """Run the loop and judge it."""
    watch = Watch()
    with _folder(state) as folder:
        source = SyntheticSource(seed, hz=hz)
        started = genesis(settings_from({}), source, SECOND_NS // hz)
        error, elapsed_s = "", 0.0
        house = House(folder, source, started)
        try:
            house.bus.taps += [Tap().seen, watch.seen]
            house.start()
            elapsed_s = _loop(house, watch, duration_s=duration_s, hz=hz, inject_every_s=inject_every_s)
            house.end()
            house.close()
        except ArkError as failed:
            error = str(failed)
            house.abandon()
        return _judged(
            watch, summarise(folder / JOURNAL), elapsed_s=elapsed_s, duration_s=duration_s, hz=hz, error=error
        )


@contextmanager
def _folder(state: Path | None) -> Iterator[Path]:
    if state is not None:
        state.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ark-loop-", dir=state) as folder:
        yield Path(folder)


def _loop(house: House, watch: Watch, *, duration_s: float, hz: int, inject_every_s: float) -> float:
    """Steps at `hz` for `duration_s`, drills spread evenly over each interval. Returns the seconds it took."""
    steps = iter(house.slices())
    for _ in range(WARM_UP_STEPS):
        house.turn(next(steps))
    watch.is_on = True
    breaches: tuple[Breach, ...] = get_args(Breach)
    drill_every_s = inject_every_s / len(breaches)
    began, drills, taken = time.monotonic(), 0, 0
    while True:
        now_s = time.monotonic() - began
        if now_s >= duration_s:
            return now_s
        if now_s >= (drills + 1) * drill_every_s:
            house.drill(DrillOrdered(breaches[drills % len(breaches)]), drills)
            drills += 1
        taken = watch.steps = _step(house, steps, now_s, hz, taken)


def _step(house: House, steps: Iterator[Slice], now_s: float, hz: int, taken: int) -> int:
    """The next step if its time has come; otherwise a wait until then. Returns how many were taken."""
    due_s = taken / hz
    if now_s < due_s:
        time.sleep(due_s - now_s)
    house.turn(next(steps))
    return taken + 1


def _judged(watch: Watch, summary: Summary, *, elapsed_s: float, duration_s: float, hz: int, error: str) -> Result:
    wrong = [EXPECTED_RULE[breach] for breach in watch.expected.values()]
    denied = sum(EXPECTED_RULE[watch.expected[one]] in rules for one, rules in watch.denied.items())
    p95, hrm_p95 = percentile(watch.latencies_ms, 0.95), percentile(watch.hrm_ms, 0.95)
    throughput = watch.rows / elapsed_s if elapsed_s else 0.0
    criteria = {
        "throughput": elapsed_s > 0 and watch.steps >= RATE_SHARE_MIN * hz * elapsed_s,
        "no_errors": not error and not summary.discrepancies,
        "latency_p95": p95 is not None and p95 <= DECISION_P95_MS_MAX,
        "hrm_p95": hrm_p95 is not None and hrm_p95 <= HRM_P95_MS_MAX,
        "violations_denied": bool(wrong) and denied == len(wrong),
        "nothing_else_refused_so": not any(rule in watch.others for rule in EXPECTED_RULE.values()),
        "traces_complete": summary.traces > 0 and not summary.traces_incomplete,
        "verdicts_recomputed": summary.verdicts_recomputed > 0 and not summary.verdict_mismatches,
        "journal_whole": summary.journal_ok and summary.reconciled,
    }
    return Result(
        passed=all(criteria.values()),
        criteria=criteria,
        duration_s=round(duration_s, 3),
        hz=hz,
        signals=watch.rows,
        throughput_hz=round(throughput, 3),
        errors=int(bool(error)) + summary.discrepancies,
        latency_samples=len(watch.latencies_ms),
        latency_p50_ms=_rounded(percentile(watch.latencies_ms, 0.5)),
        latency_p95_ms=_rounded(p95),
        latency_p99_ms=_rounded(percentile(watch.latencies_ms, 0.99)),
        hrm_samples=len(watch.hrm_ms),
        hrm_p95_ms=_rounded(hrm_p95),
        violations_injected=len(wrong),
        violations_denied=denied,
        denied_by={f"{breach}:{one[:8]}": str(watch.denied.get(one, ())) for one, breach in watch.expected.items()},
        refused_otherwise={str(rule): count for rule, count in sorted(watch.others.items())},
        traces=summary.traces,
        traces_incomplete=summary.traces_incomplete,
        verdicts_recomputed=summary.verdicts_recomputed,
        verdict_mismatches=summary.verdict_mismatches,
        journal_ok=summary.journal_ok,
        reconciled=summary.reconciled,
        error=error,
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _lines(result: Result) -> list[str]:
    def mark(name: str) -> str:
        return "ok  " if result.criteria[name] else "FAIL"

    latency = f"p50 {result.latency_p50_ms} p95 {result.latency_p95_ms} p99 {result.latency_p99_ms} ms"
    return [
        f"{mark('throughput')} throughput       {result.throughput_hz} signals/s (asked {result.hz}), {result.signals} signals",
        f"{mark('no_errors')} errors           {result.errors} {result.error}",
        f"{mark('latency_p95')} observe→verified {latency}, {result.latency_samples} decisions (p95 ≤ {DECISION_P95_MS_MAX:g})",
        f"{mark('hrm_p95')} HRM              p95 {result.hrm_p95_ms} ms over {result.hrm_samples} verdicts (≤ {HRM_P95_MS_MAX:g})",
        f"{mark('violations_denied')} violations       {result.violations_denied}/{result.violations_injected} denied by the rule that they break",
        f"{mark('nothing_else_refused_so')} other refusals   by rule {result.refused_otherwise or 'none'}",
        f"{mark('traces_complete')} traces           {result.traces}, {result.traces_incomplete} incomplete",
        f"{mark('verdicts_recomputed')} verdicts         {result.verdicts_recomputed} recomputed, {result.verdict_mismatches} differ",
        f"{mark('journal_whole')} journal          whole {result.journal_ok}, books agree with the venue {result.reconciled}",
        f"synthetic validation {'PASSED' if result.passed else 'FAILED'}",
    ]


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value <= 86_400:
        raise argparse.ArgumentTypeError(f"`{text}` is not in (0, 86400]")
    return value


def _hertz(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 1_000:
        raise argparse.ArgumentTypeError(f"`{text}` is not in 1…1000")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 where every criterion holds, 1 where one does not, 2 for what cannot be run."""
    from deployment.__main__ import Parser, in_one_line

    parser = Parser(prog="python -m deployment.run_synthetic_loop", description=__doc__, allow_abbrev=False)
    parser.add_argument("--duration", type=_positive, default=300.0, help="seconds (default 300)")
    parser.add_argument(
        "--hz", type=_hertz, default=1, help="steps a second, each with a quote per instrument (default 1)"
    )
    parser.add_argument(
        "--inject-every", type=_positive, default=60.0, help="seconds in which every breach comes once (default 60)"
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--state", type=Path, default=None, help="where its temporary journal lies (default: the system's)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line of stdout")
    return in_one_line(lambda: _validated(parser.parse_args(argv)))


def _validated(arguments: argparse.Namespace) -> int:
    settings_from()  # what `ark run` would refuse is refused here too
    result = validate(
        duration_s=arguments.duration,
        hz=arguments.hz,
        inject_every_s=arguments.inject_every,
        seed=arguments.seed,
        state=arguments.state,
    )
    if arguments.json:
        print_json(result)
    else:
        print("\n".join(_lines(result)))
    return 0 if result.passed else 1


if __name__ == "__main__":
    sys.exit(main())
