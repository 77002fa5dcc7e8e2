"""The full ledger equals the book, an account written a second time, and its own postings, whatever happens."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mutable_core.accounts import (
    HOUSE,
    AccountLedger,
    Entry,
    Every,
    SubPosting,
    account_nav,
    every,
    lines_of,
    results,
    series,
)
from mutable_core.accounts.entries import check_balanced
from mutable_core.accounts.shares import apportioned
from mutable_core.book import Book, fold
from mutable_core.clock import DAY_NS, HOUR_NS
from mutable_core.errors import LedgerUnbalanced, UnknownName
from mutable_core.ids import derived_id
from mutable_core.ledger import Position
from mutable_core.messages import (
    AnyBody,
    Approved,
    CorporateActionObserved,
    Envelope,
    Instrument,
    OrderBlocked,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderSpec,
    OrderUnknown,
    PositionLine,
    ProposalMade,
    Refused,
    VenueStated,
    leg_id,
)
from mutable_core.money import ATOMS_PER_UNIT
from tests.graveyard.makers import good_facts
from tests.makers import CENT, DAY_1_NS, a_fill, a_proposal, a_run, an_envelope, an_observation, an_order, some_grounds
from tests.mutable_core.plain_accounts import PlainAccounts
from tests.mutable_core.test_book import ACTS, NUMBERS, RUN, VERDICT, Story

STRATEGIES = ("alpha", "beta", "gamma")
MILLION = 10**6


class Strategies(Story):
    """A story whose approvals are of proposals that several strategies made; some were made by nobody we know."""

    def __init__(self, names: tuple[str, ...] = STRATEGIES, unknown: int = 5, run=RUN) -> None:
        self.names, self.unknown = names, unknown
        super().__init__(run)

    def say(self, body: AnyBody) -> None:
        if isinstance(body, Approved) and len(self.log) % self.unknown != self.unknown - 1:
            strategy = self.names[len(self.log) % len(self.names)]
            super().say(ProposalMade(a_proposal(proposal_id=body.proposal_id, strategy=strategy)))
        super().say(body)

    def foreign(self, which: int, cents: int, tenths: int) -> None:
        """A fill of an order that nobody here intended."""
        order = an_order(client_order_id=derived_id("foreign", str(len(self.log))), instrument="AB"[which % 2])
        side = "buy" if tenths % 2 else "sell"
        self.say(self._fill(order, order.client_order_id, "entry", side, cents, Decimal(tenths + 1), Decimal(0)))


MANY_ACTS = (*ACTS, "acted", "foreign")
STORIES = st.lists(
    st.tuples(st.sampled_from(MANY_ACTS), NUMBERS, st.integers(0, 9_999), NUMBERS), min_size=30, max_size=60
)
SMALL = ("approved", "answered", "ended", "acted")


def told(story, teller: Strategies | None = None) -> list[Envelope]:
    teller = teller or Strategies()
    for act, a, b, c in story:
        getattr(teller, act)(a, b % 100 if act in SMALL else b, c)
    return teller.log


@given(STORIES)
@settings(max_examples=45, deadline=None)
def test_after_every_message_the_ledger_equals_the_book(story) -> None:
    """Cash, fees, dividends, quantities, holds and NAV to the micro and the atom; results as a sum."""
    book, ledger = Book.empty(), AccountLedger()
    for envelope in told(story):
        book = fold(book, envelope)
        ledger.take(envelope)
        where = f"after row {envelope.seq}, {envelope.kind}"
        for name in ("cash", "fees", "capital", "dividends"):
            assert ledger.balance(name) == book.ledger.balance(name), (where, name)
        assert ledger.quantities() == {name: p.quantity_atoms for name, p in book.positions.items()}, where
        assert {key: hold.amount_micros for key, hold in ledger.holds.items()} == {
            key: hold.notional_micros for key, hold in book.holds.items()
        }, where
        assert ledger.balance("held") == sum(hold.notional_micros for hold in book.holds.values()), where
        nav = account_nav(ledger)
        assert nav.nav_micros == book.equity_micros(), where
        cost = sum(held.cost_micros for held in book.positions.values())
        made = -book.ledger.balance("realised") + book.values - cost
        assert nav.realised_micros + nav.unrealised_micros == made, where


@given(STORIES)
@settings(max_examples=25, deadline=None)
def test_with_one_strategy_every_balance_is_the_books(story) -> None:
    """Then netting changes nothing: cost and realised are the same numbers too."""
    book, ledger = Book.empty(), AccountLedger()
    story = [one for one in story if one[0] != "foreign"]
    for envelope in told(story, Strategies(("alpha",), unknown=10**9)):
        book = fold(book, envelope)
        ledger.take(envelope)
        for name, amount in book.ledger.balances.items():
            assert ledger.balance(name) == amount, (envelope.seq, name)
        assert {key: held for (_, key), held in ledger.positions.items()} == dict(book.positions)


@given(STORIES)
@settings(max_examples=45, deadline=None)
def test_the_ledger_equals_an_account_that_was_written_a_second_time(story) -> None:
    """By strategy: quantities, what each took out of the cash, fees, dividends; costs to the rounding of closings."""
    plain, ledger = PlainAccounts(), AccountLedger()
    for envelope in told(story):
        plain.take(envelope)
        ledger.take(envelope)
        agree(ledger, plain)


def agree(ledger: AccountLedger, plain: PlainAccounts) -> None:
    where = f"after row {ledger.seq}"
    assert ledger.balance("cash") == plain.cash_micros(), where
    assert account_nav(ledger).nav_micros == plain.nav_micros(), where
    held = {key: Fraction(one.quantity_atoms, ATOMS_PER_UNIT) for key, one in ledger.positions.items()}
    assert held == {key: units for key, units in plain.units.items() if units}, where
    for result in results(ledger):
        name = result.strategy
        taken = -result.funding_micros if name != HOUSE else sum(plain.spent.values()) - plain.spent[HOUSE]
        expected = plain.spent[name] if name != HOUSE else taken
        assert taken == expected, (where, name)
        assert result.fees_micros == plain.fees[name], (where, name)
        assert result.dividends_micros == plain.dividends[name], (where, name)
        assert abs(result.realised_micros - plain.realised[name]) <= plain.roundings, (where, name)
        for one in result.positions:
            exact = plain.units[name, one.instrument] * plain.price.get(one.instrument, Fraction(0)) * MILLION
            assert abs(one.value_micros - exact) < 1, (where, name)
            assert abs(one.cost_micros - plain.cost[name, one.instrument]) <= plain.roundings, (where, name)
    assert set(ledger.holds) == set(plain.held), where
    fills = plain.roundings + len(plain.status) + len(plain.armed)
    for key, hold in ledger.holds.items():
        assert plain.held[key] <= hold.amount_micros <= plain.held[key] + fills, (where, key)


@given(STORIES)
@settings(max_examples=45, deadline=None)
def test_postings_alone_are_the_whole_ledger(story) -> None:
    """Who has only the exported lines comes to the same balances and quantities; every sub-ledger sums to zero."""
    ledger = AccountLedger()
    balances: dict[tuple[str, str], int] = defaultdict(int)
    units: dict[tuple[str, str], int] = defaultdict(int)
    for envelope in told(story):
        for entry in ledger.take(envelope):
            sums: dict[str, int] = defaultdict(int)
            for line in lines_of(entry):
                balances[line["strategy"], line["ledger_account"]] += line["amount_micros"]
                sums[line["strategy"]] += line["amount_micros"]
                assert Decimal(line["amount"]) * MILLION == line["amount_micros"]
                assert Decimal(line["quantity"]) * ATOMS_PER_UNIT == line["quantity_atoms"]
                if line["quantity_atoms"]:
                    units[line["strategy"], line["ledger_account"].removeprefix("position:")] += line["quantity_atoms"]
            assert not any(sums.values()), entry
    assert dict(balances) == ledger.balances
    assert {key: one for key, one in units.items() if one} == {
        key: held.quantity_atoms for key, held in ledger.positions.items()
    }
    assert ledger.trial_balance() == 0
    for (owner, name), amount in balances.items():
        if name.startswith("position:"):
            held = ledger.positions.get((owner, name.removeprefix("position:")), Position(0, 0))
            assert amount == held.cost_micros


@given(STORIES)
@settings(max_examples=25, deadline=None)
def test_the_parts_of_the_strategies_sum_to_the_account(story) -> None:
    ledger = AccountLedger()
    for envelope in told(story):
        ledger.take(envelope)
    nav, parts = account_nav(ledger), results(ledger)
    for name in ("cash", "capital", "realised", "unrealised", "dividends", "fees"):
        assert sum(getattr(part, f"{name}_micros") for part in parts) == getattr(nav, f"{name}_micros"), name
    assert sum(one.value_micros for part in parts for one in part.positions) == nav.value_micros
    for part in parts:
        made = part.realised_micros + part.unrealised_micros + part.dividends_micros - part.fees_micros
        worth = sum(one.value_micros for one in part.positions)
        assert part.capital_micros + made == part.cash_micros + part.funding_micros + worth


# -- sharing ----------------------------------------------------------------------------------------------------------

SHARES = st.dictionaries(st.sampled_from("abcdef"), st.integers(-(10**9), 10**9), min_size=1)


@given(SHARES, st.integers(1, 10**6), st.sampled_from(["floor", "cut", "even"]))
def test_what_is_divided_is_whole_again(shares, denominator: int, rounding: str) -> None:
    """And nobody is a whole one away from their exact part."""
    exact = Fraction(sum(shares.values()), denominator)
    total = {"floor": exact.numerator // exact.denominator, "cut": int(exact), "even": round(exact)}[rounding]
    parts = apportioned(total, shares, denominator)
    assert sum(parts.values()) == total
    assert all(abs(parts[name] - Fraction(share, denominator)) < 1 for name, share in shares.items())
    assert parts == apportioned(total, dict(reversed(shares.items())), denominator)


def test_what_does_not_follow_from_the_parts_is_refused() -> None:
    with pytest.raises(LedgerUnbalanced):
        apportioned(3, {"a": 1, "b": 1}, 1)


@pytest.mark.parametrize(
    "postings",
    [
        (SubPosting("alpha", "cash", 1),),
        (SubPosting("alpha", "cash", 1), SubPosting(HOUSE, "capital", -1)),  # zero in all, not in either part
    ],
)
def test_an_entry_whose_sub_ledgers_do_not_balance_is_refused(postings) -> None:
    with pytest.raises(LedgerUnbalanced):
        check_balanced(postings)


# -- one case after the other -----------------------------------------------------------------------------------------


def an_order_of(strategy: str, number: int = 1, **changes) -> tuple[OrderSpec, tuple[AnyBody, ...]]:
    """An order, and the messages that lead to it."""
    proposal_id = derived_id("proposal", strategy, str(number))
    order = an_order(proposal_id=proposal_id, client_order_id=derived_id("order", strategy, str(number)), **changes)
    proposal = a_proposal(proposal_id=proposal_id, strategy=strategy, side=order.side, instrument=order.instrument)
    approved = Approved(
        proposal_id, order.instrument, "d" * 64, 1, good_facts(), VERDICT, some_grounds(), 10_000, 3_000, 2
    )
    return order, (ProposalMade(proposal), approved, OrderIntended(order, "d" * 64, 2, 2, 10_000))


def kept(*bodies: AnyBody, run=RUN, ledger: AccountLedger | None = None) -> tuple[AccountLedger, list[Entry]]:
    ledger, entries = ledger or AccountLedger(), []
    for seq, body in enumerate((run, an_observation(close="100"), *bodies), 1):
        entries += ledger.take(an_envelope(body, seq=seq))
    return ledger, entries


def units_of(ledger: AccountLedger) -> dict[tuple[str, str], int]:
    return {key: held.quantity_atoms // ATOMS_PER_UNIT for key, held in ledger.positions.items()}


def test_two_strategies_may_hold_one_instrument_opposite_ways() -> None:
    """The account is flat and has booked a gain; here both still hold, and the gain is not realised yet."""
    long, long_life = an_order_of("alpha", side="buy")
    short, short_life = an_order_of("beta", side="sell")
    bought = a_fill(long, price=Decimal(100), fee_micros=5)
    sold = a_fill(short, venue_seq=2, price=Decimal(110), fee_micros=7)
    ledger, _ = kept(*long_life, bought, *short_life, sold)
    assert units_of(ledger) == {("alpha", "A"): 100, ("beta", "A"): -100}
    assert ledger.quantities() == {}
    house, alpha, beta = results(ledger)
    assert (alpha.realised_micros, alpha.unrealised_micros, alpha.fees_micros) == (0, 0, 5)
    assert (beta.realised_micros, beta.unrealised_micros, beta.fees_micros) == (0, 1_000 * MILLION, 7)
    assert house.cash_micros == RUN.cash_micros + 1_000 * MILLION - 12
    assert account_nav(ledger).nav_micros == house.cash_micros


@pytest.mark.parametrize("leg", ["stop", "target"])
def test_a_protective_leg_that_fills_belongs_to_its_strategy(leg) -> None:
    order, life = an_order_of("alpha")
    out = a_fill(
        order, venue_seq=2, client_order_id=leg_id(order.client_order_id, leg), leg=leg, side="sell", price=Decimal(104)
    )
    ledger, _ = kept(*life, a_fill(order), out)
    assert units_of(ledger) == {}
    assert ledger.balance("realised", "alpha") == -400 * MILLION
    assert ledger.balance("realised", HOUSE) == 0


def test_a_leg_that_fills_after_the_entry_expired_belongs_to_its_strategy() -> None:
    order, life = an_order_of("alpha")
    some = a_fill(order, quantity=Decimal(40), remaining=Decimal(60))
    stop = leg_id(order.client_order_id, "stop")
    out = a_fill(order, venue_seq=4, client_order_id=stop, leg="stop", side="sell", quantity=Decimal(40))
    other = OrderCancelled(3, leg_id(order.client_order_id, "target"), "other_leg_filled")
    ledger, _ = kept(*life, some, OrderExpired(2, order.client_order_id), other, out)
    assert units_of(ledger) == {}
    assert ledger.balance("fees", "alpha") == 2_000_000


def test_a_fill_that_comes_after_its_order_was_cancelled_belongs_to_its_strategy() -> None:
    order, life = an_order_of("alpha", stop_price=None, target_price=None)
    ledger, _ = kept(*life, OrderCancelled(1, order.client_order_id, "by_us"), a_fill(order, venue_seq=2))
    assert units_of(ledger) == {("alpha", "A"): 100}


def test_what_nobody_here_ordered_is_the_houses() -> None:
    ledger, _ = kept(a_fill(an_order(client_order_id="f" * 32)))
    assert units_of(ledger) == {(HOUSE, "A"): 100}
    assert ledger.balance("funding") == 0
    assert ("house", "funding") not in ledger.balances


def test_a_hold_is_reserved_then_posted_in_parts_then_voided() -> None:
    """Each step is an entry of its own that balances."""
    order, life = an_order_of("alpha")
    some = a_fill(order, quantity=Decimal(67), remaining=Decimal(33))
    ledger, entries = kept(*life, some, OrderExpired(2, order.client_order_id))
    holds = [(one.what, one.subject, one.postings) for one in entries if one.what in {"reserved", "posted", "voided"}]
    assert holds == [
        (what, order.proposal_id, (SubPosting("alpha", "held", by), SubPosting("alpha", "held_contra", -by)))
        for what, by in (("reserved", 10_000), ("posted", -6_700), ("voided", -3_300))
    ]
    assert ledger.balance("held") == 0
    assert not ledger.holds


def test_an_order_of_unknown_outcome_keeps_its_hold() -> None:
    """I4: it counts as filled for exposure until the venue has said."""
    order, life = an_order_of("alpha")
    ledger, _ = kept(*life, OrderUnknown(order.client_order_id))
    assert ledger.balance("held", "alpha") == 10_000
    ledger, _ = kept(*life, OrderUnknown(order.client_order_id), OrderBlocked(order.client_order_id, "never_arrived"))
    assert ledger.balance("held", "alpha") == 0


def test_a_split_changes_quantities_and_no_amount() -> None:
    order, life = an_order_of("alpha")
    before, _ = kept(*life, a_fill(order))
    after, entries = kept(*life, a_fill(order), CorporateActionObserved("A", 4, 1, Decimal(0), "inferred"))
    assert after.balances == before.balances
    assert units_of(after) == {("alpha", "A"): 400}
    assert entries[-1].what == "split"
    assert entries[-1].postings == (SubPosting("alpha", "position:A", 0, 300 * ATOMS_PER_UNIT),)


@pytest.mark.parametrize(
    ("held", "ratio", "then", "paid"),
    [
        ({"alpha": 3, "beta": 4}, (1, 2), {"alpha": 1, "beta": 2}, {"alpha": 100, "beta": 0}),
        ({"alpha": 3, "beta": 3}, (1, 2), {"alpha": 2, "beta": 1}, {"alpha": -100, "beta": 100}),
        ({"alpha": 3, "beta": -3}, (1, 2), {"alpha": 1, "beta": -1}, {"alpha": 100, "beta": -100}),
        ({"alpha": 1, "beta": -3}, (1, 2), {"beta": -1}, {"alpha": 100, "beta": -100}),
        ({"alpha": 5, "beta": 2}, (1, 3), {"alpha": 2}, {"alpha": -100, "beta": 200}),
    ],
)
def test_a_reverse_split_gives_whole_lots_and_pays_the_difference(held, ratio, then, paid) -> None:
    """What the strategies get sums to what the account gets; a lot more than one's part is paid for. A was at 100."""
    bodies: list[AnyBody] = []
    for name, quantity in held.items():
        side = "buy" if quantity > 0 else "sell"
        order, life = an_order_of(name, side=side, quantity=Decimal(abs(quantity)))
        bodies += [*life, a_fill(order, venue_seq=len(bodies), fee_micros=0)]
    before, _ = kept(*bodies)
    after, _ = kept(*bodies, CorporateActionObserved("A", *ratio, Decimal(0), "inferred"))
    assert {name: units for (name, _), units in units_of(after).items()} == then
    for name, cash in paid.items():
        assert after.balance("funding", name) - before.balance("funding", name) == cash * MILLION, name


