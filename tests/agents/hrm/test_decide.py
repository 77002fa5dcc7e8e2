"""HRM: vets every proposal on facts from the log, holds what an approval may cost, and says why not."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.hrm import AGENT
from agents.hrm.decide import decide
from agents.runtime.agent import Step
from graveyard.judge import judge
from graveyard.words import Proposal, digest
from mutable_core.clock import SECOND_NS
from mutable_core.messages import (
    AccountHalted,
    AnyBody,
    Approved,
    Envelope,
    OrderIntended,
    OrderWithheld,
    ProposalMade,
    Refused,
)
from tests.makers import DAY_1_NS, a_fill, a_lease, a_proposal, a_run, an_envelope, an_observation, an_order

MICROS = 10**6


class Hrm:
    """HRM with a log of one: hears a body, returns what was said."""

    def __init__(self, *bodies: AnyBody) -> None:
        self.state, self.seq = AGENT.first_state, 0
        for body in (a_run(), an_observation(), a_lease(), *bodies):
            assert self.hear(body).says == ()
        self.observation_id = an_envelope(an_observation(), seq=2).id

    def envelope(self, body: AnyBody) -> Envelope:
        return an_envelope(body, seq=self.seq + 1, author="joey")

    def hear(self, body: AnyBody) -> Step:
        step = decide(self.state, self.envelope(body))
        self.state, self.seq = step.state, self.seq + 1
        return step

    def answer(self, **changes) -> Approved | Refused:
        say, *announced = self.hear(ProposalMade(a_proposal(self.observation_id, **changes))).says
        assert say.cause is None
        assert all(isinstance(other.body, AccountHalted) for other in announced)
        assert isinstance(say.body, Approved | Refused)
        assert msgspec.structs.replace(say.body.verdict, nearest=None) == judge(say.body.facts)
        return say.body

    @property
    def holds(self):
        return dict(self.state.book.holds)


def test_a_good_proposal_is_approved_and_its_hold_stands_at_once() -> None:
    """I5: the next proposal must see it, before the approval itself is delivered to anybody."""
    hrm = Hrm()
    said = hrm.answer()
    assert isinstance(said, Approved)
    hold = hrm.holds[said.proposal_id]
    assert (hold.instrument, hold.notional_micros, hold.risk_micros, hold.reduces_atoms) == ("A", 10**10, 2 * 10**8, 0)
    assert (said.hold_micros, said.hold_risk_micros) == (hold.notional_micros, hold.risk_micros)


def test_an_approval_says_what_it_is_for_and_how_long_it_lasts() -> None:
    hrm = Hrm()
    proposal = a_proposal(hrm.observation_id)
    said = hrm.answer()
    assert isinstance(said, Approved)
    assert (said.proposal_id, said.instrument) == (proposal.proposal_id, "A")
    assert said.digest == digest(proposal)
    assert (said.position, said.facts.log_position) == (4, 4)
    assert said.expires_ns == DAY_1_NS + 30 * SECOND_NS
    assert said.verdict.approved
    assert said.verdict == judge(said.facts)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"quantity": Decimal(2_000)}, 5),
        ({"quantity": Decimal(0)}, 5),
        ({"stop_price": None}, 8),
        ({"target_price": Decimal("102.99")}, 9),
        ({"strategy": "unheard_of"}, 23),
        ({"reason": "because"}, 24),
        ({"evidence": ()}, 24),
        ({"quantity": Decimal("NaN")}, 5),
    ],
)
def test_a_refusal_names_its_rule_and_holds_nothing(changes, rule: int) -> None:
    hrm = Hrm()
    said = hrm.answer(**changes)
    assert isinstance(said, Refused)
    assert rule in {violation.rule for violation in said.verdict.violations}
    assert not said.verdict.approved
    assert hrm.holds == {}


def test_three_that_fit_alone_are_not_all_approved() -> None:
    """I5: each is 4 % of equity, a tenth may be held."""
    hrm = Hrm()
    said = [hrm.answer(proposal_id=str(number) * 32, quantity=Decimal(400)) for number in (1, 2, 3)]
    assert [type(one) for one in said] == [Approved, Approved, Refused]
    assert set(hrm.holds) == {"1" * 32, "2" * 32}


def test_what_was_withheld_makes_room_again() -> None:
    hrm = Hrm()
    first, _ = (hrm.answer(proposal_id=str(number) * 32, quantity=Decimal(400)) for number in (1, 2))
    hrm.hear(OrderWithheld(first.proposal_id, "o" * 32, "rate_limited"))
    assert isinstance(hrm.answer(proposal_id="3" * 32, quantity=Decimal(400)), Approved)


def test_a_reduction_is_approved_with_an_empty_hold() -> None:
    hrm = Hrm(a_fill(an_order()))
    said = hrm.answer(side="sell", stop_price=None, target_price=None)
    assert isinstance(said, Approved)
    assert (said.facts.is_opening, said.hold_micros, said.hold_risk_micros) == (0, 0, 0)


FIELDS = {
    "proposal_id": "f" * 32,
    "account": "other",
    "strategy": "other",
    "instrument": "B",
    "side": "sell",
    "quantity": Decimal(101),
    "limit_price": Decimal("100.01"),
    "stop_price": Decimal("98.01"),
    "target_price": Decimal("104.01"),
    "reason": "a test wants that order",
    "evidence": (),
}


@pytest.mark.parametrize("field", Proposal.__struct_fields__)
def test_the_digest_binds_every_field_of_the_proposal(field: str) -> None:
    """Another value in any one field is another proposal."""
    proposal = a_proposal()
    assert digest(msgspec.structs.replace(proposal, **{field: FIELDS[field]})) != digest(proposal)


@given(st.integers(1, 10**9), st.integers(0, 2))
@settings(max_examples=50, deadline=None)
def test_every_proposal_gets_exactly_one_answer_that_follows_from_its_facts(quantity: int, which: int) -> None:
    hrm = Hrm()
    says = hrm.hear(
        ProposalMade(a_proposal(hrm.observation_id, quantity=Decimal(quantity), instrument=("A", "B", "NOSUCH")[which]))
    ).says
    said = says[0].body
    assert [type(say.body) for say in says[1:]] in ([], [AccountHalted]), "what else is said follows from the answer"
    assert isinstance(said, Approved | Refused)
    assert isinstance(said, Approved) is judge(said.facts).approved
    assert bool(hrm.holds) is isinstance(said, Approved)


def test_hrm_says_nothing_to_anything_but_a_proposal() -> None:
    hrm = Hrm()
    for body in (a_fill(an_order()), OrderIntended(an_order(), "d", 1, 1, 1), an_observation(row=2), a_run()):
        assert hrm.hear(body).says == ()


def test_the_same_log_gives_the_same_words() -> None:
    """I7"""
    first, second = Hrm(), Hrm()
    for number, quantity in enumerate((500, 500, 10, 400)):
        asked = {"quantity": Decimal(quantity), "proposal_id": str(number) * 32}
        assert first.answer(**asked) == second.answer(**asked)
    assert first.state == second.state
