"""What the metrics process is told: rows with their stamps and commits by the core, readings and health by who has them.

A feed never waits. A metrics process that does not read for long loses it, and shows so: what is not told is not well.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterator, Mapping
from typing import TypeAlias

import msgspec

from deployment.monitor import Monitor
from monitoring.catalogue import CATALOGUE
from monitoring.readings import Readings
from mutable_core.errors import MalformedMessage
from mutable_core.messages import Envelope, encode

WAITING_BYTES_MAX = 32 << 20
_LENGTH_BYTES = 4
_FRAME_MAX = 16 << 20
_ROWS_MAX = 512
_SEND_BYTES = 1 << 18


class Rows(msgspec.Struct, frozen=True, tag="rows"):
    """Canonical bytes of rows, and when the bus gave them their places; monotonic ns."""

    rows: tuple[tuple[bytes, int], ...]


class Committed(msgspec.Struct, frozen=True, tag="committed"):
    """As `monitoring.tap.Tap.committed`."""

    rows: int
    duration_ns: int
    pending: int


class Told(msgspec.Struct, frozen=True, tag="told"):
    """How things are now.

    Attributes:
        readings: metric → samples, labels → value; a metric that is not there is not known.
        components: (name, ok, detail), for `/readyz`.
    """

    readings: dict[str, tuple[tuple[tuple[str, ...], float], ...]]
    components: tuple[tuple[str, bool, str], ...]


News: TypeAlias = Rows | Committed | Told

_news: msgspec.msgpack.Decoder[News] = msgspec.msgpack.Decoder(News)


class Feed:
    """The side that tells.

    Args:
        connection: a stream; kept, and closed with `close`.
    """

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._rows: list[tuple[bytes, int]] = []
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0

    def row(self, envelope: Envelope, stamp_ns: int) -> None:
        self._rows.append((encode(envelope), stamp_ns))
        if len(self._rows) >= _ROWS_MAX:
            self._push_rows()

    def committed(self, rows: int, duration_ns: int, pending: int) -> None:
        self._push_rows()
        self._push(Committed(rows, duration_ns, pending))

    def state(self, monitor: Monitor) -> None:
        """All readings and components that `monitor` has."""
        components = tuple((one.name, one.ok, one.detail) for one in monitor.health.components())
        self.told(readings_of(monitor.readings), components)

    def told(
        self, readings: Mapping[str, Mapping[tuple[str, ...], float]], components: tuple[tuple[str, bool, str], ...]
    ) -> None:
        self._push_rows()
        self._push(Told({name: tuple(samples.items()) for name, samples in readings.items()}, components))

    def flush(self) -> bool:
        """Send what is taken now. False: the other side reads nothing, or has gone; the feed is over."""
        self._push_rows()
        try:
            while self._waiting:
                data = self._waiting.popleft()
                sent = self._sent(data)
                self._waiting_bytes -= sent
                if sent < len(data):
                    self._waiting.appendleft(data[sent:])
                    break
        except OSError:
            return False
        return self._waiting_bytes <= WAITING_BYTES_MAX

    def close(self) -> None:
        self._connection.close()

    def _sent(self, data: bytes) -> int:
        try:
            return self._connection.send(data)
        except BlockingIOError:
            return 0

    def _push_rows(self) -> None:
        if self._rows:
            rows, self._rows = tuple(self._rows), []
            self._push(Rows(rows))

    def _push(self, news: News) -> None:
        data = msgspec.msgpack.encode(news)
        self._waiting.append(len(data).to_bytes(_LENGTH_BYTES, "big") + data)
        self._waiting_bytes += _LENGTH_BYTES + len(data)


def readings_of(readings: Readings) -> dict[str, Mapping[tuple[str, ...], float]]:
    """Every reading that is known now, by metric."""
    found = {metric.name: readings.take(metric) for metric in CATALOGUE if metric.source == "reading"}
    return {name: samples for name, samples in found.items() if samples}


class Listening:
    """The side that is told.

    Args:
        connection: a stream that does not block.
    """

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.connection = connection
        self._data = bytearray()

    def news(self) -> Iterator[News]:
        """What has come.

        Raises:
            EOFError: nobody tells any more.
            MalformedMessage: it is none of ours.
        """
        try:
            chunk = self.connection.recv(_SEND_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            raise EOFError from error
        if not chunk:
            raise EOFError
        self._data += chunk
        while len(self._data) >= _LENGTH_BYTES:
            length = int.from_bytes(self._data[:_LENGTH_BYTES], "big")
            if length > _FRAME_MAX:
                raise MalformedMessage(f"news of {length} bytes for the metrics were announced")
            end = _LENGTH_BYTES + length
            if len(self._data) < end:
                return
            data = bytes(self._data[_LENGTH_BYTES:end])
            del self._data[:end]
            try:
                yield _news.decode(data)
            except msgspec.MsgspecError as error:
                raise MalformedMessage(f"no news for the metrics: {error}") from error
