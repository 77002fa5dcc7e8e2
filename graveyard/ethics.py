"""The 26 rules, as data, and the admissible space of the facts that they read.

What is not written here is not enforced: a rule without clauses says `enforced=False` and is never heard. A clause
states what must hold; its `why` is what is wrong where it does not. Every clause reads facts alone, never the
proposer's word. A *pure reduction* (`is_opening` is 0) is excused from the exposure clauses, so that a way out
always exists, and from nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from types import MappingProxyType
from typing import Literal

import msgspec

from graveyard.errors import MalformedRule
from graveyard.expressions import (
    INT64_MAX,
    INT64_MIN,
    Bound,
    Bounds,
    Clause,
    Const,
    Fact,
    Mul,
    Scope,
    Term,
    facts_of,
    is_integer,
    span,
)
from graveyard.words import Category, Severity

FORMAT = 1  # of the canonical ruleset; part of its digest

ATOMS, COUNT, CHARS, MICROS, NS, POSITION, YES_NO = "atoms", "count", "characters", "micros", "ns", "position", "0/1"


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of the 26.

    Attributes:
        id: 1–26, the number that users know.
        limit: the limit in words, with its unit; `—` where the rule has none.
        why: what the rule protects; a sentence for a person.
        enforced: False has no clause and is never heard; `partial` names in `limit` what is still missing.
        clauses: all must hold.

    Raises:
        MalformedRule: `enforced` and `clauses` contradict each other, or a text is empty.
    """

    id: int
    name: str
    category: Category
    severity: Severity
    limit: str
    why: str
    enforced: bool | Literal["partial"]
    clauses: tuple[Clause, ...] = ()

    def __post_init__(self) -> None:
        if not is_integer(self.id) or not 1 <= self.id <= 99:
            raise MalformedRule(f"rule id `{self.id!r:.40}` is not in 1–99")
        if (self.enforced is False) != (not self.clauses):
            raise MalformedRule(f"rule `{self.id}` says enforced `{self.enforced}` with `{len(self.clauses)}` clauses")
        if not (self.name and self.limit and self.why):
            raise MalformedRule(f"rule `{self.id}` was without name, limit or why")

    @property
    def facts_read(self) -> tuple[str, ...]:
        """The facts that this rule reads, in the order in which it reads them."""
        return tuple(dict.fromkeys(name for clause in self.clauses for name in facts_of(clause)))

    @property
    def scope(self) -> Scope:
        """`opening` where no clause is heard for a pure reduction, else `every`."""
        return "opening" if self.clauses and all(c.scope == "opening" for c in self.clauses) else "every"


def _is_one(name: str, scope: Scope, why: str) -> Clause:
    return Clause(Fact(name), "==", Const(1), YES_NO, scope, why)


def _is_zero(name: str, why: str) -> Clause:
    return Clause(Fact(name), "==", Const(0), COUNT, "every", why)


def _at_most(name: str, limit: Term, unit: str, scope: Scope, why: str) -> Clause:
    return Clause(Fact(name), "<=", limit, unit, scope, why)


def _at_least(name: str, limit: int, unit: str, scope: Scope, why: str) -> Clause:
    return Clause(Fact(name), ">=", Const(limit), unit, scope, why)


def _above_zero(name: str, unit: str, scope: Scope, why: str) -> Clause:
    return Clause(Fact(name), ">", Const(0), unit, scope, why)


_EQUITY = Fact("equity_micros")

