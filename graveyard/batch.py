"""The rules over arrays: thousands of requests at once, for replays, simulations and questions of what would have passed.

Needs numpy (extra `batch`); nothing that decides about a live order imports it. Kept here: what is
read is what `interpret.py` reads · a row with a missing or absurd fact is answered by the interpreter itself · every
term of the rules stays within 64 bits inside the admissible space (`ethics.validated`), so the arrays are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, assert_never

import msgspec
import numpy as np
from numpy.typing import NDArray

from graveyard import interpret
from graveyard.ethics import FACT_BOUNDS, RULES, Rule, numbered, validated
from graveyard.expressions import (
    SCOPE_FACTS,
    Add,
    Bound,
    Bounds,
    Clause,
    Condition,
    Const,
    Fact,
    Mul,
    Relation,
    Sub,
    Term,
)
from graveyard.linear import Passing, passing
from graveyard.words import Facts

Array = NDArray[Any]

CHUNK = 16_384  # rows that are read at once: their answers stay in the cache, and a call costs little beside its work
WORDS = 2  # of 64 bits: 77 clauses

_COMPARE: dict[Relation, Callable[..., Any]] = {
    "<=": np.less_equal,
    "<": np.less,
    ">=": np.greater_equal,
    ">": np.greater,
    "==": np.equal,
}


class Columns(NamedTuple):
    """Requests, fact by fact.

    Attributes:
        values: one array per fact, all of shape (n,), integers; any value where the fact is unknown.
        unknown: shape (n,), bool: where the fact is missing, or no exact int, or too large for its array. A fact that
            is known everywhere may be left out.
    """

    values: Mapping[str, Array]
    unknown: Mapping[str, Array]

    def __len__(self) -> int:
        """How many requests."""
        return len(next(iter(self.values.values())))

    def rows(self, which: slice | Array) -> Columns:
        """Some of the requests, in that order."""
        return Columns(
            {name: column[which] for name, column in self.values.items()},
            {name: column[which] for name, column in self.unknown.items()},
        )


def width(bound: Bound) -> type[np.signedinteger[Any]]:
    """The narrowest integers that hold all admissible values: what is not read from memory costs nothing."""
    for width_ in (np.int8, np.int16, np.int32):
        if np.iinfo(width_).min <= bound.low and bound.high <= np.iinfo(width_).max:
            return width_
    return np.int64


def columns(requests: Sequence[Facts], bounds: Bounds = FACT_BOUNDS) -> Columns:
    """The same requests as arrays; what is not admissible becomes unknown, for it refuses alike."""
    values: dict[str, Array] = {}
    unknown: dict[str, Array] = {}
    rows = [msgspec.structs.astuple(facts) for facts in requests]
    for name, column in zip(Facts.__struct_fields__, zip(*rows, strict=True), strict=True):
        low, high, _ = bounds[name]
        known = [type(value) is int and low <= value <= high for value in column]
        if not all(known):
            unknown[name] = ~np.array(known)
        admissible = [value if is_known else 0 for value, is_known in zip(column, known, strict=True)]
        values[name] = np.array(admissible, dtype=width(bounds[name]))
    return Columns(values, unknown)


class Batch:
    """The rules, prepared once for arrays.

    Raises:
        MalformedRule: the rules do not stand up as a whole.
    """

    __slots__ = ("_bounds", "_clauses", "_ends", "_read", "_rules", "_ways")

    def __init__(self, rules: tuple[Rule, ...] = RULES, bounds: Bounds = FACT_BOUNDS) -> None:
        self._rules = validated(rules, bounds)
        self._bounds = bounds
        self._clauses = [clause for _, _, clause in numbered(rules)]
        read = {name for rule in rules for name in rule.facts_read}
        self._read = [name for name in bounds if name in read]
        quick = passing(rules, bounds)
        self._ways = None if quick is None else quick.ways
        self._ends = [] if quick is None else list(ends(quick))

    def masks(self, requests: Columns) -> NDArray[np.uint64]:
        """Shape (n, 2): bit b of word w is set where clause 64 × w + b of `ethics.numbered` is violated."""
        found = np.zeros((len(requests), WORDS), dtype=np.uint64)
        for part in _chunks(len(requests)):
            found[part] = self._masks(requests.rows(part))
        return found

    def approved(self, requests: Columns) -> NDArray[np.bool_]:
        """Shape (n,): whether nothing is violated. Asks no more than that, and is the faster for it.

        Without any rule nothing is approved, as in `Judge`.
        """
        found = np.zeros(len(requests), dtype=np.bool_)
        if self._clauses:
            for part in _chunks(len(requests)):
                found[part] = self._approved(requests.rows(part))
        return found

    def _approved(self, requests: Columns) -> NDArray[np.bool_]:
        found = self._openings(requests)
        left = np.flatnonzero(~found)
        if len(left):
            again = requests.rows(left)
            irregular = self._irregular(again)
            others = irregular.copy()
            for scope in SCOPE_FACTS.values():
                if scope in again.values:
                    others |= again.values[scope] == 0
            asked = np.flatnonzero(others)
            found[left[asked]] = ~self._masks(again.rows(asked)).any(axis=1)
        return found

    def _openings(self, requests: Columns) -> NDArray[np.bool_]:
        """Where an opening order, all of whose facts are known, violates nothing."""
        found = np.full(len(requests), self._ways is not None)
        for column in requests.unknown.values():
            found &= ~column
        test = np.empty(len(requests), dtype=np.bool_)
        for name, relation, end in self._ends:
            found &= _COMPARE[relation](requests.values[name], end, out=test)
        for ways in self._ways or ():
            found &= _any(_compare(way, requests.values) for way in ways)
            if not found.any():
                break
        return found

    def _masks(self, requests: Columns) -> NDArray[np.uint64]:
        violated = np.zeros((WORDS * 64, len(requests)), dtype=np.bool_)
        scopes = {scope: requests.values[name] != 0 for scope, name in SCOPE_FACTS.items() if name in requests.values}
        for bit, clause in enumerate(self._clauses):
            row = violated[bit]
            np.logical_not(_compare(clause, requests.values), out=row)
            if clause.scope != "every":
                row &= scopes[clause.scope]
            for condition in clause.when:
                row &= _compare(condition, requests.values)
        bits = np.packbits(violated, axis=0, bitorder="little")
        found = np.ascontiguousarray(bits.T).view("<u8").astype(np.uint64)
        for row in np.flatnonzero(self._irregular(requests)):
            found[row] = _words(interpret.mask(self._rules, self._facts(requests, int(row)), self._bounds))
        return found

    def _irregular(self, requests: Columns) -> NDArray[np.bool_]:
        """Where a fact is unknown or outside its bounds."""
        found = np.zeros(len(requests), dtype=np.bool_)
        for column in requests.unknown.values():
            found |= column
        for name in self._read:
            low, high, _ = self._bounds[name]
            column = requests.values[name]
            found |= (column < low) | (column > high)
        return found

    def _facts(self, requests: Columns, row: int) -> Facts:
        return Facts(**{name: _value(requests, name, row) for name in Facts.__struct_fields__})


def ends(quick: Passing) -> Iterator[tuple[str, Relation, int]]:
    """Every end of every fact: beyond its bounds a product could leave 64 bits, so no end follows from another here."""
    for name, (low, high, _) in quick.within.items():
        if low == high:
            yield name, "==", low
        else:
            yield name, ">=", low
            yield name, "<=", high


def _value(requests: Columns, name: str, row: int) -> int | None:
    if name not in requests.values or (name in requests.unknown and requests.unknown[name][row]):
        return None
    return int(requests.values[name][row])


def _chunks(rows: int) -> Iterator[slice]:
    return (slice(start, min(start + CHUNK, rows)) for start in range(0, rows, CHUNK))


def _words(mask: int) -> tuple[int, int]:
    return mask & (1 << 64) - 1, mask >> 64


def _any(answers: Iterator[Array]) -> Array:
    found = next(answers)
    for answer in answers:
        found = found | answer
    return found


def _compare(it: Clause | Condition, values: Mapping[str, Array]) -> Array:
    measured = it.measured if it.scale == 1 else Mul(it.scale, it.measured)
    found: Array = _COMPARE[it.relation](_term(measured, values), _term(it.limit, values))
    return found


def _term(term: Term, values: Mapping[str, Array]) -> Any:
    """Sums and products in 64 bits, whatever the width of the columns."""
    match term:
        case Const(value):
            return value
        case Fact(name):
            return values[name]
        case Add(left, right):
            return np.add(_term(left, values), _term(right, values), dtype=np.int64)
        case Sub(left, right):
            return np.subtract(_term(left, values), _term(right, values), dtype=np.int64)
        case Mul(factor, inner):
            return np.multiply(_term(inner, values), factor, dtype=np.int64)
        case _:
            assert_never(term)
