"""How often something may be asked: so many at once, and so many a minute."""

from __future__ import annotations

from collections.abc import Callable

from mutable_core.clock import MINUTE_NS


class Allowance:
    """A bucket of `per_minute`, full at first, refilled evenly on the given clock (ns)."""

    def __init__(self, per_minute: int, monotonic: Callable[[], int]) -> None:
        self.per_minute = per_minute
        self._monotonic = monotonic
        self._left_ns = MINUTE_NS  # in ns of refill
        self._at_ns = monotonic()

    def takes_one(self) -> bool:
        """Whether one more is allowed; if so, it is counted."""
        now, price = self._monotonic(), MINUTE_NS // self.per_minute
        self._left_ns = min(MINUTE_NS, self._left_ns + now - self._at_ns)
        self._at_ns = now
        if self._left_ns < price:
            return False
        self._left_ns -= price
        return True
