"""Each enforced rule: approved, on the boundary, refused beyond it, with a missing and with an absurd fact."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from graveyard.errors import MalformedRule
from graveyard.ethics import FACT_BOUNDS, RULES, Rule, canonical_ruleset, numbered, ruleset_digest, validated
from graveyard.expressions import Bound, Clause, Condition, Const, Fact, Mul, Term, facts_of
from graveyard.judge import Judge, explain, judge
from graveyard.words import Facts, Verdict
from tests.graveyard.cards import CARDS, EXACT, HEARD, UNHEARD, Card
from tests.graveyard.makers import GOOD, good_facts, operation_facts, reduction_facts

CLAUSES = tuple(numbered(RULES))


class LyingInt(int):
    def __le__(self, other: object) -> bool:
        return True

    __lt__ = __ge__ = __gt__ = __eq__ = __le__
    __hash__ = int.__hash__


ABSURD: tuple[Any, ...] = (
    None, True, False, 1.0, float("nan"), float("inf"), Decimal(1), "1", b"1", [], 1j, 2**200, -(2**200), LyingInt(1),
)  # fmt: skip


def violated(verdict: Verdict) -> set[tuple[int, int]]:
    return {(violation.rule, violation.clause) for violation in verdict.violations}


def name_of(card: Card) -> str:
    return f"{card.rule}.{card.clause} {card.says}"


def test_the_26_rules_that_users_know_come_first_and_none_is_numbered_twice() -> None:
    """A rule that is added is the next one; none of the 26 goes away."""
    assert len(RULES) >= 26
    assert [rule.id for rule in RULES] == list(range(1, len(RULES) + 1))
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_every_rule_has_clauses_and_is_heard() -> None:
    assert all(rule.clauses for rule in RULES)
    assert judge(good_facts()).heard == len(RULES)


def test_every_clause_has_a_card_and_every_card_a_clause() -> None:
    assert [(card.rule, card.clause) for card in CARDS] == [(rule.id, index) for rule, index, _ in CLAUSES]


def test_every_fact_has_bounds_and_is_read_by_a_rule() -> None:
    assert set(FACT_BOUNDS) == set(Facts.__struct_fields__) == set(GOOD)
    assert {name for rule in RULES for name in rule.facts_read} == set(Facts.__struct_fields__)


def test_good_facts_are_approved_by_all_rules() -> None:
    verdict = judge(good_facts())
    assert verdict == Verdict(approved=True, heard=len(RULES), ruleset=ruleset_digest(), violations=())
    assert judge(reduction_facts()) == judge(operation_facts()) == verdict


@pytest.mark.parametrize("card", CARDS, ids=name_of)
def test_exactly_on_the_boundary_is_approved(card: Card) -> None:
    assert judge(good_facts(**card.on)).approved


@pytest.mark.parametrize("changes", EXACT, ids=str)
def test_a_ratio_that_comes_out_even_is_approved(changes: dict[str, int]) -> None:
    """§2, §5, §6, §8, §9, §26: the limits are met exactly, without remainder."""
    assert judge(good_facts(**changes)).approved


@pytest.mark.parametrize("changes", UNHEARD, ids=str)
def test_a_clause_whose_condition_does_not_hold_is_not_heard(changes: dict[str, int]) -> None:
    assert judge(good_facts(**changes)).approved


@pytest.mark.parametrize(("at", "changes"), HEARD, ids=str)
def test_a_clause_is_heard_from_where_its_condition_begins_to_hold(
    at: tuple[int, int], changes: dict[str, int]
) -> None:
    assert violated(judge(good_facts(**changes))) == {at}


@pytest.mark.parametrize("card", CARDS, ids=name_of)
def test_one_unit_beyond_is_refused_by_this_clause_alone(card: Card) -> None:
    verdict = judge(good_facts(**card.beyond))
    assert not verdict.approved
    assert violated(verdict) == {(card.rule, card.clause)}


@pytest.mark.parametrize("card", CARDS, ids=name_of)
def test_a_pure_reduction_is_excused_from_exposure_and_from_nothing_else(card: Card) -> None:
    verdict = judge(reduction_facts(**card.beyond))
    assert violated(verdict) == (set() if card.excused else {(card.rule, card.clause)})
    assert verdict.approved is card.excused


@pytest.mark.parametrize("card", CARDS, ids=name_of)
def test_an_operation_is_excused_from_what_only_orders_have_and_from_nothing_else(card: Card) -> None:
    verdict = judge(operation_facts(**card.beyond))
    assert violated(verdict) == (set() if card.no_order else {(card.rule, card.clause)})


@pytest.mark.parametrize("card", CARDS, ids=name_of)
def test_a_refusal_shows_a_limit_that_one_unit_less_would_have_kept(card: Card) -> None:
    """The limit shown is exact in the clause's unit, although the rule multiplies instead of dividing."""
    [violation] = judge(good_facts(**card.beyond)).violations
    clause = RULES[card.rule - 1].clauses[card.clause]
    assert isinstance(clause.measured, Fact)
    assert violation.measured == card.beyond.get(clause.measured.name, GOOD[clause.measured.name])
    assert violation.limit is not None
    assert violation.unit == clause.unit
    on = {"<=": 0, "<": -1, ">=": 0, ">": 1, "==": 0}[clause.relation]
    kept = good_facts(**card.beyond | {clause.measured.name: violation.limit + on})
    assert (card.rule, card.clause) not in violated(judge(kept))


