"""The summary of a journal equals what a second, naive reading of the same file counts."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deployment.summary import Summary, summarise
from deployment.topology.state_dir import JOURNAL
from mutable_core.journal import Journal, checked_rows, verify
from mutable_core.messages import (
    Approved,
    DiscrepancyFound,
    Envelope,
    OrderAccepted,
    OrderBlocked,
    OrderCancelled,
    OrderExpired,
    OrderRejected,
    ProposalMade,
    Refused,
    VenueStated,
    encode,
)
from tests.deployment.handmade import HandmadeSource, drilled, envelopes, run
from tests.mutable_core.reference_account import ReferenceAccount

BREACHES = ("oversize", "no_stop", "stale_data", "not_a_number")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with trades, rejected rows, a split, refusals and a statement in the middle."""
    folder = tmp_path_factory.mktemp("summary") / "run"
    drilled(folder, BREACHES, source=HandmadeSource(70))
    return folder


@pytest.fixture(scope="module")
def summary(folder: Path) -> Summary:
    return summarise(folder / JOURNAL)


def messages(path: Path) -> list[dict[str, Any]]:
    """The rows as JSON, by nothing but sqlite3 and json."""
    with closing(sqlite3.connect(path)) as db:
        segments = db.execute("SELECT rows FROM segments ORDER BY first_seq").fetchall()
    return [json.loads(row) for (rows,) in segments for row in rows.split(b"\n")]


def count(rows: list[dict[str, Any]], kind: str) -> int:
    return sum(row["body"]["kind"].startswith(f"{kind}/") for row in rows)


def by(rows: list[dict[str, Any]], kind: str, field: str) -> dict[str, int]:
    return dict(Counter(row["body"][field] for row in rows if row["body"]["kind"].startswith(f"{kind}/")))


def test_the_run_has_something_of_everything(summary: Summary) -> None:
    """A summary of zeros would equal anything."""
    for name in ("observations", "rejected_inputs", "proposals", "approvals", "refusals", "drills", "orders", "fills"):
        assert getattr(summary, name) > 0, name
    assert set(summary.refusals_by_rule) >= {"5", "8", "21"}


def test_counts_equal_those_of_a_naive_reading(folder: Path, summary: Summary) -> None:
    rows = messages(folder / JOURNAL)
    assert {
        "observations": count(rows, "market.observed"),
        "rejected_inputs": count(rows, "market.rejected"),
        "rejected_by_reason": by(rows, "market.rejected", "reason"),
        "proposals": count(rows, "decision.proposal_made"),
        "quiet_by_reason": by(rows, "decision.nothing_proposed", "reason"),
        "approvals": count(rows, "decision.approved"),
        "refusals": count(rows, "decision.refused"),
        "drills": count(rows, "control.drill_ordered"),
        "orders": count(rows, "order.intended"),
        "fills": count(rows, "order.filled"),
        "discrepancies": count(rows, "truth.discrepancy_found"),
        "traces": count(rows, "market.row") + count(rows, "control.drill_ordered"),
        "verdicts_recomputed": count(rows, "decision.approved") + count(rows, "decision.refused"),
        "journal_rows": len(rows),
    } == {
        name: getattr(summary, name)
        for name in (
            "observations", "rejected_inputs", "rejected_by_reason", "proposals", "quiet_by_reason", "approvals",
            "refusals", "drills", "orders", "fills", "discrepancies", "traces", "verdicts_recomputed", "journal_rows",
        )
    }  # fmt: skip


def test_refusals_are_counted_by_rule_once_each(folder: Path, summary: Summary) -> None:
    counted: Counter[str] = Counter()
    for row in messages(folder / JOURNAL):
        if row["body"]["kind"] == "decision.refused/2":
            counted.update({str(violation["rule"]) for violation in row["body"]["verdict"]["violations"]})
    assert summary.refusals_by_rule == dict(counted)


def test_money_equals_the_reference_account(folder: Path, summary: Summary) -> None:
    account = ReferenceAccount()
    for envelope in envelopes(folder):
        account.take(envelope)
    assert Decimal(summary.start_equity) == 1_000_000
    assert Decimal(summary.end_equity) * 10**6 == account.equity_micros()
    assert Decimal(summary.end_equity) != 1_000_000
    assert summary.open_positions == len(account.positions())
    assert (summary.currency, summary.source) == ("USD", "handmade")


