"""The docket: what is needed to vet a proposal, folded from the log, and the facts it yields.

HRM keeps one to decide, Aletheia keeps another to check, and whoever reads the journal later can keep a third: the
same log gives the same facts. Nothing here is taken from the proposer's word.
"""

from __future__ import annotations

from bisect import bisect_right
from decimal import Decimal
from typing import NamedTuple

from immutables import Map

from graveyard.judge import judge
from graveyard.words import Evidence, Facts, Proposal, Verdict
from mutable_core import book as books
from mutable_core.book import Book, Hold
from mutable_core.clock import MINUTE_NS, SECOND_NS
from mutable_core.messages import Envelope, Instrument, LeaseGranted, Observed, ProposalMade
from mutable_core.money import ATOMS_PER_UNIT, atoms

RECENT_PER_INSTRUMENT = 64
BURST_NS = 10 * SECOND_NS  # a bucket of 10 actions that refills one each second: 60 a minute
LIVE_AGE_MAX_NS = 2 * SECOND_NS
APPROVAL_TERM_NS = 30 * SECOND_NS
_ATOMS2_PER_MICRO = ATOMS_PER_UNIT * ATOMS_PER_UNIT // 1_000_000

_DIGITS_MAX = 14  # before the decimal point, less one: 10¹⁵ units of price or size exist nowhere

Recent = tuple[Envelope, ...]


class Docket(NamedTuple):
    """A book, and what the rules on evidence, loops and leases need besides."""

    book: Book
    recent: Map[str, Recent]  # instrument → its last observations, oldest first
    lease: LeaseGranted | None
    actions_ns: tuple[int, ...]  # approvals of the last minute, oldest first
    bucket_ns: int  # what is in the bucket, in ns of refill
    bucket_at_ns: int
    repeats_ns: Map[tuple[str, str], tuple[int, ...]]  # (strategy, instrument) → proposals of the last minute

    @staticmethod
    def empty() -> Docket:
        return Docket(Book.empty(), Map(), None, (), BURST_NS, 0, Map())


HEARD: tuple[type, ...] = (*books.HEARD, LeaseGranted, ProposalMade)
"""The body types that change a docket. `ProposalMade` changes it through `vet` only."""


def fold(docket: Docket, envelope: Envelope) -> Docket:
    """The docket after one message other than a proposal."""
    body = envelope.body
    book = books.fold(docket.book, envelope)
    kind = type(body)
    if kind is Observed:
        instrument = body.instrument  # type: ignore[union-attr]
        seen = docket.recent.get(instrument, ())
        # All of this moment stays, however many there are: what is decided when the slice closes may cite any of it.
        if len(seen) >= RECENT_PER_INSTRUMENT and seen[1 - RECENT_PER_INSTRUMENT].ts_seen_ns < envelope.ts_seen_ns:
            seen = seen[1 - RECENT_PER_INSTRUMENT :]
        recent = docket.recent.set(instrument, seen + (envelope,))  # noqa: RUF005 — half the price of unpacking
        return Docket(
            book, recent, docket.lease, docket.actions_ns, docket.bucket_ns, docket.bucket_at_ns, docket.repeats_ns
        )
    if book is docket.book and kind is not LeaseGranted:
        return docket
    lease = body if isinstance(body, LeaseGranted) else docket.lease
    return Docket(
        book, docket.recent, lease, docket.actions_ns, docket.bucket_ns, docket.bucket_at_ns, docket.repeats_ns
    )


class Vetted(NamedTuple):
    """What vetting one proposal gives; `docket` already holds what an approval reserves (I5)."""

    docket: Docket
    facts: Facts
    verdict: Verdict
    hold: Hold


