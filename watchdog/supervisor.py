"""The supervision tree of a house in processes: starts the children in order, hears their beats, and acts as policy says.

What is decided is decided elsewhere, without a clock (`policy`, `phi`, `thresholds`); here it is done to real
processes. One loop, 40 times a second, reads all answers, judges silences, sends the next pings, does what is due, and
writes the lease page: a Watchdog whose loop stands still loses the lease for the house with it.

```
 well ─ φ ≥ 3 ─▶ suspected ─ φ ≥ 8, or its lease is past ─▶ killed ─▶ started again at once, later with backoff
                                      too often, or what no restart cures ─▶ quarantined ─▶ probed ─▶ readmitted
```

Kept here: nobody is judged for a time in which the Watchdog itself stood still · a process is replaced only when it has
ended · stopping goes in reverse order, each child first asked, then told, then killed.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from signal import SIGCONT, SIGKILL, SIGTERM
from typing import Protocol

import anyio
import msgspec
from anyio.abc import TaskGroup
from msgspec.structs import replace

from mutable_core import leash
from mutable_core.clock import SECOND_NS, monotonic_ns
from mutable_core.errors import Unacceptable, UnknownName
from mutable_core.leash import Inject, Stop
from watchdog import policy
from watchdog.alerts import Alert, Alerts, Notice, Severity
from watchdog.birth import Birth, Death
from watchdog.kept import ChildSpec, ChildStatus, Happened, Kept
from watchdog.lease_page import EVERY_NS, LeasePageWriter
from watchdog.nursery import BirthRefused, Child, Nursery, NurseryGone
from watchdog.phi import BEAT_NS, LEASE_NS
from watchdog.policy import RULES, Action, Kill, Probe, Quarantine, Readmit, Rules, Start
from watchdog.thresholds import (
    LIMITS,
    NO_CURE,
    AgentReading,
    Level,
    Limits,
    Loops,
    QueueReading,
    ViolationReading,
    notices,
)

STALL_NS = LEASE_NS // 2
"""A beat later than this, and the Watchdog itself stood still: every silence begins anew."""
WEIGH_NS = SECOND_NS
UNBURIED_MAX = 5
"""So many looks in a row, a second apart, may find a dead child of which the nursery says nothing."""


class Wiring(Protocol):
    """What the topology knows and the Supervisor does not. Called from the Supervisor's tasks; none may block or raise."""

    def connect(self, child: ChildSpec, incarnation: int) -> dict[str, int]:
        """Descriptors for the birth, by name; the Supervisor adds `leash`, and closes its own copies after the birth."""
        ...

    def born(self, child: ChildSpec, incarnation: int, pid: int) -> None: ...
    def ended(self, child: ChildSpec, incarnation: int, how: str) -> None: ...
    def quarantined(self, child: ChildSpec, why: str, by: str) -> None: ...
    def readmitted(self, child: ChildSpec, by: str, why: str) -> None: ...

    def probe(self, child: ChildSpec, incarnation: int) -> None:
        """An agent in quarantine has caught up: let it answer in shadow; then `probe_passed` or `probe_failed`."""
        ...

    def halt(self, why: str) -> None:
        """A loop asks for the emergency halt."""
        ...

    def all_is_well(self) -> str:
        """Empty, or why nothing may be opened now."""
        ...


class Ending(msgspec.Struct, frozen=True):
    """How a run ended: the essential child's exit code and last word; code 0 where there is no such child."""

    code: int
    line: str = ""
    name: str = ""


