"""The page of the fault × agent matrix, from the results of `ark drill --all --write`."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from statistics import median

from deployment.drills.cell import GAP_MAX_MS, ISOLATED_MAX_MS, P999_FACTOR, RESTARTED_MAX_MS, Cell
from deployment.drills.matrix import AGENTS, CELLS, Matrix, findings, read
from docs.markdown import HEAD, table
from watchdog.faults import FAULTS

INTRO = f"""# Faults × agents

Each fault was put into each agent of a running paper house by `ark drill --all --write`; see docs/runbooks/drills.md.
A cell says: isolated after · worst gap between heartbeats of the other five · started again, with its state, in; all in
ms. Bounds: {ISOLATED_MAX_MS:.0f} · {GAP_MAX_MS:.0f} · {RESTARTED_MAX_MS:.0f}; the 99.9 % point of those gaps at most {P999_FACTOR:.0f} × that of the
undisturbed seconds before; nothing lost, nothing doubled, the journal replayed byte for byte. **Bold**: a bound was not kept.
"""


def fault_matrix_page() -> str:
    """The page; what has not been measured is said to be so."""
    matrix = read()
    return HEAD + INTRO + ("\nNot measured yet.\n" if matrix is None else _measured(matrix)) + _faults()


def _measured(matrix: Matrix) -> str:
    cells = {(cell.fault, cell.agent): cell for cell in matrix.cells}
    rows = [
        (f"`{fault.name}`", *(_said(cells.get((fault.name, agent))) for agent in AGENTS))
        for fault in FAULTS
    ]  # fmt: skip
    on = (
        f"\nMeasured on {matrix.cores} cores, {matrix.system}, Python {matrix.python}; build `{matrix.build[:12]}`.\n\n"
    )
    return on + table(("fault", *AGENTS), rows) + _totals(matrix) + _findings(matrix)


def _said(cell: Cell | None) -> str:
    if cell is None:
        return "not measured"
    text = " · ".join(_number(ms) for ms in (cell.isolated_ms, cell.siblings_gap_ms, cell.restarted_ms))
    return f"**{text}**" if cell.findings else text


def _number(ms: float | None) -> str:
    return "never" if ms is None or ms == inf else f"{ms:.0f}" if ms >= 100 else f"{ms:.1f}"


def _totals(matrix: Matrix) -> str:
    """The worst of each, over all cells."""
    cells = matrix.cells
    rows = (
        ("detected, ms", _worst(cell.detected_ms for cell in cells)),
        ("isolated, ms", _worst(cell.isolated_ms for cell in cells)),
        ("siblings' worst gap, ms", _worst(cell.siblings_gap_ms for cell in cells)),
        ("undisturbed worst gap, ms", _worst(cell.undisturbed_gap_ms for cell in cells)),
        ("siblings' 99.9 %, ms", _number(matrix.siblings_p999_ms)),
        ("undisturbed 99.9 %, ms", _number(matrix.undisturbed_p999_ms)),
        ("started again, median, ms", _number(median(cell.restarted_ms or inf for cell in cells) if cells else None)),
        ("started again, ms", _worst(cell.restarted_ms for cell in cells)),
        ("lost", sum(cell.lost for cell in cells)),
        ("duplicated", sum(cell.duplicated for cell in cells)),
        ("cells that kept every bound", f"{sum(not cell.findings for cell in cells)} of {len(CELLS)}"),
    )
    return "\n" + table(("all cells", "worst, or sum"), rows)


def _worst(measured: Iterable[float | None]) -> str:
    return _number(max((inf if one is None else one for one in measured), default=inf))


def _findings(matrix: Matrix) -> str:
    rows = [(one,) for one in findings(matrix)]
    return "\n" + table(("not kept",), rows) if rows else ""


def _faults() -> str:
    rows = [(f"`{fault.name}`", fault.does, fault.caught_by) for fault in FAULTS]
    return "\n" + table(("fault", "what the agent does", "caught by its"), rows)
