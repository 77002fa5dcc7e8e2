"""The Watchdog's process: starts everybody, keeps them, and says how the run has ended. It orders nothing and trades nothing.

```
 ark run (the Watchdog) ─ nursery ─┬─ venue     the paper exchange, a world of its own
                                   ├─ kill      the kill switch
                                   ├─ core      journal, bus, house, desk; the authority is its child
                                   ├─ kyle joey hrm kenny aletheia id
                                   └─ metrics
```
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

import anyio
import msgspec

from deployment.desk import server
from deployment.drills.schedule import DrillSchedule
from deployment.run import Options, Ran, alone, check_strategies, listener_of, sealed
from deployment.topology.processes.agents import AgentArguments
from deployment.topology.processes.around import KillArguments
from deployment.topology.processes.house_process import Given, handed_over
from deployment.topology.processes.tree import Tree
from deployment.topology.state_dir import StateDir
from deployment.topology.wiring import AGENTS
from deployment.watchdog_desk.desk import WatchdogDesk
from deployment.watchdog_desk.supervised import SupervisedBy
from deployment.watchdog_desk.words import SOCKET
from mutable_core.clock import SECOND_NS, monotonic_ns
from mutable_core.errors import ArkError, PortTaken, SettingsRefused
from mutable_core.settings import Settings
from watchdog.alerts import Alert, Notice, Severity
from watchdog.jail import MIB, JailSpec
from watchdog.kept import ChildSpec
from watchdog.lease_page import LeasePageWriter
from watchdog.nursery import Nursery
from watchdog.supervisor import Ending, Supervisor

ROLES = "deployment.topology.processes.preload:ROLES"
PRELOAD = "deployment.topology.processes.preload:preload"
NO_THREADS = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""Libraries that start threads as soon as they are loaded, and how they are told not to: who forks has one."""
CORE_SHUTDOWN_S = 20.0
"""For what is begun, the last commit and a snapshot."""
TICK_S = 0.02
NAMES = tuple(agent.spec.name for agent in AGENTS)
KYLE_THREADS = 8


