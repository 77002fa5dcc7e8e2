"""What became of the numbers that an act cites: where they stand in the log, and what is wrong with them."""

from __future__ import annotations

from immutables import Map

from graveyard.words import Evidence, Proposal
from mutable_core.clock import SECOND_NS
from mutable_core.docket.state import Cited, Docket, Recent
from mutable_core.messages import Bar, Envelope, Instrument, Observed, Quote
from mutable_core.money import atoms

LIVE_AGE_MAX_NS = 2 * SECOND_NS
APART_BP_MAX = 50  # two sources that are further apart do not confirm each other


def age_max_ns(observed: Observed) -> int:
    """How old it may be: one and a half bars; two seconds where it is no bar."""
    return observed.interval_ns * 3 // 2 or LIVE_AGE_MAX_NS


def known_ns(source: Envelope) -> int:
    """When the market had shown it: at the end of its bar, or at once. What Kyle passes on late is not younger for that.

    Never after it was seen, so that a clock that runs ahead makes nothing fresh.
    """
    body = source.body
    assert isinstance(body, Observed)
    return min(source.ts_seen_ns, source.ts_event_ns + body.interval_ns)


def cited(docket: Docket, proposal: Proposal, now: int) -> Cited:
    """Everything that the rules ask about the proposal's evidence, as of `now`."""
    unresolved = mismatched = unattested = malformed = not_public = 0
    age = age_max = None
    positions: list[int] = []
    embargoes: list[int] = []
    recent, known = docket.recent, docket.book.setup.instruments
    for evidence in proposal.evidence:
        source, before = _found(recent, proposal.instrument, evidence.observation_id)
        if source is None or not isinstance(source.body, Observed):
            unresolved += 1
            positions.append(0)
            continue
        body = source.body
        positions.append(source.seq)
        mismatched += not _matches(evidence, body)
        unattested += not body.attested and not _is_confirmed(docket, body, now)
        malformed += _is_malformed(source, body, before, known.get(body.instrument))
        not_public += not body.is_public
        if body.embargo_until_ns:
            embargoes.append(body.embargo_until_ns)
        this_age, this_max = now - known_ns(source), age_max_ns(body)
        if age is None or age_max is None or this_age - this_max > age - age_max:
            age, age_max = this_age, this_max
    return Cited(
        tuple(positions), unresolved, mismatched, unattested, malformed, not_public, tuple(embargoes), age, age_max
    )


def find_observation(recent: Map[str, Recent], instrument: str, observation_id: str) -> Envelope | None:
    """The recent observation of that id, of whatever instrument; `instrument` says where to look first."""
    return _found(recent, instrument, observation_id)[0]


def _found(recent: Map[str, Recent], instrument: str, observation_id: str) -> tuple[Envelope | None, Envelope | None]:
    """The observation, and the one right before it in the same instrument."""
    seen = recent.get(instrument, ())
    found = _among(seen, observation_id)
    if found[0] is not None:
        return found
    for others in recent.values():
        found = _among(others, observation_id)
        if found[0] is not None:
            return found
    return None, None


def _among(seen: Recent, observation_id: str) -> tuple[Envelope | None, Envelope | None]:
    for index in range(len(seen) - 1, -1, -1):
        if seen[index].id == observation_id:
            return seen[index], seen[index - 1] if index else None
    return None, None


def _matches(evidence: Evidence, observed: Observed) -> bool:
    """The cited number is the one in the row. `last` is the price that marks the book."""
    if not evidence.value.is_finite():
        return False  # comparing with a signalling NaN raises
    if evidence.field == "last":
        return evidence.value == observed.market.last
    if evidence.field in type(observed.market).__struct_fields__:
        return bool(evidence.value == getattr(observed.market, evidence.field))
    return False


def _is_malformed(source: Envelope, body: Observed, before: Envelope | None, known: Instrument | None) -> bool:
    """Crossed, off tick, or older than what the same source had said before it."""
    market = body.market
    if isinstance(market, Quote):
        if market.bid > market.ask:
            return True
        prices = (market.bid, market.ask)
    else:
        prices = (market.close,) if isinstance(market, Bar) else (market.price,)  # type: ignore[assignment]
    if known is not None and any(atoms(price) % known.tick_atoms for price in prices):
        return True
    is_same_source = before is not None and getattr(before.body, "source", None) == body.source
    return is_same_source and before is not None and before.ts_event_ns > source.ts_event_ns


def _is_confirmed(docket: Docket, body: Observed, now: int) -> bool:
    """Whether another source's newest, fresh price of the instrument is within 50 bp of it."""
    price = atoms(body.market.last)
    return any(
        other.source != body.source and _apart_bp(price, atoms(other.market.last)) <= APART_BP_MAX
        for other in _fresh(docket, body.instrument, now)
    )


def sources_apart_bp(docket: Docket, instrument: str, now: int) -> int:
    """The largest distance between the newest, fresh prices of two sources; 0 where there is one source or none."""
    if instrument not in docket.seconds:
        return 0
    prices = [atoms(observed.market.last) for observed in _fresh(docket, instrument, now)]
    return _apart_bp(min(prices), max(prices)) if prices else 0


def _fresh(docket: Docket, instrument: str, now: int) -> list[Observed]:
    """The newest observation of each source that is not stale."""
    newest = list(docket.seconds.get(instrument, Map()).values())
    own = docket.book.setup.source
    for envelope in reversed(docket.recent.get(instrument, ())):
        if getattr(envelope.body, "source", None) == own:
            newest.append(envelope)
            break
    return [
        one.body for one in newest if isinstance(one.body, Observed) and now - known_ns(one) <= age_max_ns(one.body)
    ]


def _apart_bp(one: int, other: int) -> int:
    """Rounded up, of the smaller; the largest number that a fact may be where that is not above zero."""
    low, high = min(one, other), max(one, other)
    return -(-(high - low) * 10_000 // low) if low > 0 else 10**9
