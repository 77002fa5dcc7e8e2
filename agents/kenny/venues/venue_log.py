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
from typing import NamedTuple
from zlib import crc32

from mutable_core.errors import DiskUnavailable, JournalBroken, StateInUse, VenueUnavailable

FLUSH_BYTES = 1 << 16
"""Frames are written at the latest when this many bytes wait."""
_CHUNK_BYTES = 1 << 20
_LENGTHS = struct.Struct("<II")
_CRC = struct.Struct("<I")
_HEADER_BYTES = _LENGTHS.size + _CRC.size


class Position(NamedTuple):
    """A place between two frames: bytes and frames before it, and the CRC-32 of those bytes."""

    end: int
    frames: int
    crc: int


START = Position(0, 0, 0)


class VenueLog:
    """One file, one owner. Read what it holds with `frames`, then `resume` where it shall go on.

    Attributes:
        position: the end of what is written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting = bytearray()
        self._waiting_frames = 0
        self._fd = _owned(path)
        self.position = START

    @property
    def is_closed(self) -> bool:
        return self._fd < 0

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return os.fstat(self._fd).st_size

    def crc(self, end: int) -> int:
        """CRC-32 of the first `end` bytes."""
        found = at = 0
        while at < end:
            chunk = os.pread(self._fd, min(_CHUNK_BYTES, end - at), at)
            if not chunk:
                break
            found = crc32(chunk, found)
            at += len(chunk)
        return found

    def frames(self, after: Position = START) -> Iterator[tuple[bytes, Position]]:
        """Whole frames from there on, each with the place behind it. A torn one at the end is left out.

        Raises:
            JournalBroken: a frame was altered.
        """
        end, number, crc = after
        with os.fdopen(os.dup(self._fd), "rb", buffering=_CHUNK_BYTES) as file:
            file.seek(end)
            while len(header := file.read(_HEADER_BYTES)) == _HEADER_BYTES:
                number += 1
                length, frame_crc = _LENGTHS.unpack_from(header)
                if crc32(header[: _LENGTHS.size]) != _CRC.unpack_from(header, _LENGTHS.size)[0]:
                    raise _altered(number, str(self._path))
                frame = file.read(length)
                if len(frame) < length:
                    return
                if crc32(frame) != frame_crc:
                    raise _altered(number, str(self._path))
                end += _HEADER_BYTES + length
                crc = crc32(frame, crc32(header, crc))
                yield frame, Position(end, number, crc)

    def resume(self, at: Position) -> None:
        """Go on from there: what lies behind is cut away. To be called before anything is added."""
        if self.size > at.end:
            os.ftruncate(self._fd, at.end)
        self.position = at

    def append(self, payload: bytes) -> None:
        """Add a frame to those that wait to be written."""
        waiting = self._waiting
        lengths = _LENGTHS.pack(len(payload), crc32(payload))
        waiting += lengths
        waiting += _CRC.pack(crc32(lengths))
        waiting += payload
        self._waiting_frames += 1
        if len(waiting) >= FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what waits. After a failure it still waits, and the file ends with the last whole batch.

        Raises:
            DiskUnavailable: the disk took nothing, or not all.
            VenueUnavailable: the log was closed.
        """
        if self._fd < 0:
            raise VenueUnavailable("the venue was closed", where=str(self._path))
        if not self._waiting:
            return
        try:
            written = os.write(self._fd, self._waiting)
        except OSError as error:
            raise self._unwritten(str(error.strerror)) from error
        if written < len(self._waiting):
            raise self._unwritten(f"{written} of {len(self._waiting)} bytes were written")
        end, frames, crc = self.position
        self.position = Position(end + written, frames + self._waiting_frames, crc32(self._waiting, crc))
        self._waiting.clear()
        self._waiting_frames = 0

    def _unwritten(self, why: str) -> DiskUnavailable:
        os.ftruncate(self._fd, self.position.end)
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


def _altered(row: int, where: str) -> JournalBroken:
    return JournalBroken(
        f"frame {row} of the venue's log is not what was written",
        row=row,
        where=where,
        to_do="keep the file, restore a copy of the state folder",
    )
