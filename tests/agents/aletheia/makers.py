"""A log as honest agents would write it, and Aletheia reading it."""

from __future__ import annotations

from typing import Any

from agents.aletheia import AGENT
from agents.aletheia.decide import decide
from agents.hrm.decide import decide as vet
from agents.hrm.state import FIRST as NO_DOCKET
from agents.kenny.decide import decide as execute
from agents.kenny.state import FIRST as NO_ORDERS
from graveyard.words import Proposal
from mutable_core.messages import AnyBody, Envelope, ProposalMade
from tests.makers import a_lease, a_proposal, a_run, an_envelope, an_observation

BEGINNING = (a_run(), a_lease(), an_observation())


class Log:
    """Grows by what HRM and Kenny really say; each message is caused by the one that it answers."""

    def __init__(self) -> None:
        self.rows: list[Envelope] = []
        self._hrm, self._kenny = NO_DOCKET, NO_ORDERS
        for body in BEGINNING:
            self.add(body)
        self.observation = self.rows[-1]

    def add(self, body: AnyBody, cause: Envelope | None = None, author: str = "kyle") -> Envelope:
        seq = len(self.rows) + 1
        changes: dict[str, Any] = {}
        if cause is not None:
            changes = {"trace_id": cause.trace_id, "cause_id": cause.id, "depth": cause.depth + 1}
        envelope = an_envelope(body, seq=seq, author=author, **changes)
        self.rows.append(envelope)
        return envelope

    def decided(self, proposal: Proposal) -> list[Envelope]:
        """Proposal, verdict and, where it was approved, the intent."""
        made = self.add(ProposalMade(proposal), self.observation, "joey")
        step = vet(self._hrm_so_far(made), made)
        verdict = self.add(step.says[0].body, made, "hrm")
        self._kenny = execute(self._kenny, made).state
        wish = execute(self._kenny, verdict)
        self._kenny = wish.state
        return [made, verdict, *(self.add(say.body, verdict, "kenny") for say in wish.says)]

    def _hrm_so_far(self, until: Envelope) -> Any:
        state = NO_DOCKET
        for envelope in self.rows:
            if envelope.seq < until.seq and type(envelope.body) in HRM_HEARS:
                state = vet(state, envelope).state
        return state


class Aletheia:
    """Reads; keeps what she says, as (position, body)."""

    def __init__(self) -> None:
        self.state = AGENT.first_state
        self.said: list[tuple[int, AnyBody]] = []

    def read(self, *rows: Envelope) -> list[AnyBody]:
        """What she says to these rows."""
        before = len(self.said)
        for envelope in rows:
            if type(envelope.body) not in AGENT.spec.hears:
                continue
            step = decide(self.state, envelope)
            self.state = step.state
            assert step.wants == ()
            self.said += [(envelope.seq, say.body) for say in step.says]
        return [body for _, body in self.said[before:]]


def an_honest_log(**changes: Any) -> tuple[Log, list[Envelope]]:
    log = Log()
    return log, log.decided(a_proposal(log.observation.id, **changes))


def hrm_hears() -> tuple[type, ...]:
    from agents.hrm.spec import SPEC

    return SPEC.hears


HRM_HEARS = hrm_hears()
