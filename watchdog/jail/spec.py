"""What a child is locked into, and what came of it."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from mutable_core.errors import Broken

MIB = 1 << 20
FIRST_UID = 64_852
"""Of the users that children run as where we are root: high, and given to nobody by any distribution."""
USERS = 16
"""For the children of one house."""
HOUSES = 40
"""On one machine, side by side; their children are different users, and so cannot use up what the others may have."""


class JailOpen(Broken):
    """A limit that a process was told to keep is not in force."""


class JailSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A jail, as asked for. Whatever the machine cannot give is stated in the report, never passed over.

    Attributes:
        readable: folders beneath which files may be opened for reading.
        writable: folders beneath which files may also be made, written and removed.
        tcp: whether it may reach a network. Without: no TCP, and where we are root no network at all.
        user: which of its house's users it runs as where we are root, 0 … 15; None: the Watchdog's own.
        memory_bytes: of address space that it may take beyond what it was born with.
        processes: that its user may have, threads counted; 0: it can start neither.
        descriptors: that it may have open.
    """

    readable: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    tcp: bool = False
    user: int | None = None
    memory_bytes: int = 512 * MIB
    processes: int = 0
    descriptors: int = 64


class Jail(NamedTuple):
    """What is enforced, and what is not and why; a few words each. Nothing stands here that was not read back."""

    enforced: tuple[str, ...]
    open: tuple[str, ...]


NO_JAIL = Jail((), ("no jail: it is trusted with what the Watchdog may do",))
