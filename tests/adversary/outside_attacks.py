"""Attacks on the authority's process by another user of the machine, each in a process of its own.

`python -m tests.adversary.outside_attacks UID PID TOP` takes the uid, tries everything against the process PID and the
rules beneath TOP, and prints for each attack `refused: why` or `done`. It is started by root, and gives that up first.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

_PIDFD_OPEN, _PIDFD_GETFD, _KCMP = 434, 438, 312
_PTRACE_ATTACH, _PTRACE_SEIZE = 16, 0x4206
_libc = ctypes.CDLL(None, use_errno=True)
_house = os.getppid()
"""Who started this program: the process at the other end of the authority's socket."""

Attack = Callable[[int, Path], object]
ATTACKS: dict[str, tuple[Attack, str]] = {}
"""Name → the attack, and what it tries. It succeeds where it does not raise `OSError`."""


def attack(tries: str) -> Callable[[Attack], Attack]:
    def noted(one: Attack) -> Attack:
        ATTACKS[one.__name__] = (one, tries)
        return one

    return noted


def _called(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


class _Piece(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


@attack("read `/proc/PID/mem`")
def read_memory(pid: int, _top: Path) -> object:
    return Path(f"/proc/{pid}/mem").open("rb")


@attack("write `/proc/PID/mem`")
def write_memory(pid: int, _top: Path) -> object:
    return Path(f"/proc/{pid}/mem").open("r+b")


@attack("read `/proc/PID/maps`")
def read_maps(pid: int, _top: Path) -> object:
    return Path(f"/proc/{pid}/maps").read_text()


@attack("read `/proc/PID/environ`")
def read_environment(pid: int, _top: Path) -> object:
    return Path(f"/proc/{pid}/environ").read_bytes()


@attack("list `/proc/PID/fd`")
def list_descriptors(pid: int, _top: Path) -> object:
    return list(Path(f"/proc/{pid}/fd").iterdir())


@attack("open its socket through `/proc/PID/fd`")
def open_descriptor(pid: int, _top: Path) -> object:
    return [os.open(f"/proc/{pid}/fd/{number}", os.O_RDWR) for number in (3, 4, 5)]


@attack("look into its root and working folder")
def look_at_folder(pid: int, _top: Path) -> object:
    return list(Path(f"/proc/{pid}/cwd").iterdir())


@attack("attach with ptrace")
def ptrace_attach(pid: int, _top: Path) -> object:
    return _called(_libc.ptrace(_PTRACE_ATTACH, pid, 0, 0))


@attack("seize with ptrace")
def ptrace_seize(pid: int, _top: Path) -> object:
    return _called(_libc.ptrace(_PTRACE_SEIZE, pid, 0, 0))


@attack("read its memory with `process_vm_readv`")
def vm_read(pid: int, _top: Path) -> object:
    buffer = ctypes.create_string_buffer(8)
    here, there = _Piece(ctypes.addressof(buffer), 8), _Piece(id(None), 8)
    return _called(_libc.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0))


@attack("write its memory with `process_vm_writev`")
def vm_write(pid: int, _top: Path) -> object:
    buffer = ctypes.create_string_buffer(8)
    here, there = _Piece(ctypes.addressof(buffer), 8), _Piece(id(None), 8)
    return _called(_libc.process_vm_writev(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0))


@attack("take its socket with `pidfd_getfd`")
def take_descriptor(pid: int, _top: Path) -> object:
    handle = _called(_libc.syscall(_PIDFD_OPEN, pid, 0))
    return [_called(_libc.syscall(_PIDFD_GETFD, handle, number, 0)) for number in range(2, 8)]


@attack("take the house's end of the socket with `pidfd_getfd`")
def take_house_descriptor(_pid: int, _top: Path) -> object:
    handle = _called(_libc.syscall(_PIDFD_OPEN, _house, 0))
    return [_called(_libc.syscall(_PIDFD_GETFD, handle, number, 0)) for number in range(3, 20)]


@attack("connect to its socket by the names that it could have")
def connect_by_name(pid: int, _top: Path) -> object:
    for name in (f"/proc/{pid}/fd/3", "\0ark-authority", f"\0{pid}"):
        with socket.socket(socket.AF_UNIX) as one:
            try:
                one.connect(name)
            except OSError as error:
                why = error
            else:
                return name
    raise why


def _signal(number: signal.Signals) -> Attack:
    return lambda pid, _top: os.kill(pid, number)


for _number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGSEGV):
    ATTACKS[f"send_{_number.name.lower()}"] = (_signal(_number), f"send {_number.name}")