def test_a_refusal_speaks_to_a_person() -> None:
    facts = good_facts(exposure_after_micros=10_000_000_001, equity_micros=100_000_000_009)
    [violation] = judge(facts).violations
    assert (violation.measured, violation.limit, violation.unit) == (10_000_000_001, 10_000_000_000, "micros")
    assert violation.severity == "HIGH"
    assert violation.why == "the instrument would hold more than 10 % of equity"


def refused_without(name: str, facts: Facts) -> set[tuple[int, int]]:
    """The clauses that read the fact, but for those that something else, which is known, excuses."""
    return {
        (rule.id, index)
        for rule, index, clause in CLAUSES
        if name in facts_of(clause) and not excuses(name, clause, facts)
    }


def excuses(unknown: str, clause: Clause, facts: Facts) -> bool:
    """Whether another fact settles that the clause is not heard; read by hand, apart from the readers."""
    scope = {"opening": "is_opening", "order": "is_order", "every": unknown}[clause.scope]
    if scope != unknown and getattr(facts, scope) == 0:
        return True
    return any(
        not holds_in_words(condition, facts)
        for condition in clause.when
        if unknown not in facts_in(condition.measured) + facts_in(condition.limit)
    )


def facts_in(term: Term) -> list[str]:
    if isinstance(term, Mul):
        return facts_in(term.term)
    return [term.name] if isinstance(term, Fact) else []


def holds_in_words(condition: Condition, facts: Facts) -> bool:
    left, right = number(condition.measured, facts) * condition.scale, number(condition.limit, facts)
    return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right, "==": left == right}[
        condition.relation
    ]


def number(term: Term, facts: Facts) -> int:
    if isinstance(term, Mul):
        return term.factor * number(term.term, facts)
    if isinstance(term, Const):
        return term.value
    assert isinstance(term, Fact)
    value = getattr(facts, term.name)
    assert type(value) is int
    return value


# A fact that a good purchase does not need is missed by these.
A_SALE = {"is_buy": 0}
SIGNED = {"people": 2}
UNDONE = {"is_irreversible": 1, "snapshot_age_ns": 1}
NEEDED_BY = {"own_broadcasts": A_SALE, "people_age_ns": SIGNED, "price_drift_bp": SIGNED, "snapshot_age_ns": UNDONE}


