"""The files of the house, and what their syntax says."""

from __future__ import annotations

import ast
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
PACKAGES = ("agents", "deployment", "graveyard", "monitoring", "mutable_core", "watchdog")


def python_files(*globs: str) -> list[Path]:
    """Python files below the top that one of the globs names; every glob must name some."""
    found: set[Path] = set()
    for glob in globs:
        mine = {path for path in TOP.glob(glob) if path.suffix == ".py"}
        assert mine, f"`{glob}` names no file any more"
        found |= mine
    return sorted(found)


def house_files() -> list[Path]:
    return python_files(*(f"{package}/**/*.py" for package in PACKAGES))


def named(path: Path) -> str:
    return path.relative_to(TOP).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


@cache
def imports_of(path: Path) -> dict[str, str]:
    """What each imported name stands for: `{"sleep": "time.sleep", "np": "numpy"}`. Imports inside functions too."""
    found: dict[str, str] = {}
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


def uses_in(path: Path) -> Iterator[str]:
    """Dotted names of what is used, with imports resolved: `time.sleep`, however it was imported."""
    imports = imports_of(path)
    for node in ast.walk(tree_of(path)):
        dotted = _dotted(node)
        if dotted:
            first, _, rest = dotted.partition(".")
            if first in imports:
                yield imports[first] + (f".{rest}" if rest else "")


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def calls_in(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Names that are called as they stand there, with the call."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call):
            name = _dotted(node.func)
            if name:
                yield name, node


@cache
def repository_files() -> tuple[Path, ...]:
    """What is committed or would be: everything that git does not ignore."""
    if shutil.which("git") is None or not (TOP / ".git").exists():
        pytest.skip("this is no git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=TOP, capture_output=True, check=False, text=True,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("git does not list this checkout")
    files = tuple(TOP / name for name in listed.stdout.split("\0") if name and (TOP / name).is_file())
    assert len(files) > 100
    return files
