"""What `ark rules prove` claims, and that every claim falls where the rules are broken on purpose."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from graveyard import interpret
from graveyard.ethics import FACT_BOUNDS, RULES, Rule, numbered, ruleset_digest
from graveyard.expressions import Clause, Const, Fact, Scope
from graveyard.judge import Judge, judge
from graveyard.proofs.compare import Compared, compare
from graveyard.proofs.entirety import ENTIRETY, HOUSE_STANDS, a_way_out_without
from graveyard.proofs.examples import facts_of
from graveyard.proofs.golden import Row, committed, read
from graveyard.proofs.induction import INDUCTION, PLANTED
from graveyard.proofs.mutants import census, mutants
from graveyard.proofs.outcomes import Act, Outcome, Result
from graveyard.proofs.properties import PROPERTIES, Property, is_broken
from graveyard.proofs.prove import STATEMENTS, prove
from graveyard.proofs.questions import Stated, Subject, about_one_act, settle
from graveyard.proofs.report import (
    IncompleteProof,
    MalformedReport,
    contents,
    read_report,
    report,
    report_digest,
    report_path,
)
from graveyard.proofs.witnesses import witnesses
from graveyard.words import Facts

TOP = Path(__file__).parents[2]
ROWS = read(committed())
SUBJECT = Subject()


def a_clock() -> Any:
    """Time that passes evenly: what is proved must not depend on it."""
    ticks = itertools.count(step=1_000_000)
    return lambda: next(ticks)


@cache
def proved() -> Result:
    """One whole run, shared: it is the longest thing here."""
    return prove(SUBJECT, a_clock())


def facts_in(act: Act) -> Facts:
    return facts_of(act.like, act.facts)


def changed(rule_id: int, index: int, among: tuple[Rule, ...] = RULES, **fields: Any) -> tuple[Rule, ...]:
    """The rules with one clause changed."""
    return tuple(
        msgspec.structs.replace(
            rule,
            clauses=tuple(
                msgspec.structs.replace(clause, **fields) if at == index else clause
                for at, clause in enumerate(rule.clauses)
            ),
        )
        if rule.id == rule_id
        else rule
        for rule in among
    )


def without(rule_id: int, index: int, among: tuple[Rule, ...] = RULES) -> tuple[Rule, ...]:
    """The rules with one clause that always holds in its place."""
    always = Const(0)
    return changed(rule_id, index, among, measured=always, relation="==", limit=always, scale=1, when=(), scope="every")


def another(ident: int, clause: Clause) -> Rule:
    return Rule(ident, "one_more", "risk", "LOW", "a limit", "count", "a reason", (clause,))


def one(name: str, among: tuple[Stated, ...]) -> Stated:
    return next(stated for stated in among if stated.name == name)


def settled(stated: Stated, rules: tuple[Rule, ...] = RULES, **options: Any) -> Outcome:
    subject = SUBJECT if rules is RULES and not options else Subject(rules, **options)
    return settle(stated, subject, a_clock())


# What holds


@pytest.mark.parametrize("name", [stated.name for stated in STATEMENTS])
def test_every_statement_is_proved(name: str) -> None:
    outcome = next(outcome for outcome in proved().properties if outcome.name == name)
    assert outcome.status == "proved", outcome


def test_no_two_statements_have_one_name() -> None:
    names = [stated.name for stated in STATEMENTS]
    assert len(names) == len(set(names)) == len(PROPERTIES) + len(INDUCTION) + len(ENTIRETY)


def test_what_is_said_to_exist_is_shown_and_approved() -> None:
    shown = [outcome.example for outcome in proved().properties if outcome.example]
    assert len(shown) == 3
    for example in shown:
        assert all(judge(facts_in(act)).approved for act in example.acts.values())


def test_the_properties_read_every_fact_that_the_rules_read() -> None:
    """A fact that only a rule reads could be let through by a change that no property notices."""
    read_by_rules = {name for rule in RULES for name in rule.facts_read}
    broken_without = {
        name
        for name in read_by_rules
        if any(
            is_broken(stated, facts_of(like, {name: None}), FACT_BOUNDS)
            for stated in PROPERTIES
            for like in ("opening", "opening sale", "large opening", "irreversible operation")
        )
    }
    assert broken_without == read_by_rules


# What falls when the rules are broken


def clauses_that_guard(stated: Property) -> Iterator[tuple[int, int]]:
    """Those of which a golden decision shows that without them the property would not hold."""
    for rule, index, _ in numbered(RULES):
        for row in ROWS:
            if row.violates == (f"{rule.id}.{index}",) and is_broken(stated, row.facts, FACT_BOUNDS):
                yield rule.id, index
                break


@cache
def unguarded() -> Subject:
    """The rules without the first clause that guards each property."""
    guards = {next(clauses_that_guard(stated)) for stated in PROPERTIES}
    rules = RULES
    for rule_id, index in sorted(guards):
        rules = without(rule_id, index, rules)
    return Subject(rules)


@pytest.mark.parametrize("stated", PROPERTIES, ids=lambda stated: stated.name)
def test_a_property_is_refuted_where_the_clause_that_guards_it_is_gone(stated: Property) -> None:
    subject = unguarded()
    outcome = settle(about_one_act(stated), subject, a_clock())
    assert outcome.status == "refuted"
    assert outcome.counterexample is not None
    facts = facts_in(outcome.counterexample.acts["act"])
    assert subject.judge.verdict(facts).approved
    assert not judge(facts).approved
    assert is_broken(stated, facts, FACT_BOUNDS)
    assert outcome.counterexample.words


@pytest.mark.parametrize(
    ("name", "rules"),
    [
        ("an_opening_stays_inside", changed(5, 3, scale=9)),
        ("an_opening_stays_inside", changed(7, 0, limit=Fact("mandate_day_notional_micros"))),
        ("an_opening_stays_inside", changed(6, 1, relation="<=")),
        ("an_opening_stays_inside", changed(10, 0, limit=Const(6))),
        ("an_opening_elsewhere_stays_inside", without(7, 0)),
        ("together_as_alone", without(5, 3)),
    ],
)
def test_the_induction_falls_with_a_loosened_limit(name: str, rules: tuple[Rule, ...]) -> None:
    outcome = settled(one(name, INDUCTION), rules)
    assert outcome.status == "refuted"
    assert outcome.counterexample is not None
    for act in outcome.counterexample.acts.values():
        assert Judge(rules).verdict(facts_in(act)).approved
    assert "Equity" in outcome.counterexample.words


@pytest.mark.parametrize("stated", PLANTED, ids=lambda stated: f"{stated.name} {stated.says}")
def test_the_induction_is_not_vacuous(stated: Stated) -> None:
    """Facts that forget holds, their risk, or reductions under way: refuted with acts that the true rules approve."""
    outcome = settled(stated)
    assert outcome.status == "refuted"
    assert outcome.counterexample is not None
    assert outcome.counterexample.acts
    for act in outcome.counterexample.acts.values():
        assert judge(facts_in(act)).approved


def test_two_orders_that_forget_their_holds_pass_a_tenth_together() -> None:
    """I5, told as the sequence that it forbids: each within 10 % of equity, both together beyond."""
    stated = next(stated for stated in PLANTED if stated.name == "together_as_alone")
    outcome = settled(stated)
    assert outcome.counterexample is not None
    first, second = (outcome.counterexample.numbers[f"{which} notional"] for which in ("first", "second"))
    assert outcome.counterexample.acts.keys() == {"first", "second"}
    assert first != second != "0" or outcome.counterexample.numbers["fill released"] != "0"


@pytest.mark.parametrize(("rule_id", "index", "scope"), [(20, 1, "order"), (5, 3, "every"), (25, 0, "order")])
def test_a_way_out_is_lost_where_a_limit_on_exposure_binds_reductions(rule_id: int, index: int, scope: Scope) -> None:
    rules = changed(rule_id, index, scope=scope)
    outcome = settled(one("a_way_out", ENTIRETY), rules)
    assert outcome.status == "refuted"
    assert outcome.counterexample is not None
    assert outcome.counterexample.acts["reduction"].violates == (f"{rule_id}.{index}",)


@pytest.mark.parametrize("index", range(len(HOUSE_STANDS)), ids=lambda index: HOUSE_STANDS[index][0])
def test_nothing_is_assumed_for_the_way_out_that_is_not_needed(index: int) -> None:
    outcome = settled(a_way_out_without(index))
    assert outcome.status == "refuted"


def test_a_larger_order_may_not_pass_where_a_smaller_one_does_not() -> None:
    least = another(99, Clause(Fact("order_notional_micros"), ">=", Const(10**6), "micros", "opening", "too small"))
    outcome = settled(one("larger_orders_never_pass_before_smaller_ones", ENTIRETY), (*RULES, least))
    assert outcome.status == "refuted"
    assert outcome.counterexample is not None
    assert outcome.counterexample.acts["smaller"].violates == ("99.0",)
    assert outcome.counterexample.acts["larger"].violates == ()


def test_a_ruleset_of_one_rule_is_not_monotone_for_no_rules_approve_nothing() -> None:
    outcome = settled(one("more_rules_never_approve_more", ENTIRETY), RULES[:1])
    assert outcome.status == "refuted"


def test_rules_that_let_nothing_pass_are_noticed() -> None:
    """Everything else would be proved of them."""
    never = another(99, Clause(Fact("people"), "<", Const(0), "count", "every", "never"))
    for name in ("some_order_opens", "some_order_reduces", "some_operation_passes"):
        assert settled(one(name, ENTIRETY), (*RULES, never)).status == "refuted"


@pytest.mark.parametrize("name", ["stop_on_the_losing_side", "together_as_alone", "a_way_out", "some_order_opens"])
def test_what_the_solver_does_not_decide_is_not_proved(name: str) -> None:
    outcome = settled(one(name, STATEMENTS), RULES, rlimit=1)
    assert outcome.status == "unknown"
    assert outcome.reason
    assert not msgspec.structs.replace(proved(), properties=(outcome,)).ok


# No rule is redundant


def test_every_rule_and_every_clause_has_an_act_that_it_alone_refuses() -> None:
    found = {(witness.rule, witness.clause): facts_of(witness.like, witness.facts) for witness in proved().witnesses}
    for rule, index, _ in numbered(RULES):
        violations = judge(found[rule.id, index]).violations
        assert [(one.rule, one.clause) for one in violations] == [(rule.id, index)]
    for rule in RULES:
        assert {one.rule for one in judge(found[rule.id, None]).violations} == {rule.id}
    assert proved().lacking == ()


def test_the_solver_finds_witnesses_where_no_golden_decision_shows_one() -> None:
    rules = RULES[:2]
    search = witnesses(Subject(rules), ())
    assert {(one.rule, one.clause) for one in search.found} == {
        *((rule.id, None) for rule in rules),
        *((rule.id, index) for rule, index, _ in numbered(rules)),
    }
    for witness in search.found:
        violations = Judge(rules).verdict(facts_of(witness.like, witness.facts)).violations
        assert {one.rule for one in violations} == {witness.rule}


def test_a_redundant_rule_has_no_witness_and_that_is_a_failure() -> None:
    weaker = another(99, Clause(Fact("instruments_after"), "<=", Const(6), "instruments", "opening", "too many"))
    search = witnesses(Subject((*RULES[9:10], weaker)), ())
    assert [(one.rule, one.clause, one.reason) for one in search.lacking] == [
        (99, None, "redundant"),
        (99, 0, "redundant"),
    ]
    assert not msgspec.structs.replace(proved(), lacking=search.lacking).ok


# Mutants


def test_every_looser_mutant_is_noticed() -> None:
    found = proved().mutants
    assert found is not None
    assert found.survivors == ()
    assert found.looser >= 200
    assert found.total == found.looser + found.tighter + found.equivalent
    assert found.looser * 9 // 10 <= min(found.killed_by_property, found.killed_by_golden)
    assert found.equivalent <= found.total // 10, "the way out for equal meanings must stay narrow"


def test_every_part_of_a_clause_is_changed() -> None:
    position = RULES[4].clauses[3]
    kinds = {what.split(" ")[0] for what, _ in mutants(position)}
    assert kinds >= {"clause", "relation", "scale", "scope", "measured", "limit"}
    chase = RULES[2].clauses[2]
    parts = {what for what, _ in mutants(chase)}
    assert {"condition 0 dropped", "condition 1 dropped", "limit 5_000 → 5_001", "scope order"} <= parts


def test_a_loosening_that_nothing_notices_survives_by_name() -> None:
    """A rule that no property speaks of and no golden decision meets."""
    unseen = another(99, Clause(Fact("snapshot_age_ns"), "<=", Const(7 * 10**17), "ns", "opening", "too old"))
    found = census(Subject((*RULES, unseen)), (), only=frozenset({99}))
    assert found.survivors
    assert any(name.startswith("99.0 clause dropped") for name in found.survivors)
    assert not msgspec.structs.replace(proved(), mutants=found).ok


def test_a_mutant_that_the_solver_does_not_decide_survives() -> None:
    found = census(Subject(rlimit=1), (), only=frozenset({10}))
    assert len(found.survivors) == found.total


# Comparing two rulesets


def compared(after: tuple[Rule, ...], rule_id: int | None, **bounds: Any) -> Compared:
    found = compare(RULES, after, FACT_BOUNDS, {**FACT_BOUNDS, **bounds})
    return next(one for one in found if one.rule == rule_id)


@pytest.mark.parametrize(
    ("after", "rule_id", "change"),
    [
        (RULES, 5, "equal"),
        (changed(5, 3, scale=9), 5, "looser"),
        (changed(5, 3, scale=11), 5, "tighter"),
        (changed(5, 3, limit=Fact("day_start_equity_micros")), 5, "incomparable"),
        (changed(10, 0, limit=Const(6), scope="order"), 10, "incomparable"),
        (changed(12, 0, relation=">", limit=Const(0)), 12, "equal"),
        (changed(5, 3, why="another sentence"), 5, "equal"),
        (RULES[:9] + RULES[10:], 10, "looser"),
        (
            (*RULES, another(99, Clause(Fact("people"), ">=", Const(1), "count", "every", "nobody"))),
            99,
            "tighter",
        ),
    ],
)
def test_a_changed_rule_is_looser_tighter_equal_or_neither(after: tuple[Rule, ...], rule_id: int, change: str) -> None:
    one_rule, whole = compared(after, rule_id), compared(after, None)
    assert one_rule.change == whole.change == change
    for found in (one_rule, whole):
        assert (found.let_through is not None) == (change in {"looser", "incomparable"})
        assert (found.kept_out is not None) == (change in {"tighter", "incomparable"})
    if whole.let_through:
        facts = facts_in(whole.let_through)
        assert Judge(after).verdict(facts).approved
        assert not judge(facts).approved
        assert whole.let_through.violates
        assert whole.let_through_words
    if whole.kept_out:
        facts = facts_in(whole.kept_out)
        assert judge(facts).approved
        assert not Judge(after).verdict(facts).approved


def test_a_widened_bound_is_looser() -> None:
    wider = FACT_BOUNDS["halt_level"]._replace(low=-1)
    found = compared(changed(14, 0, relation="<="), 14, halt_level=wider)
    assert found.change == "looser"
    assert found.let_through is not None
    assert found.let_through.facts["halt_level"] == -1


def test_what_cannot_be_decided_is_not_called_equal() -> None:
    found = compare(RULES[4:5], changed(5, 3, scale=9)[4:5], FACT_BOUNDS, FACT_BOUNDS, rlimit=1)
    assert [one.change for one in found] == ["undecided", "undecided"]


# The report


def test_the_committed_report_is_the_one_of_these_rules() -> None:
    """Red after a change of a rule: run `ark rules prove --write`. Another clock and another process, the same bytes."""
    assert report(proved()) == read_report(report_path())


def test_the_report_names_its_rules_and_no_time() -> None:
    said = contents(report(proved()))
    assert said["ruleset"] == ruleset_digest()
    assert said.keys() == {"assumes", "format", "golden", "mutants", "properties", "ruleset", "witnesses"}
    assert {one["status"] for one in said["properties"]} == {"proved"}
    assert b'"ms"' not in report(proved())
    assert len(report_digest(report(proved()))) == 64


@pytest.mark.parametrize("change", [{"mutants": None}, {"properties": ()}, {"lacking": ("rule 5",)}])
def test_an_incomplete_run_has_no_report(change: dict[str, Any]) -> None:
    with pytest.raises(IncompleteProof):
        report(msgspec.structs.replace(proved(), **change))


def test_a_report_of_another_form_is_refused(tmp_path: Path) -> None:
    data = report(proved())
    path = tmp_path / "PROOFS.json"
    wrong = (
        b"", b"{}", b"[]\n", data[:-1], data + b" ", b" " + data, data.replace(b'"format":1', b'"format":2'),
        data.replace(b'"format":1', b'"format": 1'), b"[" * 5_000, b"\xff", data * 60,
    )  # fmt: skip
    for broken in wrong:
        path.write_bytes(broken)
        with pytest.raises(MalformedReport):
            read_report(path)
    with pytest.raises(MalformedReport):
        read_report(tmp_path / "nowhere.json")


def test_a_golden_decision_that_flips_fails_the_run() -> None:
    row = Row("opening", {"people": 7}, ("26.0",))
    assert interpret.mask(RULES, row.facts, FACT_BOUNDS) == 0
    golden = msgspec.structs.replace(proved().golden, flipped=("opening with people 7: was 26.0, is approved",))
    assert not msgspec.structs.replace(proved(), golden=golden).ok


# The command


def run_python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], cwd=TOP, capture_output=True, text=True, check=False)


COMMAND = """
import argparse, sys
import deployment.commands
from deployment.rules.prove import arguments, run
from mutable_core.errors import ArkError
parser = argparse.ArgumentParser()
arguments(parser)
try:
    sys.exit(run(parser.parse_args(sys.argv[1:] or {arguments!r})))
