"""Makers of rows, and a Kyle that listens to them."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from agents.kyle.agent import AGENT
from agents.kyle.sources.port import Source
from mutable_core.clock import DAY_NS
from mutable_core.messages import (
    CorporateActionObserved,
    Envelope,
    InputRejected,
    Instrument,
    Mandate,
    Observed,
    RowReceived,
    RunStarted,
)

REAL_DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data"
CENT = 1_000_000
UNIT = 100_000_000


def an_envelope(body, seq=1):
    return Envelope(seq, f"{seq:032x}", "kyle", f"{seq:032x}", f"{seq:032x}", 0, 1, 1, body)


def a_start(instruments, source="test " + "0" * 64, *, public=True):
    return RunStarted(
        mode="PAPER", build="", ruleset="", proofs="", source_is_public=public, source=source.partition(" ")[0], source_sha256=source.partition(" ")[2],
        seed=0, tick_bar_ns=60_000_000_000, account="paper",
        currency="USD", cash_micros=0, instruments=tuple(instruments), mandate=Mandate((), (), (), (), 0),
    )  # fmt: skip


class Listening:
    """Kyle with his state, and what he has said since the run began."""

    def __init__(
        self, instruments: Iterable[Instrument], source: str = "test " + "0" * 64, *, public: bool = True
    ) -> None:
        self.state = AGENT.decide(AGENT.first_state, an_envelope(a_start(instruments, source, public=public))).state
        self.seq = 1
        self.said: list[object] = []

    def hear(self, row: RowReceived) -> tuple[object, ...]:
        self.seq += 1
        step = AGENT.decide(self.state, an_envelope(row, self.seq))
        self.state = step.state
        bodies = tuple(say.body for say in step.says)
        self.said += bodies
        return bodies

    def hear_all(self, rows: Iterable[RowReceived]) -> Listening:
        for row in rows:
            self.hear(row)
        return self

    @property
    def accepted(self) -> list[Observed]:
        return [x for x in self.said if isinstance(x, Observed)]

    @property
    def rejected(self) -> list[InputRejected]:
        return [x for x in self.said if isinstance(x, InputRejected)]

    @property
    def reasons(self) -> list[str]:
        return [x.reason for x in self.rejected]

    @property
    def actions(self) -> list[CorporateActionObserved]:
        return [x for x in self.said if isinstance(x, CorporateActionObserved)]


class House(msgspec.Struct):
    """What the tests of this folder ask for."""

    def listening(self, *symbols: str) -> Listening:
        return Listening(Instrument(symbol, CENT, UNIT) for symbol in symbols or ("IBM",))

    def listening_privately(self, *symbols: str) -> Listening:
        """To a source whose rows are not public."""
        return Listening((Instrument(symbol, CENT, UNIT) for symbol in symbols or ("IBM",)), public=False)

    def listening_to(self, source: Source) -> Listening:
        return Listening(source.instruments, f"{source.name} {source.fingerprint}")

    def bar(self, close="100", *, day=1, row=1, symbol="IBM", adjusted="", volume="1000", **prices) -> RowReceived:
        o, h, low = (prices.get(name, close) for name in ("first", "high", "low"))
        values = (o, h, low, close, volume, adjusted)
        return RowReceived("test", row, "bar", symbol, day * DAY_NS, DAY_NS, values)

    def quote(self, bid="99.99", ask="100.01", *, at=1, row=1, exchange="", sizes=("1", "2"), **more) -> RowReceived:
        values = (bid, ask, *sizes, exchange)
        return RowReceived("test", row, "quote", more.get("symbol", "IBM"), at, 0, values)

    def trade(self, price="100", *, at=1, row=1, size="10", suspicious=False) -> RowReceived:
        return RowReceived("test", row, "trade", "IBM", at, 0, (price, size, "N"), suspicious)

    def rows(self, source: Source, after_row: int = 0) -> list[RowReceived]:
        return [row for part in source.slices(after_row) for row in part.rows]

    def real_file(self, name: str) -> Path:
        path = REAL_DATA / name
        if not path.exists():
            pytest.skip(f"the recorded market data is not there: {name}")
        return path


@pytest.fixture(scope="session")
def house() -> House:
    return House()


def is_clean(observed: Observed, tick: Decimal) -> bool:
    market = observed.market
    prices = [getattr(market, x) for x in ("open", "high", "low", "close", "bid", "ask", "price") if hasattr(market, x)]
    return all(x.is_finite() and x > 0 and x % tick == 0 for x in prices)


@pytest.fixture(scope="session")
def clean():
    return is_clean
