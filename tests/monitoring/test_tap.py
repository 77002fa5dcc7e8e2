from __future__ import annotations

import threading

from monitoring.tap import Tap
from mutable_core.messages import AnyBody, OrderFilled, RowReceived
from tests.monitoring.makers import (
    MILLI,
    SECOND,
    a_discrepancy,
    a_fill,
    a_proposal_made,
    a_rejected_input,
    a_rejected_order,
    a_row,
    a_violation,
    an_envelope,
    an_observation,
    approved,
    nothing_proposed,
    refused,
    verified,
)


def heard(tap: Tap, *bodies: AnyBody, of: int = 1, at_ms: int = 0, step_ms: int = 0) -> None:
    for n, body in enumerate(bodies):
        tap.seen(an_envelope(body, of=of), (at_ms + n * step_ms) * MILLI)


def test_every_message_is_counted_by_its_kind() -> None:
    tap = Tap()
    heard(tap, a_row(), an_observation(), a_row())
    kinds = tap.messages_by_kind()
    assert kinds["market.row"] == 2
    assert kinds["market.observed"] == 1
    assert sum(kinds.values()) == 3


def test_pass_latency_is_from_the_row_to_the_verified_decision() -> None:
    tap = Tap()
    heard(tap, a_row(), an_observation(), a_proposal_made(), approved(), verified(), at_ms=100, step_ms=10)
    assert tap.pass_latency.since(0) == [40.0]


def test_hrm_latency_is_from_the_proposal_to_its_answer() -> None:
    tap = Tap()
    heard(tap, a_proposal_made(), at_ms=100)
    heard(tap, a_proposal_made(2), of=2, at_ms=101)
    heard(tap, refused(a_violation(6), of=2), of=2, at_ms=103)
    heard(tap, approved(), at_ms=107)
    assert tap.hrm_latency.since(0) == [2.0, 7.0]


def test_a_trace_that_ends_without_a_decision_has_no_latency_and_is_let_go() -> None:
    tap = Tap()
    heard(tap, a_row(), nothing_proposed(), of=1)
    heard(tap, a_row(), a_rejected_input(), of=2)
    assert len(tap.traces_open) == 0
    assert tap.pass_latency.since(0) == []


def test_a_decision_without_a_row_has_no_latency_and_says_so() -> None:
    """A drill begins with an order of the operator; a latency from nowhere is not made up."""
    tap = Tap()
    heard(tap, a_proposal_made(), verified("refused"))
    assert tap.spans_unmatched == 1
    assert tap.pass_latency.since(0) == []


def test_a_refusal_counts_once_for_each_rule_that_it_names() -> None:
    tap = Tap()
    heard(tap, refused(a_violation(5), a_violation(8, clause=0), a_violation(8, clause=1)))
    heard(tap, refused(a_violation(8)))
    assert tap.denials == {5: 1, 8: 2}


def test_a_refusal_that_no_rule_gave_is_not_lost() -> None:
    tap = Tap()
    heard(tap, refused())
    assert tap.denials == {0: 1}


def test_rejected_inputs_are_counted_by_reason() -> None:
    tap = Tap()
    heard(tap, a_rejected_input("stale"), a_rejected_input("stale"), a_rejected_input("crossed"))
    assert (tap.inputs_rejected["stale"], tap.inputs_rejected["crossed"], tap.inputs_rejected["off_tick"]) == (2, 1, 0)


def test_an_order_is_filled_when_nothing_of_it_remains() -> None:
    """A partial fill is no filled order, and a protective leg is not the order that we sent."""
    tap = Tap()
    heard(tap, a_fill(remaining="1"), a_fill(), a_fill(leg="stop"))
    assert tap.orders_by_state()["filled"] == 1
    assert tap.count(OrderFilled) == 3


def test_the_success_rate_is_unknown_without_orders() -> None:
    """I10: neither 0 nor 1 before there is something to divide."""
    tap = Tap()
    assert tap.exec_success_rate() is None
    heard(tap, a_fill(), a_fill(), a_fill(), a_rejected_order())
    assert tap.exec_success_rate() == 0.75


def test_findings_and_outcomes_are_counted() -> None:
    tap = Tap()
    heard(tap, verified("withheld"), a_discrepancy("books_differ"), a_discrepancy())
    assert tap.verified["withheld"] == 1
    assert (tap.discrepancies["books_differ"], tap.discrepancies["verdict_mismatch"]) == (1, 1)
    assert tap.mismatches.count == 1


def test_a_commit_is_timed_and_its_rows_counted() -> None:
    tap = Tap(lambda: 5 * SECOND)
    tap.committed(128, 3 * MILLI, 7)
    assert tap.write_latency.since(5 * SECOND) == [3.0]
    assert (tap.commits, tap.rows_committed, tap.rows_pending) == (1, 128, 7)


def test_traces_that_never_end_do_not_grow_for_ever() -> None:
    tap = Tap(spans_max=10)
    for n in range(100):
        heard(tap, a_row(), of=n)
    assert len(tap.traces_open) <= 10
    assert len(tap.traces_open) + tap.traces_open.evicted == 100


def test_it_can_be_read_while_it_is_written() -> None:
    """One thread writes without a lock; readers see a growing count and never an exception."""
    tap, done = Tap(), threading.Event()
    counts: list[int] = []

    def read() -> None:
        while not done.is_set():
            tap.messages_by_kind()
            dict(tap.denials)
            counts.append(tap.pass_latency.cumulative()[-1][1])
            samples = tap.pass_latency.since(0)
            assert all(sample == 1.0 for sample in samples)

    reader = threading.Thread(target=read)
    reader.start()
    for n in range(20_000):
        tap.seen(an_envelope(a_row(), of=n), n * MILLI)
        tap.seen(an_envelope(verified(), of=n), n * MILLI + MILLI)
    done.set()
    reader.join()
    assert counts == sorted(counts)
    assert tap.count(RowReceived) == 20_000
