"""Random requests that fall where decisions change: on boundaries, beside them, at the ends of the admissible space."""

from __future__ import annotations

import random
from typing import Any

from graveyard.ethics import FACT_BOUNDS
from graveyard.words import Facts
from tests.graveyard.cards import CARDS, EXACT, HEARD, UNHEARD
from tests.graveyard.makers import GOOD

ABSURD = (None, None, None, True, False, 1.0, 0.0, float("nan"), 2**100, -(2**100), "1")
CHANGES = tuple(
    [card.on for card in CARDS] + [card.beyond for card in CARDS] + [*EXACT, *UNHEARD] + [change for _, change in HEARD]
)


def interesting_values() -> dict[str, tuple[Any, ...]]:
    """For each fact: its good value, the values of the cards, the ends of its bounds; each and its neighbours."""
    seen: dict[str, set[int]] = {name: {0, 1, good, *FACT_BOUNDS[name][:2]} for name, good in GOOD.items()}
    for changes in CHANGES:
        for name, value in changes.items():
            seen[name].add(value)
    return {name: tuple(sorted({v + by for v in values for by in (-1, 0, 1)})) for name, values in seen.items()}


def admissible(name: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
    low, high, _ = FACT_BOUNDS[name]
    return tuple(value for value in values if low <= value <= high)


VALUES = interesting_values()
INSIDE = {name: admissible(name, values) for name, values in VALUES.items()}
NAMES = tuple(GOOD)
ON = (*(card.on for card in CARDS), *EXACT, *UNHEARD)


def a_request(rng: random.Random) -> Facts:
    """Good facts on some boundaries at once, then a few facts moved to values where decisions change."""
    fields: dict[str, Any] = GOOD | rng.choice(ON) | rng.choice(ON)
    fields["is_opening"] = rng.randrange(2)
    if rng.random() < 0.1:
        fields |= {"is_order": 0, "is_opening": 0, "people": 2}
    for _ in range(rng.randrange(4)):
        name = rng.choice(NAMES)
        fields[name] = rng.choice(INSIDE[name])
    if rng.random() < 0.05:
        name = rng.choice(NAMES)
        fields[name] = rng.choice(ABSURD + VALUES[name])
    return Facts(**fields)
