"""The paper venue: an exchange in our process that outlives it.

What it is told (`place`, `cancel`) and what it is shown (`show`, `apply`) is written to its own log, and its books
are rebuilt from there: the exchange is deterministic, so the same calls give the same events.

* Nothing is said that is not written: `events`, `statement` and a `knows` that says yes write first what waits.
  Until then a command may be lost by a crash, as one may on its way to a real venue: ask `knows`, and tell it again.
* A row that led to nothing is not written at once: the last one of each instrument is written together with the next
  call that matters, or after `NOTE_EVERY` rows, or by `note`. So after a crash the venue may be behind on such rows,
  never on others. **After a restart, make all calls again in their order, beginning with the first row after
  `shown_row`, or earlier:** what the venue has seen changes nothing, what it forgot had no effect, and the outcome is
  that of a run that was never disturbed.
* A row is known by its number, a corporate action by the row that it precedes, an order by its id, a cancel by id and
  time. Each changes something once, for ever. The ids of an order's legs are taken together with its own.
* Memory does not grow with the number of orders: every `SNAPSHOT_EVERY` calls the books go to an index beside the log,
  with the ids that were taken, and what was said before is read again from the log if anybody asks. An open checks
  all bytes of the log, and makes only the calls after the newest snapshot again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self

import msgspec

from agents.kenny.venues.calls import (
    PLACED,
    Acted,
    Barred,
    Call,
    Cancelled,
    Closed,
    Opened,
    Placed,
    Rejected,
    Shown,
    Taken,
    Told,
    Withdrawn,
    encode,
)
from agents.kenny.venues.exchange import Exchange
from agents.kenny.venues.venue_store import VenueStore
from mutable_core.errors import SettingsRefused
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
SNAPSHOT_EVERY: Final = 512
"""Frames of the log between two snapshots; so many calls are made again at an open, and a batch."""


class FeeModel(msgspec.Struct, frozen=True):
    """What the venue charges: `bps` of each fill's notional, rounded up to a micro. An integer ≥ 0."""

    bps: int = 1


ONE_BP: Final = FeeModel()


