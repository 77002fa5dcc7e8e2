"""What Kenny knows: proposals that wait for a verdict, orders on their way, and what he may still do this minute."""

from __future__ import annotations

from typing import NamedTuple

from immutables import Map

from agents.kenny.lifecycle import Tracked
from graveyard.words import Proposal
from mutable_core.docket import BURST_NS


class State(NamedTuple):
    proposals: Map[str, Proposal]  # undecided
    orders: Map[str, Tracked]  # client order id → order that is not over
    used: Map[str, int]  # proposal id → when its approval expires; an approval is used once
    bucket_ns: int  # actions left, in ns of refill: 60 a minute, 10 at once
    bucket_at_ns: int


FIRST = State(Map(), Map(), Map(), BURST_NS, 0)
