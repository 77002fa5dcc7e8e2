"""A kill switch over a venue in this process, the watch of a house on it, and people who sign what lifts it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import msgspec

from agents.kenny.venues.kill_port import KillPort
from agents.kenny.venues.simulated import SimulatedVenue
from deployment.desk.server import opened
from deployment.desk.words import Denied, encode
from deployment.kill_switch import words
from deployment.kill_switch.latches import LatchFile, note
from deployment.kill_switch.path_page import TERM_NS, PathPage
from deployment.kill_switch.switch import KillSwitch
from deployment.kill_switch.triggers import HaltFile
from deployment.kill_switch.watching import KillWatch
from deployment.kill_switch.words import Answer, Lift, Pull, Pulled, Signature
from graveyard.people import statement
from mutable_core.clock import monotonic_ns
from mutable_core.errors import VenueUnavailable
from mutable_core.messages import Instrument, Level, OperationAsked, OrderSpec, Scope, VenueStated
from tests.deployment.desk_makers import KEYS, NAMES, WHY, public

CASH = 1_000_000_000_000
INSTRUMENTS = (Instrument("ACME", 1_000_000, 100_000_000), Instrument("ZINC", 1_000_000, 100_000_000))
PEOPLE = {name: public(name) for name in NAMES}


class Way:
    """The way to a venue, which can be cut; it counts what arrived."""

    def __init__(self, venue: SimulatedVenue) -> None:
        self.venue = venue
        self.is_cut = False
        self.is_open = True  # whether the core has opened the venue

    def _over(self) -> SimulatedVenue:
        if self.is_cut:
            raise VenueUnavailable("the way is cut")
        return self.venue

    def set_bars(self, bars: Mapping[str, int]) -> None:
        self._over().set_bars(bars)

    def bars(self) -> Mapping[str, int]:
        return self._over().bars()

    def withdraw(self, instrument: str) -> tuple[str, ...]:
        return self._over().withdraw(instrument)

    def close_positions(self, instrument: str, latch: str) -> tuple[str, ...]:
        return self._over().close_positions(instrument, latch)

    def statement(self) -> VenueStated:
        return self._over().statement()

    def is_up(self) -> bool:
        return not self.is_cut and self.is_open


def a_way(venue: SimulatedVenue | None = None) -> Way:
    return Way(venue or SimulatedVenue.open(None, cash_micros=CASH, instruments=INSTRUMENTS))


def a_switch(state: Path, way: KillPort) -> KillSwitch:
    """As the kill switch's process makes it at each of its starts."""
    state.mkdir(exist_ok=True)
    return KillSwitch(LatchFile(state, state / "keys"), way, PEOPLE, HaltFile(state).path)


def a_pull(scope: Scope = "global", name: str = "", level: Level = "halted", by: str = "ann") -> Pull:
    return Pull(scope, name, level, by, WHY)


def pulled(switch: KillSwitch, *given: str) -> Pulled:
    answer = switch.pull(a_pull(*given))  # type: ignore[arg-type]
    assert isinstance(answer, Pulled), answer
    return answer


def denied(answer: Answer) -> Denied:
    assert isinstance(answer, Denied), answer
    return answer


class Resume(NamedTuple):
    """One that people can sign, as the desk makes it."""

    asked: OperationAsked
    position: int = 17

    def signed(self, *people: str, by: Mapping[str, str] | None = None) -> Lift:
        """Signed by these; `by` names whose key was used for whom, where it was another's."""
        canonical = encode(self.asked)
        signatures = tuple(
            Signature(person, self._signature((by or {}).get(person, person), person, canonical)) for person in people
        )
        return Lift(canonical.decode(), self.position, signatures)

    def _signature(self, key: str, person: str, canonical: bytes) -> str:
        said = statement(
            act_id=self.asked.operation_id,
            digest=sha256(canonical).hexdigest(),
            position=self.position,
            person=person,
        )
        return KEYS[key].sign(said).hex()

    def with_(self, **changes: str) -> Resume:
        return self._replace(asked=msgspec.structs.replace(self.asked, **changes))


def a_resume(latch: str, scope: Scope = "global", name: str = "") -> Resume:
    return Resume(OperationAsked("0" * 31 + "1", "resume", scope, name, "carol", WHY + note(latch)))


class Beaten(NamedTuple):
    """A kill switch that beats when it is told to, and the page that it writes."""

    switch: KillSwitch
    page: PathPage
    watch: KillWatch

    def beat(self) -> None:
        self.switch.beat()
        self.page.say(monotonic_ns() + TERM_NS if self.switch.path_is_up else 0)

    def answers(self, line: bytes) -> Answer:
        answer = words.answer_in(self.switch.answer(line))
        assert answer is not None
        return answer


def a_beaten(state: Path, way: KillPort) -> Beaten:
    switch = a_switch(state, way)
    one = Beaten(switch, PathPage(state), KillWatch(state))
    one.beat()
    return one


@contextmanager
def at_its_socket(state: Path, switch: KillSwitch) -> Iterator[None]:
    """Somebody answers at the kill switch's socket as long as the block lasts."""

    def answer_all(sock: socket.socket) -> None:
        while True:
            try:
                stream, _ = sock.accept()
            except OSError:
                return
            with stream, stream.makefile("rb") as lines:
                stream.sendall(switch.answer(lines.readline().removesuffix(b"\n")) + b"\n")

    with opened(state, words.SOCKET) as sock:
        thread = threading.Thread(target=answer_all, args=(sock,), daemon=True)
        thread.start()
        yield
        sock.shutdown(socket.SHUT_RDWR)
        thread.join()


def an_entry(key: str, instrument: str = "ACME") -> OrderSpec:
    """Rests far below the market."""
    return OrderSpec(
        key, f"p-{key}", instrument, "buy", Decimal(10), "limit", Decimal(50), "gtc", Decimal(40), None, False
    )  # fmt: skip
