"""A log that grows, and the docket folded from it: what is asked is answered, and the answers stand in the log too."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from graveyard.words import Facts, Proposal
from mutable_core import docket as dockets
from mutable_core.docket import HEARD, Answer, Docket
from mutable_core.ids import derived_id
from mutable_core.messages import (
    AnyBody,
    ApprovalAwaited,
    Approved,
    Envelope,
    OperationApproved,
    OperationRefused,
    ProposalMade,
    Refused,
    RunStarted,
)
from tests.makers import DAY_1_NS, a_fill, a_lease, a_proposal, a_run, an_envelope, an_observation, an_order

MILLION = 10**6
EQUITY = 10**6 * MILLION  # a million, in micros
NOW = DAY_1_NS

Vetted = Approved | Refused | ApprovalAwaited


class Log:
    """Begins with a run and a lease. `rows` is the log, `said` what was answered to the newest message."""

    def __init__(self, *bodies: AnyBody, run: RunStarted | None = None) -> None:
        self.docket = Docket.empty()
        self.rows: list[Envelope] = []
        self.said: tuple[Answer, ...] = ()
        self.now_ns = NOW
        for body in (run or a_run(), a_lease(), *bodies):
            self.hear(body)

    def hear(self, body: AnyBody, **changes: Any) -> Envelope:
        """Append the message, and every answer that follows from it."""
        heard = self._next(body, **changes)
        self.rows.append(heard)
        self.docket, answers = dockets.answer(self.docket, heard)
        for said, act in answers:
            row = self._next(said, author="hrm", trace_id=act.trace_id, cause_id=act.id, depth=act.depth + 1)
            self.rows.append(row)
            if type(said) in HEARD:
                self.docket = dockets.fold(self.docket, row)
        self.said = tuple(said for said, _ in answers)
        return heard

    def _next(self, body: AnyBody, **changes: Any) -> Envelope:
        return an_envelope(body, seq=len(self.rows) + 1, **({"ts_ns": self.now_ns} | changes))

    def renew(self, **inspected: Any) -> Envelope:
        """A lease of now, with what the inspection found."""
        return self.hear(a_lease(self.now_ns, **inspected))

    def later(self, ns: int) -> Log:
        """The same log after some time, with a fresh lease."""
        self.now_ns += ns
        self.renew()
        return self

    def ask(self, proposal: Proposal, **changes: Any) -> Vetted:
        """The first answer, without remembering it."""
        heard = self._next(ProposalMade(proposal), **({"author": "joey"} | changes))
        said = dockets.answer(self.docket, heard).answers[0][0]
        assert isinstance(said, Vetted)
        return said

    def propose(self, proposal: Proposal, **changes: Any) -> Vetted:
        """The first answer, remembered: what an approval reserves stands at once."""
        self.hear(ProposalMade(proposal), **({"author": "joey"} | changes))
        said = self.said[0]
        assert isinstance(said, Vetted)
        return said

    def last(self, kind: type) -> Envelope:
        """The newest row of this kind."""
        return next(row for row in reversed(self.rows) if isinstance(row.body, kind))


def a_market(*bodies: AnyBody, run: RunStarted | None = None, **prices: str) -> tuple[Log, str]:
    """A log with a price for A (100) and others; the id of A's observation."""
    log = Log(run=run)
    observed = log.hear(an_observation("A", prices.pop("A", "100")))
    for name, close in prices.items():
        log.hear(an_observation(name, close))
    for body in bodies:
        log.hear(body)
    return log, observed.id


def facts(log: Log, observation_id: str, **changes: Any) -> Facts:
    return log.ask(a_proposal(observation_id, **changes)).facts


def rules_broken(said: Vetted | OperationApproved | OperationRefused) -> set[int]:
    return {violation.rule for violation in said.verdict.violations}


def held(instrument: str, quantity: int, price: str = "100") -> AnyBody:
    """A fill that leaves a position, without fee."""
    order = an_order(
        instrument=instrument, side="buy" if quantity > 0 else "sell", client_order_id=derived_id(instrument)
    )
    return a_fill(order, quantity=Decimal(abs(quantity)), price=Decimal(price), fee_micros=0)


def a_reduction(observation_id: str, quantity: str, number: int = 9) -> Proposal:
    bare = {"side": "sell", "stop_price": None, "target_price": None, "quantity": Decimal(quantity)}
    return a_proposal(observation_id, proposal_id=str(number) * 32, **bare)
