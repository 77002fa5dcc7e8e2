"""People with keys, a house with a desk in this process, and a live one in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any, NamedTuple

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agents.runtime.agent import Step
from deployment.desk.client import HouseSilent, ask
from deployment.desk.desk import Desk
from deployment.desk.words import (
    SOCKET,
    Act,
    Answer,
    Denied,
    Done,
    Halt,
    ListWaiting,
    Question,
    Resume,
    Sign,
    Waiting,
    answer_in,
    encode,
)
from deployment.topology import wiring as topology
from deployment.topology.house import House
from deployment.topology.wiring import AGENTS
from graveyard.people import statement
from mutable_core.clock import MINUTE_NS
from mutable_core.messages import Envelope, Person, ProposalMade
from mutable_core.settings import Settings
from tests.deployment.handmade import HandmadeSource, a_house, envelopes, trading
from tests.faults.processes import LOADED, eventually, free_port, started

NAMES = ("alice", "bob", "carol")
KEYS = {name: Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32, b"\0")) for name in (*NAMES, "mallory")}
WHY = "we look at it before we go on"


def public(name: str) -> str:
    return KEYS[name].public_key().public_bytes_raw().hex()


def people_file(path: Path, names: tuple[str, ...] = NAMES) -> Path:
    path.write_text("".join(f"{name} {public(name)}\n" for name in names))
    return path


class Office(NamedTuple):
    """A house between two turns, and its desk."""

    house: House
    desk: Desk
    folder: Path

    def asks(self, question: Question) -> Answer:
        answer = answer_in(self.desk.answer(encode(question)))
        assert answer is not None
        return answer

    def done(self, question: Question) -> Done:
        answer = self.asks(question)
        assert isinstance(answer, Done), answer
        return answer

    def denied(self, question: Question) -> Denied:
        """Denied, and nothing was appended."""
        before = self.house.journal.seq
        answer = self.asks(question)
        assert isinstance(answer, Denied), answer
        assert self.house.journal.seq == before
        return answer

    def waiting(self) -> Waiting:
        answer = self.asks(ListWaiting())
        assert isinstance(answer, Waiting)
        return answer

    def halted(self) -> None:
        self.done(Halt("global", "", "reduce_only", "carol", WHY))

    def resumption(self) -> Act:
        """A resume that waits; carol has asked for it."""
        self.halted()
        self.done(Resume("global", "", "carol", WHY))
        return self.waiting().acts[-1]

    def is_halted(self) -> bool:
        return bool(self.waiting().standing)

    def last(self) -> Envelope:
        """What another process reads at the end of the journal."""
        return envelopes(self.folder)[-1]

    def told(self) -> list[Any]:
        """What the operator has appended, by what another process reads."""
        return [one.body for one in envelopes(self.folder) if one.author == "operator"][1:]


class PublicSource(HandmadeSource):
    """The small market, as data that anybody can read: else rule 1 refuses all of it."""

    is_public = True


def an_office(
    folder: Path, *, slices: int = 3, names: tuple[str, ...] = NAMES, settings: Settings | None = None, **given: Any
) -> Office:
    """After so many turns."""
    with_people = (settings or trading()).model_copy(update={"people": _people(names)})
    house = a_house(folder, PublicSource(), with_people)
    desk = Desk(house, **given)
    house.start()
    source = iter(house.slices())
    for _ in range(slices):
        house.turn(next(source))
    return Office(house, desk, folder)


def never_rationed() -> Callable[[], int]:
    """A clock that goes on by a minute each time it is read."""
    return iter(range(0, 10**18, MINUTE_NS)).__next__


def _people(names: tuple[str, ...]) -> tuple[Person, ...]:
    return tuple(Person(name, public(name)) for name in names)


def signed(act: Act, person: str, *, by: str | None = None, **changes: Any) -> Sign:
    """The signature of `person` over the act, made with the key of `by`; `changes` come before signing."""
    about = {"act_id": act.act_id, "digest": act.digest, "position": act.position, "person": person} | changes
    return Sign(**about, signature=KEYS[by or person].sign(statement(**about)).hex())


def with_large_orders(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """A house whose Joey asks for so many times what it would."""

    def enlarged(say: Any) -> Any:
        if not isinstance(say.body, ProposalMade):
            return say
        proposal = msgspec.structs.replace(say.body.proposal, quantity=say.body.proposal.quantity * times)
        return msgspec.structs.replace(say, body=ProposalMade(proposal))

    def larger(agent: Any) -> Any:
        def decide(state: Any, heard: Envelope) -> Any:
            step = agent.decide(state, heard)
            return Step(step.state, tuple(map(enlarged, step.says)), step.wants)

        return msgspec.structs.replace(agent, decide=decide)

    agents = tuple(larger(one) if one.spec.name == "joey" else one for one in AGENTS)
    monkeypatch.setattr(topology, "AGENTS", agents)


class Live(NamedTuple):
    """A house in a process of its own, one second of the market in a second."""

    process: Popen[str]
    state: Path

    def ask(self, question: Question) -> Waiting | Done:
        return ask(self.state, question)

    def now_ns(self) -> int:
        """Its log time; 0 as long as it does not answer."""
        try:
            answer = self.ask(ListWaiting())
        except HouseSilent:
            return 0
        assert isinstance(answer, Waiting)
        return answer.now_ns

    def goes_on(self) -> None:
        """It answers, and the market moves."""
        before = self.now_ns()
        eventually(lambda: self.now_ns() > before, "the market moves")


@contextmanager
def live(folder: Path) -> Iterator[Live]:
    folder.mkdir(exist_ok=True)
    env = LOADED | {"ARK_AUTHORITY": "embedded", "ARK_PEOPLE": str(people_file(folder / "people"))}
    state = folder / "state"
    arguments = ("run", "--source", "synthetic", "--speed", "5", "--port", str(free_port()), "--state", str(state))
    with started(*arguments, env=env) as process:
        one = Live(process, state)
        eventually(lambda: process.poll() is None and (state / SOCKET).exists() and one.now_ns(), "the desk opens")
        yield one