def test_an_undisturbed_run_is_whole_reconciled_and_complete(folder: Path, summary: Summary) -> None:
    assert (summary.journal_ok, summary.finding, summary.reconciled) == (True, "", True)
    assert (summary.traces_incomplete, summary.verdict_mismatches, summary.discrepancies) == (0, 0, 0)
    assert summary.journal_head == list(checked_rows(folder / JOURNAL))[-1].head.hex()


def test_the_summary_reads_the_disk_and_nothing_else(folder: Path, summary: Summary) -> None:
    assert summarise(folder / JOURNAL) == summary


# -- forged journals: whoever can compute the chain can write anything; what does not follow is still found ---------------


def rewritten(folder: Path, to: Path, change: Callable[[Envelope], Envelope | None]) -> Path:
    """The journal with changed messages and a chain that is right."""
    journal = Journal.open(to)
    seq = 0
    for envelope in envelopes(folder):
        other = change(envelope)
        if other is None:
            continue
        seq += 1
        journal.append(encode(msgspec.structs.replace(other, seq=seq)), 0)
    journal.commit()
    journal.close()
    return to


def once(kind: type, change: Callable[[Any], Any]) -> Callable[[Envelope], Envelope]:
    """Change the first message of this kind."""
    left = [1]

    def changed(envelope: Envelope) -> Envelope:
        if not left or not isinstance(envelope.body, kind):
            return envelope
        left.clear()
        body = change(envelope.body)
        assert body != envelope.body
        return msgspec.structs.replace(envelope, body=body)

    return changed


def replaced(**changes: Any) -> Callable[[Any], Any]:
    return lambda body: msgspec.structs.replace(body, **changes)


def with_fact(**changes: Any) -> Callable[[Any], Any]:
    return lambda body: msgspec.structs.replace(body, facts=msgspec.structs.replace(body.facts, **changes))


def with_verdict(**changes: Any) -> Callable[[Any], Any]:
    return lambda body: msgspec.structs.replace(body, verdict=msgspec.structs.replace(body.verdict, **changes))


def as_approval(body: Refused) -> Approved:
    """The same facts and the same refusing verdict, called an approval."""
    return Approved(
        body.proposal_id, body.instrument, body.digest, body.position, body.facts, body.verdict, body.grounds, 1, 1, 1
    )


def as_refusal(body: Approved) -> Refused:
    return Refused(
        body.proposal_id, body.instrument, body.digest, body.position, body.facts, body.verdict, body.grounds
    )


@pytest.mark.parametrize(
    ("what", "kind", "change"),
    [
        ("a fact of an approval", Approved, with_fact(reason_chars=11)),
        ("a fact of a refusal", Refused, with_fact(reason_chars=11)),
        ("an approving verdict with violations taken out", Refused, with_verdict(violations=())),
        ("a refusing verdict that says yes", Refused, with_verdict(approved=True)),
        ("a verdict of other rules", Approved, with_verdict(ruleset="0" * 64)),
        ("a verdict on another proposal", Approved, replaced(proposal_id="0" * 32)),
        ("a refusal called an approval", Refused, as_approval),
        ("an approval called a refusal", Approved, as_refusal),
        ("a smaller hold", Approved, replaced(hold_micros=1)),
        ("a longer life", Approved, replaced(expires_ns=2**62)),
        ("another digest", Approved, replaced(digest="0" * 64)),
        ("another position", Refused, replaced(position=1)),
    ],
)
def test_one_forged_verdict_is_one_mismatch(folder: Path, tmp_path: Path, what: str, kind: type, change) -> None:
    """The chain was computed again by the forger, so the journal is whole; the verdict still does not follow.

    The journal ends with the forged row, so that nothing that follows from it is counted too.
    """
    forged = once(kind, change)
    until = next(envelope.seq for envelope in envelopes(folder) if isinstance(envelope.body, kind))
    found = summarise(rewritten(folder, tmp_path / "j", lambda e: forged(e) if e.seq <= until else None))
    assert found.journal_ok
    assert found.verdict_mismatches == 1


def test_a_forged_proposal_is_a_mismatch_of_its_verdict(folder: Path, tmp_path: Path) -> None:
    def smaller(body: ProposalMade) -> ProposalMade:
        return ProposalMade(msgspec.structs.replace(body.proposal, quantity=body.proposal.quantity / 2), body.is_drill)

    assert summarise(rewritten(folder, tmp_path / "j", once(ProposalMade, smaller))).verdict_mismatches >= 1