def vet(docket: Docket, heard: Envelope, proposal: Proposal) -> Vetted:
    """Facts from the log, the verdict that follows from them, and the docket after it.

    This is the hottest path of the house, walked by HRM, by Aletheia and by every reader of a journal: it is written
    with few calls and no intermediate objects on purpose.
    """
    now, instrument = heard.ts_seen_ns, proposal.instrument
    key = (proposal.strategy, instrument)
    repeats = _last_minute(docket.repeats_ns.get(key, ()), now)
    actions = _last_minute(docket.actions_ns, now)
    bucket = min(BURST_NS, docket.bucket_ns + max(0, now - docket.bucket_at_ns))
    facts, notional, risk = _facts(docket, heard, proposal, len(repeats), len(actions), bucket)
    verdict = judge(facts)
    if facts.is_opening == 0:
        hold = Hold(instrument, 0, 0, facts.quantity_atoms or 0)
    else:
        hold = Hold(instrument, notional, risk, 0)
    repeats_ns = docket.repeats_ns.set(key, repeats)
    if not verdict.approved:
        after = Docket(
            docket.book, docket.recent, docket.lease, docket.actions_ns, docket.bucket_ns, docket.bucket_at_ns,
            repeats_ns,
        )  # fmt: skip
        return Vetted(after, facts, verdict, hold)
    after = Docket(
        books.note_hold(docket.book, proposal.proposal_id, hold), docket.recent, docket.lease,
        actions, bucket - SECOND_NS, now, repeats_ns,
    )  # fmt: skip
    return Vetted(after, facts, verdict, hold)


def _last_minute(times_ns: tuple[int, ...], now: int) -> tuple[int, ...]:
    """Those after `now` − 1 min, and `now`; the log's clock never goes back, so they are sorted."""
    return (*times_ns[bisect_right(times_ns, now - MINUTE_NS) :], now)


def _atoms(x: Decimal | None) -> int | None:
    """None for a number that is none, and for one beyond any price or size: both are missing facts, which refuse."""
    return None if x is None or not x.is_finite() or x.adjusted() > _DIGITS_MAX else atoms(x)


