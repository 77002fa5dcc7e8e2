"""Versioned state: every write is a new version, going back is one too, and nothing is lost or done twice."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import mutable_core.state.versions
from mutable_core.clock import DAY_NS
from mutable_core.errors import ArkError, CapabilityExceeded, UnknownName
from mutable_core.state import schema
from mutable_core.state.errors import StateBroken, StateBusy, StateConflict, StateFull, ValuePruned, ValueRefused
from mutable_core.state.points import Moment, Named, Revision, Version, in_words, moment_ns, point
from mutable_core.state.rights import AGENTS, AUTHORS
from mutable_core.state.rows import Row
from mutable_core.state.verify import verify
from mutable_core.state.versions import Draft, Versions
from mutable_core.state_manager import StateManager
from tests.architecture.house import TOP


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite"


@pytest.fixture
def state(path: Path) -> Iterator[StateManager]:
    with StateManager.open(path) as manager:
        yield manager
        assert manager.verify().ok, manager.verify().finding


def value_of(state: StateManager, key: str = "a", **at: Any) -> Any:
    found = state.get("kenny", key, **at)
    return None if found is None else found.value


def put(state: StateManager, *values: Any, key: str = "a") -> None:
    for value in values:
        state.writer("kenny").put("kenny", key, value)


# -- versions --------------------------------------------------------------------------------------------------------------


def test_versions_of_a_key_count_from_one_without_gaps(state: StateManager) -> None:
    kenny = state.writer("kenny")
    assert [kenny.put("kenny", "a", n) for n in range(5)] == [1, 2, 3, 4, 5]
    assert kenny.delete("kenny", "a") == 6
    assert kenny.put("kenny", "a", "again") == 7
    assert kenny.put("kenny", "b", 0) == 1
    assert [one.version for one in state.history("kenny", "a")] == [7, 6, 5, 4, 3, 2, 1]
    assert [one.version for one in state.history("kenny", "a", last=2)] == [7, 6]


def test_a_key_that_was_never_written_is_not_there_and_one_that_holds_none_is(state: StateManager) -> None:
    assert state.get("kenny", "a") is None
    put(state, None)
    found = state.get("kenny", "a")
    assert found is not None
    assert (found.value, found.version, found.author) == (None, 1, "kenny")


@pytest.mark.parametrize("value", [None, "None", "", b"\x00", (1, 2), 1 << 60, Decimal("1.00"), {"a": [()]}], ids=repr)
def test_a_value_comes_back_with_its_type(path: Path, value: Any) -> None:
    """Each was something else after a round trip through the earlier system."""
    with StateManager.open(path) as state:
        put(state, value)
    with StateManager.open(path) as state:
        assert repr(value_of(state)) == repr(value)


def test_times_are_exact_and_never_tie_even_when_the_clock_goes_back(
    state: StateManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([1_000, 5_000, 5_000, 2_000, 6_000])
    monkeypatch.setattr(mutable_core.state.versions, "wall_ns", lambda: next(times))
    put(state, 1, 2, 3, 4, 5)
    assert [one.ts_ns for one in state.history("kenny", "a")] == [6_000, 5_002, 5_001, 5_000, 1_000]


def test_importing_makes_no_store(tmp_path: Path) -> None:
    import subprocess

    code = "import mutable_core.state_manager, mutable_core.vault"
    subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(TOP), "HOME": str(tmp_path)}, check=True
    )
    assert list(tmp_path.iterdir()) == []


# -- compare and set -------------------------------------------------------------------------------------------------------


def test_a_write_that_expects_another_version_changes_nothing_and_says_where_the_key_is(state: StateManager) -> None:
    put(state, "first", "second")
    kenny, head = state.writer("kenny"), state.head()
    for act in (
        lambda: kenny.put("kenny", "a", "third", expect=1),
        lambda: kenny.delete("kenny", "a", expect=1),
        lambda: kenny.rollback("kenny", "a", Version(1), expect=1),
    ):
        with pytest.raises(StateConflict) as conflict:
            act()
        assert conflict.value.version == 2
    assert state.head() == head
    assert kenny.put("kenny", "a", "third", expect=2) == 3


def test_expecting_zero_writes_only_what_was_never_there(state: StateManager) -> None:
    kenny = state.writer("kenny")
    assert kenny.put("kenny", "a", 1, expect=0) == 1
    kenny.delete("kenny", "a")
    with pytest.raises(StateConflict):
        kenny.put("kenny", "a", 1, expect=0)
    assert kenny.put("kenny", "a", 1, expect=state.version("kenny", "a")) == 3


# -- going back ------------------------------------------------------------------------------------------------------------


def test_going_back_is_a_new_version_and_the_newest_value_is_not_lost(state: StateManager) -> None:
    """The earlier system wrote the old value with its old number, and forgot what it replaced."""
    put(state, "one", "two", "three")
    kenny = state.writer("kenny")
    assert kenny.rollback("kenny", "a", Version(1), reason="a bad day") == 4
    assert value_of(state) == "one"
    assert value_of(state, at=Version(3)) == "three"
    assert kenny.rollback("kenny", "a", Version(3)) == 5
    assert value_of(state) == "three"
    entry = state.entry("kenny", "a", at=Version(4))
    assert entry is not None
    assert (entry.kind, entry.restores, entry.reason) == ("rollback", 1, "a bad day")


def test_going_back_to_a_rollback_points_at_the_value_itself(state: StateManager) -> None:
    put(state, "one", "two")
    kenny = state.writer("kenny")
    for version in (1, 3, 4, 5):
        kenny.rollback("kenny", "a", Version(version))
    assert [one.restores for one in state.history("kenny", "a")] == [1, 1, 1, 1, None, None]


def test_a_key_goes_back_to_being_gone_and_to_not_yet_being_there(state: StateManager) -> None:
    kenny = state.writer("kenny")
    put(state, "other", key="b")
    put(state, "one")
    kenny.delete("kenny", "a")
    put(state, "two")
    kenny.rollback("kenny", "a", Version(2))
    assert state.get("kenny", "a") is None
    kenny.rollback("kenny", "a", Version(3))
    kenny.rollback("kenny", "a", Revision(1))
    assert state.get("kenny", "a") is None
    assert state.version("kenny", "a") == 6


def test_a_key_goes_back_to_a_snapshot_and_to_a_moment(state: StateManager) -> None:
    put(state, "one")
    state.writer("operator").snapshot("before")
    put(state, "two")
    moment = state.history("kenny", "a")[0].ts_ns
    put(state, "three")
    kenny = state.writer("kenny")
    kenny.rollback("kenny", "a", Named("before"))
    assert value_of(state) == "one"
    kenny.rollback("kenny", "a", Moment(moment))
    assert value_of(state) == "two"
    kenny.rollback("kenny", "a", Moment(moment - 1))
    assert value_of(state) == "one"


def test_a_namespace_goes_back_as_one_and_only_what_differed_gets_a_version(state: StateManager) -> None:
    kenny = state.writer("kenny")
    for key in ("same", "changed", "deleted", "back-and-forth"):
        put(state, "then", key=key)
    state.writer("joey").put("joey", "x", "then")
    then = Revision(state.head()[0])
    put(state, "now", key="changed")
    put(state, "elsewhere", "then", key="back-and-forth")
    kenny.delete("kenny", "deleted")
    put(state, "now", key="new")
    state.writer("joey").put("joey", "x", "now")
    written = kenny.rollback_namespace("kenny", then)
    assert sorted(one.key for one in written) == ["changed", "deleted", "new"]
    assert {key: value_of(state, key) for _, key in state.keys("kenny")} == dict.fromkeys(
        ("same", "changed", "deleted", "back-and-forth"), "then"
    )
    assert [one.revision for one in sorted(written, key=lambda one: one.revision)] == list(
        range(state.head()[0] - 2, state.head()[0] + 1)
    )
    assert state.get("joey", "x").value == "now"  # type: ignore[union-attr]
    assert kenny.rollback_namespace("kenny", then) == []


def test_everything_goes_back_and_forth_again(state: StateManager) -> None:
    for author in sorted(AUTHORS):
        state.writer(author).put(author, "x", "then")
    operator = state.writer("operator", person="ann")
    operator.snapshot("then")
    for author in sorted(AUTHORS):
        state.writer(author).put(author, "x", "now")
    now = Revision(state.head()[0])
    assert len(operator.rollback_everything(Named("then"), reason="test")) == len(AUTHORS)
    assert {state.get(author, "x").value for author in AUTHORS} == {"then"}  # type: ignore[union-attr]
    operator.rollback_everything(now)
    assert {state.get(author, "x").value for author in AUTHORS} == {"now"}  # type: ignore[union-attr]
    entry = state.entry("kenny", "x")
    assert entry is not None
    assert (entry.author, entry.person) == ("operator", "ann")


def test_all_rows_of_one_act_have_one_time_so_that_no_moment_sees_half_of_it(state: StateManager) -> None:
    for key in "abc":
        put(state, 1, 2, key=key)
    written = state.writer("kenny").rollback_namespace("kenny", Revision(0))
    assert len({one.ts_ns for one in written}) == 1


@pytest.mark.parametrize("to", [Version(0), Version(9), Revision(99), Revision(-1), Named("nobody")], ids=repr)
def test_a_point_that_is_not_there_is_named(state: StateManager, to: Any) -> None:
    put(state, 1)
    with pytest.raises(UnknownName):
        state.writer("kenny").rollback("kenny", "a", to)
    with pytest.raises(UnknownName):
        state.get("kenny", "a", at=to)
    assert state.version("kenny", "a") == 1


def test_a_snapshots_name_is_given_once_and_cannot_be_taken_for_a_number(state: StateManager) -> None:
    operator = state.writer("operator", person="ann")
    revision = operator.snapshot("before-upgrade", reason="1 to 2")
    (taken,) = state.snapshots()
    assert (taken.name, taken.revision, taken.person, taken.reason) == ("before-upgrade", revision, "ann", "1 to 2")
    with pytest.raises(StateConflict):
        operator.snapshot("before-upgrade")
    for name in ("", "17", "2026-01-01", "Upper", "x" * 65, "a b", "#prune"):
        with pytest.raises(ValueRefused):
            operator.snapshot(name)


def test_what_was_different_at_two_points(state: StateManager) -> None:
    put(state, 1, key="gone")
    put(state, 1, key="kept")
    put(state, 1, key="changed")
    state.writer("operator").snapshot("first")
    state.writer("kenny").delete("kenny", "gone")
    put(state, 2, key="changed")
    put(state, 2, 1, key="kept")
    put(state, 1, key="new")
    changes = state.diff(Named("first"), Revision(state.head()[0]))
    assert [(one.key, one.before and one.before.version, one.after and one.after.version) for one in changes] == [
        ("changed", 1, 2), ("gone", 1, None), ("new", None, 1),
    ]  # fmt: skip
    assert state.diff(Named("first"), Named("first")) == []
    assert state.diff(Named("first"), Revision(state.head()[0]), namespace="joey") == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("17", Revision(17)), ("before-upgrade", Named("before-upgrade")), ("1970-01-02", Moment(DAY_NS)),
     ("1970-01-01T00:00:01.5Z", Moment(1_500_000_000)), ("1970-01-01 02:00+02:00", Moment(0)),
     ("2026-11-21T15:26:46.123456789Z", Moment(1_795_274_806_123_456_789))],
)  # fmt: skip
def test_what_a_person_writes_for_a_point(text: str, wanted: Any) -> None:
    assert point(text) == wanted
    if isinstance(wanted, Moment):
        assert moment_ns(in_words(wanted.ts_ns)) == wanted.ts_ns


@pytest.mark.parametrize("text", ["", "2026-13-01", "2026-01-01T25:00", "12:00", "-1", "1e9", "UPPER", "9" * 40, "²"])
def test_what_is_no_point(text: str) -> None:
    with pytest.raises(ValueRefused):
        point(text)


# -- rights ----------------------------------------------------------------------------------------------------------------


def test_the_authors_are_the_agents_the_house_and_the_operator() -> None:
    folders = {one.name for one in (TOP / "agents").iterdir() if (one / "decide.py").is_file()}
    assert folders == AGENTS
    assert {"house", "operator"} == AUTHORS - AGENTS


@pytest.mark.parametrize("author", sorted(AUTHORS))
def test_an_author_writes_in_its_own_namespace_and_in_no_other(state: StateManager, author: str) -> None:
    """The earlier system ignored who asked."""
    writer = state.writer(author)
    for namespace in sorted(AUTHORS | {"other", "", "#snapshot", "#prune"}):
        if namespace == author:
            writer.put(namespace, "x", 1)
            continue
        head = state.head()
        for act in (lambda n=namespace: writer.put(n, "x", 1), lambda n=namespace: writer.delete(n, "x")):
            with pytest.raises(CapabilityExceeded):
                act()
        assert state.head() == head


def test_only_the_operator_turns_others_back(state: StateManager) -> None:
    put(state, 1, 2)
    for author in sorted(AUTHORS - {"operator", "kenny"}):
        with pytest.raises(CapabilityExceeded):
            state.writer(author).rollback("kenny", "a", Version(1))
        with pytest.raises(CapabilityExceeded):
            state.writer(author).rollback_everything(Revision(0))
    state.writer("operator").rollback("kenny", "a", Version(1))
    assert value_of(state) == 1


def test_agents_neither_prune_nor_name(state: StateManager) -> None:
    for act in (lambda w: w.prune(), lambda w: w.snapshot("x")):
        with pytest.raises(CapabilityExceeded):
            act(state.writer("kenny"))


def test_nobody_else_writes(state: StateManager) -> None:
    with pytest.raises(UnknownName):
        state.writer("mallory")


# -- what is not stored ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", "x" * 201, "a\nb", "ann@example.org", "4111111111111111"])
def test_the_name_of_a_key_is_a_name_and_nobodys(state: StateManager, key: str) -> None:
    with pytest.raises(ValueRefused):
        put(state, 1, key=key)
    assert state.head()[0] == 0


@pytest.mark.parametrize(
    ("key", "value"),
    [("a", "write to ann@example.org"), ("a", {"x": [("password=hunter2",)]}), ("a", {"ann@example.org": 1}),
     ("a", b"password=hunter2"), ("api_key", "abc"), ("a", {"token": "abc"}), ("a", {"x": {"secret": 7}}),
     ("a", "x" * 100_000 + "@example.org")],
    ids=lambda one: repr(one)[:30],
)  # fmt: skip
def test_what_is_private_or_opens_something_is_not_stored_in_clear(state: StateManager, key: str, value: Any) -> None:
    with pytest.raises(ValueRefused) as refused:
        put(state, value, key=key)
    assert "--secret" in str(refused.value)
    assert state.head()[0] == 0


def test_what_is_private_in_a_reason_is_taken_out(state: StateManager) -> None:
    state.writer("kenny").put("kenny", "a", 1, reason="ann@example.org asked")
    assert state.history("kenny", "a")[0].reason == "[private] asked"


def test_times_and_counts_are_numbers_and_nobodys(state: StateManager) -> None:
    put(state, {"ts_ns": 1_763_600_000_000_000_000, "digest": b"\x12" * 32, "text": "3 of 4 kept at 187.235"})


def test_a_full_store_says_so_and_takes_values_again_after_a_prune(path: Path) -> None:
    with StateManager.open(path, bytes_max=300_000) as state:
        with pytest.raises(StateFull):
            put(state, *([n, b"x" * 20_000] for n in range(100)))
        versions = state.version("kenny", "a")
        assert 5 < versions < 15
        assert state.writer("operator").prune(keep_versions=1) == versions - 1
        put(state, b"x" * 20_000)
        assert state.version("kenny", "a") == versions + 1
        assert state.verify().ok


# -- retention -------------------------------------------------------------------------------------------------------------


def test_a_prune_drops_old_values_and_keeps_rows_numbers_and_chain(state: StateManager) -> None:
    put(state, *(f"value {n}" for n in range(1, 11)))
    assert state.writer("operator").prune(keep_versions=3) == 7
    assert [one.is_pruned for one in state.history("kenny", "a")] == [False] * 3 + [True] * 7
    assert value_of(state, at=Version(8)) == "value 8"
    with pytest.raises(ValuePruned):
        value_of(state, at=Version(7))
    with pytest.raises(ValuePruned):
        state.writer("kenny").rollback("kenny", "a", Version(7))
    put(state, "next")
    assert state.version("kenny", "a") == 11


def test_a_prune_keeps_what_something_points_at_and_what_a_snapshot_names(state: StateManager) -> None:
    put(state, 1, 2, 3)
    state.writer("operator").snapshot("three")
    put(state, 4, 5)
    state.writer("kenny").rollback("kenny", "a", Version(1))
    assert state.writer("operator").prune(keep_versions=1) == 3
    pruned = [one.version for one in state.history("kenny", "a") if one.is_pruned]
    assert pruned == [5, 4, 2]
    assert value_of(state) == 1
    assert value_of(state, at=Named("three")) == 3


def test_a_prune_keeps_whatever_stood_in_the_kept_days(state: StateManager, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written before and still stood when they began is part of them."""
    now = 100 * DAY_NS
    monkeypatch.setattr(mutable_core.state.versions, "wall_ns", lambda: now)
    for day in (100, 101, 110, 111):
        now = day * DAY_NS
        put(state, day)
    now = 112 * DAY_NS
    assert state.writer("operator").prune(keep_versions=1, keep_days=10) == 1
    assert value_of(state, at=Moment(102 * DAY_NS)) == 101
    with pytest.raises(ValuePruned):
        value_of(state, at=Moment(100 * DAY_NS))