def test_dividends_are_paid_to_the_micro() -> None:
    """Three strategies share what the account gets; shorts pay. 0.0000005 a unit leaves halves of a micro."""
    bodies: list[AnyBody] = []
    for name, side in (("alpha", "buy"), ("beta", "buy"), ("gamma", "sell")):
        order, life = an_order_of(name, side=side, quantity=Decimal(1))
        bodies += [*life, a_fill(order, venue_seq=len(bodies))]
    ledger, _ = kept(*bodies, CorporateActionObserved("A", 1, 1, Decimal("0.0000015"), "inferred"))
    assert ledger.balance("dividends") == -2  # 1.5 micros, to even
    assert [ledger.balance("dividends", name) for name in STRATEGIES] == [-2, -1, 1]


def test_the_venues_statement_is_compared() -> None:
    order, life = an_order_of("alpha")
    right = VenueStated(
        1, RUN.cash_micros - 10_001 * MILLION, (PositionLine("A", 100 * ATOMS_PER_UNIT),), ()
    )  # the fill cost 10 000 and its fee 1
    ledger, _ = kept(*life, a_fill(order), right)
    assert (ledger.statements, ledger.disagreement) == (1, "")
    wrong = VenueStated(1, right.cash_micros + 1, right.positions, ())
    assert "row 7" in kept(*life, a_fill(order), wrong)[0].disagreement


