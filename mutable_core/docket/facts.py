"""The facts of one act, from the docket alone. The hottest path of the house: few calls, no intermediate objects."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from graveyard.words import Facts, Proposal
from mutable_core import privacy
from mutable_core import standing as standings
from mutable_core.book import Book
from mutable_core.clock import DAY_NS, MINUTE_NS, SECOND_NS
from mutable_core.docket.evidence import age_max_ns, known_ns, sources_apart_bp
from mutable_core.docket.state import APPROVAL_TERM_NS, Cited, Docket, Recent, Signature
from mutable_core.flows import EMPTY
from mutable_core.ids import client_order_id
from mutable_core.messages import Envelope, Instrument, LeaseGranted, Mandate, Observed, OperationAsked
from mutable_core.money import ATOMS_PER_UNIT, atoms

_ATOMS2_PER_MICRO = ATOMS_PER_UNIT * ATOMS_PER_UNIT // 1_000_000
_DIGITS_MAX = 14  # before the decimal point, less one: 10¹⁵ units of price or size exist nowhere
_LARGEST = 9 * 10**18  # a volume beyond it is counted as this: less than there is, never more
_BP_MAX = 10**9
NEVER_NS = 10**18
_SCANNED = 2_048  # characters: a longer reason is refused for its length


class OrderFacts(NamedTuple):
    """Facts, and what an approval would hold: notional at the worst-case price, loss to the stop, units reduced."""

    facts: Facts
    notional: int
    risk: int
    price_atoms: int  # worst-case price; 0 where there is none
    risk_atoms: int  # loss per unit to the stop


class Rates(NamedTuple):
    """Rule 22's counts for this act, itself included, and the bucket in ns."""

    actions: int
    bucket_ns: int
    repeats: int


class Signed(NamedTuple):
    """Who signed the act, and the price when it was asked for; nobody and 0 for an act that is new."""

    signatures: tuple[Signature, ...]
    mark_atoms: int


UNSIGNED = Signed((), 0)


