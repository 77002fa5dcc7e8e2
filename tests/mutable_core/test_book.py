"""The book equals an account that was written a second time, whatever happens; holds never promise too little."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graveyard.words import Verdict
from mutable_core.book import Book, fold
from mutable_core.clock import DAY_NS, HOUR_NS
from mutable_core.ids import derived_id
from mutable_core.messages import (
    AnyBody,
    Approved,
    Bar,
    CorporateActionObserved,
    Envelope,
    Instrument,
    Observed,
    OrderAccepted,
    OrderAdjusted,
    OrderBlocked,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    OrderSpec,
    OrderUnknown,
    OrderWithheld,
    PositionLine,
    Quote,
    RowReceived,
    Trade,
    VenueStated,
    leg_id,
)
from mutable_core.money import ATOMS_PER_UNIT, notional
from tests.graveyard.makers import good_facts
from tests.makers import CENT, DAY_1_NS, a_bar, a_fill, a_run, an_envelope, an_observation, an_order, some_grounds
from tests.mutable_core.reference_account import ReferenceAccount

LOT = ATOMS_PER_UNIT // 10
RUN = a_run(instruments=(Instrument("A", CENT, ATOMS_PER_UNIT), Instrument("B", CENT, LOT)))
VERDICT = Verdict(True, 13, "r" * 64, ())


class Story:
    """Writes a log message by message: only what a venue and our agents could say in that order."""

    def __init__(self, run=RUN) -> None:
        self.log: list[Envelope] = []
        self.now_ns = DAY_1_NS
        self.orders: dict[str, tuple[OrderSpec, Decimal, bool]] = {}  # id → order, left, accepted
        self.brackets: dict[str, tuple[OrderSpec, Decimal]] = {}  # entry id → order, open quantity
        self.venue_seq = 0
        self.say(run)

    def say(self, body: AnyBody) -> None:
        self.log.append(an_envelope(body, seq=len(self.log) + 1, ts_ns=self.now_ns))

    def numbered(self) -> int:
        self.venue_seq += 1
        return self.venue_seq

    # -- acts: those that do not fit the moment do nothing ------------------------------------------------------------

    def later(self, hours: int, *_: int) -> None:
        self.now_ns += hours * HOUR_NS

    def observed(self, which: int, cents: int, form: int) -> None:
        price = Decimal(cents + 1) / 100
        market = [
            Bar(price, price, price, price, Decimal(1000)),
            Quote(price, price + Decimal("0.01"), Decimal(5), Decimal(5)),
            Trade(price, Decimal(3)),
        ][form % 3]
        self.say(Observed("AB"[which % 2], "test", len(self.log), DAY_NS, market, True, True))

    def approved(self, which: int, lots: int, kind: int) -> None:
        instrument, side = "AB"[which % 2], ("buy", "sell")[kind % 2]
        proposal_id = derived_id("p", str(len(self.log)))
        quantity = Decimal(lots + 1) / (1 if instrument == "A" else 10)
        reduces = kind % 5 == 4
        held = 0 if reduces else notional(Decimal("12.34"), quantity) + 7
        facts = good_facts(is_opening=int(not reduces), quantity_atoms=int(quantity * ATOMS_PER_UNIT))
        self.say(
            Approved(
                proposal_id, instrument, "d" * 64, len(self.log), facts, VERDICT, some_grounds(),
                held, held // 3 + (not reduces), self.now_ns + 1,
            )
        )  # fmt: skip
        if kind % 7 == 6:
            self.say(OrderWithheld(proposal_id, derived_id("o", proposal_id), "rate_limited"))
            return
        order = an_order(
            client_order_id=derived_id("o", proposal_id),
            proposal_id=proposal_id,
            instrument=instrument,
            side=side,
            quantity=quantity,
            stop_price=None if reduces else Decimal(98),
            target_price=None if reduces or kind % 3 == 2 else Decimal(104),
            reduces=reduces,
        )
        self.say(OrderIntended(order, "d" * 64, len(self.log), self.now_ns + 1, held))
        self.orders[order.client_order_id] = (order, quantity, False)

    def answered(self, which: int, kind: int, *_: int) -> None:
        waiting = [key for key, (_, _, accepted) in self.orders.items() if not accepted]
        if not waiting:
            return
        key = waiting[which % len(waiting)]
        order, left, _ = self.orders[key]
        if kind % 8 == 7:
            del self.orders[key]
            self.say(OrderRejected(self.numbered(), key, "no"))
        elif kind % 8 == 6:
            del self.orders[key]
            self.say(OrderBlocked(key, "lease_stale"))
        else:
            self.orders[key] = (order, left, True)
            self.say(OrderAccepted(self.numbered(), key))

    def filled(self, which: int, cents: int, tenths: int) -> None:
        """In part or in full; a fill arms the bracket."""
        working = [key for key, (_, _, accepted) in self.orders.items() if accepted]
        if not working:
            return
        key = working[which % len(working)]
        order, left, _ = self.orders[key]
        step = Decimal(1) if order.instrument == "A" else Decimal("0.1")
        part = min(left, max(step, left * (tenths % 10 + 1) / 10 // step * step))
        self.say(self._fill(order, key, "entry", order.side, cents, part, left - part))
        if left == part:
            del self.orders[key]
        else:
            self.orders[key] = (order, left - part, True)
        if order.stop_price is not None:
            _, open_ = self.brackets.get(key, (order, Decimal(0)))
            self.brackets[key] = (order, open_ + part)

    def _fill(self, order, key, leg, side, cents, quantity, remaining) -> OrderFilled:
        price = Decimal(cents + 1) / 100
        return OrderFilled(self.numbered(), key, order.instrument, leg, side, price, quantity, cents % 13, remaining)

    def stopped(self, which: int, cents: int, kind: int) -> None:
        """A leg closes what the entry opened; the other one is cancelled, and so is the entry's rest."""
        if not self.brackets:
            return
        key = sorted(self.brackets)[which % len(self.brackets)]
        order, open_ = self.brackets.pop(key)
        leg = "target" if kind % 2 and order.target_price is not None else "stop"
        side = "sell" if order.side == "buy" else "buy"
        self.say(self._fill(order, leg_id(key, leg), leg, side, cents, open_, Decimal(0)))
        if order.target_price is not None:
            other = "stop" if leg == "target" else "target"
            self.say(OrderCancelled(self.numbered(), leg_id(key, other), "other_leg_filled"))
        if key in self.orders:
            del self.orders[key]
            self.say(OrderCancelled(self.numbered(), key, "other_leg_filled"))

    def ended(self, which: int, kind: int, *_: int) -> None:
        working = [key for key, (_, _, accepted) in self.orders.items() if accepted]
        if not working:
            return
        key = working[which % len(working)]
        del self.orders[key]
        seq = self.numbered()
        self.say(OrderExpired(seq, key) if kind % 2 else OrderCancelled(seq, key, "by_us"))

    def acted(self, which: int, numerator: int, denominator: int) -> None:
        """A split or a dividend. Working orders are adjusted as a venue would: towards zero to the lot."""
        instrument, n, d = "AB"[which % 2], numerator % 4 + 1, denominator % 3 + 1
        cash = Decimal(numerator % 5) / 8
        self.say(CorporateActionObserved(instrument, n, d, cash, "adjusted_close"))
        step = Decimal(1) if instrument == "A" else Decimal("0.1")
        for key, (order, left, accepted) in list(self.orders.items()):
            if order.instrument != instrument or not accepted:
                continue
            after = left * n / d // step * step
            if after:
                self.say(OrderAdjusted(self.numbered(), key, after, Decimal("50.5"), None))
                self.orders[key] = (order, after, True)
            else:
                del self.orders[key]
                self.say(OrderExpired(self.numbered(), key))


