"""From quotes per exchange, often one side at a time, to the best bid and ask over all exchanges.

* The last quote of every exchange and side counts until that exchange replaces it. The size shown is the best
  exchange's own; of several at the best price, the one that came there last.
* When a new quote crosses quotes of other exchanges (bid above ask), one of them is old. The newest is believed: the
  quotes that it crosses are forgotten, and this one row is rejected as `crossed`. So one dead exchange costs one row
  and not all that follow.
* Until both sides are known there is no quote, and the row is rejected as `malformed` with its side remembered.
"""

from __future__ import annotations

from decimal import Decimal

import immutables

from agents.kyle.state import Book, Level


def updated(book: Book, exchange: str, bid: Level | None, ask: Level | None) -> Book:
    """`book` after `exchange` has shown these sides; None leaves a side as it was."""
    bids, bid_at, asks, ask_at = book.bids, book.bid_at, book.asks, book.ask_at
    if bid is not None:
        bids = bids.set(exchange, bid)
        if bid_at is None or bid_at == exchange or bid.price >= bids[bid_at].price:
            bid_at = exchange if len(bids) == 1 else _highest(bids, exchange)
    if ask is not None:
        asks = asks.set(exchange, ask)
        if ask_at is None or ask_at == exchange or ask.price <= asks[ask_at].price:
            ask_at = exchange if len(asks) == 1 else _lowest(asks, exchange)
    return Book(bids, asks, bid_at, ask_at)


def best(book: Book) -> tuple[Level, Level] | None:
    """Best bid and best ask; None while a side is unknown."""
    if book.bid_at is None or book.ask_at is None:
        return None
    return book.bids[book.bid_at], book.asks[book.ask_at]


def uncrossed(book: Book, bid: Level | None, ask: Level | None) -> Book:
    """`book` without the quotes that the newest ones, `bid` and `ask`, cross."""
    bids, asks = book.bids, book.asks
    if bid is not None:
        asks = immutables.Map({at: level for at, level in asks.items() if level.price >= bid.price})
    if ask is not None:
        bids = immutables.Map({at: level for at, level in bids.items() if level.price <= ask.price})
    return Book(bids, asks, _highest(bids, ""), _lowest(asks, ""))


def _highest(levels: immutables.Map[str, Level], newest: str) -> str | None:
    return max(levels, key=lambda at: (levels[at].price, at == newest, at), default=None)


def _lowest(levels: immutables.Map[str, Level], newest: str) -> str | None:
    # The name as the last word: a Map's own order differs from process to process.
    return min(levels, key=lambda at: (levels[at].price, at != newest, at), default=None)


def mid(bid: Level, ask: Level) -> Decimal:
    return (bid.price + ask.price) / 2
