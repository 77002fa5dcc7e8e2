"""The 26 rules, as data, and the admissible space of the facts that they read.

What is not written here is not enforced. A clause states what must hold; its `why` is what is wrong where it does not.
Every clause reads facts alone, never the proposer's word. A *pure reduction* (`is_opening` is 0) is excused from the
exposure clauses, so that a way out always exists, and from nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from types import MappingProxyType

import msgspec

from graveyard.errors import MalformedRule
from graveyard.expressions import (
    INT64_MAX,
    INT64_MIN,
    Bound,
    Bounds,
    Clause,
    Condition,
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

FORMAT = 2  # of the canonical ruleset; part of its digest

ATOMS, CHARS, COUNT, MICROS, NS = "atoms", "characters", "count", "micros", "ns"
BASIS_POINTS, POSITION, YES_NO = "bp", "position", "0/1"


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of the 26.

    Attributes:
        id: 1–26, the number that users know.
        limit: the limit in words.
        unit: what the limit is counted in.
        why: what the rule protects; a sentence for a person.
        clauses: at least one; all must hold.

    Raises:
        MalformedRule: there is no clause, or a text is empty.
    """

    id: int
    name: str
    category: Category
    severity: Severity
    limit: str
    unit: str
    why: str
    clauses: tuple[Clause, ...]

    def __post_init__(self) -> None:
        if not is_integer(self.id) or not 1 <= self.id <= 99:
            raise MalformedRule(f"rule id `{self.id!r:.40}` is not in 1–99")
        if not (self.name and self.limit and self.unit and self.why and self.clauses):
            raise MalformedRule(f"rule `{self.id}` was without name, limit, unit, why or clause")

    @property
    def facts_read(self) -> tuple[str, ...]:
        """The facts that this rule reads, in the order in which it reads them."""
        return tuple(dict.fromkeys(name for clause in self.clauses for name in facts_of(clause)))


def _at_most(
    name: str, limit: Term | int, unit: str, scope: Scope, why: str, *when: Condition, scale: int = 1
) -> Clause:
    return Clause(Fact(name), "<=", _term(limit), unit, scope, why, scale, when)


def _at_least(
    name: str, limit: Term | int, unit: str, scope: Scope, why: str, *when: Condition, scale: int = 1
) -> Clause:
    return Clause(Fact(name), ">=", _term(limit), unit, scope, why, scale, when)


def _above_zero(name: str, unit: str, scope: Scope, why: str) -> Clause:
    return Clause(Fact(name), ">", Const(0), unit, scope, why)


def _is_one(name: str, scope: Scope, why: str) -> Clause:
    return Clause(Fact(name), "==", Const(1), YES_NO, scope, why)


def _is_no(name: str, scope: Scope, why: str) -> Clause:
    return Clause(Fact(name), "==", Const(0), YES_NO, scope, why)


def _is_zero(name: str, scope: Scope, why: str, *when: Condition) -> Clause:
    return Clause(Fact(name), "==", Const(0), COUNT, scope, why, 1, when)


def _term(limit: Term | int) -> Term:
    return Const(limit) if isinstance(limit, int) else limit


_EQUITY = Fact("equity_micros")
_BUYS = Condition(Fact("is_buy"), "==", Const(1))
_PEOPLE_SIGNED = Condition(Fact("people"), ">=", Const(1))
_SECOND = 1_000_000_000
_MINUTE = 60 * _SECOND
_UNIT = 1_000_000  # micros of one unit of currency
_PRICE_OF_ONE = 100_000_000  # atoms