ACTS = (
    *("later", "observed", "stopped", "ended", "acted"),
    *("approved", "answered") * 2,
    *("filled",) * 4,  # several parts of one order are where holds go wrong
)
NUMBERS = st.integers(0, 30)
STORIES = st.lists(st.tuples(st.sampled_from(ACTS), NUMBERS, st.integers(0, 9_999), NUMBERS), min_size=30, max_size=60)


def told(story) -> list[Envelope]:
    teller = Story()
    for act, a, b, c in story:
        getattr(teller, act)(a, b % 100 if act in {"approved", "answered", "ended", "acted"} else b, c)
    return teller.log


def pairs(log: list[Envelope]):
    book, account = Book.empty(), ReferenceAccount()
    for envelope in log:
        book = fold(book, envelope)
        account.take(envelope)
        yield envelope, book, account


@given(STORIES)
@settings(max_examples=150, deadline=None)
def test_after_every_message_the_book_equals_the_reference_account(story) -> None:
    """Positions, cash, equity, day start, open orders and the venue's count: two pieces of code, one truth."""
    for envelope, book, account in pairs(told(story)):
        where = f"after row {envelope.seq}, {envelope.kind}"
        assert {name: p.quantity_atoms for name, p in book.positions.items()} == account.positions(), where
        assert book.cash_micros() == account.cash_micros(), where
        assert book.equity_micros() == account.equity_micros(), where
        assert {name: book.position_value_micros(name) for name in "AB"} == {
            name: account.value_micros(name) for name in "AB"
        }, where
        assert book.gross_micros() == sum(abs(account.value_micros(name)) for name in "AB"), where
        assert book.open_orders() == account.open_orders(), where
        assert book.venue_seq == account.venue_seq, where
        if account.day is not None:
            assert (book.day.number, book.day.start_equity_micros) == (account.day, account.day_start), where
            assert book.day.notional_micros == account.day_opened, where
        lines = tuple(PositionLine(name, quantity) for name, quantity in sorted(account.positions().items()))
        assert book.statement() == VenueStated(
            account.venue_seq, account.cash_micros(), lines, account.open_orders()
        ), where


