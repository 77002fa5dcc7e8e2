"""One child, as its supervisor keeps it: what policy knows of it, its process, its leash, its beats, its record."""

from __future__ import annotations

import socket
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from signal import SIGKILL

import anyio
import msgspec

from mutable_core import leash
from mutable_core.clock import SECOND_NS
from mutable_core.errors import MalformedMessage
from mutable_core.leash import Ping
from watchdog.jail import JailSpec
from watchdog.nursery import Child
from watchdog.phi import Phi, Verdict
from watchdog.policy import ALIVE, Restart, Ward
from watchdog.usage import Usage, usage_of

HAPPENED_MAX = 64
BEATS_MAX = 8_192


class ChildSpec(msgspec.Struct, frozen=True):
    """One child, in OTP's words.

    Attributes:
        name: unique in the tree.
        role: key of the table of roles that the nursery was started with.
        restart: permanent: always started again; transient: unless it ended with code 0; temporary: never.
        args: handed to the role as they are.
        jail: what it is locked into; None: nothing but the end with its parent.
        shutdown_s: how long it may take to end after `Stop`, and again after SIGTERM, before SIGKILL.
        lease_ns: silence on the leash after which it is killed; 0: its silence is looked at by nobody.
        start_s: silence after which it is killed before its first answer.
        is_agent: it is caught up, and has passed a probe, when the wiring says so; others when they first answer.
        is_essential: what is started after it cannot be without it: its end by a signal restarts all of those with it,
            its exit, with whatever code, ends the run.
    """

    name: str
    role: str
    restart: Restart = "permanent"
    args: bytes = b""
    jail: JailSpec | None = None
    shutdown_s: float = 2.0
    lease_ns: int = SECOND_NS // 2
    start_s: float = 10.0
    is_agent: bool = False
    is_essential: bool = False


class Happened(msgspec.Struct, frozen=True):
    """One thing that happened to a child.

    Attributes:
        what: injected, suspected, killed, ended, born, caught_up, quarantined, probing, readmitted, isolated,
            restarting or stopping.
        at_ns: monotonic.
    """

    what: str
    at_ns: int
    incarnation: int
    detail: str = ""


class ChildStatus(msgspec.Struct, frozen=True):
    """A child now.

    Attributes:
        phase: see `watchdog.policy`.
        pid: of its process; 0 while it has none.
        phi: see `watchdog.phi`; 0.0 while it has no process.
        handled: as it says itself, in this incarnation.
        rss_bytes, cpu_ns: as the kernel says, at most a second ago.
        beats_failed: silences that made it suspect.
        restarts: how it had ended → how often it was started again. quarantines: by what reason → how often.
        enforced, open: what its jail said of itself.
        happened: the newest 64, oldest first.
    """

    name: str
    role: str
    is_agent: bool
    phase: str
    incarnation: int
    pid: int
    phi: float
    handled: int
    rss_bytes: int
    cpu_ns: int
    beats_failed: int
    restarts: Mapping[str, int]
    quarantines: Mapping[str, int]
    enforced: tuple[str, ...]
    open: tuple[str, ...]
    happened: tuple[Happened, ...]


