"""`python -m benchmarks.rules [--json]`: what one decision of the 26 rules costs, beside the same rules in Cedar.

Every figure is CPU time of this process in this run; quote ratios, since machines differ. The peer is `cedarpy`, the
Python binding of the Cedar engine: the same clauses as `forbid` policies over the same integers, parsed once into
its reusable handles, asked for one allowed request at a time and, in its own batch call, for many. Both sides hear
every clause: the order is allowed.
"""

from __future__ import annotations

import argparse
import ast
import gc
import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import reduce
from types import FunctionType
from typing import Any, assert_never

import cedarpy
import msgspec
import numba
import numpy as np

from graveyard.batch import CHUNK, Batch, Columns, columns, ends, width
from graveyard.compile import comparison, compile_rules, function
from graveyard.ethics import FACT_BOUNDS, RULES, numbered
from graveyard.expressions import SCOPE_FACTS, Add, Clause, Condition, Const, Fact, Mul, Relation, Sub, Term
from graveyard.interpret import mask as interpreted
from graveyard.judge import Judge
from graveyard.linear import passing, sums
from graveyard.words import Facts
from tests.graveyard.cards import CARDS
from tests.graveyard.makers import good_facts

ROUNDS = 7
ROWS = 200_000
CACHED_ROWS = 4_096
_SIGNS = {"<=": "<=", "<": "<", ">=": ">=", ">": ">", "==": "=="}


# The peer.


def policies() -> str:
    """Everything is permitted but what a clause forbids: one policy per clause."""
    forbidden = [
        f"forbid(principal, action, resource) when {{ {_violated(clause)} }};" for _, _, clause in numbered(RULES)
    ]
    return "\n".join(["permit(principal, action, resource);", *forbidden])


def _violated(clause: Clause) -> str:
    heard = [] if clause.scope == "every" else [f"context.{SCOPE_FACTS[clause.scope]} != 0"]
    return " && ".join([*heard, *(f"({_said(it)})" for it in clause.when), f"!({_said(clause)})"])


def _said(it: Clause | Condition) -> str:
    measured = it.measured if it.scale == 1 else Mul(it.scale, it.measured)
    return f"{_written(measured)} {_SIGNS[it.relation]} {_written(it.limit)}"


def _written(term: Term) -> str:
    match term:
        case Const(value):
            return str(value)
        case Fact(name):
            return f"context.{name}"
        case Add(left, right):
            return f"({_written(left)} + {_written(right)})"
        case Sub(left, right):
            return f"({_written(left)} - {_written(right)})"
        case Mul(factor, inner):
            return f"({factor} * {_written(inner)})"
        case _:
            assert_never(term)


class Cedar:
    """Policies and entities parsed once; a request carries the facts as its context."""

    def __init__(self) -> None:
        self.policies = cedarpy.PolicySet.from_str(policies())
        self.entities = cedarpy.Entities.from_json_str("[]")

    def request(self, facts: Facts) -> dict[str, Any]:
        return {
            "principal": 'User::"hrm"',
            "action": 'Action::"trade"',
            "resource": 'Order::"one"',
            "context": msgspec.structs.asdict(facts),
        }

    def allows(self, request: dict[str, Any]) -> bool:
        return bool(cedarpy.is_authorized(request, self.policies, self.entities).allowed)

    def allows_each(self, requests: list[dict[str, Any]]) -> list[bool]:
        return [bool(one.allowed) for one in cedarpy.is_authorized_batch(requests, self.policies, self.entities)]


def agree(cedar: Cedar) -> int:
    """How many requests both sides were asked; they must answer alike before anything is timed."""
    mask = compile_rules(RULES, FACT_BOUNDS)
    asked = [good_facts(), *(good_facts(**changes) for card in CARDS for changes in (card.on, card.beyond))]
    for facts in asked:
        if cedar.allows(cedar.request(facts)) != (mask(facts) == 0):
            raise SystemExit(f"the two sides disagree about {facts}")
    return len(asked)


# The batch, compiled.

TOGETHER = (
    6  # columns that one loop reads: more could not be told apart in memory, and the loop would not be vectorised
)


