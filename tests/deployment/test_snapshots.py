"""Snapshots: a restart replays only what came after one; a bad one is passed over, and none changes the journal's head."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from deployment.authority.beginning import Beginning, beginning_in
from deployment.authority.folder import LogFolder
from deployment.desk.desk import Desk
from deployment.desk.words import Answer, Denied, Done, Halt, TakeSnapshot, answer_in, encode
from deployment.topology.house import House, genesis, run_key
from deployment.topology.snapshots import Found, Snapshots
from deployment.topology.state_dir import JOURNAL
from mutable_core.clock import SECOND_NS
from mutable_core.errors import JournalBroken
from mutable_core.freezing import NotFrozen, freeze, thaw
from mutable_core.journal import Journal, Signer, verify
from mutable_core.messages import Approved, DiscrepancyFound, SnapshotTaken
from tests.deployment.handmade import HandmadeSource, a_house, closed, envelopes, finished, head_of, run, trading
from tests.makers import an_envelope

SLICES = 24
EVERY = 40


def a_source() -> HandmadeSource:
    return HandmadeSource(SLICES)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    run(folder, a_source())
    return folder


def places(folder: Path, *, every: int = EVERY, key: Path | None = None, **changes: Any) -> Snapshots:
    """Where the snapshots of the small market's run go; the key lies beside the folder."""
    started = genesis(trading(), a_source(), SECOND_NS)
    of = {"build": started.build, "run": run_key(started)} | changes
    return Snapshots(folder, Signer.open(key or folder.parent / "keys"), every=every, **of)


def found(folder: Path, **given: Any) -> Found:
    return places(folder, **given).find(folder / JOURNAL)


def kept_house(folder: Path, *, every: int = EVERY, strategies: str = "alternating") -> House:
    """A house as `ark run` puts it together: from the newest snapshot that can be believed."""
    folder.mkdir(exist_ok=True)
    source, journal = a_source(), Journal.open(folder / JOURNAL)
    started = genesis(trading(ARK_STRATEGIES=strategies), source, SECOND_NS)
    snapshots = places(folder, every=every, run=run_key(started))
    snapshot = snapshots.find(journal.path).snapshot
    return House(folder, source, started, journal=journal, snapshots=snapshots, snapshot=snapshot)


def turned(house: House, slices: int) -> None:
    source = iter(house.slices())
    for _ in range(slices):
        house.turn(next(source))