def test_what_was_dropped_is_gone_from_the_file(path: Path) -> None:
    with StateManager.open(path) as state:
        put(state, "a phrase that nobody else would say " * 500, "x")
        state.writer("operator").prune(keep_versions=1)
    assert b"nobody else would say" not in path.read_bytes()
    assert verify(path).ok


def test_a_prune_does_not_take_what_stands_for_old_where_the_heads_are_damaged(path: Path) -> None:
    with StateManager.open(path) as state:
        put(state, 1, 2)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("DELETE FROM heads")
    connection.close()
    with StateManager.open(path) as state:
        assert state.writer("operator").prune(keep_versions=1) == 1
        state.rebuild_heads()
        assert value_of(state) == 2
        assert state.verify().ok


def test_the_room_of_what_was_dropped_goes_back_to_the_disk(path: Path) -> None:
    with StateManager.open(path) as state:
        put(state, *(bytes([n]) * 50_000 for n in range(10)))
        state.writer("operator").prune(keep_versions=1)
        state.vacuum()
        head = state.head()
        assert path.stat().st_size < 150_000
    with StateManager.open(path) as state:
        assert state.head() == head
    assert verify(path).ok


def test_a_prune_keeps_at_least_the_newest(state: StateManager) -> None:
    put(state, 1)
    for keep in ({"keep_versions": 0}, {"keep_days": -1}):
        with pytest.raises(ValueRefused):
            state.writer("operator").prune(**keep)  # type: ignore[arg-type]


