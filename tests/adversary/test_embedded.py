"""What an attacker inside the process can do in embedded mode: each attack in a process of its own, and what became of it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.adversary.embedded_attacks import ATTACKS, REFUSED, Stage
from tests.adversary.makers import TOP


@pytest.fixture(scope="module")
def outcomes() -> dict[str, str]:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.adversary.embedded_attacks"], cwd=TOP, capture_output=True, text=True, check=True
    )
    found: dict[str, str] = json.loads(ran.stdout)
    return found


@pytest.mark.parametrize("name", ATTACKS)
def test_what_becomes_of(name: str, outcomes: dict[str, str]) -> None:
    """The third column is the truth about embedded mode: where it changes, the page that states it must."""
    assert outcomes[name] == ATTACKS[name][2]


def test_the_stage_lets_out_what_is_rightly_approved() -> None:
    """Otherwise everything would be refused, and the table would say nothing."""
    stage = Stage()
    stage.out(stage.real())
    assert len(stage.outside.orders) == 1
    assert stage.outcome() != REFUSED
