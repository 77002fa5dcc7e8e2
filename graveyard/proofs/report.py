"""The proof report: what was proved about exactly these rules, in canonical form, for the seal to cover.

Nothing of the machine is in it, no time and no version, so that whoever proves the same rules gets the same bytes.
Reading and hashing it needs no solver.
"""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from graveyard.errors import GraveyardError
from graveyard.proofs.outcomes import Result

FORMAT = 1
NAME = "PROOFS.json"
MAX_BYTES = 1_000_000
_DIGEST_CHARS = 64


class MalformedReport(GraveyardError):
    """There is no proof report, or it is not one in canonical form."""


class IncompleteProof(GraveyardError):
    """A report was asked for of a run that failed, or that left something out."""


def report(result: Result) -> bytes:
    """The report of a run that proved everything: JSON, sorted keys, no spaces, a line feed at the end.

    Raises:
        IncompleteProof: something was not proved, not witnessed, not killed, or left out.
    """
    if not result.ok or result.mutants is None:
        raise IncompleteProof("a proof that failed or left out the mutants has no report")
    return _canonical(
        {
            "assumes": result.assumes,
            "format": FORMAT,
            "golden": {"rows": result.golden.rows, "sha256": result.golden.sha256},
            "mutants": result.mutants,
            "properties": [{"name": one.name, "says": one.says, "status": one.status} for one in result.properties],
            "ruleset": result.ruleset,
            "witnesses": result.witnesses,
        }
    )


def report_digest(data: bytes) -> str:
    """SHA-256 of the report, 64 hex digits."""
    return sha256(data).hexdigest()


def report_path() -> Path:
    """Where the committed report lies."""
    return Path(str(files("graveyard").joinpath(NAME)))


def read_report(path: Path) -> bytes:
    """The bytes of a report, checked for form; whether its rules are the rules in force is for the caller to compare.

    Raises:
        MalformedReport: there is none, it is too long, not canonical, of another format, or names no ruleset.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise MalformedReport(f"the proof report could not be read: {error.strerror} (`{path.name}`)") from error
    contents(data)
    return data


def contents(data: bytes) -> dict[str, Any]:
    """What a report says; `ruleset` is the digest of the rules that it proves.

    Raises:
        MalformedReport: it is no report in canonical form.
    """
    if len(data) > MAX_BYTES:
        raise MalformedReport(f"a proof report was longer than `{MAX_BYTES}` bytes")
    try:
        said = msgspec.json.decode(data)
        is_canonical = _canonical(said) == data
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise MalformedReport(f"a proof report could not be read: {error}") from error
    if not is_canonical or not isinstance(said, dict):
        raise MalformedReport("a proof report was not in its canonical form")
    ruleset = said.get("ruleset")
    if said.get("format") != FORMAT or not isinstance(ruleset, str) or len(ruleset) != _DIGEST_CHARS:
        raise MalformedReport("a proof report was of another format, or named no ruleset")
    return said


def _canonical(value: Any) -> bytes:
    return msgspec.json.encode(value, order="sorted") + b"\n"
