"""What every generated page is written with: its first line, and tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

HEAD = "<!-- Written by `python -m docs`; do not edit. -->\n"


def table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    lines += [f"| {' | '.join(_cell(value) for value in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