def left(folder: Path, slices: int, *, every: int = EVERY) -> Path:
    """What a crash after so many slices leaves."""
    house = kept_house(folder, every=every)
    house.start()
    turned(house, slices)
    house.journal.commit()
    house.abandon()
    return folder


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that crashed after 17 slices, and its key beside it; for copies."""
    return left(tmp_path_factory.mktemp("cut") / "run", 17)


def again(cut: Path, to: Path) -> Path:
    shutil.copytree(cut.parent, to / "copy")
    return to / "copy" / cut.name


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("snapshot-*"))


def resumed(folder: Path) -> tuple[dict[str, int], str]:
    """What the next start finds, and the head at the end of the run."""
    house = kept_house(folder)
    counts = house.start()
    finished(house)
    return counts, closed(house)


# -- what a restart does -------------------------------------------------------------------------------------------------


def test_the_head_is_the_same_with_snapshots_and_without(undisturbed: Path, tmp_path: Path) -> None:
    house = kept_house(tmp_path / "run", every=1)
    house.start()
    finished(house)
    assert closed(house) == head_of(undisturbed / JOURNAL)
    assert len(files(tmp_path / "run")) == 2


@pytest.mark.parametrize("slices", [3, 9, 17])
def test_a_restart_replays_only_what_came_after_the_snapshot(undisturbed: Path, tmp_path: Path, slices: int) -> None:
    folder = left(tmp_path / "run", slices)
    rows = verify(folder / JOURNAL).rows
    counts, head = resumed(folder)
    assert counts["rows_found"] == rows
    assert 0 <= counts["rows_replayed"] <= 2 * EVERY < rows or slices == 3
    assert head == head_of(undisturbed / JOURNAL)


def test_a_run_that_was_closed_replays_nothing(undisturbed: Path, tmp_path: Path) -> None:
    house = kept_house(tmp_path / "run")
    house.start()
    turned(house, 5)
    house.close()
    counts, head = resumed(tmp_path / "run")
    assert counts["rows_replayed"] == 0
    assert counts["rows_found"] > 0
    assert head == head_of(undisturbed / JOURNAL)


def test_a_run_that_has_ended_stays_ended(undisturbed: Path, tmp_path: Path) -> None:
    for _ in range(3):
        _, head = resumed(tmp_path / "run")
        assert head == head_of(undisturbed / JOURNAL)


def test_every_state_thaws_equal_and_goes_on_identically(undisturbed: Path, tmp_path: Path) -> None:
    """After each turn all that the house knows is replaced by what its bytes give."""
    folder = tmp_path / "run"
    house = kept_house(folder)
    house.start()
    for moment in house.slices():
        house.turn(moment)
        assert house.effects.is_settled
        memory = house._memory()
        thawed = thaw(freeze(memory))
        assert thawed == memory
        house._resume(thawed)
    house.end()
    assert closed(house) == head_of(undisturbed / JOURNAL)


def test_what_the_paper_venue_lost_is_shown_to_it_again(tmp_path: Path) -> None:
    """A power cut may leave the venue behind the snapshot: here it has lost all that it saw, before the first order."""
    folder = tmp_path / "run"
    house = kept_house(folder, every=10_000, strategies="donchian_breakout")
    house.start()
    turned(house, 9)
    shown = house.venue.shown_row
    house.close()
    for path in folder.glob("venue.*"):
        path.unlink()
    later = kept_house(folder, strategies="donchian_breakout")
    assert later.venue.shown_row == 0
    assert later.start()["rows_replayed"] == 0
    assert later.venue.shown_row == shown > 0
    later.close()


@pytest.mark.parametrize("is_in_the_log", [True, False])
def test_a_lease_that_the_log_ended_stays_ended_and_one_that_a_process_ended_does_not(
    tmp_path: Path, is_in_the_log: bool
) -> None:
    """A discrepancy waits for a person; a full disk is over when the house is started again."""
    house = kept_house(tmp_path / "run", every=10_000)
    house.start()
    turned(house, 3)
    if is_in_the_log:
        house.lease.found(an_envelope(DiscrepancyFound("a", "trace_broken", "made up")))
    else:
        house.lease.revoke("the disk is nearly full")
    house.journal.commit()
    assert house.lease.revoked
    house.close()
    later = kept_house(tmp_path / "run")
    assert later.start()["rows_replayed"] == 0
    assert bool(later.lease.revoked) is is_in_the_log
    later.close()


# -- what is not believed ------------------------------------------------------------------------------------------------


def flipped(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= 0x10
    path.write_bytes(bytes(data))


def of_another_key(folder: Path) -> None:
    newest = files(folder)[-1]
    house = kept_house(folder, every=10_000)
    house.snapshots = places(folder, key=folder.parent / "others")
    house.start()
    newest.unlink()
    house.close()


def of_another(**changes: Any) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        house = kept_house(folder, every=10_000)
        house.snapshots = places(folder, **changes)
        house.start()
        files(folder)[-1].unlink()
        house.close()

    return spoil


def renamed(folder: Path) -> None:
    """The name is not believed: a snapshot says itself of which row it is."""
    newest = files(folder)[-1]
    newest.rename(newest.with_name("snapshot-999999999999.ark"))


def replaced_by(write: Callable[[Path], Any]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        newest = files(folder)[-1]
        newest.unlink()
        write(newest)

    return spoil


SPOILED: dict[str, Callable[[Path], Any]] = {
    "a bit of its first word": lambda folder: flipped(files(folder)[-1], 0),
    "a bit of its header": lambda folder: flipped(files(folder)[-1], 40),
    "a bit of its signature": lambda folder: flipped(files(folder)[-1], 300),
    "a bit in the middle": lambda folder: flipped(files(folder)[-1], 5_000),
    "its last bit": lambda folder: flipped(files(folder)[-1], -1),
    "empty": replaced_by(Path.touch),
    "cut off": lambda folder: os.truncate(files(folder)[-1], 700),
    "longer": lambda folder: files(folder)[-1].write_bytes(files(folder)[-1].read_bytes() + b"\0"),
    "a folder": replaced_by(Path.mkdir),
    "a pipe": replaced_by(os.mkfifo),
    "a link to nowhere": replaced_by(lambda path: path.symlink_to("nowhere")),
    "signed by another key": of_another_key,
    "of another run": of_another(run="0" * 32),
    "of another build": of_another(build="0" * 64),
}


@pytest.mark.parametrize("case", SPOILED)
def test_a_snapshot_that_cannot_be_believed_is_passed_over_for_the_older(
    undisturbed: Path, cut: Path, tmp_path: Path, case: str
) -> None:
    folder = again(cut, tmp_path)
    older = int(files(folder)[-2].stem.removeprefix("snapshot-"))
    SPOILED[case](folder)
    chosen = found(folder)
    assert chosen.snapshot is not None
    assert chosen.snapshot.seq == older
    assert len(chosen.passed_over) == 1
    assert resumed(folder)[1] == head_of(undisturbed / JOURNAL)


def test_where_none_can_be_believed_everything_is_replayed(undisturbed: Path, cut: Path, tmp_path: Path) -> None:
    folder = again(cut, tmp_path)
    for path in files(folder):
        flipped(path, 5_000)
    assert found(folder).snapshot is None
    counts, head = resumed(folder)
    assert counts["rows_replayed"] == counts["rows_found"]
    assert head == head_of(undisturbed / JOURNAL)


def test_a_name_is_not_believed(undisturbed: Path, cut: Path, tmp_path: Path) -> None:
    folder = again(cut, tmp_path)
    newest = found(folder).snapshot
    renamed(folder)
    renamed_one = found(folder).snapshot
    assert newest is not None
    assert renamed_one is not None
    assert renamed_one.seq == newest.seq
    assert resumed(folder)[1] == head_of(undisturbed / JOURNAL)


def test_a_snapshot_that_is_newer_than_the_journal_is_passed_over(undisturbed: Path, tmp_path: Path) -> None:
    """The journal was restored from an older copy; the venue, which is elsewhere, was not asked for more since."""
    folder = left(tmp_path / "run", 6, every=10)
    older = tmp_path / "older"
    shutil.copytree(folder, older)
    left(folder, 10, every=10)
    for path in files(folder):
        shutil.copyfile(path, older / path.name)
    chosen = found(older)
    assert len(chosen.passed_over) == 2
    assert chosen.snapshot is not None
    assert resumed(older)[1] == head_of(undisturbed / JOURNAL)


def halted_by(person: str, folder: Path) -> int:
    """A run in which this person halts, closed after some slices more; its last row."""
    house = kept_house(folder, every=10_000)
    house.start()
    turned(house, 3)
    Desk(house).answer(encode(Halt("global", "", "reduce_only", person, "we look at it first")))
    turned(house, 6)
    house.close()
    return house.journal.seq


def test_a_snapshot_of_another_journal_is_passed_over(tmp_path: Path) -> None:
    """The same run, build, key and row, and another history: somebody else has halted there."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    assert halted_by("carol", ours) == halted_by("alice", theirs)
    (own,), (other,) = files(ours), files(theirs)
    assert own.name == other.name
    shutil.copyfile(other, own)
    chosen = found(ours)
    assert chosen.snapshot is None
    assert len(chosen.passed_over) == 1


