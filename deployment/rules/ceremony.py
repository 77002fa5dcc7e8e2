"""The release of rules: check them, prove them, say in words what changes, have two people sign, install.

Nothing is written before everything holds. The steps are the same whether two keys lie here (`release`) or each signer
has a machine of their own (`prepare`, `sign`, `finish`): every machine checks and proves for itself, and signs only
what it has found too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deployment.rules import pins
from deployment.rules.changes import Change, changes_between, looser_rules
from deployment.rules.errors import ReleaseRefused
from deployment.rules.evidence import Evidence, evidence_for
from deployment.rules.keys import public_of
from deployment.rules.rulesets import Ruleset, current, sealed_before
from graveyard.errors import SealBroken
from graveyard.ethics import canonical_ruleset
from graveyard.seal import (
    FORMAT,
    MAX_BYTES,
    Seal,
    Signature,
    encode_seal,
    examine,
    good_signatures,
    midnight_ns,
    read_seal,
    signed_bytes,
)
from graveyard.sealed_files import DRAFT, PROOFS, RULES_SEALED, SEAL, read_folder, source_digest
from graveyard.signers import PINNED, THRESHOLD
from mutable_core.durable import sync
from mutable_core.errors import MalformedSource, SettingsRefused

DAYS, DAYS_MAX = 90, 731


class Terms(NamedTuple):
    """From when on the release counts, for how long, and whose keys count from it on.

    Attributes:
        not_before: a day, UTC.
        days: 1–731.
        pinned: public keys, 64 hex digits; the present ones, or three others.
    """

    not_before: date
    days: int
    pinned: tuple[str, ...]


class Plan(NamedTuple):
    """A release as it would be, checked and proved, signed by nobody.

    Attributes:
        files: what would be written, by name; the seal not among them.
        changes: per rule, against what was sealed before; empty for a first release.
        golden: how many golden decisions were checked.
    """

    seal: Seal
    files: Mapping[str, bytes]
    pinned: tuple[str, ...]
    changes: tuple[Change, ...]
    golden: int
    before: Ruleset | None


class Draft(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A seal on its way between signers, and the keys that it pins."""

    pinned: tuple[str, ...]
    seal: Seal


