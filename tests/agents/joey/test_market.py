"""Joey keeps to what the market trades and to what people have stopped: he does not propose what must be refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.joey import SPEC
from agents.joey.sizing import quantity_traded
from mutable_core import docket as dockets
from mutable_core.docket import Docket
from mutable_core.flows import EMPTY
from mutable_core.messages import (
    AccountHalted,
    Approved,
    HaltOrdered,
    Instrument,
    LeaseGranted,
    OrderFilled,
    ProposalMade,
    VetoLifted,
    VetoSet,
)
from mutable_core.standing import HEARD
from tests.agents.joey.makers import DAY, UNIT, Floor, a_bar, a_mandate, proposals, reasons
from tests.makers import a_lease, an_envelope, an_inspection, an_observation


def a_floor(**changes: Any) -> Floor:
    return Floor(a_mandate("alternating"), **changes)


# -- volume -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("volume", "reference", "lots"),
    [
        ("1000000", 10**8 * UNIT, 99),  # 1 % of a million at 100.25
        ("800", 10**8 * UNIT, 80),  # a tenth of the bar
        ("809", 10**8 * UNIT, 80),  # in whole lots
        ("1000000", 1_000 * UNIT, 99),  # a hundredth of the mean day: 1 000 000 / 20 is more than the reference
        ("100000", 8_000 * UNIT, 99),  # nineteen days that were not seen count as 8 000 each: 126 of 12 600
        ("20000", 4_000 * UNIT, 48),
        ("100000", 0, 50),
    ],
)
def test_no_more_is_proposed_than_a_tenth_of_the_bar_and_a_hundredth_of_the_day(
    volume: str, reference: int, lots: int
) -> None:
    (made,) = proposals(a_floor(day_volume_atoms=reference).bar(100, volume=volume))
    assert made.proposal.quantity == lots


@pytest.mark.parametrize(
    ("volume", "reference", "reason"),
    [
        ("10", 10**16, []),
        ("9", 10**16, ["too_thin"]),
        ("0", 10**16, ["too_thin"]),
        ("1999", 0, ["too_thin"]),
        ("2000", 0, []),
    ],
)
def test_less_than_one_lot_is_too_thin(volume: str, reference: int, reason: list[str]) -> None:
    assert reasons(a_floor(day_volume_atoms=reference).bar(100, volume=volume)) == reason


def test_what_is_too_small_for_the_account_is_said_before_what_is_too_thin_in_the_market() -> None:
    assert reasons(a_floor(cash_micros=10**8, day_volume_atoms=0).bar(100, volume="0")) == ["too_small"]


def test_a_way_out_is_as_large_as_the_position_however_thin_the_market_is() -> None:
    floor = a_floor()
    entry = proposals(floor.bar(100))[0]
    floor.fill(entry)
    assert proposals(floor.bar(100, volume="0"))[0].proposal.quantity == entry.proposal.quantity


@given(st.integers(0, 10**18), st.integers(0, 10**18), st.sampled_from([1, 10**4, UNIT, 10**10]))
def test_a_size_is_whole_lots_and_within_both_shares(bar: int, reference: int, lot: int) -> None:
    quantity = quantity_traded(EMPTY._replace(bar_volume=bar), Instrument("A", 1, lot, reference))
    assert quantity % lot == 0
    assert quantity * 10 <= bar
    assert quantity * 100 <= reference
    assert (quantity + lot) * 10 > bar or (quantity + lot) * 100 > reference


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(60, 140), st.integers(0, 40_000)), min_size=1, max_size=25))
def test_what_he_proposes_is_never_refused_for_its_share_of_the_volume(days: list[tuple[int, int]]) -> None:
    """A refusal by rule 2 would halt the account: he must count as the rules count."""
    floor = a_floor(day_volume_atoms=0)
    docket, read = Docket.empty(), 0
    for close, volume in days:
        for made in proposals(floor.bar(close, volume=str(volume))):
            for row in floor.heard[read:]:
                docket = dockets.fold(docket, row)
            read = len(floor.heard)
            docket = docket._replace(lease=LeaseGranted("kenny", floor.ts_ns, floor.ts_ns + 1, an_inspection()))
            asked = an_envelope(ProposalMade(made.proposal), seq=10_000, ts_ns=floor.ts_ns)
            said = dockets.answer(docket, asked).answers[0][0]
            broken = {violation.rule for violation in said.verdict.violations}  # type: ignore[union-attr]
            assert isinstance(said, Approved) or 2 not in broken
            floor.expire(made)


# -- people's will ----------------------------------------------------------------------------------------------------

STOPS: list[Any] = [
    HaltOrdered("global", "", "reduce_only", "ann", "stop"),
    HaltOrdered("account", "acct", "reduce_only", "ann", "stop"),
    HaltOrdered("strategy", "alternating", "halted", "ann", "stop"),
    HaltOrdered("instrument", "AAA", "halted", "ann", "stop"),
    AccountHalted("f" * 32, "acct", (1,)),
    VetoSet("global", "", "ann", "no"),
    VetoSet("account", "acct", "ann", "no"),
    VetoSet("strategy", "alternating", "ann", "no"),
    VetoSet("instrument", "AAA", "ann", "no"),
]


@pytest.mark.parametrize("stop", STOPS)
def test_under_a_halt_or_a_veto_nothing_new_is_proposed(stop: Any) -> None:
    floor = a_floor()
    floor.hear(stop)
    assert reasons(floor.bar(100)) == ["halted"]


@pytest.mark.parametrize(
    "stop",
    [
        HaltOrdered("account", "other", "halted", "ann", "stop"),
        HaltOrdered("strategy", "mean_reversion", "halted", "ann", "stop"),
        HaltOrdered("instrument", "BBB", "halted", "ann", "stop"),
        VetoSet("instrument", "BBB", "ann", "no"),
    ],
)
def test_a_halt_of_something_else_is_none(stop: Any) -> None:
    floor = a_floor()
    floor.hear(stop)
    assert proposals(floor.bar(100))


def test_another_strategy_may_propose_where_one_is_stopped() -> None:
    floor = Floor(a_mandate("donchian_breakout", "alternating"))
    floor.hear(VetoSet("strategy", "alternating", "ann", "no"))
    assert [reasons(floor.bar(100)) for _ in range(20)][-1] == ["halted"]
    assert proposals(floor.bar(103))[0].proposal.strategy == "donchian_breakout"


def test_when_the_veto_is_lifted_he_proposes_again() -> None:
    floor = a_floor()
    floor.hear(VetoSet("instrument", "AAA", "ann", "no"))
    floor.bar(100)
    floor.hear(VetoLifted("instrument", "AAA", "ann"))
    assert proposals(floor.bar(100))


@pytest.mark.parametrize("stop", STOPS)
def test_a_way_out_is_proposed_under_any_halt_but_a_full_one(stop: Any) -> None:
    """Whether it may pass is for the rules to say; he does not keep a position because somebody stopped him."""
    floor = a_floor()
    floor.fill(proposals(floor.bar(100))[0])
    floor.hear(stop)
    made = proposals(floor.bar(100))
    if isinstance(stop, HaltOrdered) and stop.level == "halted":
        assert made == [], "a full halt stops the way out too: nothing is proposed that must be refused"
    else:
        assert made[0].proposal.side == "sell"


def test_what_works_still_must_end_before_the_way_out() -> None:
    """An entry that has filled in part could trade with its own exit."""
    floor = a_floor()
    made = proposals(floor.bar(100))[0]
    order = floor.intend(made)
    half = order.quantity // 2
    floor.hear(
        OrderFilled(1, order.client_order_id, "AAA", "entry", "buy", Decimal(100), half, 0, order.quantity - half)
    )
    assert floor.state.book.position_atoms("AAA") > 0
    assert reasons(floor.bar(100)) == ["position_open"]


def test_he_hears_all_that_stops_him() -> None:
    assert set(HEARD) <= set(SPEC.hears)


# -- a second source --------------------------------------------------------------------------------------------------


def test_a_second_source_is_answered_and_changes_nothing_that_he_decides_by() -> None:
    """Bars that come twice are not twice the bars: his columns are those of the run's own source."""
    floor = a_floor()
    floor.bar(100)
    before = floor.state
    floor.ts_ns += DAY
    floor.hear(an_observation("AAA", source="second", market=a_bar("200")))
    assert reasons(floor.close_slice()) == ["bar_forming"]
    assert (floor.state.desks, floor.state.flows, floor.state.book) == (before.desks, before.flows, before.book)


def test_a_second_source_that_comes_first_stops_nobody() -> None:
    floor = a_floor()
    floor.hear(a_lease())
    floor.hear(an_observation("AAA", source="second", market=a_bar("200")))
    assert reasons(floor.close_slice()) == ["bar_forming"]
    assert proposals(floor.bar(100))
