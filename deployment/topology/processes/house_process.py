"""The core: journal, bus, house and desk in one process, between the Watchdog, which starts everybody, and the agents.

Everything happens in one thread. What the Watchdog says is heard at once, also while the core waits for an agent, for an
agent's successor comes that way; what then must be written into the log waits until the turn is over.
"""

from __future__ import annotations

import select
import signal
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import anyio
import msgspec

from agents.runtime.remote import PATIENCE_MS, RemoteAgent, Switchboard
from deployment.authority.client import AuthorityProcess
from deployment.beside import beside, disk_watched
from deployment.desk import server
from deployment.kill_switch.watching import KillWatch
from deployment.monitor import Beside, Monitor
from deployment.progress import IN_PROCESSES, Progress
from deployment.run import (
    AtDesk,
    Booting,
    Options,
    Pace,
    Turns,
    alone,
    authority_of,
    desk_of,
    pump,
    sealed,
    snapshots_of,
)
from deployment.topology.house import House, genesis, run_key
from deployment.topology.processes import control
from deployment.topology.processes.feed import Feed
from deployment.topology.processes.remote_source import RemoteSource
from deployment.topology.processes.violations import Violations
from deployment.topology.processes.wiring import ProcessWiring, remote_agents
from deployment.topology.snapshots import Found
from deployment.topology.state_dir import JOURNAL, StateDir
from deployment.topology.wiring import VETTING
from mutable_core import leash as leashes
from mutable_core.clock import SECOND_NS, monotonic_ns
from mutable_core.docket import Docket
from mutable_core.errors import AgentMisbehaved, ArkError, Broken, SettingsRefused, Unavailable
from mutable_core.freezing import freeze, thaw
from mutable_core.journal import Anchor, Journal
from mutable_core.journal.signing import Signer
from mutable_core.lease_page import LeasePage
from mutable_core.messages import (
    AgentEnded,
    Envelope,
    FaultInjected,
    HaltOrdered,
    HeldWhy,
    ProposalMade,
    Refused,
)
from mutable_core.settings import Settings
from mutable_core.state_manager import StateManager
from watchdog.birth import Birth

PROPOSER = "joey"  # the only agent that may propose
TICK_S = 0.025
STATS_EVERY_NS = SECOND_NS // 10
STATE_EVERY_NS = SECOND_NS
STEADY_NS = 15 * SECOND_NS
"""How long a start waits for the Watchdog to find all well; after that it begins without a lease."""
UNTIL_END_PATIENCE_MS = 5_000
EFFECTS_MS = 1_500
"""For one thing that Kenny is asked to do: a silent authority and a silent venue, each to its deadline, and then some."""


class Given(msgspec.Struct, frozen=True):
    """What the Watchdog's process gives the core to begin with.

    Attributes:
        settings: frozen; see `handed_over`.
        url: where metrics are served; empty where they are not.
    """

    settings: bytes
    options: Options
    url: str


def handed_over(settings: Settings) -> bytes:
    """Settings as bytes."""
    fields = {name: getattr(settings, name) for name in Settings.model_fields}
    return freeze({name: str(value) if isinstance(value, Path) else value for name, value in fields.items()})


def live(birth: Birth) -> int:
    """Be the core until the run has ended, or the Watchdog says so. Returns the exit code.

    Raises:
        ArkError: the run cannot go on.
    """
    given = msgspec.msgpack.decode(birth.args, type=Given)
    with ExitStack() as held:
        core = Core(birth, given, held)
        return alone(lambda: anyio.run(core.run))


