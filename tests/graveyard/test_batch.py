"""The rules over arrays say what they say over one act; whatever stands in the arrays."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from graveyard import interpret
from graveyard.batch import CHUNK, Batch, Columns, columns, width
from graveyard.ethics import FACT_BOUNDS, RULES, numbered
from graveyard.expressions import Bound
from graveyard.words import Facts
from tests.graveyard.cards import CARDS
from tests.graveyard.makers import GOOD, good_facts, operation_facts, reduction_facts
from tests.graveyard.requests import a_request

BATCH = Batch()


def masks(batch: Batch, table: Columns) -> list[int]:
    return [low | high << 64 for low, high in batch.masks(table).tolist()]


def test_every_clause_has_its_bit() -> None:
    table = columns([good_facts(**card.beyond) for card in CARDS])
    assert masks(BATCH, table) == [1 << bit for bit, _ in enumerate(numbered(RULES))]
    assert not BATCH.approved(table).any()


def test_what_stands_on_the_boundary_is_approved() -> None:
    table = columns([good_facts(**card.on) for card in CARDS])
    assert not BATCH.masks(table).any()
    assert BATCH.approved(table).all()


def test_a_reduction_and_an_operation_are_approved_beside_openings() -> None:
    table = columns([good_facts(), reduction_facts(has_stop=0), good_facts(has_stop=0), operation_facts()])
    assert BATCH.approved(table).tolist() == [True, True, False, True]


@pytest.mark.parametrize("rows", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 3])
def test_any_number_of_requests_is_answered_row_by_row(rows: int) -> None:
    """The seams between the chunks fall nowhere: each row is another one."""
    chars = np.arange(rows, dtype=np.int32) % 2_003
    once = columns([good_facts()])
    values = {name: np.repeat(column, rows) for name, column in once.values.items()} | {"reason_chars": chars}
    expected = (chars >= 10) & (chars <= 2_000)
    assert (BATCH.approved(Columns(values, {})) == expected).all()
    found = BATCH.masks(Columns(values, {}))
    assert found.shape == (rows, 2)
    assert (~found.any(axis=1) == expected).all()


def test_a_value_outside_its_bounds_is_absurd_however_it_came_there() -> None:
    """Nobody has marked the rows: wide arrays from elsewhere are not believed."""
    for name, (low, high, _) in FACT_BOUNDS.items():
        outside = [value for value in (low - 1, high + 1) if abs(value) < 2**63]
        asked = [good_facts(**{name: value}) for value in outside]
        values = {fact: np.full(len(outside), value, dtype=np.int64) for fact, value in GOOD.items()}
        table = Columns(values | {name: np.array(outside, dtype=np.int64)}, {})
        assert masks(BATCH, table) == [interpret.mask(RULES, facts, FACT_BOUNDS) for facts in asked]
        assert BATCH.approved(table).tolist() == [found == 0 for found in masks(BATCH, table)]


@pytest.mark.parametrize("value", [np.iinfo(np.int64).min, np.iinfo(np.int64).max])
def test_the_ends_of_64_bits_do_not_wrap_into_an_approval(value: int) -> None:
    for name in GOOD:
        values = {fact: np.array([good], dtype=np.int64) for fact, good in GOOD.items()}
        table = Columns(values | {name: np.array([value], dtype=np.int64)}, {})
        expected = interpret.mask(RULES, good_facts(**{name: value}), FACT_BOUNDS)
        assert masks(BATCH, table) == [expected]
        assert BATCH.approved(table).tolist() == [expected == 0]


def test_a_column_that_is_missing_refuses() -> None:
    table = columns([good_facts()])
    del table.values["has_stop"]  # type: ignore[attr-defined]
    with pytest.raises(KeyError):
        BATCH.approved(table)


def test_without_rules_nothing_is_approved() -> None:
    assert Batch(()).approved(columns([good_facts()])).tolist() == [False]


def test_columns_are_as_narrow_as_their_bounds() -> None:
    assert [width(Bound(low, high, "count")) for low, high in ((0, 1), (-129, 0), (0, 2**31 - 1), (0, 2**31))] == [
        np.int8,
        np.int16,
        np.int32,
        np.int64,
    ]
    table = columns([good_facts()])
    assert {name: column.dtype for name, column in table.values.items()} == {
        name: np.dtype(width(bound)) for name, bound in FACT_BOUNDS.items()
    }


def test_products_of_narrow_columns_do_not_wrap() -> None:
    """10 × 500 million does not fit into the 32 bits of a count."""
    table = columns([good_facts(recent_orders=10**9, recent_cancels=cancels) for cancels in (5 * 10**8, 9 * 10**8 + 1)])
    assert BATCH.approved(table).tolist() == [True, False]
    assert [found != 0 for found in masks(BATCH, table)] == [False, True]


def test_requests_may_come_in_any_integers_that_hold_them() -> None:
    rng = random.Random(5)
    table = columns([a_request(rng) for _ in range(500)])
    wide = Columns({name: column.astype(np.int64) for name, column in table.values.items()}, table.unknown)
    assert masks(BATCH, wide) == masks(BATCH, table)
    assert BATCH.approved(wide).tolist() == BATCH.approved(table).tolist()


def test_a_missing_fact_is_marked_and_refuses() -> None:
    asked: list[Facts] = [
        good_facts(),
        good_facts(has_stop=None),
        good_facts(equity_micros=True),
        good_facts(people=2**70),
    ]
    table = columns(asked)
    assert set(table.unknown) == {"has_stop", "equity_micros", "people"}
    assert BATCH.approved(table).tolist() == [True, False, False, False]


def test_nothing_that_judges_a_live_order_imports_numpy() -> None:
    program = "import sys, graveyard.judge; sys.exit('numpy' in sys.modules)"
    top = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", program], cwd=top, check=False).returncode == 0