def test_refused_proposals_and_ended_orders_leave_nothing_that_grows() -> None:
    """A long log is folded in bounded memory: what is over is let go."""
    bodies: list[AnyBody] = []
    for number in range(50):
        order, (made, approved, intended) = an_order_of("alpha", number)
        bodies += [made, approved, intended, OrderExpired(number + 1, order.client_order_id)]
        refused = a_proposal(proposal_id=derived_id("refused", str(number)))
        grounds = some_grounds()
        bodies += [
            ProposalMade(refused),
            Refused(refused.proposal_id, "A", "d" * 64, 1, good_facts(), VERDICT, grounds),
        ]
        order, life = an_order_of("beta", number)
        out = a_fill(order, client_order_id=leg_id(order.client_order_id, "stop"), leg="stop", side="sell")
        other = OrderCancelled(3, leg_id(order.client_order_id, "target"), "other_leg_filled")
        bodies += [*life, a_fill(order), out, other]
    ledger, _ = kept(*bodies, ledger=AccountLedger(ended_kept=10))
    assert not ledger.holds
    assert not ledger._strategies
    assert not ledger._orders
    assert len(ledger._ended) == 10


def test_an_order_whose_legs_work_is_never_let_go() -> None:
    """However many others have ended since."""
    order, life = an_order_of("alpha")
    bodies: list[AnyBody] = [*life, a_fill(order)]
    for number in range(9):
        other, its_life = an_order_of("beta", number)
        bodies += [*its_life, OrderExpired(number + 2, other.client_order_id)]
    out = a_fill(order, client_order_id=leg_id(order.client_order_id, "stop"), leg="stop", side="sell")
    ledger, _ = kept(*bodies, out, ledger=AccountLedger(ended_kept=2))
    assert units_of(ledger) == {}
    assert ledger.balance("fees", "alpha") == 2_000_000


