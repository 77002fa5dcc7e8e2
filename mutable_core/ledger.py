"""The ledger: double entry in micros. Every event posts amounts that sum to zero; a balance is a fold of postings.

Signs: debits are positive, credits negative. `cash` and `position:X` (at cost) are assets; `capital`, `realised` and
`dividends` are credits when good for us; `fees` is a debit. The sum over all accounts is always zero.
"""

from __future__ import annotations

import msgspec
from immutables import Map

from graveyard.words import Side
from mutable_core.errors import LedgerUnbalanced

_NO_BALANCES: Map[str, int] = Map()


class Position(msgspec.Struct, frozen=True, gc=False):
    """What is held of one instrument: signed quantity in atoms, signed cost in micros (same sign)."""

    quantity_atoms: int
    cost_micros: int


class Posting(msgspec.Struct, frozen=True, gc=False):
    account: str
    amount_micros: int


def position_account(instrument: str) -> str:
    return f"position:{instrument}"


def opening_entry(cash_micros: int) -> tuple[Posting, ...]:
    return (Posting("cash", cash_micros), Posting("capital", -cash_micros))


def fill_entry(
    held: Position, *, instrument: str, side: Side, quantity_atoms: int, notional_micros: int, fee_micros: int
) -> tuple[Position, tuple[Posting, ...]]:
    """The position after a fill, and the postings.

    What reduces the position leaves at its average cost and books the difference as realised; what is left over
    (a fill larger than the position) opens the other side at the fill's price.

    `held` is the position before it; `quantity_atoms` > 0; `notional_micros` (price × quantity) ≥ 0; `fee_micros` ≥ 0.
    """
    signed = quantity_atoms if side == "buy" else -quantity_atoms
    paid = notional_micros if side == "buy" else -notional_micros  # > 0: cash leaves
    closing = min(quantity_atoms, abs(held.quantity_atoms)) if held.quantity_atoms * signed < 0 else 0
    cost_closed = held.cost_micros * closing // abs(held.quantity_atoms) if closing else 0
    paid_closing = paid * closing // quantity_atoms
    position_change = -cost_closed + (paid - paid_closing)
    realised = paid_closing + cost_closed  # cash paid to close, less the cost it removes: < 0 is a gain
    after = Position(held.quantity_atoms + signed, held.cost_micros + position_change)
    if after.quantity_atoms == 0 and after.cost_micros:
        raise LedgerUnbalanced(f"a flat position in `{instrument}` had a cost of {after.cost_micros} micros")
    postings = [Posting("cash", -paid - fee_micros), Posting(position_account(instrument), position_change)]
    if realised:
        postings.append(Posting("realised", realised))
    if fee_micros:
        postings.append(Posting("fees", fee_micros))
    return after, tuple(postings)


def cash_entry(account: str, amount_micros: int) -> tuple[Posting, ...]:
    """Cash received (> 0) or paid (< 0) against an income account: dividends, cash in lieu of fractions."""
    return (Posting("cash", amount_micros), Posting(account, -amount_micros))


def write_down(
    held: Position, *, instrument: str, quantity_atoms: int, cash_micros: int
) -> tuple[Position, tuple[Posting, ...]]:
    """A position that shrinks to `quantity_atoms` against cash in lieu (a fraction left by a split)."""
    cost_left = held.cost_micros * quantity_atoms // held.quantity_atoms if held.quantity_atoms else 0
    change = cost_left - held.cost_micros
    postings = (
        Posting("cash", cash_micros),
        Posting(position_account(instrument), change),
        Posting("realised", -cash_micros - change),
    )
    return Position(quantity_atoms, cost_left), postings


class Ledger(msgspec.Struct, frozen=True, gc=False):
    """Balances per account in micros."""

    balances: Map[str, int] = _NO_BALANCES

    def posted(self, postings: tuple[Posting, ...]) -> Ledger:
        """The ledger after one entry.

        Raises:
            LedgerUnbalanced: the postings do not sum to zero.
        """
        # INVARIANT: debits == credits, entry by entry, therefore always.
        if sum([p.amount_micros for p in postings]):
            raise LedgerUnbalanced(f"an entry did not sum to zero: {postings}")
        balances = self.balances.mutate()
        for posting in postings:
            balances[posting.account] = balances.get(posting.account, 0) + posting.amount_micros
        return Ledger(balances.finish())

    def balance(self, account: str) -> int:
        return self.balances.get(account, 0)

    def trial_balance(self) -> int:
        """Sum over all accounts; zero or something is broken."""
        return sum(self.balances.values())
