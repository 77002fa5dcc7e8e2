"""The seal: two of three people have signed these rules, their source and their proofs, for a time.

`SEAL.json` stands in the Graveyard's folder. It binds the digest of the canonical rules (`RULES.json`, and the rules
that this process has loaded), of every source file of the folder, and of the proof report (`PROOFS.json`). It holds
only where nothing at all is wrong: two good signatures beside an unknown one are a broken seal.

What it cannot do: whoever runs as the same user can replace this file as well. Against them stands the authority in a
process of its own; against quiet changes, accidents and everybody else stands this.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

import graveyard
from graveyard import ethics
from graveyard.errors import MalformedRule, SealBroken
from graveyard.ethics import ruleset_digest
from graveyard.ruleset import read_ruleset
from graveyard.sealed_files import PROOFS, RULES_SEALED, SEAL, read_folder, source_digest
from graveyard.signers import EXAMPLE_KEYS, PINNED, THRESHOLD

FORMAT = 1
MAX_BYTES = 16_384  # of SEAL.json; capped before it is parsed
MAX_VERSION = 10**9
MAX_PROOF_BYTES = 8_388_608
MAX_FAULTS = 20  # that are told; there is always the first

_DOMAIN = b"ark.graveyard.seal/1\n"  # a signature for anything else by the same key is no signature here
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SIGNATURE = re.compile(r"[0-9a-f]{128}")
_SECOND = 1_000_000_000


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By an Ed25519 key (64 hex digits), over `signed_bytes` (128 hex digits)."""

    key: str
    signature: str


