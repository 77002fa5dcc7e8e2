"""`python -m docs` writes the tables of docs/reference from the code; `--check` says which of them are stale."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from docs.fault_matrix import fault_matrix_page
from docs.rules_page import rules_page
from docs.tables import agents_table, commands_table, messages_table, metrics_table, settings_table

REFERENCE = Path(__file__).parent / "reference"

PAGES: dict[str, Callable[[], str]] = {
    "agents.md": agents_table,
    "commands.md": commands_table,
    "fault-matrix.md": fault_matrix_page,
    "messages.md": messages_table,
    "metrics.md": metrics_table,
    "rules.md": rules_page,
    "settings.md": settings_table,
}


def main(argv: list[str]) -> int:
    """Write the pages; with `--check`, exit code 1 where one differs from what the code says."""
    REFERENCE.mkdir(exist_ok=True)
    if argv not in ([], ["--check"]):
        print("usage: python -m docs [--check]", file=sys.stderr)
        return 2
    stale = []
    for name, page in PAGES.items():
        path, text = REFERENCE / name, page()
        if not argv:
            path.write_text(text)
        elif not path.is_file() or path.read_text() != text:
            stale.append(name)
    stray = sorted({path.name for path in REFERENCE.glob("*.md")} - PAGES.keys())
    if stale or stray:
        print(f"stale: {', '.join(stale) or 'none'}; not generated: {', '.join(stray) or 'none'}; run `make docs`")
    return 1 if stale or stray else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
