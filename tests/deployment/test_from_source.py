"""What judges is compiled from the sealed source: a forged cache beside it is not believed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import cache_from_source
from pathlib import Path

from deployment.build import PACKAGES
from tests.architecture.house import TOP

FORGE = """
import importlib._bootstrap_external as loader, os, sys
source = sys.argv[1]
found = os.stat(source)
code = compile("raise SystemExit('forged')", source, "exec")
data = loader._code_to_timestamp_pyc(code, int(found.st_mtime), found.st_size)
open(sys.argv[2], "wb").write(data)
"""


def python(top: Path, program: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program, *words], cwd=top, capture_output=True, text=True, check=False)


def forged(tmp_path: Path) -> Path:
    """A house beside whose judge lies bytecode that bears the source's time and size, and does something else."""
    top = tmp_path
    for name in PACKAGES:
        shutil.copytree(TOP / name, top / name, ignore=shutil.ignore_patterns("__pycache__"))
    source = top / "graveyard" / "judge.py"
    cache = Path(cache_from_source(str(source)))
    cache.parent.mkdir(exist_ok=True)
    assert python(top, FORGE, str(source), str(cache)).returncode == 0
    return top


def test_python_itself_would_believe_the_forgery(tmp_path: Path) -> None:
    """Otherwise the next test would show nothing."""
    assert "forged" in python(forged(tmp_path), "import graveyard.judge").stderr


def test_the_commands_do_not(tmp_path: Path) -> None:
    top = forged(tmp_path)
    program = "from deployment.from_source import import_graveyard; import_graveyard(); print('whole')"
    assert python(top, program).stdout == "whole\n"
    ran = subprocess.run(
        [sys.executable, "-m", "deployment", "agents", "--json"], cwd=top, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


def test_everything_of_the_graveyard_that_a_house_loads_is_on_the_list() -> None:
    program = (
        "import sys, deployment.run, deployment.authority.process, deployment.authority.folder, deployment.from_source as it;"
        "loaded = {m for m in sys.modules if m.startswith('graveyard.')};"
        "print(sorted(loaded - {f'graveyard.{name}' for name in it.MODULES}))"
    )
    assert python(TOP, program).stdout == "[]\n"
