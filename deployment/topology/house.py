"""The house: orders, commits and waits, turn by turn. A topology's wiring makes the parts (`deployment.topology.wiring`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, NoReturn, TypeVar

from msgspec import MsgspecError

from agents.aletheia.checks.books import books_fault
from agents.kenny.door import Verifier
from agents.kenny.effects import Authority, Unanswered
from agents.kyle.sources.port import Slice, Source
from agents.runtime.agent import Cause
from deployment.authority.client import AuthorityProcess
from deployment.build import build_digest
from deployment.topology.approvers import EmbeddedApprover, ProcessApprover
from deployment.topology.snapshots import Memory, Snapshot, Snapshots
from deployment.topology.state_dir import JOURNAL, VENUE
from deployment.topology.wiring import (
    EFFECTS_FOLD,
    VETTING,
    Begun,
    EmbeddedWiring,
    Host,
    KillSwitch,
    Outside,
    Wiring,
)
from graveyard.authority import EmbeddedAuthority
from graveyard.ethics import ruleset_digest
from graveyard.seal import sealed_report
from mutable_core.bus.ordering import Bus
from mutable_core.clock import monotonic_ns
from mutable_core.errors import AgentMisbehaved, Broken, JournalBroken, SettingsRefused, Unavailable, VenueUnavailable
from mutable_core.ids import Id, derived_id
from mutable_core.journal import Journal
from mutable_core.messages import (
    KIND_OF,
    AgentEnded,
    AgentHeld,
    AgentReleased,
    AnyBody,
    BroadcastPublished,
    CatalystFiled,
    ConsentRecorded,
    CorporateActionObserved,
    DiscrepancyFound,
    DrillOrdered,
    Envelope,
    FaultInjected,
    HaltOrdered,
    HeldWhy,
    Inspection,
    Instrument,
    LeaseGranted,
    Mandate,
    Observed,
    OperationAsked,
    PersonSigned,
    RowReceived,
    RunStarted,
    SignalDeclared,
    SliceClosed,
    SnapshotTaken,
    SourceEnded,
    VenueEvent,
    VetoLifted,
    VetoSet,
    decode_trusted,
    is_kill_order,
)
from mutable_core.money import atoms, micros
from mutable_core.settings import Settings
from mutable_core.standing import Standing
from watchdog.inspection import SealWatch
from watchdog.lease import LeaseKeeper

_ROW_TAG = KIND_OF[RowReceived].encode()
PENDING_MAX = 2_048
"""Rows that may wait for the next commit; an order that waits commits at once."""

ROWS_TOLD = 1_024
CATCH_UP_MS = 600_000
"""How long the authority's process may take to read a journal that is resumed."""

ORDERS: tuple[type, ...] = (
    HaltOrdered, VetoSet, VetoLifted, BroadcastPublished, CatalystFiled, SignalDeclared, ConsentRecorded, SnapshotTaken,
    OperationAsked, PersonSigned, DrillOrdered,
)  # fmt: skip
"""What people may say to a running house."""

EDGES: dict[str, frozenset[type]] = {
    "watchdog": frozenset({LeaseGranted, HaltOrdered, AgentHeld, AgentReleased, AgentEnded, FaultInjected}),
    "operator": frozenset({RunStarted, *ORDERS}),
}
"""Who else may append, and what."""


def genesis(settings: Settings, source: Source, tick_bar_ns: int) -> RunStarted:
    """The first row: what everything after it depends on.

    Raises:
        SettingsRefused: a setting names an instrument that the source does not have.
    """
    names = tuple(one.instrument for one in source.instruments)
    for variable, named in (("ARK_RESTRICTED", settings.restricted), ("ARK_DAY_VOLUMES", settings.day_volumes)):
        unknown = sorted(set(named) - set(names))
        if unknown:
            raise SettingsRefused(
                f"`{variable}` names {unknown[0]!a}, and the source has no such instrument",
                where=source.name,
                to_do=f"write one of {', '.join(names[:8])}",
            )
    return RunStarted(
        mode="PAPER",
        build=build_digest(),
        ruleset=ruleset_digest(),
        proofs=sealed_report(),
        source=source.name,
        source_sha256=source.fingerprint,
        source_is_public=source.is_public,
        seed=source.seed,
        tick_bar_ns=tick_bar_ns,
        account=settings.account,
        currency=settings.currency,
        cash_micros=micros(settings.cash),
        instruments=tuple(_listed(one, settings) for one in source.instruments),
        mandate=Mandate(names, settings.strategies, ("buy", "sell"), settings.sessions, micros(settings.day_notional)),
        restricted=settings.restricted,
        people=settings.people,
        owner=settings.owner,
    )


