"""The life of one agent's process: which agent, and with which hands."""

from __future__ import annotations

import socket

import msgspec

from agents.kenny.hands import KennyHands
from agents.kenny.venues.remote import RemoteVenue
from agents.kyle.hands import KyleHands
from agents.kyle.sources.register import open_source
from agents.runtime import process
from agents.runtime.hands import Hands
from deployment.topology.processes.wiring import FIRST_STATES, FOLDS
from deployment.topology.wiring import AGENTS
from mutable_core.freezing import thaw
from mutable_core.lease_page import LeasePage
from watchdog.birth import Birth


class AgentArguments(msgspec.Struct, frozen=True):
    """What an agent is born with, besides its descriptors `work` and `leash`.

    Attributes:
        source, seed: for Kyle, who opens it.
        may_drill: whether it does what a drill tells it.
    """

    source: str
    seed: int
    may_drill: bool


def live(birth: Birth) -> int:
    """Be the agent that the birth names. Kenny has `venue` and `lease` besides."""
    told = msgspec.msgpack.decode(birth.args, type=AgentArguments)
    agent = next(one for one in AGENTS if one.spec.name == birth.name)
    return process.live(
        agent,
        thaw(FIRST_STATES[birth.name]),
        work=socket.socket(fileno=birth.fds["work"]),
        leash=socket.socket(fileno=birth.fds["leash"]),
        hands=_hands(birth, told),
        extra_folds=FOLDS.get(birth.name, frozenset()),
        may_drill=told.may_drill,
    )


def _hands(birth: Birth, told: AgentArguments) -> Hands | None:
    """Two of the six have any."""
    match birth.name:
        case "kyle":
            return KyleHands(lambda: open_source(told.source, told.seed))
        case "kenny":
            venue = RemoteVenue(socket.socket(fileno=birth.fds["venue"]))
            return KennyHands(venue, LeasePage(birth.fds["lease"]).is_fresh)
        case _:
            return None
