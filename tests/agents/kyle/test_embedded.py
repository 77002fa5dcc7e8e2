"""The market data that travels with ARK, from its bytes to what is observed."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from agents.kyle.sources.embedded import open_embedded
from mutable_core.messages import CorporateActionObserved, InputRejected


@pytest.fixture(scope="module")
def rows():
    return [row for part in open_embedded().slices(0) for row in part.rows]


@pytest.fixture(scope="module")
def kyle(house, rows):
    return house.listening_to(open_embedded()).hear_all(rows)


def days_of_actions(kyle, rows):
    """(day, action): an action is said in front of the row that it was seen at."""
    found, row = [], 0
    for body in kyle.said:
        if isinstance(body, CorporateActionObserved):
            moment = datetime.fromtimestamp(rows[row].ts_ns / 1e9, UTC)
            found.append((moment.date().isoformat(), body))
        else:
            row += 1
    return found


def test_all_rows_are_there_merged_by_day(rows):
    assert len(rows) == 12_154
    assert {row.symbol for row in rows} == {"AAPL", "FB", "GOOG", "IBM", "MSFT"}
    assert [row.symbol for row in rows[:3]] == ["AAPL", "IBM", "MSFT"]
    assert [row.ts_ns for row in rows] == sorted(row.ts_ns for row in rows)


def test_the_three_splits_are_found_and_no_other(kyle, rows):
    splits = [(day, x.instrument, x.numerator, x.denominator, x.basis)
              for day, x in days_of_actions(kyle, rows) if x.numerator != x.denominator]  # fmt: skip
    assert splits == [
        ("2000-06-21", "AAPL", 2, 1, "adjusted_close"),
        ("2003-02-18", "MSFT", 2, 1, "adjusted_close"),
        ("2005-02-28", "AAPL", 2, 1, "adjusted_close"),
    ]


def test_the_dividends_are_found_to_the_cent(kyle, rows):
    dividends = [(day, x.instrument, x.cash_per_unit) for day, x in days_of_actions(kyle, rows) if x.cash_per_unit]
    assert Counter(instrument for _, instrument, _ in dividends) == {"IBM": 52, "MSFT": 37, "AAPL": 3}
    assert [x for x in dividends if x[1] == "AAPL"] == [
        ("2012-08-09", "AAPL", Decimal("2.65")),
        ("2012-11-07", "AAPL", Decimal("2.65")),
        ("2013-02-07", "AAPL", Decimal("2.65")),
    ]
    assert ("2000-05-08", "IBM", Decimal("0.13")) in dividends
    assert ("2004-11-15", "MSFT", Decimal("3.08")) in dividends


def test_every_other_row_is_taken_but_the_first_of_one_real_crash(kyle):
    """AAPL fell by 52 % on 2000-09-29; one row waits for its confirmation, and no split is invented."""
    assert len(kyle.accepted) == 12_153
    (held,) = [x for x in kyle.said if isinstance(x, InputRejected)]
    assert (held.symbol, held.reason, held.detail) == ("AAPL", "jump_unconfirmed", "25.75 after 53.5")


def test_what_is_observed_is_attested_and_on_the_tick(kyle, clean):
    ticks = {x.instrument: Decimal(x.tick_atoms) / 10**8 for x in open_embedded().instruments}
    assert all(x.attested and clean(x, ticks[x.instrument]) for x in kyle.accepted)