def test_a_fraction_of_a_lot_is_paid_out_with_a_dividend_as_the_book_does_it() -> None:
    odd = a_fill(an_order(client_order_id="f" * 32), quantity=Decimal("2.5"))
    dividend = CorporateActionObserved("A", 1, 1, Decimal("0.5"), "inferred")
    ledger, _ = kept(odd, dividend)
    book = Book.empty()
    for seq, body in enumerate((RUN, an_observation(close="100"), odd, dividend), 1):
        book = fold(book, an_envelope(body, seq=seq))
    assert units_of(ledger) == {(HOUSE, "A"): 2}
    assert {name: ledger.balance(name) for name in book.ledger.balances} == dict(book.ledger.balances)


# -- NAV series -------------------------------------------------------------------------------------------------------


@given(STORIES, st.sampled_from(["1h", "6h", "1d", "7d", "1", "7", "1000"]))
@settings(max_examples=45, deadline=None)
def test_every_point_of_the_series_is_the_books_equity_at_its_end(story, often: str) -> None:
    """And each equals capital, results, dividends and fees."""
    log = told(story)
    points = list(series(AccountLedger(), log, every(often)))
    books = [Book.empty()]
    for envelope in log:
        books.append(fold(books[-1], envelope))
    assert points[-1].seq == log[-1].seq
    for point in points:
        nav = point.nav
        assert nav.nav_micros == books[point.seq].equity_micros()
        assert nav.nav_micros == (
            nav.capital_micros + nav.realised_micros + nav.unrealised_micros + nav.dividends_micros - nav.fees_micros
        )
        if point.until_ns:
            last = max(envelope.seq for envelope in log if envelope.ts_seen_ns <= point.until_ns)
            assert point.seq == last
        else:
            assert point.seq % every(often).rows == 0 or point.seq == log[-1].seq


