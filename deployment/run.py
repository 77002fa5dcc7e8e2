"""`ark run`: one house, live or to the end of its source, in one process or in many."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, TypeVar

import anyio
import msgspec

from agents.joey.strategies import STRATEGIES
from agents.kyle.sources.port import Slice
from agents.kyle.sources.register import open_source
from deployment.authority.beginning import Beginning
from deployment.authority.client import AuthorityProcess
from deployment.beside import beside, disk_watched
from deployment.desk import server
from deployment.desk.checklist import Look
from deployment.desk.desk import Desk
from deployment.monitor import Beside, Monitor
from deployment.progress import Progress
from deployment.topology.boot_report import KEY, NAMESPACE, BootReport, boot_report, stored
from deployment.topology.house import House, genesis, run_key
from deployment.topology.snapshots import Found, Snapshot, Snapshots
from deployment.topology.state_dir import JOURNAL, StateDir
from graveyard.seal import graveyard_folder
from monitoring.server import MetricsServer, listen
from mutable_core.clock import MINUTE_NS, SECOND_NS
from mutable_core.errors import Broken, SettingsRefused
from mutable_core.journal import Anchor, Journal
from mutable_core.journal.signing import Signer
from mutable_core.messages import RunStarted
from mutable_core.settings import Settings
from mutable_core.state_manager import StateManager
from watchdog.inspection import SealWatch

GAP_MAX_S = 1.0
"""Nights and weekends pass in a second at most, whatever the speed."""
YIELD_EVERY_NS = 5_000_000
BEAT_S = 0.5
COMMIT_EVERY_NS = SECOND_NS // 4
"""What waits for no order still becomes durable soon; when rows are committed changes nothing in the journal."""
DAY_A_SECOND = 86_400.0

T = TypeVar("T")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How to run.

    Attributes:
        speed: market time per wall time; 0 is as fast as possible.
        until_end: stop when the source has no more rows; otherwise stay up and serve.
        serve: whether the metrics server runs.
        topology: all parts in this process, or the Watchdog in this one and the parts in processes of their own.
    """

    source: str = "embedded"
    seed: int = 0
    speed: float = 0.0
    until_end: bool = False
    serve: bool = True
    quiet: bool = False
    tick_bar_ns: int = MINUTE_NS
    topology: Literal["embedded", "processes"] = "embedded"


class Ran(msgspec.Struct, frozen=True):
    """How a run ended: where its journal is, whether its source did, how long it took, what a restart found."""

    journal: Path
    has_ended: bool
    elapsed_s: float
    found: dict[str, int]


def run(settings: Settings, options: Options) -> Ran:
    """Run until the end of the source, or until SIGINT or SIGTERM.

    Raises:
        ArkError: one line says what, where, and what to do.
    """
    if options.topology == "processes":
        from deployment.topology.processes.parent import run_processes

        return run_processes(settings, options)
    return alone(lambda: anyio.run(_run, settings, options))


