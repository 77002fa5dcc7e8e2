"""What the kernel is asked for, call by call, and what it says is in force. One place for every jail of the house.

Kept here: a call that fails raises `JailOpen` · nothing here decides what a jail is made of; that is `entering` for the
Watchdog's children and `deployment.authority.jail` for the authority.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from watchdog.jail.spec import JailOpen

_PR_SET_PDEATHSIG, _PR_GET_PDEATHSIG = 1, 2
_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4
_PR_SET_NAME = 15
_PR_CAPBSET_READ, _PR_CAPBSET_DROP = 23, 24
_PR_SET_NO_NEW_PRIVS, _PR_GET_NO_NEW_PRIVS = 38, 39
_CAPABILITIES_VERSION = 0x2008_0522  # the third, of 64 bits
_CAPABILITIES_MAX = 64  # as many as the third version can name; what the kernel does not know it refuses
_NEEDED_FOR_USERS = (5, 6, 7, 8)  # to end, to change group and user, to drop for good
_CLONE_NEWNET = 0x4000_0000

# The same numbers on every architecture that Linux has had since 2021.
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_NO_EXECUTE = ~1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_RIGHTS_OF = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""Landlock's version → how many rights over files it knows."""
TCP_FROM, SCOPES_FROM = 4, 6
"""Landlock's version that first bounds TCP, and the one that first bounds signals and abstract sockets."""

_libc = ctypes.CDLL(None, use_errno=True)


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class Capabilities(NamedTuple):
    """Of this process, as bits."""

    permitted: int
    effective: int
    bounding: int


# -- the process ----------------------------------------------------------------------------------------------------


def end_with(parent: int) -> None:
    """Be killed when the process `parent` ends, which must be the one that started this one, from this moment on.

    The kernel forgets this when the user changes: to be asked again after that.

    Raises:
        JailOpen: it has ended already.
    """
    _set(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise JailOpen("the process that started this one has ended already")


def ends_with_parent() -> bool:
    found = ctypes.c_int()
    _libc.prctl(_PR_GET_PDEATHSIG, ctypes.byref(found), 0, 0, 0)
    return found.value == signal.SIGKILL


def be_called(name: str) -> None:
    """What `ps -o comm` and `top` show; cut at 15 bytes."""
    _libc.prctl(_PR_SET_NAME, ctypes.c_char_p(name.encode()[:15]), 0, 0, 0)


def give_up_new_privileges() -> None:
    _set(_PR_SET_NO_NEW_PRIVS, 1)


def has_no_new_privileges() -> bool:
    return _get(_PR_GET_NO_NEW_PRIVS) == 1


def close_memory() -> None:
    """No other process of this user may look into this one. The kernel forgets this when the user changes."""
    _set(_PR_SET_DUMPABLE, 0)


def memory_is_closed() -> bool:
    return _get(_PR_GET_DUMPABLE) == 0


def close_all_but(keep: Iterable[int]) -> None:
    """Close every descriptor that is not in `keep`."""
    highest = max(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 1_024)
    start = 0
    for one in sorted(keep):
        if start < one:  # `closerange(0, 0)` would close all that there are
            os.closerange(start, one)
        start = one + 1
    os.closerange(start, highest)


# -- user and capabilities ------------------------------------------------------------------------------------------


def become(uid: int, gid: int) -> None:
    """Be another user for good, of one group; for root only.

    Raises:
        JailOpen: it would be root, or root could be taken back.
    """
    if not uid or not gid:
        raise JailOpen("a jailed process was told to run as root")
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    try:
        os.setresuid(0, 0, 0)
    except PermissionError:
        return
    raise JailOpen("the powers of root could be taken back")


def may_make_users() -> bool:
    """Whether this process may become another user, and may still end processes that did: root's powers, or enough."""
    held = capabilities().effective
    return os.geteuid() == 0 and all(held >> one & 1 for one in _NEEDED_FOR_USERS)


def drop_bounding() -> None:
    """Give up every capability that a program could still bring back.

    Without the power to do so nothing happens, and nothing need: `give_up_new_privileges` lets none come back.
    """
    for capability in range(_CAPABILITIES_MAX):
        _libc.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0)


def drop_capabilities() -> None:
    """Empty the sets that are in force."""
    if _libc.capset(ctypes.byref(_header()), ctypes.byref((ctypes.c_uint32 * 6)())):
        raise JailOpen(f"capabilities could not be dropped: {os.strerror(ctypes.get_errno())}")


