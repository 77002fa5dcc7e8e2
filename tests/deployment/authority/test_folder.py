"""The authority's own docket: what HRM approves is signed only where it is what follows from the log (I1)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from deployment.authority import client
from deployment.authority.folder import _REMEMBERED_MAX, LogFolder
from deployment.authority.log import GENESIS, link
from deployment.authority.port import Granted
from graveyard.ethics import ruleset_digest
from graveyard.words import Approval, Proposal, digest
from mutable_core.clock import SECOND_NS
from mutable_core.messages import (
    Approved,
    Envelope,
    NothingProposed,
    OrderAccepted,
    OrderBlocked,
    OrderIntended,
    OrderRejected,
    OrderWithheld,
    ProposalMade,
    Refused,
    encode,
)
from tests.agents.aletheia.makers import Log, an_honest_log
from tests.makers import a_proposal, an_envelope

PATIENT_MS = 20_000


def folded(rows: list[Envelope]) -> LogFolder:
    folder = LogFolder()
    for envelope in rows:
        folder.fold(envelope)
    return folder


class Decision:
    """An honest log of one decision; `verdict` can be replaced by what a lying HRM would have said."""

    def __init__(self, **changes: Any) -> None:
        self.log, (self.made, self.verdict, *self.intents) = an_honest_log(**changes)

    @property
    def proposal(self) -> Proposal:
        assert isinstance(self.made.body, ProposalMade)
        return self.made.body.proposal

    def said(self, **changes: Any) -> Decision:
        return self.with_verdict(msgspec.structs.replace(self.verdict.body, **changes))

    def with_verdict(self, body: Any, **changes: Any) -> Decision:
        self.verdict = msgspec.structs.replace(self.verdict, body=body, **changes)
        return self

    def granted(self, position: int | None = None) -> Granted | str:
        before = self.log.rows[: self.made.seq]
        position = self.verdict.seq if position is None else position
        return folded([*before, self.verdict]).granted(self.proposal.proposal_id, position)


def test_what_follows_from_the_log_is_granted() -> None:
    decision = Decision()
    said = decision.verdict.body
    assert isinstance(said, Approved)
    assert decision.granted() == Granted(
        digest=digest(decision.proposal),
        account=decision.proposal.account,
        opening=True,
        hold_micros=said.hold_micros,
        expires_ns=said.expires_ns,
        ruleset=ruleset_digest(),
        verdict=said.verdict,
    )


LIES: dict[str, Any] = {
    "instrument": "B", "digest": "f" * 64, "position": 2, "hold_micros": 1, "hold_risk_micros": 1, "expires_ns": 10**19 // 2,
}  # fmt: skip


@pytest.mark.parametrize("field", LIES)
def test_an_approval_that_differs_in_a_word_is_not_granted(field: str) -> None:
    answer = Decision().said(**{field: LIES[field]}).granted()
    assert isinstance(answer, str)
    assert field in answer


@pytest.mark.parametrize("fact", ["equity_micros", "halt_level", "exposure_after_micros", "lease_age_ns", "people"])
def test_an_approval_on_other_facts_is_not_granted(fact: str) -> None:
    decision = Decision()
    facts = msgspec.structs.replace(decision.verdict.body.facts, **{fact: 7})  # type: ignore[union-attr]
    answer = decision.said(facts=facts).granted()
    assert isinstance(answer, str)
    assert f"fact {fact} is 7" in answer


def test_an_approval_of_what_the_rules_refuse_is_not_granted() -> None:
    """HRM may say what it likes: the authority has vetted the proposal itself."""
    honest = Decision()
    assert isinstance(honest.verdict.body, Approved)
    refused = Decision(quantity=Decimal(1_000_000))
    assert isinstance(refused.verdict.body, Refused)
    lie = msgspec.structs.replace(
        honest.verdict.body, proposal_id=refused.proposal.proposal_id, digest=digest(refused.proposal)
    )
    answer = refused.with_verdict(lie).granted()
    assert isinstance(answer, str)
    assert "`Refused` follows" in answer


def test_an_approval_by_somebody_else_is_not_granted() -> None:
    decision = Decision()
    decision.with_verdict(decision.verdict.body, author="joey")
    assert "joey" in str(decision.granted())


def test_an_approval_of_a_proposal_that_is_not_in_the_log_is_not_granted() -> None:
    decision = Decision()
    rows = [*decision.log.rows[: decision.made.seq - 1], decision.verdict]
    assert isinstance(folded(rows).granted(decision.proposal.proposal_id, decision.verdict.seq), str)


def test_an_approval_is_found_once() -> None:
    """Said again, it asks for what was answered: the second is not granted, and takes the first one's place."""
    decision = Decision()
    again = msgspec.structs.replace(decision.verdict, seq=decision.verdict.seq + 1)
    folder = folded([*decision.log.rows[: decision.made.seq], decision.verdict, again])
    for position in (decision.verdict.seq, again.seq):
        assert isinstance(folder.granted(decision.proposal.proposal_id, position), str)


