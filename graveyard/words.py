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
Operation = Literal[
    "resume",  # lift a halt
    "mode_change",
    "rule_change",
    "credential_change",
    "withdrawal",
    "override_change",  # take from operators a way to halt, cancel, reduce or veto: never approved
]
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
    """What the log shows about one act. Integers only; None is a missing fact, and a missing fact refuses.

    An act is an order, or an operation (a change of mode, rules or credentials, a withdrawal); facts that only orders
    have are neutral for an operation. Units are the suffix: `_micros` 10⁻⁶ of the account's currency, `_atoms` 10⁻⁸ of
    a price or quantity, `_ns` nanoseconds, `_bp` hundredths of a percent. Names without a suffix are counts, or 0/1
    for no/yes. `FACT_BOUNDS` in `ethics.py` is the admissible space; a fact outside it refuses like a missing one.
    """

    # What kind of act it is: computed from positions, never taken from the proposer.
    is_order: int | None  # 0 only for an operation
    is_opening: int | None  # 0 only for an operation or a pure reduction: strictly less absolute exposure
    is_buy: int | None
    quantity_atoms: int | None
    entry_price_atoms: int | None  # the limit price
    # Money, holds counted, this order included where the name says `after`.
    order_notional_micros: int | None  # at the worst-case price
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
    # Market abuse.
    instrument_restricted: int | None
    evidence_not_public: int | None  # cited observations not classified public
    evidence_embargoed: int | None  # cited observations under embargo now
    recent_orders: int | None  # of the last 100 orders of the account: how many there were
    recent_cancels: int | None  # and how many of them we cancelled
    own_orders_crossed: int | None  # own resting orders of the other side that this one could trade with
    own_orders_layered: int | None  # own resting entries of the other side at a price better than the market's
    bar_volume_atoms: int | None  # of the instrument's newest bar
    day_volume_atoms: int | None  # mean of the last 20 days; a day that was not seen counts as none
    day_traded_micros: int | None  # the same in money
    rise_bp: (
        int | None
    )  # of the price against the close five sessions ago, or the oldest price known since; 0 where it fell
    filed_catalysts: int | None  # filings on the instrument within five sessions
    own_broadcasts: int | None  # messages that we published on the instrument within two sessions
    others_signals: int | None  # other profiles' signals in this instrument and direction within five minutes
    # Approval and audit.
    approvals_before: int | None  # of this very proposal
    approval_term_ns: int | None  # how long the approval that is asked for will stand
    log_position: int | None  # of the proposal; 1-based
    # People's will.
    vetoes_standing: int | None  # operators' vetoes that cover account, strategy or instrument
    disables_override: int | None  # the act would take from operators a way to halt, cancel, reduce or veto
    halt_level: int | None  # in the widest scope that covers the act: 0 normal, 1 reduce-only, 2 halted
    kill_path_age_ns: int | None  # since the kill path was last proved alive
    # Privacy.
    outgoing_private: int | None  # fields that would leave the house and are classified personal or secret
    consents_missing: int | None  # persons whose data the act handles without a recorded, unexpired consent
    text_unredacted: int | None  # findings of the redaction check in what would be written to the log
    credentials_in_clear: int | None  # credentials found in the act's own text
    keystore_exposed: int | None  # key files that another user could read
    # The seal, as last inspected.
    ruleset_matches: int | None  # the digest in force is the sealed and pinned one
    seal_signatures: int | None  # valid, by different known keys
    seal_faults: int | None  # anything else that is wrong with it: expired, older than one seen, report missing …
    seal_age_ns: int | None  # since it was last inspected
    # Watchdog.
    lease_age_ns: int | None
    lease_term_ns: int | None
    # Evidence.
    evidence_count: int | None
    evidence_unresolved: int | None  # cited ids that are not in the log
    evidence_mismatched: int | None  # cited numbers that differ from their source row
    evidence_unattested: int | None  # resolved, but neither attested nor confirmed by a second source
    evidence_malformed: int | None  # crossed, off tick, or older than what was known before it
    evidence_age_ns: int | None  # when the proposal was made, of the cited observation furthest past its limit
    evidence_age_max_ns: int | None  # 2 s live, 1.5 bars on bars
    market_age_ns: int | None  # of the instrument's newest observation, now
    sources_apart_bp: int | None  # the largest distance between two sources' last prices; 0 with one source
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
    session_in_mandate: int | None
    day_notional_after_micros: int | None
    mandate_day_notional_micros: int | None
    # A way back.
    venue_is_up: int | None  # it answered when it was last asked
    is_irreversible: int | None
    snapshot_age_ns: int | None  # of the newest snapshot; the upper bound where there is none
    # People who signed exactly this act.
    people: int | None  # different persons, the proposer not among them
    people_age_ns: int | None  # of the oldest of their signatures; 0 where there is none
    price_drift_bp: int | None  # of the market since the act was proposed, either way


class Violation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One clause of one rule that does not hold.

    Attributes:
        rule: 1–26.
        clause: 0-based index into the rule's clauses.
        measured, limit: in `unit`; None where the fact is missing or absurd.
        margin: how far `measured` may still move, in `unit`: < 0 here; None where the fact is missing or absurd.
        why: one sentence for a person.
    """

    rule: int
    clause: int
    severity: Severity
    measured: int | None
    limit: int | None
    margin: int | None
    unit: str
    why: str


class Nearest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """The nearest act that would pass, everything else as it is: one lot more, or one nanosecond earlier, is refused.

    Attributes:
        quantity_atoms: the largest quantity that passes, on the lot; None where the quantity may stay as it is.
        wait_ns: how long to wait; 0 where there is nothing to wait for.
    """

    quantity_atoms: int | None
    wait_ns: int


class Verdict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """What the rules say about one act. Approved exactly where `violations` is empty and rules were heard.

    Attributes:
        heard: how many rules were heard; a verdict over none is a refusal.
        ruleset: SHA-256 of the canonical rules, 64 hex digits.
        nearest: the nearest act that would pass; None where nothing needs to change, or no size and no waiting helps.
    """

    approved: bool
    heard: int
    ruleset: str
    violations: tuple[Violation, ...]
    nearest: Nearest | None = None


class Approval(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """What the venue door wants to see: made by the authority alone, bound to one proposal, used once.

    Attributes:
        digest: SHA-256 of the canonical proposal.
        position: log position of the verdict; the door waits until it is durable.
        expires_ns: log time after which it is void.
        signature: over all other fields (and the other approvals of the same batch), by the authority's key, in hex.
        batch: digests of all approvals under that signature, 64 hex digits each; empty in embedded mode.
    """

    proposal_id: str
    account: str
    digest: str
    position: int
    opening: bool
    hold_micros: int
    expires_ns: int
    ruleset: str
    signature: str
    batch: tuple[str, ...] = ()


_canonical = msgspec.json.Encoder(decimal_format="string", order=None)


def digest(proposal: Proposal) -> str:
    """SHA-256 of the proposal's canonical form, 64 hex digits."""
    return sha256(_canonical.encode(proposal)).hexdigest()
