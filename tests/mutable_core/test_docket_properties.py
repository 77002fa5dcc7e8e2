"""What holds for every log: dockets that read the same agree, no act makes the facts raise, sane acts have sane facts."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.aletheia import AGENT as ALETHEIA
from agents.hrm import AGENT as HRM
from graveyard.ethics import FACT_BOUNDS
from graveyard.judge import judge
from graveyard.words import Evidence, Facts, Proposal
from mutable_core.clock import DAY_NS, MINUTE_NS, SECOND_NS
from mutable_core.docket import ANSWERS
from mutable_core.ids import client_order_id, derived_id
from mutable_core.messages import (
    AnyBody,
    ApprovalAwaited,
    Approved,
    BroadcastPublished,
    CatalystFiled,
    ConsentRecorded,
    CorporateActionObserved,
    DiscrepancyFound,
    DrillOrdered,
    Envelope,
    HaltOrdered,
    OperationAsked,
    OrderCancelled,
    OrderExpired,
    OrderIntended,
    ProposalMade,
    Quote,
    SignalDeclared,
    SliceClosed,
    SnapshotTaken,
    SourceEnded,
    Trade,
    VetoLifted,
    VetoSet,
    decode,
    encode,
)
from tests.makers import (
    DAY_1_NS,
    a_bar,
    a_fill,
    a_lease,
    a_mandate,
    a_proposal,
    a_run,
    an_envelope,
    an_observation,
    an_order,
)
from tests.mutable_core.docket_log import Log, a_market
from tests.people import PEOPLE, signed

# -- any sequence of messages -----------------------------------------------------------------------------------------

NAMES, SIDES = ("A", "A", "A", "B", "NOSUCH"), ("buy", "buy", "sell")
PRICES = ("99.8", "100", "100", "100.2", "100.26", "101", "0")
SCOPES = (("global", ""), ("account", "paper"), ("strategy", "test"), ("instrument", "A"))

ACTS: dict[str, tuple[int, Callable[[Random], Any]]] = {  # how often, and with what
    "observe": (4, lambda r: (r.choice(NAMES), r.choice(PRICES), r.choice(("test", "second")), r.random() < 0.9)),
    "quote": (1, lambda r: (r.choice(NAMES), r.choice(PRICES))),
    "trade": (1, lambda r: (r.choice(NAMES), r.randint(1, 10**6))),
    "wait": (3, lambda r: r.choice((1, SECOND_NS, MINUTE_NS, MINUTE_NS, 5 * MINUTE_NS, DAY_NS))),
    "lease": (1, lambda r: r.choice(({}, {"venue_is_up": False}, {"seal_faults": ("x",)}, {"kill_path_is_up": False}))),
    "propose": (
        9, lambda r: (r.randint(0, 9), r.choice(NAMES), r.choice(SIDES), r.choice((100, 400, 600, 1_001)), r.random() < 0.9),
    ),
    "sign": (9, lambda r: (r.randint(0, 9), r.choice(("bob", "eve", "ann", "mallory")))),
    "operate": (
        4, lambda r: (r.choice(("resume", "resume", "mode_change", "withdrawal", "override_change")), r.choice(SCOPES)),
    ),
    "halt": (1, lambda r: (r.choice(SCOPES), r.choice(("reduce_only", "halted")))),
    "veto": (1, lambda r: r.choice(SCOPES)),
    "unveto": (2, lambda r: r.choice(SCOPES)),
    "fill": (3, lambda r: r.randint(0, 9)),
    "end": (1, lambda r: (r.randint(0, 9), r.choice(("expired", "by_us")))),
    "slice": (2, lambda _: None),
    "split": (1, lambda r: r.choice(((2, 1), (1, 3), (1, 1)))),
    "tell": (
        2,
        lambda r: r.choice(
            (
                CatalystFiled("A", "8-K"), BroadcastPublished("A", "t"), SignalDeclared("p", "A", "buy"), SnapshotTaken("s"),
                ConsentRecorded("ann", "trading", 10**19), ConsentRecorded("ann", "trading", 0), DrillOrdered("no_stop"),
                SourceEnded(1),
            )
        ),
    ),
}  # fmt: skip


def a_story(seed: int) -> list[tuple[str, Any]]:
    """Forty acts, by chance, the same for the same seed."""
    chance = Random(seed)
    names = chance.choices(list(ACTS), [often for often, _ in ACTS.values()], k=40)
    return [(name, ACTS[name][1](chance)) for name in names]


STORIES = st.integers(0, 2**32).map(a_story)
RUN = a_run(people=PEOPLE, owner="ann", mandate=a_mandate(day_notional_micros=10**15))


class House:
    """HRM and Aletheia read one log; HRM's answers stand in it, in the trace of what they answer."""

    def __init__(self) -> None:
        self.hrm, self.aletheia = HRM.first_state, ALETHEIA.first_state
        self.rows: list[Envelope] = []
        self.said: list[AnyBody] = []
        self.now_ns = DAY_1_NS
        for body in (RUN, a_lease(), ConsentRecorded("ann", "trading", 10**19), an_observation(), an_observation("B")):
            self.append(body)

    def append(self, body: AnyBody, cause: Any = None) -> Envelope:
        seq = len(self.rows) + 1
        traced = {} if cause is None else {"trace_id": cause.trace_id, "cause_id": cause.id, "depth": cause.depth + 1}
        row = an_envelope(body, seq=seq, ts_ns=self.now_ns, **traced)
        assert decode(encode(row)) == row
        self.rows.append(row)
        if type(body) in ALETHEIA.spec.hears:
            step = ALETHEIA.decide(self.aletheia, row)
            self.aletheia = step.state
            self.said += [say.body for say in step.says]
        if type(body) in HRM.spec.hears:
            answered = HRM.decide(self.hrm, row)
            self.hrm = answered.state
            for say in answered.says:
                self.append(say.body, say.cause or row)
        return row

    def those(self, kind: type) -> list[Envelope]:
        return [row for row in self.rows if type(row.body) is kind]

    def act(self, name: str, what: Any) -> None:
        getattr(self, f"_{name}")(what)

    def _observe(self, what: Any) -> None:
        name, price, source, attested = what
        self.append(an_observation(name, price, source=source, attested=attested))

    def _quote(self, what: Any) -> None:
        name, price = what
        at = Decimal(price)
        self.append(an_observation(name, interval_ns=0, market=Quote(at, at + 1, Decimal(10), Decimal(10))))

    def _trade(self, what: Any) -> None:
        name, size = what
        self.append(an_observation(name, interval_ns=0, market=Trade(Decimal(100), Decimal(size))))

    def _wait(self, ns: int) -> None:
        self.now_ns += ns
        self.append(a_lease(self.now_ns))

    def _lease(self, found: dict[str, Any]) -> None:
        self.append(a_lease(self.now_ns, **found))

    def _propose(self, what: Any) -> None:
        number, name, side, quantity, has_stop = what
        sign = 1 if side == "buy" else -1
        levels = {"stop_price": Decimal(100 - 2 * sign) if has_stop else None, "target_price": Decimal(100 + 4 * sign)}
        cause = self.rows[3 + number % 2]
        proposal = a_proposal(
            cause.id, proposal_id=f"{number:032x}", instrument=name, side=side, quantity=Decimal(quantity), **levels
        )
        self.append(ProposalMade(proposal), cause)

    def _sign(self, what: Any) -> None:
        which, person = what
        waiting = self.those(ApprovalAwaited)
        if waiting:
            self.append(signed(waiting[which % len(waiting)], person))

    def _operate(self, what: Any) -> None:
        operation, (scope, name) = what
        operation_id = derived_id(operation, scope, str(len(self.rows)))
        self.append(OperationAsked(operation_id, operation, scope, name, "ann", "a person asks for this"))

    def _halt(self, what: Any) -> None:
        (scope, name), level = what
        self.append(HaltOrdered(scope, name, level, "ann", "stop"))

    def _veto(self, what: Any) -> None:
        self.append(VetoSet(*what, "ann", "no"))

    def _unveto(self, what: Any) -> None:
        self.append(VetoLifted(*what, "ann"))

    def _fill(self, which: int) -> None:
        """The next approval becomes an order that fills whole."""
        approved = self.those(Approved)
        if not approved:
            return
        row = approved[which % len(approved)]
        body = row.body
        assert isinstance(body, Approved)
        order = an_order(
            client_order_id=client_order_id(body.proposal_id), proposal_id=body.proposal_id, instrument=body.instrument
        )
        self.append(OrderIntended(order, body.digest, row.seq, body.expires_ns, body.hold_micros), row)
        self.append(a_fill(order, venue_seq=len(self.rows)))

    def _end(self, what: Any) -> None:
        which, how = what
        intended = self.those(OrderIntended)
        if intended:
            body = intended[which % len(intended)].body
            assert isinstance(body, OrderIntended)
            key = body.order.client_order_id
            self.append(OrderExpired(len(self.rows), key) if how == "expired" else OrderCancelled(1, key, "by_us"))

    def _slice(self, _what: None) -> None:
        self.append(SliceClosed(self.now_ns, len(self.rows)))

    def _split(self, ratio: tuple[int, int]) -> None:
        self.append(CorporateActionObserved("A", *ratio, Decimal(0), "inferred"))

    def _tell(self, body: AnyBody) -> None:
        self.append(body)


