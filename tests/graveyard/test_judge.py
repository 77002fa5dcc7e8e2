"""What holds for every judge, whatever its rules: it fails shut, and more rules never approve more."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graveyard.ethics import FACT_BOUNDS, RULES, Rule
from graveyard.expressions import Clause, Const, Fact
from graveyard.judge import Judge, explain, judge
from graveyard.words import Facts, Verdict
from tests.graveyard.makers import GOOD, good_facts, reduction_facts
from tests.graveyard.requests import a_request


class Hostile:
    """An object that raises at whatever is asked of it."""

    def _raise(self, *_: object) -> Any:
        raise RuntimeError("no")

    __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = __mul__ = __rmul__ = __bool__ = __index__ = __int__ = _raise
    __hash__ = object.__hash__
    __repr__ = __str__ = _raise


def test_nothing_heard_is_refused() -> None:
    verdict = Judge(()).verdict(good_facts())
    assert (verdict.approved, verdict.heard, verdict.violations) == (False, 0, ())


class MoreFacts(Facts, frozen=True):
    pass


@pytest.mark.parametrize("facts", [None, object(), {}, dict(GOOD), MoreFacts(**GOOD), Facts, Hostile()], ids=type)
def test_anything_that_is_not_exactly_facts_is_refused_by_every_clause(facts: Any) -> None:
    verdict = judge(facts)
    assert not verdict.approved
    assert {violation.rule for violation in verdict.violations} == {rule.id for rule in RULES}
    assert len(verdict.violations) == sum(len(rule.clauses) for rule in RULES)


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**300), 2**300),
    st.floats(),
    st.text(),
    st.binary(),
    st.decimals(),
    st.lists(st.integers()),
    st.builds(Hostile),
    st.builds(object),
)


@settings(max_examples=120, deadline=None)
@given(st.dictionaries(st.sampled_from(tuple(GOOD)), anything))
def test_the_judge_never_raises_and_its_words_can_be_written_down(changes: dict[str, Any]) -> None:
    facts = good_facts(**changes)
    verdict = judge(facts)
    assert verdict.approved is not bool(verdict.violations)
    assert msgspec.json.decode(msgspec.json.encode(verdict), type=Verdict) == verdict
    findings = explain(facts)
    assert [(f.rule, f.clause) for f in findings if not f.holds] == [(v.rule, v.clause) for v in verdict.violations]
    assert len(msgspec.json.encode(findings)) > 0


def a_rule(*clauses: Clause, rule_id: int = 1) -> Rule:
    return Rule(rule_id, "a_rule", "risk", "LOW", "a limit", "unit", "a reason", clauses)


def a_clause() -> Clause:
    return Clause(Fact("reason_chars"), "<=", Const(2_000), "characters", "every", "the reason is too long")


@pytest.mark.parametrize("others", [{}, {"lease_age_ns": None}], ids=["all facts known", "another fact missing"])
def test_a_rule_that_raises_refuses_and_is_named(others: dict[str, Any]) -> None:
    """The rule is broken from inside, after it was checked; its neighbour still speaks for itself."""
    lease = Clause(Fact("lease_age_ns"), ">=", Const(0), "ns", "every", "the lease comes from the future")
    reason = a_rule(a_clause(), rule_id=2)
    both = Judge((a_rule(lease), reason))
    msgspec.structs.force_setattr(reason.clauses[0], "limit", None)
    verdict = both.verdict(good_facts(**others, reason_chars=None))
    assert not verdict.approved
    named = {violation.rule: violation for violation in verdict.violations}
    assert set(named) == ({1, 2} if others else {2})
    assert "MalformedRule" in named[2].why


def test_a_reader_that_raises_as_a_whole_refuses_by_every_clause() -> None:
    """The rules are taken away from inside; what was heard when the judge was made still counts."""
    rule = a_rule(a_clause(), a_clause())
    bereft = Judge((rule,))
    msgspec.structs.force_setattr(rule, "clauses", None)
    verdict = bereft.verdict(good_facts(reason_chars=None))
    assert not verdict.approved
    assert [(violation.rule, violation.clause) for violation in verdict.violations] == [(1, 0), (1, 1)]


# Monotone: for all facts and all sets of rules.

larger = st.integers(0, 10**12)
changed = st.dictionaries(
    st.sampled_from((
        "exposure_after_micros", "gross_after_micros", "equity_micros", "day_loss_after_micros", "quantity_atoms",
    )),
    st.integers(-1, 3 * 10**11),
)  # fmt: skip


def refused_by_size(facts: Facts) -> set[tuple[int, int]]:
    """The size limits that are known to be passed; an absurd size is no size."""
    limits = {(2, 3), (2, 4), (5, 3), (6, 1), (7, 0), (23, 4)}
    found = {(v.rule, v.clause) for v in judge(facts).violations if v.measured is not None and v.limit is not None}
    return found & limits


@settings(max_examples=120, deadline=None)
@given(changed, larger, larger, larger)
def test_a_bigger_order_is_never_approved_where_a_smaller_one_was_refused_for_its_size(
    changes: dict[str, int], exposure: int, gross: int, loss: int
) -> None:
    small = good_facts(**changes)
    assert small.exposure_after_micros is not None
    assert small.gross_after_micros is not None
    assert small.day_loss_after_micros is not None
    bigger = msgspec.structs.replace(
        small,
        exposure_after_micros=small.exposure_after_micros + exposure,
        gross_after_micros=small.gross_after_micros + gross,
        day_loss_after_micros=small.day_loss_after_micros + loss,
    )
    refused = refused_by_size(small)
    assert refused <= {(v.rule, v.clause) for v in judge(bigger).violations}


some_rules = st.sets(st.sampled_from(RULES), min_size=1).map(lambda rules: tuple(r for r in RULES if r in rules))
bad_in_one_way = st.sampled_from((
    {}, {"quantity_atoms": 0}, {"has_stop": 0}, {"burst_tokens": 0}, {"lease_age_ns": None}, {"log_position": True},
))  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(some_rules, st.sampled_from(RULES), bad_in_one_way)
def test_adding_a_rule_never_approves_more(rules: tuple[Rule, ...], added: Rule, changes: dict[str, Any]) -> None:
    more = tuple(rule for rule in RULES if rule in rules or rule == added)
    facts = good_facts(**changes)
    if Judge(more).verdict(facts).approved:
        assert Judge(rules).verdict(facts).approved


@settings(max_examples=120, deadline=None)
@given(st.dictionaries(st.sampled_from(tuple(GOOD)), st.one_of(st.none(), st.integers(-2, 10**12))))
def test_a_pure_reduction_is_refused_for_no_more_than_an_opening_would_be(changes: dict[str, Any]) -> None:
    changes.pop("is_opening", None)
    opening, reduction = judge(good_facts(**changes)), judge(reduction_facts(**changes))
    asked_of_reductions = {(5, 4)}  # a price; rules 3 and 8 ask it of what opens
    refused = {(v.rule, v.clause) for v in reduction.violations} - asked_of_reductions
    assert refused <= {(v.rule, v.clause) for v in opening.violations}


def test_no_approved_opening_breaks_a_promise() -> None:
    """The promises of the house, written once more by hand and apart from the rules."""
    rng = random.Random(7)
    approved = 0
    for _ in range(20_000):
        f: Any = a_request(rng)
        if f.is_opening == 0 or not judge(f).approved:
            continue
        approved += 1
        assert f.quantity_atoms > 0
        assert 0 <= 10 * f.exposure_after_micros <= f.equity_micros
        assert 0 <= f.gross_after_micros <= 2 * f.equity_micros
        assert f.equity_micros > 0
        assert 20 * f.day_loss_after_micros < f.day_start_equity_micros
        assert f.has_stop == f.stop_on_tick == f.has_target == 1
        assert 0 < 4 * f.stop_distance_atoms <= f.entry_price_atoms
        assert 2 * f.target_distance_atoms >= 3 * f.stop_distance_atoms
        assert 0 <= f.lease_age_ns <= f.lease_term_ns <= 5_000_000_000
        assert f.evidence_unattested == f.evidence_unresolved == f.evidence_mismatched == 0
        assert 0 <= f.evidence_age_ns <= f.evidence_age_max_ns
        assert 0 <= f.market_age_ns <= f.evidence_age_max_ns
        assert f.is_order == 1
        assert f.instrument_restricted == f.evidence_not_public == f.evidence_embargoed == f.others_signals == 0
        assert f.own_orders_crossed == f.own_orders_layered == f.approvals_before == f.vetoes_standing == 0
        assert 10 * f.quantity_atoms <= f.bar_volume_atoms
        assert 100 * f.quantity_atoms <= f.day_volume_atoms
        assert f.recent_orders < 20 or 10 * f.recent_cancels <= 9 * f.recent_orders
        assert f.halt_level == f.seal_faults == 0
        assert f.ruleset_matches == f.venue_is_up == f.session_in_mandate == 1
        assert f.seal_signatures >= 2
        assert max(f.seal_age_ns, f.kill_path_age_ns) <= 60_000_000_000
        assert 0 < f.approval_term_ns <= 30_000_000_000
        assert f.people > 0 or (
            20 * f.order_notional_micros <= f.equity_micros and 2 * f.gross_after_micros <= 3 * f.equity_micros
        )
    assert approved > 2_000


def test_no_approved_operation_was_signed_by_fewer_than_two() -> None:
    rng = random.Random(11)
    operations = [f for f in (a_request(rng) for _ in range(20_000)) if f.is_order == 0 and judge(f).approved]
    assert len(operations) > 200
    for f in operations:
        assert f.is_opening == f.disables_override == f.seal_faults == 0
        assert f.people is not None
        assert f.people >= 2


def test_a_judge_over_other_rules_speaks_for_other_rules() -> None:
    assert Judge(RULES[:5]).verdict(good_facts()).ruleset != judge(good_facts()).ruleset
    assert Judge(RULES, FACT_BOUNDS).verdict(good_facts()) == judge(good_facts())