def day_of(now_ns: int) -> date:
    """The day, in UTC."""
    return datetime.fromtimestamp(now_ns // 10**9, UTC).date()


def plan(
    folder: Path, terms: Terms, *, prove: Callable[[str], Evidence] = evidence_for, signers: tuple[str, ...] = PINNED
) -> Plan:
    """Check and prove the rules in the code, and compare them with what was sealed before.

    Args:
        folder: of the Graveyard.
        terms: of the release.
        prove: what speaks for the ruleset with this digest.
        signers: the keys that are pinned until now.

    Raises:
        SettingsRefused: the terms are out of range.
        MalformedSource: what was sealed before is not what was signed.
        ReleaseRefused: the golden decisions are not what the rules say, or something is not proved.
    """
    if not 1 <= terms.days <= DAYS_MAX:
        raise SettingsRefused(f"{terms.days} days are not in 1–{DAYS_MAX}", to_do=f"leave `--days` out for {DAYS}")
    before = sealed_before(folder, signers)
    new = current()
    golden, report = prove(new.digest)
    changes = changes_between(before.ruleset, new) if before else ()
    files = {RULES_SEALED: canonical_ruleset(), PROOFS: report}
    if terms.pinned != signers:
        files[pins.NAME] = pins.rewritten((folder / pins.NAME).read_text(), terms.pinned)
    found = read_folder(folder)
    if found.faults:
        raise ReleaseRefused(f"the folder cannot be sealed: {found.faults[0]}", where=str(folder))
    seal = Seal(
        format=FORMAT,
        version=before.seal.version + 1 if before else 1,
        not_before=terms.not_before.isoformat(),
        expires=(terms.not_before + timedelta(days=terms.days)).isoformat(),
        ruleset=new.digest,
        source=source_digest({**found.files, **files}),
        report=sha256(report).hexdigest(),
        looser=looser_rules(changes),
        signatures=(),
    )
    return Plan(seal, files, terms.pinned, changes, golden, before.ruleset if before else None)


def signed(plan: Plan, keys: Sequence[tuple[Ed25519PrivateKey, tuple[int, ...]]]) -> Seal:
    """The plan's seal, signed by each key whose holder has named exactly the looser rules.

    `keys` come each with the ids that its holder accepts as looser.

    Raises:
        ReleaseRefused: a holder has not named them, or has signed already.
        SettingsRefused: a key is not pinned.
    """
    seal = plan.seal
    for key, accepted in keys:
        seal = _sign(seal, plan, key, accepted)
    return seal


def _sign(seal: Seal, plan: Plan, key: Ed25519PrivateKey, accepted: tuple[int, ...]) -> Seal:
    public = public_of(key)
    if public not in plan.pinned:
        raise SettingsRefused(
            f"the key `{public[:8]}…` is not pinned", to_do="sign with a pinned key, or pin three others with `--pin`"
        )
    if tuple(sorted(set(accepted))) != seal.looser:
        named = ",".join(map(str, seal.looser)) or "none"
        raise ReleaseRefused(
            f"looser are the rules: {named}; accepted by `{public[:8]}…`: {','.join(map(str, accepted)) or 'none'}",
            to_do="read the diff; every signer who agrees writes `--accept-looser` with exactly these"
            if seal.looser
            else "leave `--accept-looser` out",
        )
    if any(one.key == public for one in seal.signatures):
        raise ReleaseRefused(f"`{public[:8]}…` has signed already", to_do="ask another signer")
    mine = Signature(public, key.sign(signed_bytes(seal)).hex())
    return msgspec.structs.replace(seal, signatures=tuple(sorted((*seal.signatures, mine), key=lambda one: one.key)))


def install(folder: Path, plan: Plan, seal: Seal, *, now_ns: int) -> None:
    """Write the release; the seal last, so that whatever stops it in between is a broken seal.

    Raises:
        ReleaseRefused: too few have signed, the release does not count yet, or what was written does not hold.
    """
    demand_signers(seal, plan.pinned)
    if now_ns < midnight_ns(seal.not_before):
        raise ReleaseRefused(f"the release does not count before {seal.not_before}", to_do="install it on that day")
    if now_ns >= midnight_ns(seal.expires):
        raise ReleaseRefused(f"the release would have expired on {seal.expires}", to_do="give it more `--days`")
    for name, data in plan.files.items():
        write(folder / name, data)
    write(folder / SEAL, encode_seal(seal))
    with suppress(FileNotFoundError):
        (folder / DRAFT).unlink()
    faults = examine(folder, now_ns=now_ns, pinned=plan.pinned, newest_version=seal.version).faults
    if faults:
        raise ReleaseRefused(f"what was written does not hold: {faults[0]}", to_do="release again")


def demand_signers(seal: Seal, pinned: tuple[str, ...]) -> None:
    """Raises ReleaseRefused where too few pinned keys have signed exactly this, or anybody else has."""
    good = len(good_signatures(seal, pinned))
    if good < THRESHOLD or good != len(seal.signatures):
        raise ReleaseRefused(f"{good} of {THRESHOLD} pinned keys have signed", to_do="ask another signer")


def write_draft(folder: Path, plan: Plan, seal: Seal) -> Path:
    """Put the seal down for the next signer; nothing that is sealed changes."""
    path = folder / DRAFT
    # In place: a file beside it, however short-lived, would be one too many for whoever watches the seal.
    path.write_bytes(msgspec.json.encode(Draft(plan.pinned, seal), order="sorted"))
    return path


def read_draft(folder: Path) -> Draft:
    """The draft that lies there; nothing about it is believed yet.

    Raises:
        MalformedSource: there is none, or it is no draft.
    """
    to_do = "begin with `ark rules release --prepare`"
    try:
        data = (folder / DRAFT).read_bytes()[: 2 * MAX_BYTES]
        draft = msgspec.json.decode(data, type=Draft)
        read_seal(encode_seal(draft.seal))
    except FileNotFoundError as error:
        raise MalformedSource("there is no draft", where=str(folder / DRAFT), to_do=to_do) from error
    except (msgspec.MsgspecError, UnicodeError, RecursionError, SealBroken) as error:
        raise MalformedSource(f"this is no draft: {error}", where=str(folder / DRAFT), to_do=to_do) from error
    return draft


def plan_of_draft(
    folder: Path, draft: Draft, *, prove: Callable[[str], Evidence] = evidence_for, signers: tuple[str, ...] = PINNED
) -> Plan:
    """The plan as this machine finds it, which must be the draft's in everything; arguments as in `plan`.

    Raises:
        ReleaseRefused: it is not.
    """
    seal = draft.seal
    pins.demand(draft.pinned)
    first, last = date.fromisoformat(seal.not_before), date.fromisoformat(seal.expires)
    found = plan(folder, Terms(first, (last - first).days, draft.pinned), prove=prove, signers=signers)
    proposed = msgspec.structs.replace(seal, signatures=())
    if found.seal != proposed:
        differs = [name for name in Seal.__struct_fields__ if getattr(found.seal, name) != getattr(proposed, name)]
        raise ReleaseRefused(
            f"the draft is not about the files here: `{', '.join(differs)}` differ",
            to_do="bring the checkout to the state of the one who prepared it, or prepare again",
        )
    return found._replace(seal=seal)


def write(path: Path, data: bytes) -> None:
    """Replace the file in one step, durably; a file that says the same already is left alone."""
    if path.is_file() and not path.is_symlink() and path.read_bytes() == data:
        return
    beside = path.with_name(f".{path.name}.new")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    sync(path.parent)
