"""What a kill switch can do at a venue, past everybody: it bars, withdraws and closes, and has no word for opening.

`SimulatedVenue` implements it in its own process; `remote.KillLine` is the same over a connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from mutable_core.messages import VenueStated

REDUCE_ONLY, HALTED = 1, 2
"""Levels of a bar: nothing that opens is taken; nothing at all is taken."""


class KillPort(Protocol):
    """Everything here may be said again and changes nothing more. An instrument that is empty means all of them.

    Raises:
        VenueUnavailable: each method but `is_up`: no answer; say it again.
    """

    def set_bars(self, bars: Mapping[str, int]) -> None:
        """From now on orders of everybody else are rejected (`halted`) there. Replaces the bars that stood."""
        ...

    def bars(self) -> Mapping[str, int]:
        """Those that stand; they outlive the venue's process."""
        ...

    def withdraw(self, instrument: str) -> tuple[str, ...]:
        """Withdraw the unfilled rest of every entry. Reductions, and the legs that protect positions, stay.

        Returns:
            The ids that were withdrawn now.
        """
        ...

    def close_positions(self, instrument: str, latch: str) -> tuple[str, ...]:
        """Close what is held at the market, with orders that can only reduce; once for each `latch` and instrument.

        They take the place of our own reductions that work there, which end. Protective legs stay until it is closed.

        Returns:
            Ids of the orders that were placed now; they begin with `KILL_PREFIX`.
        """
        ...

    def statement(self) -> VenueStated: ...

    def is_up(self) -> bool:
        """Whether it answers now. Changes nothing, never raises."""
        ...