@pytest.mark.parametrize(
    "change",
    [
        once(VenueStated, lambda body: msgspec.structs.replace(body, cash_micros=body.cash_micros + 1)),
        lambda envelope: None if isinstance(envelope.body, VenueStated) else envelope,
    ],
    ids=["another statement", "no statement"],
)
def test_books_that_no_statement_confirms_are_not_reconciled(tmp_path: Path, change) -> None:
    run(tmp_path / "run", HandmadeSource(12))
    assert summarise(tmp_path / "run" / JOURNAL).reconciled
    found = summarise(rewritten(tmp_path / "run", tmp_path / "j", change))
    assert not found.reconciled


def test_a_discrepancy_is_not_reconciled(folder: Path, tmp_path: Path) -> None:
    def found_one(envelope: Envelope) -> Envelope:
        if envelope.kind != "truth.reconciled":
            return envelope
        return msgspec.structs.replace(envelope, body=DiscrepancyFound("paper", "books_differ", "cash"))

    found = summarise(rewritten(folder, tmp_path / "j", found_one))
    assert (found.reconciled, found.discrepancies > 0) == (False, True)


# -- cut journals --------------------------------------------------------------------------------------------------------


def incomplete(rows: list[Envelope]) -> int:
    """Traces of which a row, a drill, a proposal or an order still waits: counted trace by trace, naively."""
    traces: dict[str, set[str]] = {}
    for envelope in rows:
        body = envelope.body
        if envelope.kind in {"market.row", "control.drill_ordered"}:
            traces[envelope.trace_id] = {"row"}
        waiting = traces.get(envelope.trace_id)
        if waiting is None:
            continue
        if envelope.kind in {"market.rejected", "decision.nothing_proposed", "decision.proposal_made"}:
            waiting.discard("row")
        if isinstance(body, ProposalMade):
            waiting.add(body.proposal.proposal_id)
        if envelope.kind == "truth.verified":
            waiting.discard(body.proposal_id)  # type: ignore[union-attr]
        if envelope.kind == "order.intended":
            waiting.add(body.order.client_order_id)  # type: ignore[union-attr]
        if envelope.kind == "order.filled" and not body.remaining:  # type: ignore[union-attr]
            waiting.discard(body.client_order_id)  # type: ignore[union-attr]
        if isinstance(body, OrderRejected | OrderBlocked | OrderCancelled | OrderExpired):
            waiting.discard(body.client_order_id)
        assert not isinstance(body, OrderAccepted) or body.client_order_id in waiting
    return sum(bool(waiting) for waiting in traces.values())


def test_a_journal_cut_anywhere_counts_the_traces_that_still_await_something(tmp_path: Path) -> None:
    run(tmp_path / "run", HandmadeSource(3))
    rows = envelopes(tmp_path / "run")
    counted = {}
    for cut in range(1, len(rows) + 1):
        path = rewritten(tmp_path / "run", tmp_path / f"{cut}", lambda e, cut=cut: e if e.seq <= cut else None)
        counted[cut] = summarise(path).traces_incomplete
    assert counted == {cut: incomplete(rows[:cut]) for cut in counted}


def test_a_broken_journal_is_summarised_as_far_as_it_is_whole(folder: Path, tmp_path: Path) -> None:
    path = rewritten(folder, tmp_path / "j", lambda envelope: envelope)
    assert verify(path).ok
    with closing(sqlite3.connect(path)) as db, db:
        rows = db.execute("SELECT rows FROM segments").fetchone()[0].split(b"\n")
        rows[99] = rows[99].replace(b'"depth":', b'"depth":1')
        db.execute("UPDATE segments SET rows = ?", (b"\n".join(rows),))
    found = summarise(path)
    assert (found.journal_ok, found.journal_rows, found.reconciled) == (False, 99, False)
    assert "row 100" in found.finding


def test_an_empty_journal_is_whole_and_empty(tmp_path: Path) -> None:
    Journal.open(tmp_path / "j").close()
    found = summarise(tmp_path / "j")
    assert (found.journal_ok, found.journal_rows, found.traces, found.reconciled) == (True, 0, 0, False)
