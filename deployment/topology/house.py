"""The embedded house: all parts, put together in one process. The one place that knows concrete parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, TypeVar

from msgspec import MsgspecError

from agents import aletheia, hrm, joey, kenny, kyle
from agents import id as identity
from agents.id.state import capabilities
from agents.kenny.door import Door, Verifier
from agents.kenny.effects import Authority, Effects
from agents.kenny.venues.simulated import SimulatedVenue
from agents.kyle.sources.port import Slice, Source
from agents.runtime.agent import Agent, Cause
from agents.runtime.hosted import Hosted
from deployment.authority.client import AuthorityProcess
from deployment.build import build_digest
from deployment.topology.approvers import EmbeddedApprover, ProcessApprover
from deployment.topology.state_dir import JOURNAL, VENUE
from graveyard.authority import EmbeddedAuthority
from graveyard.ethics import ruleset_digest
from graveyard.seal import sealed_report
from mutable_core.bus.embedded import EmbeddedBus
from mutable_core.errors import Broken, SettingsRefused
from mutable_core.ids import Id, derived_id
from mutable_core.journal import Journal
from mutable_core.messages import (
    KIND_OF,
    AnyBody,
    Approved,
    BroadcastPublished,
    CatalystFiled,
    ConsentRecorded,
    CorporateActionObserved,
    DiscrepancyFound,
    DrillOrdered,
    Envelope,
    HaltOrdered,
    Inspection,
    Instrument,
    LeaseGranted,
    Mandate,
    Observed,
    OperationAsked,
    OrderAccepted,
    OrderAdjusted,
    OrderBlocked,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    OrderWithheld,
    PersonSigned,
    RowReceived,
    RunStarted,
    SignalDeclared,
    SliceClosed,
    SnapshotTaken,
    SourceEnded,
    VenueStated,
    VetoLifted,
    VetoSet,
    decode_trusted,
)
from mutable_core.money import atoms, micros
from mutable_core.settings import Settings
from watchdog.inspection import SealWatch
from watchdog.lease import LeaseKeeper

_ROW_TAG = KIND_OF[RowReceived].encode()
PENDING_MAX = 2_048
"""Rows that may wait for the next commit; an order that waits commits at once."""

ROWS_TOLD = 1_024
CATCH_UP_MS = 600_000
"""How long the authority's process may take to read a journal that is resumed."""

AGENTS: tuple[Agent, ...] = (kyle.AGENT, joey.AGENT, hrm.AGENT, kenny.AGENT, aletheia.AGENT, identity.AGENT)
"""The six, in the order in which they hear a message."""

ORDERS: tuple[type, ...] = (
    HaltOrdered, VetoSet, VetoLifted, BroadcastPublished, CatalystFiled, SignalDeclared, ConsentRecorded, SnapshotTaken,
    OperationAsked, PersonSigned, DrillOrdered,
)  # fmt: skip
"""What people may say to a running house."""

EDGES: dict[str, frozenset[type]] = {
    "watchdog": frozenset({LeaseGranted, HaltOrdered}),
    "operator": frozenset({RunStarted, *ORDERS}),
}
"""Who else may append, and what."""

_EFFECTS_FOLD = (
    Approved, OrderIntended, OrderWithheld,
    OrderAccepted, OrderRejected, OrderFilled, OrderCancelled, OrderExpired, OrderAdjusted, OrderBlocked, VenueStated,
)  # fmt: skip