class Core:
    """One life of the core."""

    def __init__(self, birth: Birth, given: Given, held: ExitStack) -> None:
        self._options, self._url = given.options, given.url
        self._settings = Settings.model_validate(thaw(given.settings))
        self._line = control.Line(socket.socket(fileno=birth.fds["control"]))
        self._leash = socket.socket(fileno=birth.fds["leash"])
        self._leash.setblocking(False)
        self._readable = held.enter_context(select.epoll())
        self._readable.register(self._line.fileno(), select.EPOLLIN)
        self._readable.register(self._leash, select.EPOLLIN)
        self._market = held.enter_context(socket.socket(fileno=birth.fds["market"]))
        self._page = held.enter_context(LeasePage(birth.fds["lease"]))
        self._switchboard = Switchboard(self.hear, self._line.fileno())
        self._agents = remote_agents(self._switchboard)
        for name, agent in self._agents.items():
            agent.on_caught_up = lambda incarnation, name=name: self._caught_up(name, incarnation)
        self._feed: Feed | None = None
        self._house: House | None = None
        self._monitor: Monitor | None = None
        self._acts: deque[Callable[[House], None]] = deque()  # for between two turns
        self._shut_out: dict[str, control.ShutOut] = {}
        self._probing: dict[str, int] = {}
        self._caught: set[str] = set()
        self._is_finishing = False
        self._turns: anyio.CancelScope | None = None
        self._stats_ns = self._state_ns = 0
        self._known: tuple[int, Docket] | None = None
        self._handled = 0
        self._late = dict.fromkeys(self._agents, 0)
        self._violations = Violations()
        self._proposals = self._refusals = 0

    # -- what the Watchdog says -----------------------------------------------------------------------------------------

    def hear(self) -> None:
        """Take everything that the Watchdog has said. May come in the midst of a turn: nothing is appended here."""
        while True:
            try:
                heard = self._line.heard_by_core()
            except EOFError:
                raise Broken("the Watchdog has gone", to_do="start the house again") from None
            if heard is None:
                return
            self._heard(*heard)

    def _heard(self, frame: control.ToCore, beside_it: socket.socket | None) -> None:
        match frame:
            case control.Joined():
                self._joined(frame, beside_it)
            case control.Gone(name=name, incarnation=incarnation, how=how):
                self._gone(self._agents[name], incarnation, how)
            case control.ShutOut(name=name, why=why) if self._house is None or not self._house.is_started:
                raise Unavailable(
                    f"`{name}` could not begin: {why}", to_do="see what is wrong with it, then start again"
                )
            case control.ShutOut(name=name, why=why, by=by):
                self._shut_out[name] = frame
                self._acts.append(lambda house: _shut_out(house, name, why, by))
            case control.Readmitted(name=name, by=by, detail=detail):
                self._shut_out.pop(name, None)
                self._acts.append(lambda house: self._release(house, name, by, detail))
            case control.Probed(name=name, incarnation=incarnation):
                self._probing[name] = incarnation
                self._probe()
            case control.VenueGone():
                signal.raise_signal(signal.SIGKILL)  # begin anew: what the next venue missed stands in the journal
            case control.Injected(fault=fault, name=name, by=by):
                self._acts.append(lambda house: house.record(FaultInjected(fault, name, by)))
            case control.Halt(reason=reason):
                order = HaltOrdered("global", "", "halted", "watchdog", reason)
                self._acts.append(lambda house: house.record(order))
            case control.Finish():
                self._is_finishing = True
                if self._turns is not None:
                    self._turns.cancel()

    def _joined(self, frame: control.Joined, connection: socket.socket | None) -> None:
        if connection is None:
            raise Broken(f"`{frame.name}` joined without a connection", to_do="start the house again")
        if frame.name == "metrics":
            if self._feed is not None:
                self._feed.close()
            self._feed = Feed(connection)
            self._state_ns = 0
        else:
            self._readable.register(connection, select.EPOLLIN)  # for as long as it is open
            self._agents[frame.name].joined(frame.incarnation, frame.pid, connection)

    def _gone(self, agent: RemoteAgent, incarnation: int, how: str) -> None:
        if incarnation == agent.incarnation:
            agent.lost()
        record = AgentEnded(agent.name, incarnation, how, agent.position)
        self._acts.append(lambda house: house.record(record))

    def _caught_up(self, name: str, incarnation: int) -> None:
        self._line.send(control.CaughtUp(name, incarnation))
        self._probe()

    def _probe(self) -> None:
        """A half-open agent has passed when it has worked through, in shadow, all that it was told."""
        for name, incarnation in list(self._probing.items()):
            agent = self._agents[name]
            if agent.incarnation == incarnation and agent.has_caught_up and not agent.pending:
                del self._probing[name]
                self._line.send(control.Tried(name, ""))

    # -- between two turns ----------------------------------------------------------------------------------------------

    async def _watch(self, house: House) -> None:
        """The heart of the core: it beats from the loop that turns, at once where anybody says something."""
        while True:
            self._beat(house)
            with anyio.move_on_after(TICK_S):
                await anyio.wait_readable(self._readable.fileno())

    def _beat(self, house: House) -> None:
        self.hear()
        self._answer_pings()
        house.look()
        for agent in self._agents.values():
            self._look_at(agent)
        while self._acts:
            self._acts.popleft()(house)
        self._probe()
        for name, held in list(house.bus.held.items()):
            if name not in self._shut_out and held.why != "isolated":
                self._release(house, name, "watchdog", "it answers again")
        self._switchboard.flush()
        self._tell(house)

    def _look_at(self, agent: RemoteAgent) -> None:
        try:
            agent.look()
        except AgentMisbehaved as error:
            self._sinned(agent.name, error)

    def _sinned(self, name: str, error: AgentMisbehaved) -> None:
        """What it says is not believed any more: held between two turns, quarantined by the Watchdog."""
        self._acts.append(lambda house: house.hold(name, "quarantined", "watchdog", error.what))
        self._unanswered(name, error)

    def _release(self, house: House, name: str, by: str, detail: str) -> None:
        """As soon as its process has answered all that it was told; until then this is tried again with each beat."""
        agent = self._agents[name]
        if name in house.bus.held and agent.has_caught_up and not agent.pending:
            house.release(name, by, detail)

    def _unanswered(self, name: str, error: ArkError) -> None:
        """The bus has held an agent. In the midst of a turn: nothing is appended here."""
        self._late[name] += 1
        if isinstance(error, AgentMisbehaved):
            self._line.send(control.Misbehaved(name, error.what))
        else:
            self._line.send(control.Late(name))

    def _answer_pings(self) -> None:
        while True:
            try:
                frame = leashes.from_watchdog(self._leash)
            except BlockingIOError:
                return
            match frame:
                case leashes.Ping(n=n):
                    leashes.send(self._leash, leashes.Pong(n, self._handled, monotonic_ns()))
                case leashes.Stop():
                    self._is_finishing = True
                    if self._turns is not None:
                        self._turns.cancel()
                    return
                case None:
                    raise Broken("the Watchdog has gone", to_do="start the house again")
                case _:
                    continue  # nobody drills the core

    # -- what is told ---------------------------------------------------------------------------------------------------

    def _seen(self, envelope: Envelope, stamp_ns: int) -> None:
        self._handled += 1
        self._violations.see(envelope)
        body = envelope.body
        if isinstance(body, ProposalMade):
            self._proposals += 1
        elif isinstance(body, Refused):
            self._refusals += 1
        if self._feed is not None:
            self._feed.row(envelope, stamp_ns)

    def _committed(self, rows: int, duration_ns: int, pending: int) -> None:
        if self._feed is not None:
            self._feed.committed(rows, duration_ns, pending)

    def _tell(self, house: House | None) -> None:
        now_ns = monotonic_ns()
        self._line.flush()
        if now_ns - self._stats_ns >= STATS_EVERY_NS:
            self._stats_ns = now_ns
            self._line.send(self._stats(house, now_ns))
        if self._feed is None:
            return
        if self._monitor is not None and now_ns - self._state_ns >= STATE_EVERY_NS:
            self._state_ns = now_ns
            self._monitor.health.beat("loop")
            self._feed.state(self._monitor)
        if not self._feed.flush():
            self._feed.close()
            self._feed = None

    def _docket(self) -> Docket:
        """What Aletheia knows, asked for once for all that is told at one time."""
        assert self._house is not None
        if self._known is None or self._known[0] != self._state_ns:
            try:
                self._known = self._state_ns, self._house.hosts["aletheia"].state.docket
            except AgentMisbehaved as error:
                self._sinned("aletheia", error)
                raise
        return self._known[1]

    def _stats(self, house: House | None, now_ns: int) -> control.Stats:
        held = house.bus.held if house is not None else {}
        agents = {
            name: control.AgentStats(
                pending=agent.pending,
                answered=agent.answered,
                refused=agent.refused,
                held=held[name].why if name in held else "",
                late=self._late[name],
                proposed=self._proposals if name == PROPOSER else 0,
                rejected=self._refusals if name == PROPOSER else 0,
            )
            for name, agent in self._agents.items()
        }
        return control.Stats(
            house.journal.path.parent.name if house is not None else "",
            house.journal.durable_seq if house is not None else 0,
            house.bus.depth if house is not None else 0,
            self._violations.count,
            self._ill(house),
            now_ns,
            agents,
        )

    def _ill(self, house: House | None) -> str:
        """Why the core, for its part, is no place to open risk from."""
        if house is None:
            return "the core is starting"
        return house.failure or house.lease.ended

    # -- life -----------------------------------------------------------------------------------------------------------

    async def run(self) -> int:
        """From the first word to the last."""
        with ExitStack() as held:
            began_ns = monotonic_ns()
            house, booting, others, desk, wiring = self._made(held)
            try:
                found = await self._live(house, booting, others, desk, wiring)
            except BaseException:
                house.abandon()
                raise
            house.close()
            elapsed_s = (monotonic_ns() - began_ns) / SECOND_NS
        self._line.send(control.Finished(str(house.journal.path), house.has_ended, elapsed_s, found))
        self._drain()
        return 0

    def _made(self, held: ExitStack) -> tuple[House, Booting, Beside, AtDesk | None, ProcessWiring]:
        """All parts, as in a run in one process; the agents are there, or come while this goes on."""
        settings, options = self._settings, self._options
        state = held.enter_context(StateDir(settings.state_dir, is_held=True))
        disk = held.enter_context(disk_watched(state, settings))
        signer = Signer.open(state.keys)
        memory = held.enter_context(StateManager.open(state.database))
        seal = held.enter_context(sealed(state))
        source = RemoteSource.described(self._agents["kyle"])
        started = genesis(settings, source, options.tick_bar_ns)
        folder = state.run_folder(source.name, run_key(started))
        anchor = Anchor(state.anchor, settings.anchor_command)
        journal = Journal.open(folder / JOURNAL, signer, anchor)
        held.callback(journal.close)
        snapshots = snapshots_of(settings, folder, signer, started)
        kept = snapshots.find(journal.path) if snapshots is not None else Found(None, ())
        authority = self._authority(held, settings, options, started.ruleset, kept)
        wiring = ProcessWiring(
            self._agents, self._switchboard, self._market, self._page, authority, self._wait_until_all_is_well
        )
        house = House(
            folder,
            source,
            started,
            seal=seal,
            authority=authority,
            journal=journal,
            snapshots=snapshots,
            snapshot=kept.snapshot,
            wiring=wiring,
            kill=KillWatch(state.path),
        )
        wiring.house = house
        desk = held.enter_context(desk_of(house, state.path, options, self._checks(house)))
        others = held.enter_context(
            beside(house, state, signer, settings, disk, anchor, stays_up=not options.until_end)
        )
        return house, Booting(memory, signer, kept), others, desk, wiring

    def _checks(self, house: House) -> tuple[tuple[str, Callable[[], str]], ...]:
        """What must be so before a resume, besides what the desk looks at itself."""

        def agents() -> str:
            away = [name for name, agent in self._agents.items() if not agent.has_caught_up or name in house.bus.held]
            return f"`{away[0]}` is away or held" if away else ""

        return (
            ("agents", agents),
            ("watchdog", lambda: "" if self._page.is_fresh() else "it grants no lease; see `ark agents status`"),
        )

    def _authority(
        self, held: ExitStack, settings: Settings, options: Options, ruleset: str, kept: Found
    ) -> AuthorityProcess:
        """Kenny's process believes nobody's approvals but those of a process that signs."""
        if settings.authority == "embedded":
            raise SettingsRefused(
                "agents in processes need an authority in one of its own",
                where="ARK_AUTHORITY",
                to_do="unset it, or set `ARK_TOPOLOGY=embedded`",
            )
        apart = settings.model_copy(update={"authority": "process"})
        authority = held.enter_context(authority_of(apart, options, ruleset, kept.snapshot))
        assert authority is not None
        return authority

    async def _live(
        self, house: House, booting: Booting, others: Beside, desk: AtDesk | None, wiring: ProcessWiring
    ) -> dict[str, int]:
        options = self._options
        self._monitor = Monitor(house, others, self._docket)
        self._house = house
        progress = Progress(house, quiet=options.quiet, where=IN_PROCESSES)
        house.bus.taps.append(self._seen)
        house.bus.on_unanswered = self._unanswered
        house.journal.on_commit = self._committed
        found = house.start()
        for name, held in house.bus.held.items():
            if held.why == "isolated":
                self._line.send(control.Isolated(name, held.by, held.detail))
        is_patient = options.until_end
        wiring.set_patience(
            agents_ms=UNTIL_END_PATIENCE_MS if is_patient else PATIENCE_MS,
            venue_ms=UNTIL_END_PATIENCE_MS if is_patient else 250,
            effects_ms=4 * UNTIL_END_PATIENCE_MS if is_patient else EFFECTS_MS,
        )
        progress.announce(booting.report(house), self._url)
        async with anyio.create_task_group() as tasks:
            self._turns = tasks.cancel_scope
            if self._is_finishing:
                tasks.cancel_scope.cancel()
            tasks.start_soon(self._watch, house)
            if desk is not None:
                tasks.start_soon(server.serve, *desk)
            source = house.source
            assert isinstance(source, RemoteSource)
            source.on_misbehaved = self._sinned
            moments = source.moments(house.rows_read, is_over=house.has_ended)
            turns = Turns(Pace(options.speed), progress, self._monitor, lambda: self._until_kyle_is_heard(house))
            await pump(house, moments, turns)
            if not options.until_end:
                await anyio.sleep_forever()
            tasks.cancel_scope.cancel()
        progress.close()
        return found

    async def _until_kyle_is_heard(self, house: House) -> None:
        """While he is held, nothing more is read: it would only be put aside."""
        while "kyle" in house.bus.held:  # noqa: ASYNC110  # it is lifted by a row of the log, which is no event
            await anyio.sleep(TICK_S / 5)

    def _wait_until_all_is_well(self) -> None:
        """For the lease, before the first turn."""
        until_ns = monotonic_ns() + STEADY_NS
        while not self._is_steady() and monotonic_ns() < until_ns and not self._is_finishing:
            self.hear()
            self._answer_pings()
            for agent in self._agents.values():
                agent.look()
            self._switchboard.flush()
            self._tell(self._house)
            time.sleep(TICK_S / 5)

    def _is_steady(self) -> bool:
        """The lease stands, and the kill switch reaches the venue: what the first inspection will state.

        Or there will be no lease: by the log somebody who vets is isolated.
        """
        house = self._house
        if house is None:
            return self._page.is_fresh()
        if any(held.why == "isolated" for name, held in house.bus.held.items() if name in VETTING):
            return True
        return self._page.is_fresh() and (house.kill is None or house.kill.path_is_up())

    def _drain(self) -> None:
        """The last word must reach the Watchdog."""
        until_ns = monotonic_ns() + 2 * SECOND_NS
        while self._line.has_waiting and monotonic_ns() < until_ns:
            self._line.flush()
            time.sleep(0.001)


def _shut_out(house: House, name: str, why: str, by: str) -> None:
    """Once: a core that was started again is told of it again."""
    why_held: HeldWhy = "quarantined" if by == "watchdog" else "isolated"
    held = house.bus.held.get(name)
    if held is None or held.why != why_held:
        house.hold(name, why_held, by, why)
