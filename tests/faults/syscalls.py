"""What a process asks of its disk, call by call: seen from outside, refused, delayed, torn, or answered with SIGKILL.

The process installs a filter in its own kernel entry (seccomp, without a compiler: through ctypes), and every chosen
system call then waits for the word of a supervisor, who holds the other end. Nothing of ours is replaced: the code
under test, SQLite and the C library run as they always do, and the errors come from where the kernel's would.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import select
import signal
import socket
import struct
import time
from pathlib import Path

import msgspec

_X86_64 = {
    "write": 1, "pwrite64": 18, "writev": 20, "fsync": 74, "fdatasync": 75, "truncate": 76, "ftruncate": 77,
    "rename": 82, "mkdir": 83, "unlink": 87, "unlinkat": 263, "renameat": 264, "fallocate": 285, "pwritev": 296,
    "renameat2": 316,
}  # fmt: skip
_ARM_64 = {
    "write": 64, "pwrite64": 68, "writev": 66, "fsync": 82, "fdatasync": 83, "truncate": 45, "ftruncate": 46,
    "unlinkat": 35, "renameat": 38, "fallocate": 47, "pwritev": 70, "renameat2": 276,
}  # fmt: skip
_MACHINES = {"x86_64": (0xC000003E, 317, _X86_64), "aarch64": (0xC00000B7, 277, _ARM_64)}
_AUDIT, _SECCOMP, _NUMBERS = _MACHINES.get(platform.machine(), (0, 0, {}))
_NAMES = {number: name for name, number in _NUMBERS.items()}

_SET_NO_NEW_PRIVS, _PIDFD_GETFD = 38, 438
_SET_MODE_FILTER, _NEW_LISTENER, _FULL_SPEED = 1, 1 << 3, 1 << 2
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06  # of classic BPF, on 32-bit words
_ALLOW, _ASK = 0x7FFF0000, 0x7FC00000

_REQUEST = struct.Struct("=QIIiIQ6Q")  # id, pid, flags; call, machine, instruction, six arguments
_ANSWER = struct.Struct("=QqiI")  # id, value, error, flags
_RECEIVE = 0xC0000000 | _REQUEST.size << 16 | ord("!") << 8
_SEND = 0xC0000000 | _ANSWER.size << 16 | ord("!") << 8 | 1
_GO_ON = 1

WRITES = ("write", "pwrite64", "writev", "pwritev")
SYNCS = ("fsync", "fdatasync")
_BY_NAME = {"truncate": 0, "rename": 0, "unlink": 0, "mkdir": 0, "unlinkat": 1, "renameat": 1, "renameat2": 1}
"""Calls on a path instead of an open file, and which argument the path is."""
ALL = tuple(_NUMBERS)


class Call(msgspec.Struct, frozen=True, array_like=True):
    """One watched call: its name, the name of the file it is about, and what it was answered."""

    name: str
    file: str
    was: str


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to a process at its disk. Calls outside of `below` are let through and not counted.

    Attributes:
        below: the folder whose files are watched; empty where nothing is.
        names: of system calls that count; empty for all.
        files: ends of file names that count; empty for all.
        at: the counted call (from 1) at which it happens; 0 for none.
        then: `kill` before the call, or `fail` it with `error`.
        error: the errno of `fail`.
        lasting: whether counted calls after `at` fail too.
        part: of a write, how much is done before it is killed or cut short; a share, 0…1.
        delays_ms: how long each counted call takes longer than it would, taken in turn.
        kill_after_ms: SIGKILL so long after the filter stands, whatever it does then; 0 for never.
    """

    below: str = ""
    names: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    at: int = 0
    then: str = "kill"
    error: int = errno.EIO
    lasting: bool = False
    part: float = 0.0
    delays_ms: tuple[int, ...] = ()
    kill_after_ms: float = 0.0


