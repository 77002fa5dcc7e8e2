"""Kyle's decisions: every row becomes exactly one `Observed` or one `InputRejected`.

In front of an `Observed` a split or a dividend may be said. Pure, and it never raises, whatever the row holds.
"""

from __future__ import annotations

from decimal import Decimal

import immutables
import msgspec

from agents.kyle.gate import book as books
from agents.kyle.gate.candidate import Candidate, candidate
from agents.kyle.gate.checks import known_ns
from agents.kyle.gate.corporate_actions import from_adjusted_close
from agents.kyle.gate.gaps import missing_bars
from agents.kyle.gate.jumps import inferred_split, judged
from agents.kyle.gate.register import first_flaw
from agents.kyle.state import Book, Level, State, Track, track_of
from agents.runtime.agent import Say, Step
from mutable_core.messages import (
    Bar,
    CorporateActionObserved,
    Envelope,
    InputRejected,
    Observed,
    Quote,
    RejectReason,
    RowReceived,
    RunStarted,
    Trade,
)
from mutable_core.money import ZERO


def decide(state: State, heard: Envelope) -> Step[State]:
    """Take in a run's beginning, or judge one row of the market."""
    body = heard.body
    match body:
        case RowReceived():
            return _judge(state, body)
        case RunStarted():
            return Step(_begun(body))
        case _:
            return Step(state)


def _begun(started: RunStarted) -> State:
    # An instrument without a tick cannot be checked, so none of its rows may pass: it stays unknown.
    tracks = {x.instrument: track_of(x) for x in started.instruments if x.tick_atoms > 0}
    attested = started.source if started.source_sha256 else ""
    return State(attested, started.source if started.source_is_public else "", immutables.Map(tracks))


def _judge(state: State, row: RowReceived) -> Step[State]:
    track = state.tracks.get(row.symbol)
    c = candidate(row, track, state.newest_ns)
    flaw = first_flaw(c)
    if flaw is not None or track is None:
        return _rejected(state, row, *(flaw or ("unknown_instrument", "")))
    match row.form:
        case "bar":
            return _judge_bar(state, track, c)
        case "quote":
            return _judge_quote(state, track, c)
        case "trade":
            return _judge_trade(state, track, c)


def _judge_bar(state: State, track: Track, c: Candidate) -> Step[State]:
    first, high, low, close = c.prices
    (volume,) = c.sizes
    adjusted = c.adjusted[0] if c.adjusted else None
    action = _action_between(c.row.symbol, track, close, adjusted)
    bar = Bar(first, high, low, close, volume)
    return _judge_level(state, track, c, bar, price=close, adjusted=adjusted, book=track.book, action=action)


def _judge_trade(state: State, track: Track, c: Candidate) -> Step[State]:
    (price,) = c.prices
    (size,) = c.sizes
    return _judge_level(state, track, c, Trade(price, size), price=price, book=track.book)


def _judge_quote(state: State, track: Track, c: Candidate) -> Step[State]:
    bid, ask = _sides(c)
    book = books.updated(track.book, c.row.values[4], bid, ask)
    best = books.best(book)
    if best is None:
        missing = "bid" if book.bid_at is None else "ask"
        return _rejected(_with_book(state, track, c, book), c.row, "malformed", f"no {missing} is known yet")
    best_bid, best_ask = best
    if best_bid.price > best_ask.price:
        detail = f"best bid {best_bid.price} above best ask {best_ask.price}"
        return _rejected(_with_book(state, track, c, books.uncrossed(book, bid, ask)), c.row, "crossed", detail)
    quote = Quote(best_bid.price, best_ask.price, best_bid.size, best_ask.size)
    return _judge_level(state, track, c, quote, price=books.mid(best_bid, best_ask), book=book)


def _sides(c: Candidate) -> tuple[Level | None, Level | None]:
    """The sides that the row gives, bid and ask."""
    prices = c.prices
    sizes = c.sizes
    if len(prices) == 2:
        return Level(prices[0], sizes[0]), Level(prices[1], sizes[1])
    level = Level(prices[0], sizes[0])
    return (level, None) if c.row.values[0] else (None, level)


def _action_between(
    symbol: str, track: Track, close: Decimal, adjusted: Decimal | None
) -> CorporateActionObserved | None:
    if adjusted is None or track.adjusted is None or track.last is None:
        return None
    return from_adjusted_close(symbol, close=close, adjusted=adjusted, last=track.last, last_adjusted=track.adjusted)


def _judge_level(
    state: State,
    track: Track,
    c: Candidate,
    market: Bar | Quote | Trade,
    *,
    price: Decimal,
    book: Book,
    adjusted: Decimal | None = None,
    action: CorporateActionObserved | None = None,
) -> Step[State]:
    """The last gate, and the only one that may accept: the price is where one can believe it."""
    last = track.last
    if action is not None and last is not None:
        last = last * action.denominator / action.numerator
    judgement = judged(price, last, track.held, is_later=c.row.ts_ns > track.held_ns)
    if judgement == "held":
        held = msgspec.structs.replace(track, held=price, held_ns=c.row.ts_ns, held_is_direct=track.held is None)
        return _rejected(_with_track(state, c, held), c.row, "jump_unconfirmed", f"{price} after {last}")
    if judgement == "confirmed" and adjusted is None and action is None:
        action = _inferred_action(c.row.symbol, track)
    accepted = Track(track.tick, price, c.row.ts_ns, None, 0, adjusted, book)
    row = c.row
    is_attested = row.source == state.attested_source
    gap = missing_bars(row.interval_ns, track.last_ns, row.ts_ns) if row.interval_ns else 0
    is_public = row.source == state.public_source
    observed = Say(Observed(row.symbol, row.source, row.row, row.interval_ns, market, is_attested, is_public, gap))
    newest_ns = max(state.newest_ns, known_ns(c))
    after = State(state.attested_source, state.public_source, state.tracks.set(row.symbol, accepted), newest_ns)
    return Step(after, (observed,) if action is None else (Say(action), observed))


def _inferred_action(symbol: str, track: Track) -> CorporateActionObserved | None:
    """A confirmed level in the ratio of a split is one, where no adjusted close could have said so."""
    if track.last is None or track.held is None:
        return None
    terms = inferred_split(track.last, track.held, is_direct=track.held_is_direct)
    return None if terms is None else CorporateActionObserved(symbol, *terms, ZERO, "inferred")


def _with_track(state: State, c: Candidate, track: Track) -> State:
    return State(state.attested_source, state.public_source, state.tracks.set(c.row.symbol, track), state.newest_ns)


def _with_book(state: State, track: Track, c: Candidate, book: Book) -> State:
    return _with_track(state, c, msgspec.structs.replace(track, book=book))


def _rejected(state: State, row: RowReceived, reason: RejectReason, detail: str) -> Step[State]:
    return Step(state, (Say(InputRejected(row.symbol, row.row, reason, detail)),))
