"""`ark state`: look at versioned state, write the operator's part of it, and go back. Works while a house runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployment.commands.port import Command, print_json
from deployment.desk.asking import add_by, add_state, by_of, state_of

if TYPE_CHECKING:
    from mutable_core.state.points import KeyPoint
    from mutable_core.state_manager import Change, Entry, StateManager, Writer
    from mutable_core.vault import Vault

_POINT = "a revision of the store, a snapshot's name, or a time (UTC)"


def _arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for action in _ACTIONS:
        one = actions.add_parser(action.name, help=action.help, description=action.help, allow_abbrev=False)
        action.arguments(one)
        add_state(one)
        one.set_defaults(act=action.run)


def _run(arguments: argparse.Namespace) -> int:
    return int(arguments.act(arguments))


# -- the store, and what is said of it -------------------------------------------------------------------------------------


def _store(arguments: argparse.Namespace) -> Path:
    from mutable_core.state_manager import STATE

    return state_of(arguments) / STATE


def _looked_at(arguments: argparse.Namespace, vault: Vault | None = None) -> StateManager:
    from mutable_core.state_manager import StateManager

    return StateManager.open_read_only(_store(arguments), vault=vault)


def _opened(arguments: argparse.Namespace, vault: Vault | None = None, *, make: bool = False) -> StateManager:
    from mutable_core.state.schema import format_of
    from mutable_core.state_manager import StateManager

    if not make:
        format_of(_store(arguments))
    return StateManager.open(_store(arguments), vault=vault)


def _operator(arguments: argparse.Namespace, manager: StateManager) -> Writer:
    return manager.writer("operator", person=by_of(arguments))


def _vault(arguments: argparse.Namespace) -> Vault:
    from mutable_core.settings import settings_from
    from mutable_core.vault import Vault

    return Vault.open(settings_from().vault_key_file, outside=state_of(arguments))


def _tell(arguments: argparse.Namespace, result: dict[str, Any], *lines: str) -> int:
    if arguments.json:
        print_json(result)
    else:
        for line in lines:
            print(line)
    return 0


def _entry(one: Entry) -> dict[str, Any]:
    from mutable_core.privacy import redacted

    plain = one._asdict() | {"ts_ns": str(one.ts_ns), "revision": one.revision}
    return plain | {name: redacted(plain[name]) for name in ("key", "person", "reason")}


def _line(one: Entry) -> str:
    from deployment.desk.pages import legible
    from mutable_core.privacy import redacted
    from mutable_core.state.points import in_words

    what = f"{one.kind} to version {one.restores}" if one.restores else one.kind
    marks = [
        name
        for name, holds in (("secret", one.is_secret), ("gone", one.is_deleted), ("pruned", one.is_pruned))
        if holds
    ]
    who = f"{one.author} ({one.person})" if one.person else one.author
    words = [f"{one.version:>6}", f"r{one.revision:<7}", in_words(one.ts_ns), who, what, *marks]
    return legible(" ".join(words) + (f": {redacted(one.reason)}" if one.reason else ""))


# -- looking ---------------------------------------------------------------------------------------------------------------


def _get_arguments(parser: argparse.ArgumentParser) -> None:
    _key_arguments(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--version", type=int, default=None, metavar="N", help="this version of the key")
    which.add_argument("--at", default=None, metavar="POINT", help=_POINT)
    parser.add_argument("--reveal", action="store_true", help="show a secret; needs the vault's key")


def _key_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("namespace", metavar="NAMESPACE", help="an agent, `house` or `operator`")
    parser.add_argument("key", metavar="KEY")


def _at(arguments: argparse.Namespace) -> KeyPoint | None:
    from mutable_core.state.points import Version, point

    if arguments.version is not None:
        return Version(arguments.version)
    return None if arguments.at is None else point(arguments.at)


def _get(arguments: argparse.Namespace) -> int:
    from mutable_core.errors import UnknownName
    from mutable_core.state.notation import as_json, written

    at = _at(arguments)
    with _looked_at(arguments, _vault(arguments) if arguments.reveal else None) as manager:
        entry = manager.entry(arguments.namespace, arguments.key, at=at)
        if entry is None or entry.is_deleted:
            raise UnknownName(
                f"`{arguments.key[:80]}` is not there", where=arguments.namespace, to_do="see `ark state keys`"
            )
        value = _shown(manager, entry, reveal=arguments.reveal)
    return _tell(arguments, _entry(entry) | {"value": as_json(value)}, written(value))


def _shown(manager: StateManager, entry: Entry, *, reveal: bool = False) -> Any:
    """The value as it may be shown: a secret only where it was asked for."""
    from mutable_core.privacy import redacted_value
    from mutable_core.state.points import Version

    if entry.is_secret and not reveal:
        return "[secret]"
    found = manager.get(entry.namespace, entry.key, at=Version(entry.version))
    value = None if found is None else found.value
    return value if entry.is_secret else redacted_value(value)


def _keys_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("namespace", nargs="?", default=None, metavar="NAMESPACE", help="only of this one")


def _keys(arguments: argparse.Namespace) -> int:
    from mutable_core.privacy import redacted

    with _looked_at(arguments) as manager:
        found = [f"{namespace} {redacted(key)}" for namespace, key in manager.keys(arguments.namespace)]
    return _tell(arguments, {"keys": [line.split(" ", 1) for line in found]}, *found)


def _history_arguments(parser: argparse.ArgumentParser) -> None:
    _key_arguments(parser)
    parser.add_argument("--last", type=int, default=20, metavar="N", help="the last N versions (default 20)")


def _history(arguments: argparse.Namespace) -> int:
    with _looked_at(arguments) as manager:
        found = manager.history(arguments.namespace, arguments.key, last=max(1, arguments.last))
    return _tell(arguments, {"versions": [_entry(one) for one in found]}, *map(_line, found))


def _diff_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("before", metavar="A", help=_POINT)
    parser.add_argument("after", metavar="B", help=_POINT)
    parser.add_argument("--namespace", default=None, help="only this one")


def _diff(arguments: argparse.Namespace) -> int:
    from mutable_core.state.points import point

    with _looked_at(arguments) as manager:
        found = manager.diff(point(arguments.before), point(arguments.after), namespace=arguments.namespace)
        changes = [_change(manager, one) for one in found]
    return _tell(arguments, {"changes": changes}, *(_change_line(one) for one in changes))


def _change(manager: StateManager, one: Change) -> dict[str, Any]:
    from mutable_core.privacy import redacted
    from mutable_core.state.notation import as_json

    sides = {"before": one.before, "after": one.after}
    values = {
        f"{name}_value": "[pruned]" if entry.is_pruned else as_json(_shown(manager, entry))
        for name, entry in sides.items()
        if entry is not None
    }
    versions = {name: None if entry is None else entry.version for name, entry in sides.items()}
    return {"namespace": one.namespace, "key": redacted(one.key)} | versions | values


def _change_line(change: dict[str, Any]) -> str:
    import json

    def side(name: str) -> str:
        if change[name] is None:
            return "nothing"
        return f"version {change[name]} {json.dumps(change[f'{name}_value'])}"

    return f"{change['namespace']} {change['key']}: {side('before')} → {side('after')}"


def _snapshots(arguments: argparse.Namespace) -> int:
    from deployment.desk.pages import legible
    from mutable_core.privacy import redacted
    from mutable_core.state.points import in_words

    with _looked_at(arguments) as manager:
        found = manager.snapshots()
    lines = [
        legible(f"{one.name:20} r{one.revision:<7} {in_words(one.ts_ns)} {one.person} {redacted(one.reason)}").rstrip()
        for one in found
    ]
    listed = [one._asdict() | {"ts_ns": str(one.ts_ns), "reason": redacted(one.reason)} for one in found]
    return _tell(arguments, {"snapshots": listed}, *lines)


# -- writing ---------------------------------------------------------------------------------------------------------------


def _set_arguments(parser: argparse.ArgumentParser) -> None:
    _key_arguments(parser)
    parser.add_argument("value", metavar="VALUE", help="a text; `-` reads it from stdin, as a secret must be")
    parser.add_argument("--json-value", action="store_true", help='VALUE is JSON; exact: {"$decimal": "1.50"}')
    parser.add_argument("--secret", action="store_true", help="store it sealed with the vault's key")
    _write_arguments(parser)


def _write_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--expect", type=int, default=None, metavar="VERSION", help="only if the key is at this version"
    )
    _who_arguments(parser)


def _who_arguments(parser: argparse.ArgumentParser) -> None:
    add_by(parser)
    parser.add_argument("--reason", default="", metavar="TEXT", help="why: it is kept for ever")


def _set(arguments: argparse.Namespace) -> int:
    from mutable_core.state.notation import read

    text = _text(arguments)
    value = read(text) if arguments.json_value else text
    with _opened(arguments, _vault(arguments) if arguments.secret else None, make=True) as manager:
        version = _operator(arguments, manager).put(
            arguments.namespace, arguments.key, value,
            expect=arguments.expect, secret=arguments.secret, reason=arguments.reason,
        )  # fmt: skip
    return _written(arguments, version)


def _text(arguments: argparse.Namespace) -> str:
    from mutable_core.errors import SettingsRefused

    if arguments.value == "-":
        return sys.stdin.read().removesuffix("\n")
    if arguments.secret:
        raise SettingsRefused(
            "a secret on the command line is in the list of processes and in the shell's history",
            to_do="give `-` as VALUE, and the secret on stdin",
        )
    return str(arguments.value)


def _written(arguments: argparse.Namespace, version: int, *, is_gone: bool = False) -> int:
    result = {"namespace": arguments.namespace, "key": arguments.key, "version": version, "is_deleted": is_gone}
    return _tell(arguments, result, _standing(arguments.namespace, arguments.key, version, is_gone=is_gone))


def _standing(namespace: str, key: str, version: int, *, is_gone: bool) -> str:
    """Going back to a time before a key was there takes it away: who asked for a value must be told."""
    return f"{namespace} {key} is at version {version}" + (": it is not there any more" if is_gone else "")


def _delete_arguments(parser: argparse.ArgumentParser) -> None:
    _key_arguments(parser)
    _write_arguments(parser)


def _delete(arguments: argparse.Namespace) -> int:
    with _opened(arguments) as manager:
        version = _operator(arguments, manager).delete(
            arguments.namespace, arguments.key, expect=arguments.expect, reason=arguments.reason
        )
    return _written(arguments, version, is_gone=True)


def _snapshot_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="begins with a letter; never given twice")
    _who_arguments(parser)


def _snapshot(arguments: argparse.Namespace) -> int:
    with _opened(arguments) as manager:
        revision = _operator(arguments, manager).snapshot(arguments.name, reason=arguments.reason)
    return _tell(arguments, {"name": arguments.name, "revision": revision}, f"{arguments.name} is revision {revision}")


def _rollback_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("of", nargs="*", metavar="NAMESPACE KEY", help="one key")
    parser.add_argument("--namespace", default=None, metavar="NAMESPACE", help="all keys of this namespace")
    parser.add_argument("--everything", action="store_true", help="all keys of all namespaces")
    parser.add_argument("--to", required=True, metavar="POINT", help=f"of one key: its version; else {_POINT}")
    add_by(parser)
    parser.add_argument("--reason", required=True, metavar="TEXT", help="why: it is kept for ever")


def _rollback(arguments: argparse.Namespace) -> int:
    from mutable_core.errors import SettingsRefused
    from mutable_core.state.points import key_point, point

    meant = [len(arguments.of) == 2, arguments.namespace is not None, arguments.everything]
    if sum(meant) != 1 or len(arguments.of) not in {0, 2}:
        raise SettingsRefused("say what goes back: NAMESPACE KEY, `--namespace NAMESPACE`, or `--everything`")
    with _opened(arguments) as manager:
        operator = _operator(arguments, manager)
        if arguments.of:
            arguments.namespace, arguments.key = arguments.of
            to = key_point(arguments.to)
            version = operator.rollback(arguments.namespace, arguments.key, to, reason=arguments.reason)
            entry = manager.entry(arguments.namespace, arguments.key)
            return _written(arguments, version, is_gone=entry is not None and entry.is_deleted)
        if arguments.everything:
            changed = operator.rollback_everything(point(arguments.to), reason=arguments.reason)
        else:
            changed = operator.rollback_namespace(arguments.namespace, point(arguments.to), reason=arguments.reason)
    lines = [_standing(one.namespace, one.key, one.version, is_gone=one.is_deleted) for one in changed]
    return _tell(arguments, {"changed": [_entry(one) for one in changed]}, *(lines or ["nothing was different"]))


# -- keeping ---------------------------------------------------------------------------------------------------------------


def _verify_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rebuild", action="store_true", help="first write down anew where each key stands, from the versions"
    )


def _verify(arguments: argparse.Namespace) -> int:
    from mutable_core.state.verify import verify

    if arguments.rebuild:
        with _opened(arguments) as manager:
            manager.rebuild_heads()
    path = _store(arguments)
    report = verify(path)
    what = (
        f"{report.revisions} revisions of {report.keys} keys, whole; head {report.head}"
        if report.ok
        else report.finding
    )
    _tell(arguments, report._asdict() | {"state": str(path)}, f"{path}: {what}")
    return 0 if report.ok else 1


def _prune_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--keep-versions", type=int, required=True, metavar="N", help="newest versions of each key, ≥ 1"
    )
    parser.add_argument(
        "--keep-days", type=int, default=None, metavar="D", help="and whatever stood in the last D days"
    )
    _who_arguments(parser)


def _prune(arguments: argparse.Namespace) -> int:
    with _opened(arguments) as manager:
        count = _operator(arguments, manager).prune(
            keep_versions=arguments.keep_versions, keep_days=arguments.keep_days, reason=arguments.reason
        )
        manager.vacuum()
    return _tell(arguments, {"dropped": count}, f"{count} values dropped; their rows and numbers stay")


def _key_file_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        choices=("new", "rotate"),
        help="`new` makes the file; `rotate` adds a key, and seals all secrets with it",
    )
    add_by(parser)


def _key_file(arguments: argparse.Namespace) -> int:
    from mutable_core.settings import settings_from
    from mutable_core.vault import add_key, new_key

    path, outside = settings_from().vault_key_file, state_of(arguments)
    if arguments.what == "new":
        new_key(path, outside=outside)
        return _tell(arguments, {"key_file": str(path)}, f"{path} is made; keep a copy: nothing else opens the secrets")
    add_key(path, outside=outside)
    with _opened(arguments, _vault(arguments)) as manager:
        count = _operator(arguments, manager).reseal(reason="key rotated")
    return _tell(
        arguments,
        {"key_file": str(path), "resealed": count},
        f"{count} secrets sealed anew; older versions still need the older keys",
    )


_ACTIONS = (
    Command("get", "a value, as JSON that tells its type", _get_arguments, _get),
    Command("set", "write a new version of a key of the namespace `operator`", _set_arguments, _set),
    Command(
        "delete", "say that a key of the namespace `operator` is not there from now on", _delete_arguments, _delete
    ),
    Command("keys", "what is there now", _keys_arguments, _keys),
    Command("history", "the versions of a key, the newest first", _history_arguments, _history),
    Command("diff", "what was different at two points", _diff_arguments, _diff),
    Command("snapshot", "give the state as it is now a name", _snapshot_arguments, _snapshot),
    Command("snapshots", "the named snapshots", lambda _: None, _snapshots),
    Command(
        "rollback",
        "make a key, a namespace or everything what it was, as a new version",
        _rollback_arguments,
        _rollback,
    ),
    Command("verify", "check every version, number, hash and right", _verify_arguments, _verify),
    Command("prune", "drop values of old versions", _prune_arguments, _prune),
    Command("key", "the key of the secrets", _key_file_arguments, _key_file),
)

COMMAND = Command("state", "versioned state: look, write, compare, go back", _arguments, _run)
