"""Virtual time: a monotonic clock that moves only when somebody moves it, and what is due at which moment.

Nothing here reads a clock or draws a number: the same calls give the same order, in any process, for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

from mutable_core.clock import SECOND_NS

MS_NS = SECOND_NS // 1_000

Act = Callable[[], None]


class Clockwork:
    """The monotonic clock of the simulated machine, ns since its boot, and the acts that wait for their moment."""

    def __init__(self) -> None:
        self.now_ns = 0
        self._waiting: list[tuple[int, int, Act]] = []
        self._count = 0  # acts of one moment happen in the order in which they were asked for

    def monotonic(self) -> int:
        return self.now_ns

    def at(self, due_ns: int, act: Act) -> None:
        """Do `act` at `due_ns`, or as soon as time moves on where that is past."""
        self._count += 1
        heappush(self._waiting, (due_ns, self._count, act))

    def until(self, then_ns: int) -> None:
        """Move on to `then_ns`; what is due on the way is done at its moment. Acts may take time themselves."""
        waiting = self._waiting
        while waiting and waiting[0][0] <= then_ns:
            due_ns, _, act = heappop(waiting)
            self.now_ns = max(self.now_ns, due_ns)
            act()
        self.now_ns = max(self.now_ns, then_ns)

    def passes(self, ns: int) -> None:
        """Somebody is busy, or waits, for so long; what falls due meanwhile is done when time moves on."""
        self.now_ns += ns
