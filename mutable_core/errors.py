"""What can go wrong, sorted by what the caller must do.

ArkError
├── Broken        an invariant failed: stop, page a person, never retry
│     JournalBroken  ReplayDiverged  ApprovalForged  CapabilityExceeded  LedgerUnbalanced  AgentFailed
├── Unavailable   the world did not answer: retry with bounds, then degrade
│     DiskUnavailable  StateInUse  PortTaken  VenueUnavailable  AuthoritySilent  AgentLate  AgentGone
└── Unacceptable  the other side sent what we cannot take: answer it, never retry
      MalformedMessage  MalformedSource  SettingsRefused  UnknownName  AgentMisbehaved
"""

from __future__ import annotations


class ArkError(Exception):
    """One line for a person: what, where, what to do.

    Args:
        what: what happened; lower case, no full stop, values in backticks.
        where: the file, row, port or agent that it happened at; empty where `what` names it.
        to_do: the next step of the person who reads it; empty where there is none.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", to_do: str = "") -> None:
        super().__init__(what)
        self.what, self.where, self.to_do = _one_line(what), _one_line(where), to_do

    def __str__(self) -> str:
        text = self.what
        if self.where:
            text += f" ({self.where})"
        if self.to_do:
            text += f"; {self.to_do}"
        return text


def _one_line(text: str) -> str:
    """What a library says, or a file is called, may have several lines, or bytes that are no text."""
    return " ".join(text.split()).encode("utf-8", "backslashreplace").decode()


class Broken(ArkError):
    """An invariant failed."""


class JournalBroken(Broken):
    """The journal is not what was written; `row` is the first bad one (1-based)."""

    def __init__(self, what: str, *, row: int, where: str = "", to_do: str = "") -> None:
        super().__init__(what, where=where, to_do=to_do)
        self.row = row


class ReplayDiverged(Broken):
    """An agent, given the same inbox, said something else than the journal holds."""


class ApprovalForged(Broken):
    """An order came to the venue door without a valid, fresh, unused approval for exactly its digest."""


class CapabilityExceeded(Broken):
    """An author said a kind of message that it may not say."""


class LedgerUnbalanced(Broken):
    """Debits and credits differ, or the books and the venue do."""


class AgentFailed(Broken):
    """An agent raised; the house stops opening risk and shuts down in order."""


class Unavailable(ArkError):
    """The world did not answer."""

    exit_code = 3


class DiskUnavailable(Unavailable):
    """The journal cannot be made durable: no effect may leave."""

    exit_code = 1


class StateInUse(Unavailable):
    """Another process owns the state folder."""

    exit_code = 2


class PortTaken(Unavailable):
    """Another process listens where we must."""

    exit_code = 2


class VenueUnavailable(Unavailable):
    """The venue did not answer."""


class AuthoritySilent(Unavailable):
    """The authority gave no answer that can be believed; nothing was approved."""


class AgentLate(Unavailable):
    """An agent's process did not answer within its patience; its answer may still come."""


class AgentGone(Unavailable):
    """An agent's process has ended, and no other took its place within the patience."""


class Unacceptable(ArkError):
    """The other side sent what we cannot take."""

    exit_code = 2


class MalformedMessage(Unacceptable):
    """Bytes that are no message of ours: unknown kind, version or field, or not canonical."""


class MalformedSource(Unacceptable):
    """A market data file that cannot be read as one."""


class SettingsRefused(Unacceptable):
    """A setting that is unknown, out of range or contradictory."""


class UnknownName(Unacceptable):
    """A name that nothing answers to."""


class AgentMisbehaved(Unacceptable):
    """An agent's process sent what no agent of ours may send: its connection is over."""
