"""Do our books and the venue's statement agree, to the micro and the atom?"""

from __future__ import annotations

from msgspec.structs import replace

from mutable_core.book import Book
from mutable_core.messages import VenueStated, is_kill_order


def books_fault(book: Book, stated: VenueStated) -> str:
    """Empty where they agree; otherwise what differs, ours first."""
    ours, stated = book.statement(), _without_closings(stated)
    names = ("cash_micros", "positions", "open_orders", "venue_seq")
    faults = [
        f"{name}: ours {_short(getattr(ours, name))}, the venue's {_short(getattr(stated, name))}"
        for name in names
        if getattr(ours, name) != getattr(stated, name)
    ]
    if book.ledger.trial_balance():
        faults.append(f"the ledger sums to {book.ledger.trial_balance()} micros instead of zero")
    return "; ".join(faults)


def _without_closings(stated: VenueStated) -> VenueStated:
    """What the kill switch works is no order of ours; its fills are in our books like any other."""
    ours = tuple(key for key in stated.open_orders if not is_kill_order(key))
    return stated if len(ours) == len(stated.open_orders) else replace(stated, open_orders=ours)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 200 else text[:197] + "..."
