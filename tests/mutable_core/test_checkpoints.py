"""Checkpoints: what was signed cannot be cut off, written anew or signed again, and signing changes no row."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from mutable_core.errors import DiskUnavailable, JournalBroken
from mutable_core.journal import Anchor, Journal, checked_rows, checkpoints, verify
from mutable_core.journal.chain import leaves
from mutable_core.journal.merkle import root
from mutable_core.journal.search import row_at, rows_with
from mutable_core.journal.store import open_read_only
from mutable_core.journal.verifier import (
    DUE_ROWS,
    Checkpoint,
    JournalCheck,
    keys_beside,
    read_line,
    stored_checkpoints,
)
from tests.mutable_core.signed_journals import (
    CHECKPOINTS,
    ROWS,
    TAMPERINGS,
    State,
    a_row,
    column,
    cut_off,
    database,
    flip,
    rehashed,
    rows_of,
    signed_again,
    sql,
    written,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> State:
    return written(tmp_path_factory.mktemp("whole") / "state")


@pytest.fixture
def state(whole: State, tmp_path: Path) -> State:
    """A copy that may be spoiled."""
    shutil.copytree(whole.folder, tmp_path / "state")
    return State(tmp_path / "state")


def stored(path: Path) -> list[Checkpoint]:
    with database(path) as db:
        return list(stored_checkpoints(db))


def grown(journal: Journal, rows: list[bytes]) -> Journal:
    for row in rows:
        journal.append(row, 7)
    journal.commit()
    return journal


# -- writing them ------------------------------------------------------------------------------------------------------


def test_a_checkpoint_states_rows_head_and_root_and_names_the_one_before(whole: State) -> None:
    notes = [one.note for one in stored(whole.path)]
    assert tuple(note.rows for note in notes) == CHECKPOINTS
    assert [note.root for note in notes] == [root(leaves(ROWS[:rows])) for rows in CHECKPOINTS]
    assert notes[-1].head.hex() == verify(whole.path).head
    assert {note.origin for note in notes} == {leaves(ROWS[:1])[0]}
    assert [note.previous for note in notes] == [bytes(32), *(one.digest for one in stored(whole.path)[:-1])]


def test_signing_changes_no_row_and_no_head(whole: State, tmp_path: Path) -> None:
    """The same input gives the same head, whenever it was signed, or never."""
    plain = Journal.open(tmp_path / "plain")
    assert grown(plain, ROWS).head.hex() == verify(whole.path).head
    assert plain.signed_seq == 0
    plain.close()


def test_a_checkpoint_is_written_with_the_segment_that_makes_it_due(tmp_path: Path) -> None:
    journal = State(tmp_path).open()
    grown(journal, [a_row(seq) for seq in range(1, DUE_ROWS)])
    assert journal.signed_seq == 0
    grown(journal, [a_row(DUE_ROWS), a_row(DUE_ROWS + 1)])
    assert journal.signed_seq == DUE_ROWS + 1
    assert [one.note.rows for one in stored(journal.path)] == [DUE_ROWS + 1]
    journal.close()


def test_a_checkpoint_is_due_after_its_time_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "DUE_NS", 0)
    journal = grown(State(tmp_path).open(), ROWS[:2])
    assert journal.signed_seq == 2
    journal.close()


def test_a_segment_and_its_checkpoint_are_durable_together_or_not_at_all(tmp_path: Path) -> None:
    state = State(tmp_path)
    journal = grown(state.open(), ROWS[:3])
    with database(state.path) as db:
        db.execute("CREATE TRIGGER full BEFORE INSERT ON checkpoints BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    for seq in range(4, DUE_ROWS + 4):
        journal.append(a_row(seq), 7)
    with pytest.raises(DiskUnavailable):
        journal.commit()
    with pytest.raises(DiskUnavailable):
        journal.commit()
    assert (journal.durable_seq, list(journal.rows())) == (3, ROWS[:3])
    journal.close()


@pytest.mark.parametrize("cut", [1, 4, 6, 12])
def test_a_reopened_journal_signs_on_as_if_it_had_never_been_closed(tmp_path: Path, cut: int) -> None:
    state = State(tmp_path)
    grown(state.open(), ROWS[:cut]).close()
    grown(state.open(), ROWS[cut:]).close()
    assert [one.note.root for one in stored(state.path)] == [root(leaves(ROWS[:rows])) for rows in (cut, len(ROWS))]
    assert verify(state.path, deep=True).ok


def test_rows_that_a_crash_left_unsigned_are_signed_with_those_that_follow(tmp_path: Path) -> None:
    state, crashed = State(tmp_path / "state"), State(tmp_path / "crashed")
    journal = grown(state.open(), ROWS[:5])
    journal.checkpoint()
    grown(journal, ROWS[5:8])
    shutil.copytree(state.folder, crashed.folder)  # as a kill would have left it
    journal.close()
    assert verify(crashed.path)[:2] == (True, 8)
    assert verify(crashed.path).signed_rows == 5
    grown(crashed.open(), ROWS[8:]).close()
    assert stored(crashed.path)[-1].note.root == root(leaves(ROWS))
    assert verify(crashed.path, deep=True).signed_rows == len(ROWS)


def test_rows_that_were_only_found_are_not_signed_by_opening_and_closing(tmp_path: Path) -> None:
    """Whoever opens a journal may not have verified it yet."""
    grown(Journal.open(tmp_path / "j"), ROWS).close()
    signer = State(tmp_path / "state").signer
    Journal.open(tmp_path / "j", signer).close()
    assert stored(tmp_path / "j") == []
    journal = Journal.open(tmp_path / "j", signer)
    journal.checkpoint()  # said by somebody who has: a migration
    journal.close()
    assert stored(tmp_path / "j")[-1].note.root == root(leaves(ROWS))


# -- opening what was falsified ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoil", "row"),
    [
        (signed_again, 1),
        (cut_off(10), 11),
        (lambda state: signed_again(state, since=8), 9),
        (lambda state: (rehashed(6, a_row(6, 2))(state), sql("DELETE FROM checkpoints WHERE rows > 4")(state)), 5),
    ],
)
def test_a_signed_journal_that_was_falsified_is_not_written_to(state: State, spoil, row: int) -> None:
    spoil(state)
    before = state.path.read_bytes()
    with pytest.raises(JournalBroken) as raised:
        state.open()
    assert raised.value.row == row
    assert state.path.read_bytes() == before


def test_a_journal_signed_by_somebody_else_is_not_written_to_even_if_nothing_stands_outside(state: State) -> None:
    state.anchor.unlink()
    signed_again(state)
    with pytest.raises(JournalBroken):
        state.open()


def test_unsigned_rows_that_do_not_follow_on_the_signed_ones_are_not_signed(tmp_path: Path) -> None:
    state, crashed = State(tmp_path / "state"), State(tmp_path / "crashed")
    journal = grown(state.open(), ROWS[:4])
    journal.checkpoint()
    grown(journal, ROWS[4:8])
    shutil.copytree(state.folder, crashed.folder)
    journal.close()
    rows_of(5, lambda rows: [*rows[:2], a_row(7, 2), rows[3]])(crashed)
    with pytest.raises(JournalBroken) as raised:
        crashed.open()
    assert raised.value.row == 5


def test_a_key_that_was_replaced_is_believed_where_a_person_wrote_it_down(state: State) -> None:
    keys = state.folder / "keys"
    (keys / "journal.key").unlink()
    (keys / "journal.pub").rename(keys / "written-down")
    with pytest.raises(JournalBroken, match="key was replaced"):
        state.open()
    (keys / "written-down").rename(keys / "former.pub")
    grown(state.open(), [a_row(len(ROWS) + 1)]).close()
    report = verify(state.path, deep=True)
    assert (report.ok, report.signed_rows, report.key) == (True, len(ROWS) + 1, state.key)


# -- the anchor --------------------------------------------------------------------------------------------------------


def test_every_checkpoint_is_copied_outside(whole: State) -> None:
    lines = [read_line(line) for line in whole.anchor.read_bytes().splitlines()]
    assert [(one.text, one.signature) for one in lines] == [(one.text, one.signature) for one in stored(whole.path)]


def test_an_anchor_that_cannot_be_written_fails_no_commit_and_is_counted(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.path.parent.mkdir()
    anchor = Anchor(tmp_path)  # a folder takes no line
    journal = grown(Journal.open(state.path, state.signer, anchor), ROWS)
    journal.close()
    assert (anchor.failures, anchor.last_anchored_rows, anchor.last_ns) == (1, 0, 0)
    assert verify(state.path).ok


def test_a_command_gets_the_newest_checkpoint(tmp_path: Path) -> None:
    state, taken = State(tmp_path / "state"), tmp_path / "taken"
    state.path.parent.mkdir(parents=True)
    anchor = Anchor(state.anchor, ("sh", "-c", f"cat > {taken}"))
    grown(Journal.open(state.path, state.signer, anchor), ROWS).close()
    assert read_line(taken.read_bytes()).note.rows == anchor.last_anchored_rows == len(ROWS)
    assert anchor.failures == 0
    assert anchor.last_ns > 0


def test_a_command_that_fails_is_counted(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.path.parent.mkdir()
    anchor = Anchor(state.anchor, ("false",))
    grown(Journal.open(state.path, state.signer, anchor), ROWS).close()
    assert (anchor.failures, anchor.last_anchored_rows) == (1, 0)
    assert verify(state.path).anchored_rows == len(ROWS)


def test_a_line_that_a_crash_cut_in_half_is_closed_and_passed_over(state: State) -> None:
    state.anchor.write_bytes(state.anchor.read_bytes()[:-40])
    assert verify(state.path).anchored_rows == 8
    grown(state.open(), [a_row(len(ROWS) + 1)]).close()
    assert verify(state.path).anchored_rows == len(ROWS) + 1
    lines = state.anchor.read_bytes().splitlines()
    assert [read_line(line).note.rows for line in (*lines[:2], *lines[3:])] == [4, 8, 13, 14]


def test_a_copy_that_a_crash_prevented_is_made_at_the_next_start(state: State) -> None:
    state.anchor.unlink()
    state.open().close()
    assert verify(state.path).anchored_rows == len(ROWS)


def test_lines_that_claim_much_and_prove_nothing_do_not_hide_the_newest_good_one(state: State) -> None:
    """Who may only write behind what stands in the anchor cannot cut the journal off unnoticed."""
    true = state.anchor.read_bytes().splitlines()[-1]
    state.anchor.write_bytes(
        b"".join(true.replace(b'rows\\":13', b'rows\\":%d' % (9_000 + n)) + b"\n" for n in range(900))
        + state.anchor.read_bytes()
    )
    assert verify(state.path).anchored_rows == len(ROWS)
    cut_off(8)(state)
    assert verify(state.path).first_bad_row == 9


def test_journals_of_several_runs_share_the_anchor(state: State) -> None:
    other = state.folder / "other" / "journal.sqlite"
    other.parent.mkdir()
    rows = [a_row(1, 5), *ROWS[1:], a_row(len(ROWS) + 1)]
    grown(Journal.open(other, state.signer, Anchor(state.anchor)), rows).close()
    assert (verify(state.path).anchored_rows, verify(other).anchored_rows) == (len(ROWS), len(rows))


@pytest.mark.parametrize(
    "statements",
    [
        ["UPDATE segments SET last_seq = 99"],
        ["DROP TABLE segments", "CREATE TABLE segments (a)"],
        ["DROP TABLE segments", "CREATE VIEW segments AS SELECT 1 first_seq, 99 last_seq, 7 rows, 7 stamps"],
    ],
)
def test_who_looks_for_a_message_in_a_damaged_journal_is_told_so(state: State, statements: list[str]) -> None:
    with database(state.path) as db:
        for one in statements:
            db.execute(one)
    with pytest.raises(JournalBroken):
        row_at(state.path, 50)
    with suppress(JournalBroken):
        list(rows_with(state.path, "id"))


# -- verification ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("what", TAMPERINGS)
def test_every_way_to_falsify_is_found_and_the_row_is_named(state: State, what: str, deep: bool) -> None:
    spoil, row = TAMPERINGS[what]
    spoil(state)
    report = verify(state.path, deep=deep)
    assert (report.ok, report.first_bad_row) == (False, row), report.finding
    with pytest.raises(JournalBroken) as raised:
        list(checked_rows(state.path))
    assert raised.value.row == row


def test_rows_cut_off_are_missed_by_the_checkpoints_in_the_file_itself(state: State) -> None:
    state.anchor.unlink()
    sql("DELETE FROM segments WHERE first_seq = 11")(state)
    assert verify(state.path).first_bad_row == 11


@pytest.mark.parametrize("after", [0, 2, 4, 6, 12, 13, 99])
def test_rows_after_a_position_are_handed_out_and_those_before_are_verified(state: State, after: int) -> None:
    assert [one.row for one in checked_rows(state.path, after)] == ROWS[after:]
    TAMPERINGS["a byte of row 6 altered"][0](state)
    with pytest.raises(JournalBroken) as raised:
        list(checked_rows(state.path, after))
    assert raised.value.row == 6


def test_seals_that_no_signature_covers_are_not_believed(tmp_path: Path) -> None:
    """Who alters rows behind the newest checkpoint can seal them again; the chain is then computed row by row."""
    state, copy = State(tmp_path / "state"), State(tmp_path / "copy")
    journal = grown(state.open(), ROWS[:4])
    journal.checkpoint()
    grown(journal, ROWS[4:])
    shutil.copytree(state.folder, copy.folder)
    journal.close()
    rehashed(6, a_row(6, 2), keep_heads=True)(copy)  # the head that a snapshot is compared with stays as it was
    with pytest.raises(JournalBroken) as raised:
        list(checked_rows(copy.path, after=len(ROWS)))
    assert raised.value.row == 5


def test_a_key_given_by_hand_is_believed_and_no_other(state: State) -> None:
    true = state.key
    assert verify(state.path, keys=[true]).ok
    (state.folder / "anchor.log").unlink()
    forger = signed_again(state)
    (state.folder / "keys" / "journal.pub").write_text(forger.public.hex() + "\n")
    assert verify(state.path).ok  # whoever holds the whole folder can make another; so get the key from elsewhere
    assert verify(state.path, keys=[true]).first_bad_row == 1


def test_a_copy_without_its_state_folder_is_checked_with_the_key_in_it_and_says_so(
    whole: State, tmp_path: Path
) -> None:
    shutil.copyfile(whole.path, tmp_path / "copy.sqlite")
    report = verify(tmp_path / "copy.sqlite")
    assert (report.ok, report.key, report.anchored_rows) == (True, whole.key, None)
    assert "not pinned" in report.key_from
    assert verify(tmp_path / "copy.sqlite", anchor=whole.anchor).anchored_rows == len(ROWS)


def test_rows_beyond_the_bound_without_a_checkpoint_are_not_believed(tmp_path: Path) -> None:
    """The house signs at least every so many rows: where a signature should be and is not, somebody took it away."""
    rows = [a_row(seq) for seq in range(1, 2 * DUE_ROWS + 1)]
    state = written(tmp_path, rows, segments=(DUE_ROWS, DUE_ROWS), signed=())
    assert verify(state.path).ok
    state.anchor.unlink()
    sql("DELETE FROM checkpoints WHERE rows > ?", DUE_ROWS)(state)
    assert verify(state.path).first_bad_row == DUE_ROWS + 1
    sql("DELETE FROM checkpoints")(state)
    assert verify(state.path, keys=[state.key]).first_bad_row == 1


def test_a_long_journal_beside_a_key_that_carries_no_signature_at_all_is_not_believed(tmp_path: Path) -> None:
    """All checkpoints were taken away, or it was written anew from its first row on: no anchor knows it then."""
    state = State(tmp_path)
    state.path.parent.mkdir()
    grown(Journal.open(state.path), [a_row(seq) for seq in range(1, DUE_ROWS + 9)]).close()
    assert verify(state.path).ok, "there has never been a key"
    assert state.signer.public
    assert verify(state.path)[:4] == (False, DUE_ROWS + 8, verify(state.path).head, 1)
    journal = state.open()  # so `ark upgrade` signs what it has migrated
    journal.checkpoint()
    journal.close()
    assert verify(state.path).signed_rows == DUE_ROWS + 8


def test_a_journal_may_grow_while_it_is_verified(tmp_path: Path) -> None:
    """What was read first must not be compared with what was written after it."""
    state = State(tmp_path)
    journal = grown(state.open(), ROWS[:5])
    journal.checkpoint()
    connection = open_read_only(state.path)
    check = JournalCheck(connection, keys_beside(state.path), state.anchor, after=0)
    grown(journal, [a_row(seq) for seq in range(6, 7 + DUE_ROWS)])
    assert [one.row for one in check.rows()] == ROWS[:5]
    connection.close()
    journal.close()


@pytest.mark.parametrize("seed", range(2))
def test_any_bit_flipped_in_a_signed_journal_is_found_or_changes_nothing_that_is_read(state: State, seed: int) -> None:
    """Rows, segments and checkpoints alike."""
    data, found = state.path.read_bytes(), 0

    def everything() -> list[tuple[object, ...]]:
        with database(state.path) as db:
            db.execute("PRAGMA query_only = 1")
            return [*db.execute("SELECT * FROM segments"), *db.execute("SELECT * FROM checkpoints")]

    before = everything()
    for at in range(seed * 31, len(data), 61):
        state.path.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
        try:
            report = verify(state.path)
        except Exception as error:  # noqa: BLE001 - only our own words may come out
            assert type(error).__module__ == "mutable_core.errors", at  # noqa: PT017
            found += 1
            continue
        found += not report.ok
        if report.ok:
            assert everything() == before, at
        assert "\n" not in report.finding
    assert found > 50


@pytest.mark.nightly
def test_ten_falsified_copies_of_a_journal_of_a_million_rows_are_each_named(tmp_path: Path) -> None:
    """At scale, in segments of 256: the row is named whatever lies before and after it."""
    state = State(tmp_path / "whole")
    journal = state.open()
    for seq in range(1, 1_000_001):
        journal.append(a_row(seq), 7)
        if seq % 256 == 0:
            journal.commit()
    journal.commit()
    journal.close()
    assert verify(state.path).signed_rows == 1_000_000
    first = 256 * 2_000 + 1  # a segment in the middle; the checkpoint before it is at row 512 000
    cases = {
        first + 77: rows_of(first, lambda rows: [*rows[:77], flip(rows[77], 9), *rows[78:]]),
        first + 10: rows_of(first, lambda rows: [*rows[:10], rows[11], rows[10], *rows[12:]]),
        first + 99: rows_of(first, lambda rows: rows[:99] + rows[100:]),
        first + 6: rows_of(first, lambda rows: [*rows[:6], rows[5], *rows[6:]]),
        first: sql("DELETE FROM segments WHERE first_seq = ?", first),
        999_937: sql("DELETE FROM segments WHERE last_seq > 999936"),
        899_841: cut_off(899_840),
        512_001: rehashed(first + 77, a_row(first + 77, 2)),
        1: column("checkpoints", "signature", 1_024, lambda one: flip(one, 5)),
        921_601: lambda copy: signed_again(copy, since=921_600),
    }
    for row, spoil in cases.items():
        copy = State(tmp_path / "copy")
        shutil.copytree(state.folder, copy.folder)
        spoil(copy)
        assert verify(copy.path).first_bad_row == row, verify(copy.path).finding
        shutil.rmtree(copy.folder)
