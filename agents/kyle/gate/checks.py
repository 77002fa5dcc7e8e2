"""The checks of a single row, one law each: None lets it pass, a text says what was found.

They are pure, and each may rely on those before it in `register.CHECKS`.
"""

from __future__ import annotations

from agents.kyle.gate.candidate import VALUE_COUNTS, Candidate
from agents.kyle.gate.numbers import INFINITE, NAN, NOT_A_NUMBER
from mutable_core.clock import HOUR_NS
from mutable_core.money import ZERO

STALE_BARS = 3
STALE_NS_MIN = HOUR_NS
_SHOWN_CHARS = 40


def unknown_instrument(c: Candidate) -> str | None:
    """The run's genesis row names the instruments; a row of any other is nobody's."""
    return None if c.track is not None else f"symbol {shown(c.row.symbol)} is not of this run"


def malformed(c: Candidate) -> str | None:
    """Every value that the form asks for is a number, and the row says when it was."""
    for x in c.numbers:
        if x is NOT_A_NUMBER:
            return _first_malformed(c)
    if c.row.ts_ns <= 0:
        return "the time could not be read"
    return "the bar has no length" if c.row.form == "bar" and c.row.interval_ns <= 0 else None


def not_finite(c: Candidate) -> str | None:
    """No NaN and no infinity: they make every later comparison false."""
    for x in c.numbers:
        if x is NAN or x is INFINITE:
            return "a value was NaN or infinite"
    return None


def not_positive(c: Candidate) -> str | None:
    """Prices and adjusted closes are above zero; volumes and sizes may be zero, not negative.

    Negative prices exist (oil on 2020-04-20), but no rule of this house bounds the risk of one.
    """
    for x in c.prices + c.adjusted:
        if x <= ZERO:
            return f"a price was {x}"
    for x in c.sizes:
        if x < ZERO:
            return f"a size was {x}"
    return None


def off_tick(c: Candidate) -> str | None:
    """Every price is a whole number of ticks. An adjusted close is an estimate and need not be."""
    if c.track is None:
        return None
    tick = c.track.tick
    for x in c.prices:
        if x % tick:
            return f"price {x} is no multiple of tick {tick}"
    return None


def high_below_low(c: Candidate) -> str | None:
    """Low ≤ open, close ≤ high."""
    first, high, low, last = c.prices
    if low <= first <= high and low <= last <= high:
        return None
    return f"open {first}, high {high}, low {low}, close {last}"


def crossed(c: Candidate) -> str | None:
    """The row's own bid is not above its own ask; equal is a locked market, which is real."""
    if len(c.prices) == 1:
        return None
    bid, ask = c.prices
    return None if bid <= ask else f"bid {bid} above ask {ask}"


def time_backwards(c: Candidate) -> str | None:
    """No row is earlier than the last good, or held, row of its instrument."""
    before_ns = _before_ns(c)
    return None if c.row.ts_ns >= before_ns else f"{before_ns - c.row.ts_ns} ns before the row before it"


def duplicate(c: Candidate) -> str | None:
    """Two bars do not begin at the same time. Ticks of one time stamp are told apart by their order."""
    return None if c.row.ts_ns != _before_ns(c) else "a bar of that time was there already"


def stale(c: Candidate) -> str | None:
    """The row became known at most max(3 bars, 1 h) before the newest good row of the source."""
    if c.row.ts_ns >= c.newest_ns:
        return None
    age_ns = c.newest_ns - known_ns(c)
    if age_ns <= STALE_NS_MIN or age_ns <= STALE_BARS * c.row.interval_ns:
        return None
    return f"{age_ns} ns behind the newest row"


def flagged_suspicious(c: Candidate) -> str | None:
    """What the vendor itself does not believe, we do not."""
    return "the vendor marks it as far from the market" if c.row.suspicious else None


def known_ns(c: Candidate) -> int:
    """When the row became known: the end of a bar, the time of a tick."""
    return c.row.ts_ns + c.row.interval_ns if c.row.form == "bar" else c.row.ts_ns


def shown(text: str) -> str:
    """A text from outside, printable and short."""
    return ascii(text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…")


def _before_ns(c: Candidate) -> int:
    """Stamp of the last good or held row of the instrument; of two, the held one came later."""
    if c.track is None:
        return 0
    return c.track.held_ns or c.track.last_ns


def _first_malformed(c: Candidate) -> str:
    wanted = VALUE_COUNTS[c.row.form]
    if len(c.row.values) != wanted:
        return f"{len(c.row.values)} values, not {wanted}"
    if c.row.form == "quote" and not c.row.values[0] and not c.row.values[1]:
        return "neither bid nor ask"
    cells = _cells_of(c)
    return next(f"{shown(cell)} is no number" for cell, x in zip(cells, c.numbers, strict=True) if x is NOT_A_NUMBER)


def _cells_of(c: Candidate) -> tuple[str, ...]:
    """The texts that the numbers were read from, in their order."""
    values = c.row.values
    if c.row.form == "quote":
        bid, ask, bid_size, ask_size, _ = values
        sides = [(x, size) for x, size in ((bid, bid_size), (ask, ask_size)) if x]
        return (*(x for x, _ in sides), *(size for _, size in sides))
    return values if c.row.form == "bar" and values[5] else values[: len(c.prices) + len(c.sizes)]
