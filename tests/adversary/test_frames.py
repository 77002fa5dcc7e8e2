"""Frames by the hundred thousand, from a seed: none is approved, none does anything but be refused."""

from __future__ import annotations

import os
import select
import socket
from random import Random

import pytest

from deployment.authority.client import AuthorityProcess
from deployment.authority.errors import AuthoritySilent, LogForked
from graveyard.authority.wire import Alive, Answer, FrameRefused
from tests.adversary.fuzzing import PROPOSAL, Fuzz, a_log
from tests.adversary.makers import Desk, raw, started


def survived(count: int, seed: int) -> dict[str, int]:
    """How the decoder and what lies behind it took each frame. A frame that breaks the log gets a new authority."""
    outcomes = dict.fromkeys(("refused frame", "refused question", "probe", "forked"), 0)
    fuzz, log = Fuzz(seed), a_log()
    desk = Desk()
    desk.tell(log.frame())
    for _ in range(count):
        payload = fuzz.payload()
        try:
            said = desk.give(payload)
        except FrameRefused:
            outcomes["refused frame"] += 1
        except LogForked:
            outcomes["forked"] += 1
        else:
            if isinstance(said, Alive):
                outcomes["probe"] += 1
            else:
                assert isinstance(said, Answer), payload
                assert (said.signature, said.batch) == ("", ()), payload
                outcomes["refused question"] += 1
    return outcomes


def test_a_hundred_thousand_frames_approve_nothing() -> None:
    outcomes = survived(100_000, seed=1)
    assert sum(outcomes.values()) == 100_000
    assert min(outcomes.values()) > 100, outcomes  # every way was walked


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(2, 12))
def test_a_million_frames_approve_nothing(seed: int) -> None:
    survived(100_000, seed=seed)


def answered(authority: AuthorityProcess, payload: bytes) -> bytes:
    """What the process says to raw bytes; nothing where it ends."""
    connection: socket.socket = authority._connection
    connection.setblocking(True)
    try:
        connection.sendall(raw(payload))
        connection.shutdown(socket.SHUT_WR)
    except ConnectionError:
        return b""
    said = b""
    while select.select([connection], [], [], 30)[0]:
        try:
            chunk = connection.recv(1 << 16)
        except ConnectionError:
            return said
        if not chunk:
            return said
        said += chunk
    raise AssertionError("the process neither answered nor ended")


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(1, 50))])
def test_a_real_process_ends_in_order_on_what_is_no_frame(seed: int) -> None:
    """Exit code 2 for no frame, 9 for no log: never a signal, never a traceback, never an approval."""
    log, fuzz = a_log(), Fuzz(seed)
    with started() as authority:
        authority.committed(1, log.rows, log.head)
        assert authority.probe().seq == 10
        payload = next(one for one in iter(fuzz.payload, None) if is_refused(one))
        said = answered(authority, payload)
        assert b'"signature"' not in said
        assert authority._process.wait(30) in {2, 9}
        with pytest.raises(AuthoritySilent):
            authority.approve([(PROPOSAL.proposal_id, 10)])


def is_refused(payload: bytes) -> bool:
    desk = Desk()
    log = a_log()
    desk.tell(log.frame())
    try:
        desk.give(payload)
    except (FrameRefused, LogForked):
        return True
    return False


def test_a_real_process_answers_thousands_of_wrong_questions_and_still_serves() -> None:
    """A share of the flood goes through a real socket: what is a frame is refused with a reason, and nothing is lost."""
    log, chance = a_log(), Random(7)
    with started() as authority:
        authority.committed(1, log.rows, log.head)
        for _ in range(1_000):
            items = {
                (chance.choice((PROPOSAL.proposal_id, "0" * 32)), chance.choice((1, 9, 11, 2**62))) for _ in range(3)
            }
            assert all(hasattr(one, "why") for one in authority.approve(list(items), deadline_ms=10_000))
        (approval,) = authority.approve([(PROPOSAL.proposal_id, 10)], deadline_ms=10_000)
        assert authority.verifier.verify(approval)  # type: ignore[arg-type]
        assert os.getpid() != authority.pid
