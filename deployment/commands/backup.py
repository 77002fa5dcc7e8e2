"""`ark backup`: take a backup, see which there are, restore one elsewhere, prove the newest."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployment.commands.port import Command, add_actions, add_json, print_json

if TYPE_CHECKING:
    from deployment.backups.shelf import Shelved
    from mutable_core.settings import Settings


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_actions(parser, ACTIONS, _shared)


def _shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state", type=Path, default=None, help="the state folder (default: $ARK_STATE_DIR)")
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    return int(arguments.act(arguments))


def _add_key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--key", action="append", default=[], metavar="HEX",
        help="a public key whose backups are believed (default: those of the state folder); may be repeated",
    )  # fmt: skip


def _add_shelf(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from", dest="shelf", type=Path, default=None, metavar="FOLDER",
        help="the folder that holds the backups (default: `backups` in the state folder)",
    )  # fmt: skip
    _add_key(parser)


def _restore_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="of the backup, or `newest`")
    parser.add_argument("--into", type=Path, required=True, metavar="FOLDER", help="an empty folder, or a new one")
    parser.add_argument(
        "--new-key", action="store_true", help="the journal's private key is lost: the restored house makes a new one"
    )
    _add_shelf(parser)


def _settings(arguments: argparse.Namespace) -> Settings:
    from mutable_core.settings import settings_from

    settings = settings_from()
    return settings if arguments.state is None else settings.model_copy(update={"state_dir": arguments.state})


def _believed(arguments: argparse.Namespace, state: Path) -> tuple[bytes, ...]:
    """The public keys that count.

    Raises:
        SettingsRefused: `--key` is none.
    """
    from deployment.backups.shelf import believed_keys
    from mutable_core.errors import SettingsRefused

    if not arguments.key:
        return believed_keys(state / "keys")
    try:
        keys = tuple(bytes.fromhex(text) for text in arguments.key)
    except ValueError:
        keys = (b"",)
    if any(len(key) != 32 for key in keys):
        raise SettingsRefused("`--key` is no public key", to_do="write 64 hex digits")
    return keys


def _now(arguments: argparse.Namespace) -> int:
    from deployment.backups.schedule import limits_of, record_backup
    from deployment.backups.taking import take
    from mutable_core.journal.signing import Signer

    settings = _settings(arguments)
    state = settings.state_dir
    _demand_state(state)
    taken, removed = take(state, Signer.open(state / "keys"), limits_of(settings), free_min=settings.disk_free_min)
    record_backup(state, taken)
    if arguments.json:
        print_json(_told(taken) | {"removed": removed})
    else:
        print(_line(taken))
        for name in removed:
            print(f"{name}  removed: it had had its time")
    return 0


def _demand_state(state: Path) -> None:
    from mutable_core.errors import UnknownName

    if not state.is_dir():
        raise UnknownName("there is no state folder", where=str(state), to_do="run `ark run` first, or give `--state`")


def _list(arguments: argparse.Namespace) -> int:
    from deployment.backups.shelf import names_on, shelved
    from mutable_core.errors import UnknownName

    state = _settings(arguments).state_dir
    shelf = arguments.shelf or state / "backups"
    if arguments.shelf is None:
        _demand_state(state)
    elif not shelf.is_dir():
        raise UnknownName("there is no such folder", where=str(shelf), to_do="give the one that holds the backups")
    believed = _believed(arguments, state)
    found = [shelved(shelf, name, believed) for name in names_on(shelf)]
    if arguments.json:
        print_json({"folder": str(shelf), "backups": [_told(one) for one in found]})
    else:
        print("\n".join(map(_line, found)) or f"no backups in {shelf}")
    return 1 if any(one.finding for one in found) else 0


def _restore(arguments: argparse.Namespace) -> int:
    from deployment.backups.restoring import restore
    from deployment.backups.shelf import named

    state = _settings(arguments).state_dir
    shelf = arguments.shelf or state / "backups"
    name = named(shelf, arguments.name)
    manifest = restore(shelf / name, arguments.into, _believed(arguments, state), new_key=arguments.new_key)
    if arguments.json:
        rows = {run.folder: run.rows for run in manifest.runs}
        print_json({"backup": name, "into": str(arguments.into), "rows": rows, "new_key": arguments.new_key})
    else:
        print(f"{name} is restored in {arguments.into}: {len(manifest.runs)} runs, every row verified")
        if not arguments.new_key:
            print("before a house starts there, put the journal's private key back: keys/journal.key")
    return 0


def _drill(arguments: argparse.Namespace) -> int:
    import msgspec

    from deployment.backups.drill import drill
    from deployment.backups.schedule import record
    from mutable_core.clock import wall_ns
    from mutable_core.journal.signing import Signer

    state = _settings(arguments).state_dir
    _demand_state(state)
    drilled = drill(state / "backups", Signer.open(state / "keys"), _believed(arguments, state))
    told = msgspec.structs.asdict(drilled)
    record(state, "drill", told | {"at_ns": wall_ns()})
    if arguments.json:
        print_json(told)
    elif drilled.ok:
        print(
            f"{drilled.name}: restored and replayed, {drilled.rows} rows, {drilled.compared} said again byte for byte, "
            f"{drilled.snapshots} snapshots compared, in {drilled.took_ms / 1000:.1f} s"
        )
    else:
        print(f"{drilled.name or 'drill'}: {drilled.finding}")
    return 0 if drilled.ok else 1


def _told(one: Shelved) -> dict[str, Any]:
    manifest = one.manifest
    return {
        "name": one.name,
        "ok": manifest is not None,
        "finding": one.finding,
        "taken_ns": str(manifest.taken_ns) if manifest else None,
        "bytes": manifest.size if manifest else None,
        "runs": {run.folder: {"rows": run.rows, "head": run.head} for run in manifest.runs} if manifest else {},
    }


def _line(one: Shelved) -> str:
    if one.manifest is None:
        return f"{one.name}  not good: {one.finding}"
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(one.manifest.taken_ns // 1_000_000_000))
    rows = sum(run.rows for run in one.manifest.runs)
    return f"{one.name}  taken {at} UTC  {one.manifest.size:,} bytes  {len(one.manifest.runs)} runs  {rows:,} rows"


def _nothing(_parser: argparse.ArgumentParser) -> None:
    return None


ACTIONS = (
    Command("now", "take a backup, whether a house runs or not", _nothing, _now),
    Command(
        "list",
        "which there are, and whether each is signed and complete; `drill` reads the contents",
        _add_shelf,
        _list,
    ),
    Command("restore", "put one into an empty folder, verified", _restore_arguments, _restore),
    Command("drill", "prove the newest: restore it, verify it, replay it, compare", _add_key, _drill),
)

COMMAND = Command("backup", "take, list, restore and prove backups of the state folder", _arguments, _run)
