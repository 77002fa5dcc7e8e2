"""What the kill switch does: latch, bar, withdraw, close; and lift, when two people have signed exactly that.

The latch comes first: it is on the disk before the venue hears of it, so that whoever sees what followed at the venue finds
the reason. A disk that takes nothing stops no halt. What the venue does not confirm is told again with each beat.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from agents.kenny.venues.kill_port import KillPort
from deployment.desk.words import Denied, act_in, covered
from deployment.kill_switch import words
from deployment.kill_switch.latches import (
    LATCHES_MAX,
    STRENGTH,
    Latched,
    LatchFile,
    at_venue,
    bars_of,
    level_name,
    new_latch,
    note,
)
from deployment.kill_switch.words import Answer, Lift, Lifted, Looked, Pull, Pulled, Withdrawn
from graveyard.people import is_signed, statement
from mutable_core.clock import monotonic_ns, wall_ns
from mutable_core.errors import DiskUnavailable, VenueUnavailable
from mutable_core.messages import OperationAsked

SIGNERS = 2
_UNREADABLE = Denied("the kill switch cannot read this question", "use the `ark` of the same build as the house")


class Acted(NamedTuple):
    """What one pull has led to at the venue."""

    withdrawn: int = 0
    closing: int = 0


class KillSwitch:
    """Its state is the latch file and the venue; both are compared with each beat.

    Args:
        file: where latches stand.
        venue: the way to it, past everybody.
        people: name → public key, 64 hex digits; who may sign a resume.
        halt_file: nothing is lifted as long as it is there.
        monotonic, wall: ns; injected so that tests need not wait.
    """

    def __init__(
        self,
        file: LatchFile,
        venue: KillPort,
        people: Mapping[str, str],
        halt_file: Path,
        monotonic: Callable[[], int] = monotonic_ns,
        wall: Callable[[], int] = wall_ns,
    ) -> None:
        self._file, self._venue, self._people, self._halt_file = file, venue, dict(people), halt_file
        self._monotonic, self._wall = monotonic, wall
        found = file.read()
        self._standing: tuple[Latched, ...] = found if isinstance(found, tuple) else ()
        self._is_written = isinstance(found, tuple)
        self._knows_venue = isinstance(found, tuple)  # without a file, what the venue forbids is what was latched
        self._undone: dict[str, Latched] = {one.latch: one for one in self._standing}  # not confirmed by the venue
        self._disk_fault = self._venue_fault = ""
        self.path_is_up = False
        if found == "unbelievable":
            self._latch(Pull("global", "", "halted", "watchdog", "the latch of the kill switch cannot be believed"))

    @property
    def standing(self) -> tuple[Latched, ...]:
        """Latches that stand, oldest first."""
        return self._standing

    @property
    def fault(self) -> str:
        """What is still to be done, on the disk or at the venue; empty where all is done."""
        return self._disk_fault or self._venue_fault

    # -- questions ----------------------------------------------------------------------------------------------------

    def answer(self, line: bytes) -> bytes:
        """What follows from one line, without its end; never raises."""
        return words.encode(self._answered(line))

    def _answered(self, line: bytes) -> Answer:
        try:
            match words.question_in(line):
                case Pull() as pull:
                    return self.pull(pull)
                case Lift() as lift:
                    return self.lift(lift)
                case words.WithdrawEntries():
                    return self.withdraw()
                case words.Look():
                    return Looked(self._standing, self.path_is_up, self.fault)
                case _:
                    return _UNREADABLE
        except Exception as error:  # noqa: BLE001  # the next halt must find somebody who listens
            return Denied(f"the kill switch could not do it: it raised `{type(error).__name__}`", "report it")

    # -- halting ------------------------------------------------------------------------------------------------------

    def pull(self, pull: Pull) -> Answer:
        """Halt; said again, it stands anew: a resume that was asked for before lifts it no more."""
        began = self._monotonic()
        if pull.scope == "strategy" and pull.level == "flattening":
            return Denied(
                "a venue knows no strategies, so that a strategy's positions cannot be closed there",
                "flatten the account or the instruments; or halt the strategy without `--flatten`",
            )
        if (pull.scope == "global") == bool(pull.name):
            return Denied("`global` has no name, and every other scope has one", "give `--scope` and `--name` together")
        one = self._latch(pull)
        acted = self._act(one)
        took_ms = round((self._monotonic() - began) / 1e6, 3) if one.latch not in self._undone else None
        return Pulled(one.latch, one.level, acted.withdrawn, acted.closing, took_ms, self.fault)

    def withdraw(self) -> Withdrawn | Denied:
        """Withdraw all entries that work now; others may come after them."""
        try:
            return Withdrawn(len(self._venue.withdraw("")))
        except VenueUnavailable as error:
            return Denied(str(error), "ask again", is_busy=True)

    def _latch(self, pull: Pull) -> Latched:
        """Write it down: at least of the level that stood there."""
        others = [one for one in self._standing if one.covered != (pull.scope, pull.name)]
        stood = [one for one in self._standing if one not in others]
        level = level_name(max(STRENGTH[pull.level], *(STRENGTH[one.level] for one in stood), 0))
        if len(others) >= LATCHES_MAX:  # nobody halts so many instruments one by one
            pull, others = Pull("global", "", level, pull.by, pull.reason), []
        one = Latched(new_latch(), pull.scope, pull.name, level, pull.by, pull.reason, self._wall())
        for old in stood:
            self._undone.pop(old.latch, None)
        self._standing = (*others, one)
        self._undone[one.latch] = one
        self._write()
        return one

    def _write(self) -> None:
        try:
            self._file.write(self._standing)
            self._is_written, self._disk_fault = True, ""
        except DiskUnavailable as error:
            self._is_written, self._disk_fault = False, str(error)

    def _act(self, one: Latched) -> Acted:
        """Do at the venue what follows from the latch. What is not confirmed is done again."""
        where = at_venue(one)
        try:
            self._meet()
            self._venue.set_bars(self._bars())
            withdrawn = self._venue.withdraw(where) if where is not None else ()
            is_flattening = where is not None and one.level == "flattening"
            closing = self._venue.close_positions(where, one.latch) if where is not None and is_flattening else ()
        except VenueUnavailable as error:
            self._venue_fault = str(error)
            return Acted()
        self._undone.pop(one.latch, None)
        if not self._undone:
            self._venue_fault = ""
        return Acted(len(withdrawn), len(closing))

    def _bars(self) -> dict[str, int]:
        return bars_of(self._standing)

    # -- lifting ------------------------------------------------------------------------------------------------------

    def lift(self, lift: Lift) -> Lifted | Denied:
        """Lift the one latch that two people have agreed to lift."""
        canonical = lift.operation.encode()
        asked = act_in("operation", canonical)
        if not isinstance(asked, OperationAsked) or asked.operation != "resume":
            return Denied("this is no resume")
        one = next((one for one in self._standing if one.covered == (asked.scope, asked.name)), None)
        if one is None:
            return Denied(f"no latch stands on {covered(asked.scope, asked.name)}")
        if not asked.reason.endswith(note(one.latch)):
            return Denied("it was asked for before the newest halt, or not for this latch", "ask for the resume again")
        if self._halt_file.exists():
            return Denied(f"the file `{self._halt_file.name}` halts", "remove it from the state folder")
        signers = self._signers(lift, asked, sha256(canonical).hexdigest())
        if len(signers) < SIGNERS:
            return Denied(f"{len(signers)} of {SIGNERS} people have signed it, as this kill switch knows them")
        return self._lifted(one)

    def _signers(self, lift: Lift, asked: OperationAsked, digest: str) -> set[str]:
        """Known people, other than who asked, whose signature is over exactly this act."""
        found = set()
        for one in lift.signatures:
            said = statement(act_id=asked.operation_id, digest=digest, position=lift.position, person=one.person)
            key = self._people.get(one.person, "")
            if one.person != asked.by and is_signed(key, one.signature, said):
                found.add(one.person)
        return found

    def _lifted(self, one: Latched) -> Lifted | Denied:
        """On the disk first: after a crash in between, the venue is told by the next process."""
        left = tuple(other for other in self._standing if other is not one)
        try:
            self._file.write(left)
        except DiskUnavailable as error:
            return Denied(error.what, error.to_do)
        self._standing = left
        self._undone.pop(one.latch, None)
        self._reach()
        return Lifted(one.latch)

    # -- beats --------------------------------------------------------------------------------------------------------

    def beat(self) -> None:
        """Look whether the venue can be reached and forbids what it must, and do what is left to do; never raises."""
        if not self._is_written and (self._standing or self._knows_venue):
            self._write()
        self._reach()
        for one in list(self._undone.values()):
            if self.path_is_up:
                self._act(one)

    def _reach(self) -> None:
        try:
            self._meet()
            if dict(self._venue.bars()) != self._bars() and self._knows_venue:
                self._venue.set_bars(self._bars())
        except VenueUnavailable as error:
            self.path_is_up, self._venue_fault = False, str(error)
            return
        self.path_is_up = True
        if not self._undone:
            self._venue_fault = ""

    def _meet(self) -> None:
        """The first contact of a kill switch whose file is gone: what the venue forbids is what was latched."""
        if self._knows_venue or not self._venue.is_up():
            return
        self._knows_venue = True
        ours = self._bars()
        for instrument, level in self._venue.bars().items():
            if level <= ours.get(instrument, 0):
                continue
            scope = ("instrument", instrument) if instrument else ("global", "")
            self._latch(
                Pull(*scope, level_name(level), "watchdog", "the venue was barred, and the latch was gone")  # type: ignore[arg-type]
            )