# -- the file --------------------------------------------------------------------------------------------------------------


def test_a_closed_store_is_one_file_that_nobody_else_can_read(path: Path) -> None:
    with StateManager.open(path) as state:
        put(state, 1)
    assert [one.name for one in path.parent.iterdir()] == ["state.sqlite"]
    assert path.stat().st_mode & 0o077 == 0


def test_a_write_is_on_the_disk_when_it_returns(state: StateManager) -> None:
    """A kill cannot show it, for the kernel outlives the process; so SQLite is asked: WAL, and FULL (2)."""
    assert state._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert state._connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_store_of_a_newer_format_is_refused_and_not_touched(path: Path) -> None:
    with StateManager.open(path) as state:
        put(state, 1)
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {schema.FORMAT + 1}")
    connection.close()
    before, modified = path.read_bytes(), path.stat().st_mtime_ns
    for act in (StateManager.open, StateManager.open_read_only):
        with pytest.raises(StateBroken) as refused:
            act(path)
        assert f"says {schema.FORMAT + 1}" in str(refused.value)
    assert not verify(path).ok
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (before, modified)
    assert list(path.parent.iterdir()) == [path]


def test_a_store_that_is_migrated_under_our_hands_takes_nothing_more_from_us(path: Path) -> None:
    with StateManager.open(path) as state:
        put(state, 1)
        other = sqlite3.connect(path)
        other.execute(f"PRAGMA user_version = {schema.FORMAT + 1}")
        other.close()
        with pytest.raises(StateBroken):
            put(state, 2)
        assert state.version("kenny", "a") == 1