def _up(price_times_quantity: int) -> int:
    """Micros, rounded up: exposure is never understated."""
    return -(-price_times_quantity // _ATOMS2_PER_MICRO)


def _facts(
    docket: Docket, heard: Envelope, proposal: Proposal, repeats: int, actions: int, bucket: int
) -> tuple[Facts, int, int]:
    """The facts; the order's notional at the worst-case price; its loss to the stop (all of it without one)."""
    book, now, instrument = docket.book, heard.ts_seen_ns, proposal.instrument
    is_buy = proposal.side == "buy"
    quantity, limit = _atoms(proposal.quantity), _atoms(proposal.limit_price)
    stop_price, target_price = proposal.stop_price, proposal.target_price
    stop, target = _atoms(stop_price), _atoms(target_price)
    is_opening = notional = risk = None
    if quantity is not None:
        is_opening = int(not _is_pure_reduction(book, instrument, quantity, is_buy=is_buy))
        if limit is not None:
            # The worst price of a buy is its limit; of a sale, which may fill far above its limit, its stop.
            notional = _up((limit if is_buy or stop is None else max(limit, stop)) * quantity)
            risk = notional if stop is None else _up(abs(limit - stop) * quantity)
    exposure, gross, loss, instruments, day_notional = _money(book, instrument, is_opening, notional, risk)
    unresolved, mismatched, unattested, age, age_max = _cited(docket.recent, proposal, now)
    known, mandate, lease = book.setup.instruments.get(instrument), book.setup.mandate, docket.lease
    facts = Facts(
        is_opening,
        quantity,
        limit,
        book.equity_micros(),
        book.day.start_equity_micros,
        exposure,
        gross,
        loss,
        instruments,
        0 if stop_price is None else 1,
        _distance(limit, stop, asked=stop_price is not None, is_below=is_buy),
        _on_tick(stop, known, asked=stop_price is not None),
        0 if target_price is None else 1,
        _distance(limit, target, asked=target_price is not None, is_below=not is_buy),
        None if proposal.proposal_id in book.holds else heard.seq,  # an id that comes again names no position
        now - lease.granted_ns if lease else None,
        lease.until_ns - lease.granted_ns if lease else None,
        len(proposal.evidence),
        unresolved,
        mismatched,
        unattested,
        age,
        age_max,
        len(proposal.reason),
        actions,
        bucket // SECOND_NS,
        heard.depth,
        repeats,
        int(instrument in mandate.instruments and proposal.account == book.setup.account),
        int(proposal.strategy in mandate.strategies),
        int(proposal.side in mandate.sides),
        day_notional,
        mandate.day_notional_micros,
    )
    return facts, notional or 0, risk or 0


def _distance(limit: int | None, price: int | None, *, asked: bool, is_below: bool) -> int | None:
    """From the entry to a protective price, > 0 on its right side; 0 where none is asked for, None for no number."""
    if not asked:
        return 0
    if limit is None or price is None:
        return None
    return limit - price if is_below else price - limit


def _on_tick(stop: int | None, known: Instrument | None, *, asked: bool) -> int | None:
    if not asked:
        return 0
    return None if stop is None or known is None else int(stop % known.tick_atoms == 0)


def _is_pure_reduction(book: Book, instrument: str, quantity: int, *, is_buy: bool) -> bool:
    """It strictly reduces |exposure| in the instrument, with reductions already under way counted."""
    held = book.position_atoms(instrument)
    if held == 0 or (held > 0) == is_buy or quantity <= 0:
        return False
    under_way = sum([hold.reduces_atoms for hold in book.holds.values() if hold.instrument == instrument])
    return quantity + under_way <= abs(held)


def _money(
    book: Book, instrument: str, is_opening: int | None, notional: int | None, risk: int | None
) -> tuple[int | None, int | None, int | None, int, int | None]:
    """Exposure in the instrument, gross, day loss, instruments, day notional: holds counted, this order too if it opens."""
    exposure = gross = at_risk = 0
    busy = {instrument} if is_opening else set()
    for hold in book.holds.values():
        if hold.notional_micros:
            gross += hold.notional_micros
            at_risk += hold.risk_micros
            busy.add(hold.instrument)
            if hold.instrument == instrument:
                exposure += hold.notional_micros
    marks = book.marks
    for name, position in book.positions.items():
        value = _up(abs(position.quantity_atoms) * marks.get(name, 0))
        gross += value
        busy.add(name)
        if name == instrument:
            exposure += value
    loss = book.day.start_equity_micros - book.equity_micros() + at_risk
    if is_opening is None or notional is None or risk is None:
        return None, None, None, len(busy), None
    if not is_opening:
        return exposure, gross, loss, len(busy), book.day.notional_micros
    return exposure + notional, gross + notional, loss + risk, len(busy), book.day.notional_micros + notional


def _cited(recent: Map[str, Recent], proposal: Proposal, now: int) -> tuple[int, int, int, int | None, int | None]:
    """What became of the cited numbers: unresolved, mismatched, unattested; age and its limit.

    The age is that of the citation that is furthest past its limit.
    """
    unresolved = mismatched = unattested = 0
    age = age_max = None
    for evidence in proposal.evidence:
        source = find_observation(recent, proposal.instrument, evidence.observation_id)
        if source is None or not isinstance(source.body, Observed):
            unresolved += 1
            continue
        body = source.body
        mismatched += not _matches(evidence, body)
        unattested += not body.attested
        this_age, this_max = now - source.ts_seen_ns, body.interval_ns * 3 // 2 or LIVE_AGE_MAX_NS
        if age is None or age_max is None or this_age - this_max > age - age_max:
            age, age_max = this_age, this_max
    return unresolved, mismatched, unattested, age, age_max


def find_observation(recent: Map[str, Recent], instrument: str, observation_id: str) -> Envelope | None:
    """The recent observation of that id, of whatever instrument; `instrument` says where to look first."""
    for envelope in reversed(recent.get(instrument, ())):
        if envelope.id == observation_id:
            return envelope
    for others in recent.values():
        for envelope in others:
            if envelope.id == observation_id:
                return envelope
    return None


def _matches(evidence: Evidence, observed: Observed) -> bool:
    """The cited number is the one in the row. `last` is the price that marks the book."""
    if not evidence.value.is_finite():
        return False  # comparing with a signalling NaN raises
    if evidence.field == "last":
        return evidence.value == observed.market.last
    if evidence.field in type(observed.market).__struct_fields__:
        return bool(evidence.value == getattr(observed.market, evidence.field))
    return False