def alone(act: Callable[[], T]) -> T:
    """Do it; of what ends several tasks together the one cause is raised."""
    try:
        return act()
    except BaseExceptionGroup as group:
        raise _only(group) from group


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What ended the run. Tasks of one group end together; the first that is not a mere cancellation is the cause."""
    first = group.exceptions[0]
    return _only(first) if isinstance(first, BaseExceptionGroup) else first


async def _run(settings: Settings, options: Options) -> Ran:
    with ExitStack() as held:
        sock = held.enter_context(listener_of(settings, options))
        check_strategies(settings)
        source = open_source(options.source, options.seed)
        began = time.monotonic()
        state = held.enter_context(StateDir(settings.state_dir))
        disk = held.enter_context(disk_watched(state, settings))
        signer = Signer.open(state.keys)
        memory = held.enter_context(StateManager.open(state.database))
        seal = held.enter_context(sealed(state))
        started = genesis(settings, source, options.tick_bar_ns)
        folder = state.run_folder(source.name, run_key(started))
        anchor = Anchor(state.anchor, settings.anchor_command)
        journal = Journal.open(folder / JOURNAL, signer, anchor)
        held.callback(journal.close)  # for a start that ends before there is a house
        snapshots = snapshots_of(settings, folder, signer, started)
        kept = snapshots.find(journal.path) if snapshots is not None else Found(None, ())
        authority = held.enter_context(authority_of(settings, options, started.ruleset, kept.snapshot))
        house = House(
            folder,
            source,
            started,
            seal=seal,
            authority=authority,
            journal=journal,
            snapshots=snapshots,
            snapshot=kept.snapshot,
        )
        try:
            with (
                desk_of(house, state.path, options) as desk,
                beside(house, state, signer, settings, disk, anchor, stays_up=not options.until_end) as others,
            ):
                found = await _live(house, options, sock, desk, Booting(memory, signer, kept), others)
        except BaseException:
            house.abandon()
            raise
        house.close()
        return Ran(folder / JOURNAL, house.has_ended, time.monotonic() - began, found)


@contextmanager
def authority_of(
    settings: Settings, options: Options, ruleset: str, snapshot: Snapshot | None
) -> Iterator[AuthorityProcess | None]:
    """The authority in a process of its own, where it is asked for; None where this process approves itself.

    Raises:
        AuthoritySilent: it did not start.
    """
    apart = settings.authority == "process" or (settings.authority == "auto" and not options.until_end)
    if not apart:
        yield None
        return
    authority = AuthorityProcess.start(ruleset=ruleset, beginning=_beginning(snapshot))
    try:
        yield authority
    finally:
        authority.close()


def _beginning(snapshot: Snapshot | None) -> Beginning | None:
    """HRM's docket is the authority's: both fold the same log in the same way."""
    if snapshot is None:
        return None
    return Beginning(snapshot.seq, snapshot.head, snapshot.memory.now_ns, snapshot.memory.agents["hrm"])


def snapshots_of(settings: Settings, folder: Path, signer: Signer, started: RunStarted) -> Snapshots | None:
    """Where this run keeps its snapshots; None where it is told to keep none."""
    if not settings.snapshot_rows:
        return None
    return Snapshots(folder, signer, build=started.build, run=run_key(started), every=settings.snapshot_rows)


@contextmanager
def sealed(state: StateDir) -> Iterator[SealWatch]:
    """The rules' seal, verified before anything else and watched as long as the block lasts.

    Raises:
        Broken: it does not hold.
    """
    with SealWatch(keystore=state.keys, newest_version=state.newest_seal()) as seal:
        if seal.faults:
            raise Broken(
                f"the seal of the rules is broken: {seal.faults[0]}",
                where=str(graveyard_folder()),
                to_do="run `ark rules check`, and see docs/runbooks/seal-broken.md",
            )
        state.note_seal(seal.version)
        yield seal


def check_strategies(settings: Settings) -> None:
    known = {strategy.name for strategy in STRATEGIES}
    unknown = sorted(set(settings.strategies) - known)
    if unknown or not settings.strategies:
        what = f"no strategy is called `{unknown[0]}`" if unknown else "no strategy was named"
        raise SettingsRefused(what, where="ARK_STRATEGIES", to_do=f"choose from {', '.join(sorted(known))}")


@contextmanager
def listener_of(settings: Settings, options: Options) -> Iterator[socket.socket | None]:
    """The port, taken before anything else happens; None where nothing is served."""
    if not options.serve:
        yield None
        return
    sock = listen(settings.metrics_host, settings.metrics_port)
    try:
        yield sock
    finally:
        sock.close()


AtDesk: TypeAlias = tuple[Desk, socket.socket]


@contextmanager
def desk_of(
    house: House, folder: Path, options: Options, more: Sequence[tuple[str, Look]] = ()
) -> Iterator[AtDesk | None]:
    """Where people speak to a house that stays up; a house that nobody could halt does not start.

    `more` are further lines of the checklist before a resume.

    Raises:
        DiskUnavailable: its socket cannot be opened in the state folder.
    """
    if options.until_end:
        yield None
        return
    with server.opened(folder) as sock:
        yield Desk(house, more=more), sock


class Booting(NamedTuple):
    """What a start is reported with."""

    memory: StateManager
    signer: Signer
    kept: Found

    def report(self, house: House) -> BootReport:
        """What the start has found, written down and signed."""
        report = boot_report(house, self.kept)
        self.memory.writer("house").put(NAMESPACE, KEY, stored(report, self.signer))
        return report


async def _live(
    house: House,
    options: Options,
    sock: socket.socket | None,
    desk: AtDesk | None,
    booting: Booting,
    others: Beside,
) -> dict[str, int]:
    progress = Progress(house, quiet=options.quiet)
    monitor = Monitor(house, others)
    house.bus.taps.append(monitor.tap.seen)
    house.journal.on_commit = monitor.tap.committed
    async with _served(monitor, sock) as url:
        found = house.start()
        progress.announce(booting.report(house), url)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_stop_on_signal, tasks.cancel_scope)
            tasks.start_soon(_beat, monitor, house)
            if desk is not None:
                tasks.start_soon(server.serve, *desk)
            await pump(house, moments_of(house), Turns(Pace(options.speed), progress, monitor, at_once))
            if not options.until_end:
                await anyio.sleep_forever()
            tasks.cancel_scope.cancel()
        progress.close()
    return found


@asynccontextmanager
async def _served(monitor: Monitor, sock: socket.socket | None) -> AsyncIterator[str]:
    """Serves while the block lasts; gives the address, empty where nothing is served."""
    if sock is None:
        yield ""
        return
    server = MetricsServer(sock, tap=monitor.tap, readings=monitor.readings, health=monitor.health)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


async def _stop_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()
            return


async def _beat(monitor: Monitor, house: House) -> None:
    """The heartbeat comes from the loop that does the work: a loop that is stuck sends none."""
    while True:
        monitor.health.beat("loop")
        house.look()
        await anyio.sleep(BEAT_S)


async def pump(house: House, moments: AsyncIterator[Slice], turns: Turns) -> None:
    """Slices in, at the asked speed. A cancellation is taken between two turns, never inside one."""
    last_yield = last_commit = time.monotonic_ns()
    house.journal.commit()
    async for moment in moments:
        await turns.pace.wait_for(moment)
        await turns.may_go_on()
        house.turn(moment)
        now = time.monotonic_ns()
        if now - last_commit > COMMIT_EVERY_NS:
            house.journal.commit()
            last_commit = now
        if now - last_yield > YIELD_EVERY_NS:
            turns.progress.show(now)
            turns.monitor.health.beat("loop")
            await anyio.lowlevel.checkpoint()
            last_yield = last_commit = time.monotonic_ns()
    house.journal.commit()
    house.end()
    turns.progress.ended()


class Turns(NamedTuple):
    """What goes with the turns of a house.

    Attributes:
        may_go_on: awaited before each turn; returns when there may be one.
    """

    pace: Pace
    progress: Progress
    monitor: Monitor
    may_go_on: Callable[[], Awaitable[None]]


async def at_once() -> None:
    """Nothing keeps a house in one process from its next turn."""


async def moments_of(house: House) -> AsyncIterator[Slice]:
    """What is still to be read. The way to where a resumed run stood may be long: it is gone beside the loop, which lives."""
    slices = iter(house.slices())
    if house.rows_read:
        first = await anyio.to_thread.run_sync(next, slices, None, abandon_on_cancel=True)
        if first is None:
            return
        yield first
    for moment in slices:
        yield moment


class Pace:
    """Holds each slice back until its time has come: market time divided by speed, long gaps cut short."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._last_ns: int | None = None
        self._due = time.monotonic()

    async def wait_for(self, moment: Slice) -> None:
        if not self._speed:
            return
        if self._last_ns is not None:
            gap = (moment.ts_ns - self._last_ns) / SECOND_NS / self._speed
            self._due = max(self._due + min(gap, GAP_MAX_S), time.monotonic() - GAP_MAX_S)
        self._last_ns = moment.ts_ns
        await anyio.sleep(max(0.0, self._due - time.monotonic()))