class Seal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What people sign, and their signatures.

    Attributes:
        version: 1, 2, … one more with each release.
        not_before, expires: days, `2026-01-31`, UTC; it holds from the first midnight on, and no more from the second.
        ruleset: SHA-256 of the canonical rules.
        source: SHA-256 over the Graveyard's files; see `sealed_files.source_digest`.
        report: SHA-256 of the proof report.
        looser: ids of rules that let more pass than in the version before; each signer has named them.
        signatures: in ascending order of their keys.
    """

    format: int
    version: int
    not_before: str
    expires: str
    ruleset: str
    source: str
    report: str
    looser: tuple[int, ...]
    signatures: tuple[Signature, ...]


class Sealed(NamedTuple):
    """A seal that holds. `signatures` counts different pinned keys."""

    version: int
    ruleset: str
    report: str
    signatures: int
    not_before_ns: int
    expires_ns: int


class Examined(NamedTuple):
    """What was found in one look.

    Attributes:
        seal: what `SEAL.json` says, whether true or not; None where it cannot be read.
        signatures: good ones, by different pinned keys.
        faults: everything that is wrong, one line each; empty where the seal holds.
    """

    seal: Seal | None
    signatures: int
    faults: tuple[str, ...]


def graveyard_folder() -> Path:
    """Where the loaded Graveyard lies: in a checkout, or where it was installed."""
    return Path(graveyard.__file__ or "").parent


def verify_seal(
    folder: Path | None = None, *, now_ns: int, pinned: tuple[str, ...] = PINNED, newest_version: int = 0
) -> Sealed:
    """The seal of the Graveyard in `folder`, where it holds now.

    Args:
        folder: by default, that of the loaded Graveyard. The rules that this process has loaded must be the sealed ones.
        now_ns: UTC.
        pinned: public keys, 64 hex digits; two different ones must have signed.
        newest_version: the newest that the caller has ever seen; an older one is refused.

    Raises:
        SealBroken: it does not, and why.
    """
    seal, signatures, faults = examine(folder, now_ns=now_ns, pinned=pinned, newest_version=newest_version)
    if faults or seal is None:
        raise SealBroken(*(faults or ("there is no seal",)))
    return Sealed(
        version=seal.version,
        ruleset=seal.ruleset,
        report=seal.report,
        signatures=signatures,
        not_before_ns=midnight_ns(seal.not_before),
        expires_ns=midnight_ns(seal.expires),
    )


def faults(
    folder: Path | None = None, *, now_ns: int, pinned: tuple[str, ...] = PINNED, newest_version: int = 0
) -> tuple[str, ...]:
    """Everything that is wrong with the seal, one line each; empty where it holds. Never raises."""
    return examine(folder, now_ns=now_ns, pinned=pinned, newest_version=newest_version).faults


def examine(
    folder: Path | None = None, *, now_ns: int, pinned: tuple[str, ...] = PINNED, newest_version: int = 0
) -> Examined:
    """One look at everything; never raises. Arguments as in `verify_seal`."""
    try:
        return _examine(folder or graveyard_folder(), now_ns, pinned, newest_version)
    except Exception as error:  # noqa: BLE001  # error = refusal, whatever it is
        return Examined(None, 0, (f"the seal could not be examined: it raised `{type(error).__name__}`",))


def read_seal(data: bytes) -> Seal:
    """What `SEAL.json` says, from its one canonical form; nothing about it is believed yet.

    Raises:
        SealBroken: another field, a missing or doubled one, a value that is not of its form, trailing bytes, another
            spelling, signatures not in ascending order of different keys, too large.
    """
    if len(data) > MAX_BYTES:
        raise SealBroken(f"`{SEAL}` has {len(data)} bytes, more than {MAX_BYTES}")
    try:
        seal = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise SealBroken(f"`{SEAL}` cannot be read: {error}") from error
    if encode_seal(seal) != data:
        raise SealBroken(f"`{SEAL}` is not in its canonical form")
    malformed = next(_malformed(seal), "")
    if malformed:
        raise SealBroken(f"`{SEAL}` is no seal: {malformed}")
    return seal


def sealed_report(folder: Path | None = None) -> str:
    """SHA-256 of the proof report that the seal names, 64 hex digits; "" where the seal cannot be read.

    Whether the seal holds is for `examine` to say.
    """
    try:
        return read_seal(((folder or graveyard_folder()) / SEAL).read_bytes()).report
    except (OSError, SealBroken):
        return ""


def encode_seal(seal: Seal) -> bytes:
    """The one canonical form: JSON, sorted keys, no spaces, every field written."""
    return _encoder.encode(seal)


def signed_bytes(seal: Seal) -> bytes:
    """What a signer signs: everything but the signatures, and what it is."""
    fields = msgspec.structs.asdict(seal)
    del fields["signatures"]
    return _DOMAIN + _encoder.encode(fields)


def is_signed_by(seal: Seal, one: Signature) -> bool:
    """Whether the key has signed exactly this seal; never raises."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(one.key))
        key.verify(bytes.fromhex(one.signature), signed_bytes(seal))
    except (InvalidSignature, ValueError):
        return False
    return True


def midnight_ns(day: str) -> int:
    """The beginning of a day, `2026-01-31`, in UTC.

    Raises:
        ValueError: it is no day, or spelled otherwise.
    """
    parsed = date.fromisoformat(day)
    if parsed.isoformat() != day:
        raise ValueError(f"`{day}` is not spelled YYYY-MM-DD")
    return int(datetime(parsed.year, parsed.month, parsed.day, tzinfo=UTC).timestamp()) * _SECOND


_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder(Seal)


def _malformed(seal: Seal) -> Iterator[str]:
    if seal.format != FORMAT:
        yield f"format {seal.format} is not {FORMAT}"
    if not 1 <= seal.version <= MAX_VERSION:
        yield f"version {seal.version} is not in 1–{MAX_VERSION}"
    try:
        if midnight_ns(seal.not_before) >= midnight_ns(seal.expires):
            yield f"it ends on {seal.expires}, before it begins"
    except ValueError as error:
        yield f"{error}"
    for name in ("ruleset", "source", "report"):
        if not _DIGEST.fullmatch(getattr(seal, name)):
            yield f"`{name}` is not 64 hex digits"
    if list(seal.looser) != sorted(set(seal.looser)):
        yield "`looser` is not ascending"
    if not all(_DIGEST.fullmatch(one.key) and _SIGNATURE.fullmatch(one.signature) for one in seal.signatures):
        yield "a key is not 64 hex digits, or a signature not 128"
    keys = [one.key for one in seal.signatures]
    if len(set(keys)) != len(keys):
        yield "a key has signed twice"
    if keys != sorted(keys):
        yield "the signatures are not in ascending order of their keys"


