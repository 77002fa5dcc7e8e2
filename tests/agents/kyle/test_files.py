"""Files that can be read, and the one line that those get which cannot."""

from __future__ import annotations

import gzip
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.kyle.sources.embedded import EMBEDDED_PATH, open_embedded
from agents.kyle.sources.files import FileSource
from agents.kyle.sources.register import SOURCES, open_source
from agents.kyle.sources.slicing import SLICE_ROWS_MAX
from mutable_core.clock import DAY_NS, HOUR_NS, MINUTE_NS
from mutable_core.errors import MalformedSource, UnknownName
from mutable_core.messages import Instrument

HEADER = "symbol,ts_ns,open,high,low,close,volume\n"


def a_csv(folder, text, name="bars.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def a_parquet(folder, columns, name="rows.parquet"):
    path = folder / name
    pq.write_table(pa.table(columns), path)
    return path


def minute_bars(*rows):
    return HEADER + "".join(f"{symbol},{minute * MINUTE_NS},10,11,9,10.5,100\n" for symbol, minute in rows)


def test_symbols_one_after_another_are_merged_by_the_end_of_their_bars(house, tmp_path):
    source = FileSource(a_csv(tmp_path, minute_bars(("A", 1), ("A", 2), ("A", 4), ("B", 2), ("B", 3))))
    slices = list(source.slices(0))
    assert [(part.ts_ns // MINUTE_NS, [row.symbol for row in part.rows]) for part in slices] == [
        (2, ["A"]), (3, ["A", "B"]), (4, ["B"]), (5, ["A"]),
    ]  # fmt: skip
    assert [row.row for row in house.rows(source)] == [1, 2, 3, 4, 5]
    assert {row.interval_ns for row in house.rows(source)} == {MINUTE_NS}


def test_a_row_that_goes_back_in_time_keeps_its_place_and_meets_the_gate_there(house, tmp_path):
    source = FileSource(a_csv(tmp_path, minute_bars(("A", 1), ("A", 3), ("A", 2), ("A", 4), ("B", 3))))
    assert [row.ts_ns // MINUTE_NS for row in house.rows(source) if row.symbol == "A"] == [1, 3, 2, 4]
    assert [part.ts_ns for part in source.slices(0)] == sorted(part.ts_ns for part in source.slices(0))
    kyle = house.listening_to(source).hear_all(house.rows(source))
    assert kyle.reasons == ["time_backwards"]


def test_an_iso_date_is_a_bar_of_that_utc_day(house, tmp_path):
    text = "Ticker,Date,Open,High,Low,Close,Volume,Adj Close\nX,2020-02-28,1,1,1,1,5,0.9\nX,2020-02-30,1,1,1,1,5,1\n"
    good, bad = house.rows(FileSource(a_csv(tmp_path, text)))
    assert (good.ts_ns, good.interval_ns) == (1_582_848_000 * 10**9, DAY_NS)
    assert good.values == ("1", "1", "1", "1", "5", "0.9")
    assert bad.ts_ns == 0


def test_cells_that_are_garbage_go_to_the_gate_as_they_are(house, tmp_path):
    text = HEADER + "A,60000000000,ten,11,9,10,100\nA,noon,10,11,9,10,100\nA,120000000000,10,NaN,9,10,\n"
    source = FileSource(a_csv(tmp_path, text))
    assert house.rows(source)[0].values[0] == "ten"
    kyle = house.listening_to(source).hear_all(house.rows(source))
    assert kyle.reasons == ["malformed", "malformed", "malformed"]


def test_quote_bars_become_one_quote_at_their_end(house, tmp_path):
    columns = {"symbol": ["A", "A"], "ts_ns": [HOUR_NS, 2 * HOUR_NS]}
    for side, price in (("bid", 10.0), ("ask", 10.5)):
        columns |= {f"{side}_{x}": [price, price] for x in ("open", "high", "low", "close")}
        columns |= {f"{side}_size": [100.0, None]}
    columns["ask_close"] = [10.5, None]
    first, second = house.rows(FileSource(a_parquet(tmp_path, columns)))
    assert (first.form, first.ts_ns, first.interval_ns) == ("quote", 2 * HOUR_NS, 0)
    assert first.values == ("10", "10.5", "100", "100", "")
    assert second.values == ("10", "", "", "", "")


def test_ticks_keep_exchange_and_the_vendors_flag_and_a_nameless_file_is_of_its_stem(house, tmp_path):
    columns = {"seq": [0, 1], "ts_event_ns": [5, 5], "price": [1.5, 1.25], "size": [1, 2], "suspicious": [True, None]}
    first, second = house.rows(FileSource(a_parquet(tmp_path, columns, "l2_trades_btc.2024.parquet")))
    assert (first.symbol, first.values, first.suspicious) == ("l2_trades_btc", ("1.5", "1", ""), True)
    assert second.suspicious is False


def test_quotes_without_sizes_have_sizes_of_zero(house, tmp_path):
    columns = {"symbol": ["EURUSD"], "ts_ns": [7], "bid_price": [1.39101], "ask_price": [1.39114]}
    assert house.rows(FileSource(a_parquet(tmp_path, columns)))[0].values == ("1.39101", "1.39114", "0", "0", "")


def test_tick_and_lot_follow_from_the_decimals_that_the_file_writes(tmp_path):
    columns = {
        "symbol": ["A", "A", "B"], "ts_ns": [1, 2, 3], "price": [100.25, 100.5, 60000.1], "size": [1.0, 2.0, 0.003],
    }  # fmt: skip
    a, b = FileSource(a_parquet(tmp_path, columns)).instruments
    assert a == Instrument("A", tick_atoms=1_000_000, lot_atoms=100_000_000)
    assert b == Instrument("B", tick_atoms=10_000_000, lot_atoms=100_000)


def test_a_number_longer_than_any_tick_does_not_make_the_tick(tmp_path):
    columns = {"symbol": ["A"] * 3, "ts_ns": [1, 2, 3], "price": [0.1 + 0.2, 0.5, 1e-7], "size": [1, 1, 1]}
    (instrument,) = FileSource(a_parquet(tmp_path, columns)).instruments
    assert instrument.tick_atoms == 10


@given(
    prices=st.lists(
        st.floats(min_value=1e-9, max_value=1e12) | st.floats(width=32, min_value=0.5, max_value=2**20), min_size=1
    )
)
def test_a_price_leaves_the_file_as_exactly_the_number_that_it_was(house, tmp_path_factory, prices):
    columns = {"symbol": ["A"] * len(prices), "ts_ns": [5] * len(prices), "price": prices, "size": [1] * len(prices)}
    source = FileSource(a_parquet(tmp_path_factory.mktemp("exact"), columns))
    assert [Decimal(row.values[0]) for row in house.rows(source)] == [Decimal(repr(x)) for x in prices]


def test_a_long_moment_is_cut_and_resumes_at_the_same_cuts(tmp_path):
    n = 2 * SLICE_ROWS_MAX + 10
    columns = {"symbol": ["A"] * n, "ts_ns": [1, *[5] * (n - 1)], "price": [1.0] * n, "size": [1] * n}
    source = FileSource(a_parquet(tmp_path, columns))
    whole = list(source.slices(0))
    assert [len(part.rows) for part in whole] == [1, SLICE_ROWS_MAX, SLICE_ROWS_MAX, 9]
    assert [len(part.rows) for part in source.slices(SLICE_ROWS_MAX)] == [1, SLICE_ROWS_MAX, 9]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (HEADER.encode(), "no rows"),
        (b"symbol,open,close\nA,1,2\n", "columns were"),
        (b"symbol,open,high,low,close,volume\nA,1,1,1,1,1\n", "no column says when"),
        (HEADER.encode() + b"A,later,1,1,1,1,1\n", "no cell of column `ts_ns` is a time"),
        (minute_bars(("A", 1)).encode() + b"A,120000", "line 3"),
        (b"symbol,price,price,size,ts_ns\nA,1,1,1,1\n", "twice"),
        (b"underlying,ts_ns,open,high,low,close\nA,1,1,1,1,1\n", "`underlying` belongs to no file"),
        (HEADER.encode() + b"\xff\xfe,60,1,1,1,1,1\n", "not a whole"),
        (gzip.compress(minute_bars(("A", 1), ("B", 1)).encode() * 50)[:-20], "could not be read"),
        (b"PAR1" + bytes(100), "not a whole"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_market_file_gets_one_line_with_what_where_and_what_to_do(tmp_path, content, said):
    path = a_csv(tmp_path, content)
    with pytest.raises(MalformedSource) as refused:
        FileSource(path)
    line = str(refused.value)
    assert said in line
    assert path.name in line
    assert refused.value.to_do
    assert "\n" not in line


def test_a_parquet_file_cut_in_half_is_refused(tmp_path):
    path = a_parquet(tmp_path, {"symbol": ["A"] * 999, "ts_ns": [1] * 999, "price": [1.0] * 999, "size": [1] * 999})
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(MalformedSource):
        FileSource(path)


def test_a_file_that_is_not_there_is_said_so(tmp_path):
    with pytest.raises(MalformedSource, match="No such file"):
        open_source(f"file:{tmp_path / 'absent.csv'}", seed=0)
    with pytest.raises(MalformedSource, match="could not be read"):
        open_source(f"file:{tmp_path}", seed=0)


def test_no_name_of_a_source_holds_a_path(tmp_path):
    source = open_source(f"file:{a_csv(tmp_path, minute_bars(('A', 1)))}", seed=0)
    assert source.name == "file:bars.csv"


def test_the_fingerprint_follows_the_content(tmp_path):
    one = FileSource(a_csv(tmp_path, minute_bars(("A", 1)))).fingerprint
    same = FileSource(a_csv(tmp_path, minute_bars(("A", 1)))).fingerprint
    other = FileSource(a_csv(tmp_path, minute_bars(("A", 2)))).fingerprint
    assert one == same != other
    assert len(one) == 64


@pytest.mark.parametrize("text", ["csv", "", "embedded:x", "file:", "synthetic:none", "synthetic:0", "Embedded"])
def test_an_unknown_source_is_answered_with_the_known_ones(text):
    with pytest.raises(UnknownName) as refused:
        open_source(text, seed=0)
    assert all(kind.name in refused.value.to_do for kind in SOURCES)


def test_an_altered_embedded_file_is_not_opened(tmp_path):
    altered = bytearray(EMBEDDED_PATH.read_bytes())
    altered[5000] ^= 1
    with pytest.raises(MalformedSource, match="altered"):
        open_embedded(a_csv(tmp_path, bytes(altered), "stocks.csv.gz"))
