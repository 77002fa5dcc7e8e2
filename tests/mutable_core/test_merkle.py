"""Merkle trees (RFC 9162): every honest proof is accepted, every forged one is refused."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mutable_core.journal.chain import leaf
from mutable_core.journal.merkle import (
    Frontier,
    consistency_path,
    includes,
    inclusion_path,
    is_continued,
    range_path,
    root,
    root_of_range,
)

SIZES = range(66)
LEAVES = [leaf(b"row %d" % number) for number in SIZES]


def defined(leaves: list[bytes]) -> bytes:
    """The root as RFC 9162 2.1.1 defines it, by halves."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return sha256(b"\1" + defined(leaves[:half]) + defined(leaves[half:])).digest()


ROOTS = [defined(LEAVES[:size]) for size in SIZES]


@pytest.mark.parametrize("size", SIZES)
def test_the_root_is_the_one_that_the_rfc_defines(size: int) -> None:
    assert root(LEAVES[:size]) == ROOTS[size]


def test_the_root_of_eight_leaves_is_the_published_one() -> None:
    """Certificate Transparency's test vector."""
    texts = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    expected = "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    assert root([leaf(bytes.fromhex(text)) for text in texts]).hex() == expected


@given(st.lists(st.integers(0, 9), max_size=12))
def test_a_frontier_does_not_depend_on_how_leaves_came(sizes: list[int]) -> None:
    """And can be put down and taken up again anywhere."""
    tree, at = Frontier(), 0
    for size in sizes:
        tree.extend(LEAVES[at : min(at + size, 65)])
        at = min(at + size, 65)
        assert (tree.size, tree.root()) == (at, ROOTS[at])
        tree = Frontier.at(tree.size, tree.peaks)


@pytest.mark.parametrize(("size", "peaks"), [(3, 32), (3, 96), (0, 32), (4, 0), (-1, 0)])
def test_a_frontier_of_another_size_than_its_peaks_is_refused(size: int, peaks: int) -> None:
    with pytest.raises(ValueError, match="peaks"):
        Frontier.at(size, bytes(peaks))


def forgeries(path: list[bytes]) -> list[list[bytes]]:
    """Every hash altered, left out, told twice, and one more at either end."""
    other = bytes(32)
    altered = [[*path[:at], bytes([path[at][0] ^ 1]) + path[at][1:], *path[at + 1 :]] for at in range(len(path))]
    missing = [[*path[:at], *path[at + 1 :]] for at in range(len(path))]
    return [*altered, *missing, [*path, other], [other, *path], *([[*path, path[-1]]] if path else [])]


@pytest.mark.parametrize("size", SIZES)
def test_inclusion_is_proved_for_every_leaf_and_for_nothing_else(size: int) -> None:
    for index in range(size):
        path = inclusion_path(LEAVES[:size], index)
        assert includes(ROOTS[size], size, index, LEAVES[index], path)
        for forged in forgeries(path):
            assert not includes(ROOTS[size], size, index, LEAVES[index], forged)
        assert not includes(ROOTS[size], size, index, LEAVES[index + 1], path)
        assert not includes(ROOTS[size], size, index, bytes(32), path)
        assert not includes(ROOTS[size], size, size + index, LEAVES[index], path)
        assert not includes(ROOTS[size], size, -1, LEAVES[index], path)
        assert not includes(ROOTS[size], 4 * size + 4, index, LEAVES[index], path)  # as of a deeper tree
        for other in {0, size - 1} - {index}:
            assert not includes(ROOTS[size], size, other, LEAVES[index], path)


@pytest.mark.parametrize("size", SIZES)
def test_consistency_is_proved_for_every_earlier_size_and_for_no_other_tree(size: int) -> None:
    for old in range(size + 1):
        path = consistency_path(LEAVES[:size], old)
        assert is_continued(ROOTS[old], old, ROOTS[size], size, path)
        for forged in forgeries(path):
            assert not is_continued(ROOTS[old], old, ROOTS[size], size, forged)
        assert not is_continued(bytes(32), old, ROOTS[size], size, path)
        if old:
            assert not is_continued(ROOTS[old], old, bytes(32), size, path)
        if 0 < old < size:
            assert not is_continued(ROOTS[old], old, ROOTS[size], 4 * size + 4, path)
        for other in {old - 1, old + 1} & set(range(1, size)):
            assert not is_continued(ROOTS[old], other, ROOTS[size], size, path)
    assert not is_continued(ROOTS[size], size + 1, ROOTS[size], size, [])


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 21, 33])
def test_a_range_is_proved_wherever_it_lies_and_no_other(size: int) -> None:
    tree = LEAVES[:size]
    for first in range(size):
        for count in range(1, size - first + 1):
            path, part = range_path(tree, first, count), tree[first : first + count]
            assert root_of_range(first, part, size, path) == ROOTS[size]
            for forged in forgeries(path):
                assert root_of_range(first, part, size, forged) != ROOTS[size]
            assert root_of_range(first, [*part[:-1], bytes(32)], size, path) != ROOTS[size]
            assert root_of_range(first, part[:-1], size, path) != ROOTS[size]
    assert root_of_range(0, [], size, []) is None
    assert root_of_range(1, tree, size, []) is None