def test_a_journal_that_was_altered_before_the_snapshot_stops_the_start(cut: Path, tmp_path: Path) -> None:
    """A snapshot saves the decoding and replaying of what lies before it, not its verification."""
    folder = again(cut, tmp_path)
    with closing(sqlite3.connect(folder / JOURNAL)) as connection:
        first, rows = connection.execute("SELECT first_seq, rows FROM segments ORDER BY first_seq LIMIT 1").fetchone()
        connection.execute(
            "UPDATE segments SET rows = ? WHERE first_seq = ?", (rows.replace(b"PAPER", b"LAPER"), first)
        )
        connection.commit()
    assert found(folder).snapshot is not None
    house = kept_house(folder)
    with pytest.raises(JournalBroken):
        house.start()
    house.abandon()


# -- how it is written ---------------------------------------------------------------------------------------------------

WRITER = """
import os, sys
from pathlib import Path
from tests.deployment.test_snapshots import kept_house
folder, last = Path(sys.argv[1]), int(sys.argv[2])
house = kept_house(folder)
house.start()
steps = 0
def killed(event, arguments):
    global steps
    if event in ("open", "os.rename", "os.remove") and str(folder) in str(arguments[:2]):
        steps += 1
        if steps == last:
            os.kill(os.getpid(), 9)
sys.addaudithook(killed)
house.take_snapshot()
"""


def test_killed_between_any_two_steps_of_the_writing_a_snapshot_is_whole_or_not_there(
    undisturbed: Path, cut: Path, tmp_path: Path
) -> None:
    """Before the draft is opened, before it gets its name, before the folder is made durable, before an old one goes."""
    before = found(cut)
    for last in range(1, 20):
        folder = again(cut, tmp_path / str(last))
        code = subprocess.run(
            [sys.executable, "-c", WRITER, str(folder), str(last)], cwd=Path(__file__).parents[2], check=False
        ).returncode
        after = found(folder)
        assert after.passed_over == ()
        assert after.snapshot is not None
        assert before.snapshot is not None
        assert after.snapshot.seq in (before.snapshot.seq, verify(folder / JOURNAL).rows)
        if code == 0:
            assert last > 4
            break
        assert code == -signal.SIGKILL
        assert resumed(folder)[1] == head_of(undisturbed / JOURNAL)
    else:
        raise AssertionError("it was killed at every step")


