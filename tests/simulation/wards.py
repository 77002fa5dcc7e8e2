"""Agents in processes of their own, and the Watchdog that minds them, in virtual time.

The decisions are the real ones (`agents.*.decide`, `watchdog.policy`, `watchdog.phi`, Kenny's effects and door); what is
simulated is the process: that it ends, hangs, is slow, comes back with the state that was kept, and says again what it
had said since. What the Watchdog does at the bus it does between two turns, as its messages reach the core there.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from agents.id.state import capabilities
from agents.kenny.door import Door
from agents.kenny.effects import Asked, Authority, Effects, Memory, Report, Unanswered
from agents.kenny.venues.port import PaperVenue
from agents.runtime.agent import Agent, Say
from deployment.topology.wiring import AGENTS, EFFECTS_FOLD, Begun, Outside
from graveyard.words import Approval
from mutable_core.clock import MINUTE_NS, SECOND_NS
from mutable_core.errors import AgentGone, AgentLate, AgentMisbehaved, ArkError, AuthoritySilent
from mutable_core.freezing import freeze, thaw
from mutable_core.messages import AgentEnded, Envelope, RunStarted, encode
from tests.simulation.clockwork import MS_NS, Clockwork
from tests.simulation.line import UnkindLine
from tests.simulation.oracle import Violation, World
from watchdog import policy
from watchdog.phi import Phi
from watchdog.policy import Action, Kill, Probe, Quarantine, Readmit, Start

PATIENCE_NS = 60 * MS_NS
BIRTH_NS = 10 * MS_NS
LEASE_EVERY_NS = SECOND_NS // 2
LOOK_NS = 100 * MS_NS
KEPT_EVERY = 64
"""Messages between two states that are kept of an agent."""
FROZEN_EVERY = 8
"""Every so many restarts the kept state goes through bytes, as each does in a real one."""


class SimulatedProcess:
    """One incarnation: the state, and for Kenny the hands, that die with it."""

    def __init__(self, incarnation: int, state: Any, hands: Effects | None) -> None:
        self.incarnation = incarnation
        self.state = state
        self.hands = hands


class SimulatedAgent:
    """An agent as the bus sees it, whose process may be gone.

    Attributes:
        armed: fault → how much of it is left: messages for `crash` and `hang` and `lie`, ms for `slow`.
        looping_until_ns: every incarnation ends with its first message before this moment.
        process: None while there is none.
        is_hung: the process is there and does nothing.
    """

    def __init__(self, agent: Agent, first_state: Any, clock: Clockwork, reached: Callable[[str], None]) -> None:
        self.name = agent.spec.name
        self.hears = agent.spec.hears
        self.says = frozenset(agent.spec.says)
        self.reports = frozenset(agent.spec.reports)
        self.folds: frozenset[type] = frozenset(EFFECTS_FOLD) if self.name == "kenny" else frozenset()
        self.armed: Counter[str] = Counter()
        self.looping_until_ns = 0
        self.is_hung = False
        self.is_troubled = False
        self.incarnation = 1
        self.on_end: Callable[[str], None] = lambda _: None
        self.make_hands: Callable[[], Effects] | None = None
        self.answered_position = 0
        self._decide = agent.decide
        self._clock = clock
        self._reached = reached
        self._kept: tuple[Any, Memory | None] = (first_state, None)
        self._tail: list[tuple[Envelope, tuple[Say, ...] | None]] = []  # None: it was only folded
        self.process: SimulatedProcess | None = SimulatedProcess(1, first_state, None)

    @property
    def state(self) -> Any:
        """Of the newest incarnation; of a dead one what the next will have."""
        return self.process.state if self.process is not None else self._rebuilt().state

    def begins_with(self, state: Any) -> None:
        self._kept = (state, None)
        assert self.process is not None
        self.process.state = state

    # -- Listener ---------------------------------------------------------------------------------------------------

    def tell(self, _row: bytes, envelope: Envelope) -> None:
        """Hands fold what stands in the log as soon as they are told."""
        if type(envelope.body) in self.folds:
            self._tail.append((envelope, None))
            if self.process is not None and self.process.hands is not None:
                self.process.hands.reported(envelope)

    def answer(self, envelope: Envelope) -> tuple[Sequence[Say], Any]:
        process = self.process
        if self.is_troubled or process is None:
            process = self._through_trouble(envelope)
        step = self._decide(process.state, envelope)
        process.state = step.state
        self.answered_position = envelope.seq
        tail = self._tail
        tail.append((envelope, step.says))
        if len(tail) >= KEPT_EVERY:
            self._keep(process)
        if step.wants and process.hands is not None:
            process.hands.want(step.wants)
        return step.says, ()

    def _keep(self, process: SimulatedProcess) -> None:
        hands = process.hands
        if hands is not None and not hands.is_settled:
            return  # an order is on its way
        self._kept = (process.state, hands.memory() if hands is not None else None)
        self._tail.clear()

    # -- trouble ----------------------------------------------------------------------------------------------------

    def _through_trouble(self, envelope: Envelope) -> SimulatedProcess:
        """The process that answers, after whatever stands between it and the message.

        Raises:
            AgentGone, AgentLate, AgentMisbehaved: as `Listener.answer` says.
        """
        if self.process is not None and not self.is_hung:
            self._troubled(envelope)
        if self.process is None:
            self._clock.until(self._clock.now_ns + PATIENCE_NS)  # its successor may be there in time
            if self.process is None or self.is_hung:
                raise AgentGone(f"`{self.name}` has ended", where=f"seq {envelope.seq}")
            self._reached("back within the patience")
        elif self.is_hung:
            self._clock.until(self._clock.now_ns + PATIENCE_NS)
            raise AgentLate(f"`{self.name}` did not answer for 60 ms", where=f"seq {envelope.seq}")
        self.is_troubled = bool(+self.armed) or self._clock.now_ns < self.looping_until_ns
        return self.process

    def _troubled(self, envelope: Envelope) -> None:
        armed = self.armed
        if self._clock.now_ns < self.looping_until_ns or self._is_its_turn("crash"):
            self.ends("killed by signal 11")
        elif self._is_its_turn("hang"):
            self.is_hung = True
        elif armed["slow"]:
            ms, armed["slow"] = armed["slow"], 0
            if ms * MS_NS >= PATIENCE_NS:
                self._clock.until(self._clock.now_ns + PATIENCE_NS)
                raise AgentLate(f"`{self.name}` needs {ms} ms", where=f"seq {envelope.seq}")
            self._clock.passes(ms * MS_NS)
        elif armed["lie"]:
            armed["lie"] -= 1
            self._reached("lied")
            raise AgentMisbehaved(f"`{self.name}` said what it may not say", where=f"seq {envelope.seq}")

    def _is_its_turn(self, fault: str) -> bool:
        if not self.armed[fault]:
            return False
        self.armed[fault] -= 1
        return not self.armed[fault]

    def ends(self, how: str) -> None:
        """Its process is gone, with all that it knew."""
        if self.process is not None:
            if self.process.hands is not None and not self.process.hands.is_settled:
                self._reached("kenny ended with an order under way")
            self.process, self.is_hung, self.is_troubled = None, False, True
            self.on_end(how)

    def is_born(self, incarnation: int) -> None:
        """A new process: the kept state, then everything since, said again and compared.

        Raises:
            Violation: it says something else than the log holds.
        """
        self.incarnation = incarnation
        self.process = self._rebuilt()
        self.is_hung = False

    def _rebuilt(self) -> SimulatedProcess:
        state, memory = self._kept
        if self.incarnation % FROZEN_EVERY == 2:
            state = thaw(freeze(state))
        hands = self.make_hands() if self.make_hands is not None else None
        process = SimulatedProcess(self.incarnation, state, hands)
        if hands is not None and memory is not None:
            hands.resume(memory)
        for envelope, said in self._tail:
            if said is None:
                assert hands is not None
                hands.reported(envelope)
                continue
            step = self._decide(process.state, envelope)
            process.state = step.state
            if step.says != said and _written(step.says) != _written(said):  # a NaN is not equal to itself
                raise Violation("I7", f"`{self.name}` says something else to row {envelope.seq} after its restart")
            if step.wants and hands is not None:
                hands.want(step.wants)
        return process

    def shadow(self, envelope: Envelope | None) -> bool:
        """Whether it can answer this message; nothing of it is kept."""
        if self.armed["lie"] or self._clock.now_ns < self.looping_until_ns:
            self.armed["lie"] = max(0, self.armed["lie"] - 1)
            return False
        if envelope is not None and self.process is not None:
            self._decide(self.process.state, envelope)
        return True


def _written(says: Sequence[Say]) -> list[tuple[bytes, Any]]:
    return [(encode(say.body), say.cause) for say in says]


class SimulatedHands:
    """Kenny's hands as the house sees them: what they do happens in his process, or not at all."""

    def __init__(self, kenny: SimulatedAgent) -> None:
        self._kenny = kenny

    def _hands(self) -> Effects | None:
        process = self._kenny.process
        return None if process is None or self._kenny.is_hung else process.hands

    @property
    def is_waiting(self) -> bool:
        hands = self._hands()
        return hands is not None and hands.is_waiting

    @property
    def is_settled(self) -> bool:
        hands = self._hands()
        return hands is not None and hands.is_settled

    @property
    def unknown(self) -> tuple[str, ...]:
        hands = self._hands()
        return hands.unknown if hands is not None else ()

    @property
    def venue_seq(self) -> int:
        hands = self._hands()
        return hands.venue_seq if hands is not None else 0

    def want(self, wants: Any) -> None:
        """His process was told when he said so."""

    def reported(self, envelope: Envelope) -> None:
        """He folds what he is told."""

    def memory(self) -> Memory:
        return cast("Effects", self._hands()).memory()

    def unanswered(self) -> Unanswered:
        hands = self._hands()
        return hands.unanswered() if hands is not None else Unanswered((), (), ())

    def adopt(self) -> dict[str, int]:
        hands = self._hands()
        return hands.adopt() if hands is not None else {}

    def perform(self, now_ns: int, report: Report) -> None:
        hands = self._hands()
        if hands is not None:
            hands.perform(now_ns, report)

    def collect(self, now_ns: int, report: Report) -> None:
        hands = self._hands()
        if hands is not None:
            hands.collect(now_ns, report)