@pytest.mark.parametrize("data", [b"", b"no database at all, but a text\n" * 200], ids=["empty", "text"])
def test_a_file_that_is_no_store_is_refused_and_not_touched(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with pytest.raises(ArkError):
        StateManager.open(path)
    assert path.read_bytes() == data


def test_a_writer_that_another_one_keeps_waiting_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "PATIENCE_MS", 50)
    with StateManager.open(path) as state:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateBusy):
            put(state, 1)
        other.execute("ROLLBACK")
        other.close()
        put(state, 1)


def test_a_reader_sees_what_another_process_committed_and_writes_nothing(path: Path) -> None:
    with StateManager.open(path) as state, StateManager.open_read_only(path) as reader:
        put(state, "seen")
        assert value_of(reader) == "seen"
        with pytest.raises(ArkError):
            put(reader, "no")
        assert value_of(state) == "seen"


def test_an_act_that_fails_half_way_leaves_nothing(state: StateManager) -> None:
    """One of the values of a rollback of everything is pruned: no key goes back."""
    put(state, 1, 2, key="a")
    put(state, 1, 2, key="b")
    then = Revision(3)
    state.writer("operator").prune(keep_versions=2)
    put(state, 3, key="b")
    state.writer("operator").prune(keep_versions=1)
    head = state.head()
    with pytest.raises(ValuePruned):
        state.writer("operator").rollback_everything(then)
    assert state.head() == head


