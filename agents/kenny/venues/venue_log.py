"""The venue's own log: what it was told and shown, in frames, so that it outlives our process.

A frame is a header (length, CRC-32 of the payload, CRC-32 of these two) and a payload. Frames are collected and
written with one `os.write`. There is no fsync: what was written survives `kill -9`, because the page cache does. A
power cut it need not survive: a real venue stands elsewhere, and that is its business.

* A file that ends inside a frame was cut off by a crash: the torn frame is cut away, what precedes it stands.
* A frame that is whole but wrong was altered: `JournalBroken`, and nothing is cut.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

from mutable_core.errors import DiskUnavailable, JournalBroken, StateInUse, VenueUnavailable

FLUSH_BYTES = 1 << 16
"""Frames are written at the latest when this many bytes wait."""
_LENGTHS = struct.Struct("<II")
_CRC = struct.Struct("<I")
_HEADER_BYTES = _LENGTHS.size + _CRC.size


class VenueLog:
    """One file, one owner. `frames` are the payloads found at the open."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting = bytearray()
        self._fd = _owned(path)
        try:
            data = path.read_bytes()
            self._frames, self._ends = _parsed(data, where=str(path))
            self._size = self._ends[-1] if self._ends else 0
            if self._size < len(data):
                os.ftruncate(self._fd, self._size)
        except BaseException:
            os.close(self._fd)
            raise

    @property
    def is_closed(self) -> bool:
        return self._fd < 0

    def take_frames(self) -> list[bytes]:
        """The payloads found at the open, handed over once."""
        frames, self._frames = self._frames, []
        return frames

    def keep(self, frames: int) -> None:
        """Cut away all but the first `frames` that were found at the open; to be called before anything is added."""
        if frames < len(self._ends):
            self._size = self._ends[frames - 1] if frames else 0
            self._ends = self._ends[:frames]
            os.ftruncate(self._fd, self._size)

    def append(self, payload: bytes) -> None:
        """Add a frame to those that wait to be written."""
        waiting = self._waiting
        lengths = _LENGTHS.pack(len(payload), crc32(payload))
        waiting += lengths
        waiting += _CRC.pack(crc32(lengths))
        waiting += payload
        if len(waiting) >= FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what waits. After a failure it still waits, and the file ends with the last whole batch.

        Raises:
            DiskUnavailable: the disk took nothing, or not all.
            VenueUnavailable: the log was closed.
        """
        if not self._waiting:
            return
        if self._fd < 0:
            raise VenueUnavailable("the venue was closed", where=str(self._path))
        try:
            written = os.write(self._fd, self._waiting)
        except OSError as error:
            raise self._unwritten(str(error.strerror)) from error
        if written < len(self._waiting):
            raise self._unwritten(f"{written} of {len(self._waiting)} bytes were written")
        self._size += written
        self._waiting.clear()

    def _unwritten(self, why: str) -> DiskUnavailable:
        os.ftruncate(self._fd, self._size)
        return DiskUnavailable(
            f"the venue's log could not be written: {why}", where=str(self._path), to_do="free some space"
        )

    def close(self) -> None:
        """Write what waits and let go of the file. Closed before: changes nothing."""
        if self._fd < 0:
            return
        try:
            self.flush()
        finally:
            os.close(self._fd)
            self._fd = -1


def _owned(path: Path) -> int:
    """The file, opened and locked: two processes that write one venue's log would spoil it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise DiskUnavailable(f"the venue's log could not be opened: {error.strerror}", where=str(path)) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise StateInUse("the venue's log is in use by another process", where=str(path)) from error
    return fd


def _parsed(data: bytes, *, where: str) -> tuple[list[bytes], list[int]]:
    """All whole frames, and where each ends."""
    frames: list[bytes] = []
    ends: list[int] = []
    for frame, end in _whole(data, where):
        frames.append(frame)
        ends.append(end)
    return frames, ends


def _whole(data: bytes, where: str) -> Iterator[tuple[bytes, int]]:
    start, row = 0, 0
    while start + _HEADER_BYTES <= len(data):
        row += 1
        length, crc = _LENGTHS.unpack_from(data, start)
        (header_crc,) = _CRC.unpack_from(data, start + _LENGTHS.size)
        begin = start + _HEADER_BYTES
        if crc32(data[start : start + _LENGTHS.size]) != header_crc:
            raise _altered(row, where)
        if begin + length > len(data):
            return
        start = begin + length
        frame = data[begin:start]
        if crc32(frame) != crc:
            raise _altered(row, where)
        yield frame, start


def _altered(row: int, where: str) -> JournalBroken:
    return JournalBroken(
        f"frame {row} of the venue's log is not what was written",
        row=row,
        where=where,
        to_do="keep the file, restore a copy of the state folder",
    )
