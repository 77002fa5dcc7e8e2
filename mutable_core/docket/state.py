"""What a docket holds."""

from __future__ import annotations

from typing import NamedTuple

from immutables import Map

from graveyard.words import Proposal
from mutable_core import standing as standings
from mutable_core.book import Book
from mutable_core.clock import MINUTE_NS, SECOND_NS
from mutable_core.flows import Flow
from mutable_core.messages import ApprovalAwaited, Envelope, LeaseGranted, OperationAsked
from mutable_core.standing import Standing

BURST_NS = 10 * SECOND_NS  # a bucket of 10 actions that refills one each second: 60 a minute
APPROVAL_TERM_NS = 30 * SECOND_NS
SIGNING_NS = 5 * MINUTE_NS  # how long an act waits for people

Recent = tuple[Envelope, ...]


class Conduct(NamedTuple):
    """The last 100 orders of the account, and which of them we cancelled."""

    orders: tuple[str, ...]
    cancelled: frozenset[str]


class Cited(NamedTuple):
    """What became of the cited numbers. Counts; `age_ns` and its limit are of the citation furthest past its limit."""

    positions: tuple[int, ...]
    unresolved: int
    mismatched: int
    unattested: int
    malformed: int
    not_public: int
    embargo_until_ns: tuple[int, ...]
    age_ns: int | None
    age_max_ns: int | None


class Signature(NamedTuple):
    """A person's, as the log holds it."""

    person: str
    seen_ns: int
    position: int


class Pending(NamedTuple):
    """An act that waits for people: exactly as it was asked for, and the market as it was then.

    Attributes:
        needed: how many different persons must sign.
        asked: the words with which it began to wait.
        awaited_at: position of its `ApprovalAwaited`; 0 until that is in the log.
        mark_atoms: the instrument's last price when it was asked for.
    """

    heard: Envelope
    act: Proposal | OperationAsked
    digest: str
    cited: Cited | None
    needed: int
    asked: ApprovalAwaited
    mark_atoms: int
    until_ns: int
    awaited_at: int
    signatures: tuple[Signature, ...]


class Docket(NamedTuple):
    """A book, and what the rules need besides. A named tuple: it is rebuilt on the hot path."""

    book: Book
    recent: Map[str, Recent]  # instrument → its last observations, oldest first
    flows: Map[str, Flow]
    lease: LeaseGranted | None
    actions_ns: tuple[int, ...]  # approvals of the last minute, oldest first
    bucket_ns: int  # what is in the bucket, in ns of refill
    bucket_at_ns: int
    repeats_ns: Map[tuple[str, str], tuple[int, ...]]  # (strategy, instrument) → proposals of the last minute
    conduct: Conduct
    standing: Standing
    seconds: Map[str, Map[str, Envelope]]  # instrument → source other than the run's own → its newest observation
    pending: Map[str, Pending]  # act id → what waits for people
    decided: Map[str, int]  # act id → until when its approval stands
    book_seq: int  # of the last message that changed positions, holds, orders or cash
    day_seq: int  # of the message with which the day began
    lease_seq: int
    standing_seq: int  # of the last message that changed what stands

    @staticmethod
    def empty() -> Docket:
        return Docket(
            Book.empty(), Map(), Map(), None, (), BURST_NS, 0, Map(), Conduct((), frozenset()), standings.NONE, Map(),
            Map(), Map(), 0, 0, 0, 0,
        )  # fmt: skip