RULES: tuple[Rule, ...] = (
    Rule(
        id=1,
        name="no_insider_trading",
        category="trading",
        severity="CRITICAL",
        limit="no restricted instrument; public evidence only, none under embargo",
        why="Whoever trades on what the public cannot know takes from everyone on the other side.",
        enforced=False,
    ),
    Rule(
        id=2,
        name="no_market_manipulation",
        category="trading",
        severity="CRITICAL",
        limit="cancels ≤ 90 % of the last 100 orders; ≤ 10 % of the bar's and 1 % of the day's volume; no wash",
        why="Orders that pretend, cross ourselves or move the price deceive the market.",
        enforced=False,
    ),
    Rule(
        id=3,
        name="no_pump_and_dump",
        category="trading",
        severity="HIGH",
        limit="price ≥ 1.00; daily notional ≥ 1 000 000; no chase after +50 % in 5 sessions",
        why="Thin, cheap and parabolic instruments are where the crowd is sold to.",
        enforced=False,
    ),
    Rule(
        id=4,
        name="no_front_running",
        category="trading",
        severity="HIGH",
        limit="5 min behind another profile's signal in the same instrument and direction",
        why="What one profile is about to do must not be used by another first.",
        enforced=False,
    ),
    Rule(
        id=5,
        name="max_position_size",
        category="risk",
        severity="HIGH",
        limit="10 % of equity in one instrument, holds counted",
        why="One instrument that goes to zero must not take the account with it.",
        enforced=True,
        clauses=(
            _above_zero("quantity_atoms", ATOMS, "every", "the order is for nothing, or for less"),
            _above_zero("equity_micros", MICROS, "opening", "the account has no equity to risk"),
            Clause(
                Fact("exposure_after_micros"),
                "<=",
                _EQUITY,
                MICROS,
                "opening",
                "the instrument would hold more than 10 % of equity",
                scale=10,
            ),
        ),
    ),
    Rule(
        id=6,
        name="max_daily_loss",
        category="risk",
        severity="CRITICAL",
        limit="below 5 % of the equity at the start of the day, what open holds and this order would lose to their stops counted",
        why="A bad day must end before it becomes a bad year.",
        enforced=True,
        clauses=(
            _above_zero("day_start_equity_micros", MICROS, "opening", "the day began without equity"),
            Clause(
                Fact("day_loss_after_micros"),
                "<",
                Fact("day_start_equity_micros"),
                MICROS,
                "opening",
                "the day's loss, with this order at its stop, would reach 5 % of the day's first equity",
                scale=20,
            ),
        ),
    ),
    Rule(
        id=7,
        name="max_leverage",
        category="risk",
        severity="MEDIUM",
        limit="gross exposure ≤ 2.0 × equity, holds counted",
        why="Borrowed size turns an ordinary move into ruin.",
        enforced=True,
        clauses=(
            _at_most(
                "gross_after_micros",
                Mul(2, _EQUITY),
                MICROS,
                "opening",
                "gross exposure would be more than twice the equity",
            ),
        ),
    ),
    Rule(
        id=8,
        name="require_stop_loss",
        category="risk",
        severity="MEDIUM",
        limit="a stop on the losing side, on tick, at most 25 % from the entry",
        why="The loss is decided before the entry, or it is decided by the market.",
        enforced=True,
        clauses=(
            _is_one("has_stop", "opening", "there is no protective stop"),
            _above_zero("stop_distance_atoms", ATOMS, "opening", "the stop is not on the losing side of the entry"),
            _is_one("stop_on_tick", "opening", "the stop is not a price that the venue takes"),
            Clause(
                Fact("stop_distance_atoms"),
                "<=",
                Fact("entry_price_atoms"),
                ATOMS,
                "opening",
                "the stop is more than 25 % away from the entry",
                scale=4,
            ),
        ),
    ),
    Rule(
        id=9,
        name="min_risk_reward",
        category="risk",
        severity="MEDIUM",
        limit="reward ≥ 1.5 × risk",
        why="A gain smaller than its risk needs to be right too often.",
        enforced=True,
        clauses=(
            _is_one("has_target", "opening", "there is no profit target"),
            Clause(
                Fact("target_distance_atoms"),
                ">=",
                Mul(3, Fact("stop_distance_atoms")),
                ATOMS,
                "opening",
                "the target is nearer than 1.5 times the distance to the stop",
                scale=2,
            ),
        ),
    ),
    Rule(
        id=10,
        name="max_concurrent_trades",
        category="risk",
        severity="LOW",
        limit="5 instruments, open or held",
        why="More positions than can be watched are not watched.",
        enforced=True,
        clauses=(_at_most("instruments_after", Const(5), COUNT, "opening", "it would open a sixth instrument"),),
    ),
    Rule(
        id=11,
        name="require_hrm_approval",
        category="governance",
        severity="HIGH",
        limit="single-use, ≤ 30 s; checked at the venue door, the rule itself is not heard yet",
        why="No order leaves that was not vetted, exactly as it was vetted.",
        enforced=False,
    ),
    Rule(
        id=12,
        name="audit_all_actions",
        category="governance",
        severity="HIGH",
        limit="the proposal stands in the log before it is judged; the venue door waits until the verdict is on disk",
        why="What was not written down cannot be answered for.",
        enforced=True,
        clauses=(_at_least("log_position", 1, POSITION, "every", "the proposal does not stand in the log"),),
    ),
    Rule(
        id=13,
        name="user_override_allowed",
        category="governance",
        severity="HIGH",
        limit="no standing veto; nothing that delays a halt, a cancel or a reduction",
        why="A person can always stop the machine.",
        enforced=False,
    ),
    Rule(
        id=14,
        name="emergency_halt_enabled",
        category="governance",
        severity="CRITICAL",
        limit="no halt in force; the kill path proved alive within 60 s",
        why="A brake that was not tried is not a brake.",
        enforced=False,
    ),
    Rule(
        id=15,
        name="protect_user_data",
        category="privacy",
        severity="HIGH",
        limit="no personal or secret field leaves the house",
        why="What people entrusted to us is theirs.",
        enforced=False,
    ),
    Rule(
        id=16,
        name="require_consent",
        category="privacy",
        severity="HIGH",
        limit="a recorded, unexpired consent for the purpose",
        why="Data about a person is used as that person agreed.",
        enforced=False,
    ),
    Rule(
        id=17,
        name="anonymize_logs",
        category="privacy",
        severity="MEDIUM",
        limit="every record and export passes the redaction check",
        why="A log is read by more people than it was written for.",
        enforced=False,
    ),
    Rule(
        id=18,
        name="encrypt_credentials",
        category="privacy",
        severity="HIGH",
        limit="no credential in clear; the key store readable by its owner alone",
        why="A key in clear text is everybody's key.",
        enforced=False,
    ),
    Rule(
        id=19,
        name="immutable_graveyard",
        category="integrity",
        severity="CRITICAL",
        limit="the digest of the rules is the sealed one, signed by 2 of 3",
        why="Rules that can be changed quietly are not rules.",
        enforced=False,
    ),
    Rule(
        id=20,
        name="watchdog_monitoring",
        category="integrity",
        severity="HIGH",
        limit="a lease of at most 5 s, not older than its term",
        why="Risk is opened only while somebody watches.",
        enforced=True,
        clauses=(
            _at_least("lease_age_ns", 0, NS, "opening", "the lease comes from the future"),
            _at_most("lease_age_ns", Fact("lease_term_ns"), NS, "opening", "the watchdog's lease has run out"),
            _above_zero("lease_term_ns", NS, "opening", "the lease lasts no time at all"),
            _at_most("lease_term_ns", Const(5_000_000_000), NS, "opening", "the lease is longer than 5 s"),
        ),
    ),
    Rule(
        id=21,
        name="validate_data_sources",
        category="integrity",
        severity="LOW",
        limit="every observation attested by its source; age ≤ 2 s live, 1.5 bars on bars",
        why="A decision is as good as the data under it.",
        enforced=True,
        clauses=(
            _is_zero("evidence_unattested", "cited data does not come from an attested source"),
            _at_least("evidence_age_ns", 0, NS, "every", "cited data comes from the future"),
            _at_most("evidence_age_ns", Fact("evidence_age_max_ns"), NS, "every", "cited data is stale"),
        ),
    ),
    Rule(
        id=22,
        name="prevent_infinite_loops",
        category="integrity",
        severity="MEDIUM",
        limit="60 actions/min, burst 10; causal depth ≤ 32; 3 proposals per strategy, instrument and minute",
        why="A loop of agents spends money faster than a person can look.",
        enforced=True,
        clauses=(
            _at_most("actions_last_minute", Const(60), COUNT, "every", "more than 60 actions within a minute"),
            _at_least("burst_tokens", 1, COUNT, "every", "the burst allowance is used up"),
            _at_most("burst_tokens", Const(10), COUNT, "every", "the burst allowance is larger than 10"),
            _at_most("causal_depth", Const(32), COUNT, "every", "the chain of causes is longer than 32"),
            _at_most(
                "repeats_last_minute",
                Const(3),
                COUNT,
                "every",
                "the strategy proposes this instrument for the fourth time within a minute",
            ),
        ),
    ),
    Rule(
        id=23,
        name="preserve_user_autonomy",
        category="autonomy",
        severity="HIGH",
        limit="the owner's mandate: instruments, strategies, sides, notional per day; sessions are not heard yet",
        why="The owner of the money sets the frame, and the frame is kept.",
        enforced="partial",
        clauses=(
            _is_one("instrument_in_mandate", "every", "the instrument is outside the owner's mandate"),
            _is_one("strategy_in_mandate", "every", "the strategy is outside the owner's mandate"),
            _is_one("side_in_mandate", "every", "the side is outside the owner's mandate"),
            _at_most(
                "day_notional_after_micros",
                Fact("mandate_day_notional_micros"),
                MICROS,
                "opening",
                "the day's notional would be more than the owner's mandate",
            ),
        ),
    ),
    Rule(
        id=24,
        name="transparent_reasoning",
        category="autonomy",
        severity="MEDIUM",
        limit="≥ 1 cited observation, all in the log and as cited; a reason of 10–2 000 characters",
        why="A decision that cannot be explained cannot be corrected.",
        enforced=True,
        clauses=(
            _at_least("evidence_count", 1, COUNT, "every", "no evidence is cited"),
            _is_zero("evidence_unresolved", "cited evidence does not stand in the log"),
            _is_zero("evidence_mismatched", "a cited number differs from its source"),
            _at_least("reason_chars", 10, CHARS, "every", "the reason is shorter than 10 characters"),
            _at_most("reason_chars", Const(2_000), CHARS, "every", "the reason is longer than 2 000 characters"),
        ),
    ),
    Rule(
        id=25,
        name="reversible_actions",
        category="autonomy",
        severity="MEDIUM",
        limit="a way out on a venue that is up; a snapshot ≤ 5 min old before what cannot be undone",
        why="Whoever cannot go back must not go on.",
        enforced=False,
    ),
    Rule(
        id=26,
        name="human_in_loop_critical",
        category="autonomy",
        severity="HIGH",
        limit="1 person above 5 % of equity or 1.5 × leverage; 2 for mode, rule and credential changes",
        why="The largest decisions are made by people.",
        enforced=False,
    ),
)

