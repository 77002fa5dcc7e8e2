"""Dividing what is whole among the sub-ledgers: exact integers that sum to what is divided."""

from __future__ import annotations

from collections.abc import Mapping

from mutable_core.errors import LedgerUnbalanced


def apportioned(total: int, shares: Mapping[str, int], denominator: int) -> dict[str, int]:
    """`total` divided in proportion to `shares`: each one's part is its exact part, less than one away from it.

    The exact part of a name is `shares[name] / denominator`, of either sign. Each is cut towards zero; what is then
    missing to `total` goes, one each, to those that lost most by the cut, ties by name (largest remainders).

    Args:
        total: what the parts must sum to: the sum of the exact parts, rounded to a neighbouring integer.
        shares: by name; order does not matter.
        denominator: > 0.

    Raises:
        LedgerUnbalanced: `total` is no rounding of the sum of the exact parts.
    """
    if abs(sum(shares.values()) - total * denominator) >= denominator:
        raise LedgerUnbalanced(f"`{total}` is not the sum of the parts {dict(shares)} / {denominator}")
    parts, rests = {}, {}
    for name, share in shares.items():
        cut, rest = divmod(abs(share), denominator)
        sign = 1 if share >= 0 else -1
        parts[name], rests[name] = sign * cut, sign * rest
    missing = total - sum(parts.values())
    step = 1 if missing > 0 else -1
    for name in sorted(rests, key=lambda one: (-step * rests[one], one))[: abs(missing)]:
        parts[name] += step
    return parts
