"""The pages of docs/reference, each from the code that it is about."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Iterable, Sequence

from deployment.commands import COMMANDS
from deployment.topology.house import AGENTS, EDGES
from graveyard.ethics import FACT_BOUNDS, RULES
from monitoring.catalogue import CATALOGUE
from mutable_core.messages import BODY_TYPES, KIND_OF
from mutable_core.settings import PREFIX, Settings

_HEAD = "<!-- Written by `python -m docs`; do not edit. -->\n"


def _table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    lines += [f"| {' | '.join(_cell(value) for value in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


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
    return f"{_HEAD}# Who may say what\n\nThe bus refuses everything else.\n\n{_table(titles, rows + edges)}"


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
    return f"{_HEAD}# Messages\n\nThe closed union; anything else is refused.\n\n{_table(titles, rows)}"


def metrics_table() -> str:
    rows = [
        (f"`{metric.name}`", metric.type, metric.unit, ", ".join(f"`{label}`" for label in metric.labels), metric.help)
        for metric in CATALOGUE
    ]
    return f"{_HEAD}# Metrics\n\nServed on `/metrics`.\n\n{_table(('name', 'type', 'unit', 'labels', 'meaning'), rows)}"


def rules_table() -> str:
    state = {True: "yes", False: "not yet", "partial": "partly"}
    rows = [
        (rule.id, f"`{rule.name}`", rule.category, rule.severity, rule.limit, state[rule.enforced], rule.why)
        for rule in RULES
    ]
    facts = [(f"`{name}`", bound.low, bound.high, bound.unit) for name, bound in FACT_BOUNDS.items()]
    return (
        f"{_HEAD}# The 26 rules\n\n"
        f"{_table(('#', 'rule', 'category', 'severity', 'limit', 'enforced', 'protects'), rows)}\n"
        "## Facts they read\n\nA missing fact, or one outside these bounds, refuses.\n\n"
        f"{_table(('fact', 'from', 'to', 'unit'), facts)}"
    )


def settings_table() -> str:
    rows = [
        (f"`{PREFIX}{name.upper()}`", f"`{_default(name)}`", _type_name(field.annotation))
        for name, field in Settings.model_fields.items()
    ]
    return f"{_HEAD}# Settings\n\nEnvironment variables. An unknown one stops the start.\n\n{_table(('variable', 'default', 'type'), rows)}"


def _default(name: str) -> str:
    field = Settings.model_fields[name]
    if field.default_factory is not None:
        return "$XDG_DATA_HOME/ark, or ~/.local/share/ark"
    return ",".join(field.default) if isinstance(field.default, tuple) else str(field.default)


def _type_name(annotation: object) -> str:
    return getattr(annotation, "__name__", str(annotation))


def commands_table() -> str:
    sections = []
    for command in COMMANDS:
        parser = argparse.ArgumentParser(prog=f"ark {command.name}", add_help=False)
        command.arguments(parser)
        rows = [(f"`{_flags(action)}`", action.help or "") for action in parser._actions]
        sections.append(
            f"## `ark {command.name}`\n\n{command.help.capitalize()}.\n\n{_table(('argument', 'meaning'), rows)}"
        )
    return (
        f"{_HEAD}# Commands\n\nExit codes: 0 fine, 1 a finding, 2 usage or configuration, 3 unavailable, 130 stopped before the end.\n\n"
        + "\n".join(sections)
    )


def _flags(action: argparse.Action) -> str:
    return ", ".join(action.option_strings) or str(action.metavar or action.dest)
