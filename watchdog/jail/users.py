"""Which users the children of this house are, where we are root: a block of uids that no other house has meanwhile."""

from __future__ import annotations

import socket
from typing import NamedTuple

from watchdog.jail.spec import FIRST_UID, HOUSES, USERS, JailOpen


class Users(NamedTuple):
    """A block of `USERS` uids from `first` on, ours for as long as `claim` is open in some process."""

    first: int
    claim: socket.socket


def claim_users() -> Users:
    """The first block that is free.

    The claim is the name of a socket that nobody listens on: the kernel gives each name once, and takes it back with
    its process, however that ends.

    Raises:
        JailOpen: none is free.
    """
    for house in range(HOUSES):
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0ark-users-{house}")
        except OSError:
            claim.close()
            continue
        return Users(FIRST_UID + house * USERS, claim)
    raise JailOpen(f"{HOUSES} houses have all the users kept for children", to_do="end one of them")
