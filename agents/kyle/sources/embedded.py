"""The market data that travels with ARK: daily bars of five US companies, 2000-03 to 2013-03 (see data/README.md)."""

from __future__ import annotations

from pathlib import Path

from agents.kyle.sources.files import FileSource
from agents.kyle.sources.tables import content_sha256
from mutable_core.errors import MalformedSource

EMBEDDED_PATH = Path(__file__).parent / "data" / "stocks.csv.gz"
EMBEDDED_SHA256 = "5abadf99b2d394f920120a27de6f0df129859d71d4cfb0bf661bcc99446ab1fd"


def open_embedded(path: Path = EMBEDDED_PATH) -> FileSource:
    """The embedded file, once its bytes are seen to be the ones that were reviewed.

    Raises:
        MalformedSource: missing, or altered.
    """
    found = content_sha256(path)
    if found != EMBEDDED_SHA256:
        raise MalformedSource(
            f"the embedded market data was altered: its sha256 was `{found[:16]}…`, not `{EMBEDDED_SHA256[:16]}…`",
            where=str(path),
            to_do="check the file out again or reinstall",
        )
    return FileSource(path, name="embedded")
