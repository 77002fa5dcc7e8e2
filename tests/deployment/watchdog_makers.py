"""A Watchdog's children, made by hand, and a Watchdog that notes what it is told: the port of the Watchdog's desk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from anyio.from_thread import start_blocking_portal

from deployment.desk import server
from deployment.watchdog_desk.desk import WatchdogDesk
from deployment.watchdog_desk.port import AtCore, Core
from deployment.watchdog_desk.words import SOCKET, Child, Happened, Raised


def a_child(name: str = "joey", **changes: Any) -> Child:
    made = Child(
        name=name, role="agent", is_agent=True, phase="running", incarnation=3, pid=77, phi=0.1, handled=9, rss_bytes=1 << 25,
        cpu_ns=5, pending=0, refused=0, held="", enforced=("landlock",), open=(), happened=(Happened("born", 1, 3),),
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


class Tree:
    """A Watchdog that notes what it is told. It is the desk's port: the real one is behind it in `tests/faults`."""

    def __init__(self, *children: Child) -> None:
        self.told: list[tuple[str, ...]] = []
        self.given = list(children) or [a_child("kyle"), a_child("joey"), a_child("venue", is_agent=False)]
        self.stamps: dict[str, list[int]] = {}
        self.error: Exception | None = None

    def children(self) -> Sequence[Child]:
        return self.given

    def beats(self, name: str) -> Sequence[int]:
        return self.stamps.get(name, [])

    def alerts(self) -> Sequence[Raised]:
        return [Raised("joey_isolated", "CRITICAL", 5, "it was late")]

    def core(self) -> Core:
        return Core("run-1", 90, {"joey": AtCore(2, 1, "late")})

    def isolate(self, name: str, by: str, detail: str) -> None:
        self._note("isolate", name, by, detail)

    def release(self, name: str, by: str, detail: str) -> None:
        self._note("release", name, by, detail)

    def restart(self, name: str, by: str, detail: str) -> None:
        self._note("restart", name, by, detail)

    def inject(self, name: str, fault: str, by: str) -> None:
        self._note("inject", name, fault, by)

    def _note(self, *words: str) -> None:
        if self.error is not None:
            raise self.error
        self.told.append(words)


@contextmanager
def served(state: Path, desk: WatchdogDesk) -> Iterator[None]:
    """The desk on its socket in the state folder, as the Watchdog's process serves it."""
    with server.opened(state, SOCKET) as sock, start_blocking_portal() as portal:
        serving = portal.start_task_soon(server.serve, desk, sock)
        try:
            yield
        finally:
            serving.cancel()
