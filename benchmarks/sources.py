"""A market made for measuring: its observations lead to decisions that are approved, placed, filled and verified.

Pairs of instruments take turns: in one moment a pair is bought, in the next it is sold, while the next pair is bought.
The pace of market time keeps every rule satisfied: 60 actions a minute, bursts of 4, 4 instruments held or asked for
(the rules allow 5, so a moment cannot hold many more decisions than this). Quiet instruments, which the mandate leaves
out, can be added: they are observed and answered, and lead to no order.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from agents.kyle.sources.port import Slice
from mutable_core.clock import SECOND_NS
from mutable_core.messages import Instrument, RowReceived
from mutable_core.money import ATOMS_PER_UNIT

PAIRS = 14
STEP_NS = 4 * SECOND_NS
DAY_UNITS = 10_000_000  # quotes alone show no day's volume
START_NS = 1_700_000_000 * SECOND_NS


class TurnsSource:
    """Quotes of `2 × PAIRS` instruments, four in each moment of 4 s, and one of each of `quiet` others."""

    def __init__(self, moments: int, *, quiet: int = 0) -> None:
        self.name = "turns"
        self.seed = 0
        self.is_public = True
        self.fingerprint = sha256(f"turns/1 {moments} {quiet}".encode()).hexdigest()
        self.traded = tuple(f"T{number:02}" for number in range(2 * PAIRS))
        self._quiet = [f"Q{number:02}" for number in range(quiet)]
        self.instruments = tuple(
            Instrument(name, ATOMS_PER_UNIT // 100, ATOMS_PER_UNIT, DAY_UNITS * ATOMS_PER_UNIT)
            for name in (*self.traded, *self._quiet)
        )
        self.rows: int | None = None
        self._moments = moments

    def slices(self, after_row: int) -> Iterator[Slice]:
        """The first round shows each pair once, so that every later observation completes a bar."""
        row = 0
        for moment in range(self._moments):
            pairs = (moment,) if moment <= PAIRS else (moment - 1, moment)
            names = [f"T{2 * (pair % PAIRS) + side:02}" for pair in pairs for side in (0, 1)] + self._quiet
            if row >= after_row:
                yield self._slice(moment, row, names)
            row += len(names)

    def _slice(self, moment: int, row: int, names: list[str]) -> Slice:
        ts_ns = START_NS + moment * STEP_NS
        cents = 10_000 + moment % 7  # a price that moves, so that marks and evidence do
        values = (f"{cents / 100:.2f}", f"{(cents + 1) / 100:.2f}", "100000", "100000", "")
        rows = [
            RowReceived(self.name, row + index + 1, "quote", name, ts_ns, 0, values) for index, name in enumerate(names)
        ]
        return Slice(ts_ns, tuple(rows))
