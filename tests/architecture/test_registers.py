"""Folder = register (DESIGN §2): a file that merely appears must not act, and a test must say that it is there."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable

from agents.joey.features import FEATURES
from agents.joey.strategies import STRATEGIES
from agents.kyle.gate import checks
from agents.kyle.gate.candidate import Candidate
from agents.kyle.gate.register import CHECKS
from agents.kyle.sources import register as sources
from deployment.commands import COMMANDS
from deployment.topology.wiring import AGENTS
from graveyard.ethics import RULES
from tests.architecture.house import TOP, imports_of, tree_of


def stems(folder: str) -> set[str]:
    return {path.stem for path in (TOP / folder).glob("*.py")} - {"__init__"}


def test_every_strategy_has_its_file_and_its_line() -> None:
    assert [one.name for one in STRATEGIES] == list(dict.fromkeys(one.name for one in STRATEGIES))
    assert {one.name for one in STRATEGIES} == stems("agents/joey/strategies")
    for one in STRATEGIES:
        assert one.read.__module__ == f"agents.joey.strategies.{one.name}"


def test_every_feature_has_its_file_and_its_line() -> None:
    assert {one.__name__ for one in FEATURES} == stems("agents/joey/features")
    for one in FEATURES:
        assert one.__module__ == f"agents.joey.features.{one.__name__}"


SOURCE_PARTS = {
    "port": "what a source is",
    "register": "the register",
    "layouts": "of files",
    "merging": "of files",
    "steps": "of files",
    "tables": "of files",
    "slicing": "of all",
}
"""Files of the folder that are no source themselves."""


def test_every_source_has_its_line() -> None:
    path = TOP / "agents/kyle/sources/register.py"
    prefix = "agents.kyle.sources."
    imported = {name.removeprefix(prefix).partition(".")[0] for name in imports_of(path).values() if prefix in name}
    assert stems("agents/kyle/sources") - set(SOURCE_PARTS) == imported - set(SOURCE_PARTS)
    assert len({kind.name for kind in sources.SOURCES}) == len(sources.SOURCES) == len(imported - set(SOURCE_PARTS))


def test_only_registered_files_of_the_folder_are_sources() -> None:
    """Whatever has `slices` is a source, wherever it stands."""
    for name in SOURCE_PARTS.keys() - {"port"}:
        tree = tree_of(TOP / f"agents/kyle/sources/{name}.py")
        classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
        methods = {part.name for one in classes for part in one.body if isinstance(part, ast.FunctionDef)}
        assert "slices" not in methods, name


def test_every_command_has_its_file_and_its_line() -> None:
    assert {command.name for command in COMMANDS} == stems("deployment/commands") - {"port"}
    for command in COMMANDS:
        assert command.run.__module__ == f"deployment.commands.{command.name}"
        assert command.arguments.__module__ == f"deployment.commands.{command.name}"


def test_every_check_of_the_gate_has_its_line() -> None:
    """A check is a public function of `checks.py` that takes a candidate and may find something."""
    written = {
        function
        for name, function in inspect.getmembers(checks, inspect.isfunction)
        if function.__module__ == checks.__name__ and _is_a_check(function) and not name.startswith("_")
    }
    assert {check.find for check in CHECKS} == written
    assert [check.find.__name__ for check in CHECKS] == [check.reason for check in CHECKS]


def _is_a_check(function: Callable[..., object]) -> bool:
    signature = inspect.signature(function)
    of = [one.annotation for one in signature.parameters.values()]
    return of == [Candidate.__name__] and signature.return_annotation == "str | None"


def test_every_agent_has_its_folder_and_its_line() -> None:
    folders = {path.name for path in (TOP / "agents").iterdir() if path.is_dir() and not path.name.startswith("_")}
    assert {agent.spec.name for agent in AGENTS} == folders - {"runtime"}
    for agent in AGENTS:
        rooms = {path.name for path in (TOP / "agents" / agent.spec.name).iterdir()}
        assert {"README.md", "__init__.py", "spec.py", "state.py", "decide.py"} <= rooms, agent.spec.name


def test_only_those_who_may_touch_the_world_have_effects() -> None:
    assert {path.parent.name for path in (TOP / "agents").glob("*/effects.py")} == {"kenny"}


def test_the_rules_are_twenty_six_and_each_has_its_number() -> None:
    assert [rule.id for rule in RULES] == list(range(1, len(RULES) + 1))
    assert len({rule.name for rule in RULES}) == len(RULES) >= 26
