"""Kenny with a log of one, an authority, and approvals as HRM would give them."""

from __future__ import annotations

from typing import Any

import msgspec

from agents.kenny.decide import decide
from agents.kenny.state import FIRST, State
from agents.runtime.agent import Step
from graveyard.authority import EmbeddedAuthority
from graveyard.ethics import ruleset_digest
from graveyard.words import Approval, Facts, Proposal, Verdict, digest
from mutable_core.clock import SECOND_NS
from mutable_core.messages import AnyBody, Approved, Envelope, ProposalMade
from tests.graveyard.makers import good_facts, reduction_facts
from tests.makers import DAY_1_NS, a_proposal, an_envelope, some_grounds

VERDICT = Verdict(True, 13, "r" * 64, ())
EXPIRES_NS = DAY_1_NS + 30 * SECOND_NS


def a_numbered(number: int, **changes: Any) -> Proposal:
    return a_proposal(proposal_id=f"{number:032x}", **changes)


def approved(proposal: Proposal, *, reduces: bool = False, **changes: Any) -> Approved:
    facts = reduction_facts() if reduces else good_facts()
    body = Approved(
        proposal.proposal_id, proposal.instrument, digest(proposal), 1, facts, VERDICT, some_grounds(),
        0 if reduces else 10**10, 0 if reduces else 10**8, EXPIRES_NS,
    )  # fmt: skip
    return msgspec.structs.replace(body, **changes)


class Kenny:
    """The agent with its state and a clock that the test moves."""

    def __init__(self) -> None:
        self.state: State = FIRST
        self.seq = 0
        self.now_ns = DAY_1_NS

    def envelope(self, body: AnyBody) -> Envelope:
        return an_envelope(body, seq=self.seq + 1, author="hrm", ts_ns=self.now_ns)

    def hear(self, body: AnyBody) -> Step[State]:
        step = decide(self.state, self.envelope(body))
        self.state, self.seq = step.state, self.seq + 1
        return step

    def approve(self, proposal: Proposal, **changes: Any) -> Step[State]:
        self.hear(ProposalMade(proposal))
        return self.hear(approved(proposal, **changes))


def an_authority() -> EmbeddedAuthority:
    return EmbeddedAuthority(pinned=ruleset_digest())


def an_approval(
    authority: EmbeddedAuthority, proposal: Proposal, facts: Facts | None = None, **changes: Any
) -> Approval:
    """Signed by the authority, for this proposal unless changed."""
    facts = good_facts() if facts is None else facts
    asked: dict[str, Any] = {
        "proposal_id": proposal.proposal_id,
        "account": proposal.account,
        "position": 7,
        "hold_micros": 0 if facts.is_opening == 0 else 10**10,
        "expires_ns": EXPIRES_NS,
    }
    made = authority.approve(changes.pop("digest", digest(proposal)), facts, **(asked | changes))
    assert isinstance(made, Approval)
    return made
