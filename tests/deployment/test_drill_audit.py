"""The audit of a drill sees what was lost and what is there twice; and finds nothing where nothing is wrong."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployment.drills.audit import Audit, Books, against, venue_said
from deployment.topology.state_dir import JOURNAL, VENUE
from mutable_core.journal import Journal, checked_rows
from mutable_core.messages import (
    Envelope,
    NothingProposed,
    OrderAccepted,
    OrderFilled,
    OrderIntended,
    RunStarted,
    VenueEvent,
    Verified,
    encode,
)
from tests.deployment.handmade import a_house, copied, envelopes, run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has ended: orders, brackets, rows that the gate refused."""
    path = tmp_path_factory.mktemp("audited") / "run"
    run(path)
    return path


@pytest.fixture(scope="module")
def messages(folder: Path) -> list[Envelope]:
    return envelopes(folder)


def test_a_good_run_is_replayed_and_nothing_is_awaited(folder: Path) -> None:
    audit = Audit(folder)
    audit.read()
    found = audit.finding(audit.rows)
    assert found == (len(envelopes(folder)), True, 0, 0, "")


def test_it_reads_on_where_it_stopped(tmp_path: Path) -> None:
    """A house that goes on between two looks, on the disk as another process sees it."""
    house = a_house(tmp_path / "run")
    house.start()
    audit, rows = Audit(tmp_path / "run"), []
    for number, moment in enumerate(house.slices()):
        house.turn(moment)
        if number % 9 == 0:
            house.journal.commit()
            audit.read()
            rows.append(audit.rows)
            assert audit.finding(audit.rows).what == ""
    assert rows == sorted(set(rows))
    assert rows[-1] > 100
    house.abandon()


def without(kind: type, folder: Path, to: Path) -> Path:
    """A journal, properly chained, in which the last message of this kind is missing, and the venue's log."""
    copied(folder, to)
    (to / JOURNAL).unlink()
    rows = [checked.envelope for checked in checked_rows(folder / JOURNAL)]
    last = max(index for index, one in enumerate(rows) if isinstance(one.body, kind))
    journal = Journal.open(to / JOURNAL)
    for seq, one in enumerate(rows[:last] + rows[last + 1 :], 1):
        journal.append(encode(msgspec.structs.replace(one, seq=seq)), seq)
    journal.commit()
    journal.close()
    return to


def test_a_journal_that_agents_would_not_have_written_is_found(folder: Path, tmp_path: Path) -> None:
    audit = Audit(without(Verified, folder, tmp_path / "copy"))
    audit.read()
    found = audit.finding(audit.rows)
    assert not found.replayed
    assert "replay differs" in found.what


def test_what_stands_in_the_journal_and_the_venue_never_said_is_there_once_too_often(
    folder: Path, tmp_path: Path
) -> None:
    copy = copied(folder, tmp_path / "copy")
    lines = (copy / VENUE).read_bytes().splitlines(keepends=True)
    (copy / VENUE).write_bytes(b"".join(lines[: len(lines) // 2]))
    audit = Audit(copy)
    audit.read()
    found = audit.finding(audit.rows)
    assert found.duplicated > 0
    assert found.lost == 0
    assert "venue" in found.what


def test_what_the_venue_said_and_nobody_wrote_down_is_lost(folder: Path, messages: list[Envelope]) -> None:
    """Found even where the rest hangs together: a fill that is passed over, and those after it not."""
    fill = next(index for index, one in enumerate(messages) if isinstance(one.body, OrderFilled))
    assert against(venue_said(folder, started_of(messages)), events_of(messages)) == (0, 0)
    assert against(venue_said(folder, started_of(messages)), events_of(messages[:fill] + messages[fill + 1 :])) == (
        0,
        1,
    )
    assert against(venue_said(folder, started_of(messages)), events_of(messages[:fill])) == (0, 0)


def events_of(messages: list[Envelope]) -> list[VenueEvent]:
    return books_of(messages).events


def started_of(messages: list[Envelope]) -> RunStarted:
    assert isinstance(messages[0].body, RunStarted)
    return messages[0].body


def books_of(messages: list[Envelope]) -> Books:
    books = Books()
    for one in messages:
        books.take(one)
    return books


def test_nothing_is_awaited_of_a_whole_log(messages: list[Envelope]) -> None:
    books = books_of(messages)
    assert (books.awaited, books.doubled) == ({}, [])
    assert books.events


@given(st.data())
def test_any_answer_that_is_missing_is_awaited_and_any_that_comes_twice_is_doubled(
    messages: list[Envelope], data: st.DataObject
) -> None:
    answers = [
        index
        for index, one in enumerate(messages)
        if isinstance(one.body, NothingProposed | Verified)
        or (isinstance(one.body, OrderAccepted) and "." not in one.body.client_order_id)
    ]
    index = data.draw(st.sampled_from(answers))
    missing = books_of(messages[:index] + messages[index + 1 :])
    assert len(missing.awaited) == 1
    (position,) = missing.awaited.values()
    assert position < messages[index].seq
    again = msgspec.structs.replace(messages[index], id="f" * 32)
    assert len(books_of([*messages[: index + 1], again, *messages[index + 1 :]]).doubled) == 1


def test_a_message_that_is_there_twice_is_doubled(messages: list[Envelope]) -> None:
    index = next(index for index, one in enumerate(messages) if isinstance(one.body, OrderIntended))
    assert books_of([*messages, messages[index]]).doubled
