"""What to make of a price far from the last one: an error of the feed, a corporate action, or the market.

A row whose price is more than 40 % away from the last accepted one is held back: rejected as `jump_unconfirmed`. If
the instrument's next row, of a later time, lies within 20 % of the held one, the level is real: it is taken as a
split if it stands in the ratio of one (within 3 %), else as a move of the market. If it does not, the held row was
a spike, and is forgotten. A fall that came in several jumps is a crash, not a split: what may be a real loss is
never explained away by more than one coincidence.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

JUMP_MAX = Decimal("0.40")
CONFIRM_WITHIN = Decimal("0.20")
SPLIT_WITHIN = Decimal("0.03")
SPLIT_MAX = 30
REVERSE_MAX = 1_000
"""A price that multiplies overnight is a reverse split sooner than luck, and taking it for one invents no money."""

Judgement = Literal["usual", "held", "confirmed"]

_SPLITS = (
    *((n, 1) for n in range(2, SPLIT_MAX + 1)),
    *((1, n) for n in range(2, REVERSE_MAX + 1)),
)


def judged(price: Decimal, last: Decimal | None, held: Decimal | None, *, is_later: bool) -> Judgement:
    """What `price` is after the accepted price `last` and perhaps a held row; `is_later` than the held one."""
    if last is None or not is_far(price, last, JUMP_MAX):
        return "usual"
    if held is not None and is_later and not is_far(price, held, CONFIRM_WITHIN):
        return "confirmed"
    return "held"


def is_far(price: Decimal, reference: Decimal, limit: Decimal) -> bool:
    """|price − reference| > limit × reference; exact, for there is no division."""
    return abs(price - reference) > limit * reference


def inferred_split(last: Decimal, held: Decimal, *, is_direct: bool = True) -> tuple[int, int] | None:
    """The split (new units, old units) that turns price `last` into `held` within 3 %; the nearest of several."""
    near = [(abs(held * n - last * d), n, d) for n, d in _SPLITS if not is_far(held * n, last * d, SPLIT_WITHIN)]
    if not near or (held < last and not is_direct):
        return None
    _, n, d = min(near, key=lambda found: found[0] / found[2])
    return n, d
