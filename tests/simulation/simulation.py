"""One run of the whole house in virtual time: the script says what goes wrong, the oracle looks after every step.

The house is the real one: agents, bus, journal, docket, effects, door, lease, and the Watchdog's policy. Simulated are
time, the market, processes, the line to the venue, the disk's failures and people. A run has no thread, reads no clock
and draws no number, so that the same script has the same outcome in any process, for ever.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from agents.kenny.door import Verifier
from agents.kenny.effects import Authority
from agents.kenny.venues.simulated import SimulatedVenue
from agents.kyle.sources.port import Slice
from deployment.topology.approvers import EmbeddedApprover
from deployment.topology.house import EDGES, House, genesis
from graveyard.authority import EmbeddedAuthority
from mutable_core.bus.ordering import Bus
from mutable_core.clock import SECOND_NS
from mutable_core.errors import ArkError, DiskUnavailable
from mutable_core.ids import derived_id
from mutable_core.journal import Journal, checked_rows
from mutable_core.messages import (
    ApprovalAwaited,
    DrillOrdered,
    Envelope,
    HaltOrdered,
    OperationAsked,
    OrderSpec,
    VetoLifted,
    VetoSet,
)
from mutable_core.settings import Settings
from tests.people import PEOPLE, signed
from tests.simulation.clockwork import Clockwork
from tests.simulation.disk import PowerCut, SimulatedDisk
from tests.simulation.greedy import GREEDY
from tests.simulation.line import UnkindLine
from tests.simulation.market import SimulatedMarket
from tests.simulation.oracle import Oracle, Violation, World, must
from tests.simulation.script import Fault, Script
from tests.simulation.wards import SimulatedWatchdog, SimulatedWiring, simulated_agents
from watchdog.inspection import SealWatch

TRIES = 60
"""Starts in a row after which the house does not come up any more."""


class Outcome(NamedTuple):
    """How a run ended.

    Attributes:
        head: of the journal, 64 hex digits; two runs of one script have the same.
        rows: of the journal.
        seconds: how far it came.
        reached: rare states, and how often each was.
        violation: what must not have been; None where all was well.
    """

    script: Script
    head: str
    rows: int
    seconds: int
    reached: Counter[str]
    violation: Violation | None


def simulate(script: Script, *, with_replay: bool = False) -> Outcome:
    """Run it. `with_replay`: at the end the journal is replayed by new agents too."""
    folder = Path(tempfile.mkdtemp(prefix="ark-simulation-"))
    try:
        return Simulation(script, folder).run(with_replay=with_replay)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@cache
def _seal() -> SealWatch:
    return SealWatch.once()


@cache
def _authority(ruleset: str) -> EmbeddedAuthority:
    """Made once: it compiles all rules. No approval outlives the process that asked for it, so none is ever met again."""
    return EmbeddedAuthority(pinned=ruleset)


class _House(House):
    """The house; its authority is one that was started before."""

    def _approver(self) -> tuple[Authority, Verifier]:
        authority = _authority(self.started.ruleset)
        return EmbeddedApprover(authority), authority


class Simulation:
    """The world of one script, and the house in it."""

    def __init__(self, script: Script, folder: Path) -> None:
        self.script = script
        self.reached: Counter[str] = Counter()
        self.clock = Clockwork()
        self.world = World(self.clock.monotonic)
        self.market = SimulatedMarket(script)
        self.disk = SimulatedDisk(folder)
        settings = Settings(
            strategies=("alternating",), cash=Decimal(10) ** 9, day_notional=Decimal(10) ** 11, people=PEOPLE
        )
        self.started = genesis(settings, self.market, script.bar_s * SECOND_NS)
        self.line = UnkindLine(self._exchange, self.clock.monotonic, self.disk.passes)
        self.oracle = Oracle(self.world, lambda: self._durable, self._reach)
        self.watchdog = SimulatedWatchdog(self.clock, self.world, self._reach)
        self.line.on_place, self.line.on_denied, self.line.reached = self.oracle.left, self.oracle.denied, self._reach
        self.house: House | None = None
        self._journal: Journal | None = None
        self._slices: Iterator[Slice] = iter(())
        self._next: Slice | None = None
        self._told = 0
        self._down_until = 0
        self._second = 0
        self._asked = 0
        self._resuming: dict[tuple[str, str], int] = {}  # what is halted → from which second on somebody asks to resume
        self._vetoed: dict[str, int] = {}
        self._isolated: dict[str, int] = {}

    def _exchange(self) -> SimulatedVenue:
        started = self.started
        return SimulatedVenue.open(None, cash_micros=started.cash_micros, instruments=started.instruments)

    @property
    def _durable(self) -> int:
        return self._journal.durable_seq if self._journal is not None else 0

    def _reach(self, state: str) -> None:
        self.reached[state] += 1

    # -- the run ----------------------------------------------------------------------------------------------------

    def run(self, *, with_replay: bool = False) -> Outcome:
        violation: Violation | None = None
        try:
            self._run()
            if with_replay:
                self._replay()
        except Violation as found:
            violation = found
        except ArkError as error:
            violation = Violation("I2", f"the house has ended: {type(error).__name__}: {error}")
        head = self._journal.head.hex() if self._journal is not None else ""
        if self._journal is not None:
            self._journal.close()
        return Outcome(self.script, head, self.oracle.rows, self._second + 1, self.reached, violation)

    def _run(self) -> None:
        script, faults = self.script, list(self.script.faults)
        at = 0
        for second in range(script.seconds):
            self._second = second
            self.clock.until(second * SECOND_NS)
            while at < len(faults) and faults[at].at <= second:
                self._happens(faults[at], second)
                at += 1
            if second == script.calm:
                self._calm()
            self._step(second)
        self._settle()

    def _step(self, second: int) -> None:
        """One second of the house, if it is up."""
        if self.house is None and (second < self._down_until or not self._boot()):
            return
        with self._perhaps_cut(second):
            house = self.house
            assert house is not None
            self.watchdog.works(house)
            self.disk.passes("turn")
            self._people(house, second)
            self._read(house, self.market.told_by(second))
            self.watchdog.works(house)
            if second % self.script.commit_every == 0:
                house.journal.commit()

    def _read(self, house: House, told: int) -> None:
        """Everything that the world has told by now."""
        slices = self._slices
        while self._told < told:
            house.turn(next(slices))
            self._told += 1

    @contextmanager
    def _perhaps_cut(self, second: int) -> Iterator[None]:
        """The power may go, or the disk fail: either way this process is gone, and what lasts is there."""
        try:
            yield
        except PowerCut as cut:
            self._reach(f"power cut {cut}")
            self._gone(second)
        except DiskUnavailable:
            self._reach("disk failed")
            self._gone(second)

    def _gone(self, second: int) -> None:
        assert self._journal is not None
        self._journal.close()
        self._journal = self.disk.journal()
        self.watchdog.dies()
        self.oracle.power_cut()
        self.house = None
        self._down_until = max(self._down_until, second + 1)

    def _boot(self) -> bool:
        """Start the house on what is there. False where even that was cut."""
        agents = simulated_agents(self.clock, self._reach, GREEDY if self.script.is_greedy else None)
        self.watchdog.boots(agents)
        if self._journal is not None:
            self._journal.close()
        self._journal = self.disk.journal()
        with self._perhaps_cut(int(self.clock.now_ns // SECOND_NS)):
            house = _House(
                self.disk.folder,
                self.market,
                self.started,
                seal=_seal(),
                journal=self._journal,
                wiring=SimulatedWiring(agents, self.line, self.world),
                monotonic=self.clock.monotonic,
            )
            house.bus.on_unanswered = self.watchdog.unanswered
            house.bus.taps.append(self.oracle.appended)
            house.start()
            self.watchdog.adopts(house)
            self.house, self._told = house, house.rows_read
            self._slices = self.market.slices(self._told)
            return True
        return False

    def _settle(self) -> None:
        """The end: everything that went wrong has been over for long."""
        house = self.house
        if house is None:
            must(self._boot(), "I2", "the house does not come up any more")
            house = self.house
        assert house is not None
        self.watchdog.works(house)
        house.end()
        self.watchdog.works(house)
        house.journal.commit()
        must(not house.bus.held, "I6", f"{', '.join(house.bus.held)} was never let in again")
        must(not self.watchdog.shut_out, "I6", f"{', '.join(self.watchdog.shut_out)} never worked again")
        if self.oracle.discrepancy:
            must(self.reached["foreign order"], "I8", f"books and venue were found apart: {self.oracle.discrepancy}")
            return
        must(house.effects.unknown == (), "I4", f"{house.effects.unknown} are unknown for ever")
        self.oracle.converged()
        stated = self.line.exchange.statement()
        theirs = {line.instrument: line.quantity_atoms for line in stated.positions}
        must(theirs == self.oracle.positions, "I8", f"the venue has {theirs}, the log says {self.oracle.positions}")

    def _replay(self) -> None:
        """New agents say the same to the same journal (I7)."""
        journal = Journal.in_memory()
        agents = simulated_agents(Clockwork(), lambda _: None, GREEDY if self.script.is_greedy else None)
        bus = Bus(journal, tuple(agents.values()), EDGES)
        try:
            rows = 0
            for checked in checked_rows(self.disk.path):
                bus.replay([(checked.row, checked.envelope)])
                rows += 1
        except ArkError as error:
            raise Violation("I7", str(error)) from error
        finally:
            journal.close()
        must(rows == self.oracle.rows, "I7", f"{rows} rows are on the disk, {self.oracle.rows} were made")

    # -- what goes wrong --------------------------------------------------------------------------------------------

    def _happens(self, fault: Fault, second: int) -> None:
        now, size = self.clock.now_ns, fault.size
        match fault.kind:
            case "crash" | "hang" | "slow" | "lie":
                agent = self.watchdog.agents.get(fault.target)
                if agent is not None:
                    agent.armed[fault.kind] += size
                    agent.is_troubled = True
            case "crash_loop":
                agent = self.watchdog.agents.get(fault.target)
                if agent is not None:
                    agent.looping_until_ns = now + size * SECOND_NS
                    agent.is_troubled = True
            case "slow_birth":
                self.watchdog.births_ms[fault.target] = size
            case "isolate":
                if fault.target in self.watchdog.agents:
                    self.watchdog.isolate(fault.target, "ann")
                    self._isolated[fault.target] = second + size
            case "place_late":
                self.line.armed["place_late"] += 1
                self.line.late_by_s = size
            case "stalled":
                self.line.armed["stalled"] += 1
                self.line.stall = lambda: self.clock.passes(size * SECOND_NS)
            case "venue_down":
                self.line.down_until_ns = now + size * SECOND_NS
            case "symbol_halted":
                self.line.halted[fault.target] = now + size * SECOND_NS
            case "foreign_order":
                self._foreign(fault, second)
            case "watchdog_frozen":
                self.watchdog.frozen_until_ns = now + size * SECOND_NS
                self._reach("watchdog frozen")
            case "disk_full" | "disk_answer_lost":
                self.disk.armed[fault.kind] += 1
            case "power_cut":
                self.disk.cut, self._down_until = fault.target, second + size
            case "halt" | "veto" | "drill":
                self._said_by_people(fault, second)
            case "gap" | "split" | "spike" | "not_a_number" | "crossed" | "thin":
                self._reach(f"market {fault.kind}")
            case _:
                self.line.armed[fault.kind] += size

    def _foreign(self, fault: Fault, second: int) -> None:
        """Somebody else trades our account, past us."""
        self._reach("foreign order")
        key = derived_id("foreign", str(second))
        order = OrderSpec(
            key, key, fault.target, "buy", Decimal(10), "market", None, "next_bar", None, None, reduces=False
        )
        self.line.place_past_us(order, second)

    def _calm(self) -> None:
        """From now on nothing goes wrong, and people let in whom they took out."""
        self.line.calm()
        self.disk.armed.clear()
        self.disk.cut = ""
        self._down_until = 0
        self.watchdog.frozen_until_ns = 0
        for name, agent in self.watchdog.agents.items():
            agent.armed.clear()
            agent.looping_until_ns = 0
            self._isolated[name] = 0
        for covered in self._resuming:
            self._resuming[covered] = 0

    # -- people -----------------------------------------------------------------------------------------------------

    def _said_by_people(self, fault: Fault, second: int) -> None:
        house = self.house
        if house is None:
            return
        with self._perhaps_cut(second):
            match fault.kind:
                case "halt":
                    level: Any = fault.target
                    house.tell(HaltOrdered("global", "", level, "ann", "a halt of the simulation"))
                case "veto":
                    house.tell(VetoSet("instrument", fault.target, "ann", "a veto of the simulation"))
                    self._vetoed[fault.target] = second + fault.size
                case _:
                    breach: Any = fault.target
                    house.drill(DrillOrdered(breach), self.oracle.rows)
            self._resuming.setdefault(("global", ""), second + fault.size)

    def _people(self, house: House, second: int) -> None:
        for name, until in list(self._isolated.items()):
            if second >= until:
                del self._isolated[name]
                self.watchdog.let_in(name, "bob")
        for name, until in list(self._vetoed.items()):
            if second >= min(until, self.script.calm):
                del self._vetoed[name]
                house.tell(VetoLifted("instrument", name, "ann"))
        if second % 5 == 0 and self.oracle.halts and house.rows_read:
            self._resume(house, second)

    def _resume(self, house: House, second: int) -> None:
        """Somebody asks; when it waits for people, two others sign it."""
        for covered in self.oracle.halts:
            if second < self._resuming.get(covered, 0):
                continue
            self._asked += 1
            name: Any = covered[0]
            asked = OperationAsked(
                derived_id("operation", str(self.script.seed), str(self._asked)), "resume", name, covered[1], "ann",
                "the reason for it is over",
            )  # fmt: skip
            house.tell(asked)
            for envelope in self._answers(asked.operation_id):
                for person in ("bob", "bob", "ann") if self._asked % 3 == 1 else ("bob", "eve"):
                    house.tell(signed(envelope, person))  # every third time not enough of them

    def _answers(self, operation_id: str) -> Sequence[Envelope]:
        return [
            one
            for one in self.oracle.newest(64)
            if isinstance(one.body, ApprovalAwaited) and one.body.act_id == operation_id
        ]
