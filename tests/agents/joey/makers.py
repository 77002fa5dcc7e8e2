"""Makers for Joey's tests: histories, messages, and a trading floor that feeds him."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from agents.joey import AGENT
from agents.joey.history import WINDOW, History
from agents.runtime.agent import Say, Step
from graveyard.words import Facts, Verdict
from mutable_core.ids import derived_id
from mutable_core.messages import (
    ALWAYS,
    AnyBody,
    Bar,
    Breach,
    CorporateActionObserved,
    DrillOrdered,
    Envelope,
    Instrument,
    Mandate,
    NothingProposed,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderSpec,
    ProposalMade,
    Quote,
    Refused,
    SliceClosed,
)
from tests.makers import a_run, an_observation, some_grounds

DAY = 86_400 * 10**9
SECOND = 10**9
CENT = 10**6
UNIT = 10**8


def a_history(close: Sequence[float], *, spread: float = 1.0, volume: float = 1000.0) -> History:
    """Bars that reach `spread` above and below their closes."""
    close = tuple(close)[-WINDOW:]
    return History(
        len(close),
        tuple(c + spread for c in close),
        tuple(c - spread for c in close),
        close,
        tuple(volume for _ in close),
    )


def a_bar(close: str | Decimal, *, spread: str = "1", volume: str = "1000000") -> Bar:
    at, reach = Decimal(close), Decimal(spread)
    return Bar(at, at + reach, at - reach, at, Decimal(volume))


def a_quote(mid: str | Decimal) -> Quote:
    half, size = Decimal("0.01"), Decimal(1_000_000)
    return Quote(Decimal(mid) - half, Decimal(mid) + half, size, size)


def a_mandate(
    *strategies: str, instruments: tuple[str, ...] = ("AAA", "BBB"), sides: tuple[str, ...] = ("buy", "sell")
) -> Mandate:
    return Mandate(instruments, strategies, sides, ALWAYS, 10**15)


NO_FACTS = Facts(**dict.fromkeys(Facts.__struct_fields__))
NO_VERDICT = Verdict(approved=False, heard=1, ruleset="0" * 64, violations=())


class Floor:
    """Feeds Joey one message after another and keeps what he says, with the state before and after."""

    def __init__(
        self,
        mandate: Mandate,
        *,
        tick_bar_ns: int = 60 * SECOND,
        cash_micros: int = 1_000_000 * 10**6,
        tick_atoms: int = CENT,
        lot_atoms: int = UNIT,
        day_volume_atoms: int = 10**16,
    ) -> None:
        self.state = AGENT.first_state
        self.said: list[Say] = []
        self.heard: list[Envelope] = []
        self.ts_ns = 0
        traded = tuple(Instrument(name, tick_atoms, lot_atoms, day_volume_atoms) for name in ("AAA", "BBB", "CCC"))
        self.hear(
            a_run(
                tick_bar_ns=tick_bar_ns,
                account="acct",
                cash_micros=cash_micros,
                instruments=traded,
                mandate=mandate,
            )
        )

    def hear(self, body: AnyBody) -> Step:
        seq = len(self.heard) + 1
        own = derived_id("test", str(seq))
        envelope = Envelope(seq, own, "test", own, own, 0, self.ts_ns, self.ts_ns, body)
        step = AGENT.decide(self.state, envelope)
        self.heard.append(envelope)
        self.state = step.state
        self.said.extend(step.says)
        return step

    def observe(self, market: Bar | Quote, instrument: str = "AAA", interval_ns: int = DAY) -> Envelope:
        self.hear(
            an_observation(
                instrument,
                row=len(self.heard),
                interval_ns=interval_ns if isinstance(market, Bar) else 0,
                market=market,
            )
        )
        return self.heard[-1]

    def close_slice(self) -> tuple[Say, ...]:
        return self.hear(SliceClosed(self.ts_ns, len(self.heard))).says

    def bar(
        self, close: str | Decimal | float, instrument: str = "AAA", *, spread: str = "1", volume: str = "1000000"
    ) -> tuple[Say, ...]:
        """The next day: one bar, and its slice."""
        self.ts_ns += DAY
        self.observe(a_bar(str(close), spread=spread, volume=volume), instrument)
        return self.close_slice()

    def quote(self, mid: str, *, after_ns: int = SECOND) -> tuple[Say, ...]:
        self.ts_ns += after_ns
        self.observe(a_quote(mid))
        return self.close_slice()

    def refuse(self, proposal_id: str, instrument: str = "AAA") -> None:
        self.hear(Refused(proposal_id, instrument, "d" * 64, 1, NO_FACTS, NO_VERDICT, some_grounds()))

    def fill(self, made: ProposalMade) -> None:
        """The proposal becomes an order that fills whole at its limit."""
        order = self.intend(made)
        self.hear(
            OrderFilled(
                len(self.heard), order.client_order_id, order.instrument, "entry", order.side,
                made.proposal.limit_price, order.quantity, 0, Decimal(0),
            )
        )  # fmt: skip

    def expire(self, made: ProposalMade) -> None:
        self.hear(OrderExpired(len(self.heard), self.intend(made).client_order_id))

    def intend(self, made: ProposalMade) -> OrderSpec:
        p = made.proposal
        order = OrderSpec(
            derived_id("order", p.proposal_id), p.proposal_id, p.instrument, p.side, p.quantity, "limit",
            p.limit_price, "next_bar", p.stop_price, p.target_price, p.stop_price is None,
        )  # fmt: skip
        self.hear(OrderIntended(order, "d" * 64, 1, self.ts_ns + DAY, 0))
        return order

    def split(self, numerator: int, denominator: int = 1, *, cash: str = "0", instrument: str = "AAA") -> None:
        self.hear(CorporateActionObserved(instrument, numerator, denominator, Decimal(cash), "adjusted_close"))

    def drill(self, breach: Breach) -> tuple[Say, ...]:
        return self.hear(DrillOrdered(breach)).says


def proposals(says: Sequence[Say]) -> list[ProposalMade]:
    return [say.body for say in says if isinstance(say.body, ProposalMade)]


def reasons(says: Sequence[Say]) -> list[str]:
    return [say.body.reason for say in says if isinstance(say.body, NothingProposed)]