# -- a read is checked -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    ["value = x'c0'", "author = 'joey'", "ts_ns = ts_ns + 1", "reason = 'another'", "digest = zeroblob(32)", "version = 7",
     "points_at = 1", "hash = zeroblob(32)"],
)  # fmt: skip
def test_a_row_that_was_altered_is_found_when_it_is_read_and_by_verify(path: Path, change: str) -> None:
    with StateManager.open(path) as state:
        put(state, 1, 2, 3)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"UPDATE versions SET {change} WHERE revision = 2")
    connection.close()
    report = verify(path)
    assert (report.ok, report.first_bad_revision) == (False, 2)
    with StateManager.open(path) as state, pytest.raises((StateBroken, UnknownName)):
        value_of(state, at=Version(2))


@pytest.mark.parametrize(
    ("statement", "row"),
    [("DELETE FROM versions WHERE revision = 2", 2), ("DELETE FROM versions WHERE revision = 4", None),
     ("DELETE FROM heads WHERE key = 'a'", None), ("UPDATE heads SET version = 2, revision = 2 WHERE key = 'a'", None),
     ("UPDATE versions SET value = NULL WHERE revision = 1", 1), ("DROP INDEX by_version", None),
     ("CREATE TRIGGER t AFTER INSERT ON versions BEGIN SELECT 1; END", None), ("CREATE TABLE other (x)", None)],
)  # fmt: skip
def test_what_was_taken_away_or_planted_is_found(path: Path, statement: str, row: int | None) -> None:
    with StateManager.open(path) as state:
        put(state, 1, 2, 3)
        put(state, 1, key="b")
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(statement)
    connection.close()
    report = verify(path)
    assert (report.ok, report.first_bad_revision) == (False, row), report.finding
    assert "\n" not in report.finding


