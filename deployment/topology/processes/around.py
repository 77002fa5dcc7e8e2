"""The processes around the agents that have a part of their own elsewhere: the venue and the kill switch."""

from __future__ import annotations

import socket
from pathlib import Path

import msgspec

from agents.kenny.venues.server import serve
from deployment.kill_switch import process as kill_switch
from mutable_core.messages import Person
from watchdog.birth import Birth


class KillArguments(msgspec.Struct, frozen=True):
    """What the kill switch is born with, besides its descriptors `venue` and `leash`."""

    state: str
    people: tuple[Person, ...]
    port: int


def live_venue(birth: Birth) -> int:
    """Be the paper exchange. Descriptors: `control`, `leash`."""
    return serve(socket.socket(fileno=birth.fds["control"]), socket.socket(fileno=birth.fds["leash"]))


def live_kill_switch(birth: Birth) -> int:
    """Stand by. Descriptors: `venue`, `leash`."""
    told = msgspec.msgpack.decode(birth.args, type=KillArguments)
    venue, leash = (socket.socket(fileno=birth.fds[name]) for name in ("venue", "leash"))
    return kill_switch.live(Path(told.state), venue, leash, told.people, told.port)