def test_a_period_takes_its_end_in_and_an_empty_one_is_left_out() -> None:
    """A day's bar that is seen at midnight is the last of the day before, as `--at` midnight would say."""
    moments = (0, DAY_1_NS, DAY_1_NS + 1, DAY_1_NS + DAY_NS, DAY_1_NS + 3 * DAY_NS)
    bodies: list[AnyBody] = [RUN] + [an_observation()] * 4
    log = [
        an_envelope(body, seq=seq, ts_ns=ts_ns)
        for seq, (body, ts_ns) in enumerate(zip(bodies, moments, strict=True), 1)
    ]
    points = list(series(AccountLedger(), log, every("1d")))
    assert [(point.seq, point.until_ns) for point in points] == [
        (2, DAY_1_NS),
        (4, DAY_1_NS + DAY_NS),
        (5, DAY_1_NS + 3 * DAY_NS),
    ]


def test_the_last_point_lies_no_later_than_the_log() -> None:
    """What the account is worth at a moment that has not come is known to nobody."""
    log = [an_envelope(RUN, seq=1, ts_ns=0), an_envelope(an_observation(), seq=2, ts_ns=DAY_1_NS + 1)]
    (point,) = series(AccountLedger(), log, every("365d"))
    assert (point.ts_ns, point.until_ns) == (DAY_1_NS + 1, DAY_1_NS + 1)


