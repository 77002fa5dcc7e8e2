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
    """

    rule: int
    clause: int
    says: str
    on: dict[str, int]
    beyond: dict[str, int]
    excused: bool


def _money(units: int, micros: int = 0) -> int:
    return units * MILLION + micros


_BROKE = {"exposure_after_micros": 0, "gross_after_micros": 0}
_QUARTER = {"entry_price_atoms": 100 * ATOM + 3, "target_distance_atoms": 40 * ATOM}

CARDS = (
    Card(5, 0, "an order for nothing", {"quantity_atoms": 1}, {"quantity_atoms": 0}, excused=False),
    Card(5, 1, "no equity", {"equity_micros": 1} | _BROKE, {"equity_micros": 0} | _BROKE, excused=True),
    Card(
        5,
        2,
        "10 % of equity in one instrument",
        {"equity_micros": _money(100_000, 9), "exposure_after_micros": _money(10_000)},
        {"equity_micros": _money(100_000, 9), "exposure_after_micros": _money(10_000, 1)},
        excused=True,
    ),
    Card(
        6,
        0,
        "a day that began without equity",
        {"day_start_equity_micros": 1, "day_loss_after_micros": 0},
        {"day_start_equity_micros": 0, "day_loss_after_micros": -1},
        excused=True,
    ),
    Card(
        6,
        1,
        "5 % of the day's first equity",
        {"day_start_equity_micros": _money(100_000), "day_loss_after_micros": _money(5_000, -1)},
        {"day_start_equity_micros": _money(100_000), "day_loss_after_micros": _money(5_000)},
        excused=True,
    ),
    Card(
        7,
        0,
        "twice the equity",
        {"equity_micros": _money(100_000), "gross_after_micros": _money(200_000)},
        {"equity_micros": _money(100_000), "gross_after_micros": _money(200_000, 1)},
        excused=True,
    ),
    Card(8, 0, "no stop", {"has_stop": 1}, {"has_stop": 0}, excused=True),
    Card(8, 1, "a stop at the entry", {"stop_distance_atoms": 1}, {"stop_distance_atoms": 0}, excused=True),
    Card(8, 2, "a stop off tick", {"stop_on_tick": 1}, {"stop_on_tick": 0}, excused=True),
    Card(
        8,
        3,
        "a stop 25 % away",
        {"stop_distance_atoms": 25 * ATOM} | _QUARTER,
        {"stop_distance_atoms": 25 * ATOM + 1} | _QUARTER,
        excused=True,
    ),
    Card(9, 0, "no target", {"has_target": 1}, {"has_target": 0}, excused=True),
    Card(
        9,
        1,
        "1.5 times the risk",
        {"stop_distance_atoms": 2 * ATOM + 1, "target_distance_atoms": 3 * ATOM + 2},
        {"stop_distance_atoms": 2 * ATOM + 1, "target_distance_atoms": 3 * ATOM + 1},
        excused=True,
    ),
    Card(10, 0, "a sixth instrument", {"instruments_after": 5}, {"instruments_after": 6}, excused=True),
    Card(12, 0, "not in the log", {"log_position": 1}, {"log_position": 0}, excused=False),
    Card(20, 0, "a lease from the future", {"lease_age_ns": 0}, {"lease_age_ns": -1}, excused=True),
    Card(
        20,
        1,
        "a lease that ran out",
        {"lease_age_ns": 4 * SECOND_NS, "lease_term_ns": 4 * SECOND_NS},
        {"lease_age_ns": 4 * SECOND_NS + 1, "lease_term_ns": 4 * SECOND_NS},
        excused=True,
    ),
    Card(
        20,
        2,
        "a lease of no time",
        {"lease_age_ns": 0, "lease_term_ns": 1},
        {"lease_age_ns": 0, "lease_term_ns": 0},
        excused=True,
    ),
    Card(
        20,
        3,
        "a lease longer than 5 s",
        {"lease_term_ns": 5 * SECOND_NS},
        {"lease_term_ns": 5 * SECOND_NS + 1},
        excused=True,
    ),
    Card(21, 0, "an unattested source", {"evidence_unattested": 0}, {"evidence_unattested": 1}, excused=False),
    Card(21, 1, "data from the future", {"evidence_age_ns": 0}, {"evidence_age_ns": -1}, excused=False),
    Card(
        21,
        2,
        "stale data",
        {"evidence_age_ns": 2 * SECOND_NS, "evidence_age_max_ns": 2 * SECOND_NS},
        {"evidence_age_ns": 2 * SECOND_NS + 1, "evidence_age_max_ns": 2 * SECOND_NS},
        excused=False,
    ),
    Card(22, 0, "61 actions in a minute", {"actions_last_minute": 60}, {"actions_last_minute": 61}, excused=False),
    Card(22, 1, "an empty bucket", {"burst_tokens": 1}, {"burst_tokens": 0}, excused=False),
    Card(22, 2, "too large a bucket", {"burst_tokens": 10}, {"burst_tokens": 11}, excused=False),
    Card(22, 3, "33 causes deep", {"causal_depth": 32}, {"causal_depth": 33}, excused=False),
    Card(22, 4, "the fourth repetition", {"repeats_last_minute": 3}, {"repeats_last_minute": 4}, excused=False),
    Card(23, 0, "a foreign instrument", {"instrument_in_mandate": 1}, {"instrument_in_mandate": 0}, excused=False),
    Card(23, 1, "a foreign strategy", {"strategy_in_mandate": 1}, {"strategy_in_mandate": 0}, excused=False),
    Card(23, 2, "a foreign side", {"side_in_mandate": 1}, {"side_in_mandate": 0}, excused=False),
    Card(
        23,
        3,
        "more than the day's mandate",
        {"day_notional_after_micros": _money(9_000), "mandate_day_notional_micros": _money(9_000)},
        {"day_notional_after_micros": _money(9_000, 1), "mandate_day_notional_micros": _money(9_000)},
        excused=True,
    ),
    Card(24, 0, "no evidence", {"evidence_count": 1}, {"evidence_count": 0}, excused=False),
    Card(24, 1, "evidence not in the log", {"evidence_unresolved": 0}, {"evidence_unresolved": 1}, excused=False),
    Card(24, 2, "a number not as cited", {"evidence_mismatched": 0}, {"evidence_mismatched": 1}, excused=False),
    Card(24, 3, "a reason of 9 characters", {"reason_chars": 10}, {"reason_chars": 9}, excused=False),
    Card(24, 4, "a reason of 2 001 characters", {"reason_chars": 2_000}, {"reason_chars": 2_001}, excused=False),
)

# The cards above leave a remainder where a limit is a ratio; these leave none. All are approved.
EXACT = (
    {"equity_micros": _money(100_000), "exposure_after_micros": _money(10_000)},
    {"day_start_equity_micros": _money(100_000, 1), "day_loss_after_micros": _money(5_000)},
    {"entry_price_atoms": 100 * ATOM, "stop_distance_atoms": 25 * ATOM, "target_distance_atoms": 40 * ATOM},
    {"stop_distance_atoms": 2 * ATOM, "target_distance_atoms": 3 * ATOM},
)
