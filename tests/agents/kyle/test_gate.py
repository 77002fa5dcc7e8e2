"""What the gate lets through, and the reason that it gives for what it does not."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.kyle.agent import AGENT
from agents.kyle.gate.numbers import INFINITE, NAN, NOT_A_NUMBER, number, read
from agents.kyle.gate.register import CHECKS
from agents.kyle.spec import SPEC
from mutable_core.clock import DAY_NS, HOUR_NS
from mutable_core.messages import Bar, InputRejected, Observed, Quote, RowReceived, Trade, decode, encode
from mutable_core.messages.envelope import Envelope
from mutable_core.money import canonical


def test_a_clean_bar_is_observed_in_canonical_spelling(house):
    (said,) = house.listening().hear(house.bar("100.50", first="100.10", high="101.00", low="1e2", volume="3e3"))
    market = Bar(Decimal("100.1"), Decimal(101), Decimal(100), Decimal("100.5"), Decimal(3000))
    assert said == Observed("IBM", "test", 1, DAY_NS, market, attested=True, is_public=True)
    assert [str(x) for x in (market.high, said.market.high, said.market.volume)] == ["101", "101", "3000"]


def test_a_clean_trade_and_a_clean_quote_are_observed(house):
    kyle = house.listening("IBM", "SPY")
    kyle.hear(house.trade("100.25"))
    kyle.hear(house.quote("99.99", "100.01", symbol="SPY"))
    markets = [x.market for x in kyle.accepted]
    assert markets == [
        Trade(Decimal("100.25"), Decimal(10)),
        Quote(Decimal("99.99"), Decimal("100.01"), Decimal(1), Decimal(2)),
    ]


def test_rows_of_another_source_than_the_genesis_row_names_are_not_attested(house):
    row = house.bar()
    foreign = RowReceived("elsewhere", 1, "bar", "IBM", row.ts_ns, row.interval_ns, row.values)
    (said,) = house.listening().hear(foreign)
    assert (said.source, said.attested, said.is_public) == ("elsewhere", False, False)


def test_only_rows_of_a_source_that_the_genesis_row_calls_public_are_public(house):
    """What is not classified public counts as private (rule 1); attested and public are two questions."""
    (ours,) = house.listening().hear(house.bar())
    (private,) = house.listening_privately().hear(house.bar())
    assert (ours.source, ours.attested, ours.is_public) == ("test", True, True)
    assert (private.source, private.attested, private.is_public) == ("test", True, False)


@pytest.mark.parametrize(
    ("reason", "cells"),
    [
        ("malformed", {"close": "abc"}),
        ("malformed", {"close": ""}),
        ("malformed", {"close": "1_00"}),
        ("malformed", {"close": " 100"}),
        ("malformed", {"close": "١٠٠"}),
        ("malformed", {"close": "1e400"}),
        ("malformed", {"close": "1e15"}),
        ("malformed", {"close": "100", "volume": ""}),
        ("malformed", {"close": "100", "adjusted": "n/a"}),
        ("malformed", {"close": "100", "day": 0}),
        ("not_finite", {"close": "NaN"}),
        ("not_finite", {"close": "100", "high": "inf"}),
        ("not_finite", {"close": "100", "volume": "-Infinity"}),
        ("not_positive", {"close": "0"}),
        ("not_positive", {"close": "-0.00"}),
        ("not_positive", {"close": "-37.63"}),
        ("not_positive", {"close": "100", "volume": "-1"}),
        ("not_positive", {"close": "100", "adjusted": "0"}),
        ("off_tick", {"close": "100.005"}),
        ("high_below_low", {"close": "100", "high": "99", "low": "101"}),
        ("high_below_low", {"close": "100", "high": "100", "low": "99", "first": "100.01"}),
        ("high_below_low", {"close": "100", "high": "101", "low": "100.01", "first": "100.5"}),
        ("unknown_instrument", {"close": "100", "symbol": "XYZ"}),
    ],
)
def test_a_bad_bar_is_rejected_once_with_its_reason(house, reason, cells):
    close = cells.pop("close")
    (said,) = house.listening().hear(house.bar(close, **cells))
    assert isinstance(said, InputRejected)
    assert said.reason == reason
    assert 0 < len(said.detail) < 160


def test_a_bar_without_volume_traded_is_a_bar(house):
    assert house.listening().hear_all([house.bar(volume="0")]).reasons == []


def test_a_bar_that_goes_back_in_time_is_rejected_and_one_of_the_same_time_is_a_duplicate(house):
    kyle = house.listening().hear_all([house.bar(day=5), house.bar(day=5), house.bar(day=4), house.bar(day=6)])
    assert kyle.reasons == ["duplicate", "time_backwards"]


def test_ticks_may_share_a_time_stamp(house):
    kyle = house.listening().hear_all([house.trade(at=7), house.trade(at=7), house.trade(at=6)])
    assert kyle.reasons == ["time_backwards"]


def test_a_row_of_another_symbol_far_behind_the_newest_is_stale(house):
    """More than max(3 bars, 1 h) behind the newest row of the source."""
    kyle = house.listening("IBM", "SPY", "KO")
    kyle.hear_all([house.bar(day=10), house.bar(day=7, symbol="SPY"), house.bar(day=6, symbol="KO")])
    assert [(x.symbol, x.reason) for x in kyle.rejected] == [("KO", "stale")]


def test_a_tick_is_stale_after_an_hour(house):
    start = DAY_NS
    kyle = house.listening("IBM", "SPY", "KO")
    kyle.hear_all(
        [
            house.quote(at=start + HOUR_NS),
            house.quote(at=start, symbol="SPY"),
            house.quote(at=start - 1, symbol="KO"),
        ]
    )
    assert [(x.symbol, x.reason) for x in kyle.rejected] == [("KO", "stale")]


def test_what_the_vendor_doubts_is_rejected(house):
    assert house.listening().hear_all([house.trade(suspicious=True)]).reasons == ["flagged_suspicious"]


def test_a_rejected_row_leaves_no_mark_on_the_next_one(house):
    kyle = house.listening().hear_all([house.bar(day=1), house.bar("NaN", day=9), house.bar(day=2)])
    assert kyle.reasons == ["not_finite"]


def test_before_the_run_has_begun_every_instrument_is_unknown(house):
    row = Envelope(1, "0" * 32, "kyle", "0" * 32, "0" * 32, 0, 1, 1, house.bar())
    (say,) = AGENT.decide(AGENT.first_state, row).says
    assert say.body.reason == "unknown_instrument"


def test_every_reason_is_named_once_in_the_register():
    assert len({check.reason for check in CHECKS}) == len(CHECKS)


TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["", "NaN", "sNaN", "inf", "-inf", "1e999", "-0", "0", "1e-9", "100", "100.00", "99.995", "0x1F"]),
    st.decimals(allow_nan=True, allow_infinity=True).map(str),
    st.floats().map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.integers(9_000, 11_000).map(lambda cents: f"{cents / 100:.2f}"),
)
ROWS = st.builds(
    RowReceived,
    source=st.just("test"),
    row=st.integers(1, 10**6),
    form=st.sampled_from(["bar", "quote", "trade"]),
    symbol=st.sampled_from(["IBM", "SPY", "other", ""]),
    ts_ns=st.integers(-5, 2**63 - 1) | st.integers(1, 50),
    interval_ns=st.integers(-1, 2**62) | st.just(1),
    values=st.lists(TEXTS, max_size=7).map(tuple) | st.tuples(*[TEXTS] * 3) | st.tuples(*[TEXTS] * 5)
    | st.tuples(*[TEXTS] * 6),
    suspicious=st.booleans(),
)  # fmt: skip


@given(rows=st.lists(ROWS, max_size=8))
def test_whatever_the_rows_hold_each_ends_in_one_observation_or_one_rejection(house, clean, rows):
    """And what is observed is clean: finite, positive, on the tick, ordered, canonical, fit for the journal."""
    kyle = house.listening("IBM", "SPY")
    for row in rows:
        said = kyle.hear(row)
        assert isinstance(said[-1], Observed | InputRejected)
        assert all(type(x) in SPEC.says for x in said)
        assert not any(isinstance(x, Observed | InputRejected) for x in said[:-1])
        for body in said:
            envelope = Envelope(2, "0" * 32, "kyle", "0" * 32, "0" * 32, 0, 1, 1, body)
            assert decode(encode(envelope)) == envelope
    assert all(clean(x, Decimal("0.01")) for x in kyle.accepted)
    assert all(x.market.bid <= x.market.ask for x in kyle.accepted if isinstance(x.market, Quote))
    assert all(x.market.low <= x.market.close <= x.market.high for x in kyle.accepted if isinstance(x.market, Bar))


@given(x=st.floats(min_value=1e-12, max_value=1e14, allow_nan=False))
def test_a_float_written_by_python_is_read_as_exactly_that_number(x):
    found = number(repr(x))
    exact = Decimal(repr(x))
    too_fine = -exact.normalize().as_tuple().exponent > 20
    assert found is NOT_A_NUMBER if too_fine else found == exact


@given(x=st.decimals(min_value=0, max_value=10**11, places=8), zeros=st.integers(0, 8))
def test_equal_numbers_are_read_as_one_spelling(x, zeros):
    plain = f"{x:f}"
    assert str(read(plain + "0" * zeros)) == str(read(plain)) == str(canonical(x))
    assert read(plain) == x


@pytest.mark.parametrize(("text", "found"), [("nan", NAN), ("-NaN", NAN), ("Inf", INFINITE), ("sNaN", NOT_A_NUMBER)])
def test_texts_that_say_they_are_no_finite_number(text, found):
    assert read(text) is found


@pytest.mark.parametrize("text", ["0", "000", "0.0", ".0", "0.", "00.00", "-0", "+0.0", "0e5"])
def test_every_zero_is_the_same_zero(text):
    assert str(read(text)) == "0"


@pytest.mark.parametrize(
    ("text", "spelling"),
    [("100", "100"), ("0100", "100"), ("100.", "100"), (".50", "0.5"), ("1e2", "100"), ("+5", "5"), ("-1.50", "-1.5")],
)
def test_a_number_has_one_spelling(text, spelling):
    assert str(read(text)) == spelling
