"""A few whole acts that the rules let pass: what golden rows and witnesses are written down as differences from.

Also here: an act in words, for a person who has to understand a counterexample.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

from graveyard.expressions import Bounds
from graveyard.words import Facts

Changes: TypeAlias = Mapping[str, int | None]

_UNIT = 1_000_000  # micros of one unit of currency
_ATOMS = 100_000_000  # of one unit of price or quantity
_SECOND = 1_000_000_000

_OPENING: dict[str, int] = {
    "is_order": 1,
    "is_opening": 1,
    "is_buy": 1,
    "quantity_atoms": 20 * _ATOMS,
    "entry_price_atoms": 50 * _ATOMS,
    "order_notional_micros": 1_000 * _UNIT,
    "equity_micros": 100_000 * _UNIT,
    "day_start_equity_micros": 100_000 * _UNIT,
    "exposure_after_micros": 4_000 * _UNIT,
    "gross_after_micros": 30_000 * _UNIT,
    "day_loss_after_micros": 700 * _UNIT,
    "instruments_after": 3,
    "has_stop": 1,
    "stop_distance_atoms": 2 * _ATOMS,
    "stop_on_tick": 1,
    "has_target": 1,
    "target_distance_atoms": 5 * _ATOMS,
    "instrument_restricted": 0,
    "evidence_not_public": 0,
    "evidence_embargoed": 0,
    "recent_orders": 40,
    "recent_cancels": 6,
    "own_orders_crossed": 0,
    "own_orders_layered": 0,
    "bar_volume_atoms": 9_000 * _ATOMS,
    "day_volume_atoms": 700_000 * _ATOMS,
    "day_traded_micros": 35_000_000 * _UNIT,
    "rise_bp": 240,
    "filed_catalysts": 0,
    "own_broadcasts": 0,
    "others_signals": 0,
    "approvals_before": 0,
    "approval_term_ns": 30 * _SECOND,
    "log_position": 12,
    "vetoes_standing": 0,
    "disables_override": 0,
    "halt_level": 0,
    "kill_path_age_ns": 3 * _SECOND,
    "outgoing_private": 0,
    "consents_missing": 0,
    "text_unredacted": 0,
    "credentials_in_clear": 0,
    "keystore_exposed": 0,
    "ruleset_matches": 1,
    "seal_signatures": 3,
    "seal_faults": 0,
    "seal_age_ns": 9 * _SECOND,
    "lease_age_ns": 1 * _SECOND,
    "lease_term_ns": 5 * _SECOND,
    "evidence_count": 2,
    "evidence_unresolved": 0,
    "evidence_mismatched": 0,
    "evidence_unattested": 0,
    "evidence_malformed": 0,
    "evidence_age_ns": _SECOND // 2,
    "evidence_age_max_ns": 2 * _SECOND,
    "market_age_ns": _SECOND // 4,
    "sources_apart_bp": 4,
    "reason_chars": 60,
    "actions_last_minute": 3,
    "burst_tokens": 7,
    "causal_depth": 4,
    "repeats_last_minute": 1,
    "instrument_in_mandate": 1,
    "strategy_in_mandate": 1,
    "side_in_mandate": 1,
    "session_in_mandate": 1,
    "day_notional_after_micros": 8_000 * _UNIT,
    "mandate_day_notional_micros": 500_000 * _UNIT,
    "venue_is_up": 1,
    "is_irreversible": 0,
    "snapshot_age_ns": 10**18,
    "people": 0,
    "people_age_ns": 0,
    "price_drift_bp": 0,
}
_NO_ORDER = {
    "is_order": 0,
    "is_opening": 0,
    "is_buy": 0,
    "quantity_atoms": 0,
    "entry_price_atoms": 0,
    "order_notional_micros": 0,
    "evidence_count": 0,
    "people": 2,
    "people_age_ns": 40 * _SECOND,
}
_SIGNED = {"people": 1, "people_age_ns": 40 * _SECOND, "price_drift_bp": 5}
_SMALLEST = {
    "quantity_atoms": 1,
    "entry_price_atoms": 1 * _ATOMS,
    "stop_distance_atoms": _ATOMS // 10,
    "target_distance_atoms": _ATOMS // 5,
    "order_notional_micros": 0,
    "exposure_after_micros": 0,
    "gross_after_micros": 0,
    "day_loss_after_micros": -50 * _UNIT,
    "lease_age_ns": 0,
}

EXAMPLES: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "opening": MappingProxyType(_OPENING),
        "opening sale": MappingProxyType(_OPENING | {"is_buy": 0}),
        "large opening": MappingProxyType(
            _OPENING | _SIGNED | {"order_notional_micros": 6_000 * _UNIT, "exposure_after_micros": 9_000 * _UNIT}
        ),
        "leveraged opening": MappingProxyType(_OPENING | _SIGNED | {"gross_after_micros": 160_000 * _UNIT}),
        "smallest opening": MappingProxyType(_OPENING | _SMALLEST),
        "reduction": MappingProxyType(_OPENING | {"is_opening": 0, "is_buy": 0}),
        "reduction by a purchase": MappingProxyType(_OPENING | {"is_opening": 0}),
        "reduction signed by a person": MappingProxyType(_OPENING | _SIGNED | {"is_opening": 0, "is_buy": 0}),
        "operation": MappingProxyType(_OPENING | _NO_ORDER),
        "irreversible operation": MappingProxyType(
            _OPENING | _NO_ORDER | {"is_irreversible": 1, "snapshot_age_ns": 60 * _SECOND}
        ),
    }
)
"""Name → facts; the rules let each pass."""


def facts_of(example: str, changes: Changes) -> Facts:
    """The example with these facts changed; None takes a fact away.

    Raises:
        KeyError: no example of that name.
        TypeError: no fact of that name.
    """
    return Facts(**{**EXAMPLES[example], **changes})


def nearest_example(facts: Facts) -> tuple[str, dict[str, int | None]]:
    """The example that differs in the fewest facts, and those facts as they are."""
    found = {name: difference(name, facts) for name in EXAMPLES}
    name = min(found, key=lambda one: len(found[one]))
    return name, found[name]


def difference(example: str, facts: Facts) -> dict[str, int | None]:
    """The facts that are not as in the example."""
    return {name: getattr(facts, name) for name, value in EXAMPLES[example].items() if getattr(facts, name) != value}


_SCALES: dict[str, tuple[int, str]] = {"micros": (_UNIT, ""), "atoms": (_ATOMS, ""), "ns": (_SECOND, " s")}


def in_words(facts: Facts, bounds: Bounds) -> str:
    """What is asked for, on what account, and what besides is not as in an ordinary act; one paragraph."""
    name, changes = nearest_example(facts)
    account = (
        f"Equity {_said('equity_micros', facts, bounds)}; the day began with "
        f"{_said('day_start_equity_micros', facts, bounds)} and would have lost "
        f"{_said('day_loss_after_micros', facts, bounds)}; exposure in the instrument would be "
        f"{_said('exposure_after_micros', facts, bounds)}, gross {_said('gross_after_micros', facts, bounds)}."
    )
    rest = "; ".join(f"`{fact}` is {_said(fact, facts, bounds)}" for fact in changes)
    return f"{_act(facts, bounds)} {account} Otherwise an ordinary {name}{f', but {rest}' if rest else ''}."


def _act(facts: Facts, bounds: Bounds) -> str:
    if facts.is_order == 0:
        return f"A critical operation, signed by {_said('people', facts, bounds)} people."
    what = {1: "opens or adds to a position", 0: "only reduces a position"}.get(facts.is_opening or 0, "")
    if facts.is_opening is None:
        what = "may open a position or not: it is not known"
    side = {1: "buy", 0: "sell", None: "buy or sell"}.get(facts.is_buy, "buy or sell")
    return (
        f"An order to {side} {_said('quantity_atoms', facts, bounds)} at "
        f"{_said('entry_price_atoms', facts, bounds)}; it {what}."
    )


def _said(name: str, facts: Facts, bounds: Bounds) -> str:
    """A value as a person reads it: `10 000.50`, `2 s`; exactly, never rounded."""
    value = getattr(facts, name)
    if type(value) is not int:
        return "missing" if value is None else f"`{value!r:.40}`"
    scale, unit = _SCALES.get(bounds[name].unit, (1, "")) if name in bounds else (1, "")
    whole, rest = divmod(abs(value), scale)
    decimals = f"{rest:0{len(str(scale)) - 1}d}".rstrip("0") if rest else ""
    return f"{'-' if value < 0 else ''}{whole:_}{'.' + decimals if decimals else ''}{unit}".replace("_", " ")
