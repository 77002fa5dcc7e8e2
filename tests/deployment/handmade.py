"""A small market made by hand, and houses that run on it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

from agents.kyle.sources.port import Slice
from deployment.topology.house import House, genesis
from deployment.topology.state_dir import JOURNAL, VENUE
from mutable_core.clock import DAY_NS, SECOND_NS
from mutable_core.journal import checked_rows
from mutable_core.messages import Breach, DrillOrdered, Envelope, Instrument, RowReceived
from mutable_core.money import ATOMS_PER_UNIT
from mutable_core.settings import Settings, settings_from

CENT = ATOMS_PER_UNIT // 100
SPLIT_SLICE = 20
"""From this slice on, two units of B stand where one stood."""


class HandmadeSource:
    """Daily bars of A and B: A swings, B drifts and splits 2-for-1; every seventh row of A is no bar at all."""

    seed = 0
    is_public = True

    def __init__(self, slices: int = 40, *, name: str = "handmade") -> None:
        self.name = name
        self.instruments = (Instrument("A", CENT, ATOMS_PER_UNIT), Instrument("B", CENT, ATOMS_PER_UNIT))
        self._slices = [self._slice(number) for number in range(slices)]
        self.rows: int | None = 2 * slices
        self.fingerprint = sha256(repr(self._slices).encode()).hexdigest()

    def _slice(self, number: int) -> Slice:
        start = (20_000 + number) * DAY_NS
        a = Decimal(100) + (number * 7 % 11) - Decimal(number % 3) / 4
        b = Decimal(80 + number % 5) / (2 if number >= SPLIT_SLICE else 1)
        adjusted = b if number >= SPLIT_SLICE else b / 2
        rows = (
            self._bar(2 * number + 1, "A", start, a, "", broken=number % 7 == 6),
            self._bar(2 * number + 2, "B", start, b, str(adjusted)),
        )
        return Slice(start + DAY_NS, rows)

    def _bar(
        self, row: int, symbol: str, start: int, close: Decimal, adjusted: str, *, broken: bool = False
    ) -> RowReceived:
        high, low = close + 1, close - 1
        volume = "400" if row % 9 == 0 else "500000"  # little volume fills an order in part only
        values = ("nonsense" if broken else str(close), str(high), str(low), str(close), volume, adjusted)
        return RowReceived(self.name, row, "bar", symbol, start, DAY_NS, values)

    def slices(self, after_row: int) -> Iterator[Slice]:
        for moment in self._slices:
            rows = tuple(row for row in moment.rows if row.row > after_row)
            if rows:
                yield Slice(moment.ts_ns, rows)


def trading(**changes: str) -> Settings:
    """In at one bar, out at the next, in both instruments: as many orders as a small market gives."""
    return settings_from({"ARK_STRATEGIES": "alternating"} | changes)


def a_house(folder: Path, source: HandmadeSource | None = None, settings: Settings | None = None) -> House:
    folder.mkdir(exist_ok=True)
    source = source or HandmadeSource()
    return House(folder, source, genesis(settings or trading(), source, SECOND_NS))


def run(folder: Path, source: HandmadeSource | None = None, **changes: Any) -> str:
    """To the end; the journal's head."""
    house = a_house(folder, source, **changes)
    house.start()
    finished(house)
    return closed(house)


def finished(house: House) -> None:
    for moment in house.slices():
        house.turn(moment)
    house.end()


def closed(house: House) -> str:
    house.close()
    return head_of(house.journal.path)


def head_of(path: Path) -> str:
    return list(checked_rows(path))[-1].head.hex()


def envelopes(folder: Path) -> list[Envelope]:
    return [checked.envelope for checked in checked_rows(folder / JOURNAL)]


def copied(folder: Path, to: Path) -> Path:
    """What a crash at this moment would leave on the disk: what was written, as it is."""
    to.mkdir()
    for path in folder.iterdir():
        if path.name.startswith((JOURNAL, VENUE)):
            shutil.copyfile(path, to / path.name)
    return to


def drilled(folder: Path, breaches: tuple[Breach, ...], *, source: HandmadeSource | None = None) -> None:
    """A run with a drill after every eighth slice."""
    house = a_house(folder, source)
    house.start()
    left = list(breaches)
    for number, moment in enumerate(house.slices(), 1):
        house.turn(moment)
        if number % 8 == 0 and left:
            house.drill(DrillOrdered(left.pop(0)), number)
    assert not left
    house.end()
    house.close()
