"""The nursery's process: loads everything once, then forks a child whenever the Watchdog asks, and says who died.

A fork of what is loaded begins to work after milliseconds, where a new Python would take a second. For that this
process must stay what it was when it had loaded: it has one thread, works nothing, and collects no garbage.

Kept here: it ends with the Watchdog and its children end with it, however either ends (the kernel sees to it) · a
child has the descriptors that it was given and no others · its jail has closed before its role begins · nothing of a
child ever comes back into this process.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import msgspec
from msgspec.structs import replace

from mutable_core.clock import monotonic_ns
from mutable_core.errors import ArkError
from watchdog.birth import LINE_MAX, Asked, Birth, Born, Died, Jailed, Ready, Stillborn, receive, send
from watchdog.jail import FIRST_UID, NO_JAIL, Users, claim_users, enter, kernel

Role = Callable[[Birth], int]
"""A child's whole life; returns its exit code. An `ArkError` is its exit code and its line, any other error code 1."""

FAILED = 1
_LATE = ("encodings.idna", "encodings.latin_1", "pwd", "linecache", "traceback")
"""What Python loads when it is first needed, where a jail would have closed its library."""
_STANDARD = (0, 1, 2)


def main(argv: list[str]) -> int:
    """Be the nursery. `argv`: the socket's descriptor, the Watchdog's pid, the table of roles, what to load before."""
    connection = socket.socket(fileno=int(argv[0]))
    kernel.end_with(int(argv[1]))
    kernel.be_called("ark-nursery")
    os.setpgid(0, 0)  # what a terminal sends goes to the Watchdog alone
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        roles = _loaded(table=argv[2], preload=argv[3])
        network = kernel.empty_network()
        users = claim_users() if kernel.may_make_users() else None
    except Exception as error:  # noqa: BLE001  # whatever it is, the Watchdog is told in one line
        send(connection, Stillborn(0, _line(error)))
        return FAILED
    gc.collect()
    gc.freeze()  # no collection of a child's ever touches, and so copies, what is shared
    gc.disable()
    send(connection, Ready(os.getpid(), () if network is not None else ("no network namespace can be made",)))
    Nursery(connection, roles, network, users).serve()
    return 0


def _loaded(*, table: str, preload: str) -> dict[str, Role]:
    """The functions of all roles.

    Raises:
        RuntimeError: loading has started a thread: a fork would lose it, with the locks that it holds.
    """
    for late in _LATE:
        import_module(late)
    if preload:
        _named(preload)()
    roles: Mapping[str, str] = _named(table)
    functions = {name: _named(function) for name, function in roles.items()}
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads != 1:
        raise RuntimeError(f"loading has started {threads - 1} threads, which no child would have")
    return functions


def _named(name: str) -> Any:
    module, _, what = name.partition(":")
    return getattr(import_module(module), what)


class Nursery:
    """Forks, and waits for the dead."""

    def __init__(
        self, connection: socket.socket, roles: Mapping[str, Role], network: int | None, users: Users | None
    ) -> None:
        self._connection, self._roles, self._network, self._users = connection, roles, network, users
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)
        self._children: dict[int, int] = {}  # pidfd → pid

    def serve(self) -> None:
        """Until the Watchdog lets go."""
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor in self._children:
                    self._buried(descriptor)
                elif not self._heard():
                    return

    def _heard(self) -> bool:
        data, descriptors = receive(self._connection)
        if not data:
            return False
        asked = msgspec.msgpack.decode(data, type=Asked)
        try:
            self._bear(asked, descriptors)
        except (OSError, LookupError) as error:
            send(self._connection, Stillborn(asked.number, _line(error)))
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _bear(self, asked: Asked, descriptors: list[int]) -> None:
        role = self._roles[asked.birth.role]
        parent = os.getpid()
        pid = os.fork()
        if not pid:
            first_uid = self._users.first if self._users else FIRST_UID
            _live(asked.birth, role, descriptors, _Home(parent, self._network, first_uid))
        pidfd = os.pidfd_open(pid)
        self._children[pidfd] = pid
        self._poll.register(pidfd, select.POLLIN)
        send(self._connection, Born(asked.number, pid), (pidfd,))

    def _buried(self, pidfd: int) -> None:
        pid = self._children.pop(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        _, status, used = os.wait4(pid, 0)
        cpu_ns = round((used.ru_utime + used.ru_stime) * 1e9)
        code = os.waitstatus_to_exitcode(status)
        send(self._connection, Died(pid, code, cpu_ns, used.ru_maxrss << 10))


class _Home(NamedTuple):
    """What a jail needs to know of the nursery."""

    parent: int
    network: int | None
    first_uid: int


def _live(birth: Birth, role: Role, descriptors: list[int], home: _Home) -> NoReturn:
    """The child's whole life."""
    code = FAILED
    report = descriptors[-1]
    try:
        code = _lived(birth, role, descriptors, home)
    except ArkError as error:
        code = error.exit_code
        _last_word(report, str(error))
    except SystemExit as wish:
        code = wish.code if isinstance(wish.code, int) else FAILED
    except BaseException as error:  # noqa: BLE001  # nothing of the child may come back into the nursery
        _last_word(report, _line(error))
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code & 0xFF)


def _lived(birth: Birth, role: Role, descriptors: list[int], home: _Home) -> int:
    began_ns = monotonic_ns()
    parent, network, first_uid = home
    kernel.end_with(parent)
    kernel.be_called(f"ark-{birth.name}")
    *own, report = descriptors
    _take_standard()
    kernel.close_all_but((*_STANDARD, *descriptors, *(() if network is None else (network,))))
    jailed = NO_JAIL if birth.jail is None else enter(birth.jail, parent=parent, network=network, first_uid=first_uid)
    if network is not None:
        os.close(network)
    os.set_blocking(report, False)  # a reader that is slow must not stop its writer
    faulthandler.enable(report, all_threads=False)
    gc.enable()
    said = Jailed(jailed.enforced, jailed.open, began_ns, monotonic_ns())
    os.write(report, msgspec.msgpack.encode(said))
    return role(replace(birth, fds=dict(zip(birth.fds, own, strict=True)), jailed=jailed))


def _take_standard() -> None:
    """Nothing to read; what it prints is for people, and stdout is the Watchdog's."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)


def _last_word(report: int, line: str) -> None:
    with suppress(OSError):
        os.write(report, line.encode("utf-8", "backslashreplace")[:LINE_MAX])


def _line(error: BaseException) -> str:
    if isinstance(error, ArkError):
        return str(error)[:LINE_MAX]
    return " ".join(f"{type(error).__name__}: {error}".split())[:LINE_MAX]


def start(arguments: str) -> NoReturn:
    """What the Watchdog has Python run: `arguments` is a list in JSON."""
    sys.exit(main(json.loads(arguments)))