def install(names: tuple[str, ...] = ALL) -> int:
    """From now on these calls of this process wait for whoever holds the returned descriptor. Cannot be undone.

    Raises:
        OSError: this kernel, or a jail around us, does not offer it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if not _SECCOMP:
        raise OSError(errno.ENOSYS, f"the system calls of {platform.machine()} are not listed here")
    numbers = [_NUMBERS[name] for name in names]
    lines = [(_LOAD, 0, 0, 4), (_JUMP_IF_EQUAL, 0, len(numbers) + 1, _AUDIT), (_LOAD, 0, 0, 0)]
    lines += [(_JUMP_IF_EQUAL, len(numbers) - index, 0, number) for index, number in enumerate(numbers)]
    lines += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ASK)]
    program = b"".join(struct.pack("=HBBI", *line) for line in lines)
    held = ctypes.create_string_buffer(program, len(program))
    filter_ = ctypes.create_string_buffer(struct.pack("@HP", len(lines), ctypes.addressof(held)))
    if libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs was refused")
    listener = libc.syscall(_SECCOMP, _SET_MODE_FILTER, _NEW_LISTENER | _FULL_SPEED, filter_)
    if listener < 0:
        raise OSError(ctypes.get_errno(), "the filter was refused")
    return int(listener)


def missing() -> str:
    """Why none of this can be had here; empty where it can."""
    reader, writer = os.pipe()
    if not (child := os.fork()):
        try:
            install()
        except OSError as error:
            os.write(writer, str(error).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        why = told.read()
    os.waitpid(child, 0)
    return why


def hand_over(listener: int, to: socket.socket) -> None:
    """Give the descriptor to the supervisor; `sendmsg` is no call that waits."""
    socket.send_fds(to, [b"!"], [listener])
    os.close(listener)


class Supervisor:
    """Answers the calls of one process by a plan until the process has ended. `calls` is what it did, in order."""

    def __init__(self, plan: Plan, pid: int, link: socket.socket) -> None:
        self.calls: list[Call] = []
        self._plan, self._pid = plan, pid
        self._counted = 0
        self._below = os.path.realpath(plan.below) + "/" if plan.below else "\0"
        _, (self._listener,), _, _ = socket.recv_fds(link, 1, 1)
        self._deadline = time.monotonic() + plan.kill_after_ms / 1000 if plan.kill_after_ms else None

    def run(self) -> None:
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        try:
            while True:
                ready = poll.poll(self._patience_ms())
                if not ready:
                    self._kill()
                elif ready[0][1] & select.POLLIN:
                    self._take()
                else:  # nobody is left who could ask
                    return
        finally:
            os.close(self._listener)

    def _patience_ms(self) -> float | None:
        return None if self._deadline is None else max(0.0, (self._deadline - time.monotonic()) * 1000)

    def _kill(self) -> None:
        self._deadline = None
        os.kill(self._pid, signal.SIGKILL)

    def _take(self) -> None:
        request = bytearray(_REQUEST.size)
        try:
            fcntl.ioctl(self._listener, _RECEIVE, request)
        except OSError:  # it was killed while it waited
            return
        id_, pid, _, number, _, _, *arguments = _REQUEST.unpack(request)
        file = self._file(pid, _NAMES[number], arguments)
        if file is None:
            self._send(id_, 0, 0, _GO_ON)
            return
        try:
            answer = self._answer(pid, _NAMES[number], file, arguments)
        except ProcessLookupError:  # it was killed meanwhile
            return
        if answer is not None:
            self._send(id_, *answer)

    def _send(self, id_: int, value: int, error: int, flags: int) -> None:
        try:
            fcntl.ioctl(self._listener, _SEND, _ANSWER.pack(id_, value, -error, flags))
        except OSError as gone:
            if gone.errno != errno.ENOENT:  # it was killed meanwhile
                raise

    def _file(self, pid: int, name: str, arguments: list[int]) -> str | None:
        """The path below the watched folder; None for every other one."""
        if self._below == "\0":
            return None
        if name in _BY_NAME:
            try:
                raw = _memory(pid, arguments[_BY_NAME[name]], 4096).partition(b"\0")[0]
            except OSError:  # it was killed while it waited
                return None
            path = os.path.realpath(Path(f"/proc/{pid}/cwd") / os.fsdecode(raw))
        else:
            try:
                path = os.readlink(f"/proc/{pid}/fd/{arguments[0]}")  # noqa: PTH115 - thousands a second
            except OSError:
                return None
        return path[len(self._below) :] if path.startswith(self._below) else None

    def _answer(self, pid: int, name: str, file: str, arguments: list[int]) -> tuple[int, int, int] | None:
        """Value, error and flags; None where there is nobody left to answer."""
        plan = self._plan
        if (plan.names and name not in plan.names) or (plan.files and not file.endswith(plan.files)):
            self.calls.append(Call(name, file, "done"))
            return 0, 0, _GO_ON
        self._counted += 1
        if plan.delays_ms:
            time.sleep(plan.delays_ms[(self._counted - 1) % len(plan.delays_ms)] / 1000)
        if not (plan.at and (self._counted == plan.at or (plan.lasting and self._counted > plan.at))):
            self.calls.append(Call(name, file, "done"))
            return 0, 0, _GO_ON
        done = self._part_of(pid, name, arguments) if plan.part and self._counted == plan.at else 0
        if plan.then == "kill":
            self.calls.append(Call(name, file, "killed"))
            self._kill()
            return None
        self.calls.append(Call(name, file, "cut" if done else "failed"))
        return (done, 0, 0) if done else (0, plan.error, 0)

    def _part_of(self, pid: int, name: str, arguments: list[int]) -> int:
        """Write the first part in the other's stead, as a kernel does that is interrupted. Returns bytes."""
        size = int(arguments[2] * self._plan.part) if name in {"write", "pwrite64"} else 0
        if not size:
            return 0
        data, own = _memory(pid, arguments[1], size), _same_open_file(pid, arguments[0])
        try:
            return os.pwrite(own, data, arguments[3]) if name == "pwrite64" else os.write(own, data)
        finally:
            os.close(own)


def _same_open_file(thread: int, descriptor: int) -> int:
    """The other's open file itself, with its position, not the file opened once more."""
    process = os.pidfd_open(_process_of(thread))  # the anchor writes in a thread, and a thread has no such handle
    try:
        found = ctypes.CDLL(None, use_errno=True).syscall(_PIDFD_GETFD, process, descriptor, 0)
    finally:
        os.close(process)
    if found < 0:
        raise OSError(ctypes.get_errno(), "the file of the other process cannot be had")
    return int(found)


def _process_of(thread: int) -> int:
    lines = Path(f"/proc/{thread}/status").read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Tgid:"))


def _memory(pid: int, address: int, size: int) -> bytes:
    memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    try:
        return os.pread(memory, size, address)
    finally:
        os.close(memory)
