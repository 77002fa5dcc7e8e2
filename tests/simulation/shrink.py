"""From a long script that fails to a short one that fails in the same way: delta debugging over the list of faults."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def shrunk(items: Sequence[T], fails: Callable[[Sequence[T]], bool], *, tries: int = 200) -> list[T]:
    """A part of `items` that still fails and of which no single item can be left out (while `tries` last).

    Args:
        items: fail together.
        fails: runs a part, in the same order; must give the same answer for the same part.
        tries: runs at most.
    """
    kept, parts = list(items), 2
    if tries and fails([]):
        return []
    tries -= 1
    while len(kept) >= 2 and tries > 0:
        size = -(-len(kept) // parts)
        for first in range(0, len(kept), size):
            without = kept[:first] + kept[first + size :]
            tries -= 1
            if fails(without):
                kept, parts = without, max(parts - 1, 2)
                break
            if tries <= 0:
                return kept
        else:
            if size == 1:
                return kept
            parts = min(parts * 2, len(kept))
    return kept
