"""What can go wrong between the house and the authority's process. Both sides fail shut: nothing is signed or sent.

ArkError
├── Broken
│     LogForked          the rows are not one log, or cannot be followed: the authority ends and answers nothing more
│     JailOpen           the process could not lock itself in: it does not begin
└── Unavailable
      AuthoritySilent    no answer in time, a wrong one, or nobody there: the order is not sent
"""

from __future__ import annotations

from mutable_core.errors import AuthoritySilent, Broken
from watchdog.jail import JailOpen


class LogForked(Broken):
    """Rows with a gap, a repetition, another chain, or a message that cannot be folded. `row` is 1-based."""

    def __init__(self, what: str, *, row: int) -> None:
        super().__init__(what, where=f"row {row}")
        self.row = row


__all__ = ["AuthoritySilent", "JailOpen", "LogForked"]
