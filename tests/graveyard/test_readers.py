"""The compiled function and the plain interpreter are two readers of one text: they never disagree."""

from __future__ import annotations

import ast
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graveyard import interpret
from graveyard.batch import Batch, columns
from graveyard.compile import compile_rules, syntax
from graveyard.ethics import FACT_BOUNDS, RULES, Rule, numbered
from graveyard.expressions import Add, Clause, Condition, Const, Fact, Mul, Sub, Term
from graveyard.words import Facts
from tests.graveyard.cards import CARDS
from tests.graveyard.makers import good_facts
from tests.graveyard.requests import ABSURD, NAMES, VALUES, a_request

SHARES = 8
REQUESTS = 100_000 // SHARES
MANY = 1_000_000 // SHARES
MASK = compile_rules(RULES, FACT_BOUNDS)
BATCH = Batch(RULES, FACT_BOUNDS)


def read_alike(seed: int, requests: int) -> None:
    """The interpreter, the generated function, and both answers of the batch reader."""
    rng = random.Random(seed)
    asked = [a_request(rng) for _ in range(requests)]
    plain = [interpret.mask(RULES, facts, FACT_BOUNDS) for facts in asked]
    for facts, violated in zip(asked, plain, strict=True):
        assert MASK(facts) == violated, facts
    table = columns(asked)
    words = BATCH.masks(table)
    approved = BATCH.approved(table)
    for facts, violated, (low, high), passes in zip(asked, plain, words.tolist(), approved.tolist(), strict=True):
        assert low | high << 64 == violated, facts
        assert passes is (violated == 0), facts
    assert requests // 10 < plain.count(0) < requests * 9 // 10, "requests must fall on both sides"


@pytest.mark.parametrize("share", range(SHARES))
def test_a_hundred_thousand_random_requests_are_read_alike(share: int) -> None:
    read_alike(20130328 + share, REQUESTS)


@pytest.mark.nightly
@pytest.mark.parametrize("share", range(SHARES))
def test_a_million_random_requests_are_read_alike(share: int) -> None:
    read_alike(share, MANY)


@st.composite
def requests(draw: st.DrawFn) -> Facts:
    changes: dict[str, Any] = {}
    changes |= draw(st.sampled_from(({}, {"is_opening": 0}, {"is_opening": 0, "is_order": 0, "people": 2})))
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=6, unique=True)):
        low, high, _ = FACT_BOUNDS[name]
        edge = st.sampled_from(VALUES[name])
        changes[name] = draw(st.one_of(edge, st.integers(low - 2, high + 2), st.sampled_from(ABSURD)))
    return good_facts(**changes)


@settings(max_examples=200, deadline=None)
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
def any_condition(draw: st.DrawFn) -> Condition:
    relation = draw(st.sampled_from(("<=", "<", ">=", ">", "==")))
    scale = 1 if relation == "==" else draw(st.integers(1, 4))
    return Condition(draw(any_term), relation, draw(any_term), scale)


@st.composite
def any_clause(draw: st.DrawFn) -> Clause:
    it = draw(any_condition())
    scope = draw(st.sampled_from(("opening", "order", "every")))
    when = tuple(draw(st.lists(any_condition(), max_size=2)))
    return Clause(it.measured, it.relation, it.limit, "count", scope, "it is wrong", it.scale, when)


NARROW = {name: bound._replace(low=max(-200, bound.low), high=200) for name, bound in FACT_BOUNDS.items()}
READ = ("reason_chars", "lease_age_ns", "equity_micros")
FLAGS = ("is_opening", "is_order", "has_stop")


@st.composite
def any_values(draw: st.DrawFn) -> Facts:
    values: dict[str, Any] = {name: draw(st.integers(-201, 201)) for name in READ}
    values |= {name: draw(st.integers(0, 1)) for name in FLAGS}
    if draw(st.integers(0, 4)) == 0:
        values[draw(st.sampled_from(READ + FLAGS))] = draw(st.sampled_from(ABSURD))
    return good_facts(**values)


@settings(max_examples=60, deadline=None)
@given(st.lists(any_clause(), min_size=1, max_size=4), st.lists(any_values(), min_size=5, max_size=5))
def test_all_readers_agree_on_rules_that_nobody_wrote(clauses: list[Clause], asked: list[Facts]) -> None:
    """Sums, differences, products and conditions are read as they are meant, although no rule uses all of them yet."""
    rules = (Rule(1, "a_rule", "risk", "LOW", "a limit", "unit", "a reason", tuple(clauses)),)
    mask, batch = compile_rules(rules, NARROW), Batch(rules, NARROW)
    plain = [interpret.mask(rules, facts, NARROW) for facts in asked]
    assert [mask(facts) for facts in asked] == plain
    table = columns(asked, NARROW)
    assert batch.masks(table)[:, 0].tolist() == plain
    assert batch.approved(table).tolist() == [violated == 0 for violated in plain]


def test_the_bits_are_the_clauses_in_their_order() -> None:
    for bit, ((rule, index, _), card) in enumerate(zip(numbered(RULES), CARDS, strict=True)):
        assert (rule.id, index) == (card.rule, card.clause)
        assert MASK(good_facts(**card.beyond)) == 1 << bit


def test_the_generated_functions_see_the_facts_and_nothing_else() -> None:
    """No attribute, no import; what is called is named here, and nothing built in can be reached."""
    tree = syntax(RULES, FACT_BOUNDS)
    called = [node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    assert set(called) == {"astuple", "passes", "interpreted", "type"}
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Import | ast.ImportFrom)]
    assert MASK.__globals__["__builtins__"] == {} == MASK.__globals__["passes"].__globals__["__builtins__"]


class Index:
    """Finds its place in a row of integers, and is none."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


@pytest.mark.parametrize("name", NAMES)
def test_what_only_looks_like_the_right_number_is_refused(name: str) -> None:
    """The first expression finds small integers by their place; only the integer itself passes there."""
    good = good_facts()
    value: Any = getattr(good, name)
    for other in (bool(value), float(value), Index(value), LyingInt(value), str(value), None):
        facts = msgspec.structs.replace(good, **{name: other})
        assert MASK(facts) == interpret.mask(RULES, facts, FACT_BOUNDS)
        assert MASK(facts) != 0 or name in {"people_age_ns", "price_drift_bp", "snapshot_age_ns"} | UNHEARD_ALONE


class LyingInt(int):
    def __le__(self, other: object) -> bool:
        return True

    __lt__ = __ge__ = __gt__ = __eq__ = __le__
    __hash__ = int.__hash__


UNHEARD_ALONE = {"own_broadcasts"}  # no clause reads it for a purchase


def test_no_rule_at_all_compiles_to_nothing_violated() -> None:
    """The mask cannot refuse without rules; the judge does."""
    assert compile_rules((), FACT_BOUNDS)(good_facts()) == 0
