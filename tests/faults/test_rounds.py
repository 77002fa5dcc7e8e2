"""Hundreds of kills -9, between any two system calls or inside one, around everything that happens to an order.

A round is one kill and the start that follows it. After each: what is on the disk is a beginning of the undisturbed
journal, holds every row that was acknowledged, and the venue has heard of nothing that it does not hold. After the last
round of a life the run goes to its end, and is the undisturbed one, byte for byte: no order lost, none twice.
"""

from __future__ import annotations

import signal
from pathlib import Path
from random import Random

import pytest

from tests.faults.cases import Case, folder_in_memory, kinds_in
from tests.faults.nursery import Death
from tests.faults.syscalls import WRITES, Plan

pytestmark = pytest.mark.faults
ROUNDS = 20
KILLS_MAX = 12  # in one life


def a_kill(case: Case, state: Path, chance: Random) -> Plan:
    """Somewhere on the way: before any call on the state folder, in the midst of a write, or by the clock."""
    how, share = chance.choice(("call", "call", "write", "clock")), chance.random() ** 2
    match how:
        case "clock":
            return Plan(below=str(state), kill_after_ms=1 + 60 * share)
        case "write":
            writes = sum(call.name in WRITES for call in case.calls)
            return Plan(below=str(state), names=WRITES, at=1 + int(share * writes), part=chance.random())
        case _:
            return Plan(below=str(state), at=1 + int(share * len(case.calls)))


def one_life(case: Case, state: Path, chance: Random) -> int:
    """Killed up to `KILLS_MAX` times, then let live. Returns how often it was killed."""
    for kills in range(KILLS_MAX):
        ran = case.run(state, plan=a_kill(case, state, chance))
        if ran.code == 0:
            case.assert_same(state)
            return kills
        assert_killed(case, state, ran)
    case.assert_ends_the_same(state)
    return KILLS_MAX


def assert_killed(case: Case, state: Path, ran: Death) -> None:
    assert ran.code == -signal.SIGKILL, ran.err
    case.assert_whole_prefix(state, ran)


def rounds(cases: tuple[Case, Case], seed: int, count: int = ROUNDS) -> None:
    chance, done, life = Random(seed), 0, 0
    with folder_in_memory() as folder:
        while done < count:
            life += 1
            done += one_life(cases[(seed + life) % 5 == 0], folder / str(life), chance)


def test_the_rounds_meet_everything_that_happens_to_an_order(cases: tuple[Case, Case]) -> None:
    found = kinds_in(cases[0].journal) | kinds_in(cases[1].journal)
    assert found >= {
        "sent", "order filled", "stop filled", "target filled", "expired", "withdrawn: source_ended",
        "order cancelled: by_us", "stop cancelled: other_leg_filled", "target cancelled: other_leg_filled",
        "stop cancelled: position_closed",
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(15))
def test_killed_anywhere_nothing_acknowledged_is_lost_and_nothing_is_done_twice(
    cases: tuple[Case, Case], seed: int
) -> None:
    """I3, I4, I7: 300 rounds."""
    rounds(cases, seed)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(100, 120))
def test_killed_ten_thousand_times_it_is_as_if_nothing_had_happened(cases: tuple[Case, Case], seed: int) -> None:
    rounds(cases, seed, 500)
