"""How a child of the Watchdog locks itself in, before it does anything else.

Kept here: what is stated as enforced was read back from the kernel, or tried and refused · a limit that this machine
offers and that is not in force afterwards ends the child · what the machine does not offer is stated as open.
"""

from __future__ import annotations

import os
import pwd
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from watchdog.jail import kernel
from watchdog.jail.spec import FIRST_UID, USERS, Jail, JailOpen, JailSpec


def enter(spec: JailSpec, *, parent: int, network: int | None, first_uid: int = FIRST_UID) -> Jail:
    """Lock this process in; there is no way back. Descriptors that it must not have are closed before.

    Args:
        spec: what is asked for.
        parent: the process that it ends with.
        network: an empty network namespace, where there is one.
        first_uid: of the house's users; see `users`.

    Raises:
        JailOpen: something that must be in force is not, or the parent is gone already.
        OSError: a folder of the spec is not there.
    """
    own = _uid(spec.user, first_uid) if spec.user is not None and kernel.may_make_users() else None
    os.umask(0o077)
    os.chdir("/")
    is_apart = network is not None and not spec.tcp
    if is_apart and network is not None:
        kernel.enter_network(network)
        is_apart = kernel.is_in_network(network)
    kernel.drop_bounding()
    if own is not None:
        kernel.become(own, own)
    kernel.drop_capabilities()
    for name, limit in _limits(spec, has_own_user=own is not None).items():
        resource.setrlimit(name, (limit, limit))
    kernel.give_up_new_privileges()
    kernel.close_memory()
    kernel.end_with(parent)
    enforced = _proved(spec, own)
    version = kernel.landlock(map(Path, spec.readable), map(Path, spec.writable), tcp=spec.tcp)
    if version:
        _try_landlock(spec, version, parent)
        enforced.append(kernel.landlock_reach(version, files=_files(spec), tcp=spec.tcp))
    if is_apart:
        enforced.append("no network at all: a namespace without one")
    return Jail(tuple(enforced), tuple(_left_open(spec, version, has_own_user=own is not None, is_apart=is_apart)))


def _uid(user: int, first_uid: int) -> int:
    """The user number `user` of the house's."""
    if not 0 <= user < USERS:
        raise JailOpen(f"`{user}` is none of the {USERS} users of a house")
    uid = first_uid + user
    with suppress(KeyError):
        raise JailOpen(f"uid {uid} belongs to `{pwd.getpwuid(uid).pw_name}`", to_do="give that user another uid")
    return uid


def _counts_processes(spec: JailSpec, *, has_own_user: bool) -> bool:
    """The kernel counts all that the user has. Where that is everybody's, only none at all can be told from others'."""
    return has_own_user or not spec.processes


def _limits(spec: JailSpec, *, has_own_user: bool) -> dict[int, int]:
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: spec.descriptors,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_AS: _address_space() + spec.memory_bytes,
    }
    if _counts_processes(spec, has_own_user=has_own_user):
        limits[resource.RLIMIT_NPROC] = spec.processes
    return limits if spec.writable else limits | {resource.RLIMIT_FSIZE: 0}


def _address_space() -> int:
    """Bytes of it that this process has. Nothing slips past a limit on it; `RLIMIT_DATA` leaves shared mappings out."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def _proved(spec: JailSpec, own: int | None) -> list[str]:
    """What the kernel says is in force, before its files are closed."""
    asked = _limits(spec, has_own_user=own is not None)
    limits = {name: resource.getrlimit(name) for name in asked if name != resource.RLIMIT_AS}
    held = kernel.capabilities()
    demanded = {
        "no new privileges": kernel.has_no_new_privileges(),
        "memory closed to others": kernel.memory_is_closed(),
        "ends with the Watchdog": kernel.ends_with_parent(),
        "no capabilities": not held.permitted | held.effective,
        "no core files": limits[resource.RLIMIT_CORE] == (0, 0),
        f"at most {spec.descriptors} descriptors": limits[resource.RLIMIT_NOFILE] == (spec.descriptors,) * 2,
        f"at most {spec.memory_bytes >> 20} MiB more than at birth": _is_bounded(spec.memory_bytes),
        "locks no memory, makes no queue": {limits[resource.RLIMIT_MEMLOCK], limits[resource.RLIMIT_MSGQUEUE]}
        == {(0, 0)},
    }
    if not spec.writable:
        demanded["writes no file"] = limits[resource.RLIMIT_FSIZE] == (0, 0)
    if os.geteuid() != 0 and resource.RLIMIT_NPROC in limits:
        demanded[_processes(spec)] = limits[resource.RLIMIT_NPROC] == (spec.processes,) * 2
    if own is not None:
        demanded["no capabilities to bring back"] = not held.bounding
        demanded[f"a user of its own, {own}"] = {*os.getresuid(), *os.getresgid()} == {own} and not os.getgroups()
    missing = [what for what, holds in demanded.items() if not holds]
    if missing:
        raise JailOpen(f"not in force: {', '.join(missing)}")
    return list(demanded)


def _is_bounded(memory_bytes: int) -> bool:
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    return soft == hard and 0 < soft <= _address_space() + memory_bytes


def _processes(spec: JailSpec) -> str:
    return f"at most {spec.processes} processes and threads" if spec.processes else "no processes or threads"


def _files(spec: JailSpec) -> str:
    if not spec.readable and not spec.writable:
        return "no file"
    return f"no file but beneath {len(spec.readable)} folders to read and {len(spec.writable)} to write"


def _try_landlock(spec: JailSpec, version: int, parent: int) -> None:
    """Try what must be refused now.

    Raises:
        JailOpen: it was not.
    """
    if "/" not in (*spec.readable, *spec.writable):
        _must_be_refused("the top folder could be read", lambda: os.close(os.open("/", os.O_RDONLY)))
    if version >= kernel.TCP_FROM and not spec.tcp:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
            _must_be_refused("TCP could be used", lambda: one.bind(("127.0.0.1", 0)))
    if version >= kernel.SCOPES_FROM:
        _must_be_refused("its parent could be signalled", lambda: os.kill(parent, 0))


def _must_be_refused(what: str, attempt: Callable[[], object]) -> None:
    try:
        attempt()
    except PermissionError:
        return
    raise JailOpen(f"not in force: {what}")


def _left_open(spec: JailSpec, version: int, *, has_own_user: bool, is_apart: bool) -> Iterator[str]:
    """What was asked for, or could be wished for, and is not in force."""
    if not has_own_user:
        yield "same user as the Watchdog: whatever runs as that user can end it, and it can reach that user's named sockets"
    if not _counts_processes(spec, has_own_user=has_own_user) and os.geteuid() != 0:
        yield "the user is not its own: the number of its processes and threads is not bounded"
    if os.geteuid() == 0:
        yield "the user is root, without its powers: the number of its processes is not bounded"
    if not version:
        yield "this kernel has no Landlock: files that its user may use can be used, and TCP"
    elif version < kernel.SCOPES_FROM:
        yield f"Landlock {version} does not bound signals to processes of the same user"
        if version < kernel.TCP_FROM and not spec.tcp:
            yield f"Landlock {version} does not bound TCP"
    if not spec.tcp and not is_apart:
        yield "no network namespace of its own: what is not TCP can leave"
