"""What the ledger is written in: entries, each of postings that sum to zero, by account and by sub-ledger.

A sub-ledger is a strategy's part of the account; `house` is the part that belongs to no strategy: the capital, and
what nobody here ordered. Debits are positive, credits negative, amounts in micros.

| ledger account | debit (> 0) | credit (< 0) |
|---|---|---|
| `cash` | received; it lies in the house's sub-ledger alone | paid |
| `capital` | | what the owner put in |
| `position:X` | cost of what is held of X | what was received for what is short |
| `funding` | in the house: what strategies have taken out of the cash; in a strategy: what it gave back | the reverse |
| `realised` | losses | gains |
| `dividends` | paid on shorts | received |
| `fees` | paid | |
| `held` | reserved by approvals, at the worst case | posted (filled) or void (ended) |
| `held_contra` | the other side of `held`: what is reserved is not yet spent | |

`funding` sums to zero over the sub-ledgers, so that the account's own trial balance knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Literal

import msgspec

from mutable_core.errors import LedgerUnbalanced
from mutable_core.ledger import Posting
from mutable_core.money import canonical, decimal_of_micros

HOUSE = "house"
"""The sub-ledger of what belongs to no strategy."""

What = Literal["capital", "reserved", "posted", "voided", "filled", "dividend", "split", "cash_in_lieu"]


class SubPosting(msgspec.Struct, frozen=True, gc=False):
    """One amount on one ledger account of one sub-ledger.

    `quantity_atoms` is the change of the position in units, on `position:X` only; a split moves it without an amount.
    """

    strategy: str
    ledger_account: str
    amount_micros: int
    quantity_atoms: int = 0


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One thing that happened, as the ledger sees it.

    Attributes:
        seq: log position of the row that it follows from.
        number: 1-based among the entries of that row.
        ts_ns: when the row was seen.
        subject: the order (fills), proposal (holds) or instrument (corporate actions) that it is about.
    """

    account: str
    seq: int
    number: int
    ts_ns: int
    trace_id: str
    what: What
    subject: str
    postings: tuple[SubPosting, ...]


def in_house(postings: tuple[Posting, ...]) -> tuple[SubPosting, ...]:
    """The postings as the house's own."""
    return tuple(SubPosting(HOUSE, one.account, one.amount_micros) for one in postings)


def funded(strategy: str, postings: tuple[Posting, ...], *, quantity_atoms: int = 0) -> tuple[SubPosting, ...]:
    """The postings in the strategy's sub-ledger, its cash paid from and into the house's.

    `quantity_atoms` is what the position changes by; it stands on the `position:X` posting.
    """
    split = []
    for one in postings:
        if one.account == "cash" and strategy != HOUSE:
            moved = one.amount_micros
            if moved:
                split += [
                    SubPosting(strategy, "funding", moved),
                    SubPosting(HOUSE, "funding", -moved),
                    SubPosting(HOUSE, "cash", moved),
                ]
        else:
            units = quantity_atoms if one.account.startswith("position:") else 0
            if one.amount_micros or units:
                split.append(SubPosting(strategy, one.account, one.amount_micros, units))
    return tuple(split)


def check_balanced(postings: tuple[SubPosting, ...]) -> None:
    """Every sub-ledger's part sums to zero, therefore the entry does.

    Raises:
        LedgerUnbalanced: one does not.
    """
    sums: dict[str, int] = {}
    for one in postings:
        sums[one.strategy] = sums.get(one.strategy, 0) + one.amount_micros
    # INVARIANT: debits == credits, sub-ledger by sub-ledger, entry by entry, therefore always.
    if any(sums.values()):
        raise LedgerUnbalanced(f"an entry did not sum to zero: {postings}")


COLUMNS = (
    "account", "seq", "number", "ts_ns", "trace_id", "what", "subject", "strategy", "ledger_account",
    "amount_micros", "amount", "quantity_atoms", "quantity",
)  # fmt: skip
"""What `lines_of` gives of each posting."""


def lines_of(entry: Entry) -> Iterator[dict[str, Any]]:
    """One flat line per posting, for tables: integers, and the same numbers as exact decimals.

    `ts_ns` is a string: it exceeds what JSON readers keep exactly.
    """
    for one in entry.postings:
        yield {
            "account": entry.account,
            "seq": entry.seq,
            "number": entry.number,
            "ts_ns": str(entry.ts_ns),
            "trace_id": entry.trace_id,
            "what": entry.what,
            "subject": entry.subject,
            "strategy": one.strategy,
            "ledger_account": one.ledger_account,
            "amount_micros": one.amount_micros,
            "amount": f"{decimal_of_micros(one.amount_micros):f}",
            "quantity_atoms": one.quantity_atoms,
            "quantity": f"{canonical(Decimal(one.quantity_atoms).scaleb(-8)):f}",
        }