@given(STORIES)
@settings(max_examples=80, deadline=None)
def test_hrm_and_aletheia_agree_after_any_sequence_of_messages(story: list[tuple[str, Any]]) -> None:
    """I7: two dockets, one log; she confirms every answer, and waits for none that HRM has not given."""
    house = House()
    for name, what in story:
        house.act(name, what)
        assert house.aletheia.docket == house.hrm, name
    mismatches = [x for x in house.said if isinstance(x, DiscrepancyFound) and x.finding == "verdict_mismatch"]
    assert mismatches == []
    assert not house.aletheia.undecided


def test_the_stories_reach_every_answer() -> None:
    """A property over stories in which nothing happens would hold of anything."""
    seen: set[type] = set()
    for seed in range(40):
        house = House()
        for name, what in a_story(seed):
            house.act(name, what)
        seen |= {type(row.body) for row in house.rows}
    assert set(ANSWERS) <= seen


@given(STORIES)
@settings(max_examples=40, deadline=None)
def test_what_was_approved_is_within_the_limits_whatever_happened_before(story: list[tuple[str, Any]]) -> None:
    """Every approval follows from its facts; opened above 5 % of equity only with a person; never under a halt."""
    house = House()
    for name, what in story:
        house.act(name, what)
    for row in house.those(Approved):
        body = row.body
        assert isinstance(body, Approved)
        facts = body.facts
        assert judge(facts).approved
        if facts.is_opening:
            assert facts.halt_level == 0
            assert (facts.exposure_after_micros or 0) * 10 <= (facts.equity_micros or 0)
            assert facts.people or (facts.order_notional_micros or 0) * 20 <= (facts.equity_micros or 0)
            assert len(body.grounds.people) == facts.people