@given(STORIES)
@settings(max_examples=150, deadline=None)
def test_a_hold_covers_what_its_order_may_still_fill_until_that_has_ended(story) -> None:
    """I5: an approval reserves its worst case until it is filled, void or expired; never less, hardly more."""
    log = told(story)
    fills = sum(isinstance(envelope.body, OrderFilled) for envelope in log)
    for envelope, book, account in pairs(log):
        least = account.least_holds()
        assert set(book.holds) == set(least), f"after row {envelope.seq}, {envelope.kind}"
        for proposal_id, hold in book.holds.items():
            notional_least, risk_least = least[proposal_id]
            assert notional_least <= hold.notional_micros <= notional_least + fills, envelope.seq
            assert risk_least <= hold.risk_micros <= risk_least + fills, envelope.seq


@given(STORIES)
@settings(max_examples=60, deadline=None)
def test_the_ledger_under_the_book_always_sums_to_zero_and_flat_means_no_cost(story) -> None:
    for _, book, _ in pairs(told(story)):
        assert book.ledger.trial_balance() == 0
        assert all(position.quantity_atoms for position in book.positions.values())
        for name in "AB":
            held = book.positions.get(name)
            assert book.ledger.balance(f"position:{name}") == (held.cost_micros if held else 0)


@given(STORIES)
@settings(max_examples=30, deadline=None)
def test_folding_changes_nothing_that_was_folded_before(story) -> None:
    """A book is a value: whoever kept the one before still has it."""
    log = told(story)
    books = [Book.empty()]
    for envelope in log:
        books.append(fold(books[-1], envelope))
    again = [Book.empty()]
    for envelope in log:
        again.append(fold(again[-1], envelope))
    assert books == again


# -- holds, one by one ------------------------------------------------------------------------------------------------

ORDER = an_order()
APPROVED = Approved(ORDER.proposal_id, "A", "d" * 64, 1, good_facts(), VERDICT, some_grounds(), 10_000, 3_000, 2)
INTENDED = OrderIntended(ORDER, "d" * 64, 2, 2, 10_000)


