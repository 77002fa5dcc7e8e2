"""The compiled function and the plain interpreter are two readers of one text: they never disagree."""

from __future__ import annotations

import ast
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from graveyard import interpret
from graveyard.compile import compile_rules, syntax
from graveyard.ethics import FACT_BOUNDS, RULES, Rule, numbered
from graveyard.expressions import Add, Clause, Const, Fact, Mul, Sub, Term
from graveyard.words import Facts
from tests.graveyard.cards import CARDS
from tests.graveyard.makers import good_facts
from tests.graveyard.requests import ABSURD, NAMES, VALUES, a_request

REQUESTS = 100_000
MASK = compile_rules(RULES, FACT_BOUNDS)


def test_a_hundred_thousand_random_requests_are_read_alike() -> None:
    rng = random.Random(20130328)
    approved = 0
    for n in range(REQUESTS):
        facts = a_request(rng)
        fast = MASK(facts)
        assert fast == interpret.mask(RULES, facts, FACT_BOUNDS), (n, facts)
        approved += fast == 0
    assert REQUESTS // 10 < approved < REQUESTS * 9 // 10, "requests must fall on both sides"


@st.composite
def requests(draw: st.DrawFn) -> Facts:
    changes: dict[str, Any] = {}
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=6, unique=True)):
        low, high, _ = FACT_BOUNDS[name]
        edge = st.sampled_from(VALUES[name])
        changes[name] = draw(st.one_of(edge, st.integers(low - 2, high + 2), st.sampled_from(ABSURD)))
    return good_facts(**changes)


@settings(max_examples=400, deadline=None)
@given(requests())
def test_both_readers_agree_on_searched_requests(facts: Facts) -> None:
    assert MASK(facts) == interpret.mask(RULES, facts, FACT_BOUNDS)


small = st.integers(-50, 50)
leaves: st.SearchStrategy[Term] = st.one_of(
    small.map(Const), st.sampled_from(("reason_chars", "lease_age_ns", "equity_micros", "has_stop")).map(Fact)
)
any_term = st.recursive(
    leaves,
    lambda inner: st.one_of(st.builds(Add, inner, inner), st.builds(Sub, inner, inner), st.builds(Mul, small, inner)),
    max_leaves=6,
)


@st.composite
def any_clause(draw: st.DrawFn) -> Clause:
    relation = draw(st.sampled_from(("<=", "<", ">=", ">", "==")))
    scale = 1 if relation == "==" else draw(st.integers(1, 4))
    scope = draw(st.sampled_from(("opening", "every")))
    return Clause(draw(any_term), relation, draw(any_term), "count", scope, "it is wrong", scale)


NARROW = {name: bound._replace(low=max(-200, bound.low), high=200) for name, bound in FACT_BOUNDS.items()}


@settings(max_examples=150, deadline=None)
@given(st.lists(any_clause(), min_size=1, max_size=4), st.data())
def test_both_readers_agree_on_rules_that_nobody_wrote(clauses: list[Clause], data: st.DataObject) -> None:
    """Sums, differences and products are compiled as they are read, although no rule uses all of them yet."""
    rules = (Rule(1, "a_rule", "risk", "LOW", "a limit", "a reason", True, tuple(clauses)),)
    mask = compile_rules(rules, NARROW)
    for _ in range(5):
        values = {name: data.draw(st.integers(-201, 201)) for name in ("reason_chars", "lease_age_ns", "equity_micros")}
        facts = good_facts(**values, is_opening=data.draw(st.integers(0, 1)), has_stop=data.draw(st.integers(0, 1)))
        assert mask(facts) == interpret.mask(rules, facts, NARROW)


def test_the_bits_are_the_clauses_in_their_order() -> None:
    for bit, ((rule, index, _), card) in enumerate(zip(numbered(RULES), CARDS, strict=True)):
        assert (rule.id, index) == (card.rule, card.clause)
        assert MASK(good_facts(**card.beyond)) == 1 << bit


def test_the_generated_function_reads_the_facts_once_and_calls_nothing_else() -> None:
    tree = syntax(RULES, FACT_BOUNDS)
    called = [node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    assert called.count("astuple") == called.count("interpreted") == 1
    assert set(called) == {"astuple", "interpreted", "type"}
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Subscript | ast.Import)]


def test_no_rule_at_all_compiles_to_nothing_violated() -> None:
    """The mask cannot refuse without rules; the judge does."""
    assert compile_rules((), FACT_BOUNDS)(good_facts()) == 0
