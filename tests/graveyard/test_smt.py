"""The solver reads the rules as the plain interpreter does: on every concrete act, missing and absurd facts included."""

from __future__ import annotations

import random
from typing import Any

import z3
from hypothesis import given, settings
from hypothesis import strategies as st

from graveyard import interpret, smt
from graveyard.ethics import FACT_BOUNDS, RULES, numbered
from graveyard.expressions import Add, Clause, Condition, Const, Fact, Mul, Sub, Term
from graveyard.proofs.examples import EXAMPLES, facts_of
from graveyard.proofs.golden import committed, read
from graveyard.smt import Request, Solver
from graveyard.words import Facts

REQUESTS = 250
ACT = Request(FACT_BOUNDS)
CLAUSES = [(clause, smt.holds(clause, ACT)) for _, _, clause in numbered(RULES)]
ROWS = read(committed())


def as_given(facts: Facts) -> dict[str, int | None]:
    """What the solver can be told: an integer, however absurd, or nothing."""
    return {name: value if type(value := getattr(facts, name)) is int else None for name in FACT_BOUNDS}


def a_request(rng: random.Random) -> Facts:
    """Two golden rows laid over one another, some facts moved to an edge, some taken away, some absurd."""
    row = rng.choice(ROWS)
    fields: dict[str, Any] = {**EXAMPLES[row.example], **row.changes, **rng.choice(ROWS).changes}
    for _ in range(rng.randrange(5)):
        name = rng.choice(tuple(fields))
        low, high, _ = FACT_BOUNDS[name]
        fields[name] = rng.choice((None, None, low, high, low - 1, high + 1, 0, 1, 2, fields[name], True, 1.0, "1"))
    for name in ("is_order", "is_opening", "is_buy"):
        if rng.random() < 0.2:
            fields[name] = rng.choice((0, 1, None))
    return Facts(**fields)


FLAGS = [z3.Bool(f"clause {n} holds") for n in range(len(CLAUSES))]
ALIKE = z3.And(*(flag == term for flag, (_, term) in zip(FLAGS, CLAUSES, strict=True)))


def reads_alike(facts: Facts, expected: list[bool]) -> bool:
    """With what was given put in, and nothing for what was not, the solver's terms come out as expected."""
    given = as_given(facts)
    said = [(ACT.given[name], z3.BoolVal(value is not None)) for name, value in given.items()]
    said += [(ACT.value[name], z3.IntVal(value)) for name, value in given.items() if value is not None]
    said += [(flag, z3.BoolVal(holds)) for flag, holds in zip(FLAGS, expected, strict=True)]
    return z3.is_true(z3.simplify(z3.substitute(ALIKE, *said)))


def test_some_hundred_random_requests_are_read_alike() -> None:
    rng = random.Random(20261121)
    approved = missing = 0
    for _ in range(REQUESTS):
        facts = a_request(rng)
        expected = [interpret.holds(clause, facts, FACT_BOUNDS) for clause, _ in CLAUSES]
        assert reads_alike(facts, expected), facts
        approved += all(expected)
        missing += None in as_given(facts).values()
    assert REQUESTS // 20 < approved < REQUESTS * 9 // 10, "requests must fall on both sides"
    assert missing > REQUESTS // 10


NAMES = ("reason_chars", "lease_age_ns", "people")
NARROW = {
    name: bound._replace(low=max(-20, bound.low), high=min(20, bound.high)) for name, bound in FACT_BOUNDS.items()
}
NARROW_ACT = Request(NARROW)
small = st.integers(-9, 9)
any_term: st.SearchStrategy[Term] = st.recursive(
    st.one_of(small.map(Const), st.sampled_from(NAMES).map(Fact)),
    lambda part: st.one_of(st.builds(Add, part, part), st.builds(Sub, part, part), st.builds(Mul, small, part)),
    max_leaves=4,
)
relations = st.sampled_from(("<=", "<", ">=", ">", "=="))


@st.composite
def any_clause(draw: st.DrawFn) -> Clause:
    when = tuple(Condition(draw(any_term), draw(relations), draw(any_term)) for _ in range(draw(st.integers(0, 2))))
    scope = draw(st.sampled_from(("opening", "order", "every")))
    return Clause(draw(any_term), draw(relations), draw(any_term), "count", scope, "it is wrong", 1, when)


@settings(max_examples=50, deadline=None)
@given(any_clause(), st.lists(st.one_of(st.none(), st.integers(-22, 22)), min_size=3, max_size=3), st.data())
def test_clauses_that_nobody_wrote_are_read_alike(
    clause: Clause, values: list[int | None], data: st.DataObject
) -> None:
    flags = {name: data.draw(st.sampled_from((0, 1, None, 2))) for name in ("is_order", "is_opening")}
    facts = facts_of("opening", {**dict(zip(NAMES, values, strict=True)), **flags})
    term = smt.holds(clause, NARROW_ACT)
    expected = interpret.holds(clause, facts, NARROW)
    solver = Solver(*smt.equals(NARROW_ACT, as_given(facts)))
    assert solver.ask(term) == ("sat" if expected else "unsat")
    assert solver.ask(smt.negation(term)) == ("unsat" if expected else "sat")


def test_a_missing_fact_leaves_nothing_to_chance() -> None:
    """A fact that is not given has no value that the solver could choose to please."""
    term = smt.approved(RULES, ACT)
    missing = smt.negation(ACT.given["reason_chars"])
    assert Solver(term).ask() == "sat"
    assert Solver(term).ask(missing) == "unsat"


def test_one_condition_that_is_known_to_be_false_settles_it() -> None:
    """Whatever is missing besides: a sale is not asked what it rose."""
    pump = next(clause for rule, index, clause in numbered(RULES) if (rule.id, index) == (3, 2))
    sale = smt.equals(ACT, {"is_buy": 0, "rise_bp": None, "filed_catalysts": None, "is_opening": 1})
    assert Solver(*sale).ask(smt.negation(smt.holds(pump, ACT))) == "unsat"


def test_no_rules_approve_nothing() -> None:
    assert Solver(smt.approved((), ACT)).ask() == "unsat"


def test_what_was_found_is_read_back_as_it_was_said() -> None:
    facts = facts_of("reduction", {"equity_micros": None, "people": 10**12})
    solver = Solver(*smt.equals(ACT, as_given(facts)))
    assert solver.ask() == "sat"
    assert solver.facts(ACT) == facts


def test_the_reading_is_drawn_as_near_to_the_wishes_as_can_be_had() -> None:
    solver = Solver(ACT.value["people"] + ACT.value["causal_depth"] == 7, ACT.value["reason_chars"] > 3)
    assert solver.ask() == "sat"
    solver.draw_near(ACT.value["reason_chars"] == 1, ACT.value["people"] == 2, ACT.value["causal_depth"] == 2)
    assert solver.number(ACT.value["people"]) == (2, 1)
    assert solver.number(ACT.value["causal_depth"]) == (5, 1)
    assert solver.number(ACT.value["reason_chars"])[0] > 3


def test_a_question_that_takes_too_many_steps_is_unknown() -> None:
    assert Solver(smt.approved(RULES, ACT), rlimit=1).ask() == "unknown"
