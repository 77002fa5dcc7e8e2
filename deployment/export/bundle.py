"""The evidence bundle: rows of a journal, what proves them, the rules that were in force, and a verifier, in one folder.

Whoever gets it needs Python and nothing of ours. Rows that speak of people are left out unless they are asked for: their
hashes stand in, and chain, tree and signature can be checked as before.
"""

from __future__ import annotations

import io
import json
import tarfile
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from deployment.export.proofs import Read, read
from mutable_core.clock import wall_ns
from mutable_core.errors import DiskUnavailable, UnknownName
from mutable_core.journal import Signer, verifier
from mutable_core.journal.merkle import range_path
from mutable_core.journal.search import row_at
from mutable_core.journal.signing import PRIVATE
from mutable_core.messages import RunStarted
from mutable_core.privacy import redacted_fields

_GRAVEYARD = Path(__file__).parents[2] / "graveyard"
_RULES = ("RULES.json", "SEAL.json", "PROOFS.json")
_NAMING = frozenset({"by", "owner", "people", "person", "profile"})
"""Fields of messages that say who somebody is."""

README = """\
What this is

Rows {first} to {last} of a trading journal, and what proves them. {left_out} of them speak of people and are here as
hashes alone. {signed}

How to check it

    python3 -I verifier.py . --key KEY

`verifier.py` is one file and needs nothing but Python 3.11 or newer; read it before you run it. KEY is the journal's
public key, 64 hex digits. Get it from somebody you trust, not from this folder: {key}
Without `--key` it is only shown that everything here fits together and was signed by one key, whosesoever.
It says what holds; the exit code is 0 if all of it does, 1 if something was changed (the first bad row is
named), 2 if this is no bundle.

How to see that an order was approved before it was sent

Its `order.intended` in `rows.jsonl` names the order (`client_order_id`) and the proposal (`proposal_id`). The
`decision.approved` of that proposal, with its facts and the verdict on them, stands before it, and what the venue answered
(`order.accepted`, `order.filled`) after it. All rows of one decision have the same `trace_id`; `seq` is the position that
is signed.

What is here

    rows.jsonl         the rows: position, hash, and the row as it was written unless it was left out
    proof.json         what leads from these rows to the signed head and the signed Merkle root
    checkpoints.jsonl  all signed checkpoints of the journal
    approvals.jsonl    the approvals among the rows
    rules/             the rules that the newest checkpoint names, their proofs, and the seal that people signed
    journal.pub        the journal's public key, for comparison
    MANIFEST.json      SHA-256 of every file; MANIFEST.sig is the journal's signature over it, where its key was at hand
"""


class Exported(NamedTuple):
    """What was written: where, which rows, how many of them as hashes alone, and up to which one they are signed."""

    path: str
    first: int
    last: int
    left_out: int
    signed_to: int
    rules: str
    approvals: int


def export(journal: Path, *, since: str, until: str, out: Path | None = None, full: bool = False) -> Exported:
    """Write the bundle of a range of rows.

    Args:
        journal: a journal.sqlite; it may be in use.
        since: the first row: a log position (1-based), or an ISO time of the log's clock; "" for the beginning.
        until: the last row, likewise; "" for the end.
        out: a folder, or a name that ends in .tar.gz; must not exist.
        full: leave rows that speak of people in.

    Raises:
        UnknownName: there are no such rows.
        JournalBroken: the journal is not what was written.
        DiskUnavailable: `out` exists or cannot be written.
    """
    first, last = positions(journal, since, until)
    found = read(journal, first, last)
    if not found.rows:
        raise UnknownName(f"there are no rows from {since or first} on", where=journal.name)
    last = max(found.rows)
    signer = _signer(journal)
    files, left_out = _row_files(found, full=full)
    rules = _rule_files(found, journal, files)
    files["proof.json"] = _json(_proof(found, first, last))
    files["checkpoints.jsonl"] = b"".join(one.line for one in found.checkpoints)
    files["verifier.py"] = Path(verifier.__file__).read_bytes()
    newest = found.checkpoints[-1].note if found.checkpoints else None
    if newest is not None:
        files["journal.pub"] = newest.key.hex().encode() + b"\n"
    signed_to = min(last, found.signed_rows)
    files["README.md"] = README.format(
        first=first,
        last=last,
        left_out=left_out,
        signed=f"They are signed up to row {signed_to}." if signed_to >= first else "They are not signed.",
        key="the one in `journal.pub` is for comparison." if newest else "here is none.",
    ).encode()
    files["MANIFEST.json"] = _json({
        "format": "ark evidence 1",
        "from": first,
        "to": last,
        "left_out": left_out,
        "signed_to": signed_to,
        "rules": rules,
        "key": signer.public.hex() if signer else "",
        "made_ns": wall_ns(),
        "files": {name: sha256(content).hexdigest() for name, content in sorted(files.items())},
    })  # fmt: skip
    if signer is not None:
        files["MANIFEST.sig"] = signer.sign(verifier.BUNDLE, files["MANIFEST.json"]).hex().encode() + b"\n"
    path = out or Path(f"ark-evidence-{first}-{last}")
    _write(path, files)
    approvals = files["approvals.jsonl"].count(b"\n")
    return Exported(str(path), first, last, left_out, signed_to, rules, approvals)