@pytest.mark.parametrize("beside", [-1, 1])
def test_an_approval_stands_at_its_own_position_only(beside: int) -> None:
    decision = Decision()
    assert isinstance(decision.granted(decision.verdict.seq + beside), str)


@pytest.mark.parametrize(("after_s", "stands"), [(30, True), (31, False)])
def test_an_approval_stands_until_it_expires_in_log_time(after_s: int, stands: bool) -> None:
    decision = Decision()
    later = decision.verdict.ts_seen_ns + after_s * SECOND_NS
    tick = an_envelope(NothingProposed("A", "no_signal"), seq=99, ts_ns=later)
    folder = folded([*decision.log.rows[: decision.verdict.seq], tick])
    granted = folder.granted(decision.proposal.proposal_id, decision.verdict.seq)
    assert isinstance(granted, Granted) == stands


def ends(decision: Decision) -> dict[str, Any]:
    intended = decision.intents[0].body
    assert isinstance(intended, OrderIntended)
    order = intended.order.client_order_id
    return {
        "accepted": OrderAccepted(1, order),
        "rejected": OrderRejected(1, order, "no"),
        "blocked": OrderBlocked(order, "lease_stale"),
        "withheld": OrderWithheld(intended.order.proposal_id, order, "rate_limited"),
    }


@pytest.mark.parametrize("end", ["accepted", "rejected", "blocked", "withheld"])
def test_an_approval_whose_order_has_ended_stands_no_more(end: str) -> None:
    decision = Decision()
    answer = an_envelope(ends(decision)[end], seq=len(decision.log.rows) + 1, author="kenny")
    assert isinstance(folded(decision.log.rows).granted(decision.proposal.proposal_id, decision.verdict.seq), Granted)
    folder = folded([*decision.log.rows, answer])
    assert isinstance(folder.granted(decision.proposal.proposal_id, decision.verdict.seq), str)


def test_what_is_remembered_is_bounded() -> None:
    decision = Decision()
    folder = folded(decision.log.rows[: decision.made.seq])
    said = decision.verdict.body
    assert isinstance(said, Approved)
    for number in range(_REMEMBERED_MAX + 100):
        body = msgspec.structs.replace(said, proposal_id=f"{number:032x}", expires_ns=1)
        folder.fold(an_envelope(body, seq=100 + number, author="hrm"))
    assert len(folder._standing) <= _REMEMBERED_MAX + 1


def test_the_process_itself_signs_what_follows_from_the_log_and_refuses_what_does_not() -> None:
    """`python -m deployment.authority`, with its own docket, over its socket."""
    log = Log()
    _, verdict, *_ = log.decided(a_proposal(log.observation.id))
    made, lied, *_ = log.decided(a_proposal(log.observation.id, proposal_id="e" * 32, quantity=Decimal(50)))
    assert isinstance(verdict.body, Approved)
    assert isinstance(lied.body, Approved)
    log.rows[lied.seq - 1] = msgspec.structs.replace(lied, body=msgspec.structs.replace(lied.body, hold_micros=1))
    rows = [encode(envelope) for envelope in log.rows[: made.seq + 1]]
    head = GENESIS
    for row in rows:
        head = link(head, row)
    authority = client.AuthorityProcess.start(ruleset=ruleset_digest(), seal="stated")
    try:
        authority.committed(1, rows, head)
        signed, refused = authority.approve(
            [(verdict.body.proposal_id, verdict.seq), ("e" * 32, lied.seq)], deadline_ms=PATIENT_MS
        )
        assert isinstance(signed, Approval)
        assert authority.verifier.verify(signed)
        assert (signed.digest, signed.position) == (verdict.body.digest, verdict.seq)
        assert not isinstance(refused, Approval)
        assert "hold_micros" in refused.why
    finally:
        authority.close()