def book_after(*bodies: AnyBody) -> Book:
    book = Book.empty()
    for seq, body in enumerate((RUN, an_observation(), *bodies), 1):
        book = fold(book, an_envelope(body, seq=seq))
    return book


def part(quantity: str, remaining: str, seq: int = 1) -> OrderFilled:
    return a_fill(ORDER, venue_seq=seq, quantity=Decimal(quantity), remaining=Decimal(remaining))


@pytest.mark.parametrize(
    ("what", "bodies", "held"),
    [
        ("nothing was approved", (), None),
        ("approved", (APPROVED,), (10_000, 3_000)),
        ("approved is heard twice", (APPROVED, APPROVED), (10_000, 3_000)),
        ("intended", (APPROVED, INTENDED), (10_000, 3_000)),
        ("accepted", (APPROVED, INTENDED, OrderAccepted(1, ORDER.client_order_id)), (10_000, 3_000)),
        ("half filled", (APPROVED, INTENDED, part("50", "50")), (5_000, 1_500)),
        ("filled in two steps", (APPROVED, INTENDED, part("50", "50"), part("25", "25", 2)), (2_500, 750)),
        ("in five steps", (APPROVED, INTENDED, *[part("20", str(80 - 20 * i), i + 1) for i in range(4)]), (2_000, 600)),
        ("a third left, rounded up", (APPROVED, INTENDED, part("67", "33")), (3_300, 990)),
        ("filled", (APPROVED, INTENDED, part("100", "0")), None),
        ("withheld", (APPROVED, OrderWithheld(ORDER.proposal_id, ORDER.client_order_id, "rate_limited")), None),
        ("blocked", (APPROVED, INTENDED, OrderBlocked(ORDER.client_order_id, "lease_stale")), None),
        ("unknown: counts in full", (APPROVED, INTENDED, OrderUnknown(ORDER.client_order_id)), (10_000, 3_000)),
        ("rejected", (APPROVED, INTENDED, OrderRejected(1, ORDER.client_order_id, "no")), None),
        ("expired", (APPROVED, INTENDED, OrderExpired(1, ORDER.client_order_id)), None),
        ("half filled, then expired", (APPROVED, INTENDED, part("50", "50"), OrderExpired(2, ORDER.client_order_id)), None),
        ("another order ended", (APPROVED, INTENDED, OrderExpired(1, "0" * 32)), (10_000, 3_000)),
        (
            "halved by a reverse split, then half filled",
            (APPROVED, INTENDED, OrderAdjusted(1, ORDER.client_order_id, Decimal(50), Decimal(200), None), part("25", "25", 2)),
            (5_000, 1_500),
        ),
    ],
)  # fmt: skip
def test_what_an_approval_reserves(what: str, bodies, held) -> None:
    hold = book_after(*bodies).holds.get(ORDER.proposal_id)
    assert (None if hold is None else (hold.notional_micros, hold.risk_micros)) == held


def test_an_order_that_works_keeps_its_hold_when_the_same_approval_is_withheld_a_second_time() -> None:
    """I5: the first order still works; that a second one was withheld ends nothing of it."""
    second = OrderWithheld(ORDER.proposal_id, ORDER.client_order_id, "approval_used")
    book = book_after(APPROVED, INTENDED, OrderAccepted(1, ORDER.client_order_id), second)
    assert book.open_orders() == (ORDER.client_order_id,)
    assert ORDER.proposal_id in book.holds


@pytest.mark.parametrize(
    ("bodies", "interest"),
    [
        ((), False),
        ((APPROVED,), True),
        ((INTENDED,), True),
        ((APPROVED, INTENDED, OrderExpired(1, ORDER.client_order_id)), False),
        ((APPROVED, INTENDED, part("100", "0")), True),
    ],
)
def test_a_position_a_hold_or_a_working_order_is_an_interest(bodies, interest: bool) -> None:
    assert book_after(*bodies).has_interest("A") is interest
    assert not book_after(*bodies).has_interest("B")


