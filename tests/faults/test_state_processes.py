"""Versioned state between real processes: no lost update, no number twice, and a kill loses nothing acknowledged."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from pathlib import Path
from random import Random

import pytest

from mutable_core.state.errors import StateConflict
from mutable_core.state.points import Revision, Version
from mutable_core.state.verify import verify
from mutable_core.state_manager import StateManager

pytestmark = pytest.mark.faults

FORK = multiprocessing.get_context("fork")
PROCESSES = 4


def begun(act: Callable[..., object], *arguments: object) -> ForkProcess:
    process = FORK.Process(target=act, args=arguments, daemon=True)
    process.start()
    return process


def ended_well(processes: list[ForkProcess]) -> None:
    for process in processes:
        process.join(100)
    assert [process.exitcode for process in processes] == [0] * len(processes)


# -- several writers -------------------------------------------------------------------------------------------------------


def count_up(path: Path, times: int) -> None:
    """Each time one more than was read, and again where another was faster."""
    with StateManager.open(path) as state:
        kenny = state.writer("kenny")
        for _ in range(times):
            while True:
                found = state.get("kenny", "count")
                try:
                    kenny.put("kenny", "count", found.value + 1 if found else 1, expect=found.version if found else 0)
                    break
                except StateConflict:
                    continue


def counted(path: Path, times: int) -> None:
    ended_well([begun(count_up, path, times) for _ in range(PROCESSES)])
    total = PROCESSES * times
    with StateManager.open(path) as state:
        found = state.get("kenny", "count")
        assert found is not None
        assert (found.value, found.version) == (total, total)
        assert [one.version for one in state.history("kenny", "count")] == list(range(total, 0, -1))
        assert state.get("kenny", "count", at=Version(total // 2)).value == total // 2  # type: ignore[union-attr]
    report = verify(path)
    assert (report.ok, report.revisions) == (True, total), report.finding


def test_four_processes_count_to_a_thousand_together(tmp_path: Path) -> None:
    """4 × 100 ended at 102 in the earlier system. All four make the store, too: only one of them does."""
    counted(tmp_path / "state.sqlite", 250)


@pytest.mark.nightly
def test_four_processes_count_to_four_thousand_together(tmp_path: Path) -> None:
    counted(tmp_path / "state.sqlite", 1_000)


def turn_back(path: Path, times: int) -> None:
    with StateManager.open(path) as state:
        for _ in range(times):
            state.writer("operator").rollback_everything(Revision(0))


def test_everything_goes_back_while_others_write(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    with StateManager.open(path) as state:
        state.writer("joey").put("joey", "x", 1)

    def write(author: str) -> None:
        with StateManager.open(path) as state:
            for number in range(60):
                state.writer(author).put(author, f"k{number % 3}", number)

    ended_well([begun(write, "kenny"), begun(write, "kyle"), begun(turn_back, path, 20)])
    report = verify(path)
    assert report.ok, report.finding


# -- kills -----------------------------------------------------------------------------------------------------------------


def write_and_tell(path: Path, told: Connection) -> None:
    with StateManager.open(path) as state:
        kenny = state.writer("kenny")
        while True:
            told.send(kenny.put("kenny", "a", {"n": state.version("kenny", "a") + 1, "fill": b"x" * 3_000}))


def acknowledged(told: Connection, *, at_least: int, process: ForkProcess) -> int:
    """The last version that the writer told, before and after it was killed."""
    last = 0
    for _ in range(at_least):
        assert told.poll(60)
        last = told.recv()
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(30)
    while told.poll(0):
        try:
            last = told.recv()
        except (EOFError, OSError):
            break
    return last


def killed(path: Path, *, rounds: int, seed: int) -> None:
    chance = Random(seed)
    for _ in range(rounds):
        ours, theirs = FORK.Pipe(duplex=False)
        process = begun(write_and_tell, path, theirs)
        theirs.close()
        last = acknowledged(ours, at_least=chance.randrange(1, 40), process=process)
        ours.close()
        with StateManager.open(path) as state:
            version = state.version("kenny", "a")
            assert version in {last, last + 1}  # it may have been killed between the disk and the telling
            found = state.get("kenny", "a")
            assert found is not None
            assert found.value["n"] == version
        report = verify(path)
        assert (report.ok, report.revisions) == (True, version), report.finding


def test_a_killed_writer_loses_nothing_that_it_told(tmp_path: Path) -> None:
    killed(tmp_path / "state.sqlite", rounds=20, seed=1)


@pytest.mark.nightly
def test_a_writer_killed_hundreds_of_times_loses_nothing_that_it_told(tmp_path: Path) -> None:
    killed(tmp_path / "state.sqlite", rounds=300, seed=2)


def fill_up(state: StateManager) -> None:
    for number in range(1, 100):
        state.writer("kenny").put("kenny", "a", [number, b"x" * 10_000])


def test_a_disk_that_is_full_refuses_and_the_store_stays_as_it_was(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk; what was acknowledged is there, and no more is taken."""
    import resource

    path = tmp_path / "state.sqlite"

    def fill() -> None:
        from mutable_core.errors import DiskUnavailable

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        with StateManager.open(path) as state:
            state.writer("kenny").put("kenny", "a", 0)
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
            for _ in range(2):
                with pytest.raises(DiskUnavailable):
                    fill_up(state)

    ended_well([begun(fill)])
    with StateManager.open(path) as state:
        found = state.get("kenny", "a")
        assert found is not None
        assert 3 < found.version < 30
        assert found.value[0] == found.version - 1
        state.writer("kenny").put("kenny", "a", "room again")
    assert verify(path).ok


