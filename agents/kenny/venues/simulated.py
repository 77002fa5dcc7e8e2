"""The paper venue: an exchange in our process that outlives it.

What it is told (`place`, `cancel`) and what it is shown (`show`, `apply`) is written to its own log, and its books
are rebuilt from there: the exchange is deterministic, so the same calls give the same events.

* Nothing is said that is not written: `events`, `statement` and a `knows` that says yes write first what waits.
  Until then a command may be lost by a crash, as one may on its way to a real venue: ask `knows`, and tell it again.
* A row that led to nothing is not written at once: the last one of each instrument is written together with the next
  call that matters, or after `NOTE_EVERY` rows. So after a crash the venue may be behind on such rows, never on
  others. **After a restart, make all calls again in their order, beginning with the first row after `shown_row`, or
  earlier:** what the venue has seen changes nothing, what it forgot had no effect, and the outcome is that of a run
  that was never disturbed.
* A row is known by its number, a corporate action by the row that it precedes, an order by its id, a cancel by id and
  time. Each changes something once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from agents.kenny.venues.exchange import Exchange
from agents.kenny.venues.venue_log import VenueLog
from mutable_core.errors import JournalBroken, SettingsRefused
from mutable_core.messages import (
    CorporateActionObserved,
    Instrument,
    Observed,
    OrderSpec,
    VenueEvent,
    VenueStated,
)

NOTE_EVERY: Final = 1_000
"""Rows without effect are written at the latest after this many; so many must be shown again at most, and a batch."""


class FeeModel(msgspec.Struct, frozen=True):
    """What the venue charges: `bps` of each fill's notional, rounded up to a micro. An integer ≥ 0."""

    bps: int = 1


ONE_BP: Final = FeeModel()


class Opened(msgspec.Struct, frozen=True, array_like=True, tag="opened/1"):
    """The first frame: what the books begin with and are computed by."""

    cash_micros: int
    fee_bps: int
    slippage_bps: int
    instruments: tuple[Instrument, ...]


class Placed(msgspec.Struct, frozen=True, array_like=True, tag="placed", gc=False):
    order: OrderSpec
    ts_ns: int


class Rejected(msgspec.Struct, frozen=True, array_like=True, tag="rejected", gc=False):
    """The fact, not the order: what was rejected may be unreadable."""

    client_order_id: str
    reason: str


class Cancelled(msgspec.Struct, frozen=True, array_like=True, tag="cancelled", gc=False):
    client_order_id: str
    ts_ns: int


class Shown(msgspec.Struct, frozen=True, array_like=True, tag="shown", gc=False):
    observed: Observed
    ts_ns: int


class Acted(msgspec.Struct, frozen=True, array_like=True, tag="acted", gc=False):
    action: CorporateActionObserved
    row: int


Call: TypeAlias = Placed | Rejected | Cancelled | Shown | Acted


class Told(msgspec.Struct, frozen=True, array_like=True, tag="told", gc=False):
    """One frame: the rows that preceded the call without effect (the last of each instrument), and the call."""

    noted: tuple[Observed, ...]
    call: Call | None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Told).decode


class SimulatedVenue:
    """Implements `Venue` and `MarketDriven`. Made with `open`."""

    def __init__(self, name: str, exchange: Exchange, log: VenueLog | None) -> None:
        self.name = name
        self._exchange = exchange
        self._log = log
        self._unwritten: dict[str, Observed] = {}  # last row without effect, by instrument
        self._written_row = exchange.shown_row

    @classmethod
    def open(
        cls,
        path: Path | None,
        *,
        cash_micros: int,
        instruments: tuple[Instrument, ...],
        fees: FeeModel = ONE_BP,
        slippage_bps: int = 2,
        name: str = "simulated",
        until_row: int | None = None,
    ) -> SimulatedVenue:
        """The venue whose log is at `path`, as it was; a new one where there is none. None: in memory only.

        Args:
            path: the log's file; missing folders are made.
            cash_micros: what the account begins with.
            instruments: what is traded here, with tick and lot.
            fees: what each fill costs.
            slippage_bps: of market and stop fills, ≥ 0.
            name: what a person calls it.
            until_row: the last market row that we remember having shown. What the venue made of later rows is
                forgotten: they will be shown again, and the same will follow. None forgets nothing.

        Raises:
            SettingsRefused: the log was begun with other settings, or these make no sense.
            JournalBroken: the log was altered, or holds an order that came after `until_row`.
            StateInUse: another process has the log open.
            DiskUnavailable: the log cannot be opened or written.
        """
        opened = Opened(cash_micros, fees.bps, slippage_bps, instruments)
        _check(opened)
        exchange = Exchange(
            cash_micros=cash_micros, instruments=instruments, fee_bps=fees.bps, slippage_bps=slippage_bps
        )
        if path is None:
            return cls(name, exchange, None)
        log = VenueLog(path)
        try:
            _rebuild(exchange, log, opened, until_row, where=str(path))
        except BaseException:
            log.close()
            raise
        return cls(name, exchange, log)

    @property
    def shown_row(self) -> int:
        """The last row that the venue has seen, 0 before the first."""
        return self._exchange.shown_row

    # -- Venue ------------------------------------------------------------------------------------------------------

    def place(self, order: OrderSpec, ts_ns: int) -> None:
        """Against quotes a marketable order fills at once; else it waits for the instrument's next row."""
        if order.client_order_id in self._exchange.known:
            return
        reason = self._exchange.place(order, ts_ns)
        if self._log is not None:
            self._tell(Placed(order, ts_ns) if reason is None else Rejected(order.client_order_id, reason))

    def cancel(self, client_order_id: str, ts_ns: int) -> None:
        """Of an entry: its unfilled rest. Of a leg: that leg, and what its entry has not filled."""
        if self._exchange.cancel(client_order_id, ts_ns):
            self._tell(Cancelled(client_order_id, ts_ns))

    def knows(self, client_order_id: str) -> bool:
        """Of an order that stood or was rejected, and of a leg that was armed."""
        is_known = client_order_id in self._exchange.known
        if is_known:
            self.flush()
        return is_known

    def events(self, after: int) -> Sequence[VenueEvent]:
        if self._log is not None:
            self._log.flush()
        return self._exchange.said[max(after, 0) :]

    def statement(self) -> VenueStated:
        self.flush()
        return self._exchange.statement()

    def is_up(self) -> bool:
        """Until it is closed."""
        return self._log is None or not self._log.is_closed

    def flush(self) -> None:
        """Write what waits. For a caller that tells much and asks little; all that answers does it by itself.

        Raises:
            DiskUnavailable: it could not be written; it still waits.
        """
        if self._log is not None:
            self._log.flush()

    def close(self) -> None:
        """Write everything and let go of the log. Closed before: changes nothing."""
        if self._log is not None and not self._log.is_closed:
            if self._unwritten:
                self._tell(None)
            self._log.close()

    # -- MarketDriven -----------------------------------------------------------------------------------------------

    def show(self, observed: Observed, ts_ns: int) -> None:
        exchange = self._exchange
        if observed.row <= exchange.shown_row:
            return
        desk = exchange.note(observed)
        if desk is not None and (desk.orders or desk.brackets):
            before = len(exchange.said)
            exchange.match(desk, ts_ns)
            if len(exchange.said) > before:
                self._tell(Shown(observed, ts_ns))
                return
        if self._log is not None:
            self._unwritten[observed.instrument] = observed
            if observed.row - self._written_row >= NOTE_EVERY:
                self._tell(None)
                self._log.flush()

    def apply(self, action: CorporateActionObserved, row: int, ts_ns: int) -> None:  # noqa: ARG002  the port has a time
        if self._exchange.is_new_action(row):
            self._exchange.act(action, row)
            self._tell(Acted(action, row))

    # -- log --------------------------------------------------------------------------------------------------------

    def _tell(self, call: Call | None) -> None:
        """Log a call that changed something, with the rows that came before it."""
        if self._log is None:
            return
        noted: tuple[Observed, ...] = ()
        if self._unwritten:
            noted = tuple(self._unwritten.values())
            if len(noted) > 1:
                noted = tuple(sorted(noted, key=_row))
            self._unwritten.clear()
        self._written_row = self._exchange.shown_row
        self._log.append(_encode(Told(noted, call)))


