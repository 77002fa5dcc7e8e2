"""Cells of drills, made by hand."""

from __future__ import annotations

from typing import Any

import msgspec

from deployment.drills.cell import Cell


def a_cell(**changes: Any) -> Cell:
    made = Cell(
        fault="crash", agent="joey", detected_ms=1.0, isolated_ms=2.0, siblings_gap_ms=30.0, siblings_p999_ms=30.0,
        undisturbed_gap_ms=28.0, undisturbed_p999_ms=27.0, restarted_ms=12.0, back_ms=20.0, lost=0, duplicated=0,
        replayed=True, rows=100, alerts=(), signs=(),
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)
