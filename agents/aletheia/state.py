"""Aletheia's own docket, and what she waits to see confirmed."""

from __future__ import annotations

from typing import NamedTuple

from immutables import Map

from graveyard.words import Facts, Proposal, Verdict
from mutable_core.book import Hold
from mutable_core.docket import Docket, Vetted
from mutable_core.messages import Approved, Envelope


class Expected(NamedTuple):
    """What she found for one proposal herself, from the log."""

    heard: Envelope  # the proposal's message; the verdict must name it as its cause, and stay in its trace
    proposal: Proposal
    facts: Facts
    verdict: Verdict
    hold: Hold

    @staticmethod
    def of(heard: Envelope, proposal: Proposal, vetted: Vetted) -> Expected:
        return Expected(heard, proposal, vetted.facts, vetted.verdict, vetted.hold)


class Promised(NamedTuple):
    """An approval in the log, until its order was intended or withheld."""

    heard: Envelope  # the approval's message; the intent must name it as its cause, and stay in its trace
    proposal: Proposal
    approved: Approved


class State(NamedTuple):
    docket: Docket
    undecided: Map[str, Expected]  # proposal id → what the verdict must be
    approved: Map[str, Promised]  # proposal id → what the order must be
    slices: int


FIRST = State(Docket.empty(), Map(), Map(), 0)