def capabilities() -> Capabilities:
    words = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then the upper halves of the same
    if _libc.capget(ctypes.byref(_header()), ctypes.byref(words)):
        raise JailOpen(f"capabilities could not be read: {os.strerror(ctypes.get_errno())}")
    bounding = (_libc.prctl(_PR_CAPBSET_READ, ctypes.c_ulong(one), 0, 0, 0) == 1 for one in range(_CAPABILITIES_MAX))
    return Capabilities(
        permitted=words[1] | words[4] << 32,
        effective=words[0] | words[3] << 32,
        bounding=sum(1 << number for number, is_there in enumerate(bounding) if is_there),
    )


def _header() -> _CapabilityHeader:
    return _CapabilityHeader(_CAPABILITIES_VERSION, 0)


# -- network --------------------------------------------------------------------------------------------------------


def empty_network() -> int | None:
    """A descriptor of a network namespace in which there is nothing; None where this process may not make one.

    The calling thread is in its own namespace again afterwards.
    """
    home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.unshare(_CLONE_NEWNET):
            return None
        empty = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        enter_network(home)
    finally:
        os.close(home)
    return empty


def enter_network(namespace: int) -> None:
    if _libc.setns(namespace, _CLONE_NEWNET):
        raise JailOpen(f"the network namespace could not be entered: {os.strerror(ctypes.get_errno())}")


def is_in_network(namespace: int) -> bool:
    mine, its = Path("/proc/self/ns/net").stat(), os.fstat(namespace)
    return (mine.st_dev, mine.st_ino) == (its.st_dev, its.st_ino)


# -- Landlock -------------------------------------------------------------------------------------------------------


def landlock_version() -> int:
    """Of this kernel; 0 where it has none."""
    return max(0, int(_libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1))))


def landlock(readable: Iterable[Path], writable: Iterable[Path] = (), *, tcp: bool = False) -> int:
    """From here on only files beneath the folders open; nothing is executed, nothing outside is signalled.

    Args:
        readable: beneath them files are opened for reading.
        writable: beneath them files are also made, written and removed.
        tcp: whether TCP stays open.

    Returns:
        Landlock's version, which says what it bounds (see `TCP_FROM`, `SCOPES_FROM`); 0 where the kernel has none.

    Raises:
        JailOpen: the kernel has it and refused.
        OSError: a folder is not there.
    """
    version = landlock_version()
    if not version:
        return 0
    rights = (1 << _RIGHTS_OF.get(version, 16)) - 1
    rules = _Ruleset(rights, 3 if version >= TCP_FROM and not tcp else 0, 3 if version >= SCOPES_FROM else 0)
    size = 24 if version >= SCOPES_FROM else 16 if version >= TCP_FROM else 8
    handle = _checked(_libc.syscall(_LANDLOCK_CREATE, ctypes.byref(rules), ctypes.c_size_t(size), ctypes.c_uint32(0)))
    try:
        for folder in readable:
            _allow(handle, folder, _READ_FILE | _READ_DIR)
        for folder in writable:
            _allow(handle, folder, rights & _NO_EXECUTE)
        _checked(_libc.syscall(_LANDLOCK_RESTRICT, handle, ctypes.c_uint32(0)))
    finally:
        os.close(handle)
    return version


def landlock_reach(version: int, *, files: str, tcp: bool = False) -> str:
    """What Landlock of this version bounds, in words; `files` says which files are left."""
    reach = [files]
    if version >= TCP_FROM and not tcp:
        reach.append("no TCP")
    if version >= SCOPES_FROM:
        reach.append("no signal or abstract socket out")
    return f"Landlock {version}: {', '.join(reach)}"


def _allow(handle: int, folder: Path, rights: int) -> None:
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        beneath = _Beneath(rights, descriptor)
        _checked(_libc.syscall(_LANDLOCK_ADD, handle, 1, ctypes.byref(beneath), ctypes.c_uint32(0)))
    finally:
        os.close(descriptor)


def _checked(result: int) -> int:
    if result < 0:
        raise JailOpen(f"Landlock refused: {os.strerror(ctypes.get_errno())}")
    return result


def _set(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0):
        raise JailOpen(f"prctl {option} failed: {os.strerror(ctypes.get_errno())}")


def _get(option: int) -> int:
    return int(_libc.prctl(option, 0, 0, 0, 0))
