"""How long to wait before a child is started again: longer with each failure, never long, never all at one moment."""

from __future__ import annotations

MAX_DOUBLINGS = 62
"""2^62 ns are 146 years: whoever waits that long is at its cap."""


def delay_ns(failures: int, *, base_ns: int, cap_ns: int, jitter: float, chance: float) -> int:
    """The wait before a restart: `min(cap, base · 2^(failures − 1))`, times something in 1 − jitter … 1 + jitter.

    Args:
        failures: ends before this one without stable work between them; 0 waits for nothing.
        base_ns: ≥ 0.
        cap_ns: ≥ 0; the jitter comes after it, so that capped children spread too.
        jitter: in 0 … 1.
        chance: in [0, 1), drawn by the caller.
    """
    if failures <= 0 or base_ns == 0:
        return 0
    plain_ns = min(cap_ns, base_ns << min(failures - 1, MAX_DOUBLINGS))
    return round(plain_ns * (1 + jitter * (2 * chance - 1)))
