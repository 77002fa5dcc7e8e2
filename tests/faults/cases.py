"""Small markets in which much happens to orders, what comes of them undisturbed, and what must hold after a fault.

Between them the two send entries and exits, fill stops and targets, cancel the leg that is left, let orders expire, and
withdraw what still works at the end. A *replace* is a withdrawal and a new order in this house: no venue is asked for
more.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

from mutable_core.errors import JournalBroken, MalformedSource
from mutable_core.journal import checked_rows
from mutable_core.messages import CancelIntended, OrderCancelled, OrderExpired, OrderFilled, OrderIntended
from tests.faults.nursery import Death, Nursery
from tests.faults.processes import (
    Outcome,
    assert_exactly_once,
    assert_nothing_sent_undurable,
    envelopes_of,
    journal_of,
    outcome,
)
from tests.faults.syscalls import Plan

HEADER = "date,symbol,open,high,low,close,volume"


def _line(day: int, symbol: str, *cents: int) -> str:
    values = ",".join(f"{one // 100}.{one % 100:02d}" for one in cents)
    return f"{date(2015, 1, 1) + timedelta(days=day)},{symbol},{values},500000"


def wild_bars(path: Path, days: int = 6) -> Path:
    """Two instruments, an order at every bar; one bar in four falls far enough for a stop."""
    chance, prices, lines = Random(2), [10_000, 20_000], [HEADER]
    for day in range(days):
        for number in range(2):
            begin = prices[number]
            end = begin * (1000 + chance.choice((-15, -5, 5, 15))) // 1000
            low = min(begin, end) * (96 if chance.randrange(4) == 0 else 100) // 100
            lines.append(_line(day, f"S{number}", begin, max(begin, end), low, end))
            prices[number] = end
    path.write_text("\n".join(lines) + "\n")
    return path


def rising_bars(path: Path) -> Path:
    """One instrument that breaks out after three quiet weeks, and runs into one target after the other."""
    chance, price, lines = Random(1), 10_000, [HEADER]
    for day in range(34):
        end = price * (1000 + chance.randrange(-4, 5)) // 1000 if day < 24 else price * 103 // 100
        high, low = max(price, end) * 1004 // 1000, min(price, end) * 996 // 1000
        lines.append(_line(day, "S0", price, high, low, end))
        price = end
    path.write_text("\n".join(lines) + "\n")
    return path


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    """A new folder on a file system that needs no disk, where there is one: for faults that the disk has no part in."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="ark-", dir=shared if shared.is_dir() else None) as folder:
        yield Path(folder)


class Case:
    """One market, and its undisturbed run: `outcome`, `rows` as they are in the journal, and the `calls` it took."""

    def __init__(self, nursery: Nursery, folder: Path, bars: Path, strategy: str) -> None:
        self._nursery, self._words = nursery, ("run", "--until-end", "--json", "--source", f"file:{bars}")
        self._settings = {"ARK_STRATEGIES": strategy}
        self.state = folder / "undisturbed"
        ran = self.run(self.state, plan=Plan(below=str(self.state)))
        assert ran.code == 0, ran.err
        self.calls = ran.calls
        self.journal = journal_of(self.state)
        self.outcome: Outcome = outcome(self.journal)
        self.rows = [checked.row for checked in checked_rows(self.journal)]
        assert_exactly_once(self.outcome)

    def run(self, state: Path, *words: str, brief: bool = True, **birth: Any) -> Death:
        """One process on that state folder, to its end or its fault."""
        told = (*self._words, "--state", str(state), *words)
        return self._nursery.ark(*told, settings=self._settings, brief=brief, **birth)

    def assert_whole_prefix(self, state: Path, ran: Death) -> int:
        """What is on the disk is a beginning of what would have been, and nothing promised is missing; returns its rows.

        Nothing is at the venue that is not on the disk (I3).
        """
        found = list(state.glob("*/journal.sqlite"))
        rows = self._rows_in(found[0]) if found else []
        assert rows == self.rows[: len(rows)], "rows that nobody wrote"
        assert len(rows) >= ran.acknowledged, f"{ran.acknowledged} rows were acknowledged, {len(rows)} are there"
        if rows and found[0].with_name("venue.log").exists():
            assert_nothing_sent_undurable(found[0])
        return len(rows)

    def _rows_in(self, journal: Path) -> list[bytes]:
        try:
            return [checked.row for checked in checked_rows(journal)]
        except (MalformedSource, JournalBroken):
            if journal.with_name("venue.log").exists():
                raise
            return []  # it ended while it made the file, before the first row

    def assert_ends_the_same(self, state: Path) -> None:
        """On a healthy disk it goes on, and nobody could tell: nothing lost, nothing twice (I4, I7)."""
        ran = self.run(state)
        assert ran.code == 0, ran.err
        self.assert_same(state)

    def assert_same(self, state: Path) -> None:
        found = outcome(journal_of(state))
        assert found == self.outcome
        assert_exactly_once(found)


def kinds_in(journal: Path) -> set[str]:
    """What happened to orders there."""
    found = set()
    for envelope in envelopes_of(journal):
        body = envelope.body
        leg = getattr(body, "client_order_id", "").partition(".")[2]
        match body:
            case OrderIntended():
                found.add("sent")
            case OrderFilled():
                found.add(f"{leg or 'order'} filled")
            case OrderCancelled(reason=reason):
                found.add(f"{leg or 'order'} cancelled: {reason}")
            case OrderExpired():
                found.add("expired")
            case CancelIntended(reason=reason):
                found.add(f"withdrawn: {reason}")
    return found
