"""What the authority's process gives up before it makes its key, asked of the kernel directly and read back from it.

Kept here: nothing is stated that was not read back · started by root, a limit that is not in force ends the process ·
started by anybody else it runs as the same user as the house, and says so: that user can read its memory only where
the kernel lets them, which `PR_SET_DUMPABLE 0` forbids, but can end it.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import resource
import signal
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from deployment.authority.errors import JailOpen

USER = "ark-authority"
UID_IF_NONE = 64_851
"""Where the machine has no such user: high, and given to nobody by any distribution."""
_DESCRIPTORS_MAX = 16

_PR_SET_PDEATHSIG, _PR_GET_PDEATHSIG = 1, 2
_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4
_PR_SET_NO_NEW_PRIVS, _PR_GET_NO_NEW_PRIVS = 38, 39

# The same numbers on every architecture that Linux has had since 2021.
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_RIGHTS_OF = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""Landlock's version → how many rights over files it knows."""

_libc = ctypes.CDLL(None, use_errno=True)


class User(NamedTuple):
    uid: int
    gid: int


class Jail(NamedTuple):
    """What is enforced, and what is not and why; a few words each."""

    enforced: tuple[str, ...]
    open: tuple[str, ...]


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def authority_user() -> User:
    """The user that the authority runs as: its own where we are root, ours otherwise.

    Raises:
        JailOpen: there is no user `ark-authority`, and the number kept for it belongs to somebody else.
    """
    if os.geteuid() != 0:
        return User(os.geteuid(), os.getegid())
    with suppress(KeyError):
        found = pwd.getpwnam(USER)
        if found.pw_uid and found.pw_gid:
            return User(found.pw_uid, found.pw_gid)
        raise JailOpen(f"`{USER}` has the powers of root", to_do=f"give `{USER}` a uid and gid of its own")
    with suppress(KeyError):
        other = pwd.getpwuid(UID_IF_NONE).pw_name
        raise JailOpen(f"uid {UID_IF_NONE} belongs to `{other}`", to_do=f"make a user `{USER}`")
    return User(UID_IF_NONE, UID_IF_NONE)


def lock_in(user: User, *, parent: int, keep: tuple[int, ...], readable: Path) -> Jail:
    """Give up everything but the descriptors `keep` and the files beneath `readable`; end when `parent` ends.

    Raises:
        JailOpen: something that must be in force is not, or the parent is gone already.
    """
    was_root = os.geteuid() == 0
    _close_all_but(keep)
    os.umask(0o077)
    os.chdir("/")
    if was_root:
        _become(user)
    if not os.access(readable, os.R_OK | os.X_OK):
        raise JailOpen(f"uid {user.uid} cannot read the rules", where=str(readable), to_do="install where it can")
    for name, limit in _LIMITS.items():
        resource.setrlimit(name, (limit, limit))
    _set(_PR_SET_NO_NEW_PRIVS, 1)
    _set(_PR_SET_DUMPABLE, 0)  # after the user has changed, which sets it anew; the next likewise
    _set(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise JailOpen("the house ended while its authority began")
    enforced = [*_proved(user, was_root=was_root), "no descriptor but the socket and the last word"]
    landlock = _landlock(readable)
    closed = (*enforced, landlock) if landlock else tuple(enforced)
    still_open = [] if was_root else ["same user as the house: it can be ended by whatever runs as that user"]
    if not landlock:
        still_open.append("this kernel has no Landlock: files that its user may read can be read")
    return Jail(closed, tuple(still_open))


_LIMITS = {
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_NPROC: 0,
    resource.RLIMIT_FSIZE: 0,
    resource.RLIMIT_NOFILE: _DESCRIPTORS_MAX,
}


def _close_all_but(keep: tuple[int, ...]) -> None:
    highest = max(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 1_024)
    start = 0
    for one in sorted(keep):
        os.closerange(start, one)
        start = one + 1
    os.closerange(start, highest)


def _become(user: User) -> None:
    if not user.uid or not user.gid:
        raise JailOpen("the authority was told to run as root")
    os.setgroups([])
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)
    try:
        os.setresuid(0, 0, 0)
    except PermissionError:
        return
    raise JailOpen("the powers of root could be taken back")


def _proved(user: User, *, was_root: bool) -> list[str]:
    """What the kernel says is in force."""
    demanded = {
        "no new privileges": _get(_PR_GET_NO_NEW_PRIVS) == 1,
        "memory closed to others": _get(_PR_GET_DUMPABLE) == 0,
        "ends with the house": _death_signal() == signal.SIGKILL,
        "no core files": resource.getrlimit(resource.RLIMIT_CORE) == (0, 0),
        "no processes or threads": resource.getrlimit(resource.RLIMIT_NPROC) == (0, 0),
        "writes no file": resource.getrlimit(resource.RLIMIT_FSIZE) == (0, 0),
        f"at most {_DESCRIPTORS_MAX} descriptors": resource.getrlimit(resource.RLIMIT_NOFILE)[1] == _DESCRIPTORS_MAX,
    }
    if was_root:
        demanded[f"a user of its own, {user.uid}"] = (
            os.getresuid() == (user.uid,) * 3 and os.getresgid() == (user.gid,) * 3
        )
        demanded["no other groups"] = os.getgroups() == []
        demanded["no capabilities"] = _capabilities() == 0
    missing = [what for what, holds in demanded.items() if not holds]
    if missing:
        raise JailOpen(f"not in force: {', '.join(missing)}")
    return list(demanded)


def _capabilities() -> int:
    """Permitted and effective ones of this process, as bits."""
    lines = Path("/proc/self/status").read_text().splitlines()
    found = [int(line.split()[1], 16) for line in lines if line.startswith(("CapPrm", "CapEff"))]
    return found[0] | found[1]


def _set(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0):
        raise JailOpen(f"prctl {option} failed: {os.strerror(ctypes.get_errno())}")


def _get(option: int) -> int:
    return int(_libc.prctl(option, 0, 0, 0, 0))


def _death_signal() -> int:
    found = ctypes.c_int()
    _libc.prctl(_PR_GET_PDEATHSIG, ctypes.byref(found), 0, 0, 0)
    return found.value


def _landlock(readable: Path) -> str:
    """From here on only files beneath `readable` open, for reading. Empty where this kernel has no Landlock."""
    version = _libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    if version < 1:
        return ""
    rules = _Ruleset((1 << _RIGHTS_OF.get(version, 16)) - 1, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    handle = _checked(_libc.syscall(_LANDLOCK_CREATE, ctypes.byref(rules), ctypes.c_size_t(size), ctypes.c_uint32(0)))
    folder = os.open(readable, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        beneath = _Beneath(_READ_FILE | _READ_DIR, folder)
        _checked(_libc.syscall(_LANDLOCK_ADD, handle, 1, ctypes.byref(beneath), ctypes.c_uint32(0)))
        _checked(_libc.syscall(_LANDLOCK_RESTRICT, handle, ctypes.c_uint32(0)))
    finally:
        os.close(folder)
        os.close(handle)
    reach = (
        ["no file but the rules"] + ["no TCP"] * (version >= 4) + ["no signal or abstract socket out"] * (version >= 6)
    )
    return f"Landlock {version}: {', '.join(reach)}"


def _checked(result: int) -> int:
    if result < 0:
        raise JailOpen(f"Landlock refused: {os.strerror(ctypes.get_errno())}")
    return result
