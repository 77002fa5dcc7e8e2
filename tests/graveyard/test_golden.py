"""The golden decisions are what the rules decide, reach every clause from both sides, and show a changed rule."""

from __future__ import annotations

import msgspec
import pytest

from graveyard.ethics import FACT_BOUNDS, RULES, Rule, numbered
from graveyard.judge import judge
from graveyard.proofs import golden
from graveyard.proofs.examples import EXAMPLES, facts_of, in_words, nearest_example
from graveyard.proofs.golden import Row, committed, encode, flipped, generated, read
from graveyard.words import Facts

ROWS = read(committed())
CLAUSES = tuple(f"{rule.id}.{index}" for rule, index, _ in numbered(RULES))


def without(name: str) -> tuple[Rule, ...]:
    """The rules without one clause: it is replaced by one that always holds."""
    changed = []
    for rule in RULES:
        clauses = tuple(
            msgspec.structs.replace(clause, relation="==", measured=clause.limit, scale=1, when=())
            if f"{rule.id}.{index}" == name
            else clause
            for index, clause in enumerate(rule.clauses)
        )
        changed.append(msgspec.structs.replace(rule, clauses=clauses))
    return tuple(changed)


def test_the_file_is_what_the_rules_say() -> None:
    """Red after a change of a rule: run `python -m graveyard.proofs.golden` and read what flipped."""
    assert committed() == encode(generated())


def test_the_judge_decides_every_row_as_it_is_written() -> None:
    """The compiled rules, not only the plain reader that wrote the file."""
    for row in ROWS:
        verdict = judge(row.facts)
        assert tuple(f"{one.rule}.{one.clause}" for one in verdict.violations) == row.violates, row


@pytest.mark.parametrize("name", CLAUSES)
def test_every_clause_is_met_from_both_sides_and_alone(name: str) -> None:
    """One fact moved by one unit makes the difference between approved and refused by this clause alone."""
    alone = [row for row in ROWS if row.violates == (name,)]
    approved = {(row.example, tuple(row.changes.items())) for row in ROWS if not row.violates}
    neighbours = {
        (row.example, tuple({**row.changes, fact: value + by}.items()))
        for row in alone
        for fact, value in (dict(EXAMPLES[row.example]) | dict(row.changes)).items()
        if value is not None
        for by in (-1, 1)
    } | {(row.example, ()) for row in alone}
    assert neighbours & approved or name == "5.0", "is_opening ≤ is_order is a matter of two facts"
    assert alone


def test_every_clause_taken_away_flips_rows_that_name_it() -> None:
    for name in CLAUSES:
        rows = tuple(row for row in ROWS if name in row.violates and None not in row.changes.values())[:3]
        rows = tuple(row for row in rows if _is_admissible(row))
        flips = flipped(rows, without(name))
        assert len(flips) == len(rows) > 0, name
        assert all(set(was.violates) - set(now.violates) == {name} for was, now in flips)


def _is_admissible(row: Row) -> bool:
    return all(value is not None and is_inside(name, value) for name, value in row.changes.items())


def is_inside(name: str, value: int) -> bool:
    return FACT_BOUNDS[name].low <= value <= FACT_BOUNDS[name].high


def test_a_fact_one_beyond_its_bounds_counts_as_missing() -> None:
    """So a widened bound flips rows, wherever the clause would let the value pass."""
    rows = {(row.example, *row.changes.items()): row.violates for row in ROWS if len(row.changes) == 1}
    for name, bound in FACT_BOUNDS.items():
        missing = rows["opening", (name, None)]
        assert rows["opening", (name, bound.low - 1)] == rows["opening", (name, bound.high + 1)] == missing, name


def test_a_missing_fact_is_refused_by_every_kind_of_act_that_reads_it() -> None:
    missing = {(row.example, *row.changes): row for row in ROWS if None in row.changes.values()}
    assert {name for _, name in missing} == set(FACT_BOUNDS)
    for (example, name), row in missing.items():
        reading = {f"{rule.id}.{index}" for rule, index, _ in numbered(RULES) if name in rule.facts_read}
        assert set(row.violates) <= reading, (example, name)
    always = {name for name in FACT_BOUNDS if all(missing[kind, name].violates for kind in golden.KINDS)}
    assert {"is_order", "is_opening", "people", "reason_chars", "ruleset_matches", "approvals_before"} <= always


def test_every_example_is_approved_and_is_its_own_nearest() -> None:
    for name in EXAMPLES:
        assert judge(facts_of(name, {})).approved
        assert nearest_example(facts_of(name, {})) == (name, {})


def test_an_act_is_told_in_words_without_rounding() -> None:
    facts = facts_of("opening", {"equity_micros": 12_345_000_001, "lease_age_ns": None, "is_buy": 0})
    words = in_words(facts, FACT_BOUNDS)
    assert "sell 20 at 50" in words
    assert "12 345.000001" in words
    assert "`lease_age_ns` is missing" in words
    assert in_words(Facts(**dict.fromkeys(FACT_BOUNDS)), FACT_BOUNDS), "even where nothing is known"


def test_a_file_of_another_shape_is_refused() -> None:
    data = committed()
    for broken in (
        b"",
        b"[]",
        data[:-20],
        data.replace(b'"format":1', b'"format":2'),
        data.replace(b'"is_buy":1', b'"is_buy":0'),
    ):
        with pytest.raises(ValueError):
            read(broken)


def test_the_file_stays_small_enough_to_be_read() -> None:
    assert len(committed()) < 400_000
    assert 300 <= len(ROWS) <= 1_500


def test_wrong_usage_answers_by_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert golden.main(["--forget"]) == 2
    assert "usage" in capsys.readouterr().err
