"""Aletheia's own docket, and what she waits to see confirmed."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from immutables import Map

from graveyard.words import Proposal
from mutable_core.docket import Answer, Docket
from mutable_core.messages import Approved, Envelope


class Expected(NamedTuple):
    """The answer that she found herself, from the log, and the message of the act that it answers."""

    act: Envelope
    answer: Answer


class Promised(NamedTuple):
    """An approval in the log, until its order was intended or withheld."""

    heard: Envelope  # the approval's message; the intent must name it as its cause, and stay in its trace
    proposal: Proposal
    approved: Approved


Undecided: TypeAlias = Map[tuple[str, bool], tuple[Expected, ...]]
"""(act id, whether it is an announcement) → what must be said of it, in order: more than one thing where HRM was held."""


class State(NamedTuple):
    docket: Docket
    undecided: Undecided
    approved: Map[str, Promised]  # proposal id → what the order must be
    slices: int
    hrm_is_held: bool = False  # the log goes on without HRM: silence is no answer, and no lie either


FIRST = State(Docket.empty(), Map(), Map(), 0)
