"""The sources that there are. A source is used only if its line stands here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from agents.kyle.sources.embedded import open_embedded
from agents.kyle.sources.files import FileSource
from agents.kyle.sources.port import Source
from agents.kyle.sources.synthetic import SyntheticSource
from mutable_core.errors import UnknownName


class SourceKind(msgspec.Struct, frozen=True):
    """One kind of source.

    Attributes:
        name: the text before the first colon of what a person asks for.
        usage: how it is written.
        open: given the text after the colon ("" without one) and the seed.
    """

    name: str
    usage: str
    does: str
    open: Callable[[str, int], Source]


def _open_embedded(argument: str, _seed: int) -> Source:
    if argument:
        raise UnknownName(f"`embedded` takes nothing after it, and there was {argument[:60]!a}", to_do=_known_kinds())
    return open_embedded()


def _open_file(argument: str, _seed: int) -> Source:
    if not argument:
        raise UnknownName("`file:` names no file", to_do=_known_kinds())
    return FileSource(Path(argument).expanduser())


def _open_synthetic(argument: str, seed: int) -> Source:
    if not argument:
        return SyntheticSource(seed)
    if not (argument.isascii() and argument.isdigit() and len(argument) <= 12 and int(argument) > 0):
        raise UnknownName(f"the number of synthetic rows was {argument[:60]!a}", to_do=_known_kinds())
    return SyntheticSource(seed, rows=int(argument))


SOURCES: tuple[SourceKind, ...] = (
    SourceKind("embedded", "embedded", "daily bars of five US companies, 2000 to 2013", _open_embedded),
    SourceKind("file", "file:PATH", "bars, quotes or trades of a CSV, CSV.gz or Parquet file", _open_file),
    SourceKind("synthetic", "synthetic[:ROWS]", "seeded one-second quotes with regimes and bad ticks", _open_synthetic),
)


def open_source(text: str, seed: int) -> Source:
    """The source that `text` asks for: `embedded`, `file:PATH`, `synthetic` or `synthetic:ROWS`.

    Args:
        text: as a person writes it.
        seed: of the synthetic source; others have none.

    Raises:
        UnknownName: no such kind of source.
        MalformedSource: the file cannot be read as one.
    """
    name, _, argument = text.partition(":")
    for kind in SOURCES:
        if kind.name == name:
            return kind.open(argument, seed)
    raise UnknownName(f"there is no source {text[:80]!a}", to_do=_known_kinds())


def _known_kinds() -> str:
    return "use one of " + ", ".join(f"`{kind.usage}`" for kind in SOURCES)
