"""What the metrics server reads of a house: the tap on its bus, its gauges, and whether it is ready."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from deployment.backups.schedule import Schedule
from deployment.topology.house import House
from monitoring.health import Health
from monitoring.readings import Readings
from monitoring.tap import Tap
from mutable_core.book import Book
from mutable_core.clock import SECOND_NS, wall_ns
from mutable_core.docket import Docket
from mutable_core.journal import Anchor
from mutable_core.money import MICROS_PER_UNIT
from watchdog.disk import DiskWatch
from watchdog.lease import TERM_NS

HEARTBEAT_LIMIT_NS = 5 * SECOND_NS


class Beside(NamedTuple):
    """What runs beside a house and is looked at through its metrics; None where it does not run."""

    disk: DiskWatch | None = None
    backups: Schedule | None = None
    anchor: Anchor | None = None


NOTHING = Beside()


class Monitor:
    """Reads only; the metrics server's thread calls what is given here."""

    def __init__(self, house: House, beside: Beside = NOTHING, docket: Callable[[], Docket] | None = None) -> None:
        """`docket` says what Aletheia knows; it may be some moments old. She is asked herself where it is not given."""
        self.tap = Tap()
        self.readings = Readings()
        self.health = Health()
        self._house = house
        self._beside = beside
        self._docket = docket or self._asked_docket
        self._register()
        self._give()

    def _asked_docket(self) -> Docket:
        docket = self._house.hosts["aletheia"].state.docket
        assert isinstance(docket, Docket)
        return docket

    def _book(self) -> Book:
        return self._docket().book

    def _register(self) -> None:
        house, health = self._house, self.health
        for name in house.hosts:
            health.register(name, partial(self._agent, name))
        health.register("journal", self._journal)
        health.register("source", self._source)
        health.register("seal", lambda: (not house.seal.faults, house.seal.faults[0] if house.seal.faults else "whole"))
        if house.authority is not None:
            health.register("authority", self._authority)
        health.register("lease", lambda: (not house.lease.ended, house.lease.ended or "not revoked"))
        if self._beside.disk is not None:
            health.register("disk", self._beside.disk.check)
        health.register("loop", heartbeat_limit_ns=HEARTBEAT_LIMIT_NS)

    def _agent(self, name: str) -> tuple[bool, str]:
        """Whether it hears and is heard. In one process they stand and fall together: one that raises ends the run."""
        house = self._house
        held = house.bus.held.get(name)
        if held is not None:
            return False, f"held ({held.why}): {held.detail}"
        return house.is_started and not house.failure, house.failure or ("hears" if house.is_started else "starting")

    def _journal(self) -> tuple[bool, str]:
        house = self._house
        return house.is_started and not house.failure, house.failure or f"durable to row {house.journal.durable_seq}"

    def _authority(self) -> tuple[bool, str]:
        authority = self._house.authority
        is_up = authority is not None and authority.is_alive
        return is_up, "a process of its own" if is_up else "it has ended: nothing is approved"

    def _source(self) -> tuple[bool, str]:
        house = self._house
        if house.has_ended:
            return False, "ended: no more rows will come"
        return house.rows_read > 0, f"row {house.rows_read}" if house.rows_read else "no row yet"

    def _give(self) -> None:
        house, give = self._house, self.readings.give
        currency = house.started.currency
        give("redis_stream_depth", lambda: {("bus",): house.bus.depth})
        give("ark_journal_rows", lambda: house.journal.seq)
        give("ark_journal_durable_position", lambda: house.journal.durable_seq)
        give("ark_equity", lambda: {(currency,): self._book().equity_micros() / MICROS_PER_UNIT})
        give("ark_gross_exposure", lambda: {(currency,): self._gross() / MICROS_PER_UNIT})
        give("ark_lease_age_seconds", self._lease_age)
        give("ark_acts_awaiting_people", lambda: len(self._docket().pending))
        give("ark_halt_level", lambda: max(self._docket().standing.halts.values(), default=0))
        give("ark_vetoes_standing", lambda: len(self._docket().standing.vetoes))
        give("ark_seal_faults", lambda: len(house.seal.faults))
        give("ark_agent_up", lambda: {(name,): float(self._agent(name)[0]) for name in house.hosts})
        give("ark_source_rows", lambda: house.rows_read)
        give("ark_ready", lambda: float(self.health.ready()))
        give("ark_orders_unknown", lambda: len(house.effects.unknown))
        give("ark_journal_bytes", lambda: _bytes_of(house.journal.path))
        give("ark_checkpoint_age_seconds", self._checkpoint_age)
        self._give_beside()
        labels = (house.started.build[:12], house.started.ruleset[:12], house.started.mode)
        give("ark_build_info", lambda: {labels: 1.0})

    def _give_beside(self) -> None:
        """What is known only where it runs beside the house; else it has no sample."""
        give = self.readings.give
        disk, backups, anchor = self._beside
        if disk is not None:
            give("ark_disk_free_bytes", lambda: disk.free_bytes)
            give("ark_disk_faults", lambda: float(bool(disk.fault)))
        if anchor is not None:
            give("ark_anchor_failures_total", lambda: anchor.failures)
        if backups is not None:
            give("ark_backup_age_seconds", lambda: _seconds(backups.age_ns()))
            give("ark_backup_last_success_timestamp_seconds", lambda: _seconds(backups.newest_ns))
            give("ark_backup_failures_total", lambda: backups.failures)
            give("ark_restore_drill_age_seconds", lambda: _seconds(backups.drill_age_ns()))
            give("ark_restore_drill_ok", lambda: None if backups.drill_ns is None else float(backups.drill_ok))

    def _checkpoint_age(self) -> float | None:
        newest = self._house.journal.newest_checkpoint
        return None if newest is None else max(0.0, (wall_ns() - newest.note.time_ns) / SECOND_NS)

    def _gross(self) -> int:
        book = self._book()
        return book.gross_micros() + sum([hold.notional_micros for hold in book.holds.values()])

    def _lease_age(self) -> dict[tuple[str, ...], float] | None:
        lease = self._house.lease
        return {("kenny",): (TERM_NS - lease.remaining_ns()) / SECOND_NS} if lease.is_fresh() else None


def _seconds(ns: int | None) -> float | None:
    return None if ns is None else ns / SECOND_NS


def _bytes_of(journal: Path) -> int:
    """The file, and what waits beside it to go into it."""
    paths = (journal, journal.with_name(f"{journal.name}-wal"))
    return sum(path.stat().st_size for path in paths if path.exists())
