"""Small lives for children of a nursery: they answer their leash, and misbehave when they are told to."""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import resource
import signal
import socket
import threading
import time
from pathlib import Path

from mutable_core import leash
from mutable_core.clock import monotonic_ns
from mutable_core.errors import Unavailable
from mutable_core.leash import Inject, Ping, Pong, Stop
from watchdog.birth import Birth

TABLE = {
    name: f"{__name__}:{name}"
    for name in ("answer", "say", "refuse", "crash", "leave", "segfault", "sleep", "stubborn", "attack", "doomed")
}

PRELOADED: list[str] = []


def preload() -> None:
    PRELOADED.append("once")


def preload_with_a_thread() -> None:
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()


def preload_that_fails() -> None:
    raise Unavailable("what is needed is not there", to_do="bring it")


def say(birth: Birth) -> int:
    """What it sees of itself, to the descriptor `out`."""
    seen = {
        "name": birth.name,
        "args": birth.args.decode(),
        "pid": os.getpid(),
        "parent": os.getppid(),
        "comm": Path("/proc/self/comm").read_text().strip(),
        "fds": sorted(int(one.name) for one in Path("/proc/self/fd").iterdir() if one.exists()),
        "given": dict(birth.fds),
        "preloaded": PRELOADED,
        "entered_ns": monotonic_ns(),
    }
    os.write(birth.fds["out"], json.dumps(seen).encode())
    return 7


def refuse(birth: Birth) -> int:
    raise Unavailable("the world did not answer", where="here", to_do="wait")


def crash(birth: Birth) -> int:
    raise ValueError("two\nlines")


def leave(birth: Birth) -> int:
    os._exit(int(birth.args or b"3"))


def segfault(birth: Birth) -> int:
    return len(ctypes.string_at(0))


def sleep(birth: Birth) -> int:
    while True:
        time.sleep(60)


def answer(birth: Birth) -> int:
    """Answer pings until told to stop; `args` say how to end at once, in which incarnation."""
    handled = 0
    with socket.socket(fileno=birth.fds["leash"]) as watchdog:
        while (frame := leash.from_watchdog(watchdog)) is not None:
            match frame:
                case Ping(n):
                    handled += 1
                    leash.send(watchdog, Pong(n, handled, monotonic_ns()))
                case Inject(fault):
                    _misbehave(fault, watchdog)
                case Stop():
                    if "order" in birth.fds:
                        os.write(birth.fds["order"], f"{birth.name} ".encode())
                    return 0
    return 0


def doomed(birth: Birth) -> int:
    """It dies as soon as it lives, for as long as the file of its `args` is there."""
    if Path(birth.args.decode()).exists():
        raise ValueError("poison")
    return answer(birth)


def stubborn(birth: Birth) -> int:
    """It hears nothing but SIGKILL."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with socket.socket(fileno=birth.fds["leash"]) as watchdog:
        while (frame := leash.from_watchdog(watchdog)) is not None:
            if isinstance(frame, Ping):
                leash.send(watchdog, Pong(frame.n, 0, monotonic_ns()))
        return sleep(birth)


def _misbehave(fault: str, watchdog: socket.socket) -> None:
    match fault:
        case "crash":
            raise ValueError("told to")
        case "exit":
            os._exit(3)
        case "segfault":
            ctypes.string_at(0)
        case "hang":
            time.sleep(3600)
        case "spin":
            while True:
                pass
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "lie":
            leash.send(watchdog, Pong(1 << 40, 0, monotonic_ns()))
        case "babble":
            watchdog.send(b"\xc1")


# -- what a jail must refuse ------------------------------------------------------------------------------------------


def attack(birth: Birth) -> int:
    """Try each attack of `args`; what came of it goes to the descriptor `out`: `refused: why`, or `done`."""
    found = {}
    for name in json.loads(birth.args):
        what, _, argument = name.partition(" ")
        try:
            _ATTACKS[what](argument)
        except (OSError, MemoryError, RuntimeError, ValueError) as error:
            found[name] = f"refused: {type(error).__name__}"
        else:
            found[name] = "done"
    os.write(
        birth.fds["out"], json.dumps(found | {"enforced": birth.jailed.enforced, "open": birth.jailed.open}).encode()
    )
    return 0


def _fork(_: str) -> None:
    if not os.fork():
        os._exit(0)


def _thread(_: str) -> None:
    threading.Thread(target=int).start()


def _tcp(port: str) -> None:
    with socket.create_connection(("127.0.0.1", int(port)), timeout=2):
        pass


def _udp(_: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"x", ("127.0.0.1", 9))


def _unix(address: str) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.connect("\0" + address[1:] if address.startswith("@") else address)


def _ptrace(pid: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, int(pid), 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")


def _root(_: str) -> None:
    os.setresuid(0, 0, 0)


def _shared(size: str) -> None:
    mmap.mmap(-1, int(size))


def _memfd(size: str) -> None:
    descriptor = os.memfd_create("x")
    os.ftruncate(descriptor, int(size))


def _descriptors(count: str) -> None:
    for _ in range(int(count)):
        os.dup(2)


def _raise_limit(_: str) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def _write(path: str) -> None:
    Path(path).write_text("x")


def _append(path: str) -> None:
    with Path(path).open("ab") as file:
        file.write(b"x")


def _read(path: str) -> None:
    with Path(path).open("rb") as file:
        file.read(1)


_ATTACKS = {
    "read": _read,
    "write": _write,
    "append": _append,
    "list": os.listdir,
    "remove": os.unlink,
    "run": lambda path: os.execv(path, [path]),
    "fork": _fork,
    "thread": _thread,
    "tcp": _tcp,
    "udp": _udp,
    "unix": _unix,
    "signal": lambda pid: os.kill(int(pid), signal.SIGCONT),
    "ptrace": _ptrace,
    "memory_of": lambda pid: _read(f"/proc/{pid}/maps"),
    "root": _root,
    "allocate": lambda size: bytearray(int(size)),
    "share": _shared,
    "memfd": _memfd,
    "descriptors": _descriptors,
    "unlimit": _raise_limit,
}
