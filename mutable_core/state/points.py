"""A point to look at or to go back to: a version of one key, a revision of the store, a snapshot's name, or a moment."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TypeAlias

import msgspec

from mutable_core.clock import SECOND_NS
from mutable_core.state.errors import ValueRefused

_NAME = re.compile(r"[a-z][a-z0-9._-]{0,63}")
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d)?(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:\d\d)?")


class Version(msgspec.Struct, frozen=True):
    """Of one key; from 1, contiguous, never reused."""

    number: int


class Revision(msgspec.Struct, frozen=True):
    """Of the whole store: the number of a row; from 1, contiguous. 0 is the empty store."""

    number: int


class Named(msgspec.Struct, frozen=True):
    """A snapshot that somebody took."""

    name: str


class Moment(msgspec.Struct, frozen=True):
    """What stood at this time, ns UTC."""

    ts_ns: int


Point: TypeAlias = Revision | Named | Moment
KeyPoint: TypeAlias = Version | Point


def checked_name(name: str) -> str:
    """The name, fit for a snapshot: it cannot be taken for a number or a time.

    Raises:
        ValueRefused: it is not.
    """
    if not _NAME.fullmatch(name):
        raise ValueRefused(
            f"`{name[:40]}` is no name of a snapshot", to_do="begin with a letter, then use a–z, 0–9, `.`, `-` and `_`"
        )
    return name


def point(text: str) -> Point:
    """What a person wrote: `17`, `before-upgrade`, `2026-03-01`, `2026-03-01T09:30:00.5Z`; UTC unless it says otherwise.

    Raises:
        ValueRefused: it is none of these.
    """
    if text.isascii() and text.isdigit() and len(text) < 16:
        return Revision(int(text))
    if text[:1].isdigit():
        return Moment(moment_ns(text))
    return Named(checked_name(text))


def key_point(text: str) -> KeyPoint:
    """As `point`, but a number is a version of the key.

    Raises:
        ValueRefused: as `point`.
    """
    found = point(text)
    return Version(found.number) if isinstance(found, Revision) else found


def moment_ns(text: str) -> int:
    """Nanoseconds UTC of a date or time as ISO 8601 writes it, to the nanosecond.

    Raises:
        ValueRefused: it is none.
    """
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise _no_time(text)
    try:
        date, minute, second, fraction, zone = found.groups()
        at = datetime.fromisoformat(f"{date}T{minute or '00:00'}{second or ':00'}{zone or '+00:00'}")
        return int((at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * SECOND_NS + int(
            (fraction or "0").ljust(9, "0")
        )
    except ValueError as error:
        raise _no_time(text) from error


def _no_time(text: str) -> ValueRefused:
    return ValueRefused(f"`{text[:40]}` is no time", to_do="write it like `2026-03-01T09:30:00Z`")


def in_words(ts_ns: int) -> str:
    """`2026-03-01T09:30:00.500000000Z`, which `moment_ns` reads back."""
    at = datetime.fromtimestamp(ts_ns // SECOND_NS, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{ts_ns % SECOND_NS:09}Z"
