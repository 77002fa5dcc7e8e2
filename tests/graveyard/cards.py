"""The rule book as a table: for each clause, facts that stand exactly on its boundary, and facts one unit beyond."""

from __future__ import annotations

from typing import NamedTuple

from tests.graveyard.makers import ATOM, MILLION, SECOND_NS


class Card(NamedTuple):
    """One clause.

    Attributes:
        on: approved, and not one unit further.
        beyond: refused by this clause alone.
        excused: whether a pure reduction passes with `beyond`.
        no_order: whether an operation, which is no order, passes with `beyond`.
    """

    rule: int
    clause: int
    says: str
    on: dict[str, int]
    beyond: dict[str, int]
    excused: bool
    no_order: bool


def _opening(rule: int, clause: int, says: str, on: dict[str, int], beyond: dict[str, int]) -> Card:
    """A clause for opening orders alone."""
    return Card(rule, clause, says, on, beyond, excused=True, no_order=True)


def _order(rule: int, clause: int, says: str, on: dict[str, int], beyond: dict[str, int]) -> Card:
    """A clause for orders alone, reductions included."""
    return Card(rule, clause, says, on, beyond, excused=False, no_order=True)


def _act(rule: int, clause: int, says: str, on: dict[str, int], beyond: dict[str, int]) -> Card:
    """A clause for every act."""
    return Card(rule, clause, says, on, beyond, excused=False, no_order=False)


def _money(units: int, micros: int = 0) -> int:
    return units * MILLION + micros


