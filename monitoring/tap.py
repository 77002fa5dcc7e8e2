"""The Tap hears every message that the bus appends and keeps what the metrics are made of.

It stands on the hot path, so it only adds to plain slots; `exposition.py` turns them into series when somebody
asks. One thread calls `seen` (the bus), one calls `committed` (the journal), any thread may read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, get_args

from graveyard.words import Severity
from monitoring.series import Latencies, OpenSpans, Pace
from mutable_core.clock import SECOND_NS, monotonic_ns
from mutable_core.messages import (
    BODY_TYPES,
    KIND_OF,
    Approved,
    Body,
    DiscrepancyFound,
    Envelope,
    Finding,
    InputRejected,
    NothingProposed,
    OrderAccepted,
    OrderBlocked,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    OrderWithheld,
    Outcome,
    ProposalMade,
    Refused,
    RejectReason,
    RowReceived,
    Verified,
)

WINDOW_S = 300
"""How far back the windows of the SLOs reach, seconds."""

INGEST_WINDOW_NS = 60 * SECOND_NS
PROPOSER = "joey"  # the only agent that may propose
NO_RULE = 0  # of a refusal that no rule gave: a verdict over no rules refuses
SPANS_MAX = 65_536

Note: TypeAlias = Callable[[Any, str, int], None]
"""What one kind of message is noted by: its body, its trace id, its stamp."""


class Tap:
    """What has happened since this process began.

    Attributes:
        inputs_rejected: by reason.
        denials: refusals by rule, 0 where no rule was heard; a refusal counts once for each rule that it names.
        violations: violated clauses by severity.
        verified: by outcome.
        discrepancies: by finding.
        orders_filled: intended orders (entries and reductions, not protective legs) that filled completely.
        pass_latency: row received → decision verified.
        hrm_latency: proposal made → approved or refused.
        write_latency: of each durable commit.
        spans_unmatched: decisions verified whose first row was not heard: a drill, or one from before the start.
    """

    __slots__ = (
        "_counts",
        "_notes",
        "_now_ns",
        "_rows",
        "commits",
        "denials",
        "discrepancies",
        "hrm_latency",
        "inputs_rejected",
        "mismatches",
        "orders_filled",
        "pass_latency",
        "proposals_open",
        "rows_committed",
        "rows_pending",
        "spans_unmatched",
        "traces_open",
        "verifications",
        "verified",
        "violations",
        "write_latency",
    )

    def __init__(self, now_ns: Callable[[], int] = monotonic_ns, *, spans_max: int = SPANS_MAX) -> None:
        self._now_ns = now_ns
        self._counts: dict[type[Body], int] = dict.fromkeys(BODY_TYPES, 0)
        self._rows = Pace(INGEST_WINDOW_NS // SECOND_NS)
        self.inputs_rejected: dict[str, int] = dict.fromkeys(get_args(RejectReason), 0)
        self.denials: dict[int, int] = {}
        self.violations: dict[str, int] = dict.fromkeys(get_args(Severity), 0)
        self.verified: dict[str, int] = dict.fromkeys(get_args(Outcome), 0)
        self.discrepancies: dict[str, int] = dict.fromkeys(get_args(Finding), 0)
        self.orders_filled = 0
        self.pass_latency = Latencies()
        self.hrm_latency = Latencies()
        self.write_latency = Latencies()
        self.traces_open = OpenSpans(spans_max)
        self.proposals_open = OpenSpans(spans_max)
        self.spans_unmatched = 0
        self.verifications = Pace(WINDOW_S + 1)
        self.mismatches = Pace(WINDOW_S + 1)
        self.commits = 0
        self.rows_committed = 0
        self.rows_pending = 0
        self._notes: dict[type[Body], Note] = {
            RowReceived: self._row_received,
            InputRejected: self._input_rejected,
            ProposalMade: self._proposal_made,
            NothingProposed: self._nothing_proposed,
            Approved: self._approved,
            Refused: self._refused,
            OrderFilled: self._order_filled,
            Verified: self._verified,
            DiscrepancyFound: self._discrepancy_found,
        }

    def seen(self, envelope: Envelope, stamp_ns: int) -> None:
        """The bus gave `envelope` its place in the log at `stamp_ns` (monotonic, never before the previous one)."""
        body = envelope.body
        body_type = type(body)
        self._counts[body_type] += 1
        note = self._notes.get(body_type)
        if note is not None:
            note(body, envelope.trace_id, stamp_ns)

    def committed(self, rows: int, duration_ns: int, pending: int) -> None:
        """The journal made `rows` durable in `duration_ns`; `pending` wait for the next commit."""
        self.write_latency.took(self._now_ns(), duration_ns)
        self.commits += 1
        self.rows_committed += rows
        self.rows_pending = pending

    def count(self, body_type: type[Body]) -> int:
        return self._counts[body_type]

    def messages_by_kind(self) -> dict[str, int]:
        """`order.filled` → how many, all versions together; every kind is there."""
        totals: dict[str, int] = {}
        for body_type, count in self._counts.copy().items():
            kind = KIND_OF[body_type].rpartition("/")[0]
            totals[kind] = totals.get(kind, 0) + count
        return totals

    def orders_by_state(self) -> dict[str, int]:
        return {
            "intended": self._counts[OrderIntended],
            "withheld": self._counts[OrderWithheld],
            "blocked": self._counts[OrderBlocked],
            "accepted": self._counts[OrderAccepted],
            "rejected": self._counts[OrderRejected],
            "filled": self.orders_filled,
            "cancelled": self._counts[OrderCancelled],
            "expired": self._counts[OrderExpired],
        }

    def verdicts(self) -> int:
        return self._counts[Approved] + self._counts[Refused]

    def ingest_rate(self, now_ns: int) -> float | None:
        """Rows per second over the last minute; None before the first row."""
        return self._rows.per_second(INGEST_WINDOW_NS, now_ns)

    def exec_success_rate(self) -> float | None:
        """Filled orders as a fraction of those that filled or were rejected; None while there is neither."""
        filled, rejected = self.orders_filled, self._counts[OrderRejected]
        return filled / (filled + rejected) if filled + rejected else None

    def _row_received(self, _row: RowReceived, trace_id: str, stamp_ns: int) -> None:
        self.traces_open.begin(trace_id, stamp_ns)
        self._rows.add(stamp_ns)

    def _input_rejected(self, rejected: InputRejected, trace_id: str, _stamp_ns: int) -> None:
        self.traces_open.end(trace_id)
        _add_one(self.inputs_rejected, rejected.reason)

    def _nothing_proposed(self, _nothing: NothingProposed, trace_id: str, _stamp_ns: int) -> None:
        self.traces_open.end(trace_id)

    def _proposal_made(self, made: ProposalMade, _trace_id: str, stamp_ns: int) -> None:
        self.proposals_open.begin(made.proposal.proposal_id, stamp_ns)

    def _approved(self, answer: Approved | Refused, _trace_id: str, stamp_ns: int) -> None:
        began_ns = self.proposals_open.end(answer.proposal_id)
        if began_ns is not None:
            self.hrm_latency.took(stamp_ns, stamp_ns - began_ns)

    def _refused(self, refused: Refused, trace_id: str, stamp_ns: int) -> None:
        self._approved(refused, trace_id, stamp_ns)
        last = NO_RULE
        for violation in refused.verdict.violations:
            _add_one(self.violations, violation.severity)
        for violation in refused.verdict.violations:  # in the order of the rules: clauses of one rule are neighbours
            if violation.rule != last:
                last = violation.rule
                self.denials[last] = self.denials.get(last, 0) + 1
        if last == NO_RULE:
            self.denials[NO_RULE] = self.denials.get(NO_RULE, 0) + 1

    def _order_filled(self, fill: OrderFilled, _trace_id: str, _stamp_ns: int) -> None:
        if fill.leg == "entry" and not fill.remaining:
            self.orders_filled += 1

    def _verified(self, decision: Verified, trace_id: str, stamp_ns: int) -> None:
        self.verifications.add(stamp_ns)
        _add_one(self.verified, decision.outcome)
        began_ns = self.traces_open.end(trace_id)
        if began_ns is None:
            self.spans_unmatched += 1
        else:
            self.pass_latency.took(stamp_ns, stamp_ns - began_ns)

    def _discrepancy_found(self, discrepancy: DiscrepancyFound, _trace_id: str, stamp_ns: int) -> None:
        _add_one(self.discrepancies, discrepancy.finding)
        if discrepancy.finding == "verdict_mismatch":
            self.mismatches.add(stamp_ns)


def _add_one(tally: dict[str, int], key: str) -> None:
    tally[key] = tally.get(key, 0) + 1
