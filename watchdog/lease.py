"""The lease: Kenny may open risk only while it is fresh (I9).

A lease is granted upon an inspection, and states in the log what was found. Two clocks. In the log, `LeaseGranted` says until when, in log time, and the rule reads that. At the venue door the same
grant counts on the monotonic clock, so that a watchdog that died, or a link that was cut, lets nothing out.
"""

from __future__ import annotations

from collections.abc import Callable

from mutable_core.clock import SECOND_NS, monotonic_ns
from mutable_core.messages import DiscrepancyFound, Envelope, Inspection, LeaseGranted

TERM_NS = 5 * SECOND_NS


class LeaseKeeper:
    """Decides when to renew, and knows whether the lease stands.

    Args:
        inspect: looks at the house itself, and says what it found.
        monotonic: ns of a clock that never jumps; injected so that tests need not wait.
        permits: whether whoever supervises this process lets it grant at all, now; always unless given.

    Attributes:
        revoked: why permission ended, for a reason that stands in the log or ends the run; empty while it stands.
        suspended: why this process gives none, for a reason of its machine; the next start asks anew.
    """

    def __init__(
        self,
        inspect: Callable[[], Inspection],
        monotonic: Callable[[], int] = monotonic_ns,
        *,
        permits: Callable[[], bool] = lambda: True,
    ) -> None:
        self._inspect = inspect
        self._monotonic = monotonic
        self._permits = permits
        self._granted_log_ns = -TERM_NS
        self._term_ns = TERM_NS  # of the newest grant
        self._fresh_until_ns = 0
        self.revoked = ""
        self.discrepancy = ""  # the first in the log: it revokes in every later process too
        self.suspended = ""

    def due(self, now_ns: int) -> LeaseGranted | None:
        """The grant to append at log time `now_ns`; None while the last one is young, or after permission has ended.

        Asking keeps the monotonic half alive: whoever stops asking loses the lease within its term. Where whoever
        supervises this process does not permit one, the grant lasts no time at all: what was inspected is stated all the
        same, so that nothing is opened, and nobody takes a house that is watched for one that is not.
        """
        if self.ended:
            return None
        term_ns = TERM_NS if self._permits() else 0
        if term_ns:
            self._fresh_until_ns = self._monotonic() + TERM_NS
        if 0 <= now_ns - self._granted_log_ns < TERM_NS // 2 and term_ns == self._term_ns:
            return None
        return LeaseGranted("kenny", now_ns, now_ns + term_ns, self._inspect())

    def granted(self, envelope: Envelope) -> None:
        """Fold a grant, live or replayed."""
        if isinstance(envelope.body, LeaseGranted):
            self._granted_log_ns = envelope.body.granted_ns
            self._term_ns = envelope.body.until_ns - envelope.body.granted_ns

    @property
    def granted_ns(self) -> int:
        """Log time of the newest grant."""
        return self._granted_log_ns

    def resume(self, granted_ns: int, discrepancy: str) -> None:
        """Stand where the log does. The monotonic half begins anew, with `due`; what ended only that process is over."""
        self._granted_log_ns = granted_ns
        self.revoked = self.discrepancy = discrepancy

    def found(self, envelope: Envelope) -> None:
        """Fold a discrepancy: permission ends until a person has looked."""
        if isinstance(envelope.body, DiscrepancyFound):
            self.discrepancy = self.discrepancy or f"{envelope.body.finding} at row {envelope.seq}"
            self.revoke(self.discrepancy)

    def revoke(self, why: str) -> None:
        self.revoked = self.revoked or why
        self._fresh_until_ns = 0

    def suspend(self, why: str) -> None:
        """End permission until the process is started again; may be called from any thread."""
        self.suspended = self.suspended or why

    @property
    def ended(self) -> str:
        """Why there is no permission any more; empty while there may be."""
        return self.revoked or self.suspended

    def is_fresh(self) -> bool:
        """Whether the lease stands on the monotonic clock, now."""
        return not self.ended and self._monotonic() < self._fresh_until_ns and self._permits()

    def remaining_ns(self) -> int:
        """On the monotonic clock; 0 when it has ended."""
        return max(0, self._fresh_until_ns - self._monotonic()) if not self.ended else 0