@pytest.mark.parametrize("name", GOOD)
def test_a_missing_or_absurd_fact_refuses_every_clause_that_reads_it_and_may_be_heard(name: str) -> None:
    needed = good_facts(**NEEDED_BY.get(name, {}))
    assert judge(needed).approved
    readers = refused_without(name, needed)
    assert readers
    for absurd in ABSURD:
        verdict = judge(msgspec.structs.replace(needed, **{name: absurd}))
        assert violated(verdict) == readers
        assert all(name in violation.why for violation in verdict.violations)
        assert all(violation.measured is None or violation.limit is None for violation in verdict.violations)
        assert all(violation.margin is None for violation in verdict.violations)


@pytest.mark.parametrize("name", GOOD)
def test_a_fact_one_unit_outside_its_bounds_is_absurd(name: str) -> None:
    needed = good_facts(**NEEDED_BY.get(name, {}))
    low, high, _ = FACT_BOUNDS[name]
    for outside in (low - 1, high + 1):
        verdict = judge(msgspec.structs.replace(needed, **{name: outside}))
        assert violated(verdict) == refused_without(name, needed) != set()
    for inside in (low, high):
        facts = msgspec.structs.replace(needed, **{name: inside})
        assert all("absurd" not in v.why for v in judge(facts).violations)


@pytest.mark.parametrize("name", [name for name in GOOD if name != "is_opening"])
def test_a_fact_missing_for_a_pure_reduction_refuses_only_where_it_is_heard(name: str) -> None:
    facts = reduction_facts()
    assert violated(judge(reduction_facts(**{name: None}))) == refused_without(name, facts)


@pytest.mark.parametrize("name", [name for name in GOOD if name not in {"is_opening", "is_order"}])
def test_a_fact_missing_for_an_operation_refuses_only_where_it_is_heard(name: str) -> None:
    facts = operation_facts()
    assert violated(judge(operation_facts(**{name: None}))) == refused_without(name, facts)


def test_a_reduction_needs_neither_equity_nor_lease_nor_stop() -> None:
    """I9, and the way out: a broke account under a dead watchdog can still reduce."""
    nothing = dict.fromkeys((
        "equity_micros", "lease_age_ns", "lease_term_ns", "stop_distance_atoms", "target_distance_atoms",
    ))  # fmt: skip
    assert judge(reduction_facts(**nothing, has_stop=0, has_target=0, gross_after_micros=10**17)).approved


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_no_rule_is_redundant(rule: Rule) -> None:
    """For each rule there are facts that it alone refuses: without it they would be approved."""
    without = Judge(tuple(other for other in RULES if other.id != rule.id))
    witnesses = [good_facts(**card.beyond) for card in CARDS if card.rule == rule.id]
    assert witnesses
    for facts in witnesses:
        assert {violation.rule for violation in judge(facts).violations} == {rule.id}
        assert without.verdict(facts).approved


def test_all_rules_are_heard_even_when_the_first_refuses() -> None:
    changes: dict[str, Any] = {}
    for name in ("quantity_atoms", "log_position", "evidence_count", "burst_tokens"):
        changes[name] = 0
    assert violated(judge(good_facts(**changes))) == {(5, 1), (12, 0), (24, 0), (22, 1)}


def test_an_explanation_covers_every_clause_with_its_margin() -> None:
    findings = explain(good_facts(exposure_after_micros=9_999_999_999, reason_chars=9))
    by_clause = {(finding.rule, finding.clause): finding for finding in findings}
    assert list(by_clause) == [(rule.id, index) for rule, index, _ in CLAUSES]
    size, reason = by_clause[5, 3], by_clause[24, 3]
    assert (size.measured, size.limit, size.margin, size.holds) == (9_999_999_999, 10_000_000_000, 1, True)
    assert (reason.measured, reason.limit, reason.margin, reason.holds) == (9, 10, -1, False)


@pytest.mark.parametrize("card", CARDS, ids=name_of)
def test_a_margin_is_zero_on_the_boundary_and_minus_one_beyond(card: Card) -> None:
    for changes, margin in ((card.on, 0), (card.beyond, -1)):
        finding = {(f.rule, f.clause): f for f in explain(good_facts(**changes))}[card.rule, card.clause]
        assert finding.margin == margin
        assert finding.holds is (margin == 0)


