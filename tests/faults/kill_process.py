"""A kill switch, and the venue behind it, in processes of their own. `python -m tests.faults.kill_process STATE FD FD PORT`."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import socket
from typing import NamedTuple

from deployment.kill_switch.client import ask
from deployment.kill_switch.process import live
from deployment.kill_switch.words import SOCKET, Look, Looked
from mutable_core.errors import ArkError
from mutable_core.leash import pair
from mutable_core.messages import Person
from tests.agents.kenny.venues.venue_processes import Place
from tests.faults.processes import TOP, eventually

LOCKER = """
import sqlite3, sys, time
held = [sqlite3.connect(path, isolation_level=None) for path in sys.argv[1:]]
for one in held:
    one.execute("CREATE TABLE IF NOT EXISTS t (x)")
    one.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
time.sleep(3600)
"""


class Standing(NamedTuple):
    """A kill switch that stands by over a venue."""

    state: Path
    venue: Place
    process: subprocess.Popen[bytes]
    leash: socket

    def looked(self) -> Looked | None:
        try:
            answer = ask(self.state, Look())
        except ArkError:
            return None
        assert isinstance(answer, Looked)
        return answer

    def until_ready(self) -> None:
        eventually(lambda: (found := self.looked()) is not None and found.path_is_up, "it reaches the venue")


@contextmanager
def standing_by(state: Path, venue: Place, *, port: int = 0) -> Iterator[Standing]:
    """A new kill switch's process on this state folder."""
    state.mkdir(exist_ok=True)
    (state / SOCKET).unlink(missing_ok=True)
    line, (ours, theirs) = venue.connection("kill"), pair()
    with line, theirs:
        fds = [line.fileno(), theirs.fileno()]
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.kill_process", str(state), *map(str, fds), str(port)],
            cwd=TOP, pass_fds=fds, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        one = Standing(state, venue, process, ours)
        one.until_ready()
        yield one
    finally:
        process.kill()
        process.wait()
        ours.close()


@contextmanager
def locked(*paths: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process holds these databases, and lets nobody read or write them."""
    process = subprocess.Popen(
        [sys.executable, "-c", LOCKER, *map(str, paths)], stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def is_locked(path: Path) -> bool:
    connection = sqlite3.connect(path, timeout=0)
    try:
        connection.execute("SELECT * FROM t")
    except sqlite3.OperationalError:
        return True
    finally:
        connection.close()
    return False


if __name__ == "__main__":
    state, venue, leash, port = sys.argv[1:]
    nobody: list[Person] = []
    os._exit(live(Path(state), socket(fileno=int(venue)), socket(fileno=int(leash)), nobody, int(port)))
