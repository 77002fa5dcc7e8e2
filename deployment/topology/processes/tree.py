"""Who is connected with whom: what the Watchdog does for its Supervisor when a process is born, ends or is shut out.

All connections are unnamed pairs of sockets, made here before a birth: one end goes with the child, the other over an
existing line to whom the child is to speak with. So who speaks is known from the connection.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import anyio

from agents.kenny.venues.server import send_connection
from agents.kenny.venues.venue_wire import Right
from deployment.kill_switch import client as kill_switch
from deployment.kill_switch.words import WithdrawEntries
from deployment.topology.processes import control
from deployment.topology.processes.feed import Feed
from deployment.topology.wiring import VETTING
from deployment.watchdog_desk.port import AtCore, Core
from deployment.watchdog_desk.readings import readings
from mutable_core.attest import ask_for_senders
from mutable_core.clock import SECOND_NS, monotonic_ns
from mutable_core.errors import ArkError, MalformedMessage, Unavailable
from watchdog.inspection import SealWatch
from watchdog.kept import ChildSpec
from watchdog.lease_page import LeasePageWriter
from watchdog.policy import WATCHDOG
from watchdog.supervisor import Supervisor
from watchdog.thresholds import AgentReading, QueueReading, ViolationReading

SILENT_NS = 2 * SECOND_NS
"""A core that has said nothing for so long is no place to open risk from."""
TELL_EVERY_NS = SECOND_NS


NOTHING = control.AgentStats(0, 0, 0, "", 0, 0, 0)
"""Of an agent that nothing was counted of."""


class HasAge(Protocol):
    """What is looked at of scheduled drills."""

    def age_ns(self) -> int | None: ...


class Tree:
    """Implements `watchdog.supervisor.Wiring`, and the desk's `CoreLine`.

    Args:
        state: the state folder.
        page: whose readers go to the core and to Kenny.
        seal: the rules', as this process sees it.
        listener: of the metrics; None where nothing is served.

    Attributes:
        supervisor: to be set before it runs.
        finished: the core's last word; None before it.
        drills: the schedule, where there is one.
    """

    def __init__(self, state: Path, page: LeasePageWriter, seal: SealWatch, listener: socket.socket | None) -> None:
        self.supervisor: Supervisor
        self.finished: control.Finished | None = None
        self.drills: HasAge | None = None
        self._state = state
        self._readable = select.epoll()
        self._page, self._seal, self._listener = page, seal, listener
        self._venue: socket.socket | None = None  # the line over which the venue is handed connections
        self._for_venue: list[tuple[Right, socket.socket]] = []  # that it will be handed when it is there again
        self._kill_pid = 0  # of the kill switch; 0 while it has none
        self._core: control.Line | None = None
        self._feed: Feed | None = None
        self._ends: dict[str, socket.socket] = {}  # of a child that is being born: the end that is for the core
        self._isolated: dict[str, control.ShutOut] = {}  # by people
        self._there: set[str] = set()  # agents that have caught up at least once
        self._stats: control.Stats | None = None
        self._told_ns = 0
        self._base: dict[str, control.AgentStats] = {}  # what was counted before this process of the agent
        self._born_ns: dict[str, int] = {}  # of processes of which the core has not said anything yet

    # -- births ---------------------------------------------------------------------------------------------------------

    def connect(self, child: ChildSpec, incarnation: int) -> dict[str, int]:  # noqa: ARG002
        """See `watchdog.supervisor.Wiring`. Whoever is not there now is connected when it is born."""
        match child.role:
            case "venue":
                return self._connect_venue()
            case "kill":
                return {"venue": self._to_venue("kill")}
            case "core":
                return self._connect_core()
            case "metrics":
                return self._connect_metrics()
            case _:
                return self._connect_agent(child.name)

    def _connect_venue(self) -> dict[str, int]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._venue = ours
        waiting, self._for_venue = self._for_venue, []
        for right, connection in waiting:
            self._hand_over(right, connection)
        return {"control": theirs.detach()}

    def _to_venue(self, right: Right) -> int:
        """A new connection to the venue, with this right; the child's end. A venue that is away gets it when it is back."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        if self._venue is None:
            self._for_venue.append((right, ours))
        else:
            self._hand_over(right, ours)
        return theirs.detach()

    def _hand_over(self, right: Right, connection: socket.socket) -> None:
        assert self._venue is not None
        with connection, suppress(OSError):  # it has just gone: the child's connection ends, and says so
            send_connection(self._venue, right, connection)

    def _venue_gone(self, how: str) -> None:
        """Whoever spoke with it begins anew: the core, and with it Kenny; and the kill switch."""
        if self._venue is not None:
            self._venue.close()
            self._venue = None
        self._say(control.VenueGone(how))
        if self._kill_pid:
            os.kill(self._kill_pid, signal.SIGKILL)

    def _connect_core(self) -> dict[str, int]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        if self._core is not None:
            self._core.close()
        self._core, self._stats = control.Line(ours), None
        self._readable.register(ours, select.EPOLLIN)  # for as long as it is open
        return {"control": theirs.detach(), "market": self._to_venue("market"), "lease": self._page.reader()}

    def _connect_agent(self, name: str) -> dict[str, int]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ask_for_senders(ours)  # before it can speak
        self._end_for_core(name, ours)
        descriptors = {"work": theirs.detach()}
        if name == "kenny":
            descriptors |= {"venue": self._to_venue("trade"), "lease": self._page.reader()}
        return descriptors

    def _connect_metrics(self) -> dict[str, int]:
        assert self._listener is not None
        to_core, of_core = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._end_for_core("metrics", to_core)
        if self._feed is not None:
            self._feed.close()
        self._feed = Feed(ours)
        listener = socket.dup(self._listener.fileno())
        return {"core": of_core.detach(), "watchdog": theirs.detach(), "listener": listener}

    def _end_for_core(self, name: str, end: socket.socket) -> None:
        before = self._ends.pop(name, None)
        if before is not None:
            before.close()
        self._ends[name] = end

    def born(self, child: ChildSpec, incarnation: int, pid: int) -> None:
        """See `watchdog.supervisor.Wiring`."""
        end = self._ends.pop(child.name, None)
        self._born_ns[child.name] = monotonic_ns()
        if child.name == "kill":
            self._kill_pid = pid
        if end is not None:
            self._say(control.Joined(child.name, incarnation, pid), end)

    def ended(self, child: ChildSpec, incarnation: int, how: str) -> None:
        """See `watchdog.supervisor.Wiring`."""
        if child.is_agent:
            self._say(control.Gone(child.name, incarnation, how))
        elif child.name == "venue":
            self._venue_gone(how)
        elif child.name == "kill":
            self._kill_pid = 0
        elif child.is_essential:
            self.listen()
            self._stats = None
            self._there.clear()

    # -- judgements -----------------------------------------------------------------------------------------------------

    def quarantined(self, child: ChildSpec, why: str, by: str) -> None:
        """See `watchdog.supervisor.Wiring`."""
        if child.is_agent:
            said = control.ShutOut(child.name, why, by)
            self._say(said)
            if by != WATCHDOG:
                self._isolated[child.name] = said
        if child.name == "kenny":  # he cannot cancel any more: the kill switch does, by its own way
            threading.Thread(target=self._withdraw_entries, name="withdrawing", daemon=True).start()

    def _withdraw_entries(self) -> None:
        """In a thread: a kill switch that is stuck must not stop the loop that keeps everybody."""
        try:
            kill_switch.ask(self._state, WithdrawEntries())
        except ArkError as error:
            print(f"ark: working entries were not withdrawn: {error}; see `ark halt`", file=sys.stderr)

    def readmitted(self, child: ChildSpec, by: str, why: str) -> None:
        """See `watchdog.supervisor.Wiring`."""
        if child.is_agent:
            self._isolated.pop(child.name, None)
            self._say(control.Readmitted(child.name, by, why))

    def probe(self, child: ChildSpec, incarnation: int) -> None:
        """See `watchdog.supervisor.Wiring`."""
        self._say(control.Probed(child.name, incarnation))

    def halt(self, why: str) -> None:
        """See `watchdog.supervisor.Wiring`."""
        self._say(control.Halt(why))

    def all_is_well(self) -> str:
        """Empty, or why nothing may be opened now. A quick restart of an agent is no reason: the log waits for it."""
        stats = self._stats
        if self._seal.faults:
            return f"the seal of the rules is broken: {self._seal.faults[0]}"
        if stats is None or monotonic_ns() - stats.monotonic_ns > SILENT_NS:
            return "the core says nothing"
        if stats.ill:
            return stats.ill
        isolated = sorted(VETTING & self._isolated.keys())
        if isolated:
            return f"`{isolated[0]}` is isolated"
        missing = sorted(stats.agents.keys() - self._there)
        if missing:
            return f"`{missing[0]}` has not begun"
        held = sorted(name for name, one in stats.agents.items() if one.held and name in VETTING)
        return f"`{held[0]}` is held" if held else ""

    # -- the core -------------------------------------------------------------------------------------------------------

    def _say(self, frame: control.ToCore, beside: socket.socket | None = None) -> None:
        """To the core, if there is one; a new one is told what it must know when its own agents are born."""
        if self._core is None:
            if beside is not None:
                beside.close()
            return
        with suppress(Unavailable):  # it has gone: its end is reported, and everything begins again
            self._core.send(frame, beside)

    async def heard(self, within_s: float) -> None:
        """Return when the core has said something, or after so long."""
        with anyio.move_on_after(within_s):
            await anyio.wait_readable(self._readable.fileno())

    def listen(self) -> None:
        """Take what the core has said."""
        line = self._core
        if line is None:
            return
        try:
            while (frame := line.heard_by_watchdog()) is not None:  # also the last words of one that has gone
                self._heard(frame)
            line.flush()
        except (EOFError, Unavailable, MalformedMessage):  # its end is reported by the kernel
            self._core = None
            line.close()
        finally:
            self._tell_metrics()

    def _heard(self, frame: control.FromCore) -> None:
        match frame:
            case control.Late(name=name):
                self.supervisor.late(name)
            case control.Misbehaved(name=name, why=why):
                self.supervisor.misbehaved(name, why)
            case control.CaughtUp(name=name, incarnation=incarnation):
                self._there.add(name)
                self.supervisor.caught_up(name, incarnation)
            case control.Tried(name=name, fault=fault):
                if fault:
                    self.supervisor.probe_failed(name, fault)
                else:
                    self.supervisor.probe_passed(name)
            case control.Isolated(name=name, by=by, why=why):
                self.supervisor.isolate(name, by, why)
            case control.Stats():
                is_first, self._stats = self._stats is None, frame
                if is_first:
                    self._isolate_again()
                self._read(frame)
            case control.Finished():
                self.finished = frame

    def _isolate_again(self) -> None:
        """A core that was started again has begun with everybody; whom a person shut out goes now."""
        for name, said in tuple(self._isolated.items()):
            self.supervisor.isolate(name, said.by, said.why)

    def _base_of(self, name: str, now: control.AgentStats, at_ns: int) -> control.AgentStats | None:
        """What the process before this one is to answer for; None as long as the core speaks of that one."""
        born_ns = self._born_ns.get(name)
        if born_ns is not None:
            if at_ns < born_ns:
                return None
            del self._born_ns[name]
            self._base[name] = now
        return self._base.get(name, NOTHING)

    def _read(self, stats: control.Stats) -> None:
        """Feed the loops that judge."""
        at_ns, supervisor = stats.monotonic_ns, self.supervisor
        for name, one in stats.agents.items():
            base = self._base_of(name, one, at_ns)
            if base is None:
                continue
            answered, late = max(0, one.answered - base.answered), max(0, one.late - base.late)
            reading = AgentReading(
                at_ns,
                handled=answered,
                pending=one.pending,
                requests=answered + late,
                failures=late,
                unsigned=max(0, one.refused - base.refused),
                proposed=max(0, one.proposed - base.proposed),
                rejected=max(0, one.rejected - base.rejected),
            )
            supervisor.reading(name, reading)
        supervisor.queue("bus", QueueReading(at_ns, stats.queue, stats.rows))
        supervisor.violations(ViolationReading(at_ns, stats.violations))

    # -- the desk -------------------------------------------------------------------------------------------------------

    def reading(self) -> Core:
        """See `deployment.watchdog_desk.supervised.CoreLine`."""
        stats = self._stats
        if stats is None:
            return Core()
        agents = {name: AtCore(one.pending, one.refused, one.held) for name, one in stats.agents.items()}
        return Core(stats.folder, stats.rows, agents)

    def fault_injected(self, fault: str, agent: str, by: str) -> None:
        """See `deployment.watchdog_desk.supervised.CoreLine`."""
        self._say(control.Injected(fault, agent, by))

    # -- metrics --------------------------------------------------------------------------------------------------------

    def _tell_metrics(self) -> None:
        feed, now_ns = self._feed, monotonic_ns()
        if feed is None:
            return
        if now_ns - self._told_ns >= TELL_EVERY_NS:
            self._told_ns = now_ns
            feed.told(self._readings(), self._components())
        if not feed.flush():
            feed.close()
            self._feed = None

    def _readings(self) -> Mapping[str, Mapping[tuple[str, ...], float]]:
        supervisor, drills = self.supervisor, self.drills
        age_ns = None if drills is None else drills.age_ns()
        return readings(supervisor.status(), self.reading(), supervisor.alerts.standing.values(), age_ns)

    def _components(self) -> tuple[tuple[str, bool, str], ...]:
        """Each child, for `/readyz`."""
        ill = self.all_is_well()
        others = [one for one in self.supervisor.status() if not one.is_agent]
        return (
            ("supervision", not ill, ill or "finds all well"),
            *((one.name, one.phase == "running", one.phase) for one in others),
        )