def test_an_excused_clause_says_that_it_does_not_apply() -> None:
    findings = {(f.rule, f.clause): f for f in explain(reduction_facts(exposure_after_micros=10**17))}
    assert (findings[5, 3].applies, findings[5, 3].holds) == (False, True)
    assert findings[5, 3].margin is not None
    assert findings[5, 3].margin < 0
    assert findings[5, 1].applies


# The ruleset as a whole.


def test_the_digest_changes_with_every_rule_clause_and_bound() -> None:
    """Dropping a rule, a clause or a bound, or moving a bound, is another ruleset."""
    digests = {ruleset_digest()}
    digests |= {ruleset_digest(tuple(r for r in RULES if r is not rule)) for rule in RULES}
    for name, (low, high, unit) in FACT_BOUNDS.items():
        digests.add(ruleset_digest(RULES, {**FACT_BOUNDS, name: Bound(low, high + 1, unit)}))
    assert len(digests) == 1 + len(RULES) + len(FACT_BOUNDS)
    assert all(len(digest) == 64 and int(digest, 16) >= 0 for digest in digests)


def test_the_canonical_ruleset_holds_integers_only() -> None:
    import json

    def refuse(text: str) -> None:
        pytest.fail(f"`{text}` is no integer")

    read = json.loads(canonical_ruleset(), parse_float=refuse, parse_constant=refuse)
    assert json.dumps(read, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() == canonical_ruleset()


def a_rule(rule_id: int, *clauses: Clause) -> Rule:
    return Rule(rule_id, "a_rule", "risk", "LOW", "a limit", "unit", "a reason", clauses)


def a_clause(name: str = "reason_chars", scale: int = 1) -> Clause:
    return Clause(Fact(name), "<=", Const(9), "count", "every", "it is too much", scale)


def test_a_ruleset_with_a_doubled_or_misplaced_rule_is_refused() -> None:
    for ids in ((1, 1), (2, 1)):
        with pytest.raises(MalformedRule):
            validated(tuple(a_rule(n) for n in ids), FACT_BOUNDS)


def test_a_rule_that_reads_a_fact_without_bounds_is_refused() -> None:
    with pytest.raises(MalformedRule):
        validated((a_rule(1, a_clause()),), {})
    opening = Clause(Fact("reason_chars"), "<=", Const(9), "count", "opening", "it is too much")
    with pytest.raises(MalformedRule):
        validated((a_rule(1, opening),), {"reason_chars": Bound(0, 9, "count")})


def test_a_clause_that_could_leave_64_bits_is_refused() -> None:
    validated((a_rule(1, a_clause("gross_after_micros", 92)),), FACT_BOUNDS)
    with pytest.raises(MalformedRule):
        validated((a_rule(1, a_clause("gross_after_micros", 93)),), FACT_BOUNDS)
    wide = Clause(Const(0), ">=", Mul(-93, Fact("equity_micros")), "micros", "every", "it is too much")
    with pytest.raises(MalformedRule):
        validated((a_rule(1, wide),), FACT_BOUNDS)


def test_a_rule_without_clauses_or_words_is_no_rule() -> None:
    for clauses, limit in (((), "a limit"), ((a_clause(),), "")):
        with pytest.raises(MalformedRule):
            Rule(1, "a_rule", "risk", "LOW", limit, "unit", "a reason", clauses)


def test_a_rule_says_what_it_reads() -> None:
    rules = {rule.id: rule for rule in RULES}
    assert rules[9].facts_read == ("has_target", "is_opening", "target_distance_atoms", "stop_distance_atoms")
    assert rules[12].facts_read == ("log_position",)
    assert rules[25].facts_read == ("venue_is_up", "is_opening", "snapshot_age_ns", "is_irreversible")
