"""A venue's day as a list of calls, so that it can be made again from any point; and a strategy that draws one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import partial
from random import Random
from typing import NamedTuple

from hypothesis import strategies as st
from venue_makers import a_bar, a_quote, a_trade, an_order

from agents.kenny.venues.simulated import SimulatedVenue
from mutable_core.clock import SECOND_NS
from mutable_core.messages import Bar, CorporateActionObserved, Observed, OrderSpec, Quote, Trade

FORMS = ("bar", "quote", "trade")


class Place(NamedTuple):
    order: OrderSpec


class Cancel(NamedTuple):
    key: str


class Show(NamedTuple):
    observed: Observed


class Act(NamedTuple):
    action: CorporateActionObserved
    row: int


Call = Place | Cancel | Show | Act


def make(venue: SimulatedVenue, call: Call, at: int) -> None:
    """The call with index `at`, whose time follows from it: made again, it is the same."""
    ts_ns = at * 7 * SECOND_NS
    match call:
        case Place(order):
            venue.place(order, ts_ns)
        case Cancel(key):
            venue.cancel(key, ts_ns)
        case Show(observed):
            venue.show(observed, ts_ns)
        case Act(action, row):
            venue.apply(action, row, ts_ns)


def make_all(venue: SimulatedVenue, calls: Sequence[Call], *, start: int = 0) -> None:
    for at, call in enumerate(calls[start:], start):
        make(venue, call, at)


def money(cents: int) -> str:
    return str(Decimal(cents) / 100)


def a_market(chance: Random, form: str) -> Bar | Quote | Trade:
    if form == "trade":
        return a_trade(money(chance.randint(9_400, 10_600)), chance.choice(["5", "300", "5000"]))
    if form == "quote":
        bid = chance.randint(9_400, 10_600)
        sizes = chance.choices(["0", "40", "100", "1000"], k=2)
        return a_quote(money(bid), money(bid + chance.randint(0, 300)), *sizes)
    low, first, last, high = sorted(chance.randint(9_400, 10_600) for _ in range(4))
    open_, close = chance.choice([(first, last), (last, first), (low, high), (high, low)])
    return a_bar(*map(money, (open_, high, low, close)), chance.choice(["0", "100", "1500", "100000"]))


def an_order_by_chance(chance: Random, key: str, instrument: str) -> OrderSpec:
    side, kind = chance.choice(["buy", "sell"]), chance.choice(["market", "limit", "limit", "stop"])
    reduces = chance.random() < 0.4
    middle, away = chance.randint(9_500, 10_500), 1 if side == "buy" else -1
    legs = {
        "stop": money(middle - away * chance.randint(1, 500)),
        "target": money(middle + away * chance.randint(1, 500)),
    }
    kept = () if reduces else chance.choice([("stop", "target"), ("stop", "target"), ("stop",), ()])
    return an_order(
        key,
        side,
        str(chance.choice([1, 10, 37, 100, 250])),
        limit=None if kind == "market" else money(middle),
        type=kind,
        instrument=instrument,
        time_in_force=chance.choice(["next_bar", "gtc"]),
        reduces=reduces,
        **{leg: legs[leg] for leg in kept},
    )


def a_day(seed: int, count: int, form: str, with_actions: bool) -> list[Call]:
    """`count` calls; rows have gaps in their numbers, ids come twice now and then, cancels hit anything."""
    chance = Random(seed)
    calls: list[Call] = []
    row, placed = 0, 0
    for number in range(count):
        kind = chance.choice(["show"] * 6 + ["place"] * 6 + ["cancel", "act"]) if number else "show"
        instrument = chance.choice(["ACME", "ACME", "ZINC"])
        if kind == "show":
            row += chance.randint(1, 3)
            calls.append(Show(Observed(instrument, "test", row, 0, a_market(chance, form), True, True)))
        elif kind == "place":
            placed += chance.random() < 0.9
            calls.append(Place(an_order_by_chance(chance, f"o{placed}", instrument)))
        elif kind == "cancel":
            calls.append(Cancel(f"o{max(0, placed - chance.randint(-1, 5))}{chance.choice(['', '.stop', '.target'])}"))
        elif with_actions:
            ratio = chance.choice([(1, 1), (2, 1), (3, 2), (1, 3)])
            cash = chance.choice([Decimal(0), Decimal("0.37")])
            calls.append(Act(CorporateActionObserved(instrument, *ratio, cash, "inferred"), row + 1))
    return calls


def days(*, forms: Sequence[str] = FORMS, with_actions: bool = True) -> st.SearchStrategy[list[Call]]:
    """Drawn by a seed: fast, and what fails is cut short by its count. A seed that found a bug is kept as an example."""
    return st.builds(
        a_day, st.integers(0, 2**32 - 1), st.integers(1, 120), st.sampled_from(forms), st.just(with_actions)
    )


def a_fixed_day(count: int) -> Iterable[Call]:
    """Endless trade in one instrument on quotes: an entry with legs, a quote, a reduction, a quote."""
    for number in range(count):
        middle = 100 + number % 5
        quote = a_quote(str(middle), f"{middle}.02", "1000", "1000")
        key = f"{number:06d}"
        buy = partial(an_order, limit=f"{middle + 1}", stop=f"{middle - 9}", target=f"{middle + 30}")
        yield Show(Observed("ACME", "test", number + 1, 0, quote, True, True))
        yield Place(buy(key) if number % 2 == 0 else an_order(key, "sell", limit=f"{middle - 1}", reduces=True))
