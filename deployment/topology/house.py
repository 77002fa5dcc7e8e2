"""The embedded house: all parts, put together in one process. The one place that knows concrete parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from msgspec import MsgspecError

from agents import aletheia, hrm, joey, kenny, kyle
from agents import id as identity
from agents.id.state import capabilities
from agents.kenny.door import Door
from agents.kenny.effects import Effects
from agents.kenny.venues.simulated import SimulatedVenue
from agents.kyle.sources.port import Slice, Source
from agents.runtime.agent import Agent, Cause
from agents.runtime.hosted import Hosted
from deployment.build import build_digest
from deployment.topology.state_dir import JOURNAL, VENUE
from graveyard.authority import EmbeddedAuthority
from graveyard.ethics import ruleset_digest
from mutable_core.bus.embedded import EmbeddedBus
from mutable_core.errors import SettingsRefused
from mutable_core.ids import Id, derived_id
from mutable_core.journal import Journal
from mutable_core.messages import (
    KIND_OF,
    AnyBody,
    Approved,
    CorporateActionObserved,
    DiscrepancyFound,
    DrillOrdered,
    Envelope,
    Instrument,
    LeaseGranted,
    Mandate,
    Observed,
    OrderAccepted,
    OrderAdjusted,
    OrderBlocked,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    OrderWithheld,
    RowReceived,
    RunStarted,
    SliceClosed,
    SourceEnded,
    VenueStated,
    decode_trusted,
)
from mutable_core.money import micros
from mutable_core.settings import Settings
from watchdog.lease import LeaseKeeper

_ROW_TAG = KIND_OF[RowReceived].encode()
PENDING_MAX = 2_048
"""Rows that may wait for the next commit; an order that waits commits at once."""

AGENTS: tuple[Agent, ...] = (kyle.AGENT, joey.AGENT, hrm.AGENT, kenny.AGENT, aletheia.AGENT, identity.AGENT)
"""The six, in the order in which they hear a message."""

EDGES: dict[str, frozenset[type]] = {
    "watchdog": frozenset({LeaseGranted}),
    "operator": frozenset({RunStarted, DrillOrdered}),
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
    """The first row: what everything after it depends on."""
    names = tuple(one.instrument for one in source.instruments)
    return RunStarted(
        mode="PAPER",
        build=build_digest(),
        ruleset=ruleset_digest(),
        source=source.name,
        source_sha256=source.fingerprint,
        seed=source.seed,
        tick_bar_ns=tick_bar_ns,
        account=settings.account,
        currency=settings.currency,
        cash_micros=micros(settings.cash),
        instruments=tuple(Instrument(i.instrument, i.tick_atoms, i.lot_atoms) for i in source.instruments),
        mandate=Mandate(names, settings.strategies, ("buy", "sell"), micros(settings.day_notional)),
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

    def __init__(self, folder: Path, source: Source, started: RunStarted) -> None:
        self.source = source
        self.started = started
        self.lease = LeaseKeeper()
        self.journal = Journal.open(folder / JOURNAL)
        self.hosts = {host.name: host for host in hosted_agents()}
        self.bus = EmbeddedBus(self.journal, tuple(self.hosts.values()), EDGES)
        self.venue = SimulatedVenue.open(
            folder / VENUE,
            cash_micros=started.cash_micros,
            instruments=started.instruments,
            until_row=_last_row(self.journal),
        )
        authority = EmbeddedAuthority(pinned=started.ruleset)
        door = Door(self.venue, authority, lambda: self.journal.durable_seq, self.lease.is_fresh)
        self.effects = Effects(self.venue, door, authority, lambda: self.hosts["kenny"].state)
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
        found |= self.effects.adopt()
        self.is_started = True
        self._catch_up()
        return found

    def _checked_rows(self) -> Iterable[tuple[bytes, Envelope]]:
        from mutable_core.journal import checked_rows

        for checked in checked_rows(self.journal.path):
            if checked.envelope.seq == 1:
                self._check_genesis(checked.envelope)
            yield checked.row, checked.envelope

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
        return self._guarded(lambda: self._drill(order, number))

    def _drill(self, order: DrillOrdered, number: int) -> Envelope:
        ordered = self.bus.begin("operator", order, self._trace("drill", number), self.now_ns, self.now_ns)
        self.bus.run()
        self._settle()
        return ordered

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