def hosted_agents() -> tuple[Hosted, ...]:
    """The six with their first states; ID is told who may say what."""
    hosts = tuple(Hosted(agent) for agent in AGENTS)
    hosts[-1].state = capabilities(tuple(agent.spec for agent in AGENTS))
    return hosts


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
    ) -> None:
        """Put the parts together.

        Args:
            folder: where the journal and the venue's log lie.
            source: where the market comes from.
            started: the genesis row; a journal that is resumed must have begun with the same.
            seal: who watches the rules' seal; looked at once, now, unless given.
            authority: the authority's process; without one, approvals are given in this process.
        """
        self.authority = authority
        self.source = source
        self.started = started
        self.seal = seal or SealWatch.once()
        self.lease = LeaseKeeper(self._inspect)
        self.journal = Journal.open(folder / JOURNAL)
        self.hosts = {host.name: host for host in hosted_agents()}
        self.bus = EmbeddedBus(self.journal, tuple(self.hosts.values()), EDGES)
        self.venue = SimulatedVenue.open(
            folder / VENUE,
            cash_micros=started.cash_micros,
            instruments=started.instruments,
            until_row=_last_row(self.journal),
        )
        approver, verifier = self._approver()
        door = Door(self.venue, verifier, lambda: self.journal.durable_seq, self._may_open)
        self.effects = Effects(self.venue, door, approver, lambda: self.hosts["kenny"].state)
        self.rows_read = 0
        self.now_ns = 0
        self.has_ended = False
        self.is_started = False
        self.failure = ""  # why nothing more is sent; empty while all is well
        self._closed_row = 0
        self._market: list[Envelope] = []
        self._tap()

    def _tap(self) -> None:
        self.bus.on_wants = self.effects.want
        folds = self.bus.folds
        folds |= {kind: [self._market.append] for kind in (Observed, CorporateActionObserved)}
        folds |= {kind: [self.effects.reported] for kind in _EFFECTS_FOLD}
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

    def _may_open(self) -> bool:
        """What the door asks before risk leaves: the lease, and the seal as it is now."""
        return not self.seal.faults and self.lease.is_fresh()

    def _inspect(self) -> Inspection:
        """What the Watchdog finds. The way of a cancel is the venue's own: a kill path apart has a process of its own."""
        is_up = self.venue.is_up()
        return self.seal.inspect(venue_is_up=is_up, kill_path_is_up=is_up)

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
        """Begin the journal, or resume it. Returns what was found: rows replayed, orders waiting, found at the venue.

        Raises:
            ReplayDiverged: this build would have said something else than the journal holds.
            SettingsRefused: the journal belongs to another run.
        """
        found = {"rows_replayed": self.journal.seq}
        if self.journal.seq:
            self.bus.replay(self._checked_rows())
            found["rows_cut_off"] = self.bus.end_replay()
        else:
            trace = derived_id("run", run_key(self.started))
            self.bus.begin("operator", self.started, trace, 0, 0)
        self.bus.run()
        if self.authority is not None:
            self.authority.probe(deadline_ms=CATCH_UP_MS)  # it has read everything before it is asked for anything
        found |= self.effects.adopt()
        self.is_started = True
        self._catch_up()
        return found

    def _checked_rows(self) -> Iterable[tuple[bytes, Envelope]]:
        """The rows of the journal, verified; the authority's process reads them too."""
        from mutable_core.journal import checked_rows

        waiting: list[bytes] = []
        for checked in checked_rows(self.journal.path):
            if checked.envelope.seq == 1:
                self._check_genesis(checked.envelope)
            yield checked.row, checked.envelope
            waiting.append(checked.row)
            if len(waiting) == ROWS_TOLD or checked.envelope.seq == self.journal.durable_seq:
                self.journal.on_durable(checked.envelope.seq - len(waiting) + 1, waiting, checked.head)
                waiting = []

    def _check_genesis(self, first: Envelope) -> None:
        began = first.body
        if not isinstance(began, RunStarted) or run_key(began) != run_key(self.started):
            raise SettingsRefused("the journal belongs to another run", to_do="name another folder with `--state`")

    def _catch_up(self) -> None:
        """Finish what a crash may have interrupted: show the venue its market, close the slice, send what waits.

        Where the slice was closed, the venue's answers are collected after the orders that still wait were sent, as
        they would have been.
        """
        self.lease.due(self.now_ns)  # this watchdog lives: the monotonic half of the lease begins
        if self.rows_read > self._closed_row:
            self._finish_slice()
        else:
            self._show()
            self._settle()
        if self.has_ended:
            self.journal.commit()

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

    def look(self) -> None:
        """See whether the rules are still the sealed ones.

        Raises:
            Broken: they are not; everything is halted.
        """
        if self.seal.faults and not self.failure:
            self.halt(f"the seal of the rules is broken: {self.seal.faults[0]}")

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
        """Commit what is whole and let go of files."""
        self.journal.commit()
        self.journal.close()
        self.venue.close()

    def abandon(self) -> None:
        """Let go of files without another commit: after a failure nothing more may be written."""
        self.journal.close()
        self.venue.close()

    # -- effects ----------------------------------------------------------------------------------------------------

    def _report(self, body: AnyBody, cause: Cause | None) -> None:
        if cause is None:  # an order that is not ours: it begins a trace of its own, and Aletheia says so
            trace = self._trace("foreign", self.journal.seq)
            self.bus.begin("kenny", body, trace, self.now_ns, self.now_ns)
        else:
            self.bus.report("kenny", body, cause, self.now_ns)

    def _show_market(self) -> None:
        """Let the paper venue see what Kyle let through, and hear what filled."""
        self._show()
        self.effects.collect(self._report)
        self.bus.run()

    def _show(self) -> None:
        market, self._market[:] = self._market[:], []
        for index, envelope in enumerate(market):
            body = envelope.body
            if isinstance(body, Observed):
                self.venue.show(body, envelope.ts_seen_ns)
            elif isinstance(body, CorporateActionObserved):
                self.venue.apply(body, _row_after(market, index, body.instrument), envelope.ts_seen_ns)

    def _settle(self) -> None:
        """Commit, send what waits, hear the answers; until nothing waits."""
        while self.effects.is_waiting:
            self.journal.commit()  # no log, no trade (I3)
            self.effects.perform(self.now_ns, self._report)
            self.bus.run()
        if self.journal.pending > PENDING_MAX:
            self.journal.commit()


def _last_row(journal: Journal) -> int:
    """The last market row in the journal, 0 where it holds none. What cannot be read is named by the replay."""
    for row in journal.rows_backwards():
        if _ROW_TAG in row:
            with suppress(MsgspecError):
                body = decode_trusted(row).body
                return body.row if isinstance(body, RowReceived) else 0
    return 0


def _row_after(market: list[Envelope], index: int, instrument: str) -> int:
    """The row that a corporate action precedes."""
    for envelope in market[index + 1 :]:
        if isinstance(envelope.body, Observed) and envelope.body.instrument == instrument:
            return envelope.body.row
    raise AssertionError(f"a corporate action in `{instrument}` had no row after it")
