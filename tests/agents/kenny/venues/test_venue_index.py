"""The index beside the venue's log is derived: with it, without it, or with a spoiled one, the venue is the same."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from venue_calls import Call, Place, a_day, a_fixed_day, days, make, make_all
from venue_makers import CASH, INSTRUMENTS, a_venue, an_order

from agents.kenny.venues.simulated import FeeModel, SimulatedVenue
from mutable_core.errors import DiskUnavailable, JournalBroken

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def a_traded_log(path: Path, *, calls: Iterable[Call], every: int) -> list[str]:
    """A log with its index. Returns the ids that were placed."""
    calls = list(calls)
    with closing(a_venue(path, snapshot_every=every)) as venue:
        heard = 0
        for at, call in enumerate(calls):
            make(venue, call, at)
            heard += len(venue.events(heard))
    return [call.order.client_order_id for call in calls if isinstance(call, Place)]


def fresh(path: Path) -> Path:
    for old in path.parent.glob(f"{path.stem}.*"):
        old.unlink()
    return path


@quick
@given(days(), st.sampled_from((1, 2, 7)))
@example(a_day(31, 25, "quote", with_actions=True), 1)  # what was taken of a quote was not in the snapshot
def test_snapshots_change_nothing_that_can_be_seen(tmp_path: Path, calls: list[Call], every: int) -> None:
    """Opened again after every call, and asked for its events from every number."""
    undisturbed = a_venue()
    path = fresh(tmp_path / "venue.log")
    for at, call in enumerate(calls[:30]):
        make(undisturbed, call, at)
        with closing(a_venue(path, snapshot_every=every)) as venue:
            make(venue, call, at)
            venue.events(venue.statement().venue_seq)
    with closing(a_venue(path, snapshot_every=every)) as venue:
        assert venue.statement() == undisturbed.statement()
        count = venue.statement().venue_seq
        assert [list(venue.events(n)) for n in range(count + 2)] == [
            list(undisturbed.events(n)) for n in range(count + 2)
        ]
        make_all(venue, calls)
        make_all(undisturbed, calls)
        assert venue.events(0) == undisturbed.events(0)


@quick
@given(days(), st.integers(0, 60))
@example(a_day(23, 40, "trade", with_actions=True), 40)  # a dividend before row 41 was in a snapshot of row 40
def test_what_is_forgotten_does_not_depend_on_snapshots(tmp_path: Path, calls: list[Call], until_row: int) -> None:
    """A journal that lost rows: back to before them, behind as many snapshots as need be, or refused alike."""
    found = []
    for every in (1, 5, 10_000):
        path = fresh(tmp_path / "venue.log")
        a_traded_log(path, calls=calls, every=every)
        found.append(opened_until(path, until_row, every, calls))
    assert found[0] == found[1] == found[2]


def opened_until(path: Path, until_row: int, every: int, calls: list[Call]) -> object:
    try:
        venue = SimulatedVenue.open(
            path, cash_micros=CASH, instruments=INSTRUMENTS, fees=FeeModel(0), slippage_bps=0,
            until_row=until_row, snapshot_every=every,
        )  # fmt: skip
    except JournalBroken as error:
        return str(error)
    with closing(venue):
        forgotten = venue.statement(), list(venue.events(0))
        make_all(venue, calls)
        return *forgotten, venue.statement(), list(venue.events(0))


def spoil_a_name(index: Path) -> None:
    """A table's name becomes what is no text, and SQLite quotes it when it complains."""
    whole = index.read_bytes()
    spoiled = whole.replace(b"tablesnapshots", b"table\xc2napshots").replace(b"CREATE TABLE snap", b"CREATE TABLX snap")
    assert spoiled != whole
    index.write_bytes(spoiled)


def test_every_id_is_known_with_the_index_without_it_and_with_a_spoiled_one(tmp_path: Path) -> None:
    path = tmp_path / "venue.log"
    ids = a_traded_log(path, calls=a_fixed_day(120), every=20)
    for spoil in (lambda _: None, Path.unlink, lambda one: one.write_bytes(b"no database " * 999), spoil_a_name):
        spoil(path.with_suffix(".index"))
        with closing(a_venue(path, snapshot_every=20)) as venue:
            assert all(venue.knows(one) and venue.knows(f"{one}.stop") for one in ids)
            assert not venue.knows("never")
            before = venue.statement()
            for one in ids:
                venue.place(an_order(one), 9)
            assert venue.statement() == before


def test_an_index_altered_anywhere_never_changes_what_the_venue_says(tmp_path: Path) -> None:
    """It is found, or made again, or was not read."""
    path, index = tmp_path / "venue.log", tmp_path / "venue.index"
    a_traded_log(path, calls=a_fixed_day(60), every=20)
    with closing(a_venue(path)) as venue:
        stated, said = venue.statement(), list(venue.events(0))
    whole = index.read_bytes()
    for at in range(0, len(whole), 61):
        altered = bytearray(whole)
        altered[at] ^= 1
        index.write_bytes(altered)
        try:
            venue = a_venue(path)
        except DiskUnavailable:
            continue
        with closing(venue):
            assert venue.statement() == stated
            assert venue.events(0) == said


def test_an_altered_byte_before_the_snapshot_is_found(tmp_path: Path) -> None:
    """An open makes few calls again, and still reads every byte."""
    path = tmp_path / "venue.log"
    a_traded_log(path, calls=a_fixed_day(200), every=20)
    whole = path.read_bytes()
    altered = bytearray(whole)
    altered[len(whole) // 3] ^= 1
    path.write_bytes(altered)
    with pytest.raises(JournalBroken):
        a_venue(path)
    assert path.read_bytes() == altered


def test_memory_does_not_grow_with_the_number_of_orders(tmp_path: Path) -> None:
    """What was heard is let go; 1 000 more orders hold no more than a page or two of the index."""
    calls = list(a_fixed_day(1_600))
    with closing(a_venue(tmp_path / "venue.log", snapshot_every=64)) as venue:
        heard = 0
        tracemalloc.start()
        try:
            sizes = []
            for at, call in enumerate(calls):
                make(venue, call, at)
                heard += len(venue.events(heard))
                if at in (1_200, 3_199):
                    sizes.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
    assert heard > 4_000
    assert sizes[1] - sizes[0] < 100_000
