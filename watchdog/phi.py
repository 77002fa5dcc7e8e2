"""How sure the Watchdog is that a child is dead, from the times of its heartbeats: φ accrues while nothing is heard.

φ = 1 reads "one in ten silences as long as this one ends by itself", φ = 8 "one in a hundred million". It learns how
regular this child is. Beside it stands the lease, which does not learn: whoever is silent for longer is dead to us, and
its siblings never wait longer than that.

Source: Hayashibara et al., *The φ Accrual Failure Detector* (2004); the logistic approximation of the normal
distribution is Akka's.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Literal

from mutable_core.clock import SECOND_NS

Verdict = Literal["well", "suspect", "dead"]

BEAT_NS = 25_000_000
LEASE_NS = SECOND_NS // 2
WINDOW = 200
SIGMA_MIN_NS = 50_000_000
"""A child that was regular to the microsecond is not dead for being a millisecond late."""
SUSPECT, DEAD = 3.0, 8.0


class Phi:
    """The detector of one child; ns on the monotonic clock of the watcher.

    Args:
        now_ns: when watching began; a child that never beats is found like one that has ceased to.
        lease_ns: the longest silence of a child that lives; > 0.
        beat_ns: how far apart beats are expected, until enough were seen.
        pause_ns: a silence that says nothing yet, beyond the usual interval. Half a lease by default: with a whole one φ
            would rise only when the lease has said all.
    """

    def __init__(
        self, now_ns: int, *, lease_ns: int = LEASE_NS, beat_ns: int = BEAT_NS, pause_ns: int | None = None
    ) -> None:
        self.lease_ns = lease_ns
        self.pause_ns = lease_ns // 2 if pause_ns is None else pause_ns
        self._last_ns = now_ns
        self._skip = True
        self._intervals: deque[int] = deque()
        self._sum = self._squares = 0  # of the intervals, in integers: nothing drifts
        for guess in (beat_ns - beat_ns // 4, beat_ns + beat_ns // 4):
            self._learn(guess)

    def beat(self, now_ns: int) -> None:
        """It was heard. A silence beyond the lease was an outage, not an interval: nothing is learnt from it."""
        interval = max(0, now_ns - self._last_ns)
        self._last_ns = max(now_ns, self._last_ns)
        if not self._skip and interval <= self.lease_ns:
            self._learn(interval)
        self._skip = False

    def resume(self, now_ns: int) -> None:
        """Begin a silence now: it was started anew, or the watcher itself stood still. Its habits are remembered."""
        self._last_ns, self._skip = now_ns, True

    def silent_ns(self, now_ns: int) -> int:
        """Since it was heard; ≥ 0."""
        return max(0, now_ns - self._last_ns)

    def value(self, now_ns: int) -> float:
        """φ ≥ 0 and finite: −log₁₀ of the chance that a silence as long as this one ends by itself.

        With y = (silence − μ − pause) / σ and t = y (1.5976 + 0.070566 y²) the chance is 1 / (1 + eᵗ).
        """
        count = len(self._intervals)
        mean = self._sum / count
        variance = (count * self._squares - self._sum * self._sum) / (count * count)
        y = (self.silent_ns(now_ns) - mean - self.pause_ns) / max(SIGMA_MIN_NS, math.sqrt(variance))
        t = y * (1.5976 + 0.070566 * y * y)
        # log₁₀(1 + eᵗ) without overflow, and without 1 − (nearly 1), which is noise from φ = 16 on.
        return (max(t, 0.0) + math.log1p(math.exp(-abs(t)))) / math.log(10)

    def verdict(self, now_ns: int) -> Verdict:
        """Dead where φ or the lease says so; suspect from φ = 3."""
        silent_ns = self.silent_ns(now_ns)
        if silent_ns > self.lease_ns:
            return "dead"
        if silent_ns <= self.pause_ns:
            return "well"  # y ≤ 0: φ is at most log₁₀ 2
        phi = self.value(now_ns)
        return "dead" if phi >= DEAD else "suspect" if phi >= SUSPECT else "well"

    def _learn(self, interval: int) -> None:
        if len(self._intervals) == WINDOW:
            gone = self._intervals.popleft()
            self._sum -= gone
            self._squares -= gone * gone
        self._intervals.append(interval)
        self._sum += interval
        self._squares += interval * interval
