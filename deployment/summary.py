"""What a journal says, read from the disk with fresh eyes: nothing of a run's memory is used.

Every row is verified, every verdict recomputed, every trace followed, the books folded again and compared with the
venue's last statement.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from agents.aletheia.checks.verdicts import verdict_fault
from agents.aletheia.state import Expected
from mutable_core import docket
from mutable_core.docket import ANSWERS, Answer, Docket, about
from mutable_core.errors import JournalBroken
from mutable_core.journal import chain, checked_rows
from mutable_core.messages import (
    AccountHalted,
    ApprovalAwaited,
    Approved,
    DiscrepancyFound,
    DrillOrdered,
    Envelope,
    HaltOrdered,
    InputRejected,
    NothingProposed,
    Observed,
    OperationApproved,
    OperationRefused,
    OrderFilled,
    OrderIntended,
    ProposalMade,
    Refused,
    RunStarted,
    VenueStated,
)
from mutable_core.money import decimal_of_micros
from mutable_core.traces import Traces


class Summary(msgspec.Struct, kw_only=True):
    """Counts of one journal. Money is a decimal string in `currency`.

    Attributes:
        observations: rows that passed the quality gate.
        gaps: bars that were missing, nights and weekends left out.
        rejected_inputs: rows that did not pass it.
        awaited: acts that had to wait for people's signatures.
        operations: critical operations that were decided.
        halts: halts that were ordered, and refusals for a critical rule that halted the account.
        halt_level: the widest halt in force at the end: 0 none, 1 reduce-only, 2 halted.
        traces_incomplete: traces that await something, and messages whose cause is not in their trace.
        protecting: positions' stops and targets that still work at the venue.
        reconciled: books equal the venue's last statement, and nothing came after it that changed them.
    """

    source: str = ""
    observations: int = 0
    gaps: int = 0
    rejected_inputs: int = 0
    rejected_by_reason: dict[str, int] = msgspec.field(default_factory=dict)
    proposals: int = 0
    quiet_by_reason: dict[str, int] = msgspec.field(default_factory=dict)
    approvals: int = 0
    refusals: int = 0
    refusals_by_rule: dict[str, int] = msgspec.field(default_factory=dict)
    awaited: int = 0
    operations: int = 0
    halts: int = 0
    halt_level: int = 0
    drills: int = 0
    orders: int = 0
    fills: int = 0
    traces: int = 0
    traces_incomplete: int = 0
    protecting: int = 0
    verdicts_recomputed: int = 0
    verdict_mismatches: int = 0
    discrepancies: int = 0
    journal_rows: int = 0
    journal_head: str = chain.GENESIS.hex()
    journal_ok: bool = False
    finding: str = ""
    start_equity: str = "0"
    end_equity: str = "0"
    currency: str = ""
    open_positions: int = 0
    reconciled: bool = False


class _Reader:
    """Folds a journal into a summary."""

    def __init__(self) -> None:
        self.summary = Summary()
        self.traces = Traces()
        self._docket = Docket.empty()
        self._expected: dict[tuple[str, bool], Expected] = {}
        self._stated: VenueStated | None = None

    def take(self, envelope: Envelope) -> None:
        self.traces.seen(envelope)
        body, summary = envelope.body, self.summary
        match body:
            case RunStarted():
                summary.source, summary.currency = body.source, body.currency
                summary.start_equity = str(decimal_of_micros(body.cash_micros))
            case Observed():
                summary.observations += 1
                summary.gaps += body.gap_bars
            case InputRejected(reason=reason):
                summary.rejected_inputs += 1
                _count(summary.rejected_by_reason, reason)
            case NothingProposed(reason=quiet):
                _count(summary.quiet_by_reason, quiet)
            case DrillOrdered():
                summary.drills += 1
            case HaltOrdered():
                summary.halts += 1
            case _ if isinstance(body, ANSWERS):
                self._answer(body)
            case OrderIntended():
                summary.orders += 1
            case OrderFilled():
                summary.fills += 1
            case VenueStated():
                self._stated = body
            case DiscrepancyFound():
                summary.discrepancies += 1
                summary.finding = summary.finding or f"row {envelope.seq}: {body.finding}: {body.detail}"
            case _:
                pass
        self._fold(envelope)

    def _fold(self, envelope: Envelope) -> None:
        if isinstance(envelope.body, ProposalMade):
            self.summary.proposals += 1
        self._docket, answers = docket.answer(self._docket, envelope)
        for said, act in answers:
            self._expected[about(said)] = Expected(act, said)

    def _answer(self, said: Answer) -> None:
        summary = self.summary
        again = self._expected.pop(about(said), None)
        summary.verdict_mismatches += bool(verdict_fault(again, said))
        match said:
            case Approved():
                summary.approvals += 1
            case Refused():
                summary.refusals += 1
                for rule in sorted({violation.rule for violation in said.verdict.violations}):
                    _count(summary.refusals_by_rule, str(rule))
            case ApprovalAwaited():
                summary.awaited += 1
                return
            case AccountHalted():
                summary.halts += 1
                return
            case OperationApproved() | OperationRefused():
                summary.operations += 1
        summary.verdicts_recomputed += again is not None

    def finish(self) -> Summary:
        summary, book = self.summary, self._docket.book
        summary.traces, summary.traces_incomplete = self.traces.begun, self.traces.incomplete
        summary.protecting = self.traces.protecting
        summary.end_equity = str(decimal_of_micros(book.equity_micros()))
        summary.open_positions = len(book.positions)
        summary.halt_level = max(self._docket.standing.halts.values(), default=0)
        summary.reconciled = (
            self._stated == book.statement() and not book.ledger.trial_balance() and not summary.discrepancies
        )
        return summary


def _count(counts: dict[str, int], key: str) -> None:
    counts[key] = counts.get(key, 0) + 1


def summarise(journal: Path) -> Summary:
    """The summary of the journal at `journal`, as far as it is whole; `finding` says where it is not."""
    reader = _Reader()
    summary = reader.summary
    try:
        for checked in checked_rows(journal):
            reader.take(checked.envelope)
            summary.journal_rows += 1
            summary.journal_head = checked.head.hex()
        summary.journal_ok = True
    except JournalBroken as error:
        summary.finding = str(error)  # an altered journal weighs more than what it says
    return reader.finish()
