"""How an agent's process misbehaves when a drill asks for it; `watchdog/faults.py` says what must catch each.

Nothing here is ever called but by `agents.runtime.process`, when the leash brings an `Inject` and the birth allowed drills.
Each fault is done by the task that decides, as a real one would be. They are bounded only by what is to contain them, but
for children of a fork bomb: those end with their parent even where no jail keeps them from being born.
"""

from __future__ import annotations

import ctypes
import os
import re
import select
import signal
import socket
import time
from collections.abc import Callable
from typing import NoReturn, Protocol

from agents.runtime import wire
from agents.runtime.agent import Say
from mutable_core.errors import UnknownName
from mutable_core.messages import HaltOrdered

LEAK_BYTES = 1 << 24
"""Taken at once, each time."""
FORKS_MAX = 512
_PR_SET_PDEATHSIG = 1


class Culprit(Protocol):
    """What a fault needs of the process that it is put into.

    Attributes:
        work: the socket to the bus; it does not block.
        last_answer: the newest answer that was sent, as it went over the wire; empty before the first.
    """

    work: socket.socket
    last_answer: bytes


class Injected(Exception):
    """The crash of a drill."""


def commit(fault: str, culprit: Culprit) -> None:
    """Misbehave. Returns only from `lie` and `replay`, after which the agent goes on as if nothing had happened.

    Raises:
        Injected: the fault is `crash`.
        UnknownName: there is no such fault.
    """
    deed = DEEDS.get(fault)
    if deed is None:
        raise UnknownName(f"`{fault[:40]}` is no fault", to_do=f"choose from {', '.join(DEEDS)}")
    deed(culprit)


def _crash(_culprit: Culprit) -> NoReturn:
    raise Injected("a drill crashed this agent")


def _exit(_culprit: Culprit) -> NoReturn:
    os._exit(0)


def _segfault(_culprit: Culprit) -> None:
    ctypes.string_at(0)


def _hang_async(_culprit: Culprit) -> None:
    select.poll().poll()


def _hang_sync(_culprit: Culprit) -> None:
    while True:
        time.sleep(3_600)


def _spin(_culprit: Culprit) -> None:
    while True:
        pass


def _redos(_culprit: Culprit) -> None:
    while True:
        re.match(r"(a+)+$", "a" * 64 + "b")


def _leak(_culprit: Culprit) -> None:
    """Every page is written, else the kernel gives none."""
    kept = []
    while True:
        kept.append(bytearray(b"x") * LEAK_BYTES)


def _fork_bomb(_culprit: Culprit) -> None:
    """Where no limit stops it, it stops after so many and spins: it must be caught all the same."""
    parent = os.getpid()
    for _ in range(FORKS_MAX):
        if os.fork() == 0:
            _wait_for_the_end_of(parent)
    _spin(_culprit)


def _wait_for_the_end_of(parent: int) -> NoReturn:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    while os.getppid() == parent:
        signal.pause()
    os._exit(0)


def _flood(culprit: Culprit) -> None:
    while True:
        _sent(culprit.work, (culprit.last_answer or _a_lie(culprit)) * 64)


def _lie(culprit: Culprit) -> None:
    _sent(culprit.work, _a_lie(culprit))


def _a_lie(culprit: Culprit) -> bytes:
    """Well formed, for the message that comes next, and in the Watchdog's name: that it has halted everything."""
    payload = culprit.last_answer[wire.LENGTH_BYTES :]
    last = wire.from_agent(payload) if payload else None
    position = last.position if isinstance(last, wire.Answer) else 0
    halt = Say(HaltOrdered("global", "", "halted", "watchdog", "a lie"))
    return wire.frame(wire.Answer(position + 1, (wire.spoken(halt),), 0))


def _replay(culprit: Culprit) -> None:
    """Who has not answered yet repeats what an agent before it may have said."""
    _sent(culprit.work, culprit.last_answer or wire.frame(wire.Answer(1, (), 0)))


def _sent(work: socket.socket, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[work.send(rest) :]
        except BlockingIOError:
            select.select([], [work], [])


DEEDS: dict[str, Callable[[Culprit], None]] = {
    "crash": _crash,
    "exit": _exit,
    "segfault": _segfault,
    "hang_async": _hang_async,
    "hang_sync": _hang_sync,
    "spin": _spin,
    "redos": _redos,
    "leak": _leak,
    "fork_bomb": _fork_bomb,
    "flood": _flood,
    "lie": _lie,
    "replay": _replay,
}
"""By their names in `watchdog.faults.FAULTS_ALL`."""
