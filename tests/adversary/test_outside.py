"""Another user of the machine against the authority's process: reading, writing, ending it, and changing its rules."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from deployment.authority.client import AuthorityProcess
from graveyard.words import Approval
from tests.adversary.makers import TOP, Log, a_copy_of_the_house, a_numbered, started
from tests.adversary.outside_attacks import ATTACKS

STRANGER = 64_852
PATIENT_MS = 20_000

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user to attack from")


class Attacked(NamedTuple):
    authority: AuthorityProcess
    by_stranger: dict[str, str]
    by_twin: dict[str, str]


def attacked(uid: int, authority: AuthorityProcess, top: Path) -> dict[str, str]:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.adversary.outside_attacks", str(uid), str(authority.pid), str(top)],
        cwd=TOP, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, str] = json.loads(ran.stdout)
    return found


@pytest.fixture(scope="module")
def after() -> Iterator[Attacked]:
    """An authority that has been attacked in every way by a stranger; its twin of the same user by that user."""
    with a_copy_of_the_house() as top, started(top=top) as authority, started(top=top) as twin:
        by_stranger = attacked(STRANGER, authority, top)
        yield Attacked(authority, by_stranger, attacked(twin.hello.uid, twin, top))


@pytest.mark.parametrize("name", ATTACKS)
def test_another_user_cannot(name: str, after: Attacked) -> None:
    assert after.by_stranger[name].startswith("refused: "), ATTACKS[name][1]


IN_REACH_OF_ITS_OWN_USER = {
    "send_sigkill", "send_sigstop", "send_sigterm", "send_sigsegv", "pidfd_kill", "change_limits", "change_priority",
    "change_affinity", "change_oom", "connect_by_name",
}  # fmt: skip
"""Whoever runs as `ark-authority` can end or slow it, which refuses orders; nobody but root is meant to."""


@pytest.mark.parametrize("name", [name for name in ATTACKS if name not in IN_REACH_OF_ITS_OWN_USER])
def test_even_its_own_user_cannot(name: str, after: Attacked) -> None:
    """The kernel keeps its memory and descriptors closed to the very user that it runs as."""
    assert after.by_twin[name].startswith("refused: "), ATTACKS[name][1]


def test_after_all_that_it_still_signs_what_stands_and_nothing_else(after: Attacked) -> None:
    log = Log()
    log.fill(2)
    proposal = a_numbered(1)
    position = log.approve(proposal)
    after.authority.committed(1, log.rows, log.head)
    signed, refused = after.authority.approve(
        [(proposal.proposal_id, position), ("f" * 32, position)], deadline_ms=PATIENT_MS
    )
    assert isinstance(signed, Approval)
    assert after.authority.verifier.verify(signed)
    assert not isinstance(refused, Approval)


def test_its_socket_has_no_name_that_anybody_could_connect_to(after: Attacked) -> None:
    links = [str(link.readlink()) for link in Path(f"/proc/{after.authority.pid}/fd").iterdir()]
    inodes = {link.removeprefix("socket:[").removesuffix("]") for link in links if link.startswith("socket:")}
    assert len(inodes) == 1
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[6] in inodes:
            assert len(fields) == 7  # an eighth would be its name


def test_the_machine_gives_its_user_to_nobody_else(after: Attacked) -> None:
    assert after.authority.hello.uid not in {0, STRANGER, os.geteuid()}
