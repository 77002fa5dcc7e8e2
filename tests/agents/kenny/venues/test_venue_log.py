"""The paper venue outlives our process: its log, cut anywhere, and a process that is killed."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from venue_calls import Call, Place, Show, a_fixed_day, days, make, make_all
from venue_makers import CASH, INSTRUMENTS, a_bar, a_venue, an_order

from agents.kenny.venues import simulated
from agents.kenny.venues.simulated import SimulatedVenue
from agents.kenny.venues.venue_log import VenueLog
from mutable_core.errors import DiskUnavailable, JournalBroken, SettingsRefused, StateInUse, VenueUnavailable
from mutable_core.messages import Observed

ROOT = Path(__file__).parents[4]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(days(), st.sampled_from((1, 3, 512)), st.data())
def test_cut_anywhere_and_told_again_it_is_the_undisturbed_venue(
    tmp_path: Path, calls: list[Call], every: int, data: st.DataObject
):
    """`kill -9` between any two calls, with any part of what waited written; snapshots as often as may be.

    The index that lies beside the shorter log is then ahead of it, or of a log that was.
    """
    undisturbed = a_venue(bps=3, slippage_bps=2)
    make_all(undisturbed, calls)
    path = tmp_path / "venue.log"
    path.unlink(missing_ok=True)
    killed_at = data.draw(st.integers(0, len(calls)), label="calls before the kill")
    with closing(a_venue(path, bps=3, slippage_bps=2, snapshot_every=every)) as venue:
        heard = 0
        for at, call in enumerate(calls[:killed_at]):
            make(venue, call, at)
            if data.draw(st.booleans(), label="asks"):
                heard += len(venue.events(heard))
        said_bytes = path.stat().st_size
        venue.flush()
        whole = path.read_bytes()
    cut = data.draw(st.integers(said_bytes, len(whole)), label="bytes that survive")
    assert_it_becomes(undisturbed, calls, tmp_path / "kept.log", whole[:cut], heard, every, data)
    anywhere = data.draw(st.integers(0, len(whole)), label="bytes of a shorter file")
    assert_it_becomes(undisturbed, calls, tmp_path / "short.log", whole[:anywhere], 0, every, data)


def assert_it_becomes(
    undisturbed: SimulatedVenue, calls: list[Call], path: Path, content: bytes, heard: int, every: int,
    data: st.DataObject,
) -> None:  # fmt: skip
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    if data.draw(st.booleans(), label="with its index"):
        for end in ("index", "index-journal"):
            shutil.copyfile(path.with_name(f"venue.{end}"), path.with_suffix(f".{end}"))
    with closing(a_venue(path, bps=3, slippage_bps=2, snapshot_every=every)) as venue:
        assert len(venue.events(0)) >= heard  # nothing that was said is lost
        assert venue.events(0) == undisturbed.events(0)[: len(venue.events(0))]
        start = data.draw(st.integers(0, first_call_unknown(venue, calls)), label="told again from")
        make_all(venue, calls, start=start)
        assert venue.events(0) == undisturbed.events(0)
        assert venue.statement() == undisturbed.statement()
    with closing(a_venue(path, bps=3, slippage_bps=2, snapshot_every=every)) as reopened:
        assert reopened.events(0) == undisturbed.events(0)
        assert reopened.statement() == undisturbed.statement()
        assert reopened.shown_row == undisturbed.shown_row


def first_call_unknown(venue: SimulatedVenue, calls: list[Call]) -> int:
    """Where the recipe of `simulated` begins at the latest: the call after the last row that the venue has seen."""
    seen = [at for at, call in enumerate(calls) if isinstance(call, Show) and call.observed.row <= venue.shown_row]
    return seen[-1] + 1 if seen else 0


def test_the_log_is_what_the_docstring_says_a_crash_keeps(tmp_path: Path):
    """Nothing is written before it is asked for; then everything is."""
    path = tmp_path / "deep" / "venue.log"
    venue = a_venue(path)
    opened = path.stat().st_size
    venue.show(Observed("ACME", "test", 1, 0, a_bar("100", "100", "100", "100"), True, True), 0)
    venue.place(an_order("a"), 0)
    assert not venue.knows("b")
    assert path.stat().st_size == opened
    assert venue.knows("a")
    assert path.stat().st_size > opened
    venue.close()


def test_rows_without_effect_are_written_after_a_thousand(tmp_path: Path):
    path = tmp_path / "venue.log"
    venue = a_venue(path)
    for row in range(1, simulated.NOTE_EVERY + 500):
        venue.show(Observed("ACME", "test", row, 0, a_bar("100", "100", "100", "100"), True, True), 0)
    copy = tmp_path / "copy.log"
    copy.write_bytes(path.read_bytes())
    with closing(a_venue(copy)) as reopened:
        assert reopened.shown_row == simulated.NOTE_EVERY
    venue.close()


def a_written_log(path: Path) -> bytes:
    venue = a_venue(path)
    make_all(venue, list(a_fixed_day(4)))
    venue.close()
    return path.read_bytes()


def test_a_flipped_bit_anywhere_is_found_and_nothing_is_cut(tmp_path: Path):
    path = tmp_path / "venue.log"
    whole = a_written_log(path)
    for at in range(0, len(whole), 17):
        altered = bytearray(whole)
        altered[at] ^= 1
        path.write_bytes(altered)
        with pytest.raises(JournalBroken):
            a_venue(path)
        assert path.read_bytes() == altered


def test_a_frame_of_another_build_is_named(tmp_path: Path):
    path = tmp_path / "venue.log"
    a_written_log(path)
    log = VenueLog(path)
    *_, (_, end) = log.frames()
    log.resume(end)
    log.append(b"\x93\xa4told\x90\x01")
    log.close()
    with pytest.raises(JournalBroken) as caught:
        a_venue(path)
    assert caught.value.row == end.frames + 1


def test_other_settings_are_refused(tmp_path: Path):
    path = tmp_path / "venue.log"
    a_written_log(path)
    with pytest.raises(SettingsRefused):
        a_venue(path, bps=1)
    with pytest.raises(SettingsRefused):
        SimulatedVenue.open(None, cash_micros=CASH, instruments=INSTRUMENTS, slippage_bps=-1)


def test_a_log_has_one_owner(tmp_path: Path):
    path = tmp_path / "venue.log"
    venue = a_venue(path)
    with pytest.raises(StateInUse):
        a_venue(path)
    venue.close()
    a_venue(path).close()


def test_a_full_disk_is_said_and_loses_nothing(tmp_path: Path):
    path = tmp_path / "venue.log"
    venue = a_venue(path)
    calls = list(a_fixed_day(4))
    make_all(venue, calls)
    size, limits = path.stat().st_size, resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, limits[1]))
    try:
        for _ in range(2):
            with pytest.raises(DiskUnavailable):
                venue.events(0)
            assert path.stat().st_size == size
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    said = venue.events(0)
    venue.close()
    reopened = a_venue(path)
    assert reopened.events(0) == said
    reopened.close()


def test_a_closed_venue_takes_nothing_more(tmp_path: Path):
    venue = a_venue(tmp_path / "venue.log")
    venue.close()
    venue.close()
    for act in (lambda: venue.place(an_order("a"), 0), lambda: venue.events(0), venue.statement):
        with pytest.raises(VenueUnavailable):
            act()


def test_a_folder_in_the_place_of_the_log_is_said(tmp_path: Path):
    with pytest.raises(DiskUnavailable):
        a_venue(tmp_path)


CHILD = """
import sys
from contextlib import closing
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from venue_calls import a_fixed_day, make
from venue_makers import a_venue
venue = a_venue(Path(sys.argv[1]), bps=1, slippage_bps=2, snapshot_every=50)
heard = 0
for at, call in enumerate(a_fixed_day(1_000_000)):
    make(venue, call, at)
    if at % 3 == 0:
        heard += len(venue.events(heard))
        print(heard, flush=True)
"""


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(3))
def test_a_process_killed_while_it_trades_loses_nothing_that_was_said(tmp_path: Path, seed: int):
    path = tmp_path / "venue.log"
    command = [sys.executable, "-c", CHILD, str(path), str(Path(__file__).parent), str(ROOT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for _ in range(Random(seed).randint(1, 900)):
            child.stdout.readline()
        child.kill()
        heard = [int(line) for line in child.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    venue = a_venue(path, bps=1, slippage_bps=2, snapshot_every=50)
    events = venue.events(0)
    assert [event.venue_seq for event in events] == list(range(1, len(events) + 1))
    assert len(events) >= max(heard, default=0)
    assert events
    calls = list(a_fixed_day(venue.shown_row + 50))
    undisturbed = a_venue(bps=1, slippage_bps=2)
    make_all(undisturbed, calls)
    make_all(venue, calls)
    assert venue.events(0) == undisturbed.events(0)
    assert venue.statement() == undisturbed.statement()
    assert sum(isinstance(call, Place) for call in calls) == venue.shown_row
    venue.close()