@pytest.mark.parametrize("column", ["namespace", "version", "is_secret", "digest", "ts_ns", "hash", "value"])
@pytest.mark.parametrize("value", [None, "text", 9, 2.5, b"", b"\xff"], ids=repr)
def test_a_column_of_another_type_is_found_and_nothing_raises(path: Path, column: str, value: Any) -> None:
    """One bit in the header of a record says so; the tables say STRICT, and SQLite does not look when it reads."""
    with StateManager.open(path) as state:
        put(state, 1, 2, 3)
    connection = sqlite3.connect(path, isolation_level=None)
    (sql,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'versions'").fetchone()
    connection.execute("PRAGMA writable_schema = ON")
    loose = f"(revision INTEGER PRIMARY KEY, {', '.join((*Row._fields[1:], 'value'))})"
    connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'versions'", (f"CREATE TABLE versions {loose}",))
    connection.close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"UPDATE versions SET {column} = ? WHERE revision = 2", (value,))
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'versions'", (sql,))
    connection.close()
    report = verify(path)
    assert not report.ok
    assert "\n" not in report.finding


def test_a_row_that_was_altered_with_its_hash_is_found_by_the_row_behind_it(path: Path) -> None:
    with StateManager.open(path) as state:
        put(state, 1, 2, 3)
    connection = sqlite3.connect(path, isolation_level=None)
    row = Versions(connection).at_revision(2)._replace(reason="another")
    row = row._replace(hash=row.linked(Versions(connection).at_revision(1).hash))
    connection.execute("UPDATE versions SET reason = ?, hash = ? WHERE revision = 2", (row.reason, row.hash))
    connection.close()
    report = verify(path)
    assert (report.ok, report.first_bad_revision) == (False, 3)


def test_a_row_that_an_author_had_no_right_to_is_found_though_its_hash_follows(path: Path) -> None:
    """Whoever writes to the file past us can make a chain, but not a right."""
    with StateManager.open(path) as state:
        put(state, 1)
    connection = sqlite3.connect(path, isolation_level=None)
    Versions(connection).append(Draft("kenny", "a", "put", "joey", "", ""), b"\x01", 1 << 62)
    connection.close()
    report = verify(path)
    assert (report.ok, report.first_bad_revision) == (False, 2)


def test_where_the_keys_stand_is_rebuilt_from_the_versions(path: Path) -> None:
    with StateManager.open(path) as state:
        put(state, 1, 2)
        put(state, 1, key="b")
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("DELETE FROM heads")
    connection.close()
    assert not verify(path).ok
    with StateManager.open(path) as state:
        state.rebuild_heads()
        assert value_of(state) == 2
    assert verify(path).ok
