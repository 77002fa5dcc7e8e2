"""What the market itself traded: volumes and closes per instrument and day, folded from observations.

A day that was not seen counts as one without volume, so that a mean is never overstated.
"""

from __future__ import annotations

from typing import NamedTuple

from immutables import Map

from mutable_core.clock import DAY_NS, MINUTE_NS
from mutable_core.messages import Bar, CorporateActionObserved, Observed, Quote
from mutable_core.money import ATOMS_PER_UNIT, atoms

DAYS = 20  # of the mean volume
_CALENDAR_DAYS = 28  # hold 20 sessions of a market that rests at weekends; what is older says nothing about today
SESSIONS = 5  # of the rise
_ATOMS2_PER_MICRO = ATOMS_PER_UNIT * ATOMS_PER_UNIT // 1_000_000


class Day(NamedTuple):
    """One UTC day of one instrument: volume in atoms, what changed hands in micros, first and last price in atoms."""

    number: int
    volume: int
    traded: int
    first: int
    last: int


class Before(NamedTuple):
    """Sums over the days before today that count, the last 20 and the last 19: atoms, micros, days with a volume."""

    volume_20: int
    traded_20: int
    shown_20: int
    volume_19: int
    traded_19: int
    shown_19: int


class Flow(NamedTuple):
    """One instrument. What is rebuilt with every observation is small; sums are taken once a day.

    Attributes:
        bar_volume: of the newest bar; of the last whole minute of trades; what both sides of the newest quote show.
        minute, minute_volume: of the trades of the minute that is running.
        past: days before today, oldest first, at most 20.
    """

    bar_volume: int
    minute: int
    minute_volume: int
    past: tuple[Day, ...]
    today: Day
    before: Before

    @property
    def days(self) -> tuple[Day, ...]:
        """Every day that is remembered, today last."""
        return (*self.past, self.today)

    def day_volume(self, reference: int = 0) -> int:
        """Mean volume of the last 20 days before today, or of 20 days with today where that is more; atoms.

        `reference` is a mean day's volume by reference data: what a day counts as on which the market showed none.
        """
        before = self.before
        past = before.volume_20 + (DAYS - before.shown_20) * reference
        shown = before.shown_19 + (self.today.volume > 0)
        return max(past, before.volume_19 + self.today.volume + (DAYS - shown) * reference) // DAYS

    def day_traded(self, reference: int = 0) -> int:
        """The same in micros."""
        before = self.before
        past = before.traded_20 + (DAYS - before.shown_20) * reference
        shown = before.shown_19 + (self.today.volume > 0)
        return max(past, before.traded_19 + self.today.traded + (DAYS - shown) * reference) // DAYS

    def rise_bp(self) -> int:
        """How far the last price is above the close five sessions ago, or the oldest price since; 0 where it fell.

        Rounded up, in hundredths of a percent.
        """
        past, today = self.past, self.today
        oldest = past[0] if past else today
        was = past[-SESSIONS].last if len(past) >= SESSIONS else oldest.first
        rise = today.last - was
        return -(-rise * 10_000 // was) if rise > 0 and was > 0 else 0


_NO_DAY = Day(-1, 0, 0, 0, 0)
EMPTY = Flow(0, -1, 0, (), _NO_DAY, Before(0, 0, 0, 0, 0, 0))


def observed(flows: Map[str, Flow], body: Observed, now_ns: int, price: int) -> Map[str, Flow]:
    """The flows after one observation at `price` (atoms)."""
    instrument, market = body.instrument, body.market
    flow = flows.get(instrument, EMPTY)
    if isinstance(market, Bar):
        volume = atoms(market.volume)
        # A bar is of the day in which it began.
        day = (now_ns - body.interval_ns) // DAY_NS if body.interval_ns else now_ns // DAY_NS
        after = _grown(flow, volume, -1, 0, day, volume, price)
    elif isinstance(market, Quote):
        shown = atoms(market.bid_size) + atoms(market.ask_size)
        after = _grown(flow, shown, -1, 0, now_ns // DAY_NS, 0, price)
    else:
        after = _traded(flow, atoms(market.size), now_ns, price)
    return flows.set(instrument, after)


def _traded(flow: Flow, size: int, now_ns: int, price: int) -> Flow:
    minute, day = now_ns // MINUTE_NS, now_ns // DAY_NS
    if minute == flow.minute:
        return _grown(flow, flow.bar_volume, minute, flow.minute_volume + size, day, size, price)
    whole = flow.minute_volume if minute == flow.minute + 1 else 0
    return _grown(flow, whole, minute, size, day, size, price)


def _grown(flow: Flow, bar_volume: int, minute: int, minute_volume: int, number: int, volume: int, price: int) -> Flow:
    """The flow once `volume` changed hands at `price` on day `number`; an earlier day counts as today."""
    traded = volume * price // _ATOMS2_PER_MICRO
    today = flow.today
    if today.number >= number:
        today = Day(today.number, today.volume + volume, today.traded + traded, today.first, price)
        return Flow(bar_volume, minute, minute_volume, flow.past, today, flow.before)
    past = flow.past if today is _NO_DAY else (*flow.past[1 - DAYS :], today)
    today = Day(number, volume, traded, price, price)
    return Flow(bar_volume, minute, minute_volume, past, today, _summed(past, number))


def _summed(past: tuple[Day, ...], number: int) -> Before:
    known = [day for day in past if day.number >= number - _CALENDAR_DAYS]
    return Before(
        sum([day.volume for day in known[-DAYS:]]),
        sum([day.traded for day in known[-DAYS:]]),
        sum([day.volume > 0 for day in known[-DAYS:]]),
        sum([day.volume for day in known[1 - DAYS :]]),
        sum([day.traded for day in known[1 - DAYS :]]),
        sum([day.volume > 0 for day in known[1 - DAYS :]]),
    )


def acted(flows: Map[str, Flow], body: CorporateActionObserved) -> Map[str, Flow]:
    """A split divides the prices before it and multiplies the volumes; a dividend leaves both."""
    flow = flows.get(body.instrument)
    if flow is None or body.numerator == body.denominator:
        return flows
    up, down = body.numerator, body.denominator
    past = tuple([_scaled(day, up, down) for day in flow.past])
    after = Flow(
        flow.bar_volume * up // down,
        flow.minute,
        flow.minute_volume * up // down,
        past,
        _scaled(flow.today, up, down),
        _summed(past, flow.today.number),
    )
    return flows.set(body.instrument, after)


def _scaled(day: Day, up: int, down: int) -> Day:
    return Day(day.number, day.volume * up // down, day.traded, day.first * down // up, day.last * down // up)
