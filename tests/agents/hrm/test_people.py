"""HRM asks people, answers in the trace of the act, and says whatever the docket finds: nothing more, nothing less."""

from __future__ import annotations

from decimal import Decimal

from agents.hrm import AGENT
from mutable_core import docket as dockets
from mutable_core.clock import SECOND_NS
from mutable_core.docket import ANSWERS, HEARD
from mutable_core.messages import (
    AccountHalted,
    ApprovalAwaited,
    Approved,
    Envelope,
    PersonSigned,
    ProposalMade,
    Refused,
    SourceEnded,
)
from tests.makers import a_proposal, a_run
from tests.mutable_core.docket_log import Log, a_market
from tests.people import PEOPLE, signed

RUN = a_run(people=PEOPLE, restricted=("B",))


def a_log() -> Log:
    log, good = a_market(run=RUN, B="100")
    log.propose(a_proposal(good, quantity=Decimal(510)))
    log.later(SECOND_NS)
    log.hear(signed(log.last(ApprovalAwaited)))
    log.propose(a_proposal(good, proposal_id="2" * 32, quantity=Decimal(490)))
    log.propose(a_proposal(good, proposal_id="3" * 32, instrument="B"))
    log.hear(SourceEnded(1))
    return log


def test_hrm_says_what_the_docket_answers_in_the_trace_of_each_act() -> None:
    """The rows of the log were made by the docket; HRM, who hears the rest, says the same ones."""
    state, said = AGENT.first_state, []
    rows = a_log().rows
    for row in rows:
        if type(row.body) not in AGENT.spec.hears:
            continue
        step = AGENT.decide(state, row)
        state = step.state
        assert step.wants == ()
        for say in step.says:
            cause = (row.trace_id, row.id) if say.cause is None else (say.cause.trace_id, say.cause.id)
            said.append((say.body, *cause))
    assert said == [(row.body, row.trace_id, row.cause_id) for row in rows if isinstance(row.body, ANSWERS)]
    assert [type(body) for body, *_ in said] == [ApprovalAwaited, Approved, Approved, Refused, AccountHalted]


def test_a_signature_is_answered_as_the_proposal_was_not_as_the_signature_is() -> None:
    log = a_log()
    made, sign = log.rows[5 - 1], log.last(PersonSigned)
    assert isinstance(made.body, ProposalMade)
    approved = next(row for row in log.rows if isinstance(row.body, Approved))
    assert approved.seq == sign.seq + 1
    assert (approved.cause_id, approved.trace_id) == (made.id, made.trace_id)
    assert sign.trace_id != made.trace_id


def test_hrm_hears_what_changes_a_docket_and_none_of_its_own_words_but_the_wait() -> None:
    """It notes what it answers when it answers; where people must sign, it needs the position in the log."""
    assert set(AGENT.spec.hears) == set(HEARD)
    assert set(AGENT.spec.hears) & set(ANSWERS) == {ApprovalAwaited}
    assert set(AGENT.spec.says) == set(ANSWERS)


def test_whatever_hrm_does_not_hear_leaves_the_docket_as_it_is() -> None:
    log = a_log()
    for row in log.rows:
        if type(row.body) in set(ANSWERS) - {ApprovalAwaited}:
            again: Envelope = row
            held = dockets.fold(log.docket, again)
            assert held.book == log.docket.book
            assert held.standing == log.docket.standing
