"""Random requests that fall where decisions change: on boundaries, beside them, at the ends of the admissible space."""

from __future__ import annotations

import random
from typing import Any

from graveyard.ethics import FACT_BOUNDS
from graveyard.words import Facts
from tests.graveyard.cards import CARDS, EXACT
from tests.graveyard.makers import GOOD

ABSURD = (None, None, None, True, 1.0, float("nan"), 2**100, "1")


def interesting_values() -> dict[str, tuple[Any, ...]]:
    """For each fact: its good value, the values of the cards, the ends of its bounds; each and its neighbours."""
    seen: dict[str, set[int]] = {name: {0, 1, good, *FACT_BOUNDS[name][:2]} for name, good in GOOD.items()}
    for changes in [card.on for card in CARDS] + [card.beyond for card in CARDS] + list(EXACT):
        for name, value in changes.items():
            seen[name].add(value)
    return {name: tuple(sorted({v + by for v in values for by in (-1, 0, 1)})) for name, values in seen.items()}


VALUES = interesting_values()
NAMES = tuple(GOOD)
ON = tuple(card.on for card in CARDS) + EXACT


def a_request(rng: random.Random) -> Facts:
    """Good facts on some boundaries at once, then a few facts moved to values where decisions change."""
    fields: dict[str, Any] = GOOD | rng.choice(ON) | rng.choice(ON)
    fields["is_opening"] = rng.randrange(2)
    for _ in range(rng.randrange(4)):
        name = rng.choice(NAMES)
        fields[name] = rng.choice(VALUES[name])
    if rng.random() < 0.05:
        fields[rng.choice(NAMES)] = rng.choice(ABSURD)
    return Facts(**fields)
