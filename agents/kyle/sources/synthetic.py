"""A market made up from a seed: one quote per second and instrument, with regimes, gaps, halts and bad ticks.

The same seed gives the same rows on every machine: chance comes from one `random.Random(seed)`, and prices are whole
ticks moved by additions and multiplications only, whose results IEEE arithmetic fixes (a library's `log` or `cos`
may differ in its last digit). Time starts at 2024-01-02 14:30:00 UTC whatever the seed, and never ends.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice
from random import Random
from typing import Literal

import msgspec

from agents.kyle.sources.port import Slice
from agents.kyle.sources.slicing import slices_of
from mutable_core.clock import SECOND_NS
from mutable_core.messages import Instrument, RowReceived
from mutable_core.money import ATOMS_PER_UNIT

SYNTHETIC_START_NS = 1_704_205_800 * SECOND_NS
"""2024-01-02T14:30:00Z."""

Regime = Literal["calm", "rising", "falling", "volatile"]
Flaw = Literal["not_a_number", "crossed", "negative", "spike", "repeated", "backwards", "off_tick"]

REGIMES: dict[Regime, tuple[float, float]] = {
    "calm": (0.00004, 0.0),
    "rising": (0.00006, 0.000006),
    "falling": (0.00006, -0.000006),
    "volatile": (0.00025, 0.0),
}
"""Standard deviation and drift per second, as fractions of the price."""

FLAWS: tuple[Flaw, ...] = ("not_a_number", "crossed", "negative", "spike", "repeated", "backwards", "off_tick")
FLAW_SHARE = 0.002
"""Of the quotes, how many come out wrong: one in five hundred."""

PAUSE_SHARE = 1 / 7200
"""Of the quotes, how many begin a silence: about one in two hours. One silence in three is a halt."""


DAY_LOTS = 5_000_000
"""What a made-up instrument is said to trade in a day: quotes alone do not show it."""


class Listing(msgspec.Struct, frozen=True):
    """One made-up instrument: it starts at `start_ticks` ticks of 10⁻ᵈ, and its sizes come in lots of 10⁻ˢ."""

    symbol: str
    start_ticks: int
    price_decimals: int
    spread_ticks: int
    size_decimals: int = 0


LISTINGS: tuple[Listing, ...] = (
    Listing("SYN-A", start_ticks=10_000, price_decimals=2, spread_ticks=2),
    Listing("SYN-B", start_ticks=4_200, price_decimals=2, spread_ticks=1),
    Listing("SYN-C", start_ticks=125_000, price_decimals=4, spread_ticks=15),
    Listing("SYN-D", start_ticks=300_000, price_decimals=1, spread_ticks=8, size_decimals=3),
)


class SyntheticSource:
    """Quotes of `listings`, all instruments in each step of 1 / `hz` seconds.

    Args:
        seed: any integer.
        rows: stop after so many; None never stops.
        hz: steps per second of market time, 1…1 000.
    """

    def __init__(
        self, seed: int, *, rows: int | None = None, hz: int = 1, listings: tuple[Listing, ...] = LISTINGS
    ) -> None:
        self.name = "synthetic"
        self.is_public = True
        self.seed, self.rows = seed, rows
        self._step_ns, self._listings = SECOND_NS // hz, listings
        described = f"synthetic/2\n{seed}\n{rows}\n{hz}\n{listings}\n{DAY_LOTS}"
        self.fingerprint = hashlib.sha256(described.encode()).hexdigest()
        self.instruments = tuple(_instrument(listing) for listing in listings)

    def slices(self, after_row: int) -> Iterator[Slice]:
        """As the port says. The way to `after_row` is walked again: chance cannot be entered in the middle."""
        rows = self._rows()
        return slices_of(rows if self.rows is None else islice(rows, self.rows), after_row)

    def _rows(self) -> Iterator[tuple[int, RowReceived]]:
        chance = Random(self.seed)  # noqa: S311 - a market, not a secret
        tapes = [_Tape(listing, chance) for listing in self._listings]
        now_ns, number = SYNTHETIC_START_NS, 0
        while True:
            for tape in tapes:
                for ts_ns, values in tape.quotes(now_ns):
                    number += 1
                    yield now_ns, RowReceived(self.name, number, "quote", tape.listing.symbol, ts_ns, 0, values)
            now_ns += self._step_ns


def _instrument(listing: Listing) -> Instrument:
    price_step, size_step = 10**listing.price_decimals, 10**listing.size_decimals
    tick, lot = ATOMS_PER_UNIT // int(price_step), ATOMS_PER_UNIT // int(size_step)
    return Instrument(listing.symbol, tick, lot, DAY_LOTS * lot)


class _Tape:
    """One instrument's quotes as they come; it changes with every step and belongs to one iteration alone."""

    def __init__(self, listing: Listing, chance: Random) -> None:
        self.listing, self._chance = listing, chance
        self._price = float(listing.start_ticks)
        self._regime: Regime = "calm"
        self._regime_steps = 0
        self._silent_steps = 0

    def quotes(self, now_ns: int) -> Iterator[tuple[int, tuple[str, ...]]]:
        """(time, values) of this step's rows: none in a silence, two where a row is repeated."""
        self._move()
        if self._is_silent():
            return
        bid = round(self._price)
        ask = bid + self.listing.spread_ticks + self._chance.randrange(2)
        sizes = (self._size(), self._size())
        if self._chance.random() < FLAW_SHARE:
            yield from self._flawed(self._chance.choice(FLAWS), now_ns, bid, ask, sizes)
        else:
            yield now_ns, (self._text(bid), self._text(ask), *sizes, "")

    def _move(self) -> None:
        if self._regime_steps == 0:
            self._regime = self._chance.choice(tuple(REGIMES))
            self._regime_steps = self._chance.randrange(300, 1800)
        self._regime_steps -= 1
        deviation, drift = REGIMES[self._regime]
        # The pull keeps an endless walk within a few times of where it began.
        pull = 0.000002 * (self.listing.start_ticks - self._price) / self.listing.start_ticks
        self._price *= 1 + deviation * self._deviate() + drift + pull
        self._price = max(self._price, 100.0)

    def _deviate(self) -> float:
        """Mean 0, deviation 1, nearly normal, from additions only."""
        chance = self._chance.random
        return (chance() + chance() + chance() - 1.5) * 2

    def _is_silent(self) -> bool:
        """After a gap of up to two minutes, or a halt of up to ten, the price comes back elsewhere."""
        if self._silent_steps > 0:
            self._silent_steps -= 1
            if self._silent_steps == 0:
                self._price *= 1 + 0.012 * self._deviate()
            return True
        if self._chance.random() < PAUSE_SHARE:
            is_halt = self._chance.randrange(3) == 0
            self._silent_steps = self._chance.randrange(300, 600) if is_halt else self._chance.randrange(20, 120)
        return False

    def _flawed(
        self, flaw: Flaw, now_ns: int, bid: int, ask: int, sizes: tuple[str, str]
    ) -> Iterator[tuple[int, tuple[str, ...]]]:
        text = self._text
        good = (text(bid), text(ask), *sizes, "")
        match flaw:
            case "not_a_number":
                yield now_ns, ("NaN", text(ask), *sizes, "")
            case "crossed":
                yield now_ns, (text(ask + 3), text(bid), *sizes, "")
            case "negative":
                yield now_ns, (text(-bid), text(ask), *sizes, "")
            case "spike":
                yield now_ns, (text(bid * 3), text(ask * 3), *sizes, "")
            case "repeated":
                yield now_ns, good
                yield now_ns, good
            case "backwards":
                yield now_ns - 5 * SECOND_NS, good
            case "off_tick":
                whole = text(bid)
                yield now_ns, (whole + ("" if "." in whole else ".0") + "5", text(ask), *sizes, "")

    def _size(self) -> str:
        lots = self._chance.randrange(1, 50) * 100
        return _decimal_text(lots, self.listing.size_decimals)

    def _text(self, ticks: int) -> str:
        return _decimal_text(ticks, self.listing.price_decimals)


def _decimal_text(steps: int, decimals: int) -> str:
    """`steps` × 10⁻ᵈ, written with all its decimals: 12340, 2 → 123.40."""
    if not decimals:
        return str(steps)
    sign, digits = ("-", -steps) if steps < 0 else ("", steps)
    return f"{sign}{digits // 10**decimals}.{digits % 10**decimals:0{decimals}d}"
