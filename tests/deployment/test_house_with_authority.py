"""A house whose approvals come from the authority's own process: the same journal, and nothing without it (I1, I2)."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployment.authority.client import AuthorityProcess
from deployment.topology.house import House, genesis
from deployment.topology.state_dir import JOURNAL
from graveyard.ethics import ruleset_digest
from mutable_core.clock import SECOND_NS
from mutable_core.journal import checked_rows
from mutable_core.messages import OrderAccepted, OrderBlocked
from tests.deployment.handmade import HandmadeSource, closed, finished, run, trading

pytestmark = pytest.mark.faults
SLICES = 30


@pytest.fixture
def authority() -> Iterator[AuthorityProcess]:
    process = AuthorityProcess.start(ruleset=ruleset_digest())
    yield process
    process.close()


def a_house(folder: Path, authority: AuthorityProcess) -> House:
    folder.mkdir(exist_ok=True)
    source = HandmadeSource(SLICES)
    return House(folder, source, genesis(trading(), source, SECOND_NS), authority=authority)


def bodies(folder: Path, kind: type) -> list[object]:
    rows = (checked.envelope.body for checked in checked_rows(folder / JOURNAL))
    return [body for body in rows if isinstance(body, kind)]


def test_the_journal_is_the_same_whoever_approves(tmp_path: Path, authority: AuthorityProcess) -> None:
    """The authority vets again from the log and signs the same; who signs leaves no mark in the journal."""
    house = a_house(tmp_path / "apart", authority)
    house.start()
    finished(house)
    assert closed(house) == run(tmp_path / "embedded", HandmadeSource(SLICES))
    assert bodies(tmp_path / "apart", OrderAccepted)


def test_a_house_that_starts_again_gives_a_new_authority_the_whole_log(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    for slices in (11, 23, SLICES):
        authority = AuthorityProcess.start(ruleset=ruleset_digest())
        try:
            house = a_house(folder, authority)
            house.start()
            for moment in house.slices():
                if house.rows_read >= 2 * slices:
                    break
                house.turn(moment)
            if slices == SLICES:
                house.end()
            head = closed(house)
        finally:
            authority.close()
    assert head == run(tmp_path / "undisturbed", HandmadeSource(SLICES))


def test_when_the_authority_is_killed_nothing_is_approved_any_more(tmp_path: Path, authority: AuthorityProcess) -> None:
    """Every order after that is blocked and over; the books still agree, and the house itself goes on."""
    house = a_house(tmp_path / "run", authority)
    house.start()
    moments = iter(house.slices())
    for _ in range(12):
        house.turn(next(moments))
    house.journal.commit()
    accepted = len(bodies(tmp_path / "run", OrderAccepted))
    assert accepted > 0
    os.kill(authority.pid, signal.SIGKILL)
    for moment in moments:
        house.turn(moment)
    house.end()
    closed(house)
    blocked = [body for body in bodies(tmp_path / "run", OrderBlocked) if body.reason == "authority_silent"]  # type: ignore[attr-defined]
    assert blocked
    assert len(bodies(tmp_path / "run", OrderAccepted)) == accepted
