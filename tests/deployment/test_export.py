"""The evidence bundle: a stranger with Python alone can check it; what was changed in it is named."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from deployment.__main__ import main
from deployment.export import export, inclusion
from mutable_core.errors import DiskUnavailable, JournalBroken, UnknownName
from mutable_core.journal.merkle import includes
from mutable_core.journal.verifier import bundle_files, check_bundle, keys_of
from mutable_core.messages import ConsentRecorded, SliceClosed, VetoSet, decode, encode
from tests.deployment.conftest import Asked
from tests.makers import an_envelope
from tests.mutable_core.signed_journals import State, column, database, flip, written

PERSONAL = {
    5: ConsentRecorded("Jane Roe", "marketing", 7),
    6: VetoSet("instrument", "SPY", "John Doe", "too hot"),
}
SECOND_NS = 1_000_000_000
ROWS = [
    encode(an_envelope(PERSONAL.get(seq, SliceClosed(seq, 1)), seq=seq, ts_seen_ns=seq * SECOND_NS))
    for seq in range(1, 21)
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> State:
    """20 rows, signed at 8, 14 and 20; rows 5 and 6 speak of people."""
    return written(tmp_path_factory.mktemp("whole") / "state", ROWS, (3, 5, 6, 6), (8, 14))


@pytest.fixture(scope="module")
def unsigned_tail(tmp_path_factory: pytest.TempPathFactory) -> State:
    """The same, as a kill would have left it: signed at 8 alone."""
    state = State(tmp_path_factory.mktemp("tail") / "state")
    journal = state.open()
    for seq, row in enumerate(ROWS, 1):
        journal.append(row, 7)
        if seq == 8:
            journal.commit()
            journal.checkpoint()
    journal.commit()
    copy = State(tmp_path_factory.mktemp("tail-copy") / "state")
    shutil.copytree(state.folder, copy.folder)
    journal.close()
    return copy


def checked(bundle: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """By the verifier in it, with Python alone, in an empty environment."""
    inside = bundle / "verifier.py"
    ran = subprocess.run(
        [sys.executable, "-I", str(inside), str(bundle), "--json", *arguments], cwd=bundle.parent, env={}, text=True,
        capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert not ran.stderr, ran.stderr
    return ran.returncode, json.loads(ran.stdout)


@pytest.mark.parametrize("name", ["plain", "packed.tar.gz"])
def test_the_line_that_says_how_to_check_does(whole: State, tmp_path: Path, asked: Asked, name: str) -> None:
    """Copied from the screen, with the key put in, it runs as it stands."""
    ran = asked("export", str(whole.path), "--out", str(tmp_path / name))
    assert ran.returncode == 0, ran.stderr
    line = ran.stdout.splitlines()[-1].removeprefix("check it with: ").partition(";")[0]
    done = subprocess.run(
        line.replace("KEY", whole.key),
        shell=True,
        cwd=tmp_path,
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, "whole" in done.stdout) == (0, True), done


@pytest.mark.parametrize(
    ("since", "until", "first", "last"),
    [("", "", 1, 20), ("1", "1", 1, 1), ("5", "8", 5, 8), ("7", "12", 7, 12), ("20", "", 20, 20), ("3", "99", 3, 20)],
)
def test_any_range_is_proved_to_a_stranger(
    whole: State, tmp_path: Path, since: str, until: str, first: int, last: int
) -> None:
    done = export(whole.path, since=since, until=until, out=tmp_path / "b", full=True)
    assert (done.first, done.last, done.signed_to, done.left_out) == (first, last, last, 0)
    code, report = checked(tmp_path / "b", "--key", whole.key)
    assert (code, report["ok"], report["rows"]) == (0, True, last - first + 1)
    assert (report["signed_rows"], report["key"]) == (last - first + 1, whole.key)
    lines = (tmp_path / "b" / "rows.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["row"].encode() for line in lines] == ROWS[first - 1 : last]


def test_rows_that_speak_of_people_are_left_out_and_the_rest_still_verifies(whole: State, tmp_path: Path) -> None:
    done = export(whole.path, since="", until="", out=tmp_path / "b")
    assert done.left_out == len(PERSONAL)
    code, report = checked(tmp_path / "b", "--key", whole.key)
    assert (code, report["left_out"], report["rows"]) == (0, 2, 20)
    everything = b"".join(one.read_bytes() for one in (tmp_path / "b").rglob("*.json*"))
    assert b"Jane Roe" not in everything
    assert b"John Doe" not in everything


def test_a_range_may_be_given_in_times_of_the_log(whole: State, tmp_path: Path) -> None:
    done = export(whole.path, since="1970-01-01T00:00:03", until="1970-01-01T00:00:09.5Z", out=tmp_path / "b")
    assert (done.first, done.last) == (3, 9)


def test_rows_after_the_newest_checkpoint_are_said_to_be_unsigned(unsigned_tail: State, tmp_path: Path) -> None:
    across = export(unsigned_tail.path, since="6", until="12", out=tmp_path / "across", full=True)
    beyond = export(unsigned_tail.path, since="10", until="12", out=tmp_path / "beyond", full=True)
    assert (across.signed_to, beyond.signed_to) == (8, 8)
    assert checked(tmp_path / "across")[1]["signed_rows"] == 3
    code, report = checked(tmp_path / "beyond")
    assert (code, report["signed_rows"], report["rows"]) == (0, 0, 3)


def test_an_archive_is_checked_like_a_folder(whole: State, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "evidence.tar.gz"
    assert main(["export", str(whole.path), "--from", "3", "--to", "9", "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["left_out"] == 2
    assert main(["verify", str(out), "--key", whole.key, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 7
    main(["verify", "--export-verifier", str(tmp_path / "v.py")])
    capsys.readouterr()
    ran = subprocess.run([sys.executable, "-I", "v.py", out], cwd=tmp_path, env={}, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr


def rewritten(name: str, change: Callable[[bytes], bytes], *, listed: bool = True) -> Callable[[Path], None]:
    """A file of the bundle changed; `listed`: with its digest in the manifest, and the manifest's signature taken away."""

    def act(bundle: Path) -> None:
        old = (bundle / name).read_bytes()
        new = change(old)
        assert new != old
        (bundle / name).write_bytes(new)
        if listed:
            manifest = json.loads((bundle / "MANIFEST.json").read_bytes())
            manifest["files"][name] = sha256(new).hexdigest()
            (bundle / "MANIFEST.json").write_text(json.dumps(manifest))
            (bundle / "MANIFEST.sig").unlink(missing_ok=True)

    return act


