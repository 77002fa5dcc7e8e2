"""The log as the authority reads it: one chain from the first row on. A gap, a fork or a rewrite ends the process."""

from __future__ import annotations

from hashlib import sha256

from deployment.authority.errors import LogForked
from graveyard.authority.wire import Rows
from mutable_core.errors import MalformedMessage
from mutable_core.messages import Envelope, decode

GENESIS = bytes(32)


def link(previous: bytes, row: bytes) -> bytes:
    """The chain's hash after `row`: the journal's own formula, written again so that nothing of the journal runs here."""
    return sha256(previous + sha256(b"\0" + row).digest()).digest()


class LogReader:
    """Where the authority stands in the log.

    Attributes:
        seq: the last row taken, or that it began behind; 0 before the first.
        head: the chain's hash after it.
    """

    def __init__(self, seq: int = 0, head: bytes = GENESIS) -> None:
        self.seq = seq
        self.head = head

    def take(self, frame: Rows) -> list[Envelope]:
        """The messages of the next rows, checked; all of them or none.

        Raises:
            LogForked: they do not follow on what was read, or are no messages of ours.
        """
        if frame.first != self.seq + 1:
            what = "a gap" if frame.first > self.seq + 1 else "rows that were read before"
            raise LogForked(f"the log has {what}: row `{frame.first}` came after row `{self.seq}`", row=frame.first)
        head = self.head
        for row in frame.rows:
            head = link(head, row)
        if head != frame.head:
            raise LogForked("the rows do not lead to the chain's hash that came with them", row=frame.first)
        envelopes = [self._decoded(row, frame.first + index) for index, row in enumerate(frame.rows)]
        self.seq, self.head = self.seq + len(envelopes), head
        return envelopes

    def _decoded(self, row: bytes, seq: int) -> Envelope:
        try:
            envelope = decode(row)
        except MalformedMessage as error:
            raise LogForked(f"a row is no message: {error}", row=seq) from error
        if envelope.seq != seq:
            raise LogForked(f"a row says that it is row `{envelope.seq}`", row=seq)
        return envelope