def compiled_rows() -> Callable[[Columns], Any]:
    """Numba's answer to `Batch.approved` for opening orders whose facts are all known: the same comparisons, in loops."""
    quick = passing(RULES, FACT_BOUNDS)
    assert quick is not None
    tests = [_end(name, relation, end) for name, relation, end in ends(quick)]
    tests += [_one_of(ways) for ways in quick.ways]
    tests.sort(key=lambda test: (max(np.dtype(width(FACT_BOUNDS[name])).itemsize for name in test[0]), sorted(test[0])))
    loops: list[tuple[set[str], list[ast.expr]]] = []
    for names, test in tests:
        if not loops or len(loops[-1][0] | names) > TOGETHER:
            loops.append((set(), []))
        loops[-1][0].update(names)
        loops[-1][1].append(test)
    order = list(quick.within)
    module = ast.Module([_kernel(order, [checks for _, checks in loops])], type_ignores=[])
    code = compile(ast.fix_missing_locations(module), "<rules over rows>", "exec").co_consts[0]
    kernel: Any = numba.njit(FunctionType(code, {"range": range}))

    def approved(requests: Columns) -> Any:
        found = np.ones(len(requests), dtype=np.bool_)
        for start in range(0, len(requests), CHUNK):
            part = slice(start, start + CHUNK)
            kernel(found[part], *(requests.values[name][part] for name in order))
        return found

    return approved


Test = tuple[set[str], ast.expr]


def _end(name: str, relation: Relation, end: int) -> Test:
    return {name}, _of_row(comparison(Condition(Fact(name), relation, Const(end))))


def _one_of(ways: tuple[Condition, ...]) -> Test:
    names = {name for way in ways for sum_ in sums(way) for name in sum_.factors}
    tests = [_of_row(comparison(way)) for way in ways]
    return names, reduce(lambda left, right: ast.BinOp(left, ast.BitOr(), right), tests)


class _OfRow(ast.NodeTransformer):
    def visit_Name(self, node: ast.Name) -> ast.expr:  # the name that `ast` looks for
        return ast.Subscript(node, ast.Name("row", ast.Load()), ast.Load())


def _of_row(test: ast.expr) -> ast.expr:
    found: ast.expr = _OfRow().visit(test)
    return found


def _kernel(names: list[str], loops: list[list[ast.expr]]) -> ast.stmt:
    rows = ast.parse("range(found.shape[0])", mode="eval").body
    cell = ast.Subscript(ast.Name("found", ast.Load()), ast.Name("row", ast.Load()), ast.Store())
    body: list[ast.stmt] = [
        ast.For(
            ast.Name("row", ast.Store()),
            rows,
            [ast.AugAssign(cell, ast.BitAnd(), reduce(lambda a, b: ast.BinOp(a, ast.BitAnd(), b), checks))],
            [],
        )
        for checks in loops
    ]
    return function("kernel", ["found", *names], body)


# The clock.


def cost_us(act: Callable[[], object], times: int) -> float:
    """CPU µs of one call: the median of some rounds."""
    rounds = []
    gc.collect()
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(times):
            act()
        rounds.append((time.process_time() - began) / times * 1e6)
    return sorted(rounds)[ROUNDS // 2]


def _repeated(rows: int) -> Columns:
    once = columns([good_facts()])
    return Columns({name: np.repeat(column, rows) for name, column in once.values.items()}, {})


def measure() -> dict[str, float]:
    """All figures of one run, µs of CPU and ratios; well under a minute."""
    cedar, judge, batch = Cedar(), Judge(), Batch()
    mask, facts = compile_rules(RULES, FACT_BOUNDS), good_facts()
    asked = agree(cedar)
    request = cedar.request(facts)
    many, few = _repeated(ROWS), _repeated(CACHED_ROWS)
    rows = compiled_rows()
    assert rows(many).all()
    assert batch.approved(many).all()
    result: dict[str, float] = {
        "agreed_on": asked,
        "cedar_us": cost_us(lambda: cedar.allows(request), 100),
        "cedar_batch_us": cost_us(lambda: cedar.allows_each([request] * 200), 1) / 200,
        "interpreted_us": cost_us(lambda: interpreted(RULES, facts, FACT_BOUNDS), 200),
        "generated_us": cost_us(lambda: mask(facts), 20_000),
        "verdict_us": cost_us(lambda: judge.verdict(facts), 20_000),
        "numpy_approved_us": cost_us(lambda: batch.approved(many), 1) / ROWS,
        "numpy_approved_cached_us": cost_us(lambda: batch.approved(few), 20) / CACHED_ROWS,
        "numpy_masks_us": cost_us(lambda: batch.masks(many), 1) / ROWS,
        "numba_approved_us": cost_us(lambda: rows(many), 1) / ROWS,
        "numba_approved_cached_us": cost_us(lambda: rows(few), 20) / CACHED_ROWS,
    }
    fastest = min(result[name] for name in result if name.startswith("cedar"))
    for name in [name for name in result if not name.startswith(("cedar", "agreed"))]:
        result[f"cedar_by_{name.removesuffix('_us')}"] = fastest / result[name]
    return {name: round(value, 4 if value < 1 else 2) for name, value in result.items()}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rules", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line of stdout")
    result = measure()
    if parser.parse_args(argv).json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:36} {value:>14,}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
