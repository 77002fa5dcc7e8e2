"""What the authority's process needs of whoever folds the log for it."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from deployment.authority.beginning import Beginning
from graveyard.words import Verdict
from mutable_core.messages import Envelope


class Granted(NamedTuple):
    """An approval that stands in the log and that the folder found itself. See `Approval` for the fields."""

    digest: str
    account: str
    opening: bool
    hold_micros: int
    expires_ns: int
    ruleset: str
    verdict: Verdict


class Folder(Protocol):
    """Folds every message of the log, in order, and says which approvals stand."""

    def begin(self, beginning: Beginning) -> None:
        """Stand where `beginning` is; before anything was folded."""
        ...

    def fold(self, envelope: Envelope) -> None: ...

    def granted(self, proposal_id: str, position: int) -> Granted | str:
        """The approval of this proposal at this log position, or a sentence why there is none to sign."""
        ...
