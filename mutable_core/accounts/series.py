"""The NAV series: one value for each period of the log's time, or for each so many rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec

from mutable_core.accounts.folding import AccountLedger
from mutable_core.accounts.results import Nav, account_nav
from mutable_core.clock import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS
from mutable_core.errors import UnknownName
from mutable_core.messages import Envelope

_UNITS = {"s": SECOND_NS, "m": MINUTE_NS, "h": HOUR_NS, "d": DAY_NS}


class Every(msgspec.Struct, frozen=True):
    """How often: each `period_ns` of log time, or each `rows` rows; the other one is 0."""

    period_ns: int = 0
    rows: int = 0

    def number(self, envelope: Envelope) -> int:
        """Which period a row lies in. A period takes its end in, so that its value is the one *at* its end."""
        return -(-envelope.ts_seen_ns // self.period_ns) if self.period_ns else -(-envelope.seq // self.rows)


class Point(msgspec.Struct, frozen=True):
    """The account after the last row of a period.

    `ts_ns` is that row's; `until_ns` is the end of its period, or of the log where that comes first: nobody knows what is
    worth what after it. 0 where periods are counted in rows.
    """

    seq: int
    ts_ns: int
    until_ns: int
    nav: Nav


def every(text: str) -> Every:
    """`1d`, `12h`, `30m`, `10s`, or a number of rows.

    Raises:
        UnknownName: it is none of these.
    """
    found = re.fullmatch(r"([1-9][0-9]{0,8})([smhd]?)", text, re.ASCII)
    if found is None:
        raise UnknownName(f"`{text[:40]!a}` is no period", to_do="write `1d`, `1h`, `5m`, `10s`, or a number of rows")
    count, unit = int(found[1]), found[2]
    return Every(period_ns=count * _UNITS[unit]) if unit else Every(rows=count)


def series(ledger: AccountLedger, envelopes: Iterable[Envelope], often: Every) -> Iterator[Point]:
    """Folds the messages into `ledger`; one point for each period that has a row in the log, the last one included.

    The genesis row has no time of its own: a series by time begins with the first row that has.
    """
    open_period: int | None = None
    for envelope in envelopes:
        number = often.number(envelope) if envelope.ts_seen_ns or often.rows else None
        if open_period is not None and number is not None and number > open_period:
            yield _point(ledger, open_period, often)
            open_period = number
        if open_period is None:
            open_period = number
        ledger.take(envelope)
    if open_period is not None:
        last = _point(ledger, open_period, often)
        yield msgspec.structs.replace(last, until_ns=min(last.until_ns, last.ts_ns))


def _point(ledger: AccountLedger, number: int, often: Every) -> Point:
    return Point(ledger.seq, ledger.ts_ns, number * often.period_ns, account_nav(ledger))
