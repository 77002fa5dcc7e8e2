"""`ark rules release`: what its words are, and what it says."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deployment.commands.port import add_json, print_json
from mutable_core.clock import wall_ns
from mutable_core.errors import SettingsRefused

if TYPE_CHECKING:
    from deployment.rules.ceremony import Plan
    from graveyard.seal import Seal

DAYS = 90


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--signer",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a private key; two different ones sign",
    )
    parser.add_argument(
        "--passphrase-file", type=Path, action="append", default=[], metavar="FILE",
        help="opens the key given at the same place; without one, an encrypted key is asked for",
    )  # fmt: skip
    parser.add_argument(
        "--accept-looser", type=_ids, action="append", default=[], metavar="5,7",
        help="the rules that let more pass than before; once per signer, who thereby agrees",
    )  # fmt: skip
    parser.add_argument(
        "--pin", type=Path, action="append", default=[], metavar="FILE",
        help="a public key to pin, three times; only in the first ceremony, or when keys change",
    )  # fmt: skip
    parser.add_argument("--not-before", type=_day, default=None, metavar="DATE", help="first day, UTC (default: today)")
    parser.add_argument("--days", type=int, default=DAYS, help=f"how long it counts, 1–731 (default {DAYS})")
    parser.add_argument(
        "--journal", type=Path, default=None, help="also say which decisions of this journal the new rules would flip"
    )
    step = parser.add_mutually_exclusive_group()
    step.add_argument("--dry-run", action="store_true", help="check, prove and compare; write nothing")
    step.add_argument("--prepare", action="store_true", help="write a draft that others sign on their own machines")
    step.add_argument(
        "--sign", type=Path, default=None, metavar="FILE", help="add the signature of this key to the draft"
    )
    step.add_argument("--finish", action="store_true", help="check the signed draft and install it")
    add_json(parser)


def _ids(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"`{text}` is no list of rule numbers; write 5,7") from error


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"`{text}` is no day; write 2026-01-31") from error


def run(arguments: argparse.Namespace) -> int:
    """Do one step of the ceremony; 0 where it is done, or would be."""
    from deployment.rules import ceremony
    from graveyard.seal import graveyard_folder

    folder, now_ns = graveyard_folder(), wall_ns()
    _demand_sense(arguments)
    if arguments.sign or arguments.finish:
        draft = ceremony.read_draft(folder)
        keys = _keys((arguments.sign,), arguments) if arguments.sign else ()
        if arguments.finish:
            ceremony.demand_signers(draft.seal, draft.pinned)  # before it is proved once more
        plan = ceremony.plan_of_draft(folder, draft)
    else:
        keys = _keys(arguments.signer, arguments)
        terms = ceremony.Terms(arguments.not_before or ceremony.day_of(now_ns), arguments.days, _pinned(arguments.pin))
        plan = ceremony.plan(folder, terms)
    if not arguments.json:
        print("\n".join(_changes(plan)))
    flips = _flips(arguments, plan)
    seal = ceremony.signed(plan, keys)
    written = _write(arguments, folder, plan, seal, now_ns)
    _tell(arguments, plan, seal, written, flips)
    return 0


def _demand_sense(arguments: argparse.Namespace) -> None:
    """What cannot succeed is said before anything is proved."""
    alone = arguments.prepare or arguments.finish
    one_go = not (alone or arguments.sign or arguments.dry_run)
    if arguments.signer and (alone or arguments.sign):
        raise SettingsRefused("`--signer` belongs to a release in one go", to_do="sign a draft with `--sign FILE`")
    if (arguments.sign or arguments.finish) and (arguments.pin or arguments.not_before or arguments.days != DAYS):
        raise SettingsRefused("the draft says from when, how long and whose keys", to_do="give those to `--prepare`")
    if one_go and len(arguments.signer) < 2:
        raise SettingsRefused(
            "two signers are needed",
            to_do="give `--signer FILE` twice, or begin with `--prepare`, or look with `--dry-run`",
        )
    signers = 1 if arguments.sign else len(arguments.signer)
    if len(arguments.accept_looser) not in {0, signers}:
        raise SettingsRefused(
            f"`--accept-looser` was given {len(arguments.accept_looser)} times for {signers} signers",
            to_do="give it once per signer, at the same place",
        )
    if len(arguments.passphrase_file) > signers:
        raise SettingsRefused("there are more passphrases than keys", to_do="give one `--passphrase-file` per key")


def _keys(
    paths: Sequence[Path], arguments: argparse.Namespace
) -> tuple[tuple[Ed25519PrivateKey, tuple[int, ...]], ...]:
    from deployment.rules.keys import passphrase_in, private_key

    files: list[Path | None] = [*arguments.passphrase_file, *[None] * len(paths)]
    accepted = arguments.accept_looser or [()] * len(paths)
    return tuple(
        (private_key(path, passphrase_in(file) if file else _asked(path)), tuple(ids))
        for path, file, ids in zip(paths, files, accepted, strict=False)
    )


def _asked(path: Path) -> bytes | None:
    """The passphrase of an encrypted key, from the person at the terminal."""
    import sys
    from getpass import getpass

    from deployment.rules.keys import is_encrypted

    if not is_encrypted(path):
        return None
    if not sys.stdin.isatty():
        raise SettingsRefused("the key needs a passphrase", where=str(path), to_do="give `--passphrase-file FILE`")
    return getpass(f"passphrase of {path}: ").encode()


def _pinned(paths: Sequence[Path]) -> tuple[str, ...]:
    """The keys that count from this release on: those of the files, or the present ones."""
    from deployment.rules import pins
    from deployment.rules.keys import public_key
    from graveyard.signers import PINNED

    if not paths:
        return PINNED
    keys = tuple(sorted(public_key(path) for path in paths))
    pins.demand(keys)
    return PINNED if set(keys) == set(PINNED) else keys


def _write(arguments: argparse.Namespace, folder: Path, plan: Plan, seal: Seal, now_ns: int) -> tuple[str, ...]:
    from deployment.rules import ceremony

    if arguments.dry_run:
        return ()
    if arguments.prepare or arguments.sign:
        return (ceremony.write_draft(folder, plan, seal).name,)
    ceremony.install(folder, plan, seal, now_ns=now_ns)
    return (*sorted(plan.files), "SEAL.json")


def _changes(plan: Plan) -> list[str]:
    """The diff, in words; what the signers read."""
    if plan.before is None and not plan.changes:
        return [f"nothing was sealed here before: this is the first release of {plan.seal.ruleset}"]
    lines = [line for change in plan.changes for line in change.in_words()]
    return lines or ["no rule differs from what was sealed before"]


def _flips(arguments: argparse.Namespace, plan: Plan) -> Any:
    if arguments.journal is None:
        return None
    from deployment.commands.port import journal_at
    from deployment.rules.flips import flips_in
    from deployment.rules.rulesets import current

    if plan.before is None:
        raise SettingsRefused(
            "there are no rules to compare the journal's decisions with", to_do="leave `--journal` out"
        )
    return flips_in(journal_at(arguments.journal), plan.before, current())


def _tell(arguments: argparse.Namespace, plan: Plan, seal: Seal, written: tuple[str, ...], flips: Any) -> None:
    if arguments.json:
        print_json({
            "version": seal.version,
            "ruleset": seal.ruleset,
            "source": seal.source,
            "report": seal.report,
            "not_before": seal.not_before,
            "expires": seal.expires,
            "looser": seal.looser,
            "signatures": [one.key for one in seal.signatures],
            "pinned": plan.pinned,
            "golden": plan.golden,
            "changes": [change for change in plan.changes if change.change != "equal"],
            "decisions": flips._asdict() if flips else None,
            "written": written,
        })  # fmt: skip
        return
    from graveyard.signers import PINNED

    if set(plan.pinned) != set(PINNED):
        print(
            "THE PINNED KEYS CHANGE: from now on others may seal the rules, and no signature of the present ones is needed "
            "for that. Whoever reviews this change must know the three: "
            + ", ".join(f"{key[:16]}…" for key in plan.pinned)
        )
    if flips:
        print(f"{len(flips.flips)} of {flips.decisions} decisions of the journal would be others")
    looser = f"; looser: {', '.join(map(str, seal.looser))}" if seal.looser else ""
    print(f"version {seal.version}, ruleset {seal.ruleset[:16]}…, {plan.golden} golden decisions, proved{looser}")
    print(f"valid from {seal.not_before} until {seal.expires}, signed by {len(seal.signatures)}")
    print(f"written: {', '.join(written)}" if written else "nothing was written")