_BROKE = {"exposure_after_micros": 0, "gross_after_micros": 0, "order_notional_micros": 0}
_CHEAP = {"stop_distance_atoms": ATOM // 10, "target_distance_atoms": ATOM // 5}
_FAR = {"entry_price_atoms": 100 * ATOM + 3, "target_distance_atoms": 40 * ATOM}
_NO_ORDER = {"is_order": 0, "is_opening": 0}
_FIVE_MINUTES = 300 * SECOND_NS
_REDUCES = {"is_opening": 0}
_A_SALE = {"is_buy": 0}
_DAY = {"day_start_equity_micros": _money(100_000)}
_TWO_SECONDS = {"evidence_age_max_ns": 2 * SECOND_NS}
_LARGE = {"order_notional_micros": _money(5_000, 1), "equity_micros": _money(100_000, 19)}
_LEVERED = {"gross_after_micros": _money(150_000, 2), "equity_micros": _money(100_000, 1)}

CARDS = (
    _order(1, 0, "a restricted instrument", {"instrument_restricted": 0}, {"instrument_restricted": 1}),
    _order(1, 1, "evidence that is not public", {"evidence_not_public": 0}, {"evidence_not_public": 1}),
    _order(1, 2, "evidence under embargo", {"evidence_embargoed": 0}, {"evidence_embargoed": 1}),
    _opening(
        2,
        0,
        "more than 90 % cancelled",
        {"recent_orders": 10_001, "recent_cancels": 9_000},
        {"recent_orders": 10_001, "recent_cancels": 9_001},
    ),
    _order(2, 1, "a trade with oneself", {"own_orders_crossed": 0}, {"own_orders_crossed": 1}),
    _opening(2, 2, "a layer on the other side", {"own_orders_layered": 0}, {"own_orders_layered": 1}),
    _opening(
        2,
        3,
        "10 % of the bar's volume",
        {"quantity_atoms": 100, "bar_volume_atoms": 1_009},
        {"quantity_atoms": 101, "bar_volume_atoms": 1_009},
    ),
    _opening(
        2,
        4,
        "1 % of the day's volume",
        {"quantity_atoms": 100, "day_volume_atoms": 10_099},
        {"quantity_atoms": 101, "day_volume_atoms": 10_099},
    ),
    _opening(
        3, 0, "a price below 1.00", {"entry_price_atoms": ATOM} | _CHEAP, {"entry_price_atoms": ATOM - 1} | _CHEAP
    ),
    _opening(
        3,
        1,
        "less than a million a day",
        {"day_traded_micros": _money(1_000_000)},
        {"day_traded_micros": _money(1_000_000, -1)},
    ),
    _opening(3, 2, "a rise by more than half", {"rise_bp": 5_000}, {"rise_bp": 5_001}),
    _order(3, 3, "a sale after our own message", {"own_broadcasts": 0} | _A_SALE, {"own_broadcasts": 1} | _A_SALE),
    _order(4, 0, "another profile's signal", {"others_signals": 0}, {"others_signals": 1}),
    Card(
        5,
        0,
        "an opening that is no order",
        {"is_order": 1, "people": 2},
        {"is_order": 0, "people": 2},
        excused=True,
        no_order=True,
    ),
    _order(5, 1, "an order for nothing", {"quantity_atoms": 1}, {"quantity_atoms": 0}),
    _opening(5, 2, "no equity", {"equity_micros": 1} | _BROKE, {"equity_micros": 0} | _BROKE),
    _opening(
        5,
        3,
        "10 % of equity in one instrument",
        {"equity_micros": _money(100_000, 9), "exposure_after_micros": _money(10_000)},
        {"equity_micros": _money(100_000, 9), "exposure_after_micros": _money(10_000, 1)},
    ),
    _order(5, 4, "a reduction at no price", {"entry_price_atoms": 1} | _REDUCES, {"entry_price_atoms": 0} | _REDUCES),
    _opening(
        6,
        0,
        "a day that began without equity",
        {"day_start_equity_micros": 1, "day_loss_after_micros": 0},
        {"day_start_equity_micros": 0, "day_loss_after_micros": -1},
    ),
    _opening(
        6,
        1,
        "5 % of the day's first equity",
        {"day_loss_after_micros": _money(5_000, -1)} | _DAY,
        {"day_loss_after_micros": _money(5_000)} | _DAY,
    ),
    _opening(
        7,
        0,
        "twice the equity",
        {"equity_micros": _money(100_000), "gross_after_micros": _money(200_000), "people": 2},
        {"equity_micros": _money(100_000), "gross_after_micros": _money(200_000, 1), "people": 2},
    ),
    _opening(8, 0, "no stop", {"has_stop": 1}, {"has_stop": 0}),
    _opening(8, 1, "a stop at the entry", {"stop_distance_atoms": 1}, {"stop_distance_atoms": 0}),
    _opening(8, 2, "a stop off tick", {"stop_on_tick": 1}, {"stop_on_tick": 0}),
    _opening(
        8,
        3,
        "a stop 25 % away",
        {"stop_distance_atoms": 25 * ATOM} | _FAR,
        {"stop_distance_atoms": 25 * ATOM + 1} | _FAR,
    ),
    _opening(9, 0, "no target", {"has_target": 1}, {"has_target": 0}),
    _opening(
        9,
        1,
        "1.5 times the risk",
        {"stop_distance_atoms": 2 * ATOM + 1, "target_distance_atoms": 3 * ATOM + 2},
        {"stop_distance_atoms": 2 * ATOM + 1, "target_distance_atoms": 3 * ATOM + 1},
    ),
    _opening(10, 0, "a sixth instrument", {"instruments_after": 5}, {"instruments_after": 6}),
    _act(11, 0, "an approval used twice", {"approvals_before": 0}, {"approvals_before": 1}),
    _act(11, 1, "an approval for no time", {"approval_term_ns": 1}, {"approval_term_ns": 0}),
    _act(
        11,
        2,
        "an approval for more than 30 s",
        {"approval_term_ns": 30 * SECOND_NS},
        {"approval_term_ns": 30 * SECOND_NS + 1},
    ),
    _act(12, 0, "not in the log", {"log_position": 1}, {"log_position": 0}),
    _order(13, 0, "a veto that stands", {"vetoes_standing": 0}, {"vetoes_standing": 1}),
    _act(13, 1, "a brake taken away", {"disables_override": 0}, {"disables_override": 1}),
    _opening(14, 0, "a halt", {"halt_level": 0}, {"halt_level": 1}),
    Card(
        14,
        1,
        "a full halt",
        {"halt_level": 1, "is_opening": 0},
        {"halt_level": 2, "is_opening": 0},
        excused=False,
        no_order=True,
    ),
    _opening(
        14,
        2,
        "a brake not tried for 60 s",
        {"kill_path_age_ns": 60 * SECOND_NS},
        {"kill_path_age_ns": 60 * SECOND_NS + 1},
    ),
    _act(15, 0, "a private field that leaves", {"outgoing_private": 0}, {"outgoing_private": 1}),
    _act(16, 0, "a consent that is missing", {"consents_missing": 0}, {"consents_missing": 1}),
    _act(17, 0, "a name in the log", {"text_unredacted": 0}, {"text_unredacted": 1}),
    _act(18, 0, "a credential in clear", {"credentials_in_clear": 0}, {"credentials_in_clear": 1}),
    _act(18, 1, "an open key store", {"keystore_exposed": 0}, {"keystore_exposed": 1}),
    _act(19, 0, "other rules than the sealed ones", {"ruleset_matches": 1}, {"ruleset_matches": 0}),
    _act(19, 1, "one signature", {"seal_signatures": 2}, {"seal_signatures": 1}),
    _act(19, 2, "a broken seal", {"seal_faults": 0}, {"seal_faults": 1}),
    _act(19, 3, "a seal not inspected for 60 s", {"seal_age_ns": 60 * SECOND_NS}, {"seal_age_ns": 60 * SECOND_NS + 1}),
    _opening(20, 0, "a lease from the future", {"lease_age_ns": 0}, {"lease_age_ns": -1}),
    _opening(
        20,
        1,
        "a lease that ran out",
        {"lease_age_ns": 4 * SECOND_NS, "lease_term_ns": 4 * SECOND_NS},
        {"lease_age_ns": 4 * SECOND_NS + 1, "lease_term_ns": 4 * SECOND_NS},
    ),
    _opening(
        20,
        2,
        "a lease of no time",
        {"lease_age_ns": 0, "lease_term_ns": 1},
        {"lease_age_ns": 0, "lease_term_ns": 0},
    ),
    _opening(20, 3, "a lease longer than 5 s", {"lease_term_ns": 5 * SECOND_NS}, {"lease_term_ns": 5 * SECOND_NS + 1}),
    _order(21, 0, "an unattested source", {"evidence_unattested": 0}, {"evidence_unattested": 1}),
    _order(21, 1, "a crossed quote", {"evidence_malformed": 0}, {"evidence_malformed": 1}),
    _order(21, 2, "data from the future", {"evidence_age_ns": 0}, {"evidence_age_ns": -1}),
    _order(
        21,
        3,
        "stale data",
        {"evidence_age_ns": 2 * SECOND_NS} | _TWO_SECONDS,
        {"evidence_age_ns": 2 * SECOND_NS + 1} | _TWO_SECONDS,
    ),
    _order(
        21,
        4,
        "a stale price",
        {"market_age_ns": 2 * SECOND_NS} | _TWO_SECONDS,
        {"market_age_ns": 2 * SECOND_NS + 1} | _TWO_SECONDS,
    ),
    _order(21, 5, "two sources that disagree", {"sources_apart_bp": 50}, {"sources_apart_bp": 51}),
    _act(22, 0, "61 actions in a minute", {"actions_last_minute": 60}, {"actions_last_minute": 61}),
    _act(22, 1, "an empty bucket", {"burst_tokens": 1}, {"burst_tokens": 0}),
    _act(22, 2, "too large a bucket", {"burst_tokens": 10}, {"burst_tokens": 11}),
    _act(22, 3, "33 causes deep", {"causal_depth": 32}, {"causal_depth": 33}),
    _act(22, 4, "the fourth repetition", {"repeats_last_minute": 3}, {"repeats_last_minute": 4}),
    _order(23, 0, "a foreign instrument", {"instrument_in_mandate": 1}, {"instrument_in_mandate": 0}),
    _order(23, 1, "a foreign strategy", {"strategy_in_mandate": 1}, {"strategy_in_mandate": 0}),
    _opening(23, 2, "a foreign side", {"side_in_mandate": 1}, {"side_in_mandate": 0}),
    _opening(23, 3, "a foreign session", {"session_in_mandate": 1}, {"session_in_mandate": 0}),
    _opening(
        23,
        4,
        "more than the day's mandate",
        {"day_notional_after_micros": _money(9_000), "mandate_day_notional_micros": _money(9_000)},
        {"day_notional_after_micros": _money(9_000, 1), "mandate_day_notional_micros": _money(9_000)},
    ),
    _order(24, 0, "no evidence", {"evidence_count": 1}, {"evidence_count": 0}),
    _order(24, 1, "evidence not in the log", {"evidence_unresolved": 0}, {"evidence_unresolved": 1}),
    _order(24, 2, "a number not as cited", {"evidence_mismatched": 0}, {"evidence_mismatched": 1}),
    _act(24, 3, "a reason of 9 characters", {"reason_chars": 10}, {"reason_chars": 9}),
    _act(24, 4, "a reason of 2 001 characters", {"reason_chars": 2_000}, {"reason_chars": 2_001}),
    _opening(25, 0, "a venue that is down", {"venue_is_up": 1}, {"venue_is_up": 0}),
    _act(
        25,
        1,
        "no way back",
        {"is_irreversible": 1, "snapshot_age_ns": _FIVE_MINUTES},
        {"is_irreversible": 1, "snapshot_age_ns": _FIVE_MINUTES + 1},
    ),
    _opening(26, 0, "a large order that nobody signed", {"people": 1} | _LARGE, _LARGE),
    _opening(26, 1, "leverage that nobody signed", {"people": 1} | _LEVERED, _LEVERED),
    _act(26, 2, "an operation that one person signed", {"people": 2} | _NO_ORDER, {"people": 1} | _NO_ORDER),
    _act(
        26,
        3,
        "a signature more than 5 min old",
        {"people": 2, "people_age_ns": _FIVE_MINUTES},
        {"people": 2, "people_age_ns": _FIVE_MINUTES + 1},
    ),
    _opening(
        26,
        4,
        "a price that moved after it was signed",
        {"people": 2, "price_drift_bp": 25},
        {"people": 2, "price_drift_bp": 26},
    ),
)

# Where a limit is a ratio, the cards leave a remainder; these leave none. All are approved.
EXACT = (
    {"recent_orders": 20, "recent_cancels": 18},
    {"quantity_atoms": 100, "bar_volume_atoms": 1_000},
    {"quantity_atoms": 100, "day_volume_atoms": 10_000},
    {"equity_micros": _money(100_000), "exposure_after_micros": _money(10_000)},
    {"day_start_equity_micros": _money(100_000, 1), "day_loss_after_micros": _money(5_000)},
    {"entry_price_atoms": 100 * ATOM, "stop_distance_atoms": 25 * ATOM, "target_distance_atoms": 40 * ATOM},
    {"stop_distance_atoms": 2 * ATOM, "target_distance_atoms": 3 * ATOM},
    {"equity_micros": _money(100_000), "order_notional_micros": _money(5_000)},
    {"equity_micros": _money(100_000), "gross_after_micros": _money(150_000)},
)

# Beyond a limit that is not heard, because its condition does not hold, by one unit; and more than is asked for.
UNHEARD = (
    {"recent_orders": 19, "recent_cancels": 19},
    {"entry_price_atoms": ATOM - 1} | _CHEAP | _A_SALE,
    {"day_traded_micros": _money(1_000_000, -1)} | _A_SALE,
    {"rise_bp": 5_001} | _A_SALE,
    {"rise_bp": 5_001, "filed_catalysts": 1},
    {"own_broadcasts": 1},
    {"is_irreversible": 0, "snapshot_age_ns": _FIVE_MINUTES + 1},
    {"people": 0, "people_age_ns": _FIVE_MINUTES + 1},
    {"people": 0, "price_drift_bp": 26},
    {"seal_signatures": 3},
    {"is_irreversible": 1, "snapshot_age_ns": _FIVE_MINUTES - 1},
    {"people": 2} | _LARGE,
    {"people": 2} | _LEVERED,
    {"people": 3} | _NO_ORDER,
)

# Refused by the clause named, exactly where its condition begins to hold.
HEARD = (
    ((2, 0), {"recent_orders": 20, "recent_cancels": 19}),
    ((26, 3), {"people": 1, "people_age_ns": _FIVE_MINUTES + 1}),
    ((26, 4), {"people": 1, "price_drift_bp": 26}),
)