def order_facts(
    docket: Docket, heard: Envelope, proposal: Proposal, now: int, cited: Cited, rates: Rates, signed: Signed
) -> OrderFacts:
    """Everything that the log shows about one proposed order, as of `now`."""
    book, instrument = docket.book, proposal.instrument
    setup, standing, lease = book.setup, docket.standing, docket.lease
    account, strategy, side = proposal.account, proposal.strategy, proposal.side
    is_buy = side == "buy"
    mark = book.marks.get(instrument, 0)
    quantity, limit = _atoms(proposal.quantity), _atoms(proposal.limit_price)
    stop_price, target_price = proposal.stop_price, proposal.target_price
    stop, target = _atoms(stop_price), _atoms(target_price)
    is_opening = notional = risk = None
    worst = distance = 0
    if quantity is not None:
        is_opening = int(not _is_pure_reduction(book, instrument, quantity, is_buy=is_buy))
        if limit is not None:
            # The worst price of a buy is its limit; of a sale, which may fill far above its limit, its stop.
            worst = limit if is_buy or stop is None else max(limit, stop)
            # What it may lose: to its stop, or to the market where that is farther away; all of it without a stop.
            distance = worst if stop is None else max(abs(limit - stop), abs(limit - mark) if mark else 0)
            notional, risk = _up(worst * quantity), _up(distance * quantity)
    exposure, gross, loss, instruments, day_notional = _money(book, instrument, is_opening, notional, risk)
    crossed, layered = _own_orders(book, instrument, limit, is_buy=is_buy)
    flow = docket.flows.get(instrument, EMPTY)
    known, mandate = setup.instruments.get(instrument), setup.mandate
    reference = known.day_volume_atoms if known is not None else 0
    recent = docket.recent.get(instrument)
    texts = privacy.act_findings(
        proposal.reason[:_SCANNED], strategy[:_SCANNED], account[:_SCANNED], instrument[:_SCANNED]
    )
    matches, signatures, faults, exposed, venue_is_up, lease_age, lease_term, kill_age = _inspected(docket, lease, now)
    conduct = docket.conduct
    signers = signed.signatures
    facts = Facts(
        1,
        is_opening,
        int(is_buy),
        quantity,
        limit,
        notional,
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
        int(instrument in setup.restricted),
        cited.not_public,
        sum([until > now for until in cited.embargo_until_ns]) if cited.embargo_until_ns else 0,
        len(conduct.orders),
        len(conduct.cancelled),
        crossed,
        layered,
        min(flow.bar_volume, _LARGEST),
        min(flow.day_volume(reference), _LARGEST),
        min(flow.day_traded(reference * mark // _ATOMS2_PER_MICRO), _LARGEST),
        min(flow.rise_bp(), _BP_MAX),
        standings.catalysts(standing, instrument, now),
        standings.broadcasts(standing, instrument, now),
        standings.others_signals(standing, instrument, side, now) if standing.signals else 0,
        int(proposal.proposal_id in docket.decided or proposal.proposal_id in book.holds),
        APPROVAL_TERM_NS,
        heard.seq,
        standings.vetoes(standing, account, strategy, instrument),
        0,
        standings.halt_level(standing, account, strategy, instrument),
        kill_age,
        privacy.outgoing_private(proposal),
        standings.consents_missing(standing, setup.owner, now),
        texts.private,
        texts.credentials,
        exposed,
        matches,
        signatures,
        faults,
        lease_age if lease_age is None or lease_age >= 0 else None,  # inspected when it was granted
        lease_age,
        lease_term,
        len(proposal.evidence),
        cited.unresolved,
        cited.mismatched,
        cited.unattested,
        cited.malformed,
        cited.age_ns,
        _age_max(cited, recent),
        now - known_ns(recent[-1]) if recent else None,
        min(sources_apart_bp(docket, instrument, now), _BP_MAX),
        len(proposal.reason),
        rates.actions,
        rates.bucket_ns // SECOND_NS,
        heard.depth,
        rates.repeats,
        int(instrument in mandate.instruments and account == setup.account),
        int(strategy in mandate.strategies),
        int(side in mandate.sides),
        int(_is_in_session(mandate, now)),
        day_notional,
        mandate.day_notional_micros,
        venue_is_up,
        0,
        _snapshot_age(docket, now),
        len(signers),
        now - min([one.seen_ns for one in signers]) if signers else 0,
        _drift_bp(signed.mark_atoms, mark),
    )
    return OrderFacts(facts, notional or 0, risk or 0, worst, distance)


def operation_facts(
    docket: Docket, heard: Envelope, asked: OperationAsked, now: int, rates: Rates, signed: Signed
) -> Facts:
    """Everything that the log shows about one critical operation, as of `now`. What only orders have is 0."""
    book, standing, lease = docket.book, docket.standing, docket.lease
    texts = privacy.act_findings(asked.reason[:_SCANNED], asked.name[:_SCANNED])
    matches, signatures, faults, exposed, venue_is_up, lease_age, lease_term, kill_age = _inspected(docket, lease, now)
    signers = signed.signatures
    none = dict.fromkeys(Facts.__struct_fields__, 0)
    return Facts(
        **none
        | {
            "equity_micros": book.equity_micros(),
            "day_start_equity_micros": book.day.start_equity_micros,
            "gross_after_micros": book.gross_micros(),
            "recent_orders": len(docket.conduct.orders),
            "recent_cancels": len(docket.conduct.cancelled),
            "approvals_before": int(asked.operation_id in docket.decided),
            "approval_term_ns": APPROVAL_TERM_NS,
            "log_position": heard.seq,
            "disables_override": int(asked.operation == "override_change"),
            "halt_level": standings.halt_level(standing, book.account, "", ""),
            "kill_path_age_ns": kill_age,
            "consents_missing": standings.consents_missing(standing, book.setup.owner, now),
            "text_unredacted": texts.private,
            "credentials_in_clear": texts.credentials,
            "keystore_exposed": exposed,
            "ruleset_matches": matches,
            "seal_signatures": signatures,
            "seal_faults": faults,
            "seal_age_ns": lease_age if lease_age is None or lease_age >= 0 else None,
            "lease_age_ns": lease_age,
            "lease_term_ns": lease_term,
            "reason_chars": len(asked.reason),
            "actions_last_minute": rates.actions,
            "burst_tokens": rates.bucket_ns // SECOND_NS,
            "causal_depth": heard.depth,
            "repeats_last_minute": rates.repeats,
            "mandate_day_notional_micros": book.setup.mandate.day_notional_micros,
            "venue_is_up": venue_is_up,
            "is_irreversible": int(asked.operation == "withdrawal"),
            "snapshot_age_ns": _snapshot_age(docket, now),
            "people": len(signers),
            "people_age_ns": now - min([one.seen_ns for one in signers]) if signers else 0,
        }
    )


def _atoms(x: Decimal | None) -> int | None:
    """None for a number that is none, and for one beyond any price or size: both are missing facts, which refuse."""
    return None if x is None or not x.is_finite() or x.adjusted() > _DIGITS_MAX else atoms(x)


def _up(price_times_quantity: int) -> int:
    """Micros, rounded up: exposure is never understated."""
    return -(-price_times_quantity // _ATOMS2_PER_MICRO)


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


def _own_orders(book: Book, instrument: str, limit: int | None, *, is_buy: bool) -> tuple[int | None, int]:
    """Own resting orders of the other side: those that this one could trade with; entries better than the market."""
    if not book.holds and not book.orders and not book.legs:
        return 0, 0
    other, mark = "sell" if is_buy else "buy", book.marks.get(instrument, 0)
    crossed = layered = 0
    for order in book.orders.values():
        if order.instrument != instrument or order.side != other:
            continue
        resting = None if order.limit_price is None else atoms(order.limit_price)
        crossed += limit is None or resting is None or (resting <= limit if is_buy else resting >= limit)
        layered += resting is None or (resting < mark if is_buy else resting > mark)
    for proposal_id, hold in book.holds.items():
        if hold.instrument != instrument or hold.side != other or client_order_id(proposal_id) in book.orders:
            continue  # not ours to meet, or its order is in the log and was counted
        resting = hold.limit_atoms
        crossed += limit is None or (resting <= limit if is_buy else resting >= limit)
        layered += resting < mark if is_buy else resting > mark
    for leg in book.legs.values():
        if leg.limit_atoms and leg.instrument == instrument and leg.side == other:
            crossed += limit is None or (leg.limit_atoms <= limit if is_buy else leg.limit_atoms >= limit)
    return crossed, layered


def _inspected(
    docket: Docket, lease: LeaseGranted | None, now: int
) -> tuple[int | None, int | None, int | None, int | None, int | None, int | None, int | None, int | None]:
    """Rules match, seal's signatures, its faults, exposed keys, venue up, lease's age and term, kill path's age."""
    if lease is None:
        return None, None, None, None, None, None, None, None
    found, age = lease.inspection, now - lease.granted_ns
    return (
        int(found.ruleset == docket.book.setup.ruleset),
        found.seal_signatures,
        len(found.seal_faults),
        found.keystore_exposed,
        int(found.venue_is_up),
        age,
        lease.until_ns - lease.granted_ns,
        age if found.kill_path_is_up and age >= 0 else None,
    )


def _age_max(cited: Cited, recent: Recent | None) -> int | None:
    """How old data may be: the tightest of what is cited and what the instrument itself is observed by."""
    if not recent or cited.age_max_ns is None or not isinstance(recent[-1].body, Observed):
        return cited.age_max_ns
    return min(cited.age_max_ns, age_max_ns(recent[-1].body))


def _is_in_session(mandate: Mandate, now: int) -> bool:
    day, rest = divmod(now, DAY_NS)
    weekday, minute = (day + 3) % 7, rest // MINUTE_NS  # 1970-01-01 was a Thursday
    for session in mandate.sessions:
        if session.from_minute <= minute < session.until_minute and weekday in session.weekdays:
            return True
    return False


def _snapshot_age(docket: Docket, now: int) -> int:
    taken = docket.standing.snapshot_ns
    return NEVER_NS if taken is None or taken > now else min(now - taken, NEVER_NS)


def _drift_bp(asked: int, mark: int) -> int:
    """How far the market has moved since the act was asked for, rounded up; 0 for an act that is new."""
    if not asked:
        return 0
    return min(-(-abs(mark - asked) * 10_000 // asked), _BP_MAX)