except ArkError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


def test_the_command_prints_one_object_and_answers_by_exit_code() -> None:
    ran = run_python(COMMAND.format(arguments=["--json", "--no-mutants"]))
    assert ran.returncode == 0, ran.stderr
    said = msgspec.json.decode(ran.stdout.splitlines()[-1])
    assert said["ok"] is True
    assert said["ruleset"] == ruleset_digest()
    assert {one["status"] for one in said["properties"]} == {"proved"}
    assert {one["rule"] for one in said["witnesses"]} == {rule.id for rule in RULES}
    assert said["mutants"] is said["report"] is None


def test_without_the_solver_the_command_says_what_to_install() -> None:
    ran = run_python("import sys; sys.modules['z3'] = None" + COMMAND.format(arguments=["--json"]))
    assert ran.returncode == 2
    assert len(ran.stderr.splitlines()) == 1
    assert "z3" in ran.stderr
    assert ran.stdout == ""


def test_a_report_of_part_of_the_proof_cannot_be_asked_for() -> None:
    ran = run_python(COMMAND.format(arguments=["--write", "--no-mutants"]))
    assert ran.returncode == 2
    assert "mutants" in ran.stderr


def test_report_golden_decisions_and_page_are_read_without_the_solver() -> None:
    ran = run_python(
        "import sys; sys.modules['z3'] = None\n"
        "from graveyard.proofs import golden, properties, report\n"
        "from docs.rules_page import rules_page\n"
        "assert golden.read(golden.committed()) and properties.PROPERTIES\n"
        "print(report.report_digest(report.read_report(report.report_path())), len(rules_page()))"
    )
    assert ran.returncode == 0, ran.stderr


def test_the_page_shows_every_rule_clause_fact_and_property() -> None:
    from docs.rules_page import rules_page

    page = rules_page()
    assert "THE REPORT IS OF OTHER RULES" not in page
    for rule, index, clause in numbered(RULES):
        assert f"## {rule.id} `{rule.name}`" in page
        assert f"| {rule.id}.{index} |" in page
        assert clause.why in page
    for name in (*FACT_BOUNDS, *(stated.name for stated in STATEMENTS)):
        assert f"`{name}`" in page
    assert "not shown" not in page
