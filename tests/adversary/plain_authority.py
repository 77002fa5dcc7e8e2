"""The authority's process with the plainest folder there is: what is approved in the log stands.

For tests of everything around the folding: socket, chain, signature, jail. `python -m tests.adversary.plain_authority`
takes the same words as `python -m deployment.authority`.
"""

from __future__ import annotations

import sys

from deployment.authority.beginning import Beginning
from deployment.authority.port import Granted
from deployment.authority.process import main
from mutable_core.messages import Approved, Envelope

ACCOUNT = "paper"


class PlainFolder:
    def __init__(self) -> None:
        self._approved: dict[str, tuple[int, Granted]] = {}

    def begin(self, beginning: Beginning) -> None:
        """What was approved before it stands no more."""

    def fold(self, envelope: Envelope) -> None:
        said = envelope.body
        if isinstance(said, Approved):
            granted = Granted(
                said.digest,
                ACCOUNT,
                said.facts.is_opening != 0,
                said.hold_micros,
                said.expires_ns,
                said.verdict.ruleset,
                said.verdict,
            )
            self._approved[said.proposal_id] = (envelope.seq, granted)

    def granted(self, proposal_id: str, position: int) -> Granted | str:
        found = self._approved.get(proposal_id)
        if found is None or found[0] != position:
            return "no approval of it stands at this position"
        return found[1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], PlainFolder))
