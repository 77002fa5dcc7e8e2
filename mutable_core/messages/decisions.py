"""Joey proposes, HRM answers."""

from __future__ import annotations

from typing import Literal

import msgspec

from graveyard.words import Facts, Operation, Proposal, Verdict
from mutable_core.messages.market import Body

QuietReason = Literal[
    "warming_up",  # fewer bars than the slowest feature needs
    "bar_forming",  # a tick inside a bar that is not complete
    "no_signal",
    "position_open",  # a position, hold or working order in the instrument stands
    "too_small",  # risk per trade buys less than one lot
    "too_thin",  # the market shows too little volume for one lot
    "halted",  # no new entries until the instrument trades again
]


class ProposalMade(Body, frozen=True, tag="decision.proposal_made/1"):
    proposal: Proposal
    is_drill: bool = False


class NothingProposed(Body, frozen=True, tag="decision.nothing_proposed/1"):
    """Joey looked at this observation and wants nothing: the end of its trace."""

    instrument: str
    reason: QuietReason


class Grounds(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Where the facts of a verdict stand in the log, and what proves the rules. Positions are 0 where there is none.

    Attributes:
        proofs: SHA-256 of the report that proves the rules.
        proposal: position of the act.
        evidence: positions of the cited observations, in the order in which they are cited; 0 for one not in the log.
        market: position of the instrument's newest observation.
        book: position of the last message that changed positions, holds, orders or cash.
        day: position of the message with which the day began.
        lease: position of the newest lease, with the inspection that it states.
        standing: position of the last message that changed halts, vetoes, consents and the like.
        people: positions of the signatures.
    """

    proofs: str
    proposal: int
    evidence: tuple[int, ...]
    market: int
    book: int
    day: int
    lease: int
    standing: int
    people: tuple[int, ...]


class Approved(Body, frozen=True, tag="decision.approved/2"):
    """The rules let this proposal pass; its worst-case notional is held until the order ends.

    Attributes:
        position: log position of the proposal.
        hold_micros: notional at the worst-case price; 0 for a pure reduction.
        hold_risk_micros: loss if the hold fills and goes to its stop.
        expires_ns: log time after which no order may follow from it.
    """

    proposal_id: str
    instrument: str
    digest: str
    position: int
    facts: Facts
    verdict: Verdict
    grounds: Grounds
    hold_micros: int
    hold_risk_micros: int
    expires_ns: int


class Refused(Body, frozen=True, tag="decision.refused/2"):
    proposal_id: str
    instrument: str
    digest: str
    position: int
    facts: Facts
    verdict: Verdict
    grounds: Grounds


class ApprovalAwaited(Body, frozen=True, tag="decision.approval_awaited/1"):
    """Nothing but people's signatures is missing: the act waits for them until `until_ns` of log time.

    It holds nothing; when enough have signed it is vetted again, on the facts of that moment. `people` is how many must sign.
    """

    act_id: str
    instrument: str
    digest: str
    position: int
    facts: Facts
    verdict: Verdict
    grounds: Grounds
    people: int
    until_ns: int


class OperationApproved(Body, frozen=True, tag="decision.operation_approved/1"):
    """Two people have signed this operation and the rules let it pass."""

    operation_id: str
    operation: Operation
    scope: str
    name: str
    digest: str
    position: int
    facts: Facts
    verdict: Verdict
    grounds: Grounds


class OperationRefused(Body, frozen=True, tag="decision.operation_refused/1"):
    operation_id: str
    operation: Operation
    digest: str
    position: int
    facts: Facts
    verdict: Verdict
    grounds: Grounds


class AccountHalted(Body, frozen=True, tag="decision.account_halted/1"):
    """HRM refused something for a critical rule: the account may only reduce until people resume it.

    `rules` are the critical ones that were violated.
    """

    act_id: str
    account: str
    rules: tuple[int, ...]
