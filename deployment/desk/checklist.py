"""What must be in order before a halt may be lifted. What cannot be found out counts as not in order (I10)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeAlias

from agents.aletheia.checks.books import books_fault
from deployment.desk.words import Check, Checklist
from deployment.kill_switch.watching import KillWatch
from deployment.topology.house import House
from mutable_core.errors import ArkError
from mutable_core.journal import Journal, verify
from mutable_core.messages import is_kill_order

Look: TypeAlias = Callable[[], str]
"""What is wrong, in a sentence; empty where nothing is."""

VERIFY_S = 0.5
"""For so long the house stands still for the verification of its journal; what takes longer is asked for again."""


class JournalVerifier:
    """Verifies a journal in a thread of its own, up to its newest checkpoint; again only when there is a newer one."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._rows = -1
        self._finding = ""
        self._thread: threading.Thread | None = None

    def fault(self) -> str:
        """What was found; or that it is not finished."""
        if self._thread is None and self._rows < self._journal.signed_seq:
            self._thread = threading.Thread(target=self._verify, name="journal-verifier", daemon=True)
            self._thread.start()
        if self._thread is not None:
            self._thread.join(VERIFY_S)
            if self._thread.is_alive():
                return "it is being verified; ask again"
            self._thread = None
        return self._finding

    def _verify(self) -> None:
        try:
            report = verify(self._journal.path)
        except ArkError as error:
            self._finding = str(error)
            return
        self._rows, self._finding = report.rows, "" if report.ok else report.finding or "it does not verify"


class Inspector:
    """Looks at a house and at what stands beside it.

    Args:
        kill: the kill switch; None where the house has none.
        more: what only the topology knows, name → look; a name of ours replaces our own look.
    """

    def __init__(self, house: House, kill: KillWatch | None, more: Sequence[tuple[str, Look]]) -> None:
        self._house, self._kill = house, kill
        verifier = JournalVerifier(house.journal)
        looks: dict[str, Look] = {
            "seal": self._seal,
            "journal": verifier.fault,
            "books": self._books,
            "orders": self._orders,
            "agents": self._agents,
            "lease": self._lease,
            "disk": lambda: house.lease.suspended,
        }
        if kill is not None:
            looks["kill switch"] = self._kill_switch
        self._looks = looks | dict(more)

    def checklist(self) -> Checklist:
        """Everything, as it is now."""
        return Checklist(tuple(Check(name, _found(look)) for name, look in self._looks.items()))

    def _seal(self) -> str:
        return self._house.seal.faults[0] if self._house.seal.faults else ""

    def _books(self) -> str:
        stated = self._house.venue.statement()
        closings = sum(1 for key in stated.open_orders if is_kill_order(key))
        if closings:
            return f"the kill switch is still closing positions: {closings} orders work at the venue"
        unheard = stated.venue_seq - self._house.effects.venue_seq
        if unheard > 0:
            return f"the venue has said {unheard} things that were not heard yet; look again"
        return books_fault(self._house.hosts["aletheia"].state.docket.book, stated)

    def _orders(self) -> str:
        unknown = self._house.unknown
        return f"{len(unknown)} orders are unknown: {', '.join(unknown[:3])}" if unknown else ""

    def _agents(self) -> str:
        held = ", ".join(f"`{name}` is {one.why}" for name, one in sorted(self._house.bus.held.items()))
        return self._house.failure or held

    def _lease(self) -> str:
        if self._house.lease.revoked:
            return self._house.lease.revoked
        return "" if self._house.wiring.permits() else "the Watchdog gives none"

    def _kill_switch(self) -> str:
        assert self._kill is not None
        return self._kill.fault()


def _found(look: Look) -> str:
    try:
        return look()
    except Exception as error:  # noqa: BLE001  # what cannot be looked at is not in order
        return f"it cannot be found out: {str(error) or type(error).__name__}"
