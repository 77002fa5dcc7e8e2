"""The boot report: each start leaves one, signed, of what was found, adopted and never sent; no run's head depends on it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from deployment.run import Options, Ran, run
from deployment.topology.boot_report import BootReport, boot_report, in_a_line, is_signed, report_in, stored
from deployment.topology.house import House
from deployment.topology.snapshots import Found
from mutable_core.journal import Signer, verify
from mutable_core.settings import settings_from
from mutable_core.state_manager import StateManager
from tests.deployment.conftest import Asked
from tests.deployment.handmade import HandmadeSource, a_house, copied, head_of
from tests.faults.processes import LOADED, bars_file


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bars_file(tmp_path_factory.mktemp("bars") / "bars.csv", days=20, symbols=2)


def ran_on(state: Path, bars: Path, **env: str) -> Ran:
    options = Options(source=f"file:{bars}", until_end=True, serve=False, quiet=True)
    return run(settings_from(LOADED | env | {"ARK_STATE_DIR": str(state)}), options)


def reports(state: Path) -> list[BootReport]:
    """All of them, oldest first; each must be signed."""
    keys = (Signer.open(state / "keys").public,)
    with StateManager.open_read_only(state / "state.sqlite") as memory:
        kept = [memory.get("house", "boot", at=entry_point(entry.version)) for entry in memory.history("house", "boot")]
    found = sorted([one for one in kept if one is not None], key=lambda one: one.version)
    assert all(is_signed(one.value, keys) for one in found)
    return [report for one in found if (report := report_in(one.value)) is not None]


def entry_point(version: int) -> Any:
    from mutable_core.state_manager import Version

    return Version(version)


def test_each_start_leaves_a_report(tmp_path: Path, bars: Path) -> None:
    first = ran_on(tmp_path, bars, ARK_SNAPSHOT_ROWS="0")
    ran_on(tmp_path, bars, ARK_SNAPSHOT_ROWS="0")
    ran_on(tmp_path, bars, ARK_SNAPSHOT_ROWS="30")
    ran_on(tmp_path, bars, ARK_SNAPSHOT_ROWS="30")
    one, two, three, four = reports(tmp_path)
    rows = two.rows
    assert (one.rows, one.head, one.snapshot, one.rows_replayed) == (0, "", 0, 0)
    assert rows > 100
    assert (two.head, two.snapshot, two.rows_replayed) == (head_of(first.journal), 0, rows)
    assert (three.head, three.snapshot, three.rows_replayed) == (head_of(first.journal), 0, rows)
    assert (four.head, four.snapshot, four.rows_replayed) == (head_of(first.journal), rows, 0)
    assert {one.run for one in (one, two, three, four)} == {first.journal.parent.name}
    assert not any(one.is_eventful for one in (one, two, three, four))


def test_what_was_not_believed_is_named(tmp_path: Path, bars: Path, asked: Asked) -> None:
    journal = ran_on(tmp_path, bars, ARK_SNAPSHOT_ROWS="30").journal
    head = head_of(journal)
    newest = max(journal.parent.glob("snapshot-*"))
    newest.write_bytes(newest.read_bytes()[:-1] + b"?")
    assert head_of(ran_on(tmp_path, bars, ARK_SNAPSHOT_ROWS="30").journal) == head
    report = reports(tmp_path)[-1]
    assert report.is_eventful
    (why,) = report.passed_over
    told = asked("boots", "--state", str(tmp_path))
    assert told.returncode == 0, told.stderr
    assert why in told.stdout


def test_an_altered_report_is_not_signed(tmp_path: Path, bars: Path, asked: Asked) -> None:
    """Whoever may write the state may write another report; to sign it takes the key."""
    ran_on(tmp_path, bars)
    with StateManager.open(tmp_path / "state.sqlite") as memory:
        kept = memory.get("house", "boot")
        assert kept is not None
        forged = kept.value | {"report": kept.value["report"] | {"pid": 1}}
        memory.writer("house").put("house", "boot", forged)
    told = asked("boots", "--json", "--state", str(tmp_path))
    assert told.returncode == 1
    assert [one["signed"] for one in json.loads(told.stdout)["boots"]] == [True, False]
    assert asked("boots", "--state", str(tmp_path)).returncode == 1


@pytest.mark.parametrize("spoil", [{}, {"signature": ""}, {"signature": "00" * 64}, {"signature": 7}, {"report": None}])
def test_what_is_no_report_is_not_signed(tmp_path: Path, spoil: dict[str, Any]) -> None:
    signer = Signer.open(tmp_path / "keys")
    value = stored(boot_report_of(tmp_path / "run"), signer)
    assert is_signed(value, (signer.public,))
    assert not is_signed(value | spoil if spoil else {}, (signer.public,))
    assert not is_signed(value, ())


def boot_report_of(folder: Path) -> BootReport:
    house = a_house(folder)
    house.start()
    report = boot_report(house, Found(None, ()))
    house.close()
    return report


def test_orders_without_an_answer_are_adopted_by_id_or_sent_only_now(tmp_path: Path) -> None:
    """Crashed after the commit and before the venue, and after the venue and before its answer was written down."""
    adopted, sent = crashed(tmp_path, before_the_venue=False), crashed(tmp_path, before_the_venue=True)
    assert adopted.orders_adopted
    assert not adopted.orders_sent_now
    assert sent.orders_sent_now
    assert not sent.orders_adopted
    assert set(adopted.orders_adopted.values()) <= {"accepted", "filled", "partly_filled", "rejected", "ended"}
    assert adopted.is_eventful
    assert sent.is_eventful
    assert "orders adopted: " in in_a_line(adopted)
    assert "sent only now: " in in_a_line(sent)


def crashed(tmp_path: Path, *, before_the_venue: bool) -> BootReport:
    """What the start after the crash reports. The disk is copied at the moment at which the power would be gone."""
    name = "before" if before_the_venue else "after"
    house = a_house(tmp_path / f"whole-{name}", HandmadeSource(12))
    copies: list[Path] = []
    placed, events = house.venue.place, house.venue.events

    def place(order: Any, ts_ns: int) -> None:
        if before_the_venue and not copies:
            copies.append(copied(tmp_path / f"whole-{name}", tmp_path / name))
        placed(order, ts_ns)

    def said(after: int) -> Any:
        found = events(after)
        if found and not before_the_venue and not copies:
            copies.append(copied(tmp_path / f"whole-{name}", tmp_path / name))
        return found

    house.venue.place, house.venue.events = place, said  # type: ignore[method-assign]
    house.start()
    for moment in house.slices():
        if not copies:
            house.turn(moment)
    house.abandon()
    again = a_house(copies[0], HandmadeSource(12))
    again.start()
    report = boot_report(again, Found(None, ()))
    again.abandon()
    return report


def test_a_house_that_was_never_started_has_found_nothing(tmp_path: Path) -> None:
    house: House = a_house(tmp_path / "run")
    assert house.recovered.adopted == {}
    assert house.unknown == ()
    house.close()


def test_a_command_of_the_operator_keeps_the_checkpoints_elsewhere(tmp_path: Path, bars: Path) -> None:
    """A journal that was cut off together with everything in its state folder is found out by what somebody else kept."""
    elsewhere = tmp_path / "elsewhere.log"
    journal = ran_on(tmp_path / "state", bars, ARK_ANCHOR_COMMAND=f"tee -a {elsewhere}").journal
    whole = verify(journal, anchor=elsewhere)
    assert whole.ok
    assert whole.anchored_rows == whole.rows
    with closing(sqlite3.connect(journal, isolation_level=None)) as connection:
        connection.execute("DELETE FROM segments WHERE last_seq > (SELECT max(last_seq) / 2 FROM segments)")
        connection.execute("DELETE FROM checkpoints WHERE rows > (SELECT max(last_seq) FROM segments)")
        left = connection.execute("SELECT max(last_seq) FROM segments").fetchone()[0]
    (tmp_path / "state" / "anchor.log").unlink()
    assert verify(journal, anchor=elsewhere).first_bad_row == left + 1