class SimulatedVenue:
    """Implements `Venue`, `MarketDriven` and `KillPort`. Made with `open`."""

    def __init__(self, name: str, exchange: Exchange, store: VenueStore | None) -> None:
        self.name = name
        self._exchange = exchange
        self._store = store
        self._log = store.log if store else None
        self._taken: set[Taken] = set()  # where there is no store
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
        snapshot_every: int = SNAPSHOT_EVERY,
    ) -> Self:
        """The venue whose log is at `path`, as it was; a new one where there is none. None: in memory only.

        Args:
            path: the log's file; missing folders are made. The index lies beside it, `venue.index` for `venue.log`.
            cash_micros: what the account begins with.
            instruments: what is traded here, with tick and lot.
            fees: what each fill costs.
            slippage_bps: of market and stop fills, ≥ 0.
            name: what a person calls it.
            until_row: the last market row that we remember having shown. What the venue made of later rows is
                forgotten: they will be shown again, and the same will follow. None forgets nothing.
            snapshot_every: frames between two snapshots, ≥ 1.

        Raises:
            SettingsRefused: the log was begun with other settings, or these make no sense.
            JournalBroken: the log was altered, or holds an order that came after `until_row`.
            StateInUse: another process has the log open.
            DiskUnavailable: the log cannot be opened or written.
        """
        opened = Opened(cash_micros, fees.bps, slippage_bps, instruments)
        _check(opened)
        if path is None:
            return cls(name, opened.exchange(), None)
        store = VenueStore(path, opened, snapshot_every)
        try:
            return cls(name, store.rebuilt(until_row), store)
        except BaseException:
            store.close()
            raise

    @property
    def shown_row(self) -> int:
        """The last row that the venue has seen, 0 before the first."""
        return self._exchange.shown_row

    # -- Venue ------------------------------------------------------------------------------------------------------

    def place(self, order: OrderSpec, ts_ns: int) -> None:
        """Against quotes a marketable order fills at once; else it waits for the instrument's next row."""
        client_order_id = order.client_order_id
        if self._is_taken(client_order_id):
            return
        reason = self._exchange.place(order, ts_ns)
        self._take((client_order_id, PLACED))
        self._tell(Placed(order, ts_ns) if reason is None else Rejected(client_order_id, reason))

    def cancel(self, client_order_id: str, ts_ns: int) -> None:
        """Of an entry: its unfilled rest. Of a leg: that leg, and what its entry has not filled."""
        command = (client_order_id, ts_ns)
        if self._has_taken(command):
            return
        self._exchange.cancel(client_order_id)
        self._take(command)
        self._tell(Cancelled(client_order_id, ts_ns))

    def knows(self, client_order_id: str) -> bool:
        """Of an order that stood or was rejected, and of its legs."""
        is_known = self._is_taken(client_order_id)
        if is_known:
            self.flush()
        return is_known

    def _is_taken(self, client_order_id: str) -> bool:
        entry_id, dot, _ = client_order_id.partition(".")
        return self._has_taken((client_order_id, PLACED)) or (bool(dot) and self._has_taken((entry_id, PLACED)))

    def _has_taken(self, taken: Taken) -> bool:
        return taken in self._taken if self._store is None else self._store.is_taken(taken)

    def _take(self, taken: Taken) -> None:
        if self._store is None:
            self._taken.add(taken)
        else:
            self._store.take(taken)

    def events(self, after: int) -> Sequence[VenueEvent]:
        """What was heard before the newest snapshot is read again from the log, which takes its time."""
        exchange, store = self._exchange, self._store
        after = max(after, 0)
        if store is not None:
            store.write()
            if after < exchange.said_before:
                return store.said_again(after)
            if store.is_snapshot_due:
                self.note()
                store.snapshot(exchange, store.log.position)
                exchange.forget_said(after)
        return exchange.said[after - exchange.said_before :]

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

    def note(self) -> None:
        """Write what waits, and the rows that led to nothing too: now the venue is behind on none of them.

        Raises:
            DiskUnavailable: it could not be written; it still waits.
        """
        if self._unwritten:
            self._tell(None)
        self.flush()

    def close(self) -> None:
        """Write everything and let go of the files. Closed before: changes nothing."""
        if self._log is not None and not self._log.is_closed:
            try:
                self.note()
            finally:
                if self._store is not None:
                    self._store.close()

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
                self.note()

    def apply(self, action: CorporateActionObserved, row: int, ts_ns: int) -> None:  # noqa: ARG002  the port has a time
        if self._exchange.is_new_action(row):
            self._exchange.act(action, row)
            self._tell(Acted(action, row))

    # -- KillPort ---------------------------------------------------------------------------------------------------

    def set_bars(self, bars: Mapping[str, int]) -> None:
        if dict(bars) != self._exchange.bars:
            self._exchange.bar(bars)
            self._tell(Barred(dict(bars)))
        self.flush()

    def bars(self) -> Mapping[str, int]:
        return dict(self._exchange.bars)

    def withdraw(self, instrument: str) -> tuple[str, ...]:
        withdrawn = self._exchange.withdraw(instrument)
        if withdrawn:
            self._tell(Withdrawn(instrument))
        self.flush()
        return withdrawn

    def close_positions(self, instrument: str, latch: str) -> tuple[str, ...]:
        closed = Closed(instrument, latch)
        if self._has_taken(closed.taken):
            return ()
        placed = self._exchange.close_positions(instrument, latch)
        self._take(closed.taken)
        self._tell(closed)
        self.flush()
        return placed

    # -- log --------------------------------------------------------------------------------------------------------

    def _tell(self, call: Call | None) -> None:
        """Log a call that changed something, with the rows that came before it."""
        log = self._log
        if log is None:
            return
        noted: tuple[Observed, ...] = ()
        if self._unwritten:
            noted = tuple(self._unwritten.values())
            if len(noted) > 1:
                noted = tuple(sorted(noted, key=_row))
            self._unwritten.clear()
        self._written_row = self._exchange.shown_row
        log.append(encode(Told(noted, call)))


def _row(observed: Observed) -> int:
    return observed.row


def _check(opened: Opened) -> None:
    if opened.fee_bps < 0 or not 0 <= opened.slippage_bps < 1_000:
        raise SettingsRefused(f"fees of `{opened.fee_bps}` bps with slippage of `{opened.slippage_bps}` make no sense")
    for one in opened.instruments:
        if one.tick_atoms <= 0 or one.lot_atoms <= 0:
            raise SettingsRefused("tick and lot must be positive", where=one.instrument)
