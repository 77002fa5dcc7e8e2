"""One bit turned over, anywhere in anything that is kept: it is found, or it is no matter.

*Found* is an error or a finding of the reader that a person or the house itself would use. *No matter* is the very
same content as before: a byte of a page that nothing is in. There is no third. A new kind of file is one more line in
`TARGETS`.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from agents.kenny.venues.simulated import SimulatedVenue
from deployment.backups.restoring import restore
from deployment.backups.shelf import Limits, believed_keys, newest_good
from deployment.backups.taking import take
from deployment.topology.house import run_key
from deployment.topology.snapshots import Snapshots
from mutable_core.errors import ArkError
from mutable_core.freezing import freeze
from mutable_core.journal import Journal, checked_rows, verify
from mutable_core.journal.signing import Signer
from mutable_core.messages import RunStarted
from mutable_core.state_manager import StateManager
from tests.faults.cases import Case, folder_in_memory
from tests.faults.processes import envelopes_of, journal_of
from tests.faults.syscalls import WRITES, Plan
from tests.graveyard.sealing import a_grave

pytestmark = pytest.mark.faults

WAL = "journal.sqlite-wal"


class Found(Exception):
    """What the reader says is wrong."""


class Target(NamedTuple):
    """One kind of file.

    Attributes:
        original: which of the folders of `Originals` is copied and spoiled.
        pattern: of the files of which one gets the wrong bit.
        content: what its reader makes of it; raises where it finds something.
        flips: how many in `make test`.
    """

    original: str
    pattern: str
    content: Callable[[Originals, Path], Any]
    flips: int


class Originals:
    """Folders as they were written, made when first asked for; and who is to read the spoiled ones."""

    def __init__(self, case: Case, folder: Path) -> None:
        self.case, self._folder = case, folder
        self._state = shutil.copytree(case.state, folder / "state")
        begun = next(envelopes_of(journal_of(self._state))).body
        assert isinstance(begun, RunStarted)
        self.begun = begun
        self.signer = Signer.open(self._state / "keys")
        self._remembered()
        take(self._state, self.signer, Limits(keep_days=1, max_bytes=0))

    def _remembered(self) -> None:
        """Some state with a history, in which a bit can be wrong."""
        with StateManager.open(self._state / "state.sqlite") as manager:
            writer = manager.writer("operator")
            for number in range(20):
                writer.put("operator", f"note-{number % 5}", {"number": number, "text": "kept " * number})

    @cache  # noqa: B019 - one object for the module
    def folder(self, name: str) -> Path:
        if name == "state":
            return self._state
        made = self._folder / name
        if name == "grave":
            self.grave = a_grave(made)
        else:
            self._killed(made)
        return made

    def _killed(self, state: Path) -> None:
        """A state folder whose journal is mostly in its WAL."""
        files = [call.file.rpartition("/")[2] for call in self.case.calls if call.name in WRITES]
        at = files[: len(files) - 1 - files[::-1].index(WAL)].count(WAL) * 3 // 4
        ran = self.case.run(state, plan=Plan(below=str(state), names=WRITES, files=(f"/{WAL}",), at=at))
        assert ran.code == -signal.SIGKILL, ran.err

    @cache  # noqa: B019 - one object for the module
    def content(self, kind: str) -> Any:
        """What the reader makes of the unspoiled folder."""
        with folder_in_memory() as folder:
            target = TARGETS[kind]
            return target.content(self, shutil.copytree(self.folder(target.original), folder / "copy"))


@pytest.fixture(scope="module")
def originals(cases: tuple[Case, Case]) -> Iterator[Originals]:
    with folder_in_memory() as folder:
        yield Originals(cases[0], folder)


# -- readers ----------------------------------------------------------------------------------------------------------


def rows_of(_: Originals, state: Path) -> Any:
    report = verify(journal_of(state))
    if not report.ok:
        raise Found(report.finding)
    journal = Journal.open(journal_of(state))
    try:
        return list(journal.rows())
    finally:
        journal.close()


def resumed(originals: Originals, state: Path) -> Any:
    """Of a killed run: what is left is verified, and then it goes on as if nothing had been."""
    report = verify(journal_of(state))
    if not report.ok:
        raise Found(report.finding)
    whole = originals.case.rows
    rows = [checked.row for checked in checked_rows(journal_of(state))]
    assert rows == whole[: len(rows)]
    ran = originals.case.run(state)
    if ran.code:
        assert len(ran.err.splitlines()) == 1, ran.err
        raise Found(ran.err)
    originals.case.assert_same(state)


def said_by_the_venue(originals: Originals, state: Path) -> Any:
    begun = originals.begun
    venue = SimulatedVenue.open(
        journal_of(state).with_name("venue.log"), cash_micros=begun.cash_micros, instruments=begun.instruments
    )
    try:
        return list(venue.events(0)), venue.statement()
    finally:
        venue.close()


def sealed_rules(originals: Originals, folder: Path) -> Any:
    look = originals.grave._replace(folder=folder).look()
    if look.faults:
        raise Found(look.faults[0])
    return look


def versions(_: Originals, state: Path) -> Any:
    with StateManager.open(state / "state.sqlite") as manager:
        report = manager.verify()
        if not report.ok:
            raise Found(report.finding)
        return [(key, manager.history(*key)) for key in sorted(manager.keys())]


def snapshot(originals: Originals, state: Path) -> Any:
    journal = journal_of(state)
    begun = originals.begun
    found = Snapshots(journal.parent, originals.signer, build=begun.build, run=run_key(begun)).find(journal)
    if found.passed_over:
        raise Found(found.passed_over[0])
    assert found.snapshot is not None
    return found.snapshot.header, freeze(found.snapshot.memory)


def restored(_: Originals, state: Path) -> Any:
    """The newest backup, with what restoring it finds."""
    believed = believed_keys(state / "keys")
    found = newest_good(state / "backups", believed)
    if found is None:
        raise Found("no backup is good")
    with folder_in_memory() as folder:
        return restore(found.folder, folder / "restored", believed)


TARGETS: dict[str, Target] = {
    "journal": Target("state", "*/journal.sqlite", rows_of, 120),
    "public key": Target("state", "keys/journal.pub", rows_of, 10),
    "anchor": Target("state", "anchor.log", rows_of, 20),
    "wal": Target("killed", f"*/{WAL}", resumed, 12),
    "venue": Target("state", "*/venue.log", said_by_the_venue, 70),
    "venue index": Target("state", "*/venue.index", said_by_the_venue, 20),
    "rules": Target("grave", "**/*", sealed_rules, 60),
    "state": Target("state", "state.sqlite", versions, 70),
    "snapshot": Target("state", "*/snapshot-*.ark", snapshot, 80),
    "backup": Target("state", "backups/*/**/*", restored, 40),
}


SPARE = {"anchor", "venue index"}
"""Files whose reader passes over what is spoiled: a note that nobody signed proves nothing, and an index is made again."""


def flip(path: Path, chance: Random) -> str:
    """Turn over one bit of the file; returns where."""
    at, bit = chance.randrange(path.stat().st_size), chance.randrange(8)
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.pwrite(descriptor, bytes([os.pread(descriptor, 1, at)[0] ^ 1 << bit]), at)
    finally:
        os.close(descriptor)
    return f"bit {bit} of byte {at} of `{path.name}`"


def spoiled(originals: Originals, kind: str, chance: Random, times: int) -> int:
    """Flip, read, and start anew; returns how often it was found."""
    target, found = TARGETS[kind], 0
    whole = originals.content(kind)
    with folder_in_memory() as folder:
        for number in range(times):
            copy = shutil.copytree(originals.folder(target.original), folder / str(number))
            files = sorted(path for path in copy.glob(target.pattern) if path.is_file() and path.stat().st_size)
            where = flip(chance.choice(files), chance)
            try:
                assert target.content(originals, copy) == whole, f"{where}: neither found nor harmless"
            except (Found, ArkError):
                found += 1
            shutil.rmtree(copy)
    return found


@pytest.mark.parametrize("kind", TARGETS)
def test_a_flipped_bit_is_found_or_no_matter(originals: Originals, kind: str) -> None:
    flips = TARGETS[kind].flips
    found = spoiled(originals, kind, Random(kind), flips)
    assert found > flips // 10 or kind in SPARE, "the reader hardly ever finds anything"


def test_five_hundred_bits_are_flipped() -> None:
    assert sum(target.flips for target in TARGETS.values()) >= 500


@pytest.mark.nightly
@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("seed", range(5))
def test_ten_thousand_flipped_bits_are_found_or_no_matter(originals: Originals, kind: str, seed: int) -> None:
    spoiled(originals, kind, Random(f"{kind} {seed}"), 4 * TARGETS[kind].flips)