def line(number: int, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[bytes], bytes]:
    def act(content: bytes) -> bytes:
        lines = content.splitlines()
        lines[number] = json.dumps(change(json.loads(lines[number]))).encode()
        return b"\n".join(lines) + b"\n"

    return act


def dropped(number: int) -> Callable[[bytes], bytes]:
    return lambda content: b"".join(one for at, one in enumerate(content.splitlines(keepends=True)) if at != number)


def swapped(content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    return b"".join([lines[0], lines[2], lines[1], *lines[3:]])


def another_row(values: dict[str, Any]) -> dict[str, Any]:
    return values | {"row": values["row"].replace('"until_ns":7', '"until_ns":8')}


def another_row_and_leaf(values: dict[str, Any]) -> dict[str, Any]:
    new = another_row(values)
    return new | {"leaf": sha256(b"\0" + new["row"].encode()).hexdigest()}


def other_head(proof: bytes) -> bytes:
    return json.dumps(json.loads(proof) | {"head_before": "ab" * 32}).encode()


def other_rules_under_a_seal_that_fits(bundle: Path) -> None:
    old = sha256((bundle / "rules" / "RULES.json").read_bytes()).hexdigest().encode()
    rewritten("rules/RULES.json", lambda one: one + b" ")(bundle)
    new = sha256((bundle / "rules" / "RULES.json").read_bytes()).hexdigest().encode()
    rewritten("rules/SEAL.json", lambda one: one.replace(old, new))(bundle)


CHANGES: dict[str, tuple[Callable[[Path], None], int]] = {
    "a row": (rewritten("rows.jsonl", line(2, another_row), listed=False), 5),
    "a row, listed": (rewritten("rows.jsonl", line(2, another_row)), 5),
    "a row with its leaf, listed": (rewritten("rows.jsonl", line(2, another_row_and_leaf)), 3),
    "a row missing": (rewritten("rows.jsonl", dropped(4)), 7),
    "the last row missing": (rewritten("rows.jsonl", dropped(7)), 10),
    "rows swapped": (rewritten("rows.jsonl", swapped), 4),
    "a checkpoint missing": (rewritten("checkpoints.jsonl", dropped(1)), 9),
    "the newest checkpoint missing": (rewritten("checkpoints.jsonl", dropped(2)), 3),
    "a note": (rewritten("checkpoints.jsonl", lambda one: one.replace(b'\\"rows\\":14', b'\\"rows\\":13')), 9),
    "the proof": (
        rewritten("proof.json", lambda one: one.replace(b'"path":["', b'"path":["00').replace(b'00"', b'"')),
        3,
    ),
    "where it begins": (rewritten("proof.json", lambda one: one.replace(b'"from":3', b'"from":4')), 4),
    "the head before": (rewritten("proof.json", other_head), 3),
    "the rules with their seal": (other_rules_under_a_seal_that_fits, 3),
    "the rules": (rewritten("rules/RULES.json", lambda one: one + b" "), 3),
    "the proofs of the rules": (rewritten("rules/PROOFS.json", lambda one: one + b" "), 3),
    "the approvals": (rewritten("approvals.jsonl", lambda one: one + ROWS[0] + b"\n"), 3),
    "the readme": (rewritten("README.md", lambda one: one + b" ", listed=False), 3),
    "the manifest": (rewritten("MANIFEST.json", lambda one: one + b" ", listed=False), 3),
    "a file put in": (lambda bundle: (bundle / "more").write_text("x") and None, 3),
    "a file missing": (lambda bundle: (bundle / "approvals.jsonl").unlink(), 3),
}
"""Of a bundle of rows 3–10: what was changed, and the row that is named."""


@pytest.mark.parametrize("what", CHANGES)
def test_what_was_changed_in_a_bundle_is_found(whole: State, tmp_path: Path, what: str) -> None:
    export(whole.path, since="3", until="10", out=tmp_path / "b", full=True)
    change, row = CHANGES[what]
    change(tmp_path / "b")
    report = check_bundle(bundle_files(tmp_path / "b"), keys_of([whole.key], "the test"))
    assert (report.ok, report.first_bad_row) == (False, row), report.finding


def test_a_bundle_signed_by_another_key_is_refused(whole: State, tmp_path: Path) -> None:
    export(whole.path, since="3", until="10", out=tmp_path / "b")
    assert checked(tmp_path / "b")[0] == 0
    assert checked(tmp_path / "b", "--key", "ab" * 32)[0] == 1


def handed_on(bundle: Path) -> None:
    """As somebody without the journal's key hands it on: the manifest fits what is there, and nobody signed it."""
    (bundle / "MANIFEST.sig").unlink()
    values = json.loads((bundle / "MANIFEST.json").read_bytes())
    values["files"] = {name: sha256((bundle / name).read_bytes()).hexdigest() for name in values["files"]}
    (bundle / "MANIFEST.json").write_text(json.dumps(values))


def test_rows_under_no_signature_of_the_key_that_was_given_are_refused(unsigned_tail: State, tmp_path: Path) -> None:
    """Nobody else can show his rows behind the checkpoints of this journal, or with none at all."""
    bundle = tmp_path / "b"
    export(unsigned_tail.path, since="6", until="12", out=bundle, full=True)
    assert checked(bundle, "--key", unsigned_tail.key)[0] == 0, "the manifest is signed"
    handed_on(bundle)
    code, report = checked(bundle, "--key", unsigned_tail.key)
    assert (code, report["first_bad_row"]) == (1, 9)
    (bundle / "checkpoints.jsonl").write_bytes(b"")
    proof = json.loads((bundle / "proof.json").read_bytes())
    (bundle / "proof.json").write_text(json.dumps(proof | {"path": [], "leaves_after": []}))
    (bundle / "MANIFEST.sig").touch()
    handed_on(bundle)
    assert checked(bundle)[0] == 0, "and it is said that nothing is signed"
    code, report = checked(bundle, "--key", unsigned_tail.key)
    assert (code, report["first_bad_row"]) == (1, 6)


@pytest.mark.parametrize("first", ["x", None, 1e400, 0, -3, 3.0, True])
def test_a_proof_that_names_no_first_row_is_found(whole: State, tmp_path: Path, first: object) -> None:
    export(whole.path, since="3", until="10", out=tmp_path / "b")
    proof = json.loads((tmp_path / "b" / "proof.json").read_bytes())
    (tmp_path / "b" / "proof.json").write_text(json.dumps(proof | {"from": first}))
    handed_on(tmp_path / "b")
    code, report = checked(tmp_path / "b")
    assert (code, report["first_bad_row"]) == (1, 1)


def test_an_archive_that_holds_a_file_twice_is_refused(whole: State, tmp_path: Path) -> None:
    """Else a person could be shown the one, and the verifier the other."""
    export(whole.path, since="3", until="10", out=tmp_path / "b")
    with tarfile.open(tmp_path / "b.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "b" / "README.md", "a/rows.jsonl")
        archive.add(tmp_path / "b", "b")
    with pytest.raises(ValueError, match="twice"):
        bundle_files(tmp_path / "b.tar.gz")


def test_broken_evidence_is_not_handed_out(whole: State, tmp_path: Path) -> None:
    shutil.copytree(whole.folder, tmp_path / "state")
    column("segments", "rows", 9, lambda rows: flip(rows, 30))(State(tmp_path / "state"))
    with pytest.raises(JournalBroken) as raised:
        export(tmp_path / "state" / "run" / "journal.sqlite", since="1", until="3", out=tmp_path / "b")
    assert raised.value.row == 9
    assert not (tmp_path / "b").exists()


def test_a_public_key_that_is_none_is_said_in_one_line(
    whole: State, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(whole.folder, tmp_path / "state")
    (tmp_path / "state" / "keys" / "journal.pub").write_text("no key\n")
    path = str(tmp_path / "state" / "run" / "journal.sqlite")
    for said in (["export", path, "--out", str(tmp_path / "b")], ["verify", path, "--row", "3"], ["verify", path]):
        assert main(said) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_journal_without_a_key_is_exported_as_what_it_is(whole: State, tmp_path: Path) -> None:
    shutil.copyfile(whole.path, tmp_path / "j")
    with database(tmp_path / "j") as db:
        db.execute("DELETE FROM checkpoints")
    done = export(tmp_path / "j", since="2", until="9", out=tmp_path / "b")
    code, report = checked(tmp_path / "b")
    assert (done.signed_to, code, report["checkpoints"], report["rows"]) == (0, 0, 0, 8)


@pytest.mark.parametrize(("since", "until"), [("0", ""), ("9", "3"), ("21", ""), ("next week", ""), ("2099-01-01", "")])
def test_a_range_without_rows_is_refused(whole: State, tmp_path: Path, since: str, until: str) -> None:
    with pytest.raises(UnknownName):
        export(whole.path, since=since, until=until, out=tmp_path / "b")


def test_nothing_is_overwritten(whole: State, tmp_path: Path) -> None:
    for name in ("b", "b.tar.gz"):
        (tmp_path / name).write_text("precious")
        with pytest.raises(DiskUnavailable):
            export(whole.path, since="", until="", out=tmp_path / name)
        assert (tmp_path / name).read_text() == "precious"


@pytest.mark.parametrize("seq", [1, 7, 20])
def test_one_row_is_shown_to_stand_in_the_signed_tree(whole: State, seq: int) -> None:
    proof = inclusion(whole.path, seq)
    assert decode(proof.row.encode()).seq == seq
    path = [bytes.fromhex(one) for one in proof.path]
    root, leaf = bytes.fromhex(proof.root), bytes.fromhex(proof.leaf)
    assert includes(root, proof.tree_rows, proof.leaf_index, leaf, path)
    with pytest.raises(UnknownName):
        inclusion(whole.path, 21)