class Kept:
    """A child through all its incarnations. Its ward is replaced by the supervisor, as policy says."""

    def __init__(self, spec: ChildSpec, now_ns: int) -> None:
        self.spec = spec
        self.ward = Ward(spec.name, spec.restart)
        self.child: Child | None = None
        self.arrival: anyio.Event | None = (
            None  # set once the process that is being born is there, or could not be born
        )
        self.incarnation = 0  # of its newest process; policy is ahead of it while one is being born
        self.usage = Usage()
        self.restarts: Counter[str] = Counter()
        self.quarantines: Counter[str] = Counter()
        self.beats_failed = 0
        self.handled = 0
        self.condemned = ""  # why its process was killed by us; empty while it was not
        self.detector = Phi(now_ns, lease_ns=spec.lease_ns or SECOND_NS)
        self.beats: deque[int] = deque(maxlen=BEATS_MAX)
        self._happened: deque[Happened] = deque(maxlen=HAPPENED_MAX)
        self._leash: socket.socket | None = None
        self._ping = self._pinged_ns = 0  # the newest ping, and when it was sent; answered where `_is_answered`
        self._is_answered = True
        self._is_suspect = False

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def lives(self) -> bool:
        """Whether it has a process that is meant to live."""
        return self.child is not None and not self.condemned and self.ward.phase in ALIVE

    def note(self, what: str, now_ns: int, detail: str = "") -> None:
        self._happened.append(Happened(what, now_ns, self.ward.incarnation, detail))

    # -- its process ----------------------------------------------------------------------------------------------

    def born(self, child: Child, line: socket.socket, incarnation: int, now_ns: int) -> None:
        """A new incarnation; `line` is our end of its leash."""
        self.child, self._leash, self.incarnation = child, line, incarnation
        self.condemned, self.handled, self.usage = "", 0, Usage()
        self.beats.clear()
        self._ping, self._is_answered, self._is_suspect = 0, True, False
        self.detector.resume(now_ns)
        self.note("born", now_ns)
        self.ping(now_ns)

    def kill(self, why: str, now_ns: int) -> None:
        if self.child is not None and not self.condemned:
            self.condemned = why
            self.note("killed", now_ns, why)
            self.child.kill(SIGKILL)

    def bury(self) -> None:
        """Its process has ended."""
        if self._leash is not None:
            self._leash.close()
        self.child = self._leash = None

    def weigh(self) -> None:
        """Look at what it costs."""
        if self.child is not None:
            self.usage = usage_of(self.child.pid) or self.usage

    # -- its leash ------------------------------------------------------------------------------------------------

    def ping(self, now_ns: int) -> None:
        """Ask it to answer, unless it still has to."""
        if self._leash is not None and self._is_answered and leash.send(self._leash, Ping(self._ping + 1)):
            self._ping += 1
            self._pinged_ns, self._is_answered = now_ns, False

    def send(self, frame: leash.FromWatchdog) -> bool:
        """Whether there was somebody to send it to, and room."""
        return self._leash is not None and leash.send(self._leash, frame)

    def listen(self, now_ns: int) -> str:
        """Read what it has answered. Returns what was wrong with that; empty where nothing was."""
        while self._leash is not None:
            try:
                pong = leash.from_process(self._leash)
            except BlockingIOError:
                return ""
            except MalformedMessage as error:
                return str(error)
            if pong is None:
                return ""  # it has ended, or let go; the one is told by the nursery, the other by silence
            if self._is_answered or pong.n != self._ping or pong.handled < self.handled:
                return "it answered what nobody had asked"
            self._is_answered, self.handled = True, pong.handled
            is_true = self._pinged_ns <= pong.monotonic_ns <= now_ns
            self.beats.append(pong.monotonic_ns if is_true else now_ns)
            self.detector.beat(now_ns)
        return ""

    def verdict(self, now_ns: int) -> Verdict:
        """What its silence says. A suspicion is noted when it begins."""
        if not self.lives or not self.spec.lease_ns:
            return "well"
        if not self.beats:
            return "dead" if self.detector.silent_ns(now_ns) > self.spec.start_s * SECOND_NS else "well"
        verdict = self.detector.verdict(now_ns)
        if verdict == "well":
            self._is_suspect = False
        elif not self._is_suspect:
            self.suspect(now_ns, f"silent for {self.detector.silent_ns(now_ns) // 1_000_000} ms")
        return verdict

    def suspect(self, now_ns: int, why: str) -> None:
        """The first sign that it is ill."""
        if not self._is_suspect:
            self._is_suspect = True
            self.beats_failed += 1
            self.note("suspected", now_ns, why)

    # -- its record -----------------------------------------------------------------------------------------------

    def recent_beats(self) -> Sequence[int]:
        return tuple(self.beats)

    def status(self, now_ns: int) -> ChildStatus:
        jailed = self.child.jailed if self.child is not None else None
        phi = 0.0
        with suppress(OverflowError):
            phi = self.detector.value(now_ns) if self.lives else 0.0
        return ChildStatus(
            name=self.name,
            role=self.spec.role,
            is_agent=self.spec.is_agent,
            phase=self.ward.phase,
            incarnation=self.ward.incarnation,
            pid=self.child.pid if self.child is not None else 0,
            phi=phi,
            handled=self.handled,
            rss_bytes=self.usage.rss_bytes,
            cpu_ns=self.usage.cpu_ns,
            beats_failed=self.beats_failed,
            restarts=dict(self.restarts),
            quarantines=dict(self.quarantines),
            enforced=jailed.enforced if jailed else (),
            open=jailed.open if jailed else (),
            happened=tuple(self._happened),
        )
