"""The venue's process, seen from the other end of a connection: the venue port, its market, and the kill port.

* One request at a time, each with a number; an answer that comes too late is known by it and thrown away.
* A venue that does not answer within the patience is `VenueUnavailable`. For a moment after a silence every request fails
  at once: a venue that stands still must not cost its whole patience each time. A late answer ends that.
* What a venue is shown is sent without waiting. `settle` waits until all of it was taken.

Whether a request that was not answered was heard is not known; what a caller must do then stands in the port.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec

from agents.kenny.venues import venue_wire as wire
from mutable_core import errors
from mutable_core.clock import monotonic_ns
from mutable_core.errors import ArkError, JournalBroken, MalformedMessage, VenueUnavailable
from mutable_core.messages import CorporateActionObserved, Instrument, Observed, OrderSpec, VenueEvent, VenueStated

T = TypeVar("T")

PATIENCE_MS = 250
SILENT_NS = 200_000_000
"""For so long after a silence requests fail at once."""
CHUNK_BYTES = 1 << 18
BEHIND_BYTES = 1 << 18
"""With more than this waiting to be sent, whoever shows rows waits for the venue."""
UNSENT_MAX = 1 << 22
"""Bytes that may wait for a venue that takes nothing."""

_CLASSES: dict[str, type[ArkError]] = {
    name: one for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, ArkError)
}


class Line:
    """Requests over one connection, and their answers. For one thread.

    Args:
        connection: to the venue's process; it is closed with `close`.
        patience_ms: how long an answer may take.
        monotonic: ns; injected so that tests need not wait.
    """

    def __init__(
        self,
        connection: socket.socket,
        patience_ms: int = PATIENCE_MS,
        monotonic: Callable[[], int] = monotonic_ns,
    ) -> None:
        connection.setblocking(False)
        self.patience_ms = patience_ms
        self._connection = connection
        self._monotonic = monotonic
        self._number = 0
        self._unsent = bytearray()
        self._heard = bytearray()
        self._silent_until_ns = 0
        self._is_over = False

    def tell(self, call: wire.Call) -> None:
        """Send without waiting for an answer.

        Raises:
            VenueUnavailable: the connection has ended, or too much waits to be sent already.
        """
        self._queue(wire.Asked(0, call))
        self._send_now()
        if len(self._unsent) > BEHIND_BYTES and self._monotonic() >= self._silent_until_ns:
            try:
                self._send(self._deadline())  # the venue is slower than we are: let it catch up
            except VenueUnavailable:
                if self._is_over:
                    raise

    def ask(self, call: wire.Call, kind: type[T] | Any, *, patience_ms: int | None = None) -> Any:
        """The answer.

        Raises:
            VenueUnavailable: none came in time, or the venue could not do it.
            ArkError: an `Open` was refused, by its own class.
        """
        if self._monotonic() < self._silent_until_ns and not self._has_woken():
            raise _unavailable("the venue has not answered yet")
        self._number += 1
        self._queue(wire.Asked(self._number, call))
        deadline = self._deadline(patience_ms)
        self._send(deadline)
        answer = self._answer(deadline)
        if isinstance(answer, wire.Failed):
            raise _error_of(answer, is_open=isinstance(call, wire.Open))
        try:
            return msgspec.msgpack.decode(answer.result, type=kind)
        except msgspec.MsgspecError as error:
            raise self._over(f"an answer of the venue cannot be read: {error}") from error

    def close(self) -> None:
        self._is_over = True
        self._connection.close()

    # -- bytes --------------------------------------------------------------------------------------------------------

    def _deadline(self, patience_ms: int | None = None) -> int:
        return self._monotonic() + (self.patience_ms if patience_ms is None else patience_ms) * 1_000_000

    def _queue(self, asked: wire.Asked) -> None:
        if self._is_over:
            raise _unavailable("the connection to the venue has ended")
        if len(self._unsent) > UNSENT_MAX:
            raise _unavailable("the venue takes nothing")
        self._unsent += wire.framed(asked)

    def _send_now(self) -> None:
        """As much as the venue takes now."""
        while self._unsent:
            try:
                sent = self._connection.send(self._unsent)
            except BlockingIOError:
                return
            except OSError as error:
                raise self._over("the connection to the venue has ended") from error
            del self._unsent[:sent]

    def _send(self, deadline_ns: int) -> None:
        self._send_now()
        while self._unsent:
            self._wait(select.POLLOUT, deadline_ns)
            self._send_now()

    def _wait(self, what: int, deadline_ns: int) -> None:
        """Raises VenueUnavailable once the deadline has passed."""
        left_ns = deadline_ns - self._monotonic()
        poll = select.poll()
        poll.register(self._connection, what)
        if left_ns <= 0 or not poll.poll(-(-left_ns // 1_000_000)):
            self._silent_until_ns = self._monotonic() + SILENT_NS
            raise _unavailable("the venue did not answer in time")

    def _answer(self, deadline_ns: int) -> wire.Said | wire.Failed:
        while True:
            for answer in self._answers():
                if answer.number == self._number:
                    return answer
            self._wait(select.POLLIN, deadline_ns)
            self._receive()

    def _answers(self) -> Sequence[wire.Said | wire.Failed]:
        """Those that have come; late ones among them."""
        try:
            return [wire.answered(frame) for frame in wire.frames_in(self._heard)]
        except MalformedMessage as error:
            raise self._over(error.what) from error

    def _receive(self) -> None:
        try:
            chunk = self._connection.recv(CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            raise self._over("the connection to the venue has ended") from error
        if not chunk:
            raise self._over("the connection to the venue has ended")
        self._heard += chunk

    def _has_woken(self) -> bool:
        """Whether the answer that was missed has come meanwhile."""
        if self._is_over:
            return True  # what follows says so
        self._send_now()
        self._receive()
        if any(answer.number == self._number for answer in self._answers()):
            self._silent_until_ns = 0
        return not self._silent_until_ns

    def _over(self, what: str) -> VenueUnavailable:
        """What was sent may have been heard in part: nothing more can be said over this connection."""
        self._is_over = True
        return _unavailable(what)


class RemoteVenue:
    """Implements `Venue` and `MarketDriven` over a connection; what its right does not allow ends the connection."""

    def __init__(self, connection: socket.socket, *, patience_ms: int = PATIENCE_MS, name: str = "simulated") -> None:
        self.name = name
        self.line = Line(connection, patience_ms)

    @classmethod
    def open(
        cls,
        connection: socket.socket,
        *,
        path: Path,
        cash_micros: int,
        instruments: tuple[Instrument, ...],
        until_row: int | None,
        patience_ms: int = PATIENCE_MS,
        open_ms: int = 60_000,
        name: str = "simulated",
    ) -> Self:
        """The venue whose log is at `path`, opened by its process, or opened again; arguments as `SimulatedVenue.open`.

        Raises:
            ArkError: as `SimulatedVenue.open`.
            VenueUnavailable: no answer within `open_ms`.
        """
        venue = cls(connection, patience_ms=patience_ms, name=name)
        try:
            venue.line.ask(wire.Open(str(path), cash_micros, instruments, until_row), None, patience_ms=open_ms)
        except BaseException:
            venue.close()
            raise
        return venue

    # -- Venue --------------------------------------------------------------------------------------------------------

    def place(self, order: OrderSpec, ts_ns: int) -> None:
        self.line.ask(wire.Place(order, ts_ns), None)

    def cancel(self, client_order_id: str, ts_ns: int) -> None:
        self.line.ask(wire.Cancel(client_order_id, ts_ns), None)

    def knows(self, client_order_id: str) -> bool:
        return bool(self.line.ask(wire.Knows(client_order_id), bool))

    def events(self, after: int) -> Sequence[VenueEvent]:
        found: list[VenueEvent] = []
        while True:
            page: list[VenueEvent] = self.line.ask(wire.Events(after + len(found)), list[wire.AnyEvent])
            found += page
            if len(page) < wire.EVENTS_MAX:
                return found

    def statement(self) -> VenueStated:
        stated = self.line.ask(wire.State(), VenueStated)
        assert isinstance(stated, VenueStated)
        return stated

    def is_up(self) -> bool:
        return _is_up(self.line)

    def close(self) -> None:
        """Let go of the connection; the venue goes on."""
        self.line.close()

    # -- MarketDriven -------------------------------------------------------------------------------------------------

    @property
    def shown_row(self) -> int:
        return int(self.line.ask(wire.ShownRow(), int))

    def note(self) -> None:
        self.line.ask(wire.Note(), None)

    def show(self, observed: Observed, ts_ns: int) -> None:
        self.line.tell(wire.Show(observed, ts_ns))

    def apply(self, action: CorporateActionObserved, row: int, ts_ns: int) -> None:
        self.line.tell(wire.Apply(action, row, ts_ns))

    def settle(self) -> None:
        """Return when everything shown has been taken: who asks over another connection now sees what followed.

        Raises:
            VenueUnavailable: no answer; it is taken when the venue comes to it.
        """
        self.line.ask(wire.Ask(), bool)


class KillLine:
    """Implements `KillPort` over a connection."""

    def __init__(self, connection: socket.socket, *, patience_ms: int = PATIENCE_MS) -> None:
        self.line = Line(connection, patience_ms)

    def set_bars(self, bars: Mapping[str, int]) -> None:
        self.line.ask(wire.SetBars(dict(bars)), None)

    def bars(self) -> Mapping[str, int]:
        bars: dict[str, int] = self.line.ask(wire.Bars(), dict[str, int])
        return bars

    def withdraw(self, instrument: str) -> tuple[str, ...]:
        withdrawn: tuple[str, ...] = self.line.ask(wire.Withdraw(instrument), tuple[str, ...])
        return withdrawn

    def close_positions(self, instrument: str, latch: str) -> tuple[str, ...]:
        placed: tuple[str, ...] = self.line.ask(wire.Close(instrument, latch), tuple[str, ...])
        return placed

    def statement(self) -> VenueStated:
        stated = self.line.ask(wire.State(), VenueStated)
        assert isinstance(stated, VenueStated)
        return stated

    def is_up(self) -> bool:
        return _is_up(self.line)

    def close(self) -> None:
        self.line.close()


def _is_up(line: Line) -> bool:
    try:
        return bool(line.ask(wire.Ask(), bool))
    except VenueUnavailable:
        return False


def _unavailable(what: str) -> VenueUnavailable:
    return VenueUnavailable(what, where="venue")


def _error_of(failed: wire.Failed, *, is_open: bool) -> ArkError:
    """Only who opens the venue can act on what it says; to everybody else it is a venue that does not answer."""
    kind = _CLASSES.get(failed.error, VenueUnavailable) if is_open else VenueUnavailable
    if kind is JournalBroken:
        return JournalBroken(failed.what, row=failed.row, where=failed.where, to_do=failed.to_do)
    return kind(failed.what, where=failed.where, to_do=failed.to_do)