def test_a_draft_that_was_cut_off_is_no_snapshot(cut: Path, tmp_path: Path) -> None:
    folder = again(cut, tmp_path)
    chosen = found(folder)
    (folder / "snapshot.draft").write_bytes(files(folder)[-1].read_bytes()[:1_000])
    assert found(folder) == chosen
    resumed(folder)
    assert not (folder / "snapshot.draft").exists()


def test_a_disk_that_takes_no_snapshot_does_not_stop_the_run(undisturbed: Path, tmp_path: Path) -> None:
    """Slower next time, and nothing else; what went wrong can be read."""
    folder = tmp_path / "run"
    house = kept_house(folder, every=10)
    (folder / "snapshot.draft").mkdir()
    house.start()
    finished(house)
    assert house.snapshots is not None
    assert house.snapshots.failure
    assert closed(house) == head_of(undisturbed / JOURNAL)
    assert files(folder) == []


def test_after_a_failure_nothing_is_kept(tmp_path: Path) -> None:
    house = kept_house(tmp_path / "run", every=10_000)
    house.start()
    turned(house, 3)
    house.failure = "something is wrong"
    house.close()
    assert files(tmp_path / "run") == []


# -- the authority -------------------------------------------------------------------------------------------------------


def test_the_authority_s_docket_is_the_one_in_the_snapshot(undisturbed: Path, tmp_path: Path) -> None:
    """Who begins behind a snapshot grants what one grants who has read everything."""
    folder = left(tmp_path / "run", 9)
    snapshot = found(folder).snapshot
    assert snapshot is not None
    whole, late = LogFolder(), LogFolder()
    handed = Beginning(snapshot.seq, snapshot.head, snapshot.memory.now_ns, snapshot.memory.agents["hrm"])
    late.begin(beginning_in(freeze(handed)))
    asked = 0
    for envelope in envelopes(undisturbed):
        whole.fold(envelope)
        if envelope.seq == snapshot.seq:
            assert freeze(whole._docket) == freeze(late._docket)
            assert whole._standing == late._standing == {}
        if envelope.seq <= snapshot.seq:
            continue
        late.fold(envelope)
        if isinstance(envelope.body, Approved):
            asked += 1
            granted = whole.granted(envelope.body.proposal_id, envelope.seq)
            assert not isinstance(granted, str)
            assert late.granted(envelope.body.proposal_id, envelope.seq) == granted
    assert asked >= 10


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: b"", lambda data: data[:-1], lambda _: freeze((1, 2, 3)), lambda _: freeze(None), lambda _: b"x" * 99,
        lambda data: freeze(thaw(data)._replace(seq=0)), lambda data: freeze(thaw(data)._replace(head=b"")),
        lambda data: freeze(thaw(data)._replace(docket=None)), lambda data: freeze(thaw(data)._replace(seq="1")),
    ],
)  # fmt: skip
def test_what_is_no_beginning_is_refused(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    snapshot = found(left(tmp_path / "run", 4, every=10)).snapshot
    assert snapshot is not None
    data = freeze(Beginning(snapshot.seq, snapshot.head, snapshot.memory.now_ns, snapshot.memory.agents["hrm"]))
    beginning_in(data)
    with pytest.raises(NotFrozen):
        beginning_in(spoil(data))


# -- the desk ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[House]:
    house = kept_house(tmp_path / "run", every=10_000)
    house.start()
    turned(house, 3)
    yield house
    house.close()


def asked_of(house: House) -> Answer | None:
    return answer_in(Desk(house).answer(encode(TakeSnapshot("before-the-upgrade", "alice"))))


def test_a_snapshot_asked_for_at_the_desk_is_on_the_disk_before_the_log_says_so(kept: House) -> None:
    """Rule 25 asks the log how old the newest one is."""
    folder = kept.journal.path.parent
    assert found(folder).snapshot is None
    before = kept.journal.seq
    answer = asked_of(kept)
    assert isinstance(answer, Done)
    snapshot = found(folder).snapshot
    assert snapshot is not None
    assert snapshot.seq == before == answer.position - 1
    (said,) = [one for one in envelopes(folder) if isinstance(one.body, SnapshotTaken)]
    assert said.body == SnapshotTaken("before-the-upgrade by alice")
    assert kept.hosts["hrm"].state.standing.snapshot_ns == said.ts_seen_ns


def test_where_none_is_taken_the_log_does_not_say_that_there_is_one(kept: House, tmp_path: Path) -> None:
    folder = kept.journal.path.parent
    (folder / "snapshot.draft").mkdir()
    before = kept.journal.seq
    assert isinstance(asked_of(kept), Denied)
    assert kept.journal.seq == before
    plain = a_house(tmp_path / "plain", a_source(), trading())
    plain.start()
    assert isinstance(asked_of(plain), Denied)
    plain.close()