def _row(observed: Observed) -> int:
    return observed.row


def _check(opened: Opened) -> None:
    if opened.fee_bps < 0 or not 0 <= opened.slippage_bps < 1_000:
        raise SettingsRefused(f"fees of `{opened.fee_bps}` bps with slippage of `{opened.slippage_bps}` make no sense")
    for one in opened.instruments:
        if one.tick_atoms <= 0 or one.lot_atoms <= 0:
            raise SettingsRefused("tick and lot must be positive", where=one.instrument)


def _rebuild(exchange: Exchange, log: VenueLog, opened: Opened, until_row: int | None, *, where: str) -> None:
    """Make all calls of the log again, up to `until_row`; begin it where it is empty."""
    frames = log.take_frames()
    if not frames:
        log.append(_encode(opened))
        log.flush()
    elif _encode(opened) != frames[0]:
        raise SettingsRefused(
            "the venue was opened with other cash, fees, slippage or instruments before",
            where=where,
            to_do="use the settings it began with, or another state folder",
        )
    calls = [_told(frame, row, where) for row, frame in enumerate(frames[1:], 2)]
    known = _known(calls, until_row, where)
    if known < len(calls):
        log.keep(known + 1)
    for told in calls[:known]:
        for observed in told.noted:
            exchange.note(observed)
        if told.call is not None:
            _repeat(exchange, told.call)


def _known(calls: list[Told], until_row: int | None, where: str) -> int:
    """How many of the calls belong to rows that we remember."""
    if until_row is None:
        return len(calls)
    known = next((n for n, told in enumerate(calls) if _last_row(told) > until_row), len(calls))
    for told in calls[known:]:
        if not isinstance(told.call, Shown | Acted | None):
            # Orders leave only when the rows before them are durable: we have lost part of our journal, or it is another.
            raise JournalBroken(
                f"the venue has orders from after market row {until_row}, where our journal ends",
                row=known + 2,
                where=where,
                to_do="restore the journal that belongs to this venue; do not trade before books and venue agree",
            )
    return known


def _last_row(told: Told) -> int:
    """The last market row that a call saw; 0 for one that saw none."""
    call = told.call
    own = call.observed.row if isinstance(call, Shown) else call.row if isinstance(call, Acted) else 0
    return max([own, *map(_row, told.noted)])


def _told(frame: bytes, row: int, where: str) -> Told:
    try:
        return _decode(frame)
    except msgspec.MsgspecError as error:
        raise JournalBroken(
            f"frame {row} of the venue's log is of another build: {error}",
            row=row,
            where=where,
            to_do="start the build that wrote it, or name another state folder",
        ) from error


def _repeat(exchange: Exchange, call: Call) -> None:
    match call:
        case Placed(order, ts_ns):
            exchange.place(order, ts_ns)
        case Rejected(client_order_id, reason):
            exchange.reject(client_order_id, reason)
        case Cancelled(client_order_id, ts_ns):
            exchange.cancel(client_order_id, ts_ns)
        case Shown(observed, ts_ns):
            desk = exchange.note(observed)
            assert desk is not None
            exchange.match(desk, ts_ns)
        case Acted(action, row):
            exchange.act(action, row)
