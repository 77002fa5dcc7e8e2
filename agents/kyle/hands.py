"""Kyle's hands where he has a process of his own: they open the market source there, and hand on its rows in batches.

A source may be slow: a large file is read at its opening, and the way to where a run stood may be long. So it is read in a
thread, a few batches ahead, and whoever asks is told `not yet` at once: the process goes on showing that it lives.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, Full, Queue
from typing import Any

import msgspec

from agents.kyle.sources.port import Slice, Source
from mutable_core.errors import ArkError, Unacceptable
from mutable_core.messages import Envelope, Instrument

BATCH_ROWS = 256
"""Of one answer, unless one moment alone has more."""
AHEAD = 4
"""Batches that are read before anybody asks for them."""
PATIENCE_S = 0.02
"""How long a question may wait for an answer that is not there yet."""


class Described(msgspec.Struct, frozen=True):
    """A source's attributes; see `agents.kyle.sources.port.Source`."""

    name: str
    fingerprint: str
    is_public: bool
    seed: int
    instruments: tuple[Instrument, ...]
    rows: int | None


class Batch(msgspec.Struct, frozen=True):
    """What `read` answers.

    Attributes:
        slices: the next ones, in order; none with `is_end` false: not yet.
        is_end: nothing comes after them.
    """

    slices: tuple[Slice, ...] = ()
    is_end: bool = False


NOT_YET = b""
"""What `describe` answers while the source is being opened."""

_encode = msgspec.msgpack.encode
_row = msgspec.msgpack.Decoder(int)


class KyleHands:
    """Implements `agents.runtime.hands.Hands`.

    Args:
        open_source: opens the source; run once, in a thread.
    """

    def __init__(self, open_source: Callable[[], Source]) -> None:
        self._opening = _Opening(open_source)
        self._reader: _Reader | None = None

    def attach(self, _state: Callable[[], Any]) -> None:
        """Reading needs nothing that Kyle knows."""

    def fold(self, _envelope: Envelope) -> None:
        """Nor anything that stands in the log."""

    def want(self, wants: Sequence[Any]) -> None:
        """Kyle wants nothing."""
        raise AssertionError(f"Kyle wants {wants}")

    def kept(self) -> bytes:
        """There is nothing to keep: a source gives the same rows to each process."""
        return b""

    def resume(self, _kept: bytes) -> None:
        """See `kept`."""

    def call(self, what: str, payload: bytes, _back: Callable[[str, bytes], bytes]) -> bytes:
        """`describe` → a `Described`, or `NOT_YET`; `read`, with the number of the last row that is there → a `Batch`.

        Raises:
            ArkError: the source cannot be opened or read.
        """
        source = self._opening.source()
        if what == "describe":
            return NOT_YET if source is None else _encode(_described(source))
        if what == "read":
            return _encode(Batch()) if source is None else self._read(source, _row.decode(payload))
        raise Unacceptable(f"Kyle's hands cannot do `{what}`")

    def _read(self, source: Source, after_row: int) -> bytes:
        reader = self._reader
        if reader is None or reader.next_after != after_row:
            if reader is not None:
                reader.stop()
            reader = self._reader = _Reader(source, after_row)
        return _encode(reader.batch())


def _described(source: Source) -> Described:
    return Described(*(getattr(source, name) for name in Described.__struct_fields__))


class _Opening:
    """A source that is being opened."""

    def __init__(self, open_source: Callable[[], Source]) -> None:
        self._open = open_source
        self._source: Source | None = None
        self._error: ArkError | None = None
        self._thread = threading.Thread(target=self._work, name="source-opening", daemon=True)
        self._thread.start()

    def source(self) -> Source | None:
        """None while it is not open yet.

        Raises:
            ArkError: it cannot be opened.
        """
        self._thread.join(PATIENCE_S)
        if self._error is not None:
            raise self._error
        return self._source

    def _work(self) -> None:
        try:
            self._source = self._open()
        except ArkError as error:
            self._error = error
        except Exception as error:  # noqa: BLE001  # whoever asks is told, in the thread that is asked
            self._error = Unacceptable(f"the source cannot be opened: {type(error).__name__}: {error}")


class _Reader:
    """Reads ahead, from one row on.

    Attributes:
        next_after: the last row that was handed out.
    """

    def __init__(self, source: Source, after_row: int) -> None:
        self.next_after = after_row
        self._slices = source.slices(after_row)
        self._ready: Queue[Batch | Exception] = Queue(AHEAD)
        self._is_over = False
        self._stopped = threading.Event()
        threading.Thread(target=self._work, name="source-reading", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def batch(self) -> Batch:
        """The next one, or an empty one where it is not there yet."""
        if self._is_over:
            return Batch((), is_end=True)
        try:
            found = self._ready.get(timeout=PATIENCE_S)
        except Empty:
            return Batch()
        if isinstance(found, Exception):
            self._is_over = True
            raise found
        self._is_over = found.is_end
        if found.slices:
            self.next_after = found.slices[-1].rows[-1].row
        return found

    def _work(self) -> None:
        try:
            for batch in _batches(self._slices):
                if not self._put(batch):
                    return
        except Exception as error:  # noqa: BLE001  # whoever asks is told, in the thread that is asked
            self._put(error)

    def _put(self, found: Batch | Exception) -> bool:
        while not self._stopped.is_set():
            try:
                self._ready.put(found, timeout=1.0)
            except Full:
                continue
            return True
        return False


def _batches(slices: Iterator[Slice]) -> Iterator[Batch]:
    waiting: list[Slice] = []
    rows = 0
    for one in slices:
        waiting.append(one)
        rows += len(one.rows)
        if rows >= BATCH_ROWS:
            yield Batch(tuple(waiting))
            waiting, rows = [], 0
    yield Batch(tuple(waiting), is_end=True)
