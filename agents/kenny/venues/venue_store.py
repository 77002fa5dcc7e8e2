"""What a paper venue keeps on the disk: its log, which is the truth, and the index that makes it quick."""

from __future__ import annotations

from pathlib import Path

from msgspec import MsgspecError

from agents.kenny.venues.calls import Opened, Taken, encode, told
from agents.kenny.venues.exchange import Exchange
from agents.kenny.venues.exchange_state import restore, state_of
from agents.kenny.venues.venue_index import Snapshot, VenueIndex
from agents.kenny.venues.venue_log import START, Position, VenueLog
from mutable_core.errors import JournalBroken, SettingsRefused
from mutable_core.messages import VenueEvent

TAKEN_BATCH = 16
"""So many ids go to the index at once: it is random access, which a large batch would make a pause of."""


class VenueStore:
    """Log and index of one venue. `rebuilt` must be called once, before anything else."""

    def __init__(self, path: Path, opened: Opened, snapshot_every: int) -> None:
        """Own the log at `path`, and the index beside it.

        Raises:
            StateInUse: another process has the log open.
            DiskUnavailable: one of the files cannot be opened.
        """
        self.log = VenueLog(path)
        try:
            self._index = VenueIndex.open(path.with_suffix(".index"))
        except BaseException:
            self.log.close()
            raise
        self._where = str(path)
        self._opened = opened
        self._snapshot_every = snapshot_every
        self._snapshot_frames = 0  # frames of the log that precede the newest snapshot
        self._taken: set[Taken] = set()  # not yet in the index

    def is_taken(self, taken: Taken) -> bool:
        return taken in self._taken or self._index.is_taken(taken)

    def take(self, taken: Taken) -> None:
        """To be called with the frame that takes it."""
        self._taken.add(taken)

    def write(self) -> None:
        """Write what waits in the log, and now and then what was taken by it.

        Raises:
            DiskUnavailable: it could not be written; it still waits.
            VenueUnavailable: the store was closed.
        """
        self.log.flush()
        if len(self._taken) >= TAKEN_BATCH:
            self._write_taken(self.log.position)

    def _write_taken(self, at: Position) -> None:
        self._index.take(self._taken, at.end)
        self._taken = set()

    @property
    def is_snapshot_due(self) -> bool:
        return self.log.position.frames - self._snapshot_frames >= self._snapshot_every

    def snapshot(self, exchange: Exchange, at: Position) -> None:
        """Keep the exchange, which is as the log makes it up to `at`.

        Raises:
            DiskUnavailable: it was not kept, and is still due.
        """
        self._write_taken(at)
        self._index.add(Snapshot(at, exchange.venue_seq, exchange.last_row, state_of(exchange)))
        self._snapshot_frames = at.frames

    def close(self) -> None:
        try:
            self.log.close()
        finally:
            self._index.close()

    # -- reading ----------------------------------------------------------------------------------------------------

    def rebuilt(self, until_row: int | None) -> Exchange:
        """The exchange as the log makes it, up to `until_row`; a log that is empty is begun.

        Raises:
            SettingsRefused: the log was begun with other settings.
            JournalBroken: the log was altered, or holds an order that came after `until_row`.
        """
        log = self.log
        first, at = next(log.frames(), (b"", START))
        if not first:
            self._index.reset()
            log.resume(START)
            log.append(encode(self._opened))
            log.flush()
            return self._opened.exchange()
        if first != encode(self._opened):
            raise SettingsRefused(
                "the venue was opened with other cash, fees, slippage or instruments before",
                where=self._where,
                to_do="use the settings it began with, or another state folder",
            )
        exchange, at = self._begun(until_row, at)
        log.resume(self._made_again(exchange, at, until_row))
        return exchange

    def _begun(self, until_row: int | None, after_first: Position) -> tuple[Exchange, Position]:
        """The newest snapshot that belongs to this log; a new exchange, and an empty index, where there is none."""
        exchange = self._opened.exchange()
        found = self._index.newest(log_end=self.log.size, last_row=until_row)
        if found is not None and self.log.crc(found.at.end) == found.at.crc:
            try:
                restore(exchange, found.state)
            except MsgspecError:  # of another build: the log says it again
                exchange = self._opened.exchange()
            else:
                self._index.cut(found.at.end)  # beyond it, the calls of this log say what is taken
                self._snapshot_frames = found.at.frames
                return exchange, found.at
        self._index.reset()
        return exchange, after_first

    def _made_again(self, exchange: Exchange, at: Position, until_row: int | None) -> Position:
        """Make the calls after `at` again, up to `until_row`. Returns where the log shall go on."""
        is_forgotten = False
        forgets = until_row is not None and not self._is_killed_after(until_row, at)
        for frame, end in self.log.frames(at):
            call = told(frame, end.frames, where=self._where)
            is_forgotten = is_forgotten or (until_row is not None and call.last_row > until_row)
            if is_forgotten:
                if call.is_command:
                    raise self._lost_journal(until_row, end.frames)
                if forgets:
                    continue
            taken, at = call.repeat(exchange), end
            if taken is not None:
                self._taken.add(taken)
            if at.frames - self._snapshot_frames >= self._snapshot_every:
                self.snapshot(exchange, at)
                exchange.forget_said(exchange.venue_seq)
        return at

    def _is_killed_after(self, until_row: int, at: Position) -> bool:
        """Whether a kill switch acted on what followed that row: it did so in the world, and nothing of it is forgotten."""
        is_after = False
        for frame, end in self.log.frames(at):
            call = told(frame, end.frames, where=self._where)
            is_after = is_after or call.last_row > until_row
            if is_after and call.is_of_kill_switch:
                return True
        return False

    def _lost_journal(self, until_row: int | None, frame: int) -> JournalBroken:
        # Orders leave only when the rows before them are durable: we have lost part of our journal, or it is another.
        return JournalBroken(
            f"the venue has orders from after market row {until_row}, where our journal ends",
            row=frame,
            where=self._where,
            to_do="restore the journal that belongs to this venue; do not trade before books and venue agree",
        )

    def said_again(self, after: int) -> list[VenueEvent]:
        """All events with `venue_seq` > `after`, from the log; what waits there must have been written."""
        log = self.log
        exchange = self._opened.exchange()
        found = self._index.newest(log_end=log.position.end, venue_seq=after)
        if found is None:
            _, at = next(log.frames())
        else:
            restore(exchange, found.state)
            at = found.at
        for frame, end in log.frames(at):
            told(frame, end.frames, where=self._where).repeat(exchange)
        return exchange.said[after - exchange.said_before :]