class CoreEnded(ArkError):
    """The core has ended with an error; its own line says all."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.line or f"`{ending.name or 'core'}` ended with code {ending.code}")
        self.exit_code = ending.code or 1

    def __str__(self) -> str:
        return self.what


def run_processes(settings: Settings, options: Options) -> Ran:
    """Run until the end of the source, or until SIGINT or SIGTERM, everybody in a process of his own.

    Raises:
        ArkError: one line says what, where, and what to do.
    """
    if settings.authority == "embedded":
        raise SettingsRefused(
            "agents in processes need an authority in one of its own",
            where="ARK_AUTHORITY",
            to_do="unset it, or set `ARK_TOPOLOGY=embedded`",
        )
    with ExitStack() as held:
        listener = held.enter_context(listener_of(settings, options))
        _demand_free(0 if options.until_end else settings.kill_port)
        check_strategies(settings)
        state = held.enter_context(StateDir(settings.state_dir))
        seal = held.enter_context(sealed(state))
        began_ns = monotonic_ns()
        page = held.enter_context(LeasePageWriter())
        environment = dict(os.environ) | NO_THREADS
        nursery = held.enter_context(Nursery.start(roles=ROLES, preload=PRELOAD, environment=environment))
        tree = Tree(state.path, page, seal, listener)
        supervisor = Supervisor(
            children(settings, options, _url(listener)),
            tree,
            nursery,
            chance=Random(monotonic_ns()).random,  # noqa: S311  # jitter
            page=page,
            on_alert=_told,
        )
        tree.supervisor = supervisor
        ending = alone(lambda: anyio.run(_supervise, settings, options, state, supervisor, tree))
        finished = tree.finished
    if ending.code or finished is None:
        raise CoreEnded(ending)
    return Ran(Path(finished.journal), finished.has_ended, (monotonic_ns() - began_ns) / SECOND_NS, finished.found)


def _demand_free(kill_port: int) -> None:
    """What would keep the kill switch from standing by stops the start.

    Raises:
        PortTaken: another process listens on its port.
    """
    if not kill_port:
        return
    try:
        socket.create_server(("127.0.0.1", kill_port)).close()
    except OSError as error:
        raise PortTaken(
            f"port {kill_port} of the kill switch cannot be opened: {error.strerror}",
            where="127.0.0.1",
            to_do="set `ARK_KILL_PORT` to another port, or to 0 for none",
        ) from error


def _url(listener: socket.socket | None) -> str:
    if listener is None:
        return ""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _told(alert: Alert) -> None:
    print(f"ark: {alert}", file=sys.stderr)


async def _supervise(
    settings: Settings, options: Options, state: StateDir, supervisor: Supervisor, tree: Tree
) -> Ending:
    async with anyio.create_task_group() as tasks:
        with _desk(state, options) as desk:
            tasks.start_soon(_stop_on_signal, supervisor)
            tasks.start_soon(_listen, tree)
            if desk is not None:
                no_drills = "" if settings.drills == "on" else "`ARK_DRILLS` is off"
                house = WatchdogDesk(SupervisedBy(supervisor, tree), no_drills=no_drills)
                tasks.start_soon(server.serve, house, desk)
                if settings.drills == "on" and settings.drill_every:
                    drills = DrillSchedule(
                        state.path, every_s=settings.drill_every, overdue=lambda text: _overdue(supervisor, text)
                    )
                    tree.drills = drills
                    tasks.start_soon(drills.run)
            ending = await supervisor.run()
            tree.listen()
            tasks.cancel_scope.cancel()
    return ending


def _overdue(supervisor: Supervisor, text: str) -> None:
    notice = Notice("fault_drill_overdue", Severity.WARNING, text)
    alert = supervisor.alerts.found("drills", notice, monotonic_ns())
    if alert is not None:
        _told(alert)


@contextmanager
def _desk(state: StateDir, options: Options) -> Iterator[socket.socket | None]:
    """Where people speak to the Watchdog of a house that stays up."""
    if options.until_end:
        yield None
        return
    with server.opened(state.path, SOCKET) as sock:
        yield sock


async def _stop_on_signal(supervisor: Supervisor) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            supervisor.stop()


async def _listen(tree: Tree) -> None:
    while True:
        tree.listen()
        await tree.heard(TICK_S)


def children(settings: Settings, options: Options, url: str) -> tuple[ChildSpec, ...]:
    """Everybody, in start order."""
    state = str(settings.state_dir.absolute())
    kill = KillArguments(state, settings.people, 0 if options.until_end else settings.kill_port)
    agent = AgentArguments(options.source, options.seed, settings.drills == "on" and not options.until_end)
    arguments = msgspec.msgpack.encode(agent)
    return (
        ChildSpec("venue", "venue", jail=JailSpec(readable=(state,), writable=(state,)), lease_ns=0),
        ChildSpec("kill", "kill", args=msgspec.msgpack.encode(kill), lease_ns=0),
        ChildSpec(
            "core",
            "core",
            args=msgspec.msgpack.encode(Given(handed_over(settings), options, url)),
            shutdown_s=CORE_SHUTDOWN_S,
            lease_ns=0,
            is_essential=True,
        ),
        *(
            ChildSpec(
                one.spec.name,
                "agent",
                args=arguments,
                jail=jail_of(one.spec.name, options),
                is_agent=True,
            )
            for one in AGENTS
        ),
        *((ChildSpec("metrics", "metrics", jail=JailSpec(tcp=True, processes=8), lease_ns=0),) if url else ()),
    )


def jail_of(name: str, options: Options) -> JailSpec:
    """What an agent may have: a user of its own; Kyle his source besides, and threads to read it; the others nothing."""
    user = NAMES.index(name)
    if name != "kyle":
        return JailSpec(user=user)
    folder = source_folder(options.source)
    if folder is None:
        return JailSpec(user=user, processes=KYLE_THREADS)
    return JailSpec(
        readable=(str(folder),),
        user=user if _is_open_to_all(folder) else None,
        memory_bytes=2048 * MIB,
        processes=KYLE_THREADS,
    )


def source_folder(source: str) -> Path | None:
    """Where the files of a source lie; None where it has none."""
    from agents.kyle.sources.embedded import EMBEDDED_PATH

    kind, _, argument = source.partition(":")
    if kind == "embedded":
        return EMBEDDED_PATH.parent
    folder = Path(argument).expanduser().absolute().parent
    return folder if kind == "file" and folder.is_dir() else None


def _is_open_to_all(folder: Path) -> bool:
    """Whether a user of no groups could read there."""
    mine = (folder, *folder.parents)
    files = [one for one in folder.iterdir() if one.is_file()]
    return all(one.stat().st_mode & 0o005 == 0o005 for one in mine) and all(one.stat().st_mode & 0o004 for one in files)
