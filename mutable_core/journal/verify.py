"""Is this journal what was written? Reads a file, trusts nothing, names the first bad row.

What it does is done by `verifier.py`, which also runs alone; here is added what needs the project: whether each row is a
canonical message, and signatures in native code.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from mutable_core.errors import JournalBroken, MalformedMessage, SettingsRefused
from mutable_core.journal.signing import verify_signature
from mutable_core.journal.store import open_read_only
from mutable_core.journal.verifier import (
    Bad,
    JournalCheck,
    Keys,
    Report,
    Row,
    anchor_beside,
    check_journal,
    keys_beside,
    keys_of,
)
from mutable_core.messages import Envelope, decode

__all__ = ["Checked", "Report", "believed_keys", "checked_rows", "verify"]


class Checked(NamedTuple):
    """One row that passed: its bytes, the envelope in them, and when the bus sequenced it."""

    row: bytes
    envelope: Envelope
    stamp_ns: int
    head: bytes


def checked_rows(path: Path, after: int = 0) -> Iterator[Checked]:
    """Rows of the journal at `path` with positions above `after`, each verified before it is handed out.

    What lies before `after` is checked by the seals of its segments as far as a signature covers them; checkpoints, and
    the anchor in the state folder, must agree with all of it.

    Raises:
        JournalBroken: at the first row that is altered, missing, swapped, added or not canonical; `row` names it.
        MalformedSource: the file is no journal.
    """
    connection = open_read_only(path)
    try:
        check = JournalCheck(connection, believed_keys(path), anchor_beside(path), verify=verify_signature, after=after)
        for one in check.rows():
            if one.seq > after:
                yield Checked(one.row, _message(one), one.stamp_ns, one.head)
    except Bad as bad:
        raise JournalBroken(bad.what, row=bad.row, where=path.name) from bad
    finally:
        connection.close()


def _message(one: Row) -> Envelope:
    """Raises Bad for a row that is chained and yet no message of ours."""
    try:
        envelope = decode(one.row)
    except MalformedMessage as error:
        raise Bad(one.seq, f"row {one.seq} is no message: {error.what}") from error
    if envelope.seq != one.seq:
        raise Bad(one.seq, f"row {one.seq} says that it is row {envelope.seq}")
    return envelope


def _check_message(one: Row) -> None:
    _message(one)


def verify(path: Path, *, deep: bool = False, keys: Collection[str] = (), anchor: Path | None = None) -> Report:
    """Verify the whole journal at `path`: chain, order, framing, signatures, canonical form, SQLite's own structure.

    Args:
        path: a journal.sqlite; it may be in use, or be a copy.
        deep: decode every row and compute every hash and signature again; without it, rows under a signature are
            checked by the seals that the signature covers.
        keys: public keys that are believed, hex; by default the one in the state folder that the journal lies in.
        anchor: a file of checkpoints outside; by default the one of that state folder.

    Raises:
        MalformedSource: the file is no journal.
        SettingsRefused: a key is no key.
    """
    try:
        connection = open_read_only(path)
    except JournalBroken as error:
        return Report(ok=False, rows=0, head=bytes(32).hex(), first_bad_row=error.row, finding=str(error))
    try:
        believed = _keys(keys) if keys else believed_keys(path)
        check = JournalCheck(connection, believed, anchor or anchor_beside(path), verify=verify_signature, deep=deep)
        return check_journal(check, connection, path.name, _check_message)
    finally:
        connection.close()


def _keys(texts: Collection[str]) -> Keys:
    try:
        return keys_of(texts, "`--key`")
    except ValueError as error:
        raise SettingsRefused(f"the key given is none: {error}", to_do="give 64 hex digits") from error


def believed_keys(path: Path) -> Keys:
    """The public keys of the state folder that the journal at `path` lies in.

    Raises:
        SettingsRefused: what stands there is no key.
    """
    try:
        return keys_beside(path)
    except ValueError as error:
        raise SettingsRefused(
            f"the journal's public key cannot be read: {error}", where=str(path), to_do="put back `keys/journal.pub`"
        ) from error
