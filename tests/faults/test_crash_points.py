"""Every place where a crash can leave the disk, one after the other, and the run resumed from each.

`test_kill.py` kills real processes where chance wants it; the narrow places, between a commit and the first byte at
the venue, it seldom hits. Here the disk is put into each state that a crash of the undisturbed run can leave: the
journal up to one of its commits, and the venue's log up to any frame that may have been written by then.
"""

from __future__ import annotations

import shutil
import sqlite3
import struct
from bisect import bisect_right
from pathlib import Path
from typing import NamedTuple

import pytest

from agents.kenny.venues.simulated import SimulatedVenue
from deployment.run import Options, run
from mutable_core.journal import verify
from mutable_core.messages import CancelIntended, OrderCancelled, OrderIntended, RunStarted, VenueEvent
from mutable_core.settings import settings_from
from tests.faults.processes import LOADED, Outcome, bars_file, envelopes_of, outcome

pytestmark = pytest.mark.faults

HEADER = struct.Struct("<III")
"""Of a frame of the venue's log: length, and two sums."""


class Frame(NamedTuple):
    """What the venue has said when the log ends after this frame."""

    end: int
    events: int
    orders: frozenset[str]
    cancels: int


class Undisturbed:
    def __init__(self, folder: Path, days: int) -> None:
        self.folder = folder
        self.options = Options(
            source=f"file:{bars_file(folder / 'bars.csv', days=days, symbols=3)}",
            until_end=True, serve=False, quiet=True,
        )  # fmt: skip
        self.journal = self.run_on(folder / "undisturbed")
        self.outcome: Outcome = outcome(self.journal)
        self.envelopes = list(envelopes_of(self.journal))
        self.frames = self._frames(folder)
        connection = sqlite3.connect(self.journal)
        self.commits = [row[0] for row in connection.execute("SELECT last_seq FROM segments ORDER BY first_seq")]
        connection.close()

    def run_on(self, state: Path) -> Path:
        settings = settings_from(LOADED | {"ARK_STATE_DIR": str(state)})
        return run(settings, self.options).journal

    def _frames(self, folder: Path) -> list[Frame]:
        begun = self.envelopes[0].body
        assert isinstance(begun, RunStarted)
        data, end, frames = self.journal.with_name("venue.log").read_bytes(), 0, []
        while end < len(data):
            end += HEADER.size + HEADER.unpack_from(data, end)[0]
            (folder / "prefix.log").write_bytes(data[:end])
            venue = SimulatedVenue.open(
                folder / "prefix.log", cash_micros=begun.cash_micros, instruments=begun.instruments
            )
            said = tuple(venue.events(0))
            venue.close()
            by_us = sum(isinstance(event, OrderCancelled) and event.reason == "by_us" for event in said)
            orders = frozenset(event.client_order_id.partition(".")[0] for event in said)
            frames.append(Frame(end, len(said), orders, by_us))
        return frames

    def ends_after(self, commit: int) -> list[int]:
        """Lengths of the venue's log that a crash can leave when the journal ends with row `commit`.

        What the journal holds of the venue was in its log before; what the journal does not intend was never sent.
        """
        durable = [envelope.body for envelope in self.envelopes[:commit]]
        reported = max((body.venue_seq for body in durable if isinstance(body, VenueEvent)), default=0)
        intended = {body.order.client_order_id for body in durable if isinstance(body, OrderIntended)}
        cancels = sum(isinstance(body, CancelIntended) for body in durable)
        first = bisect_right([frame.events for frame in self.frames], reported - 1)
        return [f.end for f in self.frames[first:] if f.orders <= intended and f.cancels <= cancels]

    def crashed(self, state: Path, commit: int, venue_bytes: int) -> None:
        """The state folder as that crash leaves it."""
        shutil.rmtree(state, ignore_errors=True)
        folder = state / self.journal.parent.name
        folder.mkdir(parents=True)
        shutil.copytree(self.journal.parent.parent / "keys", state / "keys")
        shutil.copyfile(self.journal, folder / "journal.sqlite")
        connection = sqlite3.connect(folder / "journal.sqlite", isolation_level=None)
        connection.execute("DELETE FROM segments WHERE first_seq > ?", (commit,))
        connection.execute("DELETE FROM checkpoints WHERE rows > ?", (commit,))
        connection.close()
        assert verify(folder / "journal.sqlite").rows == commit
        (folder / "venue.log").write_bytes(self.journal.with_name("venue.log").read_bytes()[:venue_bytes])


def diverging(case: Undisturbed, tmp_path: Path, points: list[tuple[int, int]]) -> list[str]:
    """Where the resumed run did not end as the undisturbed one did."""
    wrong = []
    for commit, venue_bytes in points:
        case.crashed(tmp_path / "state", commit, venue_bytes)
        found = outcome(case.run_on(tmp_path / "state"))
        if found != case.outcome:
            where = f"journal to row {commit} of {case.outcome.rows}, venue.log to byte {venue_bytes}"
            lost = len(set(case.outcome.orders) - {e.client_order_id.partition(".")[0] for e in found.events})
            wrong.append(f"{where}: {found.rows} rows, {lost} orders lost")
    return wrong


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return Undisturbed(tmp_path_factory.mktemp("case"), days=6)


def points_of(case: Undisturbed, *, newest: bool) -> list[tuple[int, int]]:
    """One per commit: the venue's log as short, or as long, as it can be."""
    ends = {commit: case.ends_after(commit) for commit in case.commits[:-1]}
    assert all(ends.values())
    return [(commit, found[-1 if newest else 0]) for commit, found in ends.items()]


def test_the_undisturbed_run_has_many_commits_and_orders(case: Undisturbed) -> None:
    assert len(case.commits) >= 6
    assert len(case.outcome.orders) >= 12


def test_after_a_crash_between_commit_and_sending_nothing_is_lost(case: Undisturbed, tmp_path: Path) -> None:
    """I4: an intent that is durable and that the venue has not heard of is sent when the run resumes."""
    points = points_of(case, newest=False)
    assert len(points) >= 5
    assert diverging(case, tmp_path, points) == []


def test_after_a_crash_just_before_the_next_commit_nothing_is_done_twice(case: Undisturbed, tmp_path: Path) -> None:
    """The venue is ahead of the journal: it has filled what the journal has not yet read the market for."""
    assert diverging(case, tmp_path, points_of(case, newest=True)) == []


def test_after_a_crash_anywhere_between_two_commits_it_ends_the_same(case: Undisturbed, tmp_path: Path) -> None:
    middle = case.commits[len(case.commits) // 2]
    assert diverging(case, tmp_path, [(middle, end) for end in case.ends_after(middle)]) == []


def test_a_frame_torn_by_the_crash_is_as_if_it_had_not_been(case: Undisturbed, tmp_path: Path) -> None:
    middle = case.commits[len(case.commits) // 2]
    ends = case.ends_after(middle)
    assert len(ends) > 1
    assert diverging(case, tmp_path, [(middle, ends[1] - 3), (middle, ends[0] + 5)]) == []


@pytest.mark.nightly
def test_after_a_crash_anywhere_it_ends_the_same(tmp_path: Path) -> None:
    case = Undisturbed(tmp_path, days=12)
    points = [(commit, end) for commit in case.commits[:-1] for end in case.ends_after(commit)]
    assert diverging(case, tmp_path, points) == []
