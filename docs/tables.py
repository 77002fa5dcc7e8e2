"""The pages of docs/reference, each from the code that it is about."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Iterable

from deployment.commands import COMMANDS
from deployment.topology.house import EDGES
from deployment.topology.wiring import AGENTS
from docs.markdown import HEAD, table
from monitoring.catalogue import CATALOGUE
from mutable_core.messages import BODY_TYPES, KIND_OF
from mutable_core.settings import PREFIX, Settings


def _first_line(thing: object) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0]


def agents_table() -> str:
    rows = [
        (
            f"`{agent.spec.name}`",
            agent.spec.does,
            _kinds(agent.spec.hears),
            _kinds(agent.spec.says),
            _kinds(agent.spec.reports),
        )
        for agent in AGENTS
    ]
    edges = [(f"`{name}`", "not an agent", "", "", _kinds(kinds)) for name, kinds in EDGES.items()]
    titles = ("who", "does", "hears", "may say", "may report from the world")
    return f"{HEAD}# Who may say what\n\nThe bus refuses everything else.\n\n{table(titles, rows + edges)}"


def _kinds(types: Iterable[type]) -> str:
    return ", ".join(sorted({f"`{KIND_OF[one]}`" for one in types}))


def messages_table() -> str:
    rows = []
    for body in BODY_TYPES:
        own = inspect.getdoc(body) if body.__doc__ else ""
        fields = ", ".join(f"`{name}`" for name in body.__struct_fields__)
        speaker = "the world" if body.IS_INPUT else "an agent"
        rows.append((f"`{KIND_OF[body]}`", speaker, fields, (own or "").partition("\n")[0]))
    titles = ("kind/version", "said by", "fields", "meaning")
    return f"{HEAD}# Messages\n\nThe closed union; anything else is refused.\n\n{table(titles, rows)}"


def metrics_table() -> str:
    rows = [
        (f"`{metric.name}`", metric.type, metric.unit, ", ".join(f"`{label}`" for label in metric.labels), metric.help)
        for metric in CATALOGUE
    ]
    return f"{HEAD}# Metrics\n\nServed on `/metrics`.\n\n{table(('name', 'type', 'unit', 'labels', 'meaning'), rows)}"


def settings_table() -> str:
    meanings = _meanings()
    rows = [(f"`{PREFIX}{name.upper()}`", f"`{_default(name)}`", meanings[name]) for name in Settings.model_fields]
    titles = ("variable", "default", "meaning")
    return f"{HEAD}# Settings\n\nEnvironment variables. An unknown one stops the start.\n\n{table(titles, rows)}"


_SAID = {
    "state_dir": "$XDG_DATA_HOME/ark, or ~/.local/share/ark",
    "sessions": "always",
    "vault_key_file": "$XDG_CONFIG_HOME/ark/vault.key, or ~/.config/ark/vault.key",
}
"""Defaults that are made, or that are no text."""


def _default(name: str) -> str:
    if name in _SAID:
        return _SAID[name]
    field = Settings.model_fields[name]
    value = field.default_factory() if field.default_factory is not None else field.default  # type: ignore[call-arg]
    return ",".join(value) if isinstance(value, tuple | dict) else str(value)


def _meanings() -> dict[str, str]:
    """What the docstring of `Settings` says of each."""
    meanings: dict[str, str] = {}
    names: list[str] = []
    _, _, text = (inspect.getdoc(Settings) or "").partition("Attributes:\n")
    for line in text.splitlines():
        before, colon, after = line.strip().partition(": ")
        if colon and line.startswith("    ") and not line.startswith("     "):
            names = [name.strip() for name in before.split(",")]
            meanings |= dict.fromkeys(names, after)
        else:
            meanings |= {name: f"{meanings[name]} {line.strip()}" for name in names}
    return meanings


def commands_table() -> str:
    sections = []
    for command in COMMANDS:
        parser = argparse.ArgumentParser(prog=f"ark {command.name}", add_help=False)
        command.arguments(parser)
        sections += [_section(parser, command.help, level=2), *_actions(parser)]
    return (
        f"{HEAD}# Commands\n\nExit codes: 0 fine, 1 a finding, 2 usage or configuration, 3 unavailable, 130 stopped before the end.\n\n"
        + "\n".join(sections)
    )


def _actions(parser: argparse.ArgumentParser) -> list[str]:
    """The sections of what a command can be followed by, each below it."""
    sections = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, inner in action.choices.items():
                sections += [_section(inner, helps.get(name, ""), level=3), *_actions(inner)]
    return sections


def _section(parser: argparse.ArgumentParser, does: str, *, level: int) -> str:
    own = [one for one in parser._actions if not isinstance(one, argparse._HelpAction | argparse._SubParsersAction)]
    rows = [(f"`{_flags(action)}`", action.help or "") for action in own]
    told = f"{'#' * level} `{parser.prog}`\n\n{does[:1].upper()}{does[1:]}.\n"
    return f"{told}\n{table(('argument', 'meaning'), rows)}" if rows else told


def _flags(action: argparse.Action) -> str:
    return ", ".join(action.option_strings) or str(action.metavar or action.dest)
