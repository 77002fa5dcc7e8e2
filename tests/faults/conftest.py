"""What tests of faults share."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.processes import POWERLESS


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