@pytest.mark.parametrize("text", ["", "0", "0d", "-1", "1w", "d", "1.5h", "1d ", "٣", "9" * 20])
def test_what_is_no_period_is_said_to_be_none(text: str) -> None:
    with pytest.raises(UnknownName):
        every(text)


def test_periods_are_read() -> None:
    assert [every(text) for text in ("1d", "12h", "500")] == [Every(DAY_NS), Every(12 * HOUR_NS), Every(rows=500)]


def test_a_second_source_values_nothing() -> None:
    order, life = an_order_of("alpha")
    ledger, _ = kept(*life, a_fill(order), an_observation(close="999", source="second"))
    assert account_nav(ledger).value_micros == 10_000 * MILLION


def test_lots_smaller_than_one_are_shared_too() -> None:
    """B comes in tenths."""
    run = a_run(instruments=(Instrument("A", CENT, ATOMS_PER_UNIT // 10),))
    bodies: list[AnyBody] = []
    for name in ("alpha", "beta"):
        order, life = an_order_of(name, quantity=Decimal("0.5"))
        bodies += [
            *life,
            OrderFilled(
                len(bodies), order.client_order_id, "A", "entry", "buy", Decimal(100), Decimal("0.5"), 0, Decimal(0)
            ),
        ]
    ledger, _ = kept(*bodies, CorporateActionObserved("A", 1, 3, Decimal(0), "inferred"), run=run)
    tenth = ATOMS_PER_UNIT // 10
    assert {key: held.quantity_atoms for key, held in ledger.positions.items()} == {
        ("alpha", "A"): 2 * tenth,
        ("beta", "A"): tenth,
    }
