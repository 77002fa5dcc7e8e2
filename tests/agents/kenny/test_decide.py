"""Kenny: an approval becomes exactly one intent, an intent one order; what is not good enough is withheld with a reason."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from agents.kenny import AGENT
from agents.kenny.lifecycle import Tracked
from agents.kenny.orders import client_order_id, order_for
from agents.kenny.state import FIRST
from agents.runtime.agent import CancelOrder, FetchStatement, PlaceOrder, Step, cause_of
from graveyard.words import digest
from mutable_core.clock import DAY_NS, SECOND_NS
from mutable_core.messages import (
    CancelIntended,
    OrderAccepted,
    OrderBlocked,
    OrderCancelled,
    OrderExpired,
    OrderIntended,
    OrderRejected,
    OrderUnknown,
    OrderWithheld,
    ProposalMade,
    Refused,
    SourceEnded,
    StatementWanted,
    leg_id,
)
from tests.agents.kenny.makers import EXPIRES_NS, VERDICT, Kenny, a_numbered, approved
from tests.graveyard.makers import good_facts
from tests.makers import a_fill, a_proposal, some_grounds


def withheld(step: Step) -> str:
    """The reason; nothing else was said and nothing wanted."""
    (say,) = step.says
    assert step.wants == ()
    assert isinstance(say.body, OrderWithheld)
    return say.body.reason


def test_an_approval_becomes_exactly_one_intent_and_one_wish() -> None:
    kenny, proposal = Kenny(), a_proposal()
    step = kenny.approve(proposal)
    order = order_for(proposal, reduces=False)
    said = approved(proposal)
    heard = Kenny()
    heard.seq = 1
    assert [say.body for say in step.says] == [OrderIntended(order, digest(proposal), 2, EXPIRES_NS, 10**10)]
    assert step.wants == (PlaceOrder(order, proposal, said, 2, cause_of(heard.envelope(said))),)
    assert set(kenny.state.orders) == {order.client_order_id}


def test_nothing_more_is_opened_where_an_order_is_unknown_until_the_venue_has_told() -> None:
    """It may have been filled. Elsewhere, and to get out, orders go on."""
    kenny = Kenny()
    key = order_for(a_numbered(1), reduces=False).client_order_id
    kenny.approve(a_numbered(1))
    kenny.hear(OrderUnknown(key))
    assert withheld(kenny.approve(a_numbered(2))) == "outcome_unknown"
    assert kenny.approve(a_numbered(3, instrument="B")).wants
    reduction = a_numbered(4)
    kenny.hear(ProposalMade(reduction))
    assert kenny.hear(approved(reduction, reduces=True)).wants
    kenny.hear(OrderBlocked(key, "never_arrived"))
    assert key not in kenny.state.orders
    assert kenny.approve(a_numbered(5)).wants


def test_an_unknown_order_is_withdrawn_too_when_the_source_ends() -> None:
    kenny = Kenny()
    key = order_for(a_numbered(1), reduces=False).client_order_id
    kenny.approve(a_numbered(1))
    kenny.hear(OrderUnknown(key))
    step = kenny.hear(SourceEnded(1))
    assert [say.body for say in step.says] == [CancelIntended(key, "source_ended")]


def test_the_order_is_the_proposal_with_its_bracket() -> None:
    order = order_for(a_proposal(), reduces=False)
    assert (order.instrument, order.side, order.quantity, order.limit_price) == ("A", "buy", Decimal(100), Decimal(100))
    assert (order.stop_price, order.target_price, order.reduces) == (Decimal(98), Decimal(104), False)
    assert (order.type, order.time_in_force) == ("limit", "next_bar")


def test_a_reduction_brings_no_bracket() -> None:
    (want,) = Kenny().approve(a_proposal(), reduces=True).wants
    assert isinstance(want, PlaceOrder)
    assert (want.order.stop_price, want.order.target_price, want.order.reduces) == (None, None, True)


def test_the_same_proposal_has_the_same_order_id_for_ever() -> None:
    """I4: derived, so that after a crash it can be asked for. A golden sample."""
    assert client_order_id("1" * 32) == "deb300a0702fad1695d64e7b3b2eeb95"


def test_an_approval_of_an_unknown_proposal_is_withheld() -> None:
    assert withheld(Kenny().hear(approved(a_proposal()))) == "not_approved"


@pytest.mark.parametrize(
    "change",
    [
        {"quantity": Decimal(101)},
        {"limit_price": Decimal("100.01")},
        {"side": "sell"},
        {"stop_price": None},
        {"reason": "x"},
    ],
)
def test_an_approval_of_an_altered_proposal_is_withheld(change) -> None:
    kenny, proposal = Kenny(), a_proposal()
    kenny.hear(ProposalMade(msgspec.structs.replace(proposal, **change)))
    assert withheld(kenny.hear(approved(proposal))) == "not_approved"


@pytest.mark.parametrize(
    ("after_ns", "reason"), [(0, None), (30 * SECOND_NS, None), (30 * SECOND_NS + 1, "approval_expired")]
)
def test_an_approval_expires_in_log_time(after_ns: int, reason: str | None) -> None:
    kenny = Kenny()
    kenny.hear(ProposalMade(a_proposal()))
    kenny.now_ns += after_ns
    step = kenny.hear(approved(a_proposal()))
    if reason is None:
        assert isinstance(step.says[0].body, OrderIntended)
    else:
        assert withheld(step) == reason


def test_an_approval_heard_again_moves_nothing() -> None:
    kenny, proposal = Kenny(), a_proposal()
    kenny.approve(proposal)
    assert withheld(kenny.hear(approved(proposal))) == "not_approved"
    assert withheld(kenny.approve(proposal)) == "approval_used"
    assert len(kenny.state.orders) == 1


def test_an_approval_is_not_used_again_even_after_its_order_is_over() -> None:
    kenny, proposal = Kenny(), a_proposal()
    kenny.approve(proposal)
    kenny.hear(OrderRejected(1, client_order_id(proposal.proposal_id), "no"))
    assert not kenny.state.orders
    assert withheld(kenny.approve(proposal)) == "approval_used"


def test_a_refused_proposal_is_forgotten_and_cannot_be_approved_afterwards() -> None:
    kenny, proposal = Kenny(), a_proposal()
    kenny.hear(ProposalMade(proposal))
    step = kenny.hear(Refused(proposal.proposal_id, "A", digest(proposal), 1, good_facts(), VERDICT, some_grounds()))
    assert (step.says, step.wants) == ((), ())
    assert kenny.state == FIRST
    assert withheld(kenny.hear(approved(proposal))) == "not_approved"


def test_ten_at_once_and_then_one_each_second() -> None:
    kenny = Kenny()
    reasons = []
    for number in range(12):
        step = kenny.approve(a_numbered(number))
        reasons.append(step.says[0].body.__class__.__name__)
    assert reasons == ["OrderIntended"] * 10 + ["OrderWithheld"] * 2
    kenny.now_ns += SECOND_NS - 1
    assert withheld(kenny.approve(a_numbered(20))) == "rate_limited"
    kenny.now_ns += 1
    assert isinstance(kenny.approve(a_numbered(21)).says[0].body, OrderIntended)
    assert withheld(kenny.approve(a_numbered(22))) == "rate_limited"


def test_what_is_withheld_costs_no_action() -> None:
    kenny = Kenny()
    for number in range(50):
        withheld(kenny.hear(approved(a_numbered(number))))
    assert all(isinstance(kenny.approve(a_numbered(n)).says[0].body, OrderIntended) for n in range(100, 110))


# -- life and memory --------------------------------------------------------------------------------------------------


def placed(kenny: Kenny, number: int = 1) -> str:
    kenny.approve(a_numbered(number))
    return client_order_id(f"{number:032x}")


def test_a_venues_answer_moves_the_order_and_says_nothing() -> None:
    kenny = Kenny()
    key = placed(kenny)
    assert kenny.hear(OrderAccepted(1, key)) == Step(kenny.state)
    assert kenny.state.orders[key].status == "accepted"


ENDINGS = {
    "rejected": lambda key: [OrderRejected(1, key, "no")],
    "blocked": lambda key: [OrderBlocked(key, "lease_stale")],
    "expired": lambda key: [OrderAccepted(1, key), OrderExpired(2, key)],
    "cancelled": lambda key: [OrderAccepted(1, key), OrderCancelled(2, key, "by_us")],
    "stopped out": lambda key: [
        OrderAccepted(1, key),
        a_fill(order_for(a_numbered(1), reduces=False), client_order_id=key),
        a_fill(order_for(a_numbered(1), reduces=False), client_order_id=leg_id(key, "stop"), leg="stop"),
        OrderCancelled(4, leg_id(key, "target"), "other_leg_filled"),
    ],
    "closed by others": lambda key: [
        OrderAccepted(1, key),
        a_fill(order_for(a_numbered(1), reduces=False), client_order_id=key),
        OrderCancelled(3, leg_id(key, "stop"), "position_closed"),
        OrderCancelled(4, leg_id(key, "target"), "position_closed"),
    ],
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_order_that_is_over_is_forgotten(ending: str) -> None:
    kenny = Kenny()
    key = placed(kenny)
    *before, last = ENDINGS[ending](key)
    for event in before:
        kenny.hear(event)
        assert key in kenny.state.orders
    kenny.hear(last)
    assert not kenny.state.orders
    assert not kenny.state.proposals


def test_memory_does_not_grow_with_the_orders_that_are_over() -> None:
    kenny = Kenny()
    for number in range(1_000):
        kenny.now_ns = 20_001 * DAY_NS + number * 10 * SECOND_NS
        kenny.approve(a_numbered(number), expires_ns=kenny.now_ns + 30 * SECOND_NS)
        kenny.hear(OrderRejected(number, client_order_id(f"{number:032x}"), "no"))
        if number % 3 == 0:
            kenny.hear(ProposalMade(a_numbered(10**6 + number)))
            kenny.hear(Refused(f"{10**6 + number:032x}", "A", "d", 1, good_facts(), VERDICT, some_grounds()))
    assert (len(kenny.state.orders), len(kenny.state.proposals)) == (0, 0)
    assert len(kenny.state.used) <= 256


def test_an_event_of_an_order_that_is_not_ours_changes_nothing() -> None:
    kenny = Kenny()
    placed(kenny)
    before = kenny.state
    for event in (OrderAccepted(1, "x" * 32), OrderCancelled(2, "x" * 32 + ".stop", "by_us"), OrderExpired(3, "")):
        assert kenny.hear(event) == Step(before)


# -- the end, and statements ------------------------------------------------------------------------------------------


def test_when_the_source_has_ended_only_entries_that_still_work_are_withdrawn() -> None:
    """Protection stays where it is."""
    kenny = Kenny()
    working, partly, filled, gone = (placed(kenny, number) for number in (1, 2, 3, 4))
    order = order_for(a_numbered(1), reduces=False)
    for key in (partly, filled):
        kenny.hear(OrderAccepted(1, key))
    kenny.hear(a_fill(order, client_order_id=partly, remaining=Decimal(1)))
    kenny.hear(a_fill(order, client_order_id=filled))
    kenny.hear(OrderRejected(9, gone, "no"))
    step = kenny.hear(SourceEnded(5))
    expected = sorted([working, partly])
    assert [say.body for say in step.says] == [CancelIntended(key, "source_ended") for key in expected]
    assert [want.client_order_id for want in step.wants if isinstance(want, CancelOrder)] == expected
    assert len(step.wants) == 2
    assert [say.cause for say in step.says] == [kenny.state.orders[key].cause for key in expected]
    assert kenny.state.orders[filled] == Tracked(
        msgspec.structs.replace(kenny.state.orders[filled].order),
        "filled",
        kenny.state.orders[filled].cause,
        frozenset({leg_id(filled, "stop"), leg_id(filled, "target")}),
    )


def test_without_working_entries_the_end_says_nothing() -> None:
    assert Kenny().hear(SourceEnded(5)) == Step(FIRST)


def test_a_statement_that_is_wanted_is_fetched_for_its_cause() -> None:
    kenny = Kenny()
    asked = kenny.envelope(StatementWanted(64))
    assert kenny.hear(StatementWanted(64)) == Step(FIRST, (), (FetchStatement(cause_of(asked)),))


def test_kenny_reports_what_the_world_answers_and_says_what_he_decides() -> None:
    """An input is never decided on, a decision never taken from the world."""
    assert all(body.IS_INPUT for body in AGENT.spec.reports)
    assert not any(body.IS_INPUT for body in AGENT.spec.says)
