"""The rulesets that a person can name: `current`, `sealed`, or a file in canonical form."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from graveyard.errors import MalformedRule, SealBroken
from graveyard.ethics import FACT_BOUNDS, RULES, Rule, canonical_ruleset
from graveyard.expressions import Bounds
from graveyard.ruleset import MAX_BYTES, read_ruleset
from graveyard.seal import Seal, good_signatures, graveyard_folder, read_seal
from graveyard.sealed_files import RULES_SEALED, SEAL
from graveyard.signers import PINNED, THRESHOLD
from mutable_core.errors import MalformedSource, UnknownName

CURRENT, SEALED = "current", "sealed"


class Ruleset(NamedTuple):
    """Rules with the admissible space of their facts; `digest` is SHA-256 of their canonical form, 64 hex digits."""

    digest: str
    rules: tuple[Rule, ...]
    bounds: Bounds


class Before(NamedTuple):
    """What was sealed last, signed by enough pinned keys; whether it still is in force is another question.

    Attributes:
        ruleset: None where the language that it was written in is not spoken any more.
    """

    seal: Seal
    ruleset: Ruleset | None


def current() -> Ruleset:
    """The rules in the code."""
    return Ruleset(sha256(canonical_ruleset()).hexdigest(), RULES, FACT_BOUNDS)


def ruleset_named(name: str) -> Ruleset:
    """The ruleset that a person means by `current`, `sealed` or a path.

    Raises:
        UnknownName: there is none there.
        MalformedSource: it is none.
    """
    if name == CURRENT:
        return current()
    path = graveyard_folder() / RULES_SEALED if name == SEALED else Path(name)
    if not path.is_file():
        raise UnknownName(
            "there is no ruleset",
            where=str(path),
            to_do=f"write `{CURRENT}`, `{SEALED}` or the path of a `{RULES_SEALED}`",
        )
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    return _read(data, str(path))


def _read(data: bytes, where: str) -> Ruleset:
    try:
        rules, bounds = read_ruleset(data)
    except MalformedRule as error:
        raise MalformedSource(
            f"{error}", where=where, to_do="give the file as `ark rules release` wrote it, byte for byte"
        ) from error
    return Ruleset(sha256(data).hexdigest(), rules, bounds)


def sealed_before(folder: Path, signers: tuple[str, ...] = PINNED) -> Before | None:
    """What was sealed last in this folder; None where nothing ever was.

    A release is compared with it, so it must be what people signed: whoever could change it could hide a looser rule.

    Raises:
        MalformedSource: a part is missing, is not what was signed, or was signed by too few of the signers.
    """
    seal_path, rules_path = folder / SEAL, folder / RULES_SEALED
    if not seal_path.exists() and not rules_path.exists():
        return None
    to_do = f"restore `{SEAL}`, `{RULES_SEALED}` and `signers.py` as they were released, then release again"
    try:
        data = rules_path.read_bytes()
        seal = read_seal(seal_path.read_bytes())
    except SealBroken as error:
        raise MalformedSource(error.what, where=SEAL, to_do=to_do) from error
    except OSError as error:
        raise MalformedSource(f"what was sealed before cannot be read: {error.strerror}", to_do=to_do) from error
    if sha256(data).hexdigest() != seal.ruleset:
        raise MalformedSource("the rules are not those that were sealed", where=RULES_SEALED, to_do=to_do)
    if len(good_signatures(seal, signers)) < THRESHOLD:
        raise MalformedSource("what was sealed before was not signed by pinned keys", where=SEAL, to_do=to_do)
    try:
        return Before(seal, _read(data, RULES_SEALED))
    except MalformedSource:
        return Before(seal, None)
