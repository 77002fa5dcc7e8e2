"""Recorded market data of other makers, where it is at hand: what is wrong in it is found, the rest is taken."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest

from agents.kyle.sources.files import FileSource
from agents.kyle.sources.register import open_source
from mutable_core.clock import DAY_NS, MINUTE_NS
from mutable_core.errors import MalformedSource


def heard(house, name, rows_max=None):
    source = FileSource(house.real_file(name))
    rows = (row for part in source.slices(0) for row in part.rows)
    return source, house.listening_to(source).hear_all(islice(rows, rows_max))


def test_minute_bars_with_a_split_inside(house):
    """AAPL was split 7 for 1 before the open of 2014-06-09; the file says nothing of it but the price."""
    source, kyle = heard(house, "bars_1m_us_equities.parquet")
    (split,) = kyle.actions
    assert (split.instrument, split.numerator, split.denominator, split.basis) == ("AAPL", 7, 1, "inferred")
    assert kyle.reasons == ["jump_unconfirmed"]
    assert len(kyle.accepted) == source.rows - 1 == 12_123
    assert {x.interval_ns for x in kyle.accepted} == {MINUTE_NS}


def test_quote_bars_of_the_same_days(house):
    source, kyle = heard(house, "quotebars_1m_us_equities.parquet")
    assert [(x.instrument, x.numerator) for x in kyle.actions] == [("AAPL", 7)]
    assert len(kyle.accepted) == source.rows - 1


def test_one_sided_quotes_of_many_exchanges(house):
    _, kyle = heard(house, "ticks_quotes_ibm_2013-10.parquet", 60_000)
    assert all(x.market.bid <= x.market.ask for x in kyle.accepted)
    assert len(kyle.accepted) / 60_000 > 0.97
    assert set(kyle.reasons) <= {"malformed", "crossed", "flagged_suspicious"}
    assert kyle.reasons.count("malformed") == 1


def test_trades_of_a_wild_day(house):
    source, kyle = heard(house, "ticks_trades_spy_2013-10-10.parquet", 40_000)
    assert source.rows == 460_032
    assert len(kyle.accepted) == 40_000


def test_the_vendors_doubts_are_in_the_last_rows_of_that_day(house):
    source = FileSource(house.real_file("ticks_trades_spy_2013-10-10.parquet"))
    kyle = house.listening_to(source).hear_all(house.rows(source, after_row=450_000))
    assert Counter(kyle.reasons) == {"flagged_suspicious": 10}


def test_daily_bars_of_two_mixed_feeds(house):
    source, kyle = heard(house, "bars_1d_us_equities_2016_2026.parquet")
    assert [(x.symbol, x.reason) for x in kyle.rejected] == [("UNH", "high_below_low")]
    assert {x.interval_ns for x in kyle.accepted} == {DAY_NS}
    assert len(source.instruments) == 21


def test_daily_bars_with_adjusted_closes_show_their_dividends(house):
    _, kyle = heard(house, "bars_1d_us_universe_2012_2017.parquet", 30_000)
    assert all(x.numerator == x.denominator == 1 and x.cash_per_unit > 0 for x in kyle.actions)
    assert len(kyle.actions) > 200


def test_crypto_bars_have_fine_ticks_and_lots(house):
    source, kyle = heard(house, "bars_1m_crypto_coinbase.parquet")
    assert {x.tick_atoms for x in source.instruments} == {1_000_000}
    assert all(x.lot_atoms < 100_000_000 for x in source.instruments)
    assert kyle.reasons == ["jump_unconfirmed"]  # the gap between December 2017 and April 2018
    assert kyle.actions == []


def test_top_of_book_without_a_symbol_is_of_the_files_name(house):
    source, kyle = heard(house, "l2_bbo_binance_usdm_btcusdt_2024-08-08.parquet", 5_000)
    assert [x.instrument for x in source.instruments] == ["l2_bbo_binance_usdm_btcusdt_2024-08-08"]
    assert kyle.reasons == []


@pytest.mark.parametrize(
    "name",
    [
        "l2_deltas_binance_usdm_btcusdt_2024-08-08.parquet",
        "options_quotes_1m_twx_2014-06.parquet",
        "macro_us_public.csv.gz",
        "polymarket_quotes_2026-07.parquet",
        "closes_1d_us_equities_1990_2022.parquet",
    ],
)
def test_other_kinds_of_data_are_refused_and_not_traded_as_bars(house, name):
    with pytest.raises(MalformedSource):
        open_source(f"file:{house.real_file(name)}", seed=0)
