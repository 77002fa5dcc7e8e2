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
    """

    def __init__(self, inspect: Callable[[], Inspection], monotonic: Callable[[], int] = monotonic_ns) -> None:
        self._inspect = inspect
        self._monotonic = monotonic
        self._granted_log_ns = -TERM_NS
        self._fresh_until_ns = 0
        self.revoked = ""

    def due(self, now_ns: int) -> LeaseGranted | None:
        """The grant to append at log time `now_ns`; None while the last one is young, or after a revocation.

        Asking keeps the monotonic half alive: whoever stops asking loses the lease within its term.
        """
        if self.revoked:
            return None
        self._fresh_until_ns = self._monotonic() + TERM_NS
        if 0 <= now_ns - self._granted_log_ns < TERM_NS // 2:
            return None
        return LeaseGranted("kenny", now_ns, now_ns + TERM_NS, self._inspect())

    def granted(self, envelope: Envelope) -> None:
        """Fold a grant, live or replayed."""
        if isinstance(envelope.body, LeaseGranted):
            self._granted_log_ns = envelope.body.granted_ns

    def found(self, envelope: Envelope) -> None:
        """Fold a discrepancy: permission ends until a person has looked."""
        if isinstance(envelope.body, DiscrepancyFound):
            self.revoke(f"{envelope.body.finding} at row {envelope.seq}")

    def revoke(self, why: str) -> None:
        self.revoked = self.revoked or why
        self._fresh_until_ns = 0

    def is_fresh(self) -> bool:
        """Whether the lease stands on the monotonic clock, now."""
        return not self.revoked and self._monotonic() < self._fresh_until_ns

    def remaining_ns(self) -> int:
        """On the monotonic clock; 0 when it has ended."""
        return max(0, self._fresh_until_ns - self._monotonic()) if not self.revoked else 0
