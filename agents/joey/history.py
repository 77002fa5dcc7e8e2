"""What Joey remembers of one instrument: its last bars, as columns of floats, in units of today.

Rules that this module keeps:

* A bar enters once it is complete, in order of time; a column never holds anything after its last bar.
* Columns hold at most `WINDOW` bars, so that a decision costs the same on the first day and in the tenth year.
* A corporate action rescales everything that is remembered, so that a split is not seen as a crash.
"""

from __future__ import annotations

import msgspec

from mutable_core.messages import Bar, CorporateActionObserved

WINDOW = 64
"""Bars kept per instrument: the slowest feature needs 51."""
_KEPT = WINDOW - 1


class History(msgspec.Struct, frozen=True, gc=False):
    """Complete bars of one instrument, oldest first, at most `WINDOW`; every column has the same length.

    Attributes:
        bars: how many were ever completed; the number of the newest one.
        high, low, close: currency per unit as units are now.
        volume: units as they are now; 0 where the source states none.
    """

    bars: int = 0
    high: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    close: tuple[float, ...] = ()
    volume: tuple[float, ...] = ()


class Forming(msgspec.Struct, frozen=True, gc=False):
    """The bar that ticks are building. `bucket` counts bar lengths since 1970."""

    bucket: int
    high: float
    low: float
    close: float
    volume: float


EMPTY = History()


def after_bar(history: History, bar: Bar) -> History:
    """The history with a bar of the source as its newest."""
    return _with(history, float(bar.high), float(bar.low), float(bar.close), float(bar.volume))


def after_tick(
    history: History, forming: Forming | None, bucket: int, price: float, size: float
) -> tuple[History, Forming]:
    """The history and the forming bar once a tick at `price` has come.

    The first tick of a later bucket completes the bar before it: only then is it known that no further tick
    belongs there. Buckets without a tick make no bar.
    """
    if forming is None:
        return history, Forming(bucket, price, price, price, size)
    if bucket > forming.bucket:
        complete = _with(history, forming.high, forming.low, forming.close, forming.volume)
        return complete, Forming(bucket, price, price, price, size)
    return history, Forming(
        forming.bucket, max(forming.high, price), min(forming.low, price), price, forming.volume + size
    )


def _with(history: History, high: float, low: float, close: float, volume: float) -> History:
    # One concatenation is half the price of unpacking, and this is done four times per bar.
    return History(
        history.bars + 1,
        history.high[-_KEPT:] + (high,),  # noqa: RUF005
        history.low[-_KEPT:] + (low,),  # noqa: RUF005
        history.close[-_KEPT:] + (close,),  # noqa: RUF005
        history.volume[-_KEPT:] + (volume,),  # noqa: RUF005
    )


class Scale(msgspec.Struct, frozen=True, gc=False):
    """What a corporate action multiplies remembered prices and volumes by."""

    price: float
    volume: float


def scale_of(action: CorporateActionObserved, close: float | None) -> Scale:
    """A split divides prices by its ratio; a dividend takes its share of the `close` before it out of them."""
    ratio = action.numerator / action.denominator
    cash = float(action.cash_per_unit)
    kept = 1 - cash / close if close is not None and 0 < cash < close else 1.0
    return Scale(price=kept / ratio, volume=ratio)


def rescaled(history: History, scale: Scale) -> History:
    """The same bars in the units that hold after a corporate action."""
    return History(
        history.bars,
        _times(history.high, scale.price),
        _times(history.low, scale.price),
        _times(history.close, scale.price),
        _times(history.volume, scale.volume),
    )


def rescaled_forming(forming: Forming, scale: Scale) -> Forming:
    return Forming(
        forming.bucket,
        forming.high * scale.price,
        forming.low * scale.price,
        forming.close * scale.price,
        forming.volume * scale.volume,
    )


def _times(values: tuple[float, ...], factor: float) -> tuple[float, ...]:
    return tuple([value * factor for value in values])
