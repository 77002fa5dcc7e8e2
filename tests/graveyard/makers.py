"""Facts as HRM folds them: good ones, and changes to them."""

from __future__ import annotations

from typing import Any

from graveyard.words import Facts

MILLION = 1_000_000
ATOM = 100_000_000
SECOND_NS = 1_000_000_000

GOOD: dict[str, int] = {
    "is_opening": 1,
    "quantity_atoms": 10 * ATOM,
    "entry_price_atoms": 100 * ATOM,
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
    "log_position": 7,
    "lease_age_ns": 1 * SECOND_NS,
    "lease_term_ns": 4 * SECOND_NS,
    "evidence_count": 3,
    "evidence_unresolved": 0,
    "evidence_mismatched": 0,
    "evidence_unattested": 0,
    "evidence_age_ns": 1 * SECOND_NS,
    "evidence_age_max_ns": 129_600 * SECOND_NS,
    "reason_chars": 80,
    "actions_last_minute": 2,
    "burst_tokens": 8,
    "causal_depth": 3,
    "repeats_last_minute": 2,
    "instrument_in_mandate": 1,
    "strategy_in_mandate": 1,
    "side_in_mandate": 1,
    "day_notional_after_micros": 5_000 * MILLION,
    "mandate_day_notional_micros": 1_000_000 * MILLION,
}


def good_facts(**changes: Any) -> Facts:
    """An opening order that every rule lets pass, with these facts changed; whatever they are."""
    unknown = changes.keys() - GOOD.keys()
    assert not unknown, unknown
    return Facts(**(GOOD | changes))


def reduction_facts(**changes: Any) -> Facts:
    """A pure reduction that every rule lets pass."""
    return good_facts(**({"is_opening": 0} | changes))
