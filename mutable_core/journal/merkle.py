"""Merkle trees over the rows of a journal (RFC 9162): proofs that a row, a range or an older journal is part of a newer one.

The leaves are `chain.leaf(row)`. A `Frontier` is what a journal keeps while it grows: 32 bytes for each full subtree. Proofs
are made from all leaves; what checks them lives in `verifier.py`, which is handed out without this project.
"""

from __future__ import annotations

from collections.abc import Sequence

from mutable_core.journal.verifier import Frontier, includes, is_continued, root_of_range

__all__ = [
    "Frontier",
    "consistency_path",
    "includes",
    "inclusion_path",
    "is_continued",
    "range_path",
    "root",
    "root_of_range",
]


def root(leaves: Sequence[bytes]) -> bytes:
    tree = Frontier()
    tree.extend(leaves)
    return tree.root()


def _split(count: int) -> int:
    """The largest power of two below `count` ≥ 2: so many leaves stand in the left half."""
    return 1 << (count - 1).bit_length() - 1


def inclusion_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """What leads from leaf `index` (0-based) to the root of all of them: siblings, the lowest first."""
    if len(leaves) == 1:
        return []
    half = _split(len(leaves))
    if index < half:
        return [*inclusion_path(leaves[:half], index), root(leaves[half:])]
    return [*inclusion_path(leaves[half:], index - half), root(leaves[:half])]


def consistency_path(leaves: Sequence[bytes], old_size: int) -> list[bytes]:
    """What shows that the tree over all leaves begins with the one over the first `old_size` (RFC 9162, 2.1.4.1)."""
    return [] if old_size in (0, len(leaves)) else _continuation(leaves, old_size, is_whole=True)


def _continuation(leaves: Sequence[bytes], old_size: int, *, is_whole: bool) -> list[bytes]:
    """`is_whole`: the old tree's root is the verifier's already, so that it need not be told."""
    if old_size == len(leaves):
        return [] if is_whole else [root(leaves)]
    half = _split(len(leaves))
    if old_size <= half:
        return [*_continuation(leaves[:half], old_size, is_whole=is_whole), root(leaves[half:])]
    return [*_continuation(leaves[half:], old_size - half, is_whole=False), root(leaves[:half])]


def range_path(leaves: Sequence[bytes], first: int, count: int) -> list[bytes]:
    """Roots of the subtrees beside leaves `first` … `first + count - 1` (0-based), from left to right; count ≥ 1."""
    path: list[bytes] = []

    def subtree(start: int, size: int) -> None:
        if start + size <= first or start >= first + count:
            path.append(root(leaves[start : start + size]))
        elif size > 1:
            half = _split(size)
            subtree(start, half)
            subtree(start + half, size - half)

    subtree(0, len(leaves))
    return path
