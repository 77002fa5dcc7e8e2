"""Facts as HRM folds them: good ones, and changes to them."""

from __future__ import annotations

from typing import Any

from graveyard.words import Facts

MILLION = 1_000_000
ATOM = 100_000_000
SECOND_NS = 1_000_000_000

GOOD: dict[str, int] = {
    "is_order": 1,
    "is_opening": 1,
    "is_buy": 1,
    "quantity_atoms": 10 * ATOM,
    "entry_price_atoms": 100 * ATOM,
    "order_notional_micros": 1_000 * MILLION,
    "equity_micros": 100_000 * MILLION,
    "day_start_equity_micros": 100_000 * MILLION,
    "exposure_after_micros": 1_000 * MILLION,
    "gross_after_micros": 3_000 * MILLION,
    "day_loss_after_micros": 20 * MILLION,
    "instruments_after": 2,
    "has_stop": 1,
    "stop_distance_atoms": 2 * ATOM,
    "stop_on_tick": 1,
    "has_target": 1,
    "target_distance_atoms": 4 * ATOM,
    "instrument_restricted": 0,
    "evidence_not_public": 0,
    "evidence_embargoed": 0,
    "recent_orders": 50,
    "recent_cancels": 5,
    "own_orders_crossed": 0,
    "own_orders_layered": 0,
    "bar_volume_atoms": 1_000 * ATOM,
    "day_volume_atoms": 100_000 * ATOM,
    "day_traded_micros": 10_000_000 * MILLION,
    "rise_bp": 120,
    "filed_catalysts": 0,
    "own_broadcasts": 0,
    "others_signals": 0,
    "approvals_before": 0,
    "approval_term_ns": 30 * SECOND_NS,
    "log_position": 7,
    "vetoes_standing": 0,
    "disables_override": 0,
    "halt_level": 0,
    "kill_path_age_ns": 1 * SECOND_NS,
    "outgoing_private": 0,
    "consents_missing": 0,
    "text_unredacted": 0,
    "credentials_in_clear": 0,
    "keystore_exposed": 0,
    "ruleset_matches": 1,
    "seal_signatures": 2,
    "seal_faults": 0,
    "seal_age_ns": 1 * SECOND_NS,
    "lease_age_ns": 1 * SECOND_NS,
    "lease_term_ns": 4 * SECOND_NS,
    "evidence_count": 3,
    "evidence_unresolved": 0,
    "evidence_mismatched": 0,
    "evidence_unattested": 0,
    "evidence_malformed": 0,
    "evidence_age_ns": 1 * SECOND_NS,
    "evidence_age_max_ns": 129_600 * SECOND_NS,
    "market_age_ns": 1 * SECOND_NS,
    "sources_apart_bp": 3,
    "reason_chars": 80,
    "actions_last_minute": 2,
    "burst_tokens": 8,
    "causal_depth": 3,
    "repeats_last_minute": 2,
    "instrument_in_mandate": 1,
    "strategy_in_mandate": 1,
    "side_in_mandate": 1,
    "session_in_mandate": 1,
    "day_notional_after_micros": 5_000 * MILLION,
    "mandate_day_notional_micros": 1_000_000 * MILLION,
    "venue_is_up": 1,
    "is_irreversible": 0,
    "snapshot_age_ns": 10**18,
    "people": 0,
    "people_age_ns": 0,
    "price_drift_bp": 0,
}


def good_facts(**changes: Any) -> Facts:
    """An opening order that every rule lets pass, with these facts changed; whatever they are."""
    unknown = changes.keys() - GOOD.keys()
    assert not unknown, unknown
    return Facts(**(GOOD | changes))


def reduction_facts(**changes: Any) -> Facts:
    """A pure reduction that every rule lets pass."""
    return good_facts(**({"is_opening": 0} | changes))


def operation_facts(**changes: Any) -> Facts:
    """A critical operation that every rule lets pass: two people have signed it."""
    order_only = {"is_order": 0, "is_opening": 0, "is_buy": 0, "quantity_atoms": 0, "order_notional_micros": 0}
    return good_facts(**(order_only | {"people": 2, "people_age_ns": 60 * SECOND_NS} | changes))