class UnkindAuthority:
    """The authority, which is silent at times."""

    def __init__(self, authority: Authority, armed: Counter[str]) -> None:
        self._authority = authority
        self._armed = armed

    def approve(self, asked: Sequence[Asked]) -> Sequence[Approval | str]:
        if self._armed["authority_silent"]:
            self._armed["authority_silent"] -= 1
            raise AuthoritySilent("no answer within the deadline")
        return self._authority.approve(asked)


class SimulatedWiring:
    """Implements `Wiring`: agents in simulated processes, the venue behind an unkind line, the lease on a page."""

    def __init__(self, agents: dict[str, SimulatedAgent], line: UnkindLine, world: World) -> None:
        self.agents = agents
        self._line = line
        self._world = world

    def hosts(self) -> Sequence[SimulatedAgent]:
        return tuple(self.agents.values())

    def venue(self, path: Path, started: RunStarted, until_row: int) -> PaperVenue:
        self._line.forget_rows(until_row)
        return self._line

    def effects(self, outside: Outside) -> SimulatedHands:
        kenny = self.agents["kenny"]

        approver = UnkindAuthority(outside.approver, self._line.armed)

        def hands() -> Effects:
            door = Door(outside.venue, outside.verifier, lambda: outside.journal.durable_seq, outside.may_open)
            return Effects(outside.venue, door, approver, lambda: kenny.state)

        kenny.make_hands = hands
        assert kenny.process is not None
        kenny.process.hands = hands()
        return SimulatedHands(kenny)

    def begin(self, begun: Begun | None) -> None:
        assert begun is None, "this house keeps no snapshots"

    def settle(self) -> None:
        """What the venue is shown it has seen at once."""

    def steady(self) -> None:
        """The Watchdog has written the page before it starts anybody."""

    def permits(self) -> bool:
        return self._world.monotonic() < self._world.page_until_ns


