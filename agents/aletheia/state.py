"""Aletheia's own docket, and what she waits to see confirmed."""

from __future__ import annotations

from typing import NamedTuple

from immutables import Map

from graveyard.words import Facts, Proposal, Verdict
from mutable_core.docket import Docket


class Expected(NamedTuple):
    """What she found for one proposal herself, from the log."""

    proposal: Proposal
    message_id: str  # of the proposal; the verdict must name it as its cause
    position: int
    facts: Facts
    verdict: Verdict


class Promised(NamedTuple):
    """An approval in the log, until its order was intended or withheld."""

    proposal: Proposal
    message_id: str  # of the approval; the intent must name it as its cause
    digest: str
    reduces: bool


class State(NamedTuple):
    docket: Docket
    undecided: Map[str, Expected]  # proposal id → what the verdict must be
    approved: Map[str, Promised]  # proposal id → what the order must be
    slices: int


FIRST = State(Docket.empty(), Map(), Map(), 0)
