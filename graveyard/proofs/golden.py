"""Golden decisions: a few hundred concrete acts with exactly the clauses that each violates, kept in a file.

For every clause the two neighbouring values at which it changes its mind, for every fact that it compares and every
condition under which it is heard; the same act as an opening order, a reduction and an operation; and every fact taken
away. A row is written as an example and what differs from it, so that a changed rule shows in a diff as the rows it
flips. `python -m graveyard.proofs.golden` writes the file again; `--check` says whether it is what the rules say.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from graveyard import interpret
from graveyard.ethics import FACT_BOUNDS, RULES, Rule, numbered
from graveyard.expressions import SCOPE_FACTS, Add, Bounds, Clause, Condition, Const, Fact, Mul, Sub, Term, facts_of
from graveyard.proofs.examples import EXAMPLES, Changes
from graveyard.proofs.examples import facts_of as example_with
from graveyard.words import Facts

FORMAT = 1
NAME = "golden.json"
KINDS = ("opening", "reduction", "operation")
_SCOPES = frozenset(SCOPE_FACTS.values())
_OPENINGS_THAT_ARE_NO_ORDERS: tuple[tuple[str, Changes], ...] = (
    ("opening", {"is_order": 0, "people": 2}),  # alone in what it violates; a boundary of one fact does not find it
    ("opening", {"is_order": 0, "people": 1}),
)


class Row(NamedTuple):
    """One decision: the example, the facts that differ from it, and the clauses violated, as `rule.clause`."""

    example: str
    changes: Changes
    violates: tuple[str, ...]

    @property
    def facts(self) -> Facts:
        return example_with(self.example, self.changes)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    examples: dict[str, dict[str, int]]
    format: int
    rows: list[tuple[str, dict[str, int | None], list[str]]]


def decide(example: str, changes: Changes, rules: tuple[Rule, ...] = RULES, bounds: Bounds = FACT_BOUNDS) -> Row:
    """The row, as the plain reader of the rules answers it; a change that changes nothing is left out."""
    written = {name: value for name, value in changes.items() if value != EXAMPLES[example][name]}
    facts = example_with(example, written)
    violated = interpret.mask(rules, facts, bounds)
    names = (f"{rule.id}.{index}" for rule, index, _ in numbered(rules))
    return Row(example, written, tuple(name for bit, name in enumerate(names) if violated >> bit & 1))


def generated(rules: tuple[Rule, ...] = RULES, bounds: Bounds = FACT_BOUNDS) -> tuple[Row, ...]:
    """All rows that the rules call for, each once, in the order of the rules."""
    rows: dict[tuple[str, tuple[tuple[str, int | None], ...]], Row] = {}
    for example, changes in _wanted(rules, bounds):
        row = decide(example, changes, rules, bounds)
        rows.setdefault((row.example, tuple(sorted(row.changes.items()))), row)
    return tuple(rows.values())


def _wanted(rules: tuple[Rule, ...], bounds: Bounds) -> Iterator[tuple[str, Changes]]:
    yield from ((example, {}) for example in EXAMPLES)
    yield from _OPENINGS_THAT_ARE_NO_ORDERS
    for rule, index, clause in numbered(rules):
        name = f"{rule.id}.{index}"
        for fact in _facts_in(clause):
            flip = _flip(name, clause, fact, {}, rules, bounds)
            if flip is not None:
                yield from ((flip.example, {fact: value}) for value in flip.values)
                yield from _in_each_kind(clause, flip)
        yield from _conditions(name, clause, rules, bounds)
    yield from ((kind, {fact: None}) for fact in bounds for kind in KINDS)
    for fact, (low, high, _) in bounds.items():
        yield from (("opening", {fact: value}) for value in (low - 1, high + 1))


class _Flip(NamedTuple):
    """An example in which the clause changes its mind over one fact: the values, and one at which it is violated."""

    example: str
    fact: str
    values: tuple[int, ...]
    violated_at: int


def _in_each_kind(clause: Clause, flip: _Flip) -> Iterator[tuple[str, Changes]]:
    """The violating act as an order that opens, as one that reduces, and as an operation: what the scope excuses."""
    source = EXAMPLES[flip.example]
    for kind in KINDS:
        changes = {name: source[name] for name in facts_of(clause) if name not in _SCOPES}
        yield kind, changes | {flip.fact: flip.violated_at}


def _conditions(name: str, clause: Clause, rules: tuple[Rule, ...], bounds: Bounds) -> Iterator[tuple[str, Changes]]:
    """For each condition: a violated clause, and the values at which it begins to be heard."""
    measured = _facts_in(clause)
    for condition in clause.when:
        for fact in _facts_in(condition):
            violated = (_flip(name, clause, one, {}, rules, bounds) for one in measured if one != fact)
            for found in (flip for flip in violated if flip is not None):
                setup = {found.fact: found.violated_at}
                flip = _flip(name, clause, fact, setup, rules, bounds, compared=condition)
                if flip is not None:
                    yield from ((flip.example, setup | {fact: value}) for value in flip.values)


def _flip(
    name: str,
    clause: Clause,
    fact: str,
    setup: Changes,
    rules: tuple[Rule, ...],
    bounds: Bounds,
    *,
    compared: Condition | None = None,
) -> _Flip | None:
    """Where the clause changes its mind over this fact; in the example in which it then stands most alone."""
    best: tuple[int, _Flip] | None = None
    for example in EXAMPLES:
        near = _near_the_boundary(compared or clause, fact, example_with(example, setup), bounds)
        rows = {value: decide(example, {**setup, fact: value}, rules, bounds) for value in near}
        violated = [value for value, row in rows.items() if name in row.violates]
        if violated and len(violated) < len(rows):
            at = min(violated, key=lambda value, rows=rows: len(rows[value].violates))  # type: ignore[misc]
            strangers = sum(len(row.violates) for row in rows.values()) - len(violated)
            if best is None or strangers < best[0]:
                best = strangers, _Flip(example, fact, tuple(rows), at)
    return None if best is None else best[1]


def _near_the_boundary(it: Clause | Condition, fact: str, facts: Facts, bounds: Bounds) -> list[int]:
    """The values of one fact about which the comparison can change its mind, the others as they are."""
    slope, rest = _line(Sub(Mul(it.scale, it.measured), it.limit), fact, facts, bounds)
    if slope == 0:
        return []
    at = -rest // slope
    low, high, _ = bounds[fact]
    return [value for value in (at - 1, at, at + 1, at + 2) if low <= value <= high]


def _line(term: Term, fact: str, facts: Facts, bounds: Bounds) -> tuple[int, int]:
    """The term as `slope × fact + rest`."""
    match term:
        case Const(value):
            return 0, value
        case Fact(name):
            return (1, 0) if name == fact else (0, interpret.known(name, facts, bounds) or 0)
        case Add(left, right) | Sub(left, right):
            (a, b), (c, d) = _line(left, fact, facts, bounds), _line(right, fact, facts, bounds)
            return (a + c, b + d) if isinstance(term, Add) else (a - c, b - d)
        case Mul(factor, inner):
            a, b = _line(inner, fact, facts, bounds)
            return factor * a, factor * b


def _facts_in(it: Clause | Condition) -> tuple[str, ...]:
    found: list[str] = []
    waiting: list[Term] = [it.limit, it.measured]
    while waiting:
        match waiting.pop():
            case Fact(name):
                found.append(name)
            case Add(left, right) | Sub(left, right):
                waiting += (right, left)
            case Mul(_, inner):
                waiting.append(inner)
            case Const():
                pass
    return tuple(dict.fromkeys(found))


def encode(rows: tuple[Row, ...]) -> bytes:
    """The file: one row a line, sorted keys, integers and null only."""
    lines = ",\n".join(_line_of([row.example, row.changes, row.violates]) for row in rows)
    examples = ",\n".join(f"{json.dumps(name)}:{_line_of(facts)}" for name, facts in sorted(EXAMPLES.items()))
    return f'{{"examples":{{\n{examples}\n}},\n"format":{FORMAT},\n"rows":[\n{lines}\n]}}\n'.encode()


def _line_of(value: Any) -> str:
    return msgspec.json.encode(value, order="sorted", enc_hook=dict).decode()


def committed() -> bytes:
    """The file beside this module.

    Raises:
        FileNotFoundError: there is none.
    """
    return files(__package__).joinpath(NAME).read_bytes()


def read(data: bytes) -> tuple[Row, ...]:
    """The rows of a file.

    Raises:
        ValueError: it is no file of golden decisions, or of other examples; write it again.
    """
    found = msgspec.json.decode(data, type=_File)
    if found.format != FORMAT or found.examples != {name: dict(facts) for name, facts in EXAMPLES.items()}:
        raise ValueError("the golden decisions are of another format or of other examples")
    return tuple(Row(example, changes, tuple(violates)) for example, changes, violates in found.rows)


def flipped(
    rows: tuple[Row, ...], rules: tuple[Rule, ...] = RULES, bounds: Bounds = FACT_BOUNDS
) -> tuple[tuple[Row, Row], ...]:
    """The rows that these rules decide otherwise: as written, and as they now are."""
    now = ((row, decide(row.example, row.changes, rules, bounds)) for row in rows)
    return tuple((row, found) for row, found in now if found.violates != row.violates)


def golden_digest(data: bytes) -> str:
    """SHA-256 of the file, 64 hex digits."""
    return sha256(data).hexdigest()


def main(arguments: list[str]) -> int:
    """Write the file again; with `--check`, exit code 1 where it is not what the rules say."""
    if arguments not in ([], ["--check"]):
        print("usage: python -m graveyard.proofs.golden [--check]", file=sys.stderr)
        return 2
    data = encode(generated())
    if not arguments:
        Path(str(files(__package__).joinpath(NAME))).write_bytes(data)
        return 0
    is_fresh = data == committed()
    if not is_fresh:
        print("golden.json is not what the rules say; `python -m graveyard.proofs.golden` writes it again")
    return 0 if is_fresh else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
