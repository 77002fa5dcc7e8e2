"""The page of the 26 rules: what each checks as formulas, the facts it reads, an act that it alone refuses, the proofs.

Witnesses and proofs are taken from the committed report, so that writing the page needs no solver.
"""

from __future__ import annotations

from typing import Any

from docs.markdown import HEAD, table
from graveyard.ethics import FACT_BOUNDS, RULES, Rule, numbered, ruleset_digest
from graveyard.expressions import Clause, formula
from graveyard.proofs.examples import EXAMPLES
from graveyard.proofs.properties import PROPERTIES
from graveyard.proofs.report import contents, read_report, report_digest, report_path

_SCOPES = {"opening": "orders that open", "order": "all orders", "every": "every act"}


def rules_page() -> str:
    data = read_report(report_path())
    said = contents(data)
    witnesses = {(one["rule"], one["clause"]): one for one in said["witnesses"]}
    return "\n".join(
        (
            f"{HEAD}# The 26 rules\n",
            _opening_words(said["ruleset"]),
            table(("#", "rule", "category", "severity", "limit"), (_line(rule) for rule in RULES)),
            *(_section(rule, witnesses) for rule in RULES),
            _proofs(said, report_digest(data)),
            _facts(),
            _examples(),
        )
    )


def _opening_words(proved: str) -> str:
    stands = "the report below is about these rules" if proved == ruleset_digest() else "THE REPORT IS OF OTHER RULES"
    return (
        "All rules are always heard. A clause states what must hold; one that is heard over a missing fact, or over one "
        f"outside its bounds, is violated. Ruleset `{ruleset_digest()}`; {stands}.\n"
    )


def _line(rule: Rule) -> tuple[object, ...]:
    return rule.id, f"[`{rule.name}`](#{rule.id}-{rule.name})", rule.category, rule.severity, rule.limit


def _section(rule: Rule, witnesses: dict[tuple[int, int | None], dict[str, Any]]) -> str:
    clauses = [
        (
            f"{rule.id}.{index}",
            f"`{formula(clause)}`",
            clause.unit,
            _heard(clause),
            clause.why,
            _witness(witnesses.get((rule.id, index))),
        )
        for index, clause in enumerate(rule.clauses)
    ]
    facts = ", ".join(f"[`{name}`](#facts)" for name in rule.facts_read)
    return (
        f"## {rule.id} `{rule.name}`\n\n{rule.why}\n\n"
        f"{rule.category} · {rule.severity} · limit: {rule.limit} · unit: {rule.unit}\n\n"
        f"{table(('clause', 'must hold', 'unit', 'heard for', 'what is wrong where it does not', 'refused by it alone'), clauses)}\n"
        f"Reads {facts}.\n"
    )


def _heard(clause: Clause) -> str:
    return _SCOPES[clause.scope]


def _witness(witness: dict[str, Any] | None) -> str:
    if witness is None:
        return "not shown"
    facts = ", ".join(f"`{name}` {_value(value)}" for name, value in witness["facts"].items())
    return f"{witness['like']} with {facts}" if facts else str(witness["like"])


def _value(value: int | None) -> str:
    return "missing" if value is None else f"{value:_}"


def _proofs(said: dict[str, Any], digest: str) -> str:
    restated = {stated.name for stated in PROPERTIES if stated.restates}
    rows = [
        (f"`{one['name']}`", one["says"], "restates the rule" if one["name"] in restated else "", one["status"])
        for one in said["properties"]
    ]
    mutants = said["mutants"]
    assumed = "\n".join(f"* {sentence}" for sentence in said["assumes"])
    return (
        "## What is proved of them\n\n"
        "`ark rules prove` shows it for all acts, and replays what it shows. `graveyard/proofs/induction.py` says what the "
        f"model of an account leaves out. Report `{digest}`.\n\n"
        f"{table(('property', 'says', '', 'status'), rows)}\n"
        f"That a way out exists assumes, and assumes only:\n\n{assumed}\n\n"
        f"{said['golden']['rows']} golden decisions (`graveyard/proofs/golden.json`). Of {mutants['total']} changed rules "
        f"{mutants['looser']} let more through: {mutants['killed_by_property']} of them break a property, "
        f"{mutants['killed_by_golden']} flip a golden decision, {len(mutants['survivors'])} go unnoticed. "
        f"{mutants['tighter']} only refuse more, {mutants['equivalent']} mean the same.\n"
    )


def _facts() -> str:
    readers = {
        name: ", ".join(dict.fromkeys(str(rule.id) for rule, _, _ in numbered(RULES) if name in rule.facts_read))
        for name in FACT_BOUNDS
    }
    rows = [
        (f"`{name}`", f"{bound.low:_}", f"{bound.high:_}", bound.unit, readers[name])
        for name, bound in FACT_BOUNDS.items()
    ]
    return (
        "## Facts\n\nFolded from the log, in integers. A missing one, or one outside these bounds, refuses.\n\n"
        f"{table(('fact', 'from', 'to', 'unit', 'read by'), rows)}"
    )


def _examples() -> str:
    """The acts that witnesses are written down as differences from; each as differences from the first."""
    first, *rest = EXAMPLES
    plain = ", ".join(f"`{name}` {_value(value)}" for name, value in EXAMPLES[first].items())
    rows = [
        (
            name,
            ", ".join(
                f"`{fact}` {_value(value)}" for fact, value in EXAMPLES[name].items() if value != EXAMPLES[first][fact]
            ),
        )
        for name in rest
    ]
    return (
        f"## Examples\n\nThe acts that the witnesses above differ from; the rules let each pass. *{first}*: {plain}.\n\n"
        f"{table(('example', f'differs from *{first}* in'), rows)}"
    )
