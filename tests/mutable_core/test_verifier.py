"""The verifier that is handed out: one file, nothing but Python, and the same findings as the house's own."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mutable_core.journal import verifier, verify
from tests.mutable_core.signed_journals import ROWS, TAMPERINGS, State, written

SOURCE = Path(verifier.__file__)


def alone(folder: Path, *arguments: object) -> tuple[int, dict[str, Any]]:
    """`python3 -I` in a folder that holds the verifier and nothing else, with an empty environment."""
    folder.mkdir(exist_ok=True)
    shutil.copyfile(SOURCE, folder / "verifier.py")
    ran = subprocess.run(
        [sys.executable, "-I", "verifier.py", *map(str, arguments), "--json"], cwd=folder, env={}, text=True,
        capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 2 or not ran.stderr, ran.stderr
    return ran.returncode, json.loads(ran.stdout) if ran.stdout else {"said": ran.stderr}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> State:
    return written(tmp_path_factory.mktemp("whole") / "state")


def test_it_imports_nothing_but_the_standard_library() -> None:
    tree = ast.parse(SOURCE.read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names


@pytest.mark.parametrize("how", [(), ("--deep",)])
def test_it_reports_what_the_house_reports(whole: State, tmp_path: Path, how: tuple[str, ...]) -> None:
    code, report = alone(tmp_path / "empty", whole.path, *how)
    assert (code, report) == (0, verify(whole.path)._asdict())
    assert report["signed_rows"] == report["anchored_rows"] == len(ROWS)


@pytest.mark.parametrize("what", TAMPERINGS)
def test_it_names_the_row_of_every_falsification(
    whole: State, tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(whole.folder, tmp_path / "state")
    state = State(tmp_path / "state")
    spoil, row = TAMPERINGS[what]
    spoil(state)
    code = verifier.main([str(state.path), "--json"])
    report = json.loads(capsys.readouterr().out)
    assert (code, report["ok"], report["first_bad_row"]) == (1, False, row)
    assert report == verify(state.path)._asdict()


def test_a_key_given_by_hand_decides(whole: State, tmp_path: Path) -> None:
    copy = tmp_path / "journal.sqlite"
    shutil.copyfile(whole.path, copy)
    assert alone(tmp_path / "empty", copy, "--key", whole.key)[0] == 0
    code, report = alone(tmp_path / "empty", copy, "--key", "ab" * 32)
    assert (code, report["first_bad_row"]) == (1, 1)
    assert "not pinned" in alone(tmp_path / "empty", copy)[1]["key_from"]


def test_an_anchor_given_by_hand_shows_what_was_cut_off(whole: State, tmp_path: Path) -> None:
    shutil.copytree(whole.folder, tmp_path / "state")
    state = State(tmp_path / "state")
    TAMPERINGS["the last rows cut off with their checkpoint"][0](state)
    state.anchor.unlink()
    assert alone(tmp_path / "empty", state.path)[0] == 0
    code, report = alone(tmp_path / "empty", state.path, "--anchor", whole.anchor)
    assert (code, report["first_bad_row"]) == (1, 11)


@pytest.mark.parametrize("content", [None, b"", b"notes\n" * 100, b"SQLite format 3\0" + bytes(4000)])
def test_what_is_neither_journal_nor_bundle_gets_one_line(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "file").write_bytes(content)
    code, said = alone(tmp_path / "empty", tmp_path / "file")
    assert code in (1, 2)
    assert "Traceback" not in str(said)


@pytest.mark.parametrize("what", ["fifo", "empty", "device", "two lines"])
def test_alone_it_says_what_is_wrong_in_one_line_and_waits_for_nobody(tmp_path: Path, what: str) -> None:
    path = {"device": Path("/dev/zero"), "two lines": tmp_path / "a\nb"}.get(what, tmp_path / what)
    if what == "fifo":
        os.mkfifo(path)
    elif what == "empty":
        path.touch()
    code, said = alone(tmp_path / "elsewhere", path)
    assert code == 2
    assert len(said["said"].splitlines()) == 1


def test_a_key_that_is_none_is_a_wrong_use(whole: State, tmp_path: Path) -> None:
    assert alone(tmp_path / "empty", whole.path, "--key", "abc")[0] == 2
