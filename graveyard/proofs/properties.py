"""What must be true of every act that the rules approve, said here a second time and in other words.

A `Property` is a sentence for a person and two predicates over facts: `where` it is asked, and what it `demands`
there. Both are ordinary Python and are read twice: over a concrete act, and by the solver over all acts. They are
stricter than they look: a fact that a predicate reads and that is missing or absurd counts against the act, except
where another condition of `where` is known to be false.

The numbers are written as fractions and seconds, not as the scaled integers of `ethics.py`, so that a slip there does
not repeat itself here. `restates` marks the properties that could not be said differently from the rule: they guard
against a change of the rule, not against a mistake in its idea.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias

from graveyard import interpret
from graveyard.expressions import Bounds
from graveyard.words import Facts

Said: TypeAlias = Callable[["Seen"], Any]
"""A predicate over facts. It joins with `&` and `|` and never with `and`, `or`, `not`: the solver reads it too."""

SECOND = 10**9
MINUTE = 60 * SECOND


class Seen:
    """The facts under their names, as a predicate reads them; notes which it has read."""

    def __init__(self, values: Mapping[str, Any], exact: Callable[[Any], Any]) -> None:
        self._values = values
        self._exact = exact
        self.read: dict[str, None] = {}

    def __getattr__(self, name: str) -> Any:
        self.read[name] = None
        return self._values[name]

    def exact(self, name: str) -> Any:
        """The fact as a rational, so that it can be divided and compared with a fraction."""
        return self._exact(getattr(self, name))

    def knows(self, *names: str) -> bool:
        """They are there: reading them is all that is asked."""
        self.read.update(dict.fromkeys(names))
        return True


class Property(NamedTuple):
    """One sentence about every approved act.

    Attributes:
        where: asked of acts of which all of these are true, or not known.
        demands: what must be known and true of an approved one.
        restates: the rule says the same in the same way.
    """

    name: str
    says: str
    where: tuple[Said, ...]
    demands: Said
    restates: bool = False


def is_broken(stated: Property, facts: Facts, bounds: Bounds) -> bool:
    """Whether this act, if it is approved, breaks the property."""
    values = {name: interpret.known(name, facts, bounds) for name in bounds}
    return (
        all(_heard(said, values) is not False for said in stated.where) and _heard(stated.demands, values) is not True
    )


def is_shown(said: Said, facts: Facts, bounds: Bounds) -> bool:
    """Whether the predicate is known to be true of this act."""
    return _heard(said, {name: interpret.known(name, facts, bounds) for name in bounds}) is True


def _heard(said: Said, values: Mapping[str, int | None]) -> bool | None:
    """What the predicate says; None where a fact that it reads is missing or absurd."""
    seen = Seen({name: 0 if value is None else value for name, value in values.items()}, Fraction)
    answer = bool(said(seen))
    return None if any(values[name] is None for name in seen.read) else answer


def _opens(f: Seen) -> Any:
    return f.is_opening != 0


def _trades(f: Seen) -> Any:
    return f.is_order != 0


def _operates(f: Seen) -> Any:
    return f.is_order == 0


def _buys(f: Seen) -> Any:
    return f.is_buy == 1


def _sells(f: Seen) -> Any:
    return f.is_buy == 0


def _stop_is_right(f: Seen) -> Any:
    """In prices: a purchase has its stop in [¾, 1) of the entry, a sale in (1, 5/4]."""
    entry, distance = f.exact("entry_price_atoms"), f.exact("stop_distance_atoms")
    below, above = entry - distance, entry + distance
    bought = (f.is_buy == 1) & (below < entry) & (below >= entry * Fraction(3, 4))
    sold = (f.is_buy == 0) & (above > entry) & (above <= entry * Fraction(5, 4))
    return (f.has_stop == 1) & (f.stop_on_tick == 1) & (bought | sold)


def _reward_is_enough(f: Seen) -> Any:
    """In prices: from entry to target it is at least 3/2 of the way from stop to entry, and to the winning side."""
    entry = f.exact("entry_price_atoms")
    target = entry + f.exact("target_distance_atoms")
    stop = entry - f.exact("stop_distance_atoms")
    return (f.has_target == 1) & (target > entry) & (target - entry >= (entry - stop) * Fraction(3, 2))


ALWAYS_KNOWN = (
    "is_order", "is_opening", "approvals_before", "approval_term_ns", "log_position", "disables_override",
    "outgoing_private", "consents_missing", "text_unredacted", "credentials_in_clear", "keystore_exposed",
    "ruleset_matches", "seal_signatures", "seal_faults", "seal_age_ns", "actions_last_minute", "burst_tokens",
    "causal_depth", "repeats_last_minute", "reason_chars", "is_irreversible", "people",
)  # fmt: skip
KNOWN_OF_ORDERS = (
    "is_buy", "quantity_atoms", "entry_price_atoms", "instrument_restricted", "evidence_not_public", "evidence_embargoed",
    "own_orders_crossed", "others_signals", "vetoes_standing", "halt_level", "evidence_count", "evidence_unresolved",
    "evidence_mismatched", "evidence_unattested", "evidence_malformed", "evidence_age_ns", "evidence_age_max_ns",
    "market_age_ns", "sources_apart_bp", "instrument_in_mandate", "strategy_in_mandate",
)  # fmt: skip
KNOWN_OF_OPENINGS = (
    "order_notional_micros", "equity_micros", "day_start_equity_micros", "exposure_after_micros",
    "gross_after_micros", "day_loss_after_micros", "instruments_after", "has_stop", "stop_distance_atoms",
    "stop_on_tick", "has_target", "target_distance_atoms", "recent_orders", "own_orders_layered", "bar_volume_atoms",
    "day_volume_atoms", "kill_path_age_ns", "lease_age_ns", "lease_term_ns", "side_in_mandate",
    "session_in_mandate", "day_notional_after_micros", "mandate_day_notional_micros", "venue_is_up",
)  # fmt: skip
KNOWN_OF_PURCHASES = ("day_traded_micros", "filed_catalysts")

PROPERTIES: tuple[Property, ...] = (
    Property(
        "position_within_a_tenth",
        "No approved opening order leaves more than 10 % of equity in one instrument, holds counted.",
        (_opens,),
        lambda f: f.exact("exposure_after_micros") <= f.exact("equity_micros") * Fraction(1, 10),
    ),
    Property(
        "gross_within_twice",
        "No approved opening order takes gross exposure, holds counted, above 2 × equity.",
        (_opens,),
        lambda f: f.exact("gross_after_micros") * Fraction(1, 2) <= f.exact("equity_micros"),
    ),
    Property(
        "day_loss_below_a_twentieth",
        "Nothing opens once the day's loss, with open holds and this order at their stops, is 5 % of the day's first equity.",
        (_opens,),
        lambda f: (
            (f.day_start_equity_micros >= 1)
            & (f.exact("day_loss_after_micros") < f.exact("day_start_equity_micros") * Fraction(1, 20))
        ),
    ),
    Property(
        "stop_on_the_losing_side",
        "Nothing opens without a stop on the losing side of the entry, on tick, at most 25 % of the entry away.",
        (_opens,),
        _stop_is_right,
    ),
    Property(
        "reward_half_again_the_risk",
        "Nothing opens without a target on the winning side, at least 1.5 times as far away as the stop.",
        (_opens,),
        _reward_is_enough,
    ),
    Property(
        "five_instruments",
        "Nothing opens in a sixth instrument, held ones counted.",
        (_opens,),
        lambda f: f.instruments_after < 6,
        restates=True,
    ),
    Property(
        "no_equity_no_risk",
        "Nothing opens on an account whose equity is 0 or less.",
        (_opens,),
        lambda f: f.equity_micros >= 1,
    ),
    Property(
        "no_order_of_nothing",
        "No approved order has a size of 0 or less.",
        (_trades,),
        lambda f: f.quantity_atoms >= 1,
    ),
    Property(
        "only_orders_open",
        "What is no order opens nothing.",
        (_opens,),
        lambda f: f.is_order == 1,
    ),
    Property(
        "nothing_opens_under_a_halt",
        "Nothing opens under any halt, or when the kill path was not proved alive within a minute.",
        (_opens,),
        lambda f: (f.halt_level < 1) & (f.exact("kill_path_age_ns") <= 1 * MINUTE),
    ),
    Property(
        "no_order_under_a_full_halt",
        "No order at all passes under a full halt; operations do, for one of them lifts it.",
        (_trades,),
        lambda f: f.halt_level < 2,
    ),
    Property(
        "fresh_data",
        "No order passes on data that is older than its limit, or comes from the future.",
        (_trades,),
        lambda f: (
            (f.evidence_age_ns >= 0)
            & (f.evidence_age_max_ns - f.evidence_age_ns >= 0)
            & (f.evidence_age_max_ns - f.market_age_ns >= 0)
        ),
    ),
    Property(
        "attested_data",
        "No order passes on data that is unattested, malformed, or disputed by more than half a percent.",
        (_trades,),
        lambda f: (
            (f.evidence_unattested + f.evidence_malformed < 1)
            & (f.exact("sources_apart_bp") * Fraction(1, 10_000) <= Fraction(1, 200))
        ),
    ),
    Property(
        "approval_used_once",
        "Nothing passes a second time, and no approval stands for no time or for more than half a minute.",
        (),
        lambda f: (
            (f.approvals_before < 1)
            & (f.approval_term_ns >= 1)
            & (f.exact("approval_term_ns") <= MINUTE * Fraction(1, 2))
        ),
    ),
    Property(
        "sealed_rules",
        "Nothing passes under rules that are not the sealed ones, signed by two, inspected within a minute.",
        (),
        lambda f: (
            (f.ruleset_matches == 1)
            & (f.seal_signatures > 1)
            & (f.seal_faults < 1)
            & (f.exact("seal_age_ns") <= 1 * MINUTE)
        ),
    ),
    Property(
        "fresh_lease",
        "Nothing opens without a lease of at most 5 s that has begun and has not run out.",
        (_opens,),
        lambda f: (
            (f.lease_age_ns >= 0)
            & (f.lease_term_ns - f.lease_age_ns >= 0)
            & (f.lease_term_ns >= 1)
            & (f.lease_term_ns <= 5 * SECOND)
        ),
    ),
    Property(
        "nothing_missing_in_any_act",
        "Whatever passes, nothing that decides every act is missing or absurd.",
        (),
        lambda f: f.knows(*ALWAYS_KNOWN),
    ),
    Property(
        "nothing_missing_in_an_order",
        "No order passes while a fact that decides orders is missing or absurd.",
        (_trades,),
        lambda f: f.knows(*KNOWN_OF_ORDERS),
    ),
    Property(
        "nothing_missing_in_an_opening",
        "Nothing opens while a fact that decides openings is missing or absurd.",
        (_opens,),
        lambda f: f.knows(*KNOWN_OF_OPENINGS),
    ),
    Property(
        "nothing_missing_in_a_purchase",
        "Nothing is bought to open while what is known of its market is missing or absurd.",
        (_opens, _buys),
        lambda f: f.knows(*KNOWN_OF_PURCHASES),
    ),
    Property(
        "person_for_a_large_order",
        "No order of more than 5 % of equity opens without a person.",
        (_opens, lambda f: f.exact("order_notional_micros") > f.exact("equity_micros") * Fraction(1, 20)),
        lambda f: f.people > 0,
    ),
    Property(
        "person_for_leverage",
        "Nothing opens above 1.5 × leverage without a person.",
        (_opens, lambda f: f.exact("gross_after_micros") * Fraction(2, 3) > f.exact("equity_micros")),
        lambda f: f.people > 0,
    ),
    Property(
        "two_people_for_an_operation",
        "No critical operation passes without two people.",
        (_operates,),
        lambda f: f.people > 1,
    ),
    Property(
        "signatures_are_recent",
        "No signature older than 5 minutes counts.",
        (lambda f: f.people > 0,),
        lambda f: f.people_age_ns <= 5 * MINUTE,
        restates=True,
    ),
    Property(
        "price_as_signed",
        "Nothing that people signed opens after the price has moved by more than a quarter of a percent.",
        (_opens, lambda f: f.people > 0),
        lambda f: f.exact("price_drift_bp") * Fraction(1, 10_000) <= Fraction(1, 400),
    ),
    Property(
        "inside_the_mandate",
        "No order passes in an instrument or by a strategy outside the owner's mandate.",
        (_trades,),
        lambda f: f.instrument_in_mandate + f.strategy_in_mandate >= 2,
    ),
    Property(
        "inside_the_mandates_day",
        "Nothing opens on a side or at a time outside the owner's mandate, or beyond the owner's notional of the day.",
        (_opens,),
        lambda f: (
            (f.side_in_mandate + f.session_in_mandate >= 2)
            & (f.mandate_day_notional_micros - f.day_notional_after_micros >= 0)
        ),
    ),
    Property(
        "no_insider_trading",
        "No order passes in a restricted instrument, or on evidence that is not public or still under embargo.",
        (_trades,),
        lambda f: f.instrument_restricted + f.evidence_not_public + f.evidence_embargoed < 1,
    ),
    Property(
        "no_wash_trade",
        "No order passes that could trade with an own resting order.",
        (_trades,),
        lambda f: f.own_orders_crossed < 1,
        restates=True,
    ),
    Property(
        "no_layering",
        "Nothing opens while an own entry rests on the other side at a better price.",
        (_opens,),
        lambda f: f.own_orders_layered < 1,
        restates=True,
    ),
    Property(
        "no_spoofing",
        "Nothing opens while more than nine of ten recent orders were cancelled, from twenty orders on.",
        (_opens, lambda f: f.recent_orders > 19),
        lambda f: f.exact("recent_cancels") * Fraction(1, 9) <= f.exact("recent_orders") * Fraction(1, 10),
    ),
    Property(
        "share_of_the_volume",
        "Nothing opens that is more than a tenth of the bar's volume or a hundredth of the day's.",
        (_opens,),
        lambda f: (
            (f.exact("quantity_atoms") <= f.exact("bar_volume_atoms") * Fraction(1, 10))
            & (f.exact("quantity_atoms") <= f.exact("day_volume_atoms") * Fraction(1, 100))
        ),
    ),
    Property(
        "nothing_thin_or_cheap_is_bought",
        "Nothing is bought to open below a price of 1, or where less than a million a day is traded.",
        (_opens, _buys),
        lambda f: (
            (f.exact("entry_price_atoms") * Fraction(1, 10**8) >= 1)
            & (f.exact("day_traded_micros") * Fraction(1, 10**6) >= 10**6)
        ),
    ),
    Property(
        "no_chase",
        "Nothing is bought to open after a rise of more than half in five sessions without a filed catalyst.",
        (_opens, _buys, lambda f: f.filed_catalysts < 1),
        lambda f: f.exact("rise_bp") * Fraction(1, 10_000) <= Fraction(1, 2),
    ),
    Property(
        "no_dump",
        "Nothing is sold within two sessions of our own message on it.",
        (_trades, _sells),
        lambda f: f.own_broadcasts < 1,
        restates=True,
    ),
    Property(
        "no_front_running",
        "No order passes behind another profile's signal.",
        (_trades,),
        lambda f: f.others_signals < 1,
        restates=True,
    ),
    Property(
        "a_veto_stands",
        "No order passes an operator's veto.",
        (_trades,),
        lambda f: f.vetoes_standing < 1,
        restates=True,
    ),
    Property(
        "people_can_stop_it",
        "Nothing passes that takes from operators a way to halt, cancel, reduce or veto.",
        (),
        lambda f: f.disables_override < 1,
        restates=True,
    ),
    Property(
        "privacy",
        "Nothing passes with a private field, a missing consent, an unredacted text, a bare credential or an open key store.",
        (),
        lambda f: (
            f.outgoing_private + f.consents_missing + f.text_unredacted + f.credentials_in_clear + f.keystore_exposed
            < 1
        ),
    ),
    Property(
        "written_down_and_explained",
        "Nothing passes that does not stand in the log with a reason of 10 to 2 000 characters.",
        (),
        lambda f: (f.log_position > 0) & (f.reason_chars > 9) & (f.reason_chars < 2_001),
    ),
    Property(
        "evidence_as_cited",
        "No order passes without evidence, all of it in the log and as cited.",
        (_trades,),
        lambda f: (f.evidence_count > 0) & (f.evidence_unresolved + f.evidence_mismatched < 1),
    ),
    Property(
        "no_loop",
        "Nothing passes beyond 60 actions or 3 repetitions a minute, an empty or overfull allowance, or 32 causes.",
        (),
        lambda f: (
            (f.actions_last_minute < 61)
            & (f.repeats_last_minute < 4)
            & (f.burst_tokens > 0)
            & (f.burst_tokens < 11)
            & (f.causal_depth < 33)
        ),
        restates=True,
    ),
    Property(
        "a_venue_that_answers",
        "Nothing opens on a venue that does not answer.",
        (_opens,),
        lambda f: f.venue_is_up == 1,
        restates=True,
    ),
    Property(
        "a_way_back",
        "Nothing that cannot be undone passes without a snapshot of the last 5 minutes.",
        (lambda f: f.is_irreversible == 1,),
        lambda f: f.snapshot_age_ns <= 5 * MINUTE,
        restates=True,
    ),
)