def simulated_agents(
    clock: Clockwork, reached: Callable[[str], None], joey: Agent | None = None
) -> dict[str, SimulatedAgent]:
    """The six, as new; `joey` takes the place of the one we know."""
    found: dict[str, SimulatedAgent] = {}
    for agent in AGENTS:
        known = joey if joey is not None and agent.spec.name == "joey" else agent
        state = capabilities(tuple(one.spec for one in AGENTS)) if agent.spec.name == "id" else agent.first_state
        found[agent.spec.name] = SimulatedAgent(known, state, clock, reached)
    return found


class SimulatedWatchdog:
    """Minds the agents by the real policy, and writes the lease page while it lives.

    Attributes:
        wards: agent → what is known of it.
        births_ms: agent → how long its next birth takes.
        frozen_until_ns: it does nothing before.
    """

    def __init__(self, clock: Clockwork, world: World, reached: Callable[[str], None]) -> None:
        self.agents: dict[str, SimulatedAgent] = {}
        self.wards: dict[str, policy.Ward] = {}
        self.births_ms: dict[str, int] = {}
        self.frozen_until_ns = 0
        self._clock = clock
        self._world = world
        self._reached = reached
        self._between: deque[Callable[[Any], None]] = deque()  # what is to be done at the bus
        self._life = 0  # acts that were asked for before a power cut are nobody's any more
        self._chances = 0

    # -- life -------------------------------------------------------------------------------------------------------

    def boots(self, agents: dict[str, SimulatedAgent]) -> None:
        """The machine was started: the Watchdog lives, and all agents with it."""
        self._life += 1
        self._between.clear()
        self.agents, self.frozen_until_ns = agents, 0
        now = self._clock.now_ns
        for name, agent in agents.items():
            ward, _ = policy.begin(policy.Ward(name), now)
            self.wards[name] = policy.caught_up(ward, now)
            agent.on_end = partial(self._told_end, name)
        self._lease()

    def dies(self) -> None:
        """The power is gone."""
        self._life += 1
        self._between.clear()

    def adopts(self, house: Any) -> None:
        """After a start of the house: whoever the log left out is let in again, but for whom a person took out."""
        for name, held in list(house.bus.held.items()):
            if held.why == "isolated":
                self.wards[name], _ = policy.isolate(self.wards[name], held.by, self._clock.now_ns)
            else:
                self._between.append(partial(self._release, name=name, by="watchdog"))

    def _told_end(self, name: str, how: str) -> None:
        self._later(lambda: self._ended(name, how))

    def _later(self, act: Callable[[], None], after_ns: int = 0) -> None:
        """An act of the Watchdog: not before it is awake, and never after it has died."""
        life = self._life

        def when_awake() -> None:
            if life != self._life:
                return
            if self._clock.now_ns < self.frozen_until_ns:
                self._clock.at(self.frozen_until_ns, when_awake)
            else:
                act()

        self._clock.at(self._clock.now_ns + after_ns, when_awake)

    def _lease(self) -> None:
        self._world.renewed()
        self._later(self._lease, LEASE_EVERY_NS)

    # -- between two turns ------------------------------------------------------------------------------------------

    def works(self, house: Any) -> None:
        """Do at the bus what has to be done there."""
        while self._between:
            self._between.popleft()(house)

    def hold(self, name: str, why: str, by: str, detail: str) -> None:
        def act(house: Any) -> None:
            held = house.bus.held.get(name)
            if held is None or held.why != why:
                house.hold(name, why, by, detail)

        self._between.append(act)

    def _release(self, house: Any, name: str, by: str) -> None:
        if self.wards[name].phase != "running" or name not in house.bus.held:
            return
        self._reached("released")
        house.release(name, by, "it works again")

    def _recorded(self, name: str, how: str) -> None:
        incarnation, position = self.agents[name].incarnation, self.agents[name].answered_position

        self._between.append(lambda house: house.record(AgentEnded(name, incarnation, how, position)))

    # -- what happens to agents -------------------------------------------------------------------------------------

    def unanswered(self, name: str, error: ArkError) -> None:
        """The bus has held an agent, because no answer came."""
        self._reached(f"held {type(error).__name__}")
        if isinstance(error, AgentMisbehaved):
            self._later(lambda: self._misbehaved(name, str(error)))
        elif isinstance(error, AgentLate):
            self._later(lambda: self._late(name))

    def _misbehaved(self, name: str, why: str) -> None:
        self._do(name, *policy.quarantine(self.wards[name], self._clock.now_ns, policy.RULES, why=why))

    def _late(self, name: str) -> None:
        agent = self.agents[name]
        if not agent.is_hung:  # it was slow, and is not any more
            self._between.append(lambda house: self._release(house, name, "watchdog"))
            return
        began = self._clock.now_ns
        phi = Phi(began - PATIENCE_NS)
        self._later(lambda: self._look(name, agent.incarnation, phi), LOOK_NS)

    def _look(self, name: str, incarnation: int, phi: Phi) -> None:
        agent = self.agents[name]
        if not agent.is_hung or agent.incarnation != incarnation:
            return
        verdict = phi.verdict(self._clock.now_ns)
        if verdict == "suspect":
            self._reached("suspected")
        if verdict == "dead":
            self._reached("found dead by its silence")
            self._do(name, *policy.kill(self.wards[name], "silent"))
        else:
            self._later(lambda: self._look(name, incarnation, phi), LOOK_NS)

    def _ended(self, name: str, how: str) -> None:
        ward, now = self.wards[name], self._clock.now_ns
        self._recorded(name, how)
        self._chances = (self._chances * 7 + 3) % 101
        self._do(name, *policy.ended(ward, now, policy.RULES, self._chances / 101, why=how))

    def _do(self, name: str, ward: policy.Ward, action: Action | None) -> None:
        self.wards[name] = ward
        agent = self.agents[name]
        match action:
            case Start():
                self._birth(name, ward.incarnation, lambda: self._caught_up(name, ward.incarnation))
            case Kill(why=why):
                agent.ends(f"killed: {why}")
            case Quarantine(until_ns=until_ns, why=why, by=by):
                self._reached("quarantined" if until_ns is not None else "isolated")
                if until_ns is not None and until_ns - self._clock.now_ns > MINUTE_NS:
                    self._reached("quarantine doubled")
                agent.ends(f"shut out: {why}")
                self.hold(name, "quarantined" if until_ns is not None else "isolated", by, why)
            case Probe():
                self._reached("half-open")
                self._birth(name, ward.incarnation, lambda: self._probed(name))
            case Readmit(by=by):
                self._reached("readmitted")
                self._between.append(lambda house: self._release(house, name, by))
            case None:
                pass
        if ward.due_ns is not None:
            self._later(lambda: self._due(name), max(0, ward.due_ns - self._clock.now_ns))

    def _due(self, name: str) -> None:
        ward = self.wards[name]
        if ward.due_ns is not None and self._clock.now_ns >= ward.due_ns:
            self._do(name, *policy.due(ward, self._clock.now_ns))

    def _birth(self, name: str, incarnation: int, then: Callable[[], None]) -> None:
        def born() -> None:
            ward = self.wards[name]
            if ward.incarnation != incarnation or ward.phase not in policy.ALIVE:
                return
            self.wards[name] = policy.started(ward, self._clock.now_ns)
            self.agents[name].is_born(incarnation)
            then()

        self._later(born, self.births_ms.pop(name, BIRTH_NS // MS_NS) * MS_NS)

    def _caught_up(self, name: str, incarnation: int) -> None:
        self.wards[name] = policy.caught_up(self.wards[name], self._clock.now_ns, incarnation=incarnation)
        self._between.append(lambda house: self._release(house, name, "watchdog"))

    def _probed(self, name: str) -> None:
        def act(house: Any) -> None:
            ward, now = self.wards[name], self._clock.now_ns
            if ward.phase != "probing":
                return
            if self.agents[name].shadow(None):
                self._do(name, *policy.probe_passed(ward, now))
            else:
                self._reached("probe failed")
                self._do(name, *policy.probe_failed(ward, now, policy.RULES))

        self._between.append(act)

    # -- people -----------------------------------------------------------------------------------------------------

    def isolate(self, name: str, by: str) -> None:
        self._do(name, *policy.isolate(self.wards[name], by, self._clock.now_ns))

    def let_in(self, name: str, by: str) -> None:
        """Where it is shut out."""
        ward = self.wards[name]
        if ward.phase in {"quarantined", "isolated"}:
            self._do(name, *policy.release(ward, by, self._clock.now_ns))

    @property
    def shut_out(self) -> tuple[str, ...]:
        return tuple(name for name, ward in self.wards.items() if ward.phase != "running")