@attack("send SIGKILL through a pidfd")
def pidfd_kill(pid: int, _top: Path) -> object:
    return signal.pidfd_send_signal(os.pidfd_open(pid), signal.SIGKILL)


@attack("change its limits with `prlimit`")
def change_limits(pid: int, _top: Path) -> object:
    return resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, 0))


@attack("change its priority")
def change_priority(pid: int, _top: Path) -> object:
    return os.setpriority(os.PRIO_PROCESS, pid, 19)


@attack("bind it to one processor")
def change_affinity(pid: int, _top: Path) -> object:
    return os.sched_setaffinity(pid, {0})


@attack("make it the first to be ended when memory is short")
def change_oom(pid: int, _top: Path) -> object:
    return Path(f"/proc/{pid}/oom_score_adj").write_text("1000")


@attack("overwrite the rules")
def overwrite_rules(_pid: int, top: Path) -> object:
    return (top / "graveyard" / "ethics.py").write_text("RULES = ()")


@attack("append to the rules")
def append_rules(_pid: int, top: Path) -> object:
    return (top / "graveyard" / "ethics.py").open("a")


@attack("truncate the rules")
def truncate_rules(_pid: int, top: Path) -> object:
    return os.truncate(top / "graveyard" / "ethics.py", 0)


@attack("unlink the rules")
def unlink_rules(_pid: int, top: Path) -> object:
    return (top / "graveyard" / "ethics.py").unlink()


@attack("rename the rules")
def rename_rules(_pid: int, top: Path) -> object:
    return (top / "graveyard" / "ethics.py").rename(top / "graveyard" / "other.py")


@attack("rename the folder of the rules")
def rename_folder(_pid: int, top: Path) -> object:
    return (top / "graveyard").rename(top / "other")


@attack("put a link in the place of the rules")
def link_rules(_pid: int, top: Path) -> object:
    other = Path(f"/tmp/rules-{os.getpid()}")
    other.symlink_to("/dev/null")
    try:
        return other.rename(top / "graveyard" / "ethics.py")
    finally:
        other.unlink(missing_ok=True)


@attack("add a file beside the rules")
def add_file(_pid: int, top: Path) -> object:
    return (top / "graveyard" / "msgspec.py").write_text("")


@attack("make the rules writable")
def chmod_rules(_pid: int, top: Path) -> object:
    return (top / "graveyard" / "ethics.py").chmod(0o666)


@attack("set the times of the rules")
def touch_rules(_pid: int, top: Path) -> object:
    return os.utime(top / "graveyard" / "ethics.py", ns=(0, 0))


@attack("leave bytecode that Python would believe")
def plant_bytecode(_pid: int, top: Path) -> object:
    folder = top / "graveyard" / "__pycache__"
    folder.mkdir(exist_ok=True)
    return (folder / "ethics.cpython-311.pyc").write_bytes(b"")


def tried(name: str, pid: int, top: Path) -> str:
    """What became of one attack, tried in a process of its own."""
    receiving, sending = os.pipe()
    if os.fork() == 0:
        os.close(receiving)
        try:
            ATTACKS[name][0](pid, top)
            said = "done"
        except OSError as error:
            said = f"refused: {error.strerror}"
        os.write(sending, said.encode())
        os._exit(0)
    os.close(sending)
    said = os.read(receiving, 1_024).decode()
    os.close(receiving)
    os.wait()
    return said or "the attacker died"


def main(uid: int, pid: int, top: Path) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    print(json.dumps({name: tried(name, pid, top) for name in ATTACKS}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
