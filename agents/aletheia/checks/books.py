"""Do our books and the venue's statement agree, to the micro and the atom?"""

from __future__ import annotations

from mutable_core.book import Book
from mutable_core.messages import VenueStated


def books_fault(book: Book, stated: VenueStated) -> str:
    """Empty where they agree; otherwise what differs, ours first."""
    ours = book.statement()
    names = ("cash_micros", "positions", "open_orders", "venue_seq")
    faults = [
        f"{name}: ours {_short(getattr(ours, name))}, the venue's {_short(getattr(stated, name))}"
        for name in names
        if getattr(ours, name) != getattr(stated, name)
    ]
    if book.ledger.trial_balance():
        faults.append(f"the ledger sums to {book.ledger.trial_balance()} micros instead of zero")
    return "; ".join(faults)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 200 else text[:197] + "..."
