"""The metrics process: folds what the core and the Watchdog tell, and serves it. Whoever is silent is not well (I10)."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable

from deployment.monitor import HEARTBEAT_LIMIT_NS
from deployment.topology.processes.feed import Committed, Listening, News, Rows, Told
from monitoring.catalogue import BY_NAME
from monitoring.health import LOOP, Health
from monitoring.readings import Readings, Samples
from monitoring.server import MetricsServer
from monitoring.tap import Tap
from mutable_core import leash as leashes
from mutable_core.clock import monotonic_ns
from mutable_core.messages import decode_trusted
from watchdog.birth import Birth

WATCHDOG = "watchdog"
_POLL_MS = 1_000


def live(birth: Birth) -> int:
    """Serve until the Watchdog says stop. Descriptors: `listener`, `core`, `watchdog`, `leash`."""
    with socket.socket(fileno=birth.fds["leash"]) as leash:
        leash.setblocking(False)
        return Page(birth, leash).run()


class Page:
    """What is served, and where it comes from."""

    def __init__(self, birth: Birth, leash: socket.socket) -> None:
        self._leash = leash
        self._tellers = {
            LOOP: Listening(socket.socket(fileno=birth.fds["core"])),
            WATCHDOG: Listening(socket.socket(fileno=birth.fds["watchdog"])),
        }
        self._tap, self._readings, self._health = Tap(), Readings(), Health()
        self._samples: dict[str, Samples] = {}
        self._handled = 0
        for name in self._tellers:
            self._health.register(name, heartbeat_limit_ns=HEARTBEAT_LIMIT_NS)
        listener = socket.socket(fileno=birth.fds["listener"])
        self._server = MetricsServer(listener, tap=self._tap, readings=self._readings, health=self._health)

    def run(self) -> int:
        self._server.start()
        try:
            while self._obeys_leash():
                self._wait()
        finally:
            self._server.stop()
        return 0

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._leash, select.POLLIN)
        for teller in self._tellers.values():
            poll.register(teller.connection, select.POLLIN)
        poll.poll(_POLL_MS)
        for name, teller in list(self._tellers.items()):
            try:
                for news in teller.news():
                    self._hear(name, news)
            except EOFError:
                del self._tellers[name]  # its heartbeat grows old, and the house is not ready

    def _hear(self, teller: str, news: News) -> None:
        self._handled += 1
        match news:
            case Rows(rows=rows):
                for row, stamp_ns in rows:
                    self._tap.seen(decode_trusted(row), stamp_ns)
            case Committed(rows=rows_committed, duration_ns=duration_ns, pending=pending):
                self._tap.committed(rows_committed, duration_ns, pending)
            case Told():
                self._told(teller, news)

    def _told(self, teller: str, told: Told) -> None:
        for name, samples in told.readings.items():
            if name not in self._samples and name in BY_NAME and name != "ark_ready":
                self._readings.give(name, self._reading(name))
            self._samples[name] = dict(samples)
        for name, ok, detail in told.components:
            if name not in self._tellers:
                self._health.register(name, _said(ok, detail), heartbeat_limit_ns=HEARTBEAT_LIMIT_NS)
                self._health.beat(name)
        self._health.beat(teller)

    def _reading(self, name: str) -> Callable[[], Samples]:
        return lambda: self._samples[name]

    def _obeys_leash(self) -> bool:
        """False once the Watchdog says stop, or has gone."""
        while True:
            try:
                frame = leashes.from_watchdog(self._leash)
            except BlockingIOError:
                return True
            match frame:
                case leashes.Ping(n=n):
                    leashes.send(self._leash, leashes.Pong(n, self._handled, monotonic_ns()))
                case leashes.Stop() | None:
                    return False
                case _:
                    continue  # nobody drills it


def _said(ok: bool, detail: str) -> Callable[[], tuple[bool, str]]:
    return lambda: (ok, detail)
