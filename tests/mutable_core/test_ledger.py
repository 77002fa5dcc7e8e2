"""The ledger: debits equal credits, whatever happens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mutable_core.errors import LedgerUnbalanced
from mutable_core.ledger import Ledger, Position, Posting, cash_entry, fill_entry, opening_entry, write_down

FILLS = st.lists(
    st.tuples(
        st.sampled_from(["buy", "sell"]),
        st.integers(1, 10**12),
        st.integers(0, 10**15),
        st.integers(0, 10**9),
    ),
    max_size=30,
)


def bought(held: Position, quantity: int, notional: int, side: str = "buy", fee: int = 0):
    return fill_entry(
        held, instrument="A", side=side, quantity_atoms=quantity, notional_micros=notional, fee_micros=fee
    )


def total(postings, account: str) -> int:
    return sum(posting.amount_micros for posting in postings if posting.account == account)


@pytest.mark.parametrize(
    ("held", "side", "quantity", "notional", "after", "realised"),
    [
        (Position(0, 0), "buy", 10, 1000, Position(10, 1000), 0),
        (Position(10, 1000), "buy", 10, 2000, Position(20, 3000), 0),
        (Position(10, 1000), "sell", 10, 1500, Position(0, 0), -500),
        (Position(10, 1000), "sell", 4, 200, Position(6, 600), 200),
        (Position(10, 1000), "sell", 15, 1500, Position(-5, -500), 0),
        (Position(0, 0), "sell", 10, 1000, Position(-10, -1000), 0),
        (Position(-10, -1000), "buy", 10, 700, Position(0, 0), -300),
        (Position(-10, -1000), "sell", 5, 600, Position(-15, -1600), 0),
    ],
)
def test_fills_move_cost_and_realise_the_difference(held, side, quantity, notional, after, realised) -> None:
    """Realised is a credit account: a gain is negative."""
    position, postings = bought(held, quantity, notional, side)
    assert position == after
    assert total(postings, "realised") == realised


@given(FILLS)
def test_the_trial_balance_is_zero_after_any_fills(fills) -> None:
    ledger, held, cash = Ledger().posted(opening_entry(10**15)), Position(0, 0), 10**15
    for side, quantity, notional, fee in fills:
        held, postings = bought(held, quantity, notional, side, fee)
        ledger = ledger.posted(postings)
        cash += (notional if side == "sell" else -notional) - fee
    assert ledger.trial_balance() == 0
    assert ledger.balance("cash") == cash
    assert ledger.balance("position:A") == held.cost_micros


@given(FILLS)
def test_a_flat_position_costs_nothing(fills) -> None:
    held = Position(0, 0)
    for side, quantity, notional, fee in fills:
        held, _ = bought(held, quantity, notional, side, fee)
    if held.quantity_atoms:
        side = "sell" if held.quantity_atoms > 0 else "buy"
        held, _ = bought(held, abs(held.quantity_atoms), 12_345, side)
    assert held == Position(0, 0)


def test_an_entry_that_does_not_balance_is_never_posted() -> None:
    with pytest.raises(LedgerUnbalanced):
        Ledger().posted((Posting("cash", 1),))


def test_a_posting_leaves_the_ledger_before_it_as_it_was() -> None:
    before = Ledger().posted(opening_entry(100))
    before.posted(cash_entry("dividends", 5))
    assert before.balance("cash") == 100


@given(st.integers(1, 10**9), st.integers(0, 10**12), st.integers(0, 10**9), st.integers(0, 10**6))
def test_a_fraction_paid_out_balances(quantity: int, cost: int, left: int, cash: int) -> None:
    left = min(left, quantity)
    position, postings = write_down(Position(quantity, cost), instrument="A", quantity_atoms=left, cash_micros=cash)
    assert sum(posting.amount_micros for posting in postings) == 0
    assert position.quantity_atoms == left
