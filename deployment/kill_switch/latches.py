"""The latch: what the kill switch has halted, in one small signed file in the state folder. Whoever reads it can check it.

A latch stands until two people have signed a resume that names it (`note`): what was signed for one lifts no other.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from mutable_core.durable import sync, write_new
from mutable_core.errors import DiskUnavailable
from mutable_core.journal.signing import Signer, verify_signature
from mutable_core.messages import Level, Scope

FILE = "kill.latch"
KEY = "kill"
"""Of the key's files in the folder of keys, before the dot."""
DOMAIN = b"ark kill latch"
BYTES_MAX = 1 << 20
LATCHES_MAX = 256

STRENGTH: Mapping[Level, int] = {"reduce_only": 1, "halted": 2, "flattening": 3}
Covered = tuple[str, str]
_LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")


class Latched(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One halt that stands.

    Attributes:
        latch: its id, 16 letters: an id of digits could look like something private.
        by: who said so, or by what way it came.
        at_ns: wall time.
    """

    latch: str
    scope: Scope
    name: str
    level: Level
    by: str
    reason: str
    at_ns: int

    @property
    def covered(self) -> Covered:
        return self.scope, self.name


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    number: int
    standing: tuple[Latched, ...]


Kind = Literal["absent", "unbelievable"]


def new_latch() -> str:
    """An id for one."""
    return secrets.token_hex(8).translate(_LETTERS)


def note(latch: str) -> str:
    """What the reason of a resume must end with; people sign it with the rest."""
    return f" (lifts latch {latch})"


def level_name(level: int) -> Level:
    """The level of this strength, 1–3."""
    return next(name for name, strength in STRENGTH.items() if strength == level)


def read(folder: Path, public: bytes) -> tuple[Latched, ...] | Kind:
    """What stands, by the file in the state folder; or why nobody can say.

    Args:
        folder: the state folder.
        public: the kill switch's key, 32 bytes.
    """
    try:
        with (folder / FILE).open("rb") as file:
            text, _, signature = file.read(BYTES_MAX).partition(b"\n")
        if verify_signature(public, DOMAIN, text, bytes.fromhex(signature.decode("ascii"))):
            return msgspec.json.decode(text, type=_File).standing
    except FileNotFoundError:
        return "absent"
    except (OSError, ValueError, msgspec.MsgspecError):
        pass
    return "unbelievable"


class LatchFile:
    """The writer's side; the kill switch alone has the key."""

    def __init__(self, folder: Path, keys: Path) -> None:
        """Raises SettingsRefused or DiskUnavailable: the key cannot be opened or made."""
        self._folder = folder
        self._signer = Signer.open(keys, KEY)
        self._number = 0

    def read(self) -> tuple[Latched, ...] | Kind:
        return read(self._folder, self._signer.public)

    def write(self, standing: tuple[Latched, ...]) -> None:
        """Return when it is on the disk.

        Raises:
            DiskUnavailable: it is not; what stood there before still does.
        """
        self._number += 1
        text = msgspec.json.encode(_File(self._number, standing))
        line = text + b"\n" + self._signer.sign(DOMAIN, text).hex().encode() + b"\n"
        draft = self._folder / f"{FILE}.{os.getpid()}"
        try:
            with suppress(FileNotFoundError):
                draft.unlink()
            write_new(draft, line, 0o644)
            draft.replace(self._folder / FILE)
            sync(self._folder)
        except OSError as error:
            raise DiskUnavailable(
                f"the latch cannot be written: {error.strerror}", where=str(draft), to_do="free the disk"
            ) from error


def bars_of(standing: tuple[Latched, ...]) -> dict[str, int]:
    """What the venue must forbid: instrument, empty for all, → level. A venue knows no strategies."""
    bars: dict[str, int] = {}
    for one in standing:
        where = at_venue(one)
        if where is not None:
            bars[where] = max(bars.get(where, 0), min(2, STRENGTH[one.level]))
    return bars


def at_venue(one: Latched) -> str | None:
    """The instrument that the latch covers there, empty for all; None where a venue cannot tell."""
    match one.scope:
        case "instrument":
            return one.name
        case "strategy":
            return None
        case _:
            return ""  # the venue's whole account is ours
