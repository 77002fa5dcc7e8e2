"""The core's side of the kill switch: what it has halted becomes rows of the log, and whether its way is open a fact.

A latch is believed if the kill switch's key has signed it. One that cannot be believed halts everything.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from deployment.desk.client import exchanged
from deployment.desk.words import Denied
from deployment.kill_switch import words
from deployment.kill_switch.latches import FILE, KEY, STRENGTH, Covered, Latched, read
from deployment.kill_switch.words import HALT_FILE, PAGE, SOCKET, Lift, Lifted
from deployment.topology.state_dir import KEYS
from mutable_core.errors import ArkError, SettingsRefused
from mutable_core.journal.signing import public_keys
from mutable_core.lease_page import LeasePage
from mutable_core.messages import HaltOrdered
from mutable_core.privacy import redacted
from mutable_core.standing import HALTED, Standing

LIFT_S = 1.0
"""How long the kill switch may take to lift; the house stands still meanwhile."""
_UNBELIEVABLE = Latched(
    "unbelievable", "global", "", "halted", "watchdog", "the latch of the kill switch cannot be believed", 0
)


class KillWatch:
    """Looks at the latch file and the page of the kill switch of one state folder. Asking costs a few µs."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._file = folder, folder / FILE
        self._stamp: tuple[int, int, int] | None = None
        self._is_due = True
        self._known: frozenset[str] | None = None  # latches seen by this process; None before the first look
        self._standing: tuple[Latched, ...] = ()
        self._page: LeasePage | None = None
        self._page_ino = 0

    # -- latches ------------------------------------------------------------------------------------------------------

    def orders(self, standing: Callable[[], Standing]) -> tuple[HaltOrdered, ...]:
        """The halts that the log must hear of now: of new latches, and of those that it does not hold as it should.

        Args:
            standing: what stands by the log; asked for only where the latches have changed.
        """
        stamp = self._stamped()
        if stamp == self._stamp and not self._is_due:
            return ()
        self._stamp, self._is_due = stamp, False
        self._standing = self._read()
        if not self._standing:
            self._known = frozenset()
            return ()
        found, known = standing(), self._known
        self._known = frozenset(one.latch for one in self._standing)
        news = [one for one in self._standing if _is_more(one, found) or (known is not None and one.latch not in known)]
        return tuple(HaltOrdered(one.scope, one.name, one.level, one.by, redacted(one.reason)) for one in news)

    def look_again(self) -> None:
        """The log may hold less than the latches by now: compare with the next look."""
        self._is_due = True

    def latch_on(self, covered: Covered) -> str:
        """The id of the latch that stands exactly there; empty where none does."""
        self._standing = self._read()
        return next((one.latch for one in self._standing if one.covered == covered), "")

    @property
    def level(self) -> int:
        """The strongest latch by the last look: 0 none, 1 reduce-only, 2 halted, 3 flattening."""
        return max([STRENGTH[one.level] for one in self._standing], default=0)

    def _stamped(self) -> tuple[int, int, int] | None:
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _read(self) -> tuple[Latched, ...]:
        try:
            keys = public_keys(self._folder / KEYS / f"{KEY}.pub")
        except (SettingsRefused, OSError):
            keys = ()
        found = read(self._folder, keys[0] if keys else b"")
        if found == "absent":
            return ()
        return found if isinstance(found, tuple) else (_UNBELIEVABLE,)

    # -- the way to the venue -----------------------------------------------------------------------------------------

    def path_is_up(self) -> bool:
        """Whether the kill switch has reached the venue by its own way within the last seconds."""
        if self._page is None or not self._page.is_fresh():
            self._reopen()
        return self._page is not None and self._page.is_fresh()

    def fault(self) -> str:
        """Why nothing may be resumed yet; empty where nothing here stands in the way."""
        if not self.path_is_up():
            return "it does not reach the venue"
        if (self._folder / HALT_FILE).exists():
            return f"the file `{HALT_FILE}` stands in the state folder: remove it"
        return ""

    def _reopen(self) -> None:
        """A new kill switch has a new page."""
        try:
            number = os.open(self._folder / PAGE, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return
        try:
            ino = os.fstat(number).st_ino
            if self._page is None or ino != self._page_ino:
                page = LeasePage(number)
                if self._page is not None:
                    self._page.close()
                self._page, self._page_ino = page, ino
        except (ArkError, OSError, ValueError):
            return
        finally:
            os.close(number)

    # -- lifting ------------------------------------------------------------------------------------------------------

    def lift(self, evidence: Lift) -> str:
        """Hand the kill switch what people have signed. Returns why it did not lift; empty where it did."""
        try:
            answer = words.answer_in(exchanged(self._folder, words.encode(evidence), SOCKET, LIFT_S))
        except ArkError as error:
            return error.what
        finally:
            self.look_again()
        if isinstance(answer, Lifted):
            return ""
        return answer.what if isinstance(answer, Denied) else "the kill switch gave no answer that can be read"


def _is_more(one: Latched, standing: Standing) -> bool:
    """Whether the log holds less there than the latch says."""
    stands = standing.halts.get(one.covered, 0)
    if one.level == "flattening" and one.covered not in standing.closing:
        return True
    return stands < min(HALTED, STRENGTH[one.level])
