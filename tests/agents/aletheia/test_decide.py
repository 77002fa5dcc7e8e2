"""Aletheia: looks at everything again, from the log alone; one lie anywhere is found and named."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from agents.aletheia import AGENT
from agents.aletheia.decide import STATEMENT_EVERY_SLICES
from graveyard.judge import judge
from graveyard.words import Facts, Verdict, Violation
from mutable_core.clock import SECOND_NS
from mutable_core.ids import derived_id
from mutable_core.messages import (
    KILL_PREFIX,
    AgentHeld,
    AgentReleased,
    AnyBody,
    Approved,
    DiscrepancyFound,
    Envelope,
    HaltOrdered,
    OrderAccepted,
    OrderBlocked,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    OrderSpec,
    OrderWithheld,
    PositionLine,
    ProposalMade,
    Reconciled,
    Refused,
    SliceClosed,
    SourceEnded,
    StatementWanted,
    VenueStated,
    Verified,
    leg_id,
)
from tests.agents.aletheia.makers import Aletheia, Log, an_honest_log
from tests.makers import (
    DAY_1_NS,
    a_fill,
    a_proposal,
    an_envelope,
    an_inspection,
    an_observation,
    an_order,
    some_grounds,
)
from watchdog.lease import LeaseKeeper


def with_body(envelope: Envelope, **changes: Any) -> Envelope:
    """The same message with other words in it."""
    return msgspec.structs.replace(envelope, body=msgspec.structs.replace(envelope.body, **changes))


def findings(bodies: list[AnyBody]) -> list[str]:
    assert not any(isinstance(body, Verified) for body in bodies), "what is false was called verified"
    return [body.finding for body in bodies if isinstance(body, DiscrepancyFound)]


REFUSED = {"reason": "no", "proposal_id": derived_id("refused")}
APPROVED_LOG, (MADE, APPROVED, INTENDED) = an_honest_log()
REFUSED_LOG, (MADE_2, REFUSAL, *_) = an_honest_log(**REFUSED)
ORDER: OrderSpec = INTENDED.body.order  # type: ignore[union-attr]
KEY = ORDER.client_order_id


def read_until(log: Log, row: Envelope) -> Aletheia:
    """Aletheia before `row`; nothing was found so far."""
    aletheia = Aletheia()
    assert aletheia.read(*log.rows[: row.seq - 1]) == []
    return aletheia


# -- honest ----------------------------------------------------------------------------------------------------------


def test_a_refusal_that_recomputes_is_verified() -> None:
    aletheia = read_until(REFUSED_LOG, REFUSAL)
    assert isinstance(REFUSAL.body, Refused)
    assert aletheia.read(REFUSAL) == [Verified(REFUSAL.body.proposal_id, "refused")]


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (OrderAccepted(1, KEY), "accepted"),
        (OrderRejected(1, KEY, "no"), "rejected"),
        (OrderBlocked(KEY, "lease_stale"), "withheld"),
    ],
)
def test_an_order_that_is_the_approved_one_is_verified_by_its_outcome(answer: AnyBody, outcome: Any) -> None:
    aletheia = read_until(APPROVED_LOG, APPROVED)
    assert aletheia.read(APPROVED, INTENDED) == []
    answered = an_envelope(answer, seq=INTENDED.seq + 1)
    assert aletheia.read(answered) == [Verified(ORDER.proposal_id, outcome)]


def test_an_approval_that_was_withheld_is_verified() -> None:
    aletheia = read_until(APPROVED_LOG, INTENDED)
    withheld = OrderWithheld(ORDER.proposal_id, KEY, "rate_limited")
    assert aletheia.read(an_envelope(withheld, seq=9)) == [Verified(ORDER.proposal_id, "withheld")]


def test_nothing_is_remembered_of_a_decision_that_has_ended() -> None:
    first, aletheia = AGENT.first_state, Aletheia()
    aletheia.read(*APPROVED_LOG.rows, an_envelope(OrderRejected(1, KEY, "no"), seq=9))
    assert (aletheia.state.undecided, aletheia.state.approved) == (first.undecided, first.approved)
    assert not aletheia.state.docket.book.holds
    aletheia.read(*REFUSED_LOG.rows)
    assert aletheia.state.undecided == first.undecided


# -- HRM lies --------------------------------------------------------------------------------------------------------


def another(value: int | None) -> int:
    return 1 if value is None else value + 1


@pytest.mark.parametrize("lie", ["one more", "none"])
@pytest.mark.parametrize("fact", Facts.__struct_fields__)
@pytest.mark.parametrize("said", [APPROVED, REFUSAL], ids=["approved", "refused"])
def test_a_lie_in_any_single_fact_is_found(said: Envelope, fact: str, lie: str) -> None:
    """Also one that changes no verdict: facts are compared, not only what follows."""
    facts = said.body.facts  # type: ignore[union-attr]
    value = None if lie == "none" else another(getattr(facts, fact))
    lying = with_body(said, facts=msgspec.structs.replace(facts, **{fact: value}))
    log = APPROVED_LOG if said is APPROVED else REFUSED_LOG
    assert lying != said
    assert findings(read_until(log, said).read(lying)) == ["verdict_mismatch"]


VIOLATION = Violation(24, 3, "MEDIUM", 2, 10, -8, "characters", "w")


@pytest.mark.parametrize(
    "change",
    [
        {"approved": False},
        {"heard": 99},
        {"ruleset": "0" * 64},
        {"violations": (VIOLATION,)},
    ],
)
def test_a_verdict_that_does_not_follow_from_its_facts_is_found(change: dict[str, Any]) -> None:
    verdict = msgspec.structs.replace(APPROVED.body.verdict, **change)  # type: ignore[union-attr]
    assert findings(read_until(APPROVED_LOG, APPROVED).read(with_body(APPROVED, verdict=verdict))) == [
        "verdict_mismatch"
    ]


def approval_of(refused: Refused, verdict: Verdict) -> Approved:
    return Approved(
        refused.proposal_id, refused.instrument, refused.digest, refused.position, refused.facts, verdict,
        refused.grounds, 10**10, 10**8, DAY_1_NS + 30 * SECOND_NS,
    )  # fmt: skip


@pytest.mark.parametrize("dressed_up", [False, True])
def test_an_approval_of_what_the_rules_refuse_is_found(dressed_up: bool) -> None:
    """With the refusing verdict still in it, or with one that says yes."""
    refused = REFUSAL.body
    assert isinstance(refused, Refused)
    verdict = refused.verdict
    if dressed_up:
        verdict = msgspec.structs.replace(verdict, approved=True, violations=())
    lying = msgspec.structs.replace(REFUSAL, body=approval_of(refused, verdict))
    assert findings(read_until(REFUSED_LOG, REFUSAL).read(lying)) == ["verdict_mismatch"]


def test_a_refusal_of_what_the_rules_approve_is_found() -> None:
    approved = APPROVED.body
    assert isinstance(approved, Approved)
    body = Refused(
        approved.proposal_id, "A", approved.digest, approved.position, approved.facts, approved.verdict,
        approved.grounds,
    )  # fmt: skip
    lying = msgspec.structs.replace(APPROVED, body=body)
    assert findings(read_until(APPROVED_LOG, APPROVED).read(lying)) == ["verdict_mismatch"]


LIES = {
    "instrument": "B",
    "digest": "0" * 64,
    "position": APPROVED.body.position + 1,  # type: ignore[union-attr]
    "hold_micros": 0,
    "hold_risk_micros": 0,
    "expires_ns": DAY_1_NS * 2,
    "grounds": some_grounds(market=99),
    "proposal_id": "0" * 32,
}


@pytest.mark.parametrize("field", LIES)
def test_a_lie_in_any_other_word_of_an_approval_is_found(field: str) -> None:
    """What it holds, until when, and for what: all of it follows from the log, so all of it is compared."""
    lying = with_body(APPROVED, **{field: LIES[field]})
    assert findings(read_until(APPROVED_LOG, APPROVED).read(lying)) == ["verdict_mismatch"]


@pytest.mark.parametrize("field", ["instrument", "digest", "position", "proposal_id", "grounds"])
def test_a_lie_in_any_other_word_of_a_refusal_is_found(field: str) -> None:
    lying = with_body(REFUSAL, **{field: LIES[field]})
    assert findings(read_until(REFUSED_LOG, REFUSAL).read(lying)) == ["verdict_mismatch"]


def test_a_verdict_that_is_said_twice_is_found() -> None:
    aletheia = read_until(APPROVED_LOG, APPROVED)
    assert aletheia.read(APPROVED) == []
    again = msgspec.structs.replace(APPROVED, seq=INTENDED.seq, id=derived_id("again"))
    assert findings(aletheia.read(again)) == ["verdict_mismatch"]


# -- Kenny lies ------------------------------------------------------------------------------------------------------

ORDER_LIES = {
    "client_order_id": "0" * 32,
    "instrument": "B",
    "side": "sell",
    "quantity": Decimal(101),
    "type": "market",
    "limit_price": Decimal("100.01"),
    "time_in_force": "gtc",
    "stop_price": Decimal("97.99"),
    "target_price": None,
    "reduces": True,
}


@pytest.mark.parametrize("field", ORDER_LIES)
def test_an_order_altered_in_any_field_is_found(field: str) -> None:
    altered = with_body(INTENDED, order=msgspec.structs.replace(ORDER, **{field: ORDER_LIES[field]}))
    assert findings(read_until(APPROVED_LOG, INTENDED).read(altered)) == ["order_altered"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("digest", "0" * 64), ("approval_position", 2), ("expires_ns", DAY_1_NS * 2), ("hold_micros", 1)],
)
def test_an_intent_that_rests_on_other_words_than_its_approval_is_found(field: str, value: Any) -> None:
    altered = with_body(INTENDED, **{field: value})
    assert findings(read_until(APPROVED_LOG, INTENDED).read(altered)) == ["order_altered"]


def test_an_order_without_an_approval_is_found() -> None:
    stranger = with_body(INTENDED, order=msgspec.structs.replace(ORDER, proposal_id="0" * 32))
    assert findings(read_until(APPROVED_LOG, INTENDED).read(stranger)) == ["order_unapproved"]
    before = read_until(APPROVED_LOG, APPROVED)
    assert findings(before.read(INTENDED)) == ["order_unapproved"]


def test_an_order_on_a_refusal_is_found() -> None:
    aletheia = read_until(REFUSED_LOG, REFUSAL)
    aletheia.read(REFUSAL)
    order = msgspec.structs.replace(ORDER, proposal_id=REFUSED["proposal_id"])
    assert findings(aletheia.read(with_body(INTENDED, order=order))) == ["order_unapproved"]


def test_a_second_order_on_the_same_approval_is_found() -> None:
    aletheia = read_until(APPROVED_LOG, INTENDED)
    assert aletheia.read(INTENDED) == []
    assert findings(aletheia.read(msgspec.structs.replace(INTENDED, seq=9, id=derived_id("x")))) == ["order_unapproved"]


def test_an_order_after_its_approval_was_withheld_is_found() -> None:
    aletheia = read_until(APPROVED_LOG, INTENDED)
    aletheia.read(an_envelope(OrderWithheld(ORDER.proposal_id, KEY, "rate_limited"), seq=7))
    assert findings(aletheia.read(INTENDED)) == ["order_unapproved"]


def test_a_reduction_is_approved_and_verified_without_its_bracket() -> None:
    log = Log()
    log.add(a_fill(an_order(stop_price=None, target_price=None)))
    rows = log.decided(a_proposal(log.observation.id, side="sell", stop_price=None, target_price=None))
    assert isinstance(rows[2].body, OrderIntended)
    aletheia = Aletheia()
    aletheia.read(*log.rows[: rows[0].seq - 1])  # the fill itself is unknown to her
    assert aletheia.read(*rows) == []


# -- causes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "log"),
    [(MADE, APPROVED_LOG), (APPROVED, APPROVED_LOG), (INTENDED, APPROVED_LOG)],
    ids=["proposal", "verdict", "intent"],
)
def test_a_step_that_names_another_cause_breaks_the_trace(row: Envelope, log: Log) -> None:
    """I6"""
    stray = msgspec.structs.replace(row, cause_id=log.rows[0].id)
    assert findings(read_until(log, row).read(stray)) == ["trace_broken"]


@pytest.mark.parametrize(("made_ns", "found"), [(DAY_1_NS - 1, []), (DAY_1_NS, ["trace_broken"])])
def test_what_is_proposed_upon_forgotten_observations_breaks_no_trace(made_ns: int, found: list[str]) -> None:
    """Whoever was held and is released speaks of what is long past; the rules refuse it for lack of evidence."""
    late = msgspec.structs.replace(MADE, cause_id=derived_id("forgotten"), ts_event_ns=made_ns)
    assert findings(read_until(APPROVED_LOG, MADE).read(late)) == found


@pytest.mark.parametrize("row", [MADE, APPROVED, INTENDED], ids=["proposal", "verdict", "intent"])
def test_a_step_that_leaves_the_trace_of_its_cause_breaks_it(row: Envelope) -> None:
    """I6: one trace from the observation to the order."""
    stray = msgspec.structs.replace(row, trace_id=derived_id("elsewhere"))
    assert findings(read_until(APPROVED_LOG, row).read(stray)) == ["trace_broken"]


def test_a_drill_needs_no_observation_as_its_cause() -> None:
    drill = msgspec.structs.replace(
        MADE,
        body=ProposalMade(MADE.body.proposal, is_drill=True),
        cause_id=derived_id("order"),  # type: ignore[union-attr]
    )
    assert read_until(APPROVED_LOG, MADE).read(drill) == []


# -- the venue -------------------------------------------------------------------------------------------------------


def executed(*bodies: AnyBody) -> Aletheia:
    """After the order was accepted."""
    aletheia = Aletheia()
    rows = [*bodies]
    aletheia.read(*APPROVED_LOG.rows, an_envelope(OrderAccepted(1, KEY), seq=7))
    aletheia.read(*[an_envelope(body, seq=8 + index) for index, body in enumerate(rows)])
    return aletheia


FILLED = a_fill(ORDER, venue_seq=2)


def test_fills_of_our_orders_and_legs_need_no_word() -> None:
    leg = a_fill(ORDER, venue_seq=3, client_order_id=leg_id(KEY, "stop"), leg="stop", side="sell")
    aletheia = executed(FILLED, leg, OrderCancelled(4, leg_id(KEY, "target"), "other_leg_filled"))
    assert findings([body for _, body in aletheia.said[1:]]) == []


@pytest.mark.parametrize(
    ("before", "fill"),
    [
        ((), a_fill(ORDER, venue_seq=2, client_order_id="0" * 32)),
        ((), a_fill(ORDER, venue_seq=2, client_order_id=leg_id(KEY, "stop"), leg="stop")),  # never armed
        ((FILLED,), a_fill(ORDER, venue_seq=3)),  # the entry is done
        ((OrderExpired(2, KEY),), a_fill(ORDER, venue_seq=3)),
        ((FILLED, OrderCancelled(3, leg_id(KEY, "stop"), "by_us")),
         a_fill(ORDER, venue_seq=4, client_order_id=leg_id(KEY, "stop"), leg="stop")),
    ],
)  # fmt: skip
def test_a_fill_of_an_order_that_does_not_stand_is_found(before, fill: OrderFilled) -> None:
    aletheia = executed(*before)
    assert findings(aletheia.read(an_envelope(fill, seq=20))) == ["fill_unknown"]


FEE = 1_000_000
CASH = 10**12 - 10**10 - FEE
LEGS = tuple(sorted([leg_id(KEY, "stop"), leg_id(KEY, "target")]))
HONEST = VenueStated(2, CASH, (PositionLine("A", 100 * 10**8),), LEGS)


def test_books_that_equal_the_statement_are_reconciled() -> None:
    aletheia = executed(FILLED)
    assert aletheia.read(an_envelope(HONEST, seq=20)) == [Reconciled(2, CASH, 10**12 - FEE, 1, 2)]


@pytest.mark.parametrize(
    "change",
    [
        {"cash_micros": CASH + 1},
        {"cash_micros": CASH - 1},
        {"positions": ()},
        {"positions": (PositionLine("A", 100 * 10**8 + 1),)},
        {"positions": (PositionLine("A", -100 * 10**8),)},
        {"positions": (PositionLine("A", 100 * 10**8), PositionLine("B", 1))},
        {"open_orders": ()},
        {"open_orders": LEGS[:1]},
        {"open_orders": (*LEGS, "x" * 32)},
        {"venue_seq": 3},
        {"venue_seq": 1},
    ],
)
def test_books_that_differ_by_a_micro_an_atom_or_an_order_are_found(change: dict[str, Any]) -> None:
    stated = msgspec.structs.replace(HONEST, **change)
    assert findings(executed(FILLED).read(an_envelope(stated, seq=20))) == ["books_differ"]


def slices(*numbers: int) -> list[Envelope]:
    return [an_envelope(SliceClosed(number, number), seq=100 + number) for number in numbers]


HELD = an_envelope(AgentHeld("hrm", MADE.seq, "quarantined", "watchdog", "it lied"), seq=100)
RELEASED = an_envelope(AgentReleased("hrm", "watchdog", "it answers again"), seq=200)


def test_a_held_hrm_withholds_nothing_and_what_it_says_when_it_is_released_is_verified() -> None:
    aletheia = read_until(REFUSED_LOG, REFUSAL)
    assert aletheia.read(HELD, *slices(1, 2, 3), RELEASED) == []
    assert isinstance(REFUSAL.body, Refused)
    assert aletheia.read(REFUSAL) == [Verified(REFUSAL.body.proposal_id, "refused")]


def test_what_a_released_hrm_says_is_compared_and_what_it_does_not_say_is_found() -> None:
    lied = read_until(REFUSED_LOG, REFUSAL)
    lied.read(HELD, *slices(1, 2, 3), RELEASED)
    assert findings(lied.read(with_body(REFUSAL, digest="0" * 64))) == ["verdict_mismatch"]
    silent = read_until(REFUSED_LOG, REFUSAL)
    silent.read(HELD, *slices(1, 2, 3), RELEASED)
    assert findings(silent.read(*slices(4))) == ["verdict_mismatch"]


def test_somebody_else_who_is_held_excuses_no_silence_of_hrm() -> None:
    aletheia = read_until(REFUSED_LOG, REFUSAL)
    held = an_envelope(AgentHeld("joey", MADE.seq, "late", "watchdog", "no answer"), seq=100)
    assert findings(aletheia.read(held, *slices(1))) == ["verdict_mismatch"]


def test_a_statement_is_wanted_every_so_many_slices_and_at_the_end() -> None:
    aletheia, wanted = Aletheia(), []
    for number in range(1, 2 * STATEMENT_EVERY_SLICES + 2):
        wanted += [(number, body) for body in aletheia.read(an_envelope(SliceClosed(number, number), seq=number))]
    every = STATEMENT_EVERY_SLICES
    assert wanted == [(every, StatementWanted(every)), (2 * every, StatementWanted(2 * every))]
    assert aletheia.read(an_envelope(SourceEnded(5), seq=999)) == [StatementWanted(2 * every + 1)]


# -- what follows ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "discrepancy",
    [
        lambda: read_until(APPROVED_LOG, APPROVED).read(with_body(APPROVED, position=1)),
        lambda: read_until(APPROVED_LOG, APPROVED).read(INTENDED),
        lambda: executed(FILLED).read(an_envelope(msgspec.structs.replace(HONEST, cash_micros=0), seq=20)),
        lambda: executed().read(an_envelope(a_fill(ORDER, client_order_id="0" * 32), seq=20)),
    ],
)
def test_after_a_discrepancy_no_lease_is_granted_any_more(discrepancy) -> None:
    """Permission ends until a person has looked."""
    now = [0]
    keeper = LeaseKeeper(an_inspection, lambda: now[0])
    grant = keeper.due(DAY_1_NS)
    assert grant is not None
    assert keeper.is_fresh()
    (found,) = discrepancy()
    keeper.found(an_envelope(found, seq=21))
    assert not keeper.is_fresh()
    assert [keeper.due(DAY_1_NS + n * SECOND_NS) for n in range(0, 100, 7)] == [None] * 15
    assert not keeper.is_fresh()


def test_every_verdict_that_hrm_gives_recomputes() -> None:
    """Two dockets, one log: what HRM holds and frees, she does too."""
    log, aletheia = Log(), Aletheia()
    for number in range(20):
        quantity = Decimal((number * 37) % 400 + 1)
        rows = log.decided(
            a_proposal(log.observation.id, proposal_id=f"{number:032x}", quantity=quantity, instrument="AB"[number % 2])
        )
        if number % 3 == 0 and isinstance(rows[-1].body, OrderIntended):
            log.add(OrderRejected(number, rows[-1].body.order.client_order_id, "no"), rows[-1], "kenny")
        if number % 4 == 0:
            log.add(an_observation(close=str(100 + number)))
    aletheia.read(*log.rows)
    verdicts = [row.body for row in log.rows if isinstance(row.body, Approved | Refused)]
    assert {type(body) for body in verdicts} == {Approved, Refused}
    assert all(judge(body.facts) == msgspec.structs.replace(body.verdict, nearest=None) for body in verdicts)
    assert not [body for _, body in aletheia.said if isinstance(body, DiscrepancyFound)]


# -- the kill switch -------------------------------------------------------------------------------------------------

OTHER_SIDE = "sell" if ORDER.side == "buy" else "buy"
CLOSED = a_fill(ORDER, venue_seq=3, client_order_id=f"{KILL_PREFIX}abcdefghijklmnop-0", side=OTHER_SIDE)


def a_halt(level: str = "flattening", scope: str = "global", name: str = "") -> HaltOrdered:
    return HaltOrdered(scope, name, level, "ann", "we look at it")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "fill", "is_known"),
    [
        ((FILLED, a_halt()), CLOSED, True),
        ((FILLED, a_halt(scope="instrument", name=ORDER.instrument)), CLOSED, True),
        ((FILLED, a_halt(scope="account", name="paper")), CLOSED, True),
        ((FILLED, a_halt()), replace(CLOSED, quantity=CLOSED.quantity / 2), True),
        ((FILLED,), CLOSED, False),  # nobody ordered it
        ((FILLED, a_halt("halted")), CLOSED, False),
        ((FILLED, a_halt(scope="instrument", name="OTHER")), CLOSED, False),
        ((FILLED, a_halt(scope="account", name="other")), CLOSED, False),
        ((FILLED, a_halt()), replace(CLOSED, client_order_id="0" * 32), False),  # not the kill switch's
        ((FILLED, a_halt()), replace(CLOSED, side=ORDER.side), False),  # it opens
        ((FILLED, a_halt()), replace(CLOSED, quantity=CLOSED.quantity * 2), False),  # it does more than reduce
        ((a_halt(),), replace(CLOSED, venue_seq=2), False),  # nothing was held
    ],
)
def test_a_fill_of_the_kill_switch_is_known_where_the_log_holds_its_order_and_it_only_reduces(
    before: tuple[AnyBody, ...], fill: OrderFilled, is_known: bool
) -> None:
    """Nothing is adopted silently (I8)."""
    found = findings(executed(*before).read(an_envelope(fill, seq=20)))
    assert found == ([] if is_known else ["fill_unknown"])


def test_orders_of_the_kill_switch_are_missing_in_no_statement() -> None:
    aletheia = executed(FILLED, a_halt())
    ours = aletheia.state.docket.book.statement()
    stated = replace(ours, open_orders=tuple(sorted((*ours.open_orders, f"{KILL_PREFIX}abcdefghijklmnop-0"))))
    assert findings(aletheia.read(an_envelope(stated, seq=20))) == []
    stated = replace(ours, open_orders=tuple(sorted((*ours.open_orders, "0" * 32))))
    assert findings(aletheia.read(an_envelope(stated, seq=21))) == ["books_differ"]
