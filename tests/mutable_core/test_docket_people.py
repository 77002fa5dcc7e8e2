"""Human in the loop (rule 26): what waits for people, whose signatures count, and what is decided when they have signed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from graveyard.people import statement
from graveyard.words import Operation
from mutable_core.clock import MINUTE_NS, SECOND_NS
from mutable_core.docket import APPROVAL_TERM_NS, SIGNING_NS
from mutable_core.ids import derived_id
from mutable_core.messages import (
    AccountHalted,
    AnyBody,
    ApprovalAwaited,
    Approved,
    Envelope,
    HaltOrdered,
    Level,
    OperationApproved,
    OperationAsked,
    OperationRefused,
    PersonSigned,
    ProposalMade,
    Refused,
    RunStarted,
    Scope,
    SliceClosed,
    SnapshotTaken,
    SourceEnded,
    VetoSet,
)
from tests.makers import CENT, a_mandate, a_proposal, a_run, an_observation
from tests.mutable_core.docket_log import MILLION, Log, a_market, held, rules_broken
from tests.people import PEOPLE, key_of, signed

RUN = a_run(people=PEOPLE, mandate=a_mandate(day_notional_micros=10**15))
LARGE = Decimal(600)  # 6 % of equity at 100


def a_waiting_order(*bodies: AnyBody, run: RunStarted = RUN, **changes: Any) -> tuple[Log, Envelope]:
    """An order of 6 % of equity that waits, and its `ApprovalAwaited`."""
    log, good = a_market(*bodies, run=run)
    said = log.propose(a_proposal(good, **({"quantity": LARGE} | changes)))
    assert isinstance(said, ApprovalAwaited), rules_broken(said)
    return log, log.last(ApprovalAwaited)


# -- what waits -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("quantity", "waits"), [("500", False), ("500.00000001", True), ("1000", True)])
def test_an_order_of_more_than_five_percent_of_equity_waits_for_one_person(quantity: str, waits: bool) -> None:
    log, good = a_market(run=RUN)
    said = log.propose(a_proposal(good, quantity=Decimal(quantity)))
    assert isinstance(said, ApprovalAwaited) is waits
    assert bool(log.docket.book.holds) is not waits, "what waits holds nothing"
    if isinstance(said, ApprovalAwaited):
        assert (said.people, said.until_ns, rules_broken(said)) == (1, log.now_ns + SIGNING_NS, {26})
        assert (said.facts.people, said.grounds.people) == (0, ())


@pytest.mark.parametrize(("quantity", "waits"), [("100", False), ("101", True)])
def test_leverage_above_one_and_a_half_waits_for_one_person(quantity: str, waits: bool) -> None:
    """Gross 1.49 × equity is held; the order takes it to 1.5 × or beyond."""
    log, good = a_market(held("B", 7_450), held("C", -7_450), run=RUN, B="100", C="100")
    said = log.propose(a_proposal(good, quantity=Decimal(quantity)))
    assert isinstance(said, ApprovalAwaited) is waits, rules_broken(said)


def test_a_large_reduction_needs_nobody() -> None:
    log, good = a_market(held("A", 2_000), run=RUN)
    way_out = a_proposal(good, side="sell", quantity=Decimal(2_000), stop_price=None, target_price=None)
    assert isinstance(log.propose(way_out), Approved)


def test_without_people_in_the_house_it_is_refused_at_once() -> None:
    log, good = a_market(run=a_run(people=()))
    said = log.propose(a_proposal(good, quantity=LARGE))
    assert isinstance(said, Refused)
    assert rules_broken(said) == {26}
    assert not log.docket.pending


@pytest.mark.parametrize(
    "changes",
    [{"quantity": Decimal(1_001)}, {"stop_price": None}, {"target_price": Decimal("NaN")}, {"reason": "short"}],
)
def test_what_is_wrong_in_something_else_too_does_not_wait(changes: dict[str, Any]) -> None:
    """People are asked for their judgement, not for what the rules would refuse in any case."""
    log, good = a_market(run=RUN)
    said = log.propose(a_proposal(good, **({"quantity": LARGE} | changes)))
    assert isinstance(said, Refused)
    assert 26 in rules_broken(said)


# -- a signature ------------------------------------------------------------------------------------------------------


def test_with_a_persons_signature_it_is_vetted_again_and_approved() -> None:
    log, awaited = a_waiting_order()
    log.later(MINUTE_NS)
    row = log.hear(signed(awaited))
    (said,) = log.said
    assert isinstance(said, Approved), rules_broken(said)  # type: ignore[arg-type]
    body = awaited.body
    assert isinstance(body, ApprovalAwaited)
    assert (said.proposal_id, said.digest, said.position) == (body.act_id, body.digest, body.position)
    assert said.grounds.people == (row.seq,)
    assert (said.facts.people, said.facts.people_age_ns, said.facts.price_drift_bp) == (1, 0, 0)
    assert said.expires_ns == log.now_ns + APPROVAL_TERM_NS
    assert [hold.notional_micros for hold in log.docket.book.holds.values()] == [60_000 * MILLION]
    assert not log.docket.pending


def test_the_answer_stays_in_the_trace_of_the_act() -> None:
    log, awaited = a_waiting_order()
    made = log.last(ProposalMade)
    log.hear(signed(awaited))
    approved = log.last(Approved)
    for row in (awaited, approved):
        assert (row.trace_id, row.cause_id) == (made.trace_id, made.id)


def test_the_book_as_it_was_when_people_signed_is_named_by_the_next_answer() -> None:
    """Grounds never point back behind what has changed since."""
    log, awaited = a_waiting_order()
    log.hear(held("B", 10))
    row = log.hear(signed(awaited))
    good = log.last(type(an_observation())).id
    assert log.ask(a_proposal(good, proposal_id="2" * 32)).grounds.book >= row.seq


@pytest.mark.parametrize(
    ("price", "drift", "passes"),
    [("100.25", 25, True), ("100.26", 26, False), ("99.75", 25, True), ("99.74", 26, False), ("100.001", 1, True)],
)
def test_the_market_may_have_moved_by_twenty_five_points_since(price: str, drift: int, passes: bool) -> None:
    run = a_run(
        people=PEOPLE, instruments=tuple(msgspec.structs.replace(one, tick_atoms=CENT // 10) for one in RUN.instruments)
    )
    log, awaited = a_waiting_order(run=run)
    log.hear(an_observation(close=price))
    log.hear(signed(awaited))
    said = log.said[0]
    assert isinstance(said, Approved | Refused)
    assert said.facts.price_drift_bp == drift
    assert rules_broken(said) == (set() if passes else {26})


@pytest.mark.parametrize(
    ("meanwhile", "rules"),
    [
        (held("A", 500), {5}),  # the position was filled up
        (VetoSet("instrument", "A", "bob", "no"), {13}),
        (HaltOrdered("strategy", "test", "reduce_only", "bob", "stop"), {14}),
        (held("B", 19_500), {7}),
    ],
)
def test_what_has_changed_meanwhile_refuses_it(meanwhile: AnyBody, rules: set[int]) -> None:
    """A signature is over the act; the facts are those of the moment at which it is decided."""
    log, awaited = a_waiting_order()
    log.hear(an_observation("B"))
    log.hear(meanwhile)
    log.hear(signed(awaited))
    said = log.said[0]
    assert isinstance(said, Refused)
    assert rules_broken(said) == rules
    assert said.facts.people == 1
    assert not log.docket.book.holds


def test_two_that_wait_can_not_both_pass_where_only_one_fits() -> None:
    """I5: the second is vetted on the facts that the first has made."""
    log, first = a_waiting_order()
    good = log.rows[2].id
    log.propose(a_proposal(good, proposal_id="2" * 32, quantity=LARGE))
    second = log.last(ApprovalAwaited)
    log.hear(signed(first))
    assert isinstance(log.said[0], Approved)
    log.hear(signed(second))
    assert isinstance(log.said[0], Refused)
    assert rules_broken(log.said[0]) == {5}


# -- signatures that count for nobody ---------------------------------------------------------------------------------


def a_stranger(awaited: Envelope) -> PersonSigned:
    return signed(awaited, "mallory")


FORGERIES: dict[str, Any] = {
    "an unknown person": a_stranger,
    "by another's key": lambda awaited: signed(awaited, "ann", key="mallory"),
    "in another's name": lambda awaited: signed(awaited, "bob", key="ann"),
    "of another digest": lambda awaited: of_other_words(awaited, digest="0" * 64),
    "of another position": lambda awaited: of_other_words(awaited, position=awaited.seq + 1),
    "of the proposal's position": lambda awaited: of_other_words(awaited, position=awaited.body.position),
    "of another act": lambda awaited: of_other_words(awaited, act_id="0" * 32),
    "with the digest altered after signing": lambda awaited: signed(awaited, digest="0" * 64),
    "with the position altered after signing": lambda awaited: signed(awaited, position=1),
    "no hex": lambda awaited: signed(awaited, signature="zz" * 64),
    "too short": lambda awaited: signed(awaited, signature="00"),
    "empty": lambda awaited: signed(awaited, signature=""),
    "all zeros": lambda awaited: signed(awaited, signature="0" * 128),
    "not ascii": lambda awaited: signed(awaited, signature="é" * 128),
    "without the domain": lambda awaited: signed(awaited, signature=bare(awaited)),
}


def of_other_words(awaited: Envelope, **changes: Any) -> PersonSigned:
    """Honestly signed, over something else."""
    body = signed(awaited)
    values = {"act_id": body.act_id, "digest": body.digest, "position": body.position, "person": body.person} | changes
    return PersonSigned(**values, signature=key_of("ann").sign(statement(**values)).hex())


def bare(awaited: Envelope) -> str:
    body = signed(awaited)
    said = "\n".join((body.act_id, body.digest, str(body.position), body.person)).encode()
    return key_of("ann").sign(said).hex()


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_signature_that_is_not_a_known_persons_over_exactly_this_act_counts_for_nobody(forgery: str) -> None:
    log, awaited = a_waiting_order()
    before = log.docket
    log.hear(FORGERIES[forgery](awaited))
    assert log.said == ()
    assert log.docket == before
    log.hear(signed(awaited))
    assert isinstance(log.said[0], Approved), "and does not get in the way of a real one"


def test_nothing_that_does_not_wait_can_be_signed() -> None:
    log, awaited = a_waiting_order()
    log.hear(signed(awaited))
    before = log.docket
    log.hear(signed(awaited, "bob"))
    assert (log.said, log.docket) == ((), before), "it was decided"


def test_a_signature_from_an_earlier_waiting_of_the_same_proposal_is_no_good_for_a_later_one() -> None:
    """The digest is the same; the position in the log is not."""
    log, first = a_waiting_order()
    earlier = signed(first)
    log.later(SIGNING_NS + 1)
    log.hear(SliceClosed(log.now_ns, 1))
    assert isinstance(log.said[0], Refused)
    log.propose(a_proposal(log.rows[2].id, quantity=LARGE))
    second = log.last(ApprovalAwaited)
    assert isinstance(first.body, ApprovalAwaited)
    assert isinstance(second.body, ApprovalAwaited)
    assert first.body.digest == second.body.digest
    log.hear(earlier)
    assert log.said == ()
    log.hear(signed(second))
    assert isinstance(log.said[0], Approved)


def test_what_people_sign_stands_where_it_first_began_to_wait() -> None:
    """The same words said again, by whomever, do not make a signature over the first ones worthless."""
    log, awaited = a_waiting_order()
    again = log.hear(awaited.body)
    log.hear(signed(again))
    assert log.said == ()
    log.hear(signed(awaited))
    assert isinstance(log.said[0], Approved)


# -- nobody signs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("later_ns", "is_over"), [(SIGNING_NS, False), (SIGNING_NS + 1, True)])
def test_after_five_minutes_it_is_refused_when_the_next_slice_closes(later_ns: int, is_over: bool) -> None:
    log, awaited = a_waiting_order()
    log.later(later_ns)
    log.hear(SliceClosed(log.now_ns, 1))
    assert [type(said) for said in log.said] == ([Refused] if is_over else [])
    if is_over:
        assert rules_broken(log.said[0]) == {26}  # type: ignore[arg-type]
        row, made = log.last(Refused), log.last(ProposalMade)
        assert (row.trace_id, row.cause_id) == (made.trace_id, made.id)
    before = log.docket
    log.hear(signed(awaited))
    if is_over:
        assert (log.said, log.docket) == ((), before), "a late signature counts for nobody"
    else:
        assert isinstance(log.said[0], Approved), "at five minutes it is in time"


def test_a_late_signature_counts_for_nobody_before_the_slice_closes_too() -> None:
    log, awaited = a_waiting_order()
    log.later(SIGNING_NS + 1)
    log.hear(signed(awaited))
    assert log.said == ()
    log.hear(SliceClosed(log.now_ns, 1))
    assert [type(said) for said in log.said] == [Refused]


def test_at_the_end_of_the_source_everything_that_waits_is_refused_in_its_order() -> None:
    log, _ = a_waiting_order()
    log.propose(a_proposal(log.rows[2].id, proposal_id="2" * 32, quantity=LARGE))
    log.hear(an_operation("mode_change"))
    log.hear(SourceEnded(1))
    assert [type(said) for said in log.said] == [Refused, Refused, OperationRefused]
    assert not log.docket.pending


@pytest.mark.parametrize("ending", ["late", "end"])
def test_what_nobody_signed_in_time_is_never_approved_however_the_facts_have_changed(ending: str) -> None:
    """Equity has grown, so that it would need nobody now: it was asked for then, and people did not agree."""
    log, _ = a_waiting_order(an_observation("B"), held("B", 1_000), quantity=Decimal(510))
    log.later(SIGNING_NS + 1)
    log.hear(an_observation("B", "200"))
    log.hear(SourceEnded(1) if ending == "end" else SliceClosed(log.now_ns, 1))
    assert [type(said) for said in log.said] == [Refused]
    assert not log.docket.book.holds


def test_letting_go_of_what_nobody_signed_halts_nobody() -> None:
    """That nobody came is no crime, whatever else has changed meanwhile."""
    log, _ = a_waiting_order(HaltOrdered("instrument", "B", "halted", "ann", "stop"))
    log.hear(HaltOrdered("global", "", "halted", "ann", "stop"))
    log.hear(SourceEnded(1))
    assert [type(said) for said in log.said] == [Refused]


# -- operations -------------------------------------------------------------------------------------------------------


def an_operation(operation: Operation, scope: Scope = "global", name: str = "", **changes: Any) -> OperationAsked:
    values = {"operation_id": derived_id(operation, scope, name), "by": "ann", "reason": "a person asks for this"}
    return OperationAsked(operation=operation, scope=scope, name=name, **(values | changes))


def a_waiting_operation(log: Log, asked: OperationAsked) -> Envelope:
    log.hear(asked)
    assert [type(said) for said in log.said] == [ApprovalAwaited]
    return log.last(ApprovalAwaited)


def test_a_resume_needs_two_different_people_who_did_not_ask_for_it() -> None:
    log, good = a_market(HaltOrdered("instrument", "A", "halted", "ann", "stop"), run=RUN)
    awaited = a_waiting_operation(log, an_operation("resume", "instrument", "A"))
    assert isinstance(awaited.body, ApprovalAwaited)
    assert (awaited.body.people, awaited.body.instrument) == (2, "")
    for person in ("ann", "bob", "bob"):  # the asker; one; the same one again
        log.hear(signed(awaited, person))
        assert log.said == ()
        assert log.ask(a_proposal(good)).facts.halt_level == 2
    log.later(SECOND_NS)
    row = log.hear(signed(awaited, "eve"))
    (said,) = log.said
    assert isinstance(said, OperationApproved)
    assert (said.operation, said.scope, said.name) == ("resume", "instrument", "A")
    assert (said.facts.people, said.facts.people_age_ns) == (2, SECOND_NS)
    assert said.grounds.people[1] == row.seq
    assert log.ask(a_proposal(good)).verdict.approved, "the halt is lifted"


@pytest.mark.parametrize("level", ["reduce_only", "halted"])
def test_a_resume_lifts_exactly_the_halt_that_it_names(level: Level) -> None:
    halts: tuple[tuple[Scope, str], ...] = (
        ("global", ""),
        ("account", "paper"),
        ("strategy", "test"),
        ("instrument", "A"),
    )
    log, good = a_market(*[HaltOrdered(*one, level, "ann", "stop") for one in halts], run=RUN)
    for left, (scope, name) in zip((3, 2, 1, 0), halts, strict=True):
        awaited = a_waiting_operation(log, an_operation("resume", scope, name))
        log.hear(signed(awaited, "bob"))
        log.hear(signed(awaited, "eve"))
        assert isinstance(log.said[0], OperationApproved)
        assert len(log.docket.standing.halts) == left
        assert log.ask(a_proposal(good)).verdict.approved is (left == 0)


def test_a_resume_frees_an_account_that_a_critical_refusal_has_halted() -> None:
    log, good = a_market(run=msgspec.structs.replace(RUN, restricted=("B",)))
    log.propose(a_proposal(good, instrument="B"))
    assert isinstance(log.said[1], AccountHalted)
    awaited = a_waiting_operation(log, an_operation("resume", "account", "paper"))
    log.hear(signed(awaited, "bob"))
    log.hear(signed(awaited, "eve"))
    assert log.ask(a_proposal(good, proposal_id="2" * 32)).verdict.approved


@pytest.mark.parametrize("operation", ["mode_change", "rule_change", "credential_change"])
def test_every_operation_needs_two_people_and_lifts_nothing_but_a_resume(operation: Operation) -> None:
    log, _ = a_market(HaltOrdered("global", "", "halted", "ann", "stop"), run=RUN)
    awaited = a_waiting_operation(log, an_operation(operation))
    log.hear(signed(awaited, "bob"))
    log.hear(signed(awaited, "eve"))
    assert isinstance(log.said[0], OperationApproved)
    assert len(log.docket.standing.halts) == 1


def test_taking_the_brake_from_operators_is_refused_whoever_would_sign() -> None:
    log, _ = a_market(run=RUN)
    log.hear(an_operation("override_change"))
    (said,) = log.said
    assert isinstance(said, OperationRefused)
    assert (said.facts.disables_override, rules_broken(said)) == (1, {13, 26})
    assert not log.docket.pending


@pytest.mark.parametrize(
    ("taken_before_ns", "waits"), [(None, False), (0, True), (5 * MINUTE_NS, True), (5 * MINUTE_NS + 1, False)]
)
def test_a_withdrawal_needs_a_snapshot_of_the_last_five_minutes(taken_before_ns: int | None, waits: bool) -> None:
    log, _ = a_market(run=RUN)
    if taken_before_ns is not None:
        log.hear(SnapshotTaken("before"))
        log.later(taken_before_ns)
    log.hear(an_operation("withdrawal"))
    assert [type(said) for said in log.said] == [ApprovalAwaited if waits else OperationRefused]
    if not waits:
        assert rules_broken(log.said[0]) == {25, 26}  # type: ignore[arg-type]


def test_the_snapshot_must_be_young_when_the_second_person_signs_too() -> None:
    log, _ = a_market(SnapshotTaken("before"), run=RUN)
    log.later(MINUTE_NS)
    awaited = a_waiting_operation(log, an_operation("withdrawal"))
    log.later(4 * MINUTE_NS)
    log.hear(signed(awaited, "bob"))
    log.later(1)
    log.hear(signed(awaited, "eve"))
    assert isinstance(log.said[0], OperationRefused)
    assert rules_broken(log.said[0]) == {25}


@pytest.mark.parametrize("people", [(), PEOPLE[:1], PEOPLE[:2]])
def test_where_two_others_are_not_there_an_operation_is_refused_at_once(people: tuple[Any, ...]) -> None:
    """Ann asks: of ann and bob only bob could sign."""
    log, _ = a_market(run=a_run(people=people))
    log.hear(an_operation("mode_change"))
    assert [type(said) for said in log.said] == [OperationRefused]


@pytest.mark.parametrize(("later_ns", "is_over"), [(SIGNING_NS, False), (SIGNING_NS + 1, True)])
def test_an_operation_with_one_signature_is_refused_after_five_minutes(later_ns: int, is_over: bool) -> None:
    log, _ = a_market(run=RUN)
    awaited = a_waiting_operation(log, an_operation("mode_change"))
    log.hear(signed(awaited, "bob"))
    log.later(later_ns)
    log.hear(SliceClosed(log.now_ns, 1))
    assert [type(said) for said in log.said] == ([OperationRefused] if is_over else [])


def test_an_approved_operation_is_an_action_and_is_approved_once() -> None:
    log, _ = a_market(run=RUN)
    asked = an_operation("mode_change")
    awaited = a_waiting_operation(log, asked)
    log.hear(signed(awaited, "bob"))
    log.hear(signed(awaited, "eve"))
    assert len(log.docket.actions_ns) == 1
    log.hear(asked)
    assert isinstance(log.said[0], OperationRefused)
    assert rules_broken(log.said[0]) == {11, 26}


def test_an_operation_with_a_private_reason_is_refused() -> None:
    log, _ = a_market(run=RUN)
    log.hear(an_operation("mode_change", reason="ann@example.org says password=hunter2"))
    assert rules_broken(log.said[0]) == {17, 18, 26}  # type: ignore[arg-type]


def test_signatures_for_an_order_and_for_an_operation_are_not_each_others() -> None:
    log, order = a_waiting_order()
    operation = a_waiting_operation(log, an_operation("mode_change"))
    for own, other in ((order, operation), (operation, order)):
        assert isinstance(other.body, ApprovalAwaited)
        log.hear(of_other_words(own, act_id=other.body.act_id))
        log.hear(of_other_words(own, act_id=other.body.act_id, digest=other.body.digest))
        assert log.said == ()
