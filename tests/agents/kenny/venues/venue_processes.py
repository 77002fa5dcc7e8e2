"""A venue's server in a process of its own, and connections to it. `python -m tests.agents.kenny.venues.venue_processes FD`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import AF_UNIX, SOCK_SEQPACKET, socket, socketpair

from agents.kenny.venues.remote import KillLine, RemoteVenue
from agents.kenny.venues.server import send_connection, serve
from agents.kenny.venues.venue_wire import Right
from mutable_core.messages import Instrument

TOP = Path(__file__).parents[4]
CASH = 1_000_000_000_000
INSTRUMENTS = (Instrument("ACME", 1_000_000, 100_000_000), Instrument("ZINC", 1_000_000, 100_000_000))
PATIENT_MS = 20_000


class Place:
    """Where a venue is served; connections of every right can be had."""

    def __init__(self, control: socket, folder: Path) -> None:
        self.control = control
        self.folder = folder
        self.lines: list[RemoteVenue | KillLine] = []

    def connection(self, right: Right) -> socket:
        ours, theirs = socketpair()
        with theirs:
            send_connection(self.control, right, theirs)
        return ours

    def market(self, until_row: int | None = None) -> RemoteVenue:
        """The venue, opened."""
        line = RemoteVenue.open(
            self.connection("market"), path=self.folder / "venue.log", cash_micros=CASH, instruments=INSTRUMENTS,
            until_row=until_row, patience_ms=PATIENT_MS,
        )  # fmt: skip
        self.lines.append(line)
        return line

    def trade(self, patience_ms: int = PATIENT_MS) -> RemoteVenue:
        line = RemoteVenue(self.connection("trade"), patience_ms=patience_ms)
        self.lines.append(line)
        return line

    def kill(self, patience_ms: int = PATIENT_MS) -> KillLine:
        line = KillLine(self.connection("kill"), patience_ms=patience_ms)
        self.lines.append(line)
        return line


@contextmanager
def in_a_thread(folder: Path) -> Iterator[Place]:
    """The same server, in a thread of this process: cheap."""
    ours, theirs = socketpair(AF_UNIX, SOCK_SEQPACKET)
    thread = threading.Thread(target=serve, args=(theirs,), daemon=True)
    thread.start()
    place = Place(ours, folder)
    try:
        yield place
    finally:
        ours.close()
        thread.join()
        theirs.close()
        for line in place.lines:
            line.close()


class Process(Place):
    def __init__(self, control: socket, folder: Path, process: subprocess.Popen[bytes]) -> None:
        super().__init__(control, folder)
        self.process = process

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill_it(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def in_a_process(folder: Path) -> Iterator[Process]:
    ours, theirs = socketpair(AF_UNIX, SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.agents.kenny.venues.venue_processes", str(theirs.fileno())],
            cwd=TOP,
            pass_fds=[theirs.fileno()],
        )
    place = Process(ours, folder, process)
    try:
        yield place
    finally:
        place.wake()
        ours.close()
        process.wait(30)
        for line in place.lines:
            line.close()


if __name__ == "__main__":
    with socket(fileno=int(sys.argv[1])) as control:
        os._exit(serve(control))