def _listed(one: Instrument, settings: Settings) -> Instrument:
    """The instrument with the operator's reference volume, where one was given."""
    volume = settings.day_volumes.get(one.instrument)
    return Instrument(
        one.instrument, one.tick_atoms, one.lot_atoms, one.day_volume_atoms if volume is None else atoms(volume)
    )


def run_key(started: RunStarted) -> str:
    """What makes two runs the same run: everything in the genesis row but the build. 32 hex digits."""
    return derived_id(*(repr(getattr(started, name)) for name in started.__struct_fields__ if name != "build"))


T = TypeVar("T")


class Recovered(NamedTuple):
    """What a start has found.

    Attributes:
        counts: as `House.start` returns them.
        head: the journal's, as it was found; 64 hex digits, empty where there was no row.
        unanswered: orders and cancels that the journal holds without an answer.
        adopted: of those that the venue had, what has become of them; as `agents.kenny.lifecycle.Status`, or `ended`.
    """

    counts: dict[str, int]
    head: str
    unanswered: Unanswered
    adopted: dict[str, str]


NOTHING_FOUND = Recovered({}, "", Unanswered((), (), ()), {})


class House:
    """Everything of one embedded run. `start`, then `turn` for each slice, then `end`.

    A turn: rows in → Kyle → the paper venue catches up → slice closed → Joey, HRM, Kenny → commit → orders out →
    answers in → Aletheia. Every order waits for the commit; nothing else does.
    """

    def __init__(
        self,
        folder: Path,
        source: Source,
        started: RunStarted,
        *,
        seal: SealWatch | None = None,
        authority: AuthorityProcess | None = None,
        journal: Journal | None = None,
        snapshots: Snapshots | None = None,
        snapshot: Snapshot | None = None,
        wiring: Wiring | None = None,
        kill: KillSwitch | None = None,
        monotonic: Callable[[], int] = monotonic_ns,
    ) -> None:
        """Put the parts together.

        Args:
            folder: where the journal and the venue's log lie.
            source: where the market comes from.
            started: the genesis row; a journal that is resumed must have begun with the same.
            seal: who watches the rules' seal; looked at once, now, unless given.
            authority: the authority's process; without one, approvals are given in this process. It must have begun
                with the belief of `snapshot`.
            journal: of the folder, where it was opened with the means to sign.
            snapshots: where snapshots go; without it none is taken.
            snapshot: what `Snapshots.find` has found in the folder; without one everything is replayed.
            wiring: makes agents, venue and effects; all of them in this process unless given.
            kill: what is seen of the kill switch; None where there is none beside the venue's own connection.
            monotonic: ns of a clock that never jumps, for the lease.
        """
        self.authority = authority
        self.snapshots = snapshots
        self.source = source
        self.started = started
        self.seal = seal or SealWatch.once()
        self.wiring = wiring or EmbeddedWiring()
        self.kill = kill
        self.lease = LeaseKeeper(self._inspect, monotonic, permits=self._is_permitted)
        self.journal = journal or Journal.open(folder / JOURNAL)
        self.hosts: dict[str, Host] = {host.name: host for host in self.wiring.hosts()}
        self.bus = Bus(self.journal, tuple(self.hosts.values()), EDGES)
        self.venue = self.wiring.venue(folder / VENUE, started, _last_row(self.journal))
        self.effects = self.wiring.effects(Outside(self.venue, *self._approver(), self.journal, self.may_open))
        self.rows_read = 0
        self.now_ns = 0
        self.has_ended = False
        self.is_started = False
        self.failure = ""  # why nothing more is sent; empty while all is well
        self.recovered = NOTHING_FOUND
        self._closed_row = 0
        self._snapshot = snapshot
        self._market: list[Envelope] = []
        self._tap()

    def _tap(self) -> None:
        self.bus.on_wants = self.effects.want
        folds = self.bus.folds
        folds |= {kind: [self._market.append] for kind in (Observed, CorporateActionObserved)}
        folds |= {kind: [self.effects.reported] for kind in EFFECTS_FOLD}
        folds[LeaseGranted] = [self.lease.granted]
        folds[DiscrepancyFound] = [self.lease.found]
        folds[RowReceived] = [self._row_seen]
        folds[SliceClosed] = [self._slice_seen]
        folds[SourceEnded] = [self._end_seen]

    def _approver(self) -> tuple[Authority, Verifier]:
        """Who gives approvals, and who knows a real one."""
        if self.authority is not None:
            self.journal.on_durable = self.authority.committed
            return ProcessApprover(self.authority), self.authority.verifier
        embedded = EmbeddedAuthority(pinned=self.started.ruleset)
        return EmbeddedApprover(embedded), embedded

    def may_open(self) -> bool:
        """What the door asks before risk leaves: the lease, and the seal as it is now."""
        return not self.seal.faults and self.lease.is_fresh()

    def _is_permitted(self) -> bool:
        """Whether a lease may be granted at all: whoever supervises us agrees, and everybody who vets is heard."""
        return self.wiring.permits() and not VETTING & self.bus.held.keys()

    def _inspect(self) -> Inspection:
        """What the Watchdog finds. Without a kill switch of its own the way of a cancel is the venue's connection."""
        is_up = self.venue.is_up()
        return self.seal.inspect(
            venue_is_up=is_up, kill_path_is_up=is_up if self.kill is None else self.kill.path_is_up()
        )

    def _row_seen(self, envelope: Envelope) -> None:
        body = envelope.body
        assert isinstance(body, RowReceived)
        self.rows_read, self.now_ns = body.row, envelope.ts_seen_ns

    def _slice_seen(self, envelope: Envelope) -> None:
        assert isinstance(envelope.body, SliceClosed)
        self._closed_row = envelope.body.row

    def _end_seen(self, _envelope: Envelope) -> None:
        self.has_ended = True

    # -- life -------------------------------------------------------------------------------------------------------

    def start(self) -> dict[str, int]:
        """Begin the journal, or resume it. Returns what was found, in numbers; `recovered` says which orders.

        There is one path: from the snapshot, or from the empty state before row 1, over every row after it.

        Raises:
            JournalBroken: the journal is not what was written, or the venue forgot what the journal holds of it.
            ReplayDiverged: this build would have said something else than the journal holds.
            SettingsRefused: the journal belongs to another run.
        """
        snapshot, self._snapshot = self._snapshot, None
        after = snapshot.seq if snapshot is not None else 0
        if self.authority is not None and self.authority.begins_after != after:
            raise ValueError(
                f"the authority begins after row {self.authority.begins_after}, the house after row {after}"
            )
        head = self.journal.head.hex() if self.journal.seq else ""
        found = {"rows_found": self.journal.seq, "rows_replayed": self.journal.seq - after}
        if self.journal.seq:
            self._resume(snapshot.memory if snapshot is not None else None, after)
            seen_ns = snapshot.memory.now_ns if snapshot is not None else 0
            self.bus.replay(self._checked_rows(snapshot), after, seen_ns)
            found["rows_cut_off"] = self.bus.end_replay()
        else:
            self.wiring.begin(None)
            trace = derived_id("run", run_key(self.started))
            self.bus.begin("operator", self.started, trace, 0, 0)
        self.bus.run()
        if self.authority is not None:
            self.authority.probe(deadline_ms=CATCH_UP_MS)  # it has read everything before it is asked for anything
        self._obey_kill_switch()
        self.bus.run()
        found |= self.effects.adopt()
        unanswered = self.effects.unanswered()
        self.is_started = True
        self._catch_up()
        self.recovered = Recovered(found, head, unanswered, {key: self._status(key) for key in unanswered.at_venue})
        return found

    def _checked_rows(self, snapshot: Snapshot | None) -> Iterable[tuple[bytes, Envelope]]:
        """The rows after the snapshot, all of the journal verified; the authority's process reads them too."""
        from mutable_core.journal import chain, checked_rows

        after, head = (snapshot.seq, snapshot.head) if snapshot is not None else (0, chain.GENESIS)
        # A paper venue that lost what it had seen, in a power cut or by an older copy, is shown all of it again.
        is_behind = snapshot is not None and self.venue.shown_row < snapshot.memory.shown_row
        waiting: list[bytes] = []
        for checked in checked_rows(self.journal.path, 0 if is_behind else after):
            seq = checked.envelope.seq
            if seq <= after:
                if isinstance(checked.envelope.body, Observed | CorporateActionObserved):
                    self._market.append(checked.envelope)
                continue
            if seq == after + 1 and chain.link(head, chain.leaf(checked.row)) != checked.head:
                raise _not_of(self.journal, after)
            if seq == 1:
                self._check_genesis(checked.envelope)
            yield checked.row, checked.envelope
            waiting.append(checked.row)
            if len(waiting) == ROWS_TOLD or seq == self.journal.durable_seq:
                self.journal.on_durable(seq - len(waiting) + 1, waiting, checked.head)
                waiting = []
        if self.journal.seq == after and self.journal.head != head:
            raise _not_of(self.journal, after)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Orders whose state the venue could not tell; pinned until it can."""
        return self.effects.unknown

    def _status(self, client_order_id: str) -> str:
        """What has become of an order by now, in Kenny's words."""
        if "kenny" in self.bus.held:
            return "unknown"  # nobody tells until he is released
        tracked = self.hosts["kenny"].state.orders.get(client_order_id)
        return tracked.status if tracked is not None else "ended"

    def _resume(self, memory: Memory | None, after: int = 0) -> None:
        """Stand where the snapshot was taken, after row `after`; without a memory, before the first row."""
        if memory is None:
            self.wiring.begin(None)
            return
        self.wiring.begin(Begun(after, memory.agents, memory.effects))
        self.lease.resume(memory.lease_granted_ns, memory.discrepancy)
        self.rows_read, self._closed_row = memory.rows_read, memory.closed_row
        self.now_ns, self.has_ended = memory.now_ns, memory.has_ended

    def _memory(self) -> Memory:
        return Memory(
            {name: host.state for name, host in self.hosts.items()},
            self.effects.memory(),
            self.lease.granted_ns,
            self.lease.discrepancy,
            self.rows_read,
            self._closed_row,
            self.venue.shown_row,
            self.now_ns,
            self.has_ended,
        )

    def take_snapshot(self) -> bool:
        """Keep what is known now, so that a restart need not replay what led to it. To be called between two turns.

        False where there is nowhere to keep it, the disk does not take it, or an order is on its way.

        Raises:
            DiskUnavailable: the journal cannot be made durable, or the venue's log not be written.
        """
        return self._guarded(self._keep)

    def _keep(self) -> bool:
        if self.snapshots is None or not self.is_started or self.rows_read > self._closed_row:
            return False
        if self.bus.depth or self.bus.held or self._market or self.failure or not self.effects.is_settled:
            return False
        self.journal.commit()
        try:
            self.venue.note()
            memory = self._memory()
        except (Unavailable, AgentMisbehaved):  # the venue, or an agent, does not say: there will be another moment
            return False
        return self.snapshots.take(memory, self.journal.seq, self.journal.head)

    def _check_genesis(self, first: Envelope) -> None:
        began = first.body
        if not isinstance(began, RunStarted) or run_key(began) != run_key(self.started):
            raise SettingsRefused("the journal belongs to another run", to_do="name another folder with `--state`")

    def _catch_up(self) -> None:
        """Finish what a crash may have interrupted: show the venue its market, close the slice, send what waits.

        Where the slice was closed, the venue's answers are collected after the orders that still wait were sent, as
        they would have been.
        """
        self.wiring.steady()
        self.lease.due(self.now_ns)  # this watchdog lives: the monotonic half of the lease begins
        self._show()
        self._compare_with_venue()
        if self.rows_read > self._closed_row:
            self._finish_slice()
        else:
            self._settle()
        if self.has_ended:
            self.journal.commit()

    def _compare_with_venue(self) -> None:
        """Before anything is sent: a venue that forgot what it has said is no venue to go on with (I8).

        It may have said more than we heard, or not answer now: that is for its events and Aletheia's statements.
        """
        try:
            stated = self.venue.statement()
        except VenueUnavailable:
            return
        heard = self.effects.venue_seq
        fault = ""
        if stated.venue_seq < heard:
            fault = f"it has said {stated.venue_seq} things, and the journal holds {heard}"
        elif stated.venue_seq == heard and self._is_all_known():
            fault = books_fault(self.hosts["aletheia"].state.docket.book, stated)
        if fault:
            raise JournalBroken(
                f"the venue's log is not the one that this journal was written with: {fault}",
                row=self.journal.seq,
                where=str(self.journal.path.with_name(VENUE)),
                to_do="restore journal and venue of one moment, see `ark backup`; do not trade before they agree",
            )

    def _is_all_known(self) -> bool:
        """Whether our books should equal the venue's now: nothing is on its way, and who keeps them hears the log."""
        return "aletheia" not in self.bus.held and self.effects.is_settled and not self.lease.discrepancy

    def slices(self) -> Iterable[Slice]:
        """What is still to be read."""
        return () if self.has_ended else self.source.slices(self.rows_read)

    def turn(self, moment: Slice) -> None:
        """Take one slice through the whole house.

        Raises:
            Broken: an invariant failed; nothing more may be sent.
            DiskUnavailable: the journal cannot be made durable; nothing was sent that is not on disk.
        """
        self._guarded(lambda: self._turn(moment))

    def _guarded(self, act: Callable[[], T]) -> T:
        """Once anything fails, nothing may open risk any more."""
        self.look()
        try:
            return act()
        except BaseException as error:
            self.failure = str(error) or type(error).__name__
            self.lease.revoke("the house has failed")
            raise

    def _turn(self, moment: Slice) -> None:
        begin, fingerprint = self.bus.begin, self.source.fingerprint
        for row in moment.rows:
            begin("kyle", row, derived_id(fingerprint, str(row.row)), row.ts_ns, moment.ts_ns)
        self.bus.run()
        self._finish_slice()
        if self.snapshots is not None and self.snapshots.is_due(self.journal.seq):
            self._keep()

    def _finish_slice(self) -> None:
        self._show_market()
        grant = self.lease.due(self.now_ns)
        if grant is not None:
            self.bus.begin("watchdog", grant, self._trace("lease", self.now_ns), self.now_ns, self.now_ns)
        closed = SliceClosed(self.now_ns, self.rows_read)
        self.bus.begin("kyle", closed, self._trace("slice", self.rows_read), self.now_ns, self.now_ns)
        self.bus.run()
        self._settle()

    def _trace(self, what: str, number: int) -> Id:
        return derived_id(self.source.fingerprint, what, str(number))

    def drill(self, order: DrillOrdered, number: int) -> Envelope:
        """An operator orders a breach, to see it refused. `number` makes its trace its own."""
        return self._guarded(lambda: self._told(order, self._trace("drill", number)))

    def tell(self, order: AnyBody) -> Envelope:
        """What a person orders, forbids, records, asks for or signs, taken through the whole house.

        Raises:
            Unacceptable: it is nothing that people may say; see `ORDERS`.
        """
        return self._guarded(lambda: self._told(order, self._trace("operator", self.journal.seq)))

    def _told(self, order: AnyBody, trace: Id) -> Envelope:
        ordered = self.bus.begin("operator", order, trace, self.now_ns, self.now_ns)
        self.bus.run()
        self._settle()
        return ordered

    # -- supervision --------------------------------------------------------------------------------------------------

    def hold(self, agent: str, why: HeldWhy, by: str, detail: str) -> None:
        """From now on the log goes on without `agent`; see `Bus.hold`. Between two turns."""
        self._guarded(lambda: self._supervised(lambda: self.bus.hold(agent, why, by, detail)))

    def release(self, agent: str, by: str, detail: str) -> None:
        """Give `agent` what was put aside, and hear it again. Between two turns."""
        self._guarded(lambda: self._supervised(lambda: self.bus.release(agent, by, detail)))

    def record(self, body: AgentEnded | FaultInjected | HaltOrdered) -> None:
        """What the Watchdog saw, did or orders. Between two turns."""
        trace = self._trace("watchdog", self.journal.seq)
        self._guarded(
            lambda: self._supervised(lambda: self.bus.begin("watchdog", body, trace, self.now_ns, self.now_ns))
        )

    def _supervised(self, append: Callable[[], object]) -> None:
        append()
        self.bus.run()
        self._settle()
        self.journal.commit()

    def hear(self) -> None:
        """Hear what the venue has said since the last turn; to be called between two turns."""
        self._guarded(self._heard)

    def _heard(self) -> None:
        self._show_market()
        self._settle()

    def look(self) -> None:
        """See whether the rules are still the sealed ones.

        Raises:
            Broken: they are not; everything is halted.
        """
        if self.seal.faults and not self.failure:
            self.halt(f"the seal of the rules is broken: {self.seal.faults[0]}")
        if self.is_started and not self.failure and self._obey_kill_switch():
            self.bus.run()
            self._settle()

    def _obey_kill_switch(self) -> bool:
        """Write down what the kill switch has latched, before anything that follows from it. Whether there was anything."""
        if self.kill is None:
            return False
        try:
            orders = tuple(self.kill.orders(self._standing))
        except (Unavailable, AgentMisbehaved):  # nobody can say what stands: asked again with the next look
            return False
        for order in orders:
            self.bus.begin("watchdog", order, self._trace("kill", self.journal.seq), self.now_ns, self.now_ns)
        return bool(orders)

    def halt(self, reason: str) -> NoReturn:
        """The Watchdog stops everything: the halt stands in the journal, nothing more is sent.

        Raises:
            Broken: always; whoever runs the house ends with it.
        """
        self.lease.revoke(reason)
        self.failure = self.failure or reason
        trace = self._trace("halt", self.journal.seq)
        ordered = HaltOrdered("global", "", "halted", "watchdog", reason)
        self.bus.begin("watchdog", ordered, trace, self.now_ns, self.now_ns)
        self.bus.run()
        self.journal.commit()
        raise Broken(reason, to_do="keep the journal, and see docs/runbooks/seal-broken.md")

    def end(self) -> None:
        """The source has no more rows: withdraw entries that still work, reconcile, commit."""
        self._guarded(self._end)

    def _end(self) -> None:
        if not self.has_ended:
            trace = self._trace("end", self.rows_read)
            self.bus.begin("kyle", SourceEnded(self.rows_read), trace, self.now_ns, self.now_ns)
            self.bus.run()
            self._settle()
        self.journal.commit()

    def close(self) -> None:
        """Commit what is whole, keep a snapshot of it, and let go of files."""
        self.journal.commit()
        self._keep()
        self.journal.close()
        self.venue.close()

    def abandon(self) -> None:
        """Let go of files without another commit: after a failure nothing more may be written."""
        self.journal.close()
        self.venue.close()

    # -- effects ----------------------------------------------------------------------------------------------------

    def _standing(self) -> Standing:
        """What stands by the log, as HRM knows it, or Aletheia where he is not heard."""
        name = "aletheia" if "hrm" in self.bus.held else "hrm"
        state = self.hosts[name].state
        standing = state.docket.standing if name == "aletheia" else state.standing
        assert isinstance(standing, Standing)
        return standing

    def _report(self, body: AnyBody, cause: Cause | None) -> None:
        if isinstance(body, VenueEvent) and is_kill_order(body.client_order_id):
            self._obey_kill_switch()
        if cause is None:  # an order that is not ours: it begins a trace of its own, and Aletheia says so
            trace = self._trace("foreign", self.journal.seq)
            self.bus.begin("kenny", body, trace, self.now_ns, self.now_ns)
        else:
            self.bus.report("kenny", body, cause, self.now_ns)

    def _show_market(self) -> None:
        """Let the paper venue see what Kyle let through, and hear what filled."""
        self._show()
        self.effects.collect(self.now_ns, self._report)
        self.bus.run()

    def _show(self) -> None:
        """In order, and nothing is left out: what the venue does not take now, it is shown in the next turn."""
        market, shown = self._market, 0
        try:
            for shown, envelope in enumerate(market):
                body = envelope.body
                if isinstance(body, Observed):
                    self.venue.show(body, envelope.ts_seen_ns)
                elif isinstance(body, CorporateActionObserved):
                    self.venue.apply(body, _row_after(market, shown, body.instrument), envelope.ts_seen_ns)
        except VenueUnavailable:
            del market[:shown]
            return
        market.clear()
        with suppress(VenueUnavailable):
            self.wiring.settle()

    def _settle(self) -> None:
        """Commit, send what waits, hear the answers; until nothing waits."""
        while self.effects.is_waiting:
            self.journal.commit()  # no log, no trade (I3)
            self.effects.perform(self.now_ns, self._report)
            self.bus.run()
        if self.journal.pending > PENDING_MAX:
            self.journal.commit()


def _not_of(journal: Journal, seq: int) -> JournalBroken:
    return JournalBroken(
        f"the snapshot at row {seq} is not of this journal",
        row=seq,
        where=str(journal.path),
        to_do="move the snapshot files away: the journal is replayed without them",
    )


def _last_row(journal: Journal) -> int:
    """The last market row in the journal, 0 where it holds none. What cannot be read is named by the replay."""
    for row in journal.rows_backwards():
        if _ROW_TAG in row:
            with suppress(MsgspecError):
                body = decode_trusted(row).body
                if isinstance(body, RowReceived):  # and not only a text in which the word stands
                    return body.row
    return 0


def _row_after(market: list[Envelope], index: int, instrument: str) -> int:
    """The row that a corporate action precedes."""
    for envelope in market[index + 1 :]:
        if isinstance(envelope.body, Observed) and envelope.body.instrument == instrument:
            return envelope.body.row
    raise AssertionError(f"a corporate action in `{instrument}` had no row after it")
