"""The anchor: every checkpoint is copied to a place outside the journal, so that a journal that was cut off is found out.

A file takes one line for each; a command, if one is set, gets the newest on its standard input (it may mail it, print it,
or put it where nobody here can change it). A thread of its own does both: a commit never waits for it and never fails
with it. What it has done can be read: `failures`, `last_anchored_rows`, `last_ns`.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from mutable_core.clock import wall_ns
from mutable_core.journal.verifier import Checkpoint

_WAITING_MAX = 1_024
_COMMAND_S = 30


class Anchor:
    """Copies checkpoints to a file, and the newest to a command.

    Attributes:
        failures: how often the file or the command did not take one.
        last_anchored_rows: rows of the newest checkpoint that both have taken; 0 before the first.
        last_ns: when that was, wall clock, ns UTC; 0 before the first.
    """

    def __init__(self, path: Path, command: Sequence[str] = ()) -> None:
        self.path = path
        self.failures = self.last_anchored_rows = self.last_ns = 0
        self._command = tuple(command)
        self._waiting: deque[Checkpoint] = deque(maxlen=_WAITING_MAX)  # the newest covers those that fall out
        self._news = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None

    def offer(self, checkpoint: Checkpoint) -> None:
        """Take one more; returns at once."""
        with self._news:
            self._waiting.append(checkpoint)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="anchor", daemon=True)
                self._thread.start()
            self._news.notify_all()

    def close(self) -> None:
        """Return when everything offered was tried."""
        with self._news:
            self._closing = True
            self._news.notify_all()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._waiting or self._closing)
                batch = list(self._waiting)
                self._waiting.clear()
            if not batch:
                return
            self._take(batch)

    def _take(self, batch: list[Checkpoint]) -> None:
        try:
            self._append(b"".join(one.line for one in batch))
            if self._command:
                subprocess.run(  # noqa: S603 - the command is the operator's own setting
                    self._command, input=batch[-1].line, check=True, timeout=_COMMAND_S, capture_output=True
                )
        except (OSError, subprocess.SubprocessError):
            self.failures += 1
            return
        self.last_anchored_rows, self.last_ns = batch[-1].note.rows, wall_ns()

    def _append(self, lines: bytes) -> None:
        """One write, so that lines of several runs do not mix; a line that a crash cut in half is closed first."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                lines = b"\n" + lines
            if os.write(descriptor, lines) != len(lines):
                raise OSError("the anchor took only a part")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
