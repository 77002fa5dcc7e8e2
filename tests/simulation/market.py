"""A market at 1 Hz: each second one quote, of one instrument after the other; some of it missing, or nonsense."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from random import Random

from agents.kyle.sources.port import Slice
from mutable_core.clock import SECOND_NS
from mutable_core.messages import Instrument, RowReceived
from mutable_core.money import ATOMS_PER_UNIT
from tests.simulation.script import INSTRUMENTS, Script, written

START_NS = 1_700_000_000 * SECOND_NS
"""Log time of the first second."""
DAY_UNITS = 1_000_000_000  # quotes alone show no day's volume
_CENT = ATOMS_PER_UNIT // 100
_DEPTH, _THIN = "10000000", "3000"


class SimulatedMarket:
    """Implements `Source`. A row that was read once is the same whenever it is read again."""

    def __init__(self, script: Script) -> None:
        self.name = "simulated"
        self.seed = script.seed
        self.is_public = True
        self.fingerprint = sha256(f"{script.seed} {script.seconds} {written(script.faults)}".encode()).hexdigest()
        self.instruments = tuple(
            Instrument(name, _CENT, ATOMS_PER_UNIT, DAY_UNITS * ATOMS_PER_UNIT) for name in INSTRUMENTS
        )
        self.rows: int | None = None
        self._moments = tuple(_moments(script, self.name))

    def slices(self, after_row: int) -> Iterator[Slice]:
        """Every row is its slice's only one."""
        return iter(self._moments[after_row:])

    def told_by(self, second: int) -> int:
        """How many rows the world has told when the second has begun."""
        end_ns = START_NS + second * SECOND_NS
        low, high = 0, len(self._moments)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self._moments[middle].ts_ns <= end_ns else (low, middle)
        return low


def _moments(script: Script, source: str) -> Iterator[Slice]:
    chance = Random(f"market {script.seed}")
    cents = dict.fromkeys(INSTRUMENTS, 10_000)
    spiked = dict.fromkeys(INSTRUMENTS, -_APART_S)  # when last: two in a row would confirm each other
    wrong: dict[tuple[str, str], int] = {}  # kind and instrument → rows or seconds left
    waiting = [fault for fault in script.faults if fault.kind in _WRONG]
    row, silent_until = 0, 0
    for second in range(script.seconds):
        while waiting and waiting[0].at <= second:
            fault = waiting.pop(0)
            if fault.kind == "gap":
                silent_until = second + fault.size
            elif fault.kind == "split":
                cents[fault.target] = (
                    cents[fault.target] * 3 if cents[fault.target] < 15_000 else cents[fault.target] // 3
                )
            elif fault.kind == "spike" and second - spiked[fault.target] < _APART_S:
                continue
            else:
                spiked[fault.target] = second
                wrong[fault.kind, fault.target] = fault.size
        name = INSTRUMENTS[second % len(INSTRUMENTS)]
        cents[name] = max(5_000, cents[name] + chance.choice((-2, -1, 0, 0, 1, 2)))
        if second < silent_until and second < script.calm:
            continue
        row += 1
        values = _values(name, cents[name], wrong)
        ts_ns = START_NS + second * SECOND_NS
        yield Slice(ts_ns, (RowReceived(source, row, "quote", name, ts_ns, 0, values),))


_APART_S = 30
_WRONG = ("gap", "split", "spike", "not_a_number", "crossed", "thin")


def _values(name: str, cents: int, wrong: dict[tuple[str, str], int]) -> tuple[str, ...]:
    kind = next((kind for kind in _WRONG[2:] if wrong.get((kind, name), 0) > 0), "")
    size = _DEPTH
    bid, ask = cents, cents + 1
    if kind:
        wrong[kind, name] -= 1
    match kind:
        case "spike":
            bid, ask = 3 * bid, 3 * ask
        case "crossed":
            bid, ask = ask + 5, bid
        case "thin":
            size = _THIN
        case "not_a_number":
            return ("NaN", "1e999", size, "-0", "")
        case _:
            pass
    return (f"{bid / 100:.2f}", f"{ask / 100:.2f}", size, size, "")