class Supervisor:
    """The tree of `children`, in start order. `run` is its life.

    Args:
        children: in start order.
        wiring: the topology.
        nursery: what they are born from; nobody else serves it.
        rules, limits: the numbers.
        chance: in [0, 1), for jitter.
        page: the lease page, written while the wiring finds all well; none is written where there is none.
        on_alert: told every alert that people are told.
        monotonic: ns of a clock that never jumps.

    Attributes:
        alerts: what was told, and what stands.
        loops: what looks at readings; see `reading`, `queue`, `violations`.
        halted: why the emergency halt was asked for; empty while it was not. The page stays empty after it.
    """

    def __init__(
        self,
        children: Sequence[ChildSpec],
        wiring: Wiring,
        nursery: Nursery,
        *,
        chance: Callable[[], float],
        rules: Rules = RULES,
        limits: Limits = LIMITS,
        page: LeasePageWriter | None = None,
        on_alert: Callable[[Alert], None] = lambda _: None,
        monotonic: Callable[[], int] = monotonic_ns,
    ) -> None:
        now_ns = monotonic()
        self.alerts = Alerts()
        self.loops = Loops(now_ns, limits=limits)
        self.halted = ""
        self._wiring, self._nursery, self._rules, self._chance = wiring, nursery, rules, chance
        self._page, self._on_alert, self._monotonic = page, on_alert, monotonic
        self._kept = {spec.name: Kept(spec, now_ns) for spec in children}
        assert len(self._kept) == len(children), "names are unique"
        self._order = tuple(self._kept)
        self._essential = next((kept for kept in self._kept.values() if kept.spec.is_essential), None)
        self._torn: tuple[Kept, ...] = ()  # went down with the essential child, and come back with it
        self._ending: Ending | None = None
        self._over = anyio.Event()
        self._sooner = anyio.Event()  # something is due before the next beat
        self._is_stopping = False
        self._beat_ns = self._page_ns = self._weighed_ns = self._unburied = 0
        self._tasks: TaskGroup

    # -- the run ------------------------------------------------------------------------------------------------------

    async def run(self) -> Ending:
        """Start the children, keep them, and stop them in reverse order when the run is over.

        It is over when the essential child has exited, when it cannot be kept up, or after `stop`.

        Raises:
            NurseryGone: the nursery has ended, and all children with it.
        """
        async with anyio.create_task_group() as self._tasks:
            self._tasks.start_soon(self._nursery.serve)
            self._tasks.start_soon(self._watch_nursery)
            self._tasks.start_soon(self._beats)
            self._tasks.start_soon(self._start, tuple(self._kept.values()))
            await self._over.wait()
            await self._stop_all()
            self._tasks.cancel_scope.cancel()
        if self._nursery.gone.is_set():
            raise NurseryGone("the nursery has ended, and with it every process of the house", to_do="start it again")
        return self._ending or Ending(0)

    def stop(self) -> None:
        """End the run in order."""
        self._over.set()

    async def _watch_nursery(self) -> None:
        await self._nursery.gone.wait()
        self._over.set()

    async def _start(self, group: Sequence[Kept]) -> None:
        """One after the other; the next as soon as the one before is born."""
        for kept in group:
            kept.ward, action = policy.begin(kept.ward, self._monotonic())
            if isinstance(action, Start):
                await self._bear(kept, kept.ward.incarnation)

    async def _stop_all(self) -> None:
        """The essential child first, since it brings what is begun to its end with the others; they then in reverse."""
        if self._essential is not None:
            await self._stop_one(self._essential)
        self._is_stopping = True
        if self._page is not None:
            self._page.end()
        for name in reversed(self._order):
            await self._stop_one(self._kept[name])

    async def _stop_one(self, kept: Kept) -> None:
        now_ns = self._monotonic()
        kept.ward = policy.stop(kept.ward, now_ns)
        child = kept.child
        if child is None:
            return
        kept.note("stopping", now_ns)
        kept.send(Stop())
        for signals in ((), (SIGTERM, SIGCONT), (SIGKILL,)):
            for number in signals:
                child.kill(number)
            with anyio.move_on_after(kept.spec.shutdown_s):
                await child.ended.wait()
                break
        await child.ended.wait()
        if kept.child is child:
            self._ended(kept, child)

    # -- births and deaths --------------------------------------------------------------------------------------------

    async def _gone(self, kept: Kept) -> None:
        """Return when it has no process, nor one that is still being born."""
        while kept.arrival is not None or kept.child is not None:
            if kept.arrival is not None:
                await kept.arrival.wait()
            elif kept.child is not None:
                await kept.child.ended.wait()
            await anyio.lowlevel.checkpoint()

    async def _bear(self, kept: Kept, incarnation: int) -> None:
        """Have a process for this incarnation, once the one before has ended."""
        await self._gone(kept)
        if not self._is_wanted(kept, incarnation):
            return
        kept.arrival = anyio.Event()
        try:
            await self._deliver(kept, incarnation)
        finally:
            kept.arrival.set()
            kept.arrival = None

    async def _deliver(self, kept: Kept, incarnation: int) -> None:
        descriptors = self._wiring.connect(kept.spec, incarnation)
        ours, theirs = leash.pair()
        try:
            birth = Birth(
                kept.name, kept.spec.role, kept.spec.args, {"leash": theirs.fileno(), **descriptors}, kept.spec.jail
            )
            child = await self._nursery.birth(birth)
        except (BirthRefused, NurseryGone) as error:
            ours.close()
            self._missing(kept, incarnation, str(error))
            return
        finally:
            theirs.close()
            for descriptor in descriptors.values():
                os.close(descriptor)
        self._born(kept, incarnation, child, ours)

    def _is_wanted(self, kept: Kept, incarnation: int) -> bool:
        return not self._is_stopping and kept.ward.incarnation == incarnation and kept.ward.phase in policy.ALIVE

    def _born(self, kept: Kept, incarnation: int, child: Child, ours: socket.socket) -> None:
        now_ns = self._monotonic()
        kept.born(child, ours, incarnation, now_ns)
        kept.ward = policy.started(kept.ward, now_ns)
        self._tasks.start_soon(self._await_end, kept, child)
        self._wiring.born(kept.spec, incarnation, child.pid)
        if not self._is_wanted(kept, incarnation):  # it was shut out while it was being born
            kept.kill(kept.ward.why, now_ns)
        if kept is self._essential and self._torn:
            torn, self._torn = self._torn, ()
            self._tasks.start_soon(self._start, torn)

    def _missing(self, kept: Kept, incarnation: int, why: str) -> None:
        """It could not be born: as if it had died at once."""
        now_ns = self._monotonic()
        kept.incarnation = incarnation
        kept.note("ended", now_ns, why)
        self._wiring.ended(kept.spec, incarnation, why)
        self._follow(kept, "stillborn", why, now_ns)

    async def _await_end(self, kept: Kept, child: Child) -> None:
        await child.ended.wait()
        if kept.child is child:
            self._ended(kept, child)

    def _ended(self, kept: Kept, child: Child) -> None:
        assert child.death is not None
        now_ns, death, condemned = self._monotonic(), child.death, kept.condemned
        how = f"{condemned}: {death.how}" if condemned else death.how
        kept.bury()
        kept.note("ended", now_ns, how)
        self.loops.away(kept.name)
        self._wiring.ended(kept.spec, kept.incarnation, how)
        if kept is self._essential:
            self._essential_ended(kept, death, how)
        else:
            self._follow(kept, _kind(death, condemned), how, now_ns, is_normal=death.code == 0)

    def _essential_ended(self, kept: Kept, death: Death, how: str) -> None:
        if self._page is not None:
            self._page.end()  # what the next one finds must not be permission that was given to this one
        if not death.is_by_signal:
            self._end(Ending(death.code, death.line, kept.name))
        elif self._over.is_set():
            self._end(Ending(1, how, kept.name))
        else:
            self._tasks.start_soon(self._tear_down, kept, death, how)

    async def _tear_down(self, essential: Kept, death: Death, how: str) -> None:
        """What was started after it goes with it, in reverse order, and comes back when it has come back.

        Also who was shut out: the next core asks everybody about what was said before. Who is to stay out is for the
        wiring to say again.
        """
        names = policy.affected("rest_for_one", self._order, essential.name)[1:]
        torn = [self._kept[name] for name in names]
        now_ns = self._monotonic()
        for kept in reversed(torn):
            if kept.ward.phase in policy.SHUT_OUT and kept.ward.phase != "isolated":
                self._no_longer_out(kept, now_ns)
            kept.ward = policy.stop(kept.ward, now_ns)
            kept.kill(f"`{essential.name}` has ended", now_ns)
        for kept in reversed(torn):
            await self._gone(kept)
        self._torn = tuple(torn)
        self._follow(essential, _kind(death, essential.condemned), how, self._monotonic())

    def _follow(self, kept: Kept, kind: str, how: str, now_ns: int, *, is_normal: bool = False) -> None:
        """What policy says comes after an end."""
        before = kept.ward
        kept.ward, action = policy.ended(
            before, now_ns, self._rules, self._chance(), is_normal=is_normal, incarnation=kept.incarnation, why=how
        )
        if kept.ward.phase in {"starting", "backing_off"} and before.phase in policy.ALIVE:
            kept.restarts[kind] += 1
        if kept.ward.due_ns is not None:
            self._sooner.set()
        self._do(kept, action, now_ns)

    def _end(self, ending: Ending) -> None:
        self._ending = self._ending or ending
        self._over.set()

    # -- what policy says ---------------------------------------------------------------------------------------------

    def _do(self, kept: Kept, action: Action | None, now_ns: int) -> None:
        match action:
            case Start():
                if kept.ward.incarnation > 1:
                    kept.note("restarting", now_ns, kept.ward.why)
                self._tasks.start_soon(self._bear, kept, kept.ward.incarnation)
            case Probe():
                kept.note("probing", now_ns)
                self._tasks.start_soon(self._bear, kept, kept.ward.incarnation)
            case Kill(why):
                kept.suspect(now_ns, why)
                kept.kill(why, now_ns)
            case Quarantine(until_ns, why, by):
                self._shut_out(kept, why, by, now_ns, is_for_good=until_ns is None)
            case Readmit(by, why):
                kept.note("readmitted", now_ns)
                self.loops.expect(kept.name, now_ns)
                self._no_longer_out(kept, now_ns)
                self._wiring.readmitted(kept.spec, by, why)
            case None:
                return

    def _shut_out(self, kept: Kept, why: str, by: str, now_ns: int, *, is_for_good: bool) -> None:
        kept.note("isolated" if is_for_good else "quarantined", now_ns, why)
        kept.quarantines["isolated" if is_for_good else "quarantined"] += 1
        kept.kill(why, now_ns)
        self.loops.away(kept.name)
        self._tell(Notice(f"{kept.name}_isolated", Severity.CRITICAL, f"`{kept.name}` by {by}: {why}"), now_ns)
        self._wiring.quarantined(kept.spec, why, by)
        if kept is self._essential:
            self._end(Ending(1, f"`{kept.name}` cannot be kept up: {why}", kept.name))

    def _no_longer_out(self, kept: Kept, now_ns: int) -> None:
        if (over := self.alerts.over(f"{kept.name}_isolated", now_ns)) is not None:
            self._on_alert(over)

    def _tell(self, notice: Notice, now_ns: int) -> None:
        alert = self.alerts.found("supervisor", notice, now_ns)
        if alert is not None:
            self._on_alert(alert)

    # -- the loop -----------------------------------------------------------------------------------------------------

    async def _beats(self) -> None:
        self._beat_ns = self._monotonic()
        while True:
            self._beat(self._monotonic())
            due = [kept.ward.due_ns for kept in self._kept.values() if kept.ward.due_ns and self._may_act(kept)]
            next_ns = min([*due, self._beat_ns + BEAT_NS])
            with anyio.move_on_after(max(0, next_ns - self._monotonic()) / SECOND_NS):
                await self._sooner.wait()
            self._sooner = anyio.Event()

    def _beat(self, now_ns: int) -> None:
        """Read first, judge then: an answer that lies there was given in time."""
        late_ns = now_ns - self._beat_ns - BEAT_NS
        stood_still = late_ns > STALL_NS
        if stood_still:
            text = f"the Watchdog stood still for {late_ns // 1_000_000} ms"
            self._tell(Notice("watchdog_stood_still", Severity.WARNING, text), now_ns)
        self._beat_ns = now_ns
        for kept in self._kept.values():
            self._hear(kept, now_ns)
            if stood_still:
                kept.detector.resume(now_ns)
            self._judge(kept, now_ns)
            kept.ping(now_ns)
            if self._may_act(kept):
                kept.ward, action = policy.due(kept.ward, now_ns, self._rules)
                self._do(kept, action, now_ns)
        if now_ns - self._weighed_ns >= WEIGH_NS:
            self._weighed_ns = now_ns
            for kept in self._kept.values():
                kept.weigh()
            self._watch_burials()
        self._look(now_ns)
        if now_ns - self._page_ns >= EVERY_NS:
            self._page_ns = now_ns
            self._write_page(now_ns)

    def _watch_burials(self) -> None:
        """A nursery that says nothing of the dead stands still: nobody could be born either, and no stop would end."""
        is_owed = any(kept.child is not None and kept.child.is_unburied for kept in self._kept.values())
        self._unburied = self._unburied + 1 if is_owed else 0
        if self._unburied >= UNBURIED_MAX:
            self._nursery.kill()

    def _hear(self, kept: Kept, now_ns: int) -> None:
        was_silent = not kept.beats
        if wrong := kept.listen(now_ns):
            self._misbehaved(kept, wrong, now_ns)
        elif was_silent and kept.beats and not kept.spec.is_agent:
            self.caught_up(kept.name, kept.ward.incarnation)

    def _judge(self, kept: Kept, now_ns: int) -> None:
        if kept.verdict(now_ns) == "dead":
            silent_ms = kept.detector.silent_ns(now_ns) // 1_000_000
            kept.ward, action = policy.kill(kept.ward, f"silent for {silent_ms} ms")
            self._do(kept, action, now_ns)

    def _may_act(self, kept: Kept) -> bool:
        """Whether what is due for it is done now: not at the end of the run, nor while what it needs is not there."""
        essential = self._essential
        if self._over.is_set():
            return False
        if essential is None or kept is essential or essential.child is not None:
            return True
        return self._order.index(kept.name) < self._order.index(essential.name)

    def _look(self, now_ns: int) -> None:
        for loop, found in self.loops.look(now_ns).items():
            for alert in self.alerts.looked(loop, notices(found), now_ns):
                self._on_alert(alert)
            for finding in found:
                if finding.level is Level.HALT:
                    self._halt(str(finding))
                elif finding.level is Level.ISOLATE and finding.subject in self._kept:
                    kept = self._kept[finding.subject]
                    if finding.reason in NO_CURE:
                        self._misbehaved(kept, str(finding), now_ns)
                    else:
                        kept.ward, action = policy.kill(kept.ward, str(finding))
                        self._do(kept, action, now_ns)

    def _halt(self, why: str) -> None:
        if not self.halted:
            self.halted = why
            if self._page is not None:
                self._page.end()
            self._wiring.halt(why)

    def _write_page(self, now_ns: int) -> None:
        if self._page is None:
            return
        if self.halted or self._is_stopping or self._wiring.all_is_well():
            self._page.end()
        else:
            self._page.renew(now_ns)

    # -- what others say ----------------------------------------------------------------------------------------------

    def late(self, name: str) -> None:
        """It did not answer on the bus in time. That is a suspicion; what follows is for its beats to say."""
        self._named(name).suspect(self._monotonic(), "late on the bus")

    def misbehaved(self, name: str, why: str) -> None:
        """It did what no restart cures: quarantined at once."""
        self._misbehaved(self._named(name), why, self._monotonic())

    def caught_up(self, name: str, incarnation: int) -> None:
        """It has its state and what it had missed, and works. Said of an older incarnation it says nothing."""
        kept = self._named(name)
        if kept.ward.incarnation != incarnation or kept.child is None:
            return
        now_ns = self._monotonic()
        if kept.ward.phase == "probing":
            kept.note("caught_up", now_ns)
            if kept.spec.is_agent:
                self._wiring.probe(kept.spec, incarnation)
            else:
                self.probe_passed(name)
        elif kept.ward.phase == "starting":
            kept.ward = policy.caught_up(kept.ward, now_ns, incarnation=incarnation)
            kept.note("caught_up", now_ns)
            if kept.spec.is_agent:
                self.loops.expect(name, now_ns)

    def probe_passed(self, name: str) -> None:
        kept = self._named(name)
        now_ns = self._monotonic()
        kept.ward, action = policy.probe_passed(kept.ward, now_ns)
        self._do(kept, action, now_ns)

    def probe_failed(self, name: str, why: str) -> None:
        kept = self._named(name)
        now_ns = self._monotonic()
        kept.ward, action = policy.probe_failed(kept.ward, now_ns, self._rules, why=why)
        self._do(kept, action, now_ns)

    def reading(self, name: str, reading: AgentReading) -> None:
        """What the core counted of an agent; what it costs is added here, as the kernel says."""
        kept = self._named(name)
        usage = kept.usage
        whole = replace(reading, incarnation=kept.ward.incarnation, cpu_ns=usage.cpu_ns, rss_bytes=usage.rss_bytes)
        self.loops.agent(name, whole)

    def queue(self, name: str, reading: QueueReading) -> None:
        self.loops.queue(name, reading)

    def violations(self, reading: ViolationReading) -> None:
        self.loops.violations(reading)

    # -- what people say ----------------------------------------------------------------------------------------------

    def isolate(self, name: str, by: str, detail: str = "") -> None:
        """Shut it out until a person releases it.

        Raises:
            UnknownName: no child is called so.
            Unacceptable: it is no agent; nothing else may be shut out.
        """
        kept = self._agent(name)
        now_ns = self._monotonic()
        kept.ward, action = policy.isolate(kept.ward, by, now_ns, why=detail or "isolated")
        self._do(kept, action, now_ns)

    def release(self, name: str, by: str, detail: str = "") -> None:
        """Let it in again, once it has passed its probe. Raises as `isolate`, and where it is not shut out."""
        kept = self._agent(name)
        now_ns = self._monotonic()
        kept.ward, action = policy.release(kept.ward, by, now_ns, self._rules, why=detail or "released")
        self._do(kept, action, now_ns)

    def restart(self, name: str, by: str, detail: str = "") -> None:
        """Start it anew. Raises as `isolate`, and where it is shut out."""
        kept = self._agent(name)
        now_ns = self._monotonic()
        kept.ward, action = policy.restart(kept.ward, by, now_ns, why=detail)
        self._do(kept, action, now_ns)

    def inject(self, name: str, fault: str, args: Mapping[str, str] | None = None) -> None:
        """Have it misbehave, for a drill.

        Raises:
            UnknownName: no child is called so.
            Unacceptable: it has no process now.
        """
        kept = self._named(name)
        if not kept.lives or not kept.send(Inject(fault, dict(args or {}))):
            raise Unacceptable(f"`{name}` has no process that hears", to_do="wait until it runs")
        kept.note("injected", self._monotonic(), fault)

    def status(self) -> tuple[ChildStatus, ...]:
        """All children, in start order."""
        now_ns = self._monotonic()
        return tuple(kept.status(now_ns) for kept in self._kept.values())

    def beats(self, name: str) -> Sequence[int]:
        """Monotonic ns at which the loop of this incarnation answered, oldest first, at most 8 192."""
        return self._named(name).recent_beats()

    def _misbehaved(self, kept: Kept, why: str, now_ns: int) -> None:
        kept.suspect(now_ns, why)
        kept.ward, action = policy.quarantine(kept.ward, now_ns, self._rules, why=why)
        self._do(kept, action, now_ns)

    def _named(self, name: str) -> Kept:
        try:
            return self._kept[name]
        except KeyError:
            raise UnknownName(f"`{name[:40]}` is no process of the house") from None

    def _agent(self, name: str) -> Kept:
        kept = self._named(name)
        if not kept.spec.is_agent:
            raise Unacceptable(f"`{name}` is no agent", to_do="name one of the six")
        return kept


def _kind(death: Death, condemned: str) -> str:
    """How it ended, out of few words, for a count."""
    if condemned:
        return "killed"
    return "signal" if death.is_by_signal else "exit" if death.code == 0 else "error"


__all__ = ["ChildSpec", "ChildStatus", "Ending", "Happened", "Supervisor", "Wiring"]