# -- any act ----------------------------------------------------------------------------------------------------------

NUMBERS = st.one_of(
    st.decimals(allow_nan=True, allow_infinity=True),
    st.sampled_from([Decimal(x) for x in ("0", "-0", "sNaN", "1E+999999", "-1E+400", "1E-999999", "9E+14", "1E+15")]),
)
TEXTS = st.one_of(st.text(max_size=40), st.sampled_from(["", "A", "paper", "test", "\x00", "🦆" * 600, "a" * 5_000]))
EVIDENCE = st.lists(st.builds(Evidence, TEXTS, TEXTS, NUMBERS), max_size=4).map(tuple)
ANYTHING = st.builds(
    Proposal,
    proposal_id=TEXTS,
    account=TEXTS,
    strategy=TEXTS,
    instrument=st.one_of(st.just("A"), TEXTS),
    side=st.sampled_from(["buy", "sell"]),
    quantity=NUMBERS,
    limit_price=NUMBERS,
    stop_price=st.none() | NUMBERS,
    target_price=st.none() | NUMBERS,
    reason=TEXTS,
    evidence=EVIDENCE,
)


@given(ANYTHING)
@settings(max_examples=150, deadline=None)
def test_whatever_an_act_holds_it_gets_an_answer_that_can_stand_in_the_journal(proposal: Proposal) -> None:
    """I2, I3: nothing raises, nothing absurd passes, and what was answered can be written down and read back."""
    log, _ = a_market()
    log.hear(ProposalMade(proposal))
    for row in log.rows[-2:]:
        again = decode(encode(row))
        assert encode(again) == encode(row)
    said = log.said[0]
    assert not isinstance(said, Approved) or proposal.instrument == "A"


@given(TEXTS, TEXTS, TEXTS)
@settings(max_examples=60, deadline=None)
def test_whatever_an_operation_says_it_gets_an_answer(operation_id: str, name: str, reason: str) -> None:
    log, _ = a_market(run=RUN)
    log.hear(OperationAsked(operation_id, "resume", "instrument", name, "ann", reason))
    assert len(log.said) == 1
    row = log.rows[-1]
    assert decode(encode(row)) == row


SANE = st.fixed_dictionaries(
    {
        "quantity": st.decimals("0.00000001", 10**4, places=8),
        "limit_price": st.decimals("0.00000001", 10**6, places=8),
        "stop_price": st.none() | st.decimals("0.00000001", 10**6, places=8),
        "target_price": st.none() | st.decimals("0.00000001", 10**6, places=8),
        "side": st.sampled_from(["buy", "sell"]),
        "instrument": st.sampled_from(["A", "B", "C", "NOSUCH"]),
    }
)


@given(SANE, st.integers(0, 10**17), st.decimals("0.01", 10**6, places=2), st.integers(0, 10**12))
@settings(max_examples=100, deadline=None)
def test_the_facts_of_sane_acts_are_in_the_admissible_space_or_missing(
    changes: dict[str, Any], later_ns: int, close: Decimal, volume: int
) -> None:
    """Outside it they would refuse like missing ones, and an honest house would stand still."""
    log = Log(a_fill(an_order(), fee_micros=0), run=RUN)
    seen = log.hear(an_observation(market=a_bar(str(close), volume=str(volume)))).id
    log.hear(an_observation("B", source="second"))
    log.later(later_ns)
    facts = log.ask(a_proposal(seen, **changes)).facts
    for name, bound in FACT_BOUNDS.items():
        value = getattr(facts, name)
        assert value is None or bound.low <= value <= bound.high, name


@pytest.mark.parametrize("kind", ["order", "operation"])
def test_facts_are_integers_or_missing_and_nothing_else(kind: str) -> None:
    log, good = a_market(run=RUN)
    log.hear(
        ProposalMade(a_proposal(good)) if kind == "order" else OperationAsked("1", "resume", "global", "", "ann", "")
    )
    found = log.said[0].facts  # type: ignore[union-attr]
    assert {type(getattr(found, name)) for name in Facts.__struct_fields__} == {int}
