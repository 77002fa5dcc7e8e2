"""Joey proposes, HRM answers."""

from __future__ import annotations

from typing import Literal

from graveyard.words import Facts, Proposal, Verdict
from mutable_core.messages.market import Body

QuietReason = Literal[
    "warming_up",  # fewer bars than the slowest feature needs
    "bar_forming",  # a tick inside a bar that is not complete
    "no_signal",
    "position_open",  # a position, hold or working order in the instrument stands
    "too_small",  # risk per trade buys less than one lot
    "halted",  # no new entries until the instrument trades again
]


class ProposalMade(Body, frozen=True, tag="decision.proposal_made/1"):
    proposal: Proposal
    is_drill: bool = False


class NothingProposed(Body, frozen=True, tag="decision.nothing_proposed/1"):
    """Joey looked at this observation and wants nothing: the end of its trace."""

    instrument: str
    reason: QuietReason


class Approved(Body, frozen=True, tag="decision.approved/1"):
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
    hold_micros: int
    hold_risk_micros: int
    expires_ns: int


class Refused(Body, frozen=True, tag="decision.refused/1"):
    proposal_id: str
    instrument: str
    digest: str
    position: int
    facts: Facts
    verdict: Verdict
