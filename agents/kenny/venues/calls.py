"""What a paper venue is told and shown, as it stands in its log; and an exchange to which a call is made again."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from agents.kenny.venues.exchange import Exchange
from mutable_core.errors import JournalBroken
from mutable_core.messages import CorporateActionObserved, Instrument, Observed, OrderSpec

Taken: TypeAlias = tuple[str, int]
"""What is taken once: an order's id with `PLACED`, the id and time of a cancel, or a closing with `CLOSING`."""
PLACED = -1
CLOSING = -2


class Opened(msgspec.Struct, frozen=True, array_like=True, tag="opened/1"):
    """The first frame: what the books begin with and are computed by."""

    cash_micros: int
    fee_bps: int
    slippage_bps: int
    instruments: tuple[Instrument, ...]

    def exchange(self) -> Exchange:
        """One to which nothing was told yet."""
        return Exchange(
            cash_micros=self.cash_micros,
            instruments=self.instruments,
            fee_bps=self.fee_bps,
            slippage_bps=self.slippage_bps,
        )


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


class Barred(msgspec.Struct, frozen=True, array_like=True, tag="barred", gc=False):
    bars: dict[str, int]


class Withdrawn(msgspec.Struct, frozen=True, array_like=True, tag="withdrawn", gc=False):
    instrument: str


class Closed(msgspec.Struct, frozen=True, array_like=True, tag="closed", gc=False):
    instrument: str
    latch: str

    @property
    def taken(self) -> Taken:
        return f"{self.latch} {self.instrument}", CLOSING


Call: TypeAlias = Placed | Rejected | Cancelled | Shown | Acted | Barred | Withdrawn | Closed


class Told(msgspec.Struct, frozen=True, array_like=True, tag="told", gc=False):
    """One frame: the rows that preceded the call without effect (the last of each instrument), and the call."""

    noted: tuple[Observed, ...]
    call: Call | None

    @property
    def last_row(self) -> int:
        """The last market row that the call saw; 0 for one that saw none."""
        call = self.call
        own = call.observed.row if isinstance(call, Shown) else call.row if isinstance(call, Acted) else 0
        return max([own, *[observed.row for observed in self.noted]])

    @property
    def is_command(self) -> bool:
        """Whether somebody told the venue to do something; what it was shown, it will be shown again."""
        return isinstance(self.call, Placed | Rejected | Cancelled)

    @property
    def is_of_kill_switch(self) -> bool:
        """Whether somebody did this past us."""
        return isinstance(self.call, Barred | Withdrawn | Closed)

    def repeat(self, exchange: Exchange) -> Taken | None:
        """Make the call again. Returns what was taken by it."""
        for observed in self.noted:
            exchange.note(observed)
        match self.call:
            case None:
                return None
            case Placed(order, ts_ns):
                exchange.place(order, ts_ns)
                return order.client_order_id, PLACED
            case Rejected(client_order_id, reason):
                exchange.reject(client_order_id, reason)
                return client_order_id, PLACED
            case Cancelled(client_order_id, ts_ns):
                exchange.cancel(client_order_id)
                return client_order_id, ts_ns
            case Shown(observed, ts_ns):
                desk = exchange.note(observed)
                assert desk is not None
                exchange.match(desk, ts_ns)
                return None
            case Acted(action, row):
                exchange.act(action, row)
                return None
            case Barred(bars):
                exchange.bar(bars)
                return None
            case Withdrawn(instrument):
                exchange.withdraw(instrument)
                return None
            case Closed(instrument, latch) as closed:
                exchange.close_positions(instrument, latch)
                return closed.taken


encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Told).decode


def told(frame: bytes, number: int, *, where: str) -> Told:
    """The call in frame `number` (1-based) of the log at `where`.

    Raises:
        JournalBroken: the frame is whole, and no call that this build knows.
    """
    try:
        return _decode(frame)
    except msgspec.MsgspecError as error:
        raise JournalBroken(
            f"frame {number} of the venue's log is of another build: {error}",
            row=number,
            where=where,
            to_do="start the build that wrote it, or name another state folder",
        ) from error
