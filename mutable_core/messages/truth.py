"""What Aletheia finds."""

from __future__ import annotations

from typing import Literal

from mutable_core.messages.market import Body

Outcome = Literal["refused", "accepted", "rejected", "withheld", "approved"]
Finding = Literal[
    "verdict_mismatch",  # the verdict in the log does not follow from the log
    "order_unapproved",  # an order without a matching, unused approval
    "order_altered",  # the order is not the one that was approved
    "books_differ",  # ledger and venue disagree
    "trace_broken",  # a message whose cause is not in the log
    "seal_broken",  # the rules in force are not the sealed ones
    "fill_unknown",  # a fill of an order that was never intended
]


class Verified(Body, frozen=True, tag="truth.verified/1"):
    """The decision was looked at again from the log: the verdict recomputes, the order is the approved one."""

    proposal_id: str
    outcome: Outcome


class StatementWanted(Body, frozen=True, tag="truth.statement_wanted/1"):
    """Aletheia asks for the venue's statement; Kenny fetches it."""

    slices: int


class Reconciled(Body, frozen=True, tag="truth.reconciled/1"):
    """Books and venue agree to the micro and the atom, as of `venue_seq`."""

    venue_seq: int
    cash_micros: int
    equity_micros: int
    positions: int
    open_orders: int


class DiscrepancyFound(Body, frozen=True, tag="truth.discrepancy_found/1"):
    subject: str
    finding: Finding
    detail: str
