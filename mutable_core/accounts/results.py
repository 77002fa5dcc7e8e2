"""What each strategy has made, and the account's NAV: exact integers, from the ledger and the marks of a moment.

NAV = cash + Σ quantity × mark, each product rounded down to the micro once for the account's netted position. It equals
capital + realised + unrealised + dividends − fees. A sub-ledger's value is its part of the account's (`shares.py`): so
the parts sum to the whole, and one part may be a micro away from the product of its own quantity.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from mutable_core.accounts.folding import ATOMS2_PER_MICRO, AccountLedger
from mutable_core.accounts.shares import apportioned
from mutable_core.errors import LedgerUnbalanced
from mutable_core.ledger import Position


class Held(msgspec.Struct, frozen=True):
    """One position of one sub-ledger. `mark_atoms` is 0 where no price was ever seen: it is then worth nothing."""

    instrument: str
    quantity_atoms: int
    cost_micros: int
    mark_atoms: int
    value_micros: int
    unrealised_micros: int


class Result(msgspec.Struct, frozen=True):
    """One sub-ledger. Gains are positive here, as people say them.

    Attributes:
        cash_micros: what lies in it; 0 in a strategy, whose cash is the house's.
        funding_micros: < 0 in a strategy: what it has taken out of the house's cash; the house has the other side.
        held_micros: reserved by approvals.
        balances: of its ledger accounts, debits positive.
    """

    strategy: str
    cash_micros: int
    funding_micros: int
    capital_micros: int
    realised_micros: int
    unrealised_micros: int
    dividends_micros: int
    fees_micros: int
    held_micros: int
    positions: tuple[Held, ...]
    balances: dict[str, int]


class Nav(msgspec.Struct, frozen=True):
    """The account at a moment; `nav_micros` = capital + realised + unrealised + dividends − fees."""

    nav_micros: int
    cash_micros: int
    value_micros: int
    capital_micros: int
    realised_micros: int
    unrealised_micros: int
    dividends_micros: int
    fees_micros: int


def values(ledger: AccountLedger) -> dict[tuple[str, str], int]:
    """(strategy, instrument) → value at the mark, micros; per instrument they sum to the netted position's."""
    by_instrument: dict[str, dict[str, int]] = {}
    for (strategy, instrument), held in ledger.positions.items():
        by_instrument.setdefault(instrument, {})[strategy] = held.quantity_atoms * ledger.marks.get(instrument, 0)
    return {
        (strategy, instrument): value
        for instrument, products in by_instrument.items()
        for strategy, value in _parts(products).items()
    }


def _parts(products: Mapping[str, int]) -> dict[str, int]:
    return apportioned(sum(products.values()) // ATOMS2_PER_MICRO, products, ATOMS2_PER_MICRO)


def results(ledger: AccountLedger) -> tuple[Result, ...]:
    """Every sub-ledger, the house first."""
    worth = values(ledger)
    by_strategy: dict[str, dict[str, int]] = {strategy: {} for strategy in ledger.strategies()}
    for (strategy, name), amount in sorted(ledger.balances.items()):
        by_strategy[strategy][name] = amount
    held: dict[str, list[Held]] = {}
    for (strategy, instrument), position in sorted(ledger.positions.items()):
        one = _held(instrument, position, ledger.marks.get(instrument, 0), worth[strategy, instrument])
        held.setdefault(strategy, []).append(one)
    return tuple(_result(strategy, by_strategy[strategy], tuple(held.get(strategy, ()))) for strategy in by_strategy)


def _held(instrument: str, position: Position, mark: int, value: int) -> Held:
    cost = position.cost_micros
    return Held(instrument, position.quantity_atoms, cost, mark, value, value - cost)


def _result(strategy: str, balances: dict[str, int], positions: tuple[Held, ...]) -> Result:
    return Result(
        strategy=strategy,
        cash_micros=balances.get("cash", 0),
        funding_micros=balances.get("funding", 0),
        capital_micros=-balances.get("capital", 0),
        realised_micros=-balances.get("realised", 0),
        unrealised_micros=sum(one.unrealised_micros for one in positions),
        dividends_micros=-balances.get("dividends", 0),
        fees_micros=balances.get("fees", 0),
        held_micros=balances.get("held", 0),
        positions=positions,
        balances=balances,
    )


def account_nav(ledger: AccountLedger) -> Nav:
    """The account's NAV.

    Raises:
        LedgerUnbalanced: it is not what the ledger accounts sum to.
    """
    marks = ledger.marks
    value = sum(quantity * marks.get(name, 0) // ATOMS2_PER_MICRO for name, quantity in ledger.quantities().items())
    totals: dict[str, int] = {}
    for (_, name), amount in ledger.balances.items():
        kind = name.partition(":")[0]
        totals[kind] = totals.get(kind, 0) + amount
    cash, cost = totals.get("cash", 0), totals.get("position", 0)
    nav = Nav(
        nav_micros=cash + value,
        cash_micros=cash,
        value_micros=value,
        capital_micros=-totals.get("capital", 0),
        realised_micros=-totals.get("realised", 0),
        unrealised_micros=value - cost,
        dividends_micros=-totals.get("dividends", 0),
        fees_micros=totals.get("fees", 0),
    )
    made = nav.realised_micros + nav.unrealised_micros + nav.dividends_micros - nav.fees_micros
    # INVARIANT: what the account is worth is what was put in and what was made of it.
    if nav.nav_micros != nav.capital_micros + made or totals.get("funding", 0):
        raise LedgerUnbalanced(f"NAV of `{ledger.account}` is not capital and results", where=f"row {ledger.seq}")
    return nav
