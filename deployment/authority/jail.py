"""What the authority's process gives up before it makes its key. The kernel is asked in `watchdog.jail.kernel`.

Kept here: nothing is stated that was not read back · started by root, a limit that is not in force ends the process ·
started by anybody else it runs as the same user as the house, and says so: that user can read its memory only where
the kernel lets them, which `PR_SET_DUMPABLE 0` forbids, but can end it.
"""

from __future__ import annotations

import os
import pwd
import resource
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from deployment.authority.errors import JailOpen
from watchdog.jail import Jail, kernel

USER = "ark-authority"
UID_IF_NONE = 64_851
"""Where the machine has no such user: high, and given to nobody by any distribution."""
_DESCRIPTORS_MAX = 16


class User(NamedTuple):
    uid: int
    gid: int


def authority_user() -> User:
    """The user that the authority runs as: its own where we have the powers of root, ours otherwise.

    Raises:
        JailOpen: there is no user `ark-authority`, and the number kept for it belongs to somebody else.
    """
    if not kernel.may_make_users():
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
    was_root = kernel.may_make_users()
    kernel.close_all_but(keep)
    os.umask(0o077)
    os.chdir("/")
    if was_root:
        kernel.become(user.uid, user.gid)
    if not os.access(readable, os.R_OK | os.X_OK):
        raise JailOpen(f"uid {user.uid} cannot read the rules", where=str(readable), to_do="install where it can")
    for name, limit in _LIMITS.items():
        resource.setrlimit(name, (limit, limit))
    kernel.give_up_new_privileges()
    kernel.close_memory()  # after the user has changed, which sets it anew; the next likewise
    kernel.end_with(parent)
    enforced = [*_proved(user, was_root=was_root), "no descriptor but the socket and the last word"]
    still_open = [] if was_root else ["same user as the house: it can be ended by whatever runs as that user"]
    if version := kernel.landlock((readable,)):
        enforced.append(kernel.landlock_reach(version, files="no file but the rules"))
    else:
        still_open.append("this kernel has no Landlock: files that its user may read can be read")
    return Jail(tuple(enforced), tuple(still_open))


_LIMITS = {
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_NPROC: 0,
    resource.RLIMIT_FSIZE: 0,
    resource.RLIMIT_NOFILE: _DESCRIPTORS_MAX,
}


def _proved(user: User, *, was_root: bool) -> list[str]:
    """What the kernel says is in force."""
    demanded = {
        "no new privileges": kernel.has_no_new_privileges(),
        "memory closed to others": kernel.memory_is_closed(),
        "ends with the house": kernel.ends_with_parent(),
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
        held = kernel.capabilities()
        demanded["no capabilities"] = not held.permitted | held.effective
    missing = [what for what, holds in demanded.items() if not holds]
    if missing:
        raise JailOpen(f"not in force: {', '.join(missing)}")
    return list(demanded)