RULES: tuple[Rule, ...] = (
    Rule(
        id=1,
        name="no_insider_trading",
        category="trading",
        severity="CRITICAL",
        limit="no restricted instrument; public evidence only, none under embargo",
        unit="count",
        why="Whoever trades on what the public cannot know takes from everyone on the other side.",
        clauses=(
            _is_no("instrument_restricted", "order", "the instrument is on the restricted list"),
            _is_zero("evidence_not_public", "order", "cited evidence is not classified public"),
            _is_zero("evidence_embargoed", "order", "cited evidence is under embargo"),
        ),
    ),
    Rule(
        id=2,
        name="no_market_manipulation",
        category="trading",
        severity="CRITICAL",
        limit="cancels ≤ 90 % of the last 100 orders, from 20 on; ≤ 10 % of the bar's and 1 % of the day's volume; no wash, no layering",
        unit="orders, volume",
        why="Orders that pretend, cross ourselves or move the price deceive the market.",
        clauses=(
            _at_most(
                "recent_cancels",
                Mul(9, Fact("recent_orders")),
                COUNT,
                "opening",
                "more than 90 % of the last orders were cancelled",
                Condition(Fact("recent_orders"), ">=", Const(20)),
                scale=10,
            ),
            _is_zero("own_orders_crossed", "order", "it could trade with an own resting order"),
            _is_zero("own_orders_layered", "opening", "an own entry rests on the other side at a better price"),
            _at_most(
                "quantity_atoms",
                Fact("bar_volume_atoms"),
                ATOMS,
                "opening",
                "the order is more than 10 % of the bar's volume",
                scale=10,
            ),
            _at_most(
                "quantity_atoms",
                Fact("day_volume_atoms"),
                ATOMS,
                "opening",
                "the order is more than 1 % of the day's mean volume",
                scale=100,
            ),
        ),
    ),
    Rule(
        id=3,
        name="no_pump_and_dump",
        category="trading",
        severity="HIGH",
        limit="price ≥ 1.00; daily notional ≥ 1 000 000; no purchase after +50 % in 5 sessions without a filed catalyst; no sale within 2 sessions of our own message",
        unit="price, money, %, messages",
        why="Thin, cheap and parabolic instruments are where the crowd is sold to.",
        clauses=(
            _at_least("entry_price_atoms", _PRICE_OF_ONE, ATOMS, "opening", "the price is below 1.00", _BUYS),
            _at_least(
                "day_traded_micros",
                1_000_000 * _UNIT,
                MICROS,
                "opening",
                "less than 1 000 000 a day is traded in the instrument",
                _BUYS,
            ),
            _at_most(
                "rise_bp",
                5_000,
                BASIS_POINTS,
                "opening",
                "the price rose by more than 50 % within 5 sessions, and no filed catalyst is known",
                _BUYS,
                Condition(Fact("filed_catalysts"), "==", Const(0)),
            ),
            _is_zero(
                "own_broadcasts",
                "order",
                "we published on the instrument within 2 sessions",
                Condition(Fact("is_buy"), "==", Const(0)),
            ),
        ),
    ),
    Rule(
        id=4,
        name="no_front_running",
        category="trading",
        severity="HIGH",
        limit="5 min behind another profile's signal in the same instrument and direction",
        unit="count",
        why="What one profile is about to do must not be used by another first.",
        clauses=(
            _is_zero(
                "others_signals",
                "order",
                "another profile's signal in this instrument and direction is 5 min old or less",
            ),
        ),
    ),
    Rule(
        id=5,
        name="max_position_size",
        category="risk",
        severity="HIGH",
        limit="10 % of equity in one instrument, holds counted",
        unit="% of equity",
        why="One instrument that goes to zero must not take the account with it.",
        clauses=(
            _at_most("is_opening", Fact("is_order"), YES_NO, "every", "it would open a position and is no order"),
            _above_zero("quantity_atoms", ATOMS, "order", "the order is for nothing, or for less"),
            _above_zero("equity_micros", MICROS, "opening", "the account has no equity to risk"),
            _at_most(
                "exposure_after_micros",
                _EQUITY,
                MICROS,
                "opening",
                "the instrument would hold more than 10 % of equity",
                scale=10,
            ),
            Clause(
                Fact("entry_price_atoms"),
                ">",
                Const(0),
                ATOMS,
                "order",
                "the order has no price above zero",
                when=(Condition(Fact("is_opening"), "==", Const(0)),),  # rule 8 asks it of what opens
            ),
        ),
    ),
    Rule(
        id=6,
        name="max_daily_loss",
        category="risk",
        severity="CRITICAL",
        limit="below 5 % of the equity at the start of the day, what open holds and this order would lose to their stops counted",
        unit="% of the day's first equity",
        why="A bad day must end before it becomes a bad year.",
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
        unit="× equity",
        why="Borrowed size turns an ordinary move into ruin.",
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
        unit="% of the entry",
        why="The loss is decided before the entry, or it is decided by the market.",
        clauses=(
            _is_one("has_stop", "opening", "there is no protective stop"),
            _above_zero("stop_distance_atoms", ATOMS, "opening", "the stop is not on the losing side of the entry"),
            _is_one("stop_on_tick", "opening", "the stop is not a price that the venue takes"),
            _at_most(
                "stop_distance_atoms",
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
        unit="× risk",
        why="A gain smaller than its risk needs to be right too often.",
        clauses=(
            _is_one("has_target", "opening", "there is no profit target"),
            _at_least(
                "target_distance_atoms",
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
        unit="instruments",
        why="More positions than can be watched are not watched.",
        clauses=(_at_most("instruments_after", 5, COUNT, "opening", "it would open a sixth instrument"),),
    ),
    Rule(
        id=11,
        name="require_hrm_approval",
        category="governance",
        severity="HIGH",
        limit="single-use, ≤ 30 s; the signature is checked by the authority and again at the venue door",
        unit="ns, count",
        why="No order leaves that was not vetted, exactly as it was vetted.",
        clauses=(
            _is_zero("approvals_before", "every", "it was approved before, and an approval is used once"),
            _above_zero("approval_term_ns", NS, "every", "the approval would stand for no time at all"),
            _at_most("approval_term_ns", 30 * _SECOND, NS, "every", "the approval would stand for more than 30 s"),
        ),
    ),
    Rule(
        id=12,
        name="audit_all_actions",
        category="governance",
        severity="HIGH",
        limit="the proposal stands in the log before it is judged; the venue door waits until the verdict is on disk",
        unit="log position",
        why="What was not written down cannot be answered for.",
        clauses=(_at_least("log_position", 1, POSITION, "every", "the proposal does not stand in the log"),),
    ),
    Rule(
        id=13,
        name="user_override_allowed",
        category="governance",
        severity="HIGH",
        limit="no standing veto; nothing that takes a halt, a cancel, a reduction or a veto from operators",
        unit="count",
        why="A person can always stop the machine.",
        clauses=(
            _is_zero("vetoes_standing", "order", "an operator's veto stands"),
            _is_no("disables_override", "every", "it would take from operators a way to stop the machine"),
        ),
    ),
    Rule(
        id=14,
        name="emergency_halt_enabled",
        category="governance",
        severity="CRITICAL",
        limit="no halt in force; the kill path proved alive within 60 s",
        unit="halt level, ns",
        why="A brake that was not tried is not a brake.",
        clauses=(
            _is_zero("halt_level", "opening", "a halt is in force"),
            _at_most("halt_level", 1, COUNT, "order", "a full halt is in force"),
            _at_most("kill_path_age_ns", 60 * _SECOND, NS, "opening", "the kill path was not proved alive within 60 s"),
        ),
    ),
    Rule(
        id=15,
        name="protect_user_data",
        category="privacy",
        severity="HIGH",
        limit="no personal or secret field leaves the house",
        unit="fields",
        why="What people entrusted to us is theirs.",
        clauses=(_is_zero("outgoing_private", "every", "a personal or secret field would leave the house"),),
    ),
    Rule(
        id=16,
        name="require_consent",
        category="privacy",
        severity="HIGH",
        limit="a recorded, unexpired consent for the purpose",
        unit="persons",
        why="Data about a person is used as that person agreed.",
        clauses=(_is_zero("consents_missing", "every", "a person's consent is missing or has expired"),),
    ),
    Rule(
        id=17,
        name="anonymize_logs",
        category="privacy",
        severity="MEDIUM",
        limit="every record passes the redaction check",
        unit="findings",
        why="A log is read by more people than it was written for.",
        clauses=(_is_zero("text_unredacted", "every", "what would be logged names a person, an account or a key"),),
    ),
    Rule(
        id=18,
        name="encrypt_credentials",
        category="privacy",
        severity="HIGH",
        limit="no credential in clear; the key store readable by its owner alone",
        unit="findings, files",
        why="A key in clear text is everybody's key.",
        clauses=(
            _is_zero("credentials_in_clear", "every", "a credential stands in it in clear"),
            _is_zero("keystore_exposed", "every", "another user could read the key store"),
        ),
    ),
    Rule(
        id=19,
        name="immutable_graveyard",
        category="integrity",
        severity="CRITICAL",
        limit="the digest of the rules is the sealed one, signed by 2 of 3, inspected within 60 s",
        unit="signatures, faults, ns",
        why="Rules that can be changed quietly are not rules.",
        clauses=(
            _is_one("ruleset_matches", "every", "the rules in force are not the sealed ones"),
            _at_least("seal_signatures", 2, COUNT, "every", "fewer than 2 known keys signed the rules"),
            _is_zero("seal_faults", "every", "the seal is broken"),
            _at_most("seal_age_ns", 60 * _SECOND, NS, "every", "the seal was not inspected within 60 s"),
        ),
    ),
    Rule(
        id=20,
        name="watchdog_monitoring",
        category="integrity",
        severity="HIGH",
        limit="a lease of at most 5 s, not older than its term",
        unit="ns",
        why="Risk is opened only while somebody watches.",
        clauses=(
            _at_least("lease_age_ns", 0, NS, "opening", "the lease comes from the future"),
            _at_most("lease_age_ns", Fact("lease_term_ns"), NS, "opening", "the watchdog's lease has run out"),
            _above_zero("lease_term_ns", NS, "opening", "the lease lasts no time at all"),
            _at_most("lease_term_ns", 5 * _SECOND, NS, "opening", "the lease is longer than 5 s"),
        ),
    ),
    Rule(
        id=21,
        name="validate_data_sources",
        category="integrity",
        severity="LOW",
        limit="every observation attested, or confirmed by a second source within 50 bp; age ≤ 2 s live, 1.5 bars on bars",
        unit="ns, bp, count",
        why="A decision is as good as the data under it.",
        clauses=(
            _is_zero("evidence_unattested", "order", "cited data is neither attested nor confirmed by a second source"),
            _is_zero("evidence_malformed", "order", "cited data is crossed, off tick or out of order"),
            _at_least("evidence_age_ns", 0, NS, "order", "cited data comes from the future"),
            _at_most("evidence_age_ns", Fact("evidence_age_max_ns"), NS, "order", "cited data is stale"),
            _at_most("market_age_ns", Fact("evidence_age_max_ns"), NS, "order", "the instrument's last price is stale"),
            _at_most("sources_apart_bp", 50, BASIS_POINTS, "order", "two sources disagree by more than 50 bp"),
        ),
    ),
    Rule(
        id=22,
        name="prevent_infinite_loops",
        category="integrity",
        severity="MEDIUM",
        limit="60 actions/min, burst 10; causal depth ≤ 32; 3 proposals per strategy, instrument and minute",
        unit="count",
        why="A loop of agents spends money faster than a person can look.",
        clauses=(
            _at_most("actions_last_minute", 60, COUNT, "every", "more than 60 actions within a minute"),
            _at_least("burst_tokens", 1, COUNT, "every", "the burst allowance is used up"),
            _at_most("burst_tokens", 10, COUNT, "every", "the burst allowance is larger than 10"),
            _at_most("causal_depth", 32, COUNT, "every", "the chain of causes is longer than 32"),
            _at_most(
                "repeats_last_minute",
                3,
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
        limit="the owner's mandate: instruments and strategies; for what opens, sides, sessions and notional per day",
        unit="money, 0/1",
        why="The owner of the money sets the frame, and the frame is kept.",
        clauses=(
            _is_one("instrument_in_mandate", "order", "the instrument is outside the owner's mandate"),
            _is_one("strategy_in_mandate", "order", "the strategy is outside the owner's mandate"),
            _is_one("side_in_mandate", "opening", "the side is outside the owner's mandate"),
            _is_one("session_in_mandate", "opening", "the time is outside the owner's sessions"),
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
        unit="count, characters",
        why="A decision that cannot be explained cannot be corrected.",
        clauses=(
            _at_least("evidence_count", 1, COUNT, "order", "no evidence is cited"),
            _is_zero("evidence_unresolved", "order", "cited evidence does not stand in the log"),
            _is_zero("evidence_mismatched", "order", "a cited number differs from its source"),
            _at_least("reason_chars", 10, CHARS, "every", "the reason is shorter than 10 characters"),
            _at_most("reason_chars", 2_000, CHARS, "every", "the reason is longer than 2 000 characters"),
        ),
    ),
    Rule(
        id=25,
        name="reversible_actions",
        category="autonomy",
        severity="MEDIUM",
        limit="a way out on a venue that is up; a snapshot ≤ 5 min old before what cannot be undone",
        unit="0/1, ns",
        why="Whoever cannot go back must not go on.",
        clauses=(
            _is_one("venue_is_up", "opening", "the venue, and with it the way out, does not answer"),
            _at_most(
                "snapshot_age_ns",
                5 * _MINUTE,
                NS,
                "every",
                "it cannot be undone, and the last snapshot is more than 5 min old",
                Condition(Fact("is_irreversible"), "==", Const(1)),
            ),
        ),
    ),
    Rule(
        id=26,
        name="human_in_loop_critical",
        category="autonomy",
        severity="HIGH",
        limit="1 person above 5 % of equity or 1.5 × leverage; 2 for operations; signed ≤ 5 min ago, price within 25 bp",
        unit="persons, ns, bp",
        why="The largest decisions are made by people.",
        clauses=(
            _at_least(
                "people",
                1,
                COUNT,
                "opening",
                "an order of more than 5 % of equity needs a person",
                Condition(Fact("order_notional_micros"), ">", _EQUITY, scale=20),
            ),
            _at_least(
                "people",
                1,
                COUNT,
                "opening",
                "leverage above 1.5 needs a person",
                Condition(Fact("gross_after_micros"), ">", Mul(3, _EQUITY), scale=2),
            ),
            _at_least(
                "people",
                2,
                COUNT,
                "every",
                "a critical operation needs two different people",
                Condition(Fact("is_order"), "==", Const(0)),
            ),
            _at_most("people_age_ns", 5 * _MINUTE, NS, "every", "a signature is more than 5 min old", _PEOPLE_SIGNED),
            _at_most(
                "price_drift_bp",
                25,
                BASIS_POINTS,
                "opening",
                "the price moved by more than 25 bp since it was proposed",
                _PEOPLE_SIGNED,
            ),
        ),
    ),
)

# 10¹⁷ micros are 100 billion units of currency, 10¹⁸ atoms are 10 billion units: together with the factors of the
# rules everything stays within signed 64 bits (`validated` demands it), so a reader over arrays is exact.
_MONEY = 10**17
_ATOMS = 10**18
_ORDER_ATOMS = 9 * 10**16  # of one order: 900 million units
_TIME = 10**18  # 31 years
_MANY = 10**9
_MONTH_AND_HALF = 47 * 86_400 * _SECOND  # 1.5 bars of a month: nothing slower is traded

_money = Bound(-_MONEY, _MONEY, MICROS)
_size = Bound(0, _MONEY, MICROS)
_signed = Bound(-_ATOMS, _ATOMS, ATOMS)
_age = Bound(0, _TIME, NS)
_count = Bound(0, _MANY, COUNT)
_flag = Bound(0, 1, YES_NO)
_bp = Bound(0, _MANY, BASIS_POINTS)

FACT_BOUNDS: Bounds = MappingProxyType(
    {
        "is_order": _flag,
        "is_opening": _flag,
        "is_buy": _flag,
        "quantity_atoms": Bound(0, _ORDER_ATOMS, ATOMS),
        "entry_price_atoms": _signed,
        "order_notional_micros": _size,
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
        "instrument_restricted": _flag,
        "evidence_not_public": _count,
        "evidence_embargoed": _count,
        "recent_orders": _count,
        "recent_cancels": _count,
        "own_orders_crossed": _count,
        "own_orders_layered": _count,
        "bar_volume_atoms": Bound(0, 9 * _ATOMS, ATOMS),
        "day_volume_atoms": Bound(0, 9 * _ATOMS, ATOMS),
        "day_traded_micros": Bound(0, 9 * _ATOMS, MICROS),
        "rise_bp": _bp,
        "filed_catalysts": _count,
        "own_broadcasts": _count,
        "others_signals": _count,
        "approvals_before": _count,
        "approval_term_ns": _age,
        "log_position": Bound(0, _TIME, POSITION),
        "vetoes_standing": _count,
        "disables_override": _flag,
        "halt_level": Bound(0, 2, COUNT),
        "kill_path_age_ns": _age,
        "outgoing_private": _count,
        "consents_missing": _count,
        "text_unredacted": _count,
        "credentials_in_clear": _count,
        "keystore_exposed": _count,
        "ruleset_matches": _flag,
        "seal_signatures": _count,
        "seal_faults": _count,
        "seal_age_ns": _age,
        "lease_age_ns": Bound(-_TIME, _TIME, NS),
        "lease_term_ns": _age,
        "evidence_count": _count,
        "evidence_unresolved": _count,
        "evidence_mismatched": _count,
        "evidence_unattested": _count,
        "evidence_malformed": _count,
        "evidence_age_ns": Bound(-_TIME, _TIME, NS),
        "evidence_age_max_ns": Bound(0, _MONTH_AND_HALF, NS),
        "market_age_ns": _age,
        "sources_apart_bp": _bp,
        "reason_chars": Bound(0, _MANY, CHARS),
        "actions_last_minute": _count,
        "burst_tokens": _count,
        "causal_depth": _count,
        "repeats_last_minute": _count,
        "instrument_in_mandate": _flag,
        "strategy_in_mandate": _flag,
        "side_in_mandate": _flag,
        "session_in_mandate": _flag,
        "day_notional_after_micros": _size,
        "mandate_day_notional_micros": _size,
        "venue_is_up": _flag,
        "is_irreversible": _flag,
        "snapshot_age_ns": _age,
        "people": _count,
        "people_age_ns": _age,
        "price_drift_bp": _bp,
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
        comparisons: tuple[Clause | Condition, ...] = (clause, *clause.when)
        for compared in comparisons:
            for term in (Mul(compared.scale, compared.measured), compared.limit):
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
