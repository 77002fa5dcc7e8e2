"""Every metric of the house, as data: name, type, unit, labels, what it says, and who knows it.

The first eleven names are the ones that users of ARK know; they stay as they are, `redis_stream_depth` too, although
no Redis is left. A trace id is never a label: traces have no end, series must.

`source` says who knows the value: the Tap counts it, or the composition root hands a callable for it (`Readings`).
`process_*` (start, CPU, memory, descriptors) come from `prometheus_client` beside these.
A metric that nobody knows yet has its HELP and TYPE and no sample: no data is not zero.
"""

from __future__ import annotations

from typing import Literal

import msgspec

MetricType = Literal["counter", "gauge", "histogram", "untyped"]
Source = Literal["tap", "reading"]


class Metric(msgspec.Struct, frozen=True):
    """One family of series.

    Attributes:
        unit: empty where the value is a count or a fraction.
        labels: in the order in which readings give their values.
    """

    name: str
    type: MetricType
    source: Source
    help: str
    unit: str = ""
    labels: tuple[str, ...] = ()


KNOWN = (
    Metric("ark_pass_latency_ms", "histogram", "tap", "From a row received to its decision verified.", "ms"),
    Metric("hrm_eval_latency_ms", "histogram", "tap", "From a proposal made to its approval or refusal.", "ms"),
    Metric("state_write_latency_ms", "histogram", "tap", "Of each durable commit of the journal.", "ms"),
    Metric("kyle_ingest_rate", "gauge", "tap", "Rows received per second over the last 60 s; no sample before the first row.", "rows per second"),
    Metric("joey_pattern_confidence_avg", "gauge", "reading", "Mean confidence of proposals. No sample until proposals carry a confidence: it is not made up."),
    Metric("kenny_exec_success_rate", "gauge", "tap", "Filled orders as a fraction of those filled or rejected; no sample while there is neither."),
    Metric("hrm_denials_total", "counter", "tap", "Refusals by rule (0: no rule was heard) and by the agent that had proposed; one for each rule named.", labels=("rule_id", "agent")),
    Metric("watchdog_quarantines_total", "counter", "reading", "Agents put into quarantine.", labels=("agent", "reason")),
    Metric("graveyard_validations_total", "counter", "tap", "Verdicts given: approvals and refusals."),
    # A counter whose known name has no _total. The client adds that ending to whatever it calls a counter, and the
    # known name would be gone; untyped keeps it, and rate() and increase() ask for no type.
    Metric("agent_heartbeat_failures", "untyped", "reading", "Heartbeats that came too late or not at all. A counter; untyped because its known name has no _total.", labels=("agent",)),
    Metric("redis_stream_depth", "gauge", "reading", "Messages waiting; the known name. stream=\"bus\" is the queue of this house's own bus.", labels=("stream",)),
)  # fmt: skip
"""The names that users know."""

READING_FAILURES = Metric(
    "ark_reading_failures", "gauge", "reading",
    "1 for each reading that raised at this scrape, was not finite, or had too many or wrong labels; it has no sample.",
    labels=("metric",),
)  # fmt: skip

