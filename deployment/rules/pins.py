"""Writes the three pinned keys into `graveyard/signers.py`: the first ceremony, which makes the rules yours."""

from __future__ import annotations

import re

from graveyard.signers import EXAMPLE_KEYS
from mutable_core.errors import MalformedSource, SettingsRefused

NAME = "signers.py"
_LIST = re.compile(r"^PINNED: tuple\[str, \.\.\.\] = \(\n(?:    \"[0-9a-f]{64}\",\n)*\)$", re.MULTILINE)
_KEY = re.compile(r"[0-9a-f]{64}")


def demand(keys: tuple[str, ...]) -> None:
    """Raises SettingsRefused unless these are three different keys, none of the examples, in ascending order."""
    if len(keys) != 3 or len(set(keys)) != 3 or not all(_KEY.fullmatch(key) for key in keys):
        raise SettingsRefused("three different keys are pinned, no more and no fewer", to_do="give `--pin` three times")
    if set(keys) & EXAMPLE_KEYS:
        raise SettingsRefused("a key of the examples cannot be pinned", to_do="make keys with `ark rules keys new`")


def rewritten(source: str, keys: tuple[str, ...]) -> bytes:
    """The module with these keys in its list, everything else as it is.

    Raises:
        SettingsRefused: as `demand`.
        MalformedSource: the list does not stand there as it is written.
    """
    demand(keys)
    lines = "".join(f'    "{key}",\n' for key in keys)
    text, found = _LIST.subn(f"PINNED: tuple[str, ...] = (\n{lines})", source)
    if found != 1:
        raise MalformedSource(
            "the list of pinned keys was not found", where=NAME, to_do="restore it as it was released"
        )
    return text.encode()
