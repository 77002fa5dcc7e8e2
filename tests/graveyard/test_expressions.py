"""The language is closed: what it does not have cannot be built, written or read."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from graveyard.errors import MalformedRule
from graveyard.ethics import FACT_BOUNDS, RULES, numbered
from graveyard.expressions import (
    MAX_BYTES,
    MAX_DEPTH,
    Add,
    Clause,
    Condition,
    Const,
    Fact,
    Mul,
    Sub,
    Term,
    decode_clause,
    encode_clause,
    facts_of,
    formula,
    span,
)


def a_clause(**changes: Any) -> Clause:
    fields: dict[str, Any] = {
        "measured": Fact("exposure_after_micros"),
        "relation": "<=",
        "limit": Fact("equity_micros"),
        "unit": "micros",
        "scope": "opening",
        "why": "it is too much",
        "scale": 10,
    }
    return Clause(**(fields | changes))


CANONICAL = (
    b'{"limit":{"name":"equity_micros","op":"fact"},"measured":{"name":"exposure_after_micros","op":"fact"},'
    b'"relation":"<=","scale":10,"scope":"opening","unit":"micros","when":[],"why":"it is too much"}'
)
CONDITIONAL = CANONICAL.replace(
    b'"when":[]',
    b'"when":[{"limit":{"op":"const","value":1},"measured":{"name":"is_buy","op":"fact"},"relation":"==","scale":1}]',
)
PURCHASES = Condition(Fact("is_buy"), "==", Const(1))


def test_the_canonical_form_is_this_and_no_other() -> None:
    assert encode_clause(a_clause()) == CANONICAL
    assert decode_clause(CANONICAL) == a_clause()
    assert encode_clause(a_clause(when=(PURCHASES,))) == CONDITIONAL
    assert decode_clause(CONDITIONAL) == a_clause(when=(PURCHASES,))


@pytest.mark.parametrize("clause", [clause for _, _, clause in numbered(RULES)], ids=formula)
def test_every_clause_of_the_rules_survives_writing_and_reading(clause: Clause) -> None:
    assert decode_clause(encode_clause(clause)) == clause


REFUSED = {
    "unknown operator": CANONICAL.replace(b'"op":"fact"}', b'"op":"call"}', 1),
    "division": CANONICAL.replace(b'{"name":"equity_micros","op":"fact"}', b'{"left":1,"op":"div","right":1}'),
    "unknown field": CANONICAL.replace(b'"op":"fact"}', b'"op":"fact","x":1}', 1),
    "unknown field of the clause": CANONICAL.replace(b'"unit"', b'"a":1,"unit"'),
    "unknown relation": CANONICAL.replace(b'"<="', b'"!="'),
    "unknown scope": CANONICAL.replace(b'"opening"', b'"never"'),
    "unknown fact": CANONICAL.replace(b"equity_micros", b"equity_macros"),
    "missing field": CANONICAL.replace(b'"relation":"<=",', b""),
    "default left out": CANONICAL.replace(b'"scale":10,', b""),
    "doubled field": CANONICAL.replace(b'"scale":10,', b'"scale":9,"scale":10,'),
    "doubled field in a term": CANONICAL.replace(b'"op":"fact"}', b'"op":"fact","op":"fact"}', 1),
    "trailing byte": CANONICAL + b"x",
    "trailing space": CANONICAL + b" ",
    "trailing document": CANONICAL + CANONICAL,
    "conditions left out": CANONICAL.replace(b'"when":[],', b""),
    "unknown field of a condition": CONDITIONAL.replace(
        b'"relation":"==","scale":1', b'"relation":"==","scale":1,"x":1'
    ),
    "unknown relation of a condition": CONDITIONAL.replace(b'"=="', b'"!="'),
    "scaled equality of a condition": CONDITIONAL.replace(b'"scale":1,', b'"scale":2,').replace(
        b'"scale":1}', b'"scale":2}'
    ),
    "unknown fact of a condition": CONDITIONAL.replace(b"is_buy", b"is_bye"),
    "a condition that is none": CANONICAL.replace(b'"when":[]', b'"when":[1]'),
    "spaces": CANONICAL.replace(b":", b": "),
    "another order": CANONICAL.replace(b'"name":"equity_micros","op":"fact"', b'"op":"fact","name":"equity_micros"'),
    "an escaped letter": CANONICAL.replace(b"it is", b"\\u0069t is"),
    "float": CANONICAL.replace(b'"scale":10', b'"scale":10.0'),
    "exponent": CANONICAL.replace(b'"scale":10', b'"scale":1e1'),
    "text for a number": CANONICAL.replace(b'"scale":10', b'"scale":"10"'),
    "bool for a number": CANONICAL.replace(b'"scale":10', b'"scale":true'),
    "scale zero": CANONICAL.replace(b'"scale":10', b'"scale":0'),
    "negative scale": CANONICAL.replace(b'"scale":10', b'"scale":-10'),
    "scaled equality": CANONICAL.replace(b'"<="', b'"=="'),
    "huge number": CANONICAL.replace(b'"scale":10', b'"scale":9223372036854775808'),
    "no sentence": CANONICAL.replace(b"it is too much", b""),
    "no unit": CANONICAL.replace(b'"micros"', b'""'),
    "half": CANONICAL[: len(CANONICAL) // 2],
    "nothing": b"",
    "null": b"null",
    "not UTF-8": CANONICAL.replace(b"it is", b"\xff\xfe is"),
    "too long": CANONICAL.replace(b"it is", b"i" * MAX_BYTES),
    "too deep": CANONICAL.replace(
        b'{"name":"equity_micros","op":"fact"}',
        b'{"factor":1,"op":"mul","term":' * MAX_DEPTH + b'{"op":"const","value":1}' + b"}" * MAX_DEPTH,
    ),
    "too deep for any reader": b'{"limit":' + b'{"factor":1,"op":"mul","term":' * 500,
}


@pytest.mark.parametrize("what", REFUSED)
def test_any_other_spelling_is_refused(what: str) -> None:
    assert REFUSED[what] not in {CANONICAL, CONDITIONAL}
    with pytest.raises(MalformedRule):
        decode_clause(REFUSED[what])


@pytest.mark.parametrize(
    "value", [True, 1.0, "1", None, 2**63, -(2**63) - 1], ids=lambda one: getattr(one, "__name__", None) or repr(one)
)
def test_a_constant_is_an_integer_of_64_bits(value: Any) -> None:
    for build in (
        Const,
        lambda v: Mul(v, Const(1)),
        lambda v: a_clause(scale=v),
        lambda v: Condition(Const(1), "<=", Const(1), v),
    ):
        with pytest.raises(MalformedRule):
            build(value)


def test_a_fact_that_does_not_exist_cannot_be_named() -> None:
    for name in ("__class__", "equity", "", None):
        with pytest.raises(MalformedRule):
            Fact(name)


def nested(depth: int) -> Term:
    term: Term = Const(1)
    for _ in range(depth - 1):
        term = Mul(1, term)
    return term


def full_tree(depth: int) -> Term:
    return Const(1) if depth == 1 else Add(full_tree(depth - 1), full_tree(depth - 1))


def test_depth_and_size_are_limited() -> None:
    a_clause(limit=nested(MAX_DEPTH))
    a_clause(limit=full_tree(6))  # 63 terms, and one is measured
    for too_much in (nested(MAX_DEPTH + 1), nested(5_000), full_tree(7)):
        with pytest.raises(MalformedRule):
            a_clause(limit=too_much)
        with pytest.raises(MalformedRule):
            a_clause(when=(Condition(Const(1), "<=", too_much),))


@pytest.mark.parametrize(
    "alien", [1, None, "equity_micros", a_clause], ids=lambda one: getattr(one, "__name__", None) or repr(one)
)
def test_something_else_is_no_term(alien: Any) -> None:
    for term in (alien, Add(Const(1), alien), Mul(2, alien)):
        with pytest.raises(MalformedRule):
            a_clause(limit=term)


def test_a_term_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Const(1).value = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        a_clause().scale = 11  # type: ignore[misc]


def test_a_clause_knows_what_it_reads_and_can_be_read() -> None:
    clause = a_clause(limit=Sub(Mul(-2, Fact("equity_micros")), Add(Const(5_000), Fact("equity_micros"))))
    assert facts_of(clause) == ("exposure_after_micros", "equity_micros", "is_opening")
    assert facts_of(msgspec.structs.replace(clause, scope="every")) == ("exposure_after_micros", "equity_micros")
    conditional = msgspec.structs.replace(clause, when=(PURCHASES,), scope="order")
    assert facts_of(conditional) == ("exposure_after_micros", "equity_micros", "is_buy", "is_order")
    assert formula(a_clause(when=(PURCHASES,))) == "10 × exposure_after_micros ≤ equity_micros where is_buy = 1"
    assert formula(clause) == "10 × exposure_after_micros ≤ (-2 × equity_micros - (5_000 + equity_micros))"


def test_a_span_is_the_least_and_the_greatest_value() -> None:
    equity, size = Fact("equity_micros"), Fact("exposure_after_micros")
    most = FACT_BOUNDS["equity_micros"].high
    assert span(Const(-3), FACT_BOUNDS) == (-3, -3)
    assert span(Mul(-2, size), FACT_BOUNDS) == (-2 * most, 0)
    assert span(Add(equity, size), FACT_BOUNDS) == (-most, 2 * most)
    assert span(Sub(equity, size), FACT_BOUNDS) == (-2 * most, most)