def positions(journal: Path, since: str, until: str) -> tuple[int, int]:
    """The range that a person means.

    Raises:
        UnknownName: neither a position nor a time, or nothing lies between them.
    """
    first = 1 if not since else int(since) if since.isdigit() else _first_at(journal, _nanos(since))
    last = 1 << 62 if not until else int(until) if until.isdigit() else _first_at(journal, _nanos(until) + 1) - 1
    if not 1 <= first <= last:
        raise UnknownName("there are no rows between these", where=f"{since or 1} … {until}")
    return first, last


def _nanos(text: str) -> int:
    """An ISO time, UTC unless it says otherwise, in ns."""
    from datetime import UTC, datetime

    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise UnknownName(f"`{text[:60]}` is neither a log position nor an ISO time") from error
    since = (at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000


def _first_at(journal: Path, ts_ns: int) -> int:
    """The first position whose row was seen at `ts_ns` or later: the log's clock does not go back."""
    low, high = 1, 2
    while (row := row_at(journal, high)) is not None and row.ts_seen_ns < ts_ns:
        low, high = high, 2 * high
    while low < high:
        middle = (low + high) // 2
        row = row_at(journal, middle)
        if row is None or row.ts_seen_ns >= ts_ns:
            high = middle
        else:
            low = middle + 1
    return low


def _row_files(found: Read, *, full: bool) -> tuple[dict[str, bytes], int]:
    lines, approvals, left_out = [], [], 0
    for seq, row in found.rows.items():
        line: dict[str, Any] = {"seq": seq, "leaf": found.leaves[seq - 1].hex()}
        body = json.loads(row)["body"]
        if not full and _is_personal(body):
            left_out += 1
            line["left_out"] = f"{body['kind']} speaks of people"
        else:
            line["row"] = row.decode()
            if verifier.is_approval(body):
                approvals.append(row + b"\n")
        lines.append(_json(line))
    return {"rows.jsonl": b"".join(lines), "approvals.jsonl": b"".join(approvals)}, left_out


def _is_personal(body: Any) -> bool:
    return _names_somebody(body) or redacted_fields(body) != body


def _names_somebody(value: Any) -> bool:
    if isinstance(value, dict):
        return any((name in _NAMING and _says(one)) or _names_somebody(one) for name, one in value.items())
    return isinstance(value, list | tuple) and any(_names_somebody(one) for one in value)


def _says(value: Any) -> bool:
    """A text, or a list of texts or people; positions in the log say nothing about anybody."""
    if isinstance(value, list | tuple):
        return any(_says(one) for one in value)
    return bool(value) and isinstance(value, str | dict)


def _rule_files(found: Read, journal: Path, files: dict[str, bytes]) -> str:
    """Adds the rules in force if they are this build's; says in a few words which they are."""
    started = row_at(journal, 1)
    if found.checkpoints:
        wanted = found.checkpoints[-1].note.ruleset.hex()
    else:
        wanted = started.body.ruleset if started is not None and isinstance(started.body, RunStarted) else ""
    rules = {f"rules/{name}": (_GRAVEYARD / name).read_bytes() for name in _RULES}
    if sha256(rules["rules/RULES.json"]).hexdigest() != wanted:
        return f"not in this build: {wanted}" if wanted else "the journal names none"
    files.update(rules)
    return wanted


def _proof(found: Read, first: int, last: int) -> dict[str, Any]:
    signed, before = min(last, found.signed_rows), found.head_before.hex()
    proof: dict[str, Any] = {"from": first, "to": last, "head_before": before, "path": [], "leaves_after": []}
    if signed >= first:
        tree = found.leaves[: found.signed_rows]
        until = next((one.note.rows for one in found.checkpoints if one.note.rows >= last), last)
        proof["path"] = [one.hex() for one in range_path(tree, first - 1, signed - first + 1)]
        proof["leaves_after"] = [one.hex() for one in found.leaves[last:until]]
    return proof


def _signer(journal: Path) -> Signer | None:
    """The journal's key, where this process may read it; none is made."""
    keys = journal.resolve().parent.parent / "keys"
    try:
        return Signer.open(keys) if (keys / PRIVATE).is_file() else None
    except DiskUnavailable:
        return None


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _write(path: Path, files: dict[str, bytes]) -> None:
    try:
        if path.name.endswith(".tar.gz"):
            _write_archive(path, files)
            return
        path.mkdir(mode=0o700)
        for name, content in files.items():
            file = path / name
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(content)
    except OSError as error:
        raise DiskUnavailable(
            f"the bundle cannot be written: {error.strerror}", where=str(path), to_do="name another with `--out`"
        ) from error


def _write_archive(path: Path, files: dict[str, bytes]) -> None:
    with path.open("xb") as raw, tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{path.name.removesuffix('.tar.gz')}/{name}")
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
