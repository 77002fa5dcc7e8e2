"""The venue's process: the paper exchange in a world of its own, which outlives everybody who trades there.

It speaks only over connections that the Watchdog hands to it, each with its right; see `venue_wire`. A newer connection of
a right ends the older one, so that nobody who was replaced can trade on. Two rules about order:

* Before anything that Kenny or the kill switch says, everything is taken that the core has shown by then.
* What is answered is written: an order that was taken survives a kill of this process.
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from agents.kenny.venues import venue_wire as wire
from agents.kenny.venues.simulated import SimulatedVenue
from agents.kenny.venues.venue_wire import Right
from mutable_core.clock import monotonic_ns
from mutable_core.errors import ArkError, DiskUnavailable, JournalBroken, MalformedMessage, VenueUnavailable
from mutable_core.leash import Ping, Pong, Stop, from_watchdog, send

CHUNK_BYTES = 1 << 18
UNSENT_MAX = 1 << 24
"""Bytes of answers that may wait for somebody who does not read them; the connection ends then."""
_RIGHTS: Final[tuple[Right, ...]] = ("kill", "market", "trade")
"""In the order in which they are attended to."""
_NAME_MAX = 16


def send_connection(control: socket.socket, right: Right, connection: socket.socket | int) -> None:
    """The Watchdog's side: hand a connection over, with its right. The caller closes its own copy.

    Raises:
        OSError: the venue's process has gone, or does not take it now.
    """
    number = connection if isinstance(connection, int) else connection.fileno()
    socket.send_fds(control, [right.encode()], [number])


def serve(control: socket.socket, leash: socket.socket | None = None) -> int:
    """Serve until `control` ends or the leash says stop. Returns the exit code.

    Args:
        control: `SOCK_SEQPACKET` from the Watchdog, over which connections come (`send_connection`).
        leash: pings are answered by the same loop; None without a Watchdog.

    Raises:
        ArkError: the venue cannot go on.
    """
    server = Server()
    try:
        server.run(control, leash)
    finally:
        server.close()
    return 0


class Connection:
    """One that was handed over."""

    def __init__(self, right: Right, sock: socket.socket) -> None:
        self.right = right
        self.sock = sock
        self.heard = bytearray()
        self.unsent = bytearray()

    def receive(self) -> bool:
        """Take what has come. False: the other end has let go."""
        while True:
            try:
                chunk = self.sock.recv(CHUNK_BYTES)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not chunk:
                return False
            self.heard += chunk

    def send(self) -> bool:
        """Send what waits, as much as is taken. False: the other end has let go, or reads nothing."""
        while self.unsent:
            try:
                sent = self.sock.send(self.unsent)
            except BlockingIOError:
                return len(self.unsent) <= UNSENT_MAX
            except OSError:
                return False
            del self.unsent[:sent]
        return True


class Server:
    """The loop, and the venue once it was opened."""

    def __init__(self) -> None:
        self._venue: SimulatedVenue | None = None
        self._bars: Mapping[str, int] = {}  # as the kill switch set them last, also before the venue was open
        self._connections: dict[Right, Connection] = {}
        self._selector = selectors.DefaultSelector()
        self._handled = 0

    def run(self, control: socket.socket, leash: socket.socket | None) -> None:
        for sock in (control, leash):
            if sock is not None:
                sock.setblocking(False)
                self._selector.register(sock, selectors.EVENT_READ)
        while True:
            ready = [key.fileobj for key, _ in self._selector.select()]
            if leash is not None and leash in ready and not self._is_pinged(leash):
                return
            if control in ready and not self._has_come(control):
                return
            for right in _RIGHTS:
                connection = self._connections.get(right)
                if connection is not None and connection.sock in ready:
                    self._attend(connection)

    def close(self) -> None:
        """Write everything and let go of the files."""
        for connection in list(self._connections.values()):
            self._drop(connection)
        self._selector.close()
        if self._venue is not None:
            self._venue.close()

    # -- connections --------------------------------------------------------------------------------------------------

    def _is_pinged(self, leash: socket.socket) -> bool:
        """False: it is time to end."""
        with suppress(BlockingIOError):
            frame = from_watchdog(leash)
            if frame is None or isinstance(frame, Stop):
                return False
            if isinstance(frame, Ping):
                send(leash, Pong(frame.n, self._handled, monotonic_ns()))
        return True

    def _has_come(self, control: socket.socket) -> bool:
        """Take a connection. False: the Watchdog has let go."""
        try:
            name, descriptors, _, _ = socket.recv_fds(control, _NAME_MAX, 1)
        except BlockingIOError:
            return True
        right = name.decode("ascii", "replace")
        for descriptor in descriptors:
            sock = socket.socket(fileno=descriptor)
            if right in _RIGHTS:
                self._join(Connection(right, sock))
            else:
                sock.close()
        return bool(name)

    def _join(self, connection: Connection) -> None:
        old = self._connections.get(connection.right)
        if old is not None:
            self._drop(old)
        connection.sock.setblocking(False)
        self._connections[connection.right] = connection
        self._selector.register(connection.sock, selectors.EVENT_READ)

    def _drop(self, connection: Connection) -> None:
        if self._connections.get(connection.right) is connection:
            del self._connections[connection.right]
            self._selector.unregister(connection.sock)
            connection.sock.close()

    def _attend(self, connection: Connection) -> None:
        """Take and answer everything that has come over it."""
        is_there = connection.receive()
        try:
            for frame in wire.frames_in(connection.heard):
                self._take(connection, wire.asked(frame))
        except MalformedMessage:
            is_there = False  # it is none of ours any more
        if not (connection.send() and is_there):
            self._drop(connection)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.unsent else 0)
        if self._connections.get(connection.right) is connection:
            self._selector.modify(connection.sock, wanted)

    def _take(self, connection: Connection, asked: wire.Asked) -> None:
        if type(asked.call) not in wire.ALLOWED[connection.right]:
            raise MalformedMessage(f"a connection for `{connection.right}` asked for `{type(asked.call).__name__}`")
        if connection.right != "market":
            market = self._connections.get("market")
            if market is not None:
                self._attend(market)
        self._handled += 1
        if not asked.number:
            self._show(asked.call)
            return
        connection.unsent += wire.framed(self._answer(asked))

    # -- the venue ----------------------------------------------------------------------------------------------------

    def _answer(self, asked: wire.Asked) -> wire.Said | wire.Failed:
        try:
            result = self._done(asked.call)
            if self._venue is not None:
                self._venue.flush()
        except ArkError as error:
            row = error.row if isinstance(error, JournalBroken) else 0
            return wire.Failed(asked.number, type(error).__name__, error.what, error.where, error.to_do, row)
        return wire.Said(asked.number, msgspec.Raw(wire.encode(result)))

    def _opened(self) -> SimulatedVenue:
        if self._venue is None:
            raise VenueUnavailable("nobody has opened the venue yet")
        return self._venue

    def _show(self, call: wire.Call) -> None:
        """What wants no answer. What the disk does not take waits, and the next answer says so."""
        if self._venue is None:
            return  # shown again after the open
        with suppress(DiskUnavailable):
            match call:
                case wire.Show(observed, ts_ns):
                    self._venue.show(observed, ts_ns)
                case wire.Apply(action, row, ts_ns):
                    self._venue.apply(action, row, ts_ns)
                case _:
                    self._done(call)

    def _done(self, call: wire.Call) -> Any:
        match call:
            case wire.Open():
                return self._open(call)
            case wire.Ask():
                return self._venue is not None and self._venue.is_up()
            case wire.SetBars(bars):
                return self._set_bars(bars)
            case wire.Place(order, ts_ns):
                return self._opened().place(order, ts_ns)
            case wire.Cancel(key, ts_ns):
                return self._opened().cancel(key, ts_ns)
            case wire.Knows(key):
                return self._opened().knows(key)
            case wire.Events(after):
                return list(self._opened().events(after)[: wire.EVENTS_MAX])
            case wire.State():
                return self._opened().statement()
            case wire.Bars():
                return dict(self._bars if self._venue is None else self._venue.bars())
            case wire.Withdraw(instrument):
                return self._opened().withdraw(instrument)
            case wire.Close(instrument, latch):
                return self._opened().close_positions(instrument, latch)
            case wire.Note():
                return self._opened().note()
            case wire.ShownRow():
                return self._opened().shown_row
            case _:
                return self._show(call)

    def _open(self, call: wire.Open) -> None:
        """Open the log, or open it again: what the venue made of rows that the journal has lost is forgotten then."""
        if self._venue is not None:
            self._venue.close()
            self._venue = None
        self._venue = SimulatedVenue.open(
            Path(call.path), cash_micros=call.cash_micros, instruments=call.instruments, until_row=call.until_row
        )
        bars = dict(self._venue.bars())
        for instrument, level in self._bars.items():  # what stood there before is lifted by the kill switch alone
            bars[instrument] = max(bars.get(instrument, 0), level)
        self._venue.set_bars(bars)

    def _set_bars(self, bars: Mapping[str, int]) -> None:
        """A bar that comes before the venue is open stands from its first moment."""
        self._bars = bars
        if self._venue is not None:
            self._venue.set_bars(bars)