# -- power, and damage -----------------------------------------------------------------------------------------------------


def log_of_writes(path: Path) -> tuple[bytes, bytes, list[tuple[int, str]]]:
    """A store as a power failure finds it: the file, its WAL, and the head after each acknowledged write."""
    with StateManager.open(path) as state:
        kenny, heads = state.writer("kenny"), [state.head()]
        state._connection.execute("PRAGMA wal_autocheckpoint = 0")
        for number in range(3):
            kenny.put("kenny", f"k{number % 2}", [number, "x" * 200 * number])
            heads.append(state.head())
        kenny.rollback("kenny", "k0", Version(1))
        heads.append(state.head())
        state.writer("operator").snapshot("s")
        heads.append(state.head())
        wal = path.with_name(path.name + "-wal").read_bytes()
        return path.read_bytes(), wal, [(revision, head.hex()) for revision, head in heads]


def test_a_wal_cut_anywhere_leaves_a_prefix_of_what_was_acknowledged(tmp_path: Path) -> None:
    data, wal, heads = log_of_writes(tmp_path / "state.sqlite")
    seen = set()
    for cut in (*range(0, len(wal), 512), len(wal)):
        copy = tmp_path / f"cut{cut}" / "state.sqlite"
        copy.parent.mkdir()
        copy.write_bytes(data)
        copy.with_name("state.sqlite-wal").write_bytes(wal[:cut])
        with StateManager.open(copy) as state:
            report = state.verify()
            assert report.ok, (cut, report.finding)
            assert (report.revisions, report.head) in heads, cut
            seen.add(report.revisions)
            assert state.writer("kenny").put("kenny", "after", cut) == 1
    assert seen == {revision for revision, _ in heads}


def contents(path: Path) -> list[object] | None:
    """All that can be read, past us; None where SQLite cannot."""
    connection = sqlite3.connect(path)
    try:
        return [
            connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in ("versions", "heads")
        ]
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return None
    finally:
        connection.close()


def flipped(path: Path, *, count: int, seed: int) -> tuple[int, int]:
    """One bit in each of `count` copies: how many were found, and how many changed nothing that can be read."""
    log_of_writes(path)
    with StateManager.open(path) as state:
        for number in range(60):
            state.writer("joey").put("joey", f"k{number % 7}", {"n": number, "fill": "x" * number}, reason="a test")
        state.writer("operator").prune(keep_versions=5)
    data, chance, found = path.read_bytes(), Random(seed), 0
    whole = contents(path)
    copy = path.with_name("copy.sqlite")
    for _ in range(count):
        at, bit = chance.randrange(len(data)), chance.randrange(8)
        copy.write_bytes(data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])
        report = verify(copy)
        assert "\n" not in report.finding
        if report.ok:
            assert contents(copy) == whole, f"byte {at} bit {bit}"
        found += not report.ok
        for side in ("-wal", "-shm"):
            copy.with_name(copy.name + side).unlink(missing_ok=True)
    return found, count - found


def test_a_flipped_bit_is_found_or_changes_nothing_that_is_read(tmp_path: Path) -> None:
    found, harmless = flipped(tmp_path / "state.sqlite", count=300, seed=3)
    assert found > 80
    assert harmless > 0


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(4, 9))
def test_a_flipped_bit_is_found_or_changes_nothing_that_is_read_often(tmp_path: Path, seed: int) -> None:
    flipped(tmp_path / "state.sqlite", count=2_000, seed=seed)
