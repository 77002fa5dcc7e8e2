"""What `/metrics` says of disk, backups, drills and signatures: what is known, and nothing where nobody knows."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.kyle.sources.register import open_source
from deployment.backups.schedule import FIRST_NS, Schedule, record
from deployment.monitor import Beside, Monitor
from deployment.topology.house import House, genesis
from deployment.topology.state_dir import BACKUPS
from monitoring.catalogue import BY_NAME
from mutable_core.clock import HOUR_NS, MINUTE_NS, SECOND_NS
from mutable_core.journal import Anchor, Journal
from tests.deployment.backup_makers import a_state, settings_for, signer_of
from watchdog.disk import DiskWatch, Space


class Clock:
    def __init__(self) -> None:
        self.ns = 1_763_600_000 * SECOND_NS

    def __call__(self) -> int:
        return self.ns


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_state(tmp_path_factory.mktemp("left") / "state", rows=100)


@pytest.fixture
def state(left: Path, tmp_path: Path) -> Path:
    shutil.copytree(left, tmp_path / "state")
    return tmp_path / "state"


@pytest.fixture
def house(state: Path, tmp_path: Path) -> Iterator[House]:
    source = open_source("synthetic:100", 7)
    journal = Journal.open(tmp_path / "journal.sqlite", signer_of(state))
    one = House(tmp_path, source, genesis(settings_for(state), source, MINUTE_NS), journal=journal)
    one.start()
    yield one
    one.close()


def value(monitor: Monitor, name: str) -> float | None:
    samples = monitor.readings.take(BY_NAME[name])
    assert samples is not None, f"{name} failed"
    return samples.get(())


BESIDE = (
    "ark_disk_free_bytes", "ark_disk_faults", "ark_anchor_failures_total", "ark_backup_age_seconds",
    "ark_backup_last_success_timestamp_seconds", "ark_backup_failures_total", "ark_restore_drill_age_seconds",
    "ark_restore_drill_ok",
)  # fmt: skip


def test_what_does_not_run_beside_the_house_has_no_sample(house: House) -> None:
    monitor = Monitor(house)
    assert [value(monitor, name) for name in BESIDE] == [None] * len(BESIDE)
    assert "disk" not in {part.name for part in monitor.health.components()}


def test_the_age_of_a_backup_is_unknown_before_there_is_one_and_never_young(house: House, state: Path) -> None:
    """I10: an alert on `absent` or on the age sees both."""
    clock = Clock()
    backups = Schedule(state, signer_of(state), settings_for(state), wall=clock, monotonic=clock)
    monitor = Monitor(house, Beside(backups=backups))
    backups.round()
    assert value(monitor, "ark_backup_age_seconds") is None
    assert value(monitor, "ark_backup_last_success_timestamp_seconds") is None
    clock.ns += FIRST_NS
    backups.round()
    taken_s = clock.ns / SECOND_NS
    clock.ns += HOUR_NS // 2
    assert value(monitor, "ark_backup_age_seconds") == 1_800
    assert value(monitor, "ark_backup_last_success_timestamp_seconds") == taken_s
    assert value(monitor, "ark_backup_failures_total") == 0
    shutil.rmtree(state / BACKUPS)
    backups.look()
    assert value(monitor, "ark_backup_age_seconds") is None


def test_failures_are_counted(house: House, state: Path) -> None:
    clock = Clock()
    backups = Schedule(state, signer_of(state), settings_for(state, disk_free_min=2**60), wall=clock, monotonic=clock)
    clock.ns += FIRST_NS
    backups.round()
    assert value(Monitor(house, Beside(backups=backups)), "ark_backup_failures_total") == 1


def test_a_drill_is_told_by_its_age_and_its_outcome(house: House, state: Path) -> None:
    clock = Clock()
    backups = Schedule(state, signer_of(state), settings_for(state), wall=clock, monotonic=clock)
    monitor = Monitor(house, Beside(backups=backups))
    assert value(monitor, "ark_restore_drill_ok") is None
    for ok in (True, False):
        record(state, "drill", {"at_ns": clock.ns, "ok": ok})
        clock.ns += HOUR_NS
        backups.look()
        assert value(monitor, "ark_restore_drill_ok") == ok
        assert value(monitor, "ark_restore_drill_age_seconds") == 3_600


def test_a_disk_that_is_short_makes_the_house_unready_and_says_why(house: House) -> None:
    space = [Space(1_000, False)]
    disk = DiskWatch(Path(), free_min=100, space=lambda _: space[0])
    disk.tell(house.lease.suspend)
    monitor = Monitor(house, Beside(disk=disk))
    disk.look()
    assert (value(monitor, "ark_disk_free_bytes"), value(monitor, "ark_disk_faults")) == (1_000, 0)
    parts = {part.name: part for part in monitor.health.components()}
    assert parts["disk"].ok
    assert parts["lease"].ok
    space[0] = Space(99, False)
    disk.look()
    assert (value(monitor, "ark_disk_free_bytes"), value(monitor, "ark_disk_faults")) == (99, 1)
    parts = {part.name: part for part in monitor.health.components()}
    assert not parts["disk"].ok
    assert not parts["lease"].ok
    assert "99 bytes" in parts["lease"].detail


def test_the_journal_tells_its_size_and_when_it_was_signed(house: House) -> None:
    monitor = Monitor(house)
    assert value(monitor, "ark_checkpoint_age_seconds") is None  # nothing is signed yet
    house.journal.commit()
    house.journal.checkpoint()
    age_s = value(monitor, "ark_checkpoint_age_seconds")
    assert age_s is not None
    assert 0 <= age_s < 3_600
    size = value(monitor, "ark_journal_bytes")
    assert size is not None
    assert size > house.journal.path.stat().st_size > 0  # what waits in the log beside it counts too


def test_a_failing_anchor_is_counted(house: House) -> None:
    anchor = Anchor(Path("anchor.log"))
    anchor.failures = 2
    assert value(Monitor(house, Beside(anchor=anchor)), "ark_anchor_failures_total") == 2


def test_no_order_is_unknown_at_a_venue_that_answers(house: House) -> None:
    assert value(Monitor(house), "ark_orders_unknown") == 0
