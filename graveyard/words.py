"""The words that the rules are written in: Proposal, Facts, Verdict, Approval. The seal covers them.

Nothing here is believed: a `Proposal` is what somebody wants, `Facts` are what the log shows (folded by HRM,
and again by whoever checks HRM), a `Verdict` is what follows from facts and rules alone.
"""

from __future__ import annotations

from decimal import Decimal
from hashlib import sha256
from typing import Literal

import msgspec

Side = Literal["buy", "sell"]
Severity = Literal["LOW", "MEDIUM", "HIGH", "CRITICAL"]
Category = Literal["trading", "risk", "governance", "privacy", "integrity", "autonomy"]


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One cited number: `field` of the observation `observation_id` was `value`."""

    observation_id: str
    field: str
    value: Decimal


class Proposal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One order that a strategy wants, with the protection it comes with and the reason for it.

    Attributes:
        proposal_id: 32 hex digits; the decision is known by it for ever.
        quantity: units of the instrument, > 0; the side carries the sign.
        limit_price: the worst price accepted, currency per unit.
        stop_price: protective stop on the losing side of the entry; None where there is none.
        target_price: profit target on the winning side; None where there is none.
        reason: 10–2 000 characters that a person can read.
        evidence: the numbers the decision rests on, each with the observation it stands in.
    """

    proposal_id: str
    account: str
    strategy: str
    instrument: str
    side: Side
    quantity: Decimal
    limit_price: Decimal
    stop_price: Decimal | None
    target_price: Decimal | None
    reason: str
    evidence: tuple[Evidence, ...]


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """What the log shows about one proposal. Integers only; None is a missing fact, and a missing fact refuses.

    Units are the suffix: `_micros` 10⁻⁶ of the account's currency, `_atoms` 10⁻⁸ of a price or quantity, `_ns`
    nanoseconds. Names without a suffix are counts, or 0/1 for no/yes. `FACT_BOUNDS` in `ethics.py` is the
    admissible space; a fact outside it refuses like a missing one.
    """

    # What kind of act it is: computed from positions, never taken from the proposer.
    is_opening: int | None  # 0 only for a pure reduction: strictly less absolute exposure, nothing opened
    quantity_atoms: int | None
    entry_price_atoms: int | None  # the limit price
    # Money, holds counted, this order included where the name says `after`.
    equity_micros: int | None
    day_start_equity_micros: int | None
    exposure_after_micros: int | None  # in this instrument, at the worst-case price
    gross_after_micros: int | None  # all instruments
    day_loss_after_micros: int | None  # > 0 is a loss: realised + unrealised + open holds and this order to their stops
    instruments_after: int | None  # instruments with a position or a hold
    # Protection, signed by side: > 0 is on the right side of the entry.
    has_stop: int | None
    stop_distance_atoms: int | None
    stop_on_tick: int | None
    has_target: int | None
    target_distance_atoms: int | None
    # Audit.
    log_position: int | None  # of the proposal; 1-based
    # Watchdog.
    lease_age_ns: int | None
    lease_term_ns: int | None
    # Evidence.
    evidence_count: int | None
    evidence_unresolved: int | None  # cited ids that are not in the log
    evidence_mismatched: int | None  # cited numbers that differ from their source row
    evidence_unattested: int | None  # resolved, but not from an attested source
    evidence_age_ns: int | None  # of the oldest cited observation
    evidence_age_max_ns: int | None  # 2 s live, 1.5 bars on bars
    reason_chars: int | None
    # Loops.
    actions_last_minute: int | None  # this one included
    burst_tokens: int | None  # left before this action; bucket of 10, one per second
    causal_depth: int | None
    repeats_last_minute: int | None  # proposals of this strategy on this instrument, this one included
    # Mandate: of the account that the log is about; a proposal for another account is outside it.
    instrument_in_mandate: int | None
    strategy_in_mandate: int | None
    side_in_mandate: int | None
    day_notional_after_micros: int | None
    mandate_day_notional_micros: int | None


class Violation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One clause of one rule that does not hold.

    Attributes:
        rule: 1–26.
        clause: 0-based index into the rule's clauses.
        measured, limit: in `unit`; None where the fact is missing or absurd.
        why: one sentence for a person.
    """

    rule: int
    clause: int
    severity: Severity
    measured: int | None
    limit: int | None
    unit: str
    why: str


class Verdict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """What the rules say about one proposal. Approved exactly where `violations` is empty and rules were heard.

    Attributes:
        heard: how many rules were heard; a verdict over none is a refusal.
        ruleset: SHA-256 of the canonical rules, 64 hex digits.
    """

    approved: bool
    heard: int
    ruleset: str
    violations: tuple[Violation, ...]


class Approval(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """What the venue door wants to see: made by the authority alone, bound to one proposal, used once.

    Attributes:
        digest: SHA-256 of the canonical proposal.
        position: log position of the verdict; the door waits until it is durable.
        expires_ns: log time after which it is void.
        mac: keyed digest over all other fields, by the authority's key.
    """

    proposal_id: str
    account: str
    digest: str
    position: int
    opening: bool
    hold_micros: int
    expires_ns: int
    ruleset: str
    mac: str


_canonical = msgspec.json.Encoder(decimal_format="string", order=None)


def digest(proposal: Proposal) -> str:
    """SHA-256 of the proposal's canonical form, 64 hex digits."""
    return sha256(_canonical.encode(proposal)).hexdigest()