# 10¹⁷ micros are 100 billion units of currency, 10¹⁸ atoms are 10 billion units: together with the factors of the
# rules everything stays within signed 64 bits (`validated` demands it), so a reader over arrays is exact.
_MONEY = 10**17
_ATOMS = 10**18
_TIME = 10**18  # 31 years
_MANY = 10**9
_MONTH_AND_HALF = 47 * 86_400 * 10**9  # 1.5 bars of a month: nothing slower is traded

_money = Bound(-_MONEY, _MONEY, MICROS)
_size = Bound(0, _MONEY, MICROS)
_signed = Bound(-_ATOMS, _ATOMS, ATOMS)
_count = Bound(0, _MANY, COUNT)
_flag = Bound(0, 1, YES_NO)

FACT_BOUNDS: Bounds = MappingProxyType(
    {
        "is_opening": _flag,
        "quantity_atoms": Bound(0, _ATOMS, ATOMS),
        "entry_price_atoms": _signed,
        "equity_micros": _money,
        "day_start_equity_micros": _money,
        "exposure_after_micros": _size,
        "gross_after_micros": _size,
        "day_loss_after_micros": _money,
        "instruments_after": _count,
        "has_stop": _flag,
        "stop_distance_atoms": _signed,
        "stop_on_tick": _flag,
        "has_target": _flag,
        "target_distance_atoms": _signed,
        "log_position": Bound(0, _TIME, POSITION),
        "lease_age_ns": Bound(-_TIME, _TIME, NS),
        "lease_term_ns": Bound(0, _TIME, NS),
        "evidence_count": _count,
        "evidence_unresolved": _count,
        "evidence_mismatched": _count,
        "evidence_unattested": _count,
        "evidence_age_ns": Bound(-_TIME, _TIME, NS),
        "evidence_age_max_ns": Bound(0, _MONTH_AND_HALF, NS),
        "reason_chars": Bound(0, _MANY, CHARS),
        "actions_last_minute": _count,
        "burst_tokens": _count,
        "causal_depth": _count,
        "repeats_last_minute": _count,
        "instrument_in_mandate": _flag,
        "strategy_in_mandate": _flag,
        "side_in_mandate": _flag,
        "day_notional_after_micros": _size,
        "mandate_day_notional_micros": _size,
    }
)


