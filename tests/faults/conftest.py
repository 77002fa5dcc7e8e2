"""What tests of faults share."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.cases import Case, folder_in_memory, rising_bars, wild_bars
from tests.faults.nursery import Nursery
from tests.faults.processes import POWERLESS
from tests.faults.syscalls import missing


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Bears processes that have loaded the house already, and whose system calls can be answered by a test."""
    if why := missing():
        pytest.skip(f"system calls cannot be watched here: {why}")
    with Nursery.opened() as opened:
        yield opened


@pytest.fixture(scope="session")
def cases(nursery: Nursery) -> Iterator[tuple[Case, Case]]:
    """Orders at every bar with stops and withdrawals; few orders, with targets."""
    with folder_in_memory() as folder:
        wild, rising = wild_bars(folder / "wild.csv"), rising_bars(folder / "rising.csv")
        yield (
            Case(nursery, folder / "wild", wild, "alternating"),
            Case(nursery, folder / "rising", rising, "donchian_breakout"),
        )


@pytest.fixture
def powerless(tmp_path: Path) -> Iterator[Path]:
    """A folder that a process begun with `POWERLESS` may read and not write, after the test has filled it and closed
    it with `chmod`; skips where root cannot give up its powers."""
    folder = tmp_path / "closed"
    folder.mkdir()
    probe = tmp_path / "probe"
    probe.mkdir(mode=0o555)
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("there is no `setpriv` to give up the powers of root")
    code = "import os, sys; sys.exit(os.access(sys.argv[1], os.W_OK))"
    if subprocess.run([*POWERLESS, sys.executable, "-c", code, probe], check=False).returncode:
        pytest.skip("the powers of root cannot be given up here")
    yield folder
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
