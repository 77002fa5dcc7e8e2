"""Imports go one way, and what decides has no contact with the world (DESIGN §2, §3)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.house import TOP, calls_in, house_files, imports_of, named, python_files, uses_in

PURE = python_files(
    "agents/*/decide.py",
    "agents/*/state.py",
    "agents/*/spec.py",
    "agents/hrm/*.py",
    "agents/id/*.py",
    "agents/joey/**/*.py",
    "agents/kyle/gate/*.py",
    "agents/kenny/lifecycle.py",
    "agents/kenny/orders.py",
    "agents/aletheia/**/*.py",
    "mutable_core/book.py",
    "mutable_core/docket/*.py",
    "mutable_core/flows.py",
    "mutable_core/ledger.py",
    "mutable_core/privacy.py",
    "mutable_core/standing.py",
    "mutable_core/money.py",
    "mutable_core/traces.py",
    "mutable_core/messages/*.py",
    "graveyard/compile.py",
    "graveyard/ethics.py",
    "graveyard/expressions.py",
    "graveyard/interpret.py",
    "graveyard/judge.py",
    "graveyard/nearest.py",
    "graveyard/people.py",
    "graveyard/words.py",
)
"""Functions of their arguments: what a replay must be able to say again."""

OUTSIDE = {
    "anyio", "asyncio", "concurrent", "ctypes", "datetime", "fcntl", "glob", "http", "importlib", "io", "logging",
    "mmap", "multiprocessing", "os", "pathlib", "random", "secrets", "select", "shutil", "signal", "socket",
    "sqlite3", "sqlite_utils", "ssl", "subprocess", "sys", "tempfile", "threading", "time", "urllib", "uuid",
    "mutable_core.clock.wall_ns", "mutable_core.clock.monotonic_ns", "mutable_core.ids.uuid7",
    "mutable_core.journal", "mutable_core.settings", "mutable_core.bus",
}  # fmt: skip
"""Clocks, chance, files, networks, processes: whatever answers differently the second time."""

SPEAKS_TO_THE_WORLD = {"open", "print", "input", "breakpoint", "globals", "vars"}


def test_the_contracts_of_the_import_linter_hold() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    if not command.exists():
        pytest.skip("import-linter is not installed beside this interpreter")
    ran = subprocess.run([command, "--no-cache"], cwd=TOP, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
    assert "3 kept, 0 broken" in ran.stdout


@pytest.mark.parametrize("path", PURE, ids=named)
def test_what_decides_imports_nothing_of_the_world(path: Path) -> None:
    found = {
        name for name in imports_of(path).values() if any(name == one or name.startswith(one + ".") for one in OUTSIDE)
    }
    assert found == set()
    assert {name for name, _ in calls_in(path)} & SPEAKS_TO_THE_WORLD == set()


def test_what_decides_holds_no_state_of_its_own() -> None:
    """No `global`, no `nonlocal` in a decision: what is remembered is in the state that is handed in and out."""
    import ast

    from tests.architecture.house import tree_of

    for path in python_files("agents/*/decide.py", "agents/joey/**/*.py", "agents/kyle/gate/*.py"):
        assert not [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Global)], named(path)


GENERATES_CODE = {
    ("graveyard/compile.py", "compile"): "the fast reader is built from syntax nodes, never from text",
}
"""The one place that makes code, and the reason."""


def test_nothing_is_evaluated_or_executed() -> None:
    found = {
        (named(path), name)
        for path in house_files()
        for name, _ in calls_in(path)
        if name in {"eval", "exec", "compile", "__import__"}
    }
    assert found == set(GENERATES_CODE)


def test_nothing_unpickles() -> None:
    """Bytes that become code are a door; messages are JSON, frames are msgpack of known types."""
    banned = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}
    for path in house_files():
        assert not banned & {name.partition(".")[0] for name in uses_in(path)}, named(path)


def test_the_graveyard_imports_only_what_its_list_names() -> None:
    """The core that is sealed rests on little; the optional readers alone see numpy and the solver."""
    allowed = {"graveyard", "msgspec", "cryptography"} | set(sys.stdlib_module_names)
    optional = {"graveyard/batch.py": {"numpy"}, "graveyard/smt.py": {"z3"}}
    for path in python_files("graveyard/**/*.py"):
        found = {name.partition(".")[0] for name in imports_of(path).values()}
        assert found <= allowed | optional.get(named(path), set()), named(path)
