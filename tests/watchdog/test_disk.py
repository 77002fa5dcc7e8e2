"""The watch on the disk: what it finds stands until the process is started again, and ends permission to open."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mutable_core.errors import DiskUnavailable
from mutable_core.messages import Inspection
from watchdog.disk import LATE, DiskWatch, Space, space_of
from watchdog.lease import TERM_NS, LeaseKeeper

PLENTY, SHORT, CLOSED = Space(1_000, False), Space(99, False), Space(1_000, True)


class Disk:
    """A disk whose space is what the test says; `error` is what the kernel says instead."""

    def __init__(self) -> None:
        self.space = PLENTY
        self.error: OSError | None = None
        self.now_ns = 1

    def __call__(self, _folder: Path) -> Space:
        if self.error is not None:
            raise self.error
        return self.space

    def watch(self, every_ns: int = 10**9) -> DiskWatch:
        return DiskWatch(Path("state"), free_min=100, space=self, every_ns=every_ns, monotonic=lambda: self.now_ns)


@pytest.fixture
def disk() -> Disk:
    return Disk()


def test_the_space_is_what_the_kernel_says(tmp_path: Path) -> None:
    found = space_of(tmp_path)
    assert found.free_bytes > 0
    assert not found.is_read_only
    with pytest.raises(OSError, match="none"):
        space_of(tmp_path / "none")


def test_enough_is_well_and_exactly_enough_too(disk: Disk) -> None:
    watch = disk.watch()
    for free in (1_000, 100):
        disk.space = Space(free, False)
        watch.look()
        assert (watch.fault, watch.free_bytes, watch.check()[0]) == ("", free, True)


@pytest.mark.parametrize("space", [SHORT, CLOSED])
def test_a_disk_that_is_short_or_closed_is_told_once_and_stays_a_fault(disk: Disk, space: Space) -> None:
    """Space that came back by itself may go the same way: a person says that it will not."""
    watch, told = disk.watch(), list[str]()
    watch.tell(told.append)
    watch.look()
    disk.space = space
    watch.look()
    watch.look()
    disk.space = PLENTY
    watch.look()
    assert told == [watch.fault] != [""]
    assert watch.check()[0] is False
    assert watch.free_bytes == PLENTY.free_bytes


def test_a_disk_that_does_not_answer_is_a_fault_and_its_space_unknown(disk: Disk) -> None:
    """I10: no answer is not good news."""
    watch = disk.watch()
    watch.look()
    disk.error = OSError(5, "Input/output error")
    watch.look()
    assert "Input/output error" in watch.fault
    assert watch.free_bytes is None


def test_who_asks_late_is_told_what_was_found_before(disk: Disk) -> None:
    watch, told = disk.watch(), list[str]()
    disk.space = SHORT
    watch.look()
    watch.tell(told.append)
    assert told == [watch.fault]


def test_a_watch_that_does_not_look_any_more_is_not_well(disk: Disk) -> None:
    watch = disk.watch()
    assert watch.check()[0] is False  # never looked
    watch.look()
    assert watch.check()[0] is True
    disk.now_ns += LATE * 10**9 + 1
    assert watch.check()[0] is False


@pytest.mark.parametrize("space", [SHORT, CLOSED])
def test_nothing_starts_on_a_disk_that_is_not_well(disk: Disk, space: Space) -> None:
    disk.space = space
    with pytest.raises(DiskUnavailable) as raised, disk.watch():
        pass
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 1


def test_no_limit_is_no_limit(disk: Disk) -> None:
    disk.space = Space(0, False)
    watch = DiskWatch(Path("state"), free_min=0, space=disk)
    watch.look()
    assert watch.fault == ""


def test_it_goes_on_looking_by_itself_until_the_block_ends(disk: Disk) -> None:
    told = threading.Event()
    with disk.watch(every_ns=1_000_000) as watch:
        watch.tell(lambda _: told.set())
        disk.space = SHORT
        assert told.wait(30)
    assert not [thread for thread in threading.enumerate() if thread.name == "disk-watch"]


def a_lease(clock: Callable[[], int]) -> LeaseKeeper:
    sound = Inspection("", 1, 2, (), 0, venue_is_up=True, kill_path_is_up=True)
    return LeaseKeeper(lambda: sound, clock)


def test_a_suspended_lease_opens_nothing_and_is_granted_no_more(disk: Disk) -> None:
    """I9: permission fades; the log holds no more grants, so the rules refuse what would open."""
    lease = a_lease(lambda: disk.now_ns)
    assert lease.due(0) is not None
    assert lease.is_fresh()
    watch = disk.watch()
    watch.tell(lease.suspend)
    disk.space = SHORT
    watch.look()
    assert not lease.is_fresh()
    assert lease.remaining_ns() == 0
    assert lease.due(10 * TERM_NS) is None
    assert lease.ended == watch.fault


def test_a_suspension_ends_with_its_process_and_a_revocation_does_not(disk: Disk) -> None:
    lease = a_lease(lambda: disk.now_ns)
    lease.suspend("the disk")
    lease.revoke("books_differ")
    again = a_lease(lambda: disk.now_ns)
    again.resume(lease.granted_ns, lease.revoked)
    assert again.ended == "books_differ"