HOUSE = (
    Metric("ark_messages_total", "counter", "tap", "Messages appended to the log.", labels=("kind",)),
    Metric("ark_inputs_rejected_total", "counter", "tap", "Rows that the quality gate did not take.", labels=("reason",)),
    Metric("ark_proposals_total", "counter", "tap", "Proposals made, drills included."),
    Metric("ark_approvals_total", "counter", "tap", "Proposals that the rules let pass."),
    Metric("ark_refusals_total", "counter", "tap", "Proposals that the rules refused."),
    Metric("ark_violations_total", "counter", "tap", "Violated clauses of refusals, by the severity of their rule.", labels=("severity",)),
    Metric("ark_acts_awaiting_people", "gauge", "reading", "Acts that wait for people's signatures."),
    Metric("ark_halt_level", "gauge", "reading", "The widest halt in force at any scope: 0 normal, 1 reduce-only, 2 halted."),
    Metric("ark_vetoes_standing", "gauge", "reading", "Operators' vetoes that stand."),
    Metric("ark_seal_faults", "gauge", "reading", "What is wrong with the seal of the rules; 0 while it is whole."),
    Metric("ark_orders_total", "counter", "tap", "Orders that came to a state. Filled: completely, protective legs not counted; accepted, cancelled and expired: whatever the venue reported.", labels=("state",)),
    Metric("ark_fills_total", "counter", "tap", "Fills, partial ones and those of protective legs included."),
    Metric("ark_decisions_verified_total", "counter", "tap", "Decisions looked at again from the log.", labels=("outcome",)),
    Metric("ark_discrepancies_total", "counter", "tap", "What Aletheia found wrong.", labels=("finding",)),
    Metric("ark_journal_commits_total", "counter", "tap", "Durable commits of this process."),
    Metric("ark_journal_rows_committed_total", "counter", "tap", "Rows made durable by this process."),
    Metric("ark_journal_rows_pending", "gauge", "tap", "Rows that waited when the last commit ended; no sample before the first."),
    Metric("ark_traces_open", "gauge", "tap", "Rows received whose trace has not ended."),
    Metric("ark_traces_unmatched_total", "counter", "tap", "Decisions verified without a pass latency: drills, and rows from before the start."),
    Metric("ark_spans_evicted_total", "counter", "tap", "Open traces and proposals let go because too many were open."),
    Metric("ark_journal_rows", "gauge", "reading", "Rows in the journal, earlier runs included."),
    Metric("ark_journal_durable_position", "gauge", "reading", "Log position up to which effects may leave."),
    Metric("ark_equity", "gauge", "reading", "Cash and positions at their marks.", "units of the currency", ("currency",)),
    Metric("ark_gross_exposure", "gauge", "reading", "Absolute positions and holds, all instruments.", "units of the currency", ("currency",)),
    Metric("ark_lease_age_seconds", "gauge", "reading", "Since the Watchdog's last lease.", "seconds", ("agent",)),
    Metric("ark_agent_up", "gauge", "reading", "1 while the agent works, 0 when it does not.", labels=("agent",)),
    Metric("ark_agent_phase", "gauge", "reading", "1 for the phase that the Watchdog has the agent in.", labels=("agent", "phase")),
    Metric("ark_agent_restarts_total", "counter", "reading", "Starts after an end, by how it had ended.", labels=("agent", "how")),
    Metric("ark_agent_phi", "gauge", "reading", "Suspicion: -log10 of the chance that the agent is merely late; 3 warns, 8 isolates.", labels=("agent",)),
    Metric("ark_agent_pending", "gauge", "reading", "Messages that the agent was told and has not answered.", labels=("agent",)),
    Metric("ark_agent_memory_bytes", "gauge", "reading", "Resident memory of the agent's process.", "bytes", ("agent",)),
    Metric("ark_agent_cpu_seconds_total", "counter", "reading", "CPU time of the agent's processes.", "seconds", ("agent",)),
    Metric("ark_bus_refused_total", "counter", "reading", "What an agent sent and the bus refused: unasked, malformed, or said in another's name.", labels=("agent",)),
    Metric("ark_isolation", "gauge", "reading", "1 where this mechanism confines the agent's process, 0 where this machine cannot enforce it.", labels=("agent", "mechanism")),
    Metric("ark_drill_age_seconds", "gauge", "reading", "Since the newest fault drill; no sample where there was none.", "seconds"),
    Metric("ark_kill_switch_level", "gauge", "reading", "What the kill switch has latched: 0 normal, 1 reduce-only, 2 halted, 3 flattening; no sample where it does not answer."),
    Metric("ark_alerts_standing", "gauge", "reading", "Alerts of the Watchdog that stand.", labels=("severity",)),
    Metric("ark_source_rows", "gauge", "reading", "Rows read from the market source."),
    Metric("ark_source_lag_seconds", "gauge", "reading", "How far the newest row is behind the clock that the source runs on.", "seconds"),
    Metric("ark_journal_bytes", "gauge", "reading", "The journal's files.", "bytes"),
    Metric("ark_checkpoint_age_seconds", "gauge", "reading", "Since the journal was last signed.", "seconds"),
    Metric("ark_anchor_failures_total", "counter", "reading", "Checkpoints that the anchor outside the journal did not take, in this process."),
    Metric("ark_orders_unknown", "gauge", "reading", "Orders whose state the venue could not tell; they count as filled."),
    Metric("ark_disk_free_bytes", "gauge", "reading", "Free on the disk of the state folder; no sample where it does not answer.", "bytes"),
    Metric("ark_disk_faults", "gauge", "reading", "1 once the disk was short or could not be written: nothing is opened until the house is started again."),
    Metric("ark_backup_age_seconds", "gauge", "reading", "Since the newest good backup was begun; no sample where there is none: unknown is not young.", "seconds"),
    Metric("ark_backup_last_success_timestamp_seconds", "gauge", "reading", "When the newest good backup was begun, Unix time.", "seconds"),
    Metric("ark_backup_failures_total", "counter", "reading", "Backups of the schedule that failed in this process."),
    Metric("ark_restore_drill_age_seconds", "gauge", "reading", "Since the last restore drill; no sample where there was none.", "seconds"),
    Metric("ark_restore_drill_ok", "gauge", "reading", "1 where the last restore drill proved its backup, 0 where it did not."),
    Metric("ark_ready", "gauge", "reading", "1 while /readyz says yes."),
    Metric("ark_build_info", "gauge", "reading", "Always 1; which build runs, by which rules, in which mode.", labels=("build", "ruleset", "mode")),
    READING_FAILURES,
)  # fmt: skip

CATALOGUE = KNOWN + HOUSE
BY_NAME = {metric.name: metric for metric in CATALOGUE}