# -- days, marks and what does not concern a book ---------------------------------------------------------------------


def test_a_day_begins_with_the_equity_before_its_first_price() -> None:
    log = [
        an_envelope(RUN, seq=1, ts_ns=DAY_1_NS),
        an_envelope(an_observation(close="100"), seq=2, ts_ns=DAY_1_NS),
        an_envelope(part("100", "0"), seq=3, ts_ns=DAY_1_NS),
        an_envelope(an_observation(close="90"), seq=4, ts_ns=DAY_1_NS + HOUR_NS),
        an_envelope(an_observation(close="80"), seq=5, ts_ns=DAY_1_NS + DAY_NS),
    ]
    books = [book for _, book, _ in pairs(log)]
    fee = 1_000_000
    assert [book.equity_micros() for book in books[1:]] == [
        RUN.cash_micros,
        RUN.cash_micros - fee,
        RUN.cash_micros - fee - 1_000 * 10**6,
        RUN.cash_micros - fee - 2_000 * 10**6,
    ]
    assert [book.day.start_equity_micros for book in books[1:]] == [
        RUN.cash_micros,
        RUN.cash_micros,
        RUN.cash_micros,
        RUN.cash_micros - fee - 1_000 * 10**6,
    ]


def test_messages_that_do_not_concern_a_book_leave_the_very_same_one() -> None:
    book = book_after(APPROVED)
    row = RowReceived("s", 1, "bar", "A", 1, 1, ("1",) * 6)
    assert fold(book, an_envelope(row, seq=9)) is book


@pytest.mark.parametrize(
    ("held", "ratio", "cash", "then", "paid"),
    [
        (100, (2, 1), "0", 200, 0),
        (-100, (2, 1), "0", -200, 0),
        (101, (1, 2), "0", 50, 100_000_000),  # half a new unit is one old one: 100
        (-101, (1, 2), "0", -50, -100_000_000),
        (100, (1, 1), "0.5", 100, 50_000_000),
        (-100, (1, 1), "0.5", -100, -50_000_000),
        (100, (2, 1), "0.5", 200, 50_000_000),
        (1, (1, 3), "0", 0, 100_000_000),  # nothing is left: all of it is paid out
        (10, (3, 7), "0", 4, 66_666_666),
    ],
)
def test_splits_and_dividends(held: int, ratio, cash: str, then: int, paid: int) -> None:
    """A fraction of a lot is paid out at the last price before; a short pays what a long receives."""
    side = "buy" if held > 0 else "sell"
    fill = a_fill(an_order(side=side), quantity=Decimal(abs(held)), fee_micros=0)
    before = book_after(fill)
    after = fold(before, an_envelope(CorporateActionObserved("A", *ratio, Decimal(cash), "inferred"), seq=9))
    assert after.position_atoms("A") == then * ATOMS_PER_UNIT
    assert after.cash_micros() - before.cash_micros() == paid
    assert after.ledger.trial_balance() == 0


def test_a_split_costs_nobody_anything() -> None:
    before = book_after(a_fill(an_order(), fee_micros=0))
    after = fold(before, an_envelope(CorporateActionObserved("A", 4, 1, Decimal(0), "inferred"), seq=9))
    after = fold(after, an_envelope(an_observation(close="25"), seq=10))
    assert after.equity_micros() == before.equity_micros()


def test_bars_mark_by_their_close() -> None:
    book = book_after(a_fill(an_order(), fee_micros=0), an_observation(market=a_bar("120", high="150", low="90")))
    assert book.position_value_micros("A") == 12_000 * 10**6


def test_a_second_source_marks_nothing_and_begins_no_day() -> None:
    """It confirms prices; were its word worth money, one bad row of it would loosen every limit."""
    account = fold(fold(Book.empty(), an_envelope(RUN)), an_envelope(an_observation(), seq=2))
    foreign = an_observation(close="1000000", source="second")
    assert fold(account, an_envelope(foreign, seq=3, ts_ns=DAY_1_NS + DAY_NS)) is account