def numbered(rules: tuple[Rule, ...]) -> Iterator[tuple[Rule, int, Clause]]:
    """Every clause with its rule and its index there. The order is the order of the bits in a mask of violations."""
    return ((rule, index, clause) for rule in rules for index, clause in enumerate(rule.clauses))


def validated(rules: tuple[Rule, ...], bounds: Bounds) -> tuple[Rule, ...]:
    """The same rules, checked as a whole.

    Raises:
        MalformedRule: ids are not ascending (doubled ones included), a fact has no bounds, or a value of a clause
            could leave signed 64 bits inside the admissible space.
    """
    ids = [rule.id for rule in rules]
    if ids != sorted(set(ids)):
        raise MalformedRule(f"rule ids `{ids}` are not ascending")
    for rule, index, clause in numbered(rules):
        without_bounds = [name for name in facts_of(clause) if name not in bounds]
        if without_bounds:
            raise MalformedRule(f"facts `{without_bounds}` of rule `{rule.id}` have no bounds")
        for term in (Mul(clause.scale, clause.measured), clause.limit):
            low, high = span(term, bounds)
            if low < INT64_MIN or high > INT64_MAX:
                raise MalformedRule(f"clause `{index}` of rule `{rule.id}` could leave 64 bits")
    return rules


_encoder = msgspec.json.Encoder(order="sorted")


def canonical_ruleset(rules: tuple[Rule, ...] = RULES, bounds: Bounds = FACT_BOUNDS) -> bytes:
    """Rules and bounds in their one canonical form: JSON, sorted keys, no spaces, integers only."""
    return _encoder.encode({"bounds": dict(bounds), "format": FORMAT, "rules": rules})


def ruleset_digest(rules: tuple[Rule, ...] = RULES, bounds: Bounds = FACT_BOUNDS) -> str:
    """SHA-256 of the canonical ruleset, 64 hex digits."""
    return sha256(canonical_ruleset(rules, bounds)).hexdigest()
