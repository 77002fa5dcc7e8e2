"""The docket after one message, other than those that ask for an answer."""

from __future__ import annotations

from immutables import Map

from mutable_core import book as books
from mutable_core import flows as market
from mutable_core import standing as standings
from mutable_core.docket.state import Conduct, Docket, Recent
from mutable_core.messages import (
    AccountHalted,
    ApprovalAwaited,
    Approved,
    CorporateActionObserved,
    Envelope,
    LeaseGranted,
    Observed,
    OperationApproved,
    OperationAsked,
    OrderCancelled,
    OrderIntended,
    PersonSigned,
    ProposalMade,
    SliceClosed,
    SourceEnded,
)

RECENT_PER_INSTRUMENT = 64
CONDUCT_ORDERS = 100
EXECUTOR = "kenny"  # whose lease it is that lets risk be opened

ASKING: tuple[type, ...] = (ProposalMade, OperationAsked, PersonSigned, SliceClosed, SourceEnded)
"""What is answered, or may be: `answer` takes these in."""

HEARD: tuple[type, ...] = (
    *(kind for kind in books.HEARD if kind is not Approved),  # whoever answers notes approvals when giving them
    LeaseGranted,
    ApprovalAwaited,
    *(kind for kind in standings.HEARD if kind not in {AccountHalted, OperationApproved}),
    *ASKING,
)
"""The body types that change a docket."""

_STANDING = frozenset(standings.HEARD)


def fold(docket: Docket, envelope: Envelope) -> Docket:
    """The docket after one message that asks for no answer; others leave it as it is."""
    body = envelope.body
    kind = type(body)
    book = books.fold(docket.book, envelope)
    if kind is Observed:
        return _observed(docket, envelope, book)
    if kind is LeaseGranted:
        if body.agent != EXECUTOR:  # type: ignore[union-attr]
            return docket
        return docket._replace(lease=body, lease_seq=envelope.seq)  # type: ignore[arg-type]
    if kind in _STANDING:
        return docket._replace(standing=standings.fold(docket.standing, envelope), standing_seq=envelope.seq)
    if kind is ApprovalAwaited:
        return _awaited(docket, envelope, body)  # type: ignore[arg-type]
    if book is docket.book:
        return docket
    flows, conduct = docket.flows, docket.conduct
    if kind is CorporateActionObserved:
        flows = market.acted(flows, body)  # type: ignore[arg-type]
    elif kind is OrderIntended:
        conduct = _ordered(conduct, body.order.client_order_id)  # type: ignore[union-attr]
    elif kind is OrderCancelled:
        conduct = _cancelled(conduct, body)  # type: ignore[arg-type]
    return Docket(
        book, docket.recent, flows, docket.lease, docket.actions_ns, docket.bucket_ns, docket.bucket_at_ns,
        docket.repeats_ns, conduct, docket.standing, docket.seconds, docket.pending, docket.decided, envelope.seq,
        docket.day_seq, docket.lease_seq, docket.standing_seq,
    )  # fmt: skip


def _observed(docket: Docket, envelope: Envelope, book: books.Book) -> Docket:
    body = envelope.body
    assert isinstance(body, Observed)
    instrument, now = body.instrument, envelope.ts_seen_ns
    day_seq = docket.day_seq if book.day.number == docket.book.day.number else envelope.seq
    recent = _remembered(docket.recent, envelope, instrument)
    if body.source != book.setup.source:
        others = docket.seconds.get(instrument, Map()).set(body.source, envelope)
        return docket._replace(recent=recent, seconds=docket.seconds.set(instrument, others))
    return Docket(
        book, recent, market.observed(docket.flows, body, now, book.marks[instrument]), docket.lease, docket.actions_ns,
        docket.bucket_ns, docket.bucket_at_ns, docket.repeats_ns, docket.conduct, docket.standing, docket.seconds,
        docket.pending, docket.decided, docket.book_seq, day_seq, docket.lease_seq, docket.standing_seq,
    )  # fmt: skip


def _remembered(recent: Map[str, Recent], envelope: Envelope, instrument: str) -> Map[str, Recent]:
    seen = recent.get(instrument, ())
    # All of this moment stays, however many there are: what is decided when the slice closes may cite any of it.
    if len(seen) >= RECENT_PER_INSTRUMENT and seen[1 - RECENT_PER_INSTRUMENT].ts_seen_ns < envelope.ts_seen_ns:
        seen = seen[1 - RECENT_PER_INSTRUMENT :]
    return recent.set(instrument, seen + (envelope,))  # noqa: RUF005 — half the price of unpacking


def _awaited(docket: Docket, envelope: Envelope, body: ApprovalAwaited) -> Docket:
    pending = docket.pending.get(body.act_id)
    if pending is None or pending.awaited_at:
        return docket
    return docket._replace(pending=docket.pending.set(body.act_id, pending._replace(awaited_at=envelope.seq)))


def _ordered(conduct: Conduct, order_id: str) -> Conduct:
    orders = (*conduct.orders[1 - CONDUCT_ORDERS :], order_id)
    cancelled = conduct.cancelled
    return Conduct(orders, cancelled & frozenset(orders) if cancelled else cancelled)


def _cancelled(conduct: Conduct, body: OrderCancelled) -> Conduct:
    if body.reason != "by_us" or body.client_order_id not in conduct.orders:
        return conduct
    return Conduct(conduct.orders, conduct.cancelled | {body.client_order_id})
