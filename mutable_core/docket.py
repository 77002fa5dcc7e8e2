"""The docket: what is needed to vet a proposal, folded from the log, and the facts it yields.

HRM keeps one to decide, Aletheia keeps another to check, and whoever reads the journal later can keep a third: the
same log gives the same facts. Nothing here is taken from the proposer's word.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from immutables import Map

from graveyard.judge import judge
from graveyard.words import Evidence, Facts, Proposal, Verdict
from mutable_core import book as books
from mutable_core.book import Book, Hold
from mutable_core.clock import MINUTE_NS, SECOND_NS
from mutable_core.messages import Envelope, LeaseGranted, Observed, ProposalMade
from mutable_core.money import ATOMS_PER_UNIT, atoms

RECENT_PER_INSTRUMENT = 64
BURST_NS = 10 * SECOND_NS  # a bucket of 10 actions that refills one each second: 60 a minute
LIVE_AGE_MAX_NS = 2 * SECOND_NS
APPROVAL_TERM_NS = 30 * SECOND_NS
_ATOMS2_PER_MICRO = ATOMS_PER_UNIT * ATOMS_PER_UNIT // 1_000_000

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
    if type(body) is Observed:
        recent = (*docket.recent.get(body.instrument, ())[-RECENT_PER_INSTRUMENT + 1 :], envelope)
        return Docket(
            book, docket.recent.set(body.instrument, recent), docket.lease,
            docket.actions_ns, docket.bucket_ns, docket.bucket_at_ns, docket.repeats_ns,
        )  # fmt: skip
    if type(body) is LeaseGranted:
        return docket._replace(book=book, lease=body)
    return docket if book is docket.book else docket._replace(book=book)


class Vetted(NamedTuple):
    """What vetting one proposal gives; `docket` already holds what an approval reserves (I5)."""

    docket: Docket
    facts: Facts
    verdict: Verdict
    hold: Hold


def vet(docket: Docket, heard: Envelope, proposal: Proposal) -> Vetted:
    """Facts from the log, the verdict that follows from them, and the docket after it."""
    now = heard.ts_seen_ns
    asked = _Asked.of(proposal, docket.book)
    key = (proposal.strategy, proposal.instrument)
    repeats = (*[t for t in docket.repeats_ns.get(key, ()) if t > now - MINUTE_NS], now)
    actions = (*[t for t in docket.actions_ns if t > now - MINUTE_NS], now)
    bucket = min(BURST_NS, docket.bucket_ns + max(0, now - docket.bucket_at_ns))
    facts = _facts(docket, heard, proposal, asked, len(repeats), len(actions), bucket)
    verdict = judge(facts)
    hold = Hold(proposal.instrument, asked.notional or 0, asked.risk or 0, asked.quantity or 0)
    hold = Hold(hold.instrument, 0, 0, hold.reduces_atoms) if facts.is_opening == 0 else _opening(hold)
    repeats_ns = docket.repeats_ns.set(key, repeats)
    if not verdict.approved:
        return Vetted(docket._replace(repeats_ns=repeats_ns), facts, verdict, hold)
    after = Docket(
        books.note_hold(docket.book, proposal.proposal_id, hold), docket.recent, docket.lease,
        actions, bucket - SECOND_NS, now, repeats_ns,
    )  # fmt: skip
    return Vetted(after, facts, verdict, hold)


def _opening(hold: Hold) -> Hold:
    return Hold(hold.instrument, hold.notional_micros, hold.risk_micros, 0)


class _Asked(NamedTuple):
    """The proposal in integers; None where it states no number that is one."""

    quantity: int | None
    limit: int | None
    stop: int | None
    target: int | None
    tick: int | None
    notional: int | None  # at the worst-case price: a buy's limit, a sale's stop if that is higher
    risk: int | None  # to the stop; the whole notional where there is none

    @staticmethod
    def of(proposal: Proposal, book: Book) -> _Asked:
        quantity, limit = _atoms(proposal.quantity), _atoms(proposal.limit_price)
        stop, target = _atoms(proposal.stop_price), _atoms(proposal.target_price)
        known = book.instruments.get(proposal.instrument)
        notional = risk = None
        if quantity is not None and limit is not None:
            worst = limit if proposal.side == "buy" or stop is None else max(limit, stop)
            notional = _up(worst * quantity)
            risk = notional if stop is None else _up(abs(limit - stop) * quantity)
        return _Asked(quantity, limit, stop, target, known.tick_atoms if known else None, notional, risk)


def _atoms(x: Decimal | None) -> int | None:
    return None if x is None or not x.is_finite() else atoms(x)


def _up(price_times_quantity: int) -> int:
    """Micros, rounded up: exposure is never understated."""
    return -(-price_times_quantity // _ATOMS2_PER_MICRO)


class _Money(NamedTuple):
    exposure: int | None
    gross: int | None
    day_loss: int | None
    instruments: int
    day_notional: int | None


def _facts(
    docket: Docket, heard: Envelope, proposal: Proposal, asked: _Asked, repeats: int, actions: int, bucket: int
) -> Facts:
    book, now, is_buy = docket.book, heard.ts_seen_ns, proposal.side == "buy"
    is_opening = None if asked.quantity is None else int(not _is_pure_reduction(book, proposal, asked.quantity))
    money = _money(book, proposal, asked, is_opening)
    cited = _cited(docket.recent, proposal, now)
    has_stop, has_target = proposal.stop_price is not None, proposal.target_price is not None
    stop_distance = target_distance = None
    if asked.limit is not None:
        if asked.stop is not None:
            stop_distance = asked.limit - asked.stop if is_buy else asked.stop - asked.limit
        if asked.target is not None:
            target_distance = asked.target - asked.limit if is_buy else asked.limit - asked.target
    on_tick = None if asked.stop is None or asked.tick is None else int(asked.stop % asked.tick == 0)
    lease, mandate = docket.lease, book.setup.mandate
    return Facts(
        is_opening=is_opening,
        quantity_atoms=asked.quantity,
        entry_price_atoms=asked.limit,
        equity_micros=book.equity_micros(),
        day_start_equity_micros=book.day.start_equity_micros,
        exposure_after_micros=money.exposure,
        gross_after_micros=money.gross,
        day_loss_after_micros=money.day_loss,
        instruments_after=money.instruments,
        has_stop=int(has_stop),
        stop_distance_atoms=stop_distance,
        stop_on_tick=on_tick,
        has_target=int(has_target),
        target_distance_atoms=target_distance,
        log_position=heard.seq,
        lease_age_ns=now - lease.granted_ns if lease else None,
        lease_term_ns=lease.until_ns - lease.granted_ns if lease else None,
        evidence_count=len(proposal.evidence),
        evidence_unresolved=cited.unresolved,
        evidence_mismatched=cited.mismatched,
        evidence_unattested=cited.unattested,
        evidence_age_ns=cited.age_ns,
        evidence_age_max_ns=cited.age_max_ns,
        reason_chars=len(proposal.reason),
        actions_last_minute=actions,
        burst_tokens=bucket // SECOND_NS,
        causal_depth=heard.depth,
        repeats_last_minute=repeats,
        instrument_in_mandate=int(proposal.instrument in mandate.instruments),
        strategy_in_mandate=int(proposal.strategy in mandate.strategies),
        side_in_mandate=int(proposal.side in mandate.sides),
        day_notional_after_micros=money.day_notional,
        mandate_day_notional_micros=mandate.day_notional_micros,
    )


def _is_pure_reduction(book: Book, proposal: Proposal, quantity: int) -> bool:
    """It strictly reduces |exposure| in the instrument, with reductions already under way counted."""
    held = book.position_atoms(proposal.instrument)
    if held == 0 or (held > 0) == (proposal.side == "buy") or quantity <= 0:
        return False
    under_way = sum([h.reduces_atoms for h in book.holds.values() if h.instrument == proposal.instrument])
    return quantity + under_way <= abs(held)


def _money(book: Book, proposal: Proposal, asked: _Asked, is_opening: int | None) -> _Money:
    """Exposure, gross and day loss with holds counted; this order too where it opens."""
    instrument = proposal.instrument
    in_instrument = gross = risk = 0
    held_or_asked = {instrument} if is_opening else set()
    for hold in book.holds.values():
        gross += hold.notional_micros
        risk += hold.risk_micros
        if hold.instrument == instrument:
            in_instrument += hold.notional_micros
        if hold.notional_micros:
            held_or_asked.add(hold.instrument)
    for name, position in book.positions.items():
        held_or_asked.add(name)
        value = _up(abs(position.quantity_atoms) * book.marks.get(name, 0))
        gross += value
        if name == instrument:
            in_instrument += value
    loss = book.day.start_equity_micros - book.equity_micros() + risk
    if is_opening is None or asked.notional is None or asked.risk is None:
        return _Money(None, None, None, len(held_or_asked), None)
    if not is_opening:
        return _Money(in_instrument, gross, loss, len(held_or_asked), book.day.notional_micros)
    return _Money(
        in_instrument + asked.notional,
        gross + asked.notional,
        loss + asked.risk,
        len(held_or_asked),
        book.day.notional_micros + asked.notional,
    )


class _Cited(NamedTuple):
    unresolved: int
    mismatched: int
    unattested: int
    age_ns: int | None
    age_max_ns: int | None


def _cited(recent: Map[str, Recent], proposal: Proposal, now: int) -> _Cited:
    """What became of the cited numbers: found in the log, equal to their source row, attested, how old.

    The age is that of the citation that is furthest past its limit.
    """
    unresolved = mismatched = unattested = 0
    age = age_max = None
    for evidence in proposal.evidence:
        source = _find(recent, proposal.instrument, evidence.observation_id)
        if source is None or not isinstance(source.body, Observed):
            unresolved += 1
            continue
        mismatched += not _matches(evidence, source.body)
        unattested += not source.body.attested
        interval = source.body.interval_ns
        this_age, this_max = now - source.ts_seen_ns, interval * 3 // 2 if interval else LIVE_AGE_MAX_NS
        if age is None or age_max is None or this_age - this_max > age - age_max:
            age, age_max = this_age, this_max
    return _Cited(unresolved, mismatched, unattested, age, age_max)


def _find(recent: Map[str, Recent], instrument: str, observation_id: str) -> Envelope | None:
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
    if evidence.field == "last":
        return evidence.value == observed.market.last
    if evidence.field in type(observed.market).__struct_fields__:
        return bool(evidence.value == getattr(observed.market, evidence.field))
    return False
