"""The Watchdog looks at the seal and at the keys: real files, a real watcher; once broken stays broken."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from graveyard import ethics
from graveyard.ethics import RULES, ruleset_digest
from graveyard.sealed_files import DRAFT, PROOFS, SEAL
from mutable_core.messages import Inspection
from tests.graveyard.sealing import KEYS, NOW_NS, PINNED, Grave, a_grave
from watchdog.inspection import EVERY_NS, SealWatch, exposed_keys

DEADLINE_S = 30


class Told:
    """What was called back, and how often."""

    def __init__(self) -> None:
        self.faults: list[tuple[str, ...]] = []
        self._event = threading.Event()

    def __call__(self, faults: tuple[str, ...]) -> None:
        self.faults.append(faults)
        self._event.set()

    def wait(self) -> None:
        assert self._event.wait(DEADLINE_S), "nobody was told"


@pytest.fixture
def grave(tmp_path: Path) -> Grave:
    return a_grave(tmp_path / "graveyard")


@contextmanager
def watching(grave: Grave, **changes: Any) -> Iterator[tuple[SealWatch, Told]]:
    told = Told()
    given: dict[str, Any] = {"folder": grave.folder, "pinned": PINNED, "on_broken": told, "wall": lambda: NOW_NS}
    with SealWatch(**(given | changes)) as watch:
        yield watch, told


def stated(watch: SealWatch) -> Inspection:
    return watch.inspect(venue_is_up=True, kill_path_is_up=False)


def test_a_whole_house_is_stated_as_it_is(grave: Grave) -> None:
    with watching(grave) as (watch, told):
        assert watch.faults == ()
        assert stated(watch) == Inspection(ruleset_digest(), 7, 2, (), 0, True, False)
    assert told.faults == []


def test_before_the_first_look_nothing_is_known_and_that_is_a_fault(grave: Grave) -> None:
    watch = SealWatch(folder=grave.folder, pinned=PINNED)
    assert watch.faults
    assert stated(watch).seal_faults == watch.faults


def test_a_seal_that_is_broken_at_the_start_is_told_at_once(grave: Grave) -> None:
    grave.signed(KEYS[0])
    with watching(grave) as (watch, told):
        assert told.faults == [watch.faults]
        assert stated(watch).seal_signatures == 1
        assert watch.faults


def test_a_version_older_than_one_seen_is_a_fault(grave: Grave) -> None:
    with watching(grave, newest_version=8) as (watch, _):
        assert any("older" in fault for fault in watch.faults)


def touch_up(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


def and_back(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole + b"\n")
    path.write_bytes(whole)


def there_and_gone(path: Path) -> None:
    path.write_bytes(b"")
    path.unlink()


def away_and_back(path: Path) -> None:
    aside = path.parent.parent / path.name
    path.rename(aside)
    aside.rename(path)


def replaced(path: Path) -> None:
    other = path.parent.parent / path.name
    other.write_bytes(path.read_bytes())
    other.rename(path)


CHANGES: dict[str, Callable[[Path], None]] = {
    "a source file edited": lambda at: touch_up(at / "judge.py"),
    "a source file edited and put back": lambda at: and_back(at / "ethics.py"),
    "a source file moved away and back": lambda at: away_and_back(at / "words.py"),
    "a source file replaced by its like": lambda at: replaced(at / "words.py"),
    "a source file removed": lambda at: (at / "words.py").unlink(),
    "a file that appears": lambda at: (at / "more.py").write_bytes(b""),
    "a file that was there for a moment": lambda at: there_and_gone(at / "more.py"),
    "a file in a new folder": lambda at: (at / "new").mkdir() or (at / "new/one.py").write_bytes(b""),
    "the seal edited": lambda at: touch_up(at / SEAL),
    "the seal edited and put back": lambda at: and_back(at / SEAL),
    "the seal removed": lambda at: (at / SEAL).unlink(),
    "the proof report edited": lambda at: touch_up(at / PROOFS),
    "everybody may write": lambda at: (at / "judge.py").chmod(0o666),
    "the folder renamed": lambda at: at.rename(at.with_name("elsewhere")) and None,
}


@pytest.mark.parametrize("what", CHANGES)
def test_any_change_breaks_it_for_good(grave: Grave, what: str) -> None:
    with watching(grave) as (watch, told):
        CHANGES[what](grave.folder)
        told.wait()
        assert watch.faults
        assert stated(watch).seal_faults == watch.faults
    assert len(told.faults) == 1
    assert watch.faults, "after the end it is still broken"


def test_a_good_new_release_counts_from_the_next_start(grave: Grave) -> None:
    """The loaded rules are still the old ones."""
    with watching(grave) as (watch, told):
        grave.signed(*KEYS[:2], version=8)
        told.wait()
        assert watch.faults
    with watching(grave) as (watch, _):
        assert watch.faults == ()
        assert stated(watch).seal_version == 8


def test_bytecode_and_drafts_may_come_and_go(grave: Grave) -> None:
    with watching(grave) as (watch, told):
        (grave.folder / "__pycache__").mkdir()
        (grave.folder / "__pycache__/judge.cpython-311.pyc").write_bytes(b"\0")
        (grave.folder / DRAFT).write_bytes(b"{}")
        touch_up(grave.folder / "judge.py")  # what comes after is noticed, so what came before was looked at
        told.wait()
    assert not any("pyc" in fault or DRAFT in fault for fault in watch.faults)


def test_time_runs_out_while_it_is_watched(grave: Grave) -> None:
    """Nothing changes on disk; what is looked at now and then finds it."""
    now = [NOW_NS]
    with watching(grave, wall=lambda: now[0], every_ns=1) as (watch, told):
        assert watch.faults == ()
        now[0] += 365 * 86_400 * 10**9
        told.wait()
        assert any("expired" in fault for fault in watch.faults)


@pytest.fixture
def loosened() -> Iterator[None]:
    """The rules of this process, changed from inside, as no language forbids."""
    rule = RULES[4]
    clauses = rule.clauses
    msgspec.structs.force_setattr(rule, "clauses", clauses[:1])
    yield
    msgspec.structs.force_setattr(rule, "clauses", clauses)


def test_rules_changed_in_memory_are_noticed(grave: Grave, loosened: None) -> None:
    with watching(grave) as (watch, told):
        assert told.faults
        assert any("loaded rules" in fault for fault in watch.faults)
        assert stated(watch).ruleset == ruleset_digest() != grave.seal.ruleset


def test_other_rules_in_their_place_are_noticed(grave: Grave, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ethics, "RULES", RULES[1:])
    with watching(grave) as (watch, _):
        assert any("loaded rules" in fault for fault in watch.faults)


def test_a_watch_that_has_not_looked_for_long_says_so(grave: Grave) -> None:
    """A thread that hangs or is gone must not leave the last good word standing."""
    now = [10**9]
    watch = SealWatch(folder=grave.folder, pinned=PINNED, wall=lambda: NOW_NS, monotonic=lambda: now[0])
    with watch:
        pass
    assert stated(watch).seal_faults == ()
    now[0] += 3 * EVERY_NS + 1
    assert stated(watch).seal_faults


def test_what_was_found_first_is_still_said_when_more_is_found(grave: Grave) -> None:
    now = [10**9]
    with watching(grave, monotonic=lambda: now[0]) as (watch, told):
        there_and_gone(grave.folder / "more.py")
        told.wait()
    now[0] += 3 * EVERY_NS + 1
    found = stated(watch).seal_faults
    assert any("more.py" in fault for fault in found)
    assert any("not looked at" in fault for fault in found)


def test_the_one_who_is_told_may_end_the_watch(grave: Grave) -> None:
    ended = threading.Event()
    watch = SealWatch(
        folder=grave.folder, pinned=PINNED, wall=lambda: NOW_NS, on_broken=lambda _: (watch.stop(), ended.set())[0]
    )
    with watch:
        touch_up(grave.folder / "judge.py")
        assert ended.wait(DEADLINE_S)


# -- the key store ----------------------------------------------------------------------------------------------------


def a_key(folder: Path, name: str, mode: int) -> Path:
    path = folder / name
    path.write_bytes(b"key")
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("mode", "count"),
    [(0o600, 0), (0o400, 0), (0o640, 1), (0o604, 1), (0o620, 1), (0o602, 1), (0o601, 1), (0o644, 1)],
)
def test_a_key_that_others_could_touch_counts(tmp_path: Path, mode: int, count: int) -> None:
    a_key(tmp_path, "one.key", mode)
    assert exposed_keys(tmp_path) == count


def test_every_exposed_key_counts_wherever_it_lies(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    a_key(tmp_path, "one.key", 0o644)
    a_key(tmp_path / "more", "other", 0o640)
    a_key(tmp_path, "good.key", 0o600)
    a_key(tmp_path, "one.pub", 0o644)
    (tmp_path / "linked.key").symlink_to(tmp_path / "good.key")
    assert exposed_keys(tmp_path) == 3


def test_a_key_of_another_user_counts(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(a_key(tmp_path, "one.key", 0o600), 12_345, 12_345)
    assert exposed_keys(tmp_path) == 1


def test_no_store_exposes_nothing_and_no_folder_is_a_finding(tmp_path: Path) -> None:
    assert exposed_keys(None) == 0
    assert exposed_keys(tmp_path / "none") == 0
    (tmp_path / "file").write_bytes(b"")
    assert exposed_keys(tmp_path / "file") == 1


def test_the_store_is_stated(grave: Grave, tmp_path: Path) -> None:
    a_key(tmp_path, "one.key", 0o644)
    with watching(grave, keystore=tmp_path) as (watch, _):
        assert stated(watch).keystore_exposed >= 1