def _examine(folder: Path, now_ns: int, pinned: tuple[str, ...], newest_version: int) -> Examined:
    files, _, found = read_folder(folder)
    if SEAL not in files:
        return _told(None, 0, [f"`{SEAL}` is missing", *found])
    try:
        seal = read_seal(files[SEAL])
    except SealBroken as error:
        return _told(None, 0, [*error.faults, *found])
    good = good_signatures(seal, pinned)
    return _told(
        seal,
        len(good),
        [
            *found,
            *_signature_faults(seal, good, pinned),
            *_time_faults(seal, now_ns),
            *([f"version {seal.version} is older than {newest_version}"] if seal.version < newest_version else []),
            *_ruleset_faults(seal, files),
            *(["the source files are not the sealed ones"] if source_digest(files) != seal.source else []),
            *_report_faults(seal, files),
        ],
    )


def _told(seal: Seal | None, signatures: int, found: list[str]) -> Examined:
    more = [f"and {len(found) - MAX_FAULTS} faults more"] if len(found) > MAX_FAULTS else []
    return Examined(seal, signatures, (*found[:MAX_FAULTS], *more))


def good_signatures(seal: Seal, pinned: tuple[str, ...]) -> frozenset[str]:
    """The pinned keys that have signed exactly this seal; never an example key."""
    trusted = frozenset(pinned) - EXAMPLE_KEYS
    return frozenset(one.key for one in seal.signatures if one.key in trusted and is_signed_by(seal, one))


def _signature_faults(seal: Seal, good: frozenset[str], pinned: tuple[str, ...]) -> Iterator[str]:
    for one in seal.signatures:
        if one.key in EXAMPLE_KEYS:
            yield f"signed by `{one.key[:8]}…`, a key of the examples, which everybody holds"
        elif one.key not in pinned:
            yield f"signed by `{one.key[:8]}…`, which is not pinned"
        elif one.key not in good:
            yield f"the signature by `{one.key[:8]}…` is not over this seal"
    if len(good) < THRESHOLD:
        yield f"{len(good)} of {THRESHOLD} signatures by pinned keys"


def _time_faults(seal: Seal, now_ns: int) -> Iterator[str]:
    if now_ns < midnight_ns(seal.not_before):
        yield f"it is not valid before {seal.not_before}"
    if now_ns >= midnight_ns(seal.expires):
        yield f"it has expired on {seal.expires}"


def _ruleset_faults(seal: Seal, files: Mapping[str, bytes]) -> Iterator[str]:
    """The rules that this process has loaded, and the file that says which were sealed."""
    if ruleset_digest(ethics.RULES, ethics.FACT_BOUNDS) != seal.ruleset:
        yield "the loaded rules are not the sealed ones"
    if RULES_SEALED not in files:
        yield f"`{RULES_SEALED}` is missing"
        return
    if sha256(files[RULES_SEALED]).hexdigest() != seal.ruleset:
        yield f"`{RULES_SEALED}` is not the sealed one"
    try:
        read_ruleset(files[RULES_SEALED])
    except MalformedRule as error:
        yield f"`{RULES_SEALED}` holds no rules: {error}"


class _Report(msgspec.Struct):
    ruleset: str


def _report_faults(seal: Seal, files: Mapping[str, bytes]) -> Iterator[str]:
    if PROOFS not in files:
        yield f"`{PROOFS}` is missing"
        return
    if sha256(files[PROOFS]).hexdigest() != seal.report:
        yield f"`{PROOFS}` is not the sealed one"
    if proved_ruleset(files[PROOFS]) != seal.ruleset:
        yield f"`{PROOFS}` proves other rules"


def proved_ruleset(report: bytes) -> str:
    """The digest of the rules that a proof report is about; empty where it is none."""
    if len(report) > MAX_PROOF_BYTES:
        return ""
    try:
        return msgspec.json.decode(report, type=_Report).ruleset
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return ""
