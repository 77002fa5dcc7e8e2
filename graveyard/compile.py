"""The fast reader of the rules: two generated Python functions for all of them, a bit per violated clause.

The functions are built from syntax nodes, never from text, and their code objects are taken as they are: nothing is
evaluated or executed on the way. They share the work:

* `passes(…)` is one expression, true only where an opening order violates nothing. Most orders end here.
* `mask(facts)` hears every clause where that expression is not true. Where a fact is missing or absurd, the plain
  interpreter answers.

What makes the expression short: a clause over one fact narrows the bounds of that fact; a bound that follows from the
others is left out; and a small integer is looked up in a row of small integers, where being *the same object* as what
stands there shows type and value at once (`True` and `1.0` find 1, but are not it). That the interpreter keeps small
integers once is only a matter of speed: what is not the same object is heard in full.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from types import CodeType, FunctionType
from typing import Any, assert_never, cast

import msgspec

from graveyard import interpret
from graveyard.errors import MalformedRule
from graveyard.ethics import COUNT, Rule, numbered, validated
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
    Scope,
    Sub,
    Term,
)
from graveyard.linear import Passing, ends_to_check, passing
from graveyard.words import Facts

Mask = Callable[[Facts], int]

SMALL = 256  # the interpreter keeps the integers from 0 to here once

USUAL = {"people": 0, "is_irreversible": 0}
"""What most opening orders are like: nobody needed to sign. Only the first expression supposes it, to be shorter."""

_OPERATORS: dict[Relation, type[ast.cmpop]] = {
    "<=": ast.LtE,
    "<": ast.Lt,
    ">=": ast.GtE,
    ">": ast.Gt,
    "==": ast.Eq,
}


def compile_rules(rules: tuple[Rule, ...], bounds: Bounds) -> Mask:
    """The function `mask(facts)`: 0 where nothing is violated, else the bits in the order of `ethics.numbered`.

    Raises:
        MalformedRule: the rules do not stand up as a whole; see `ethics.validated`.
    """
    validated(rules, bounds)
    module = compile(syntax(rules, bounds), "<graveyard rules>", "exec")
    codes = {constant.co_name: constant for constant in module.co_consts if isinstance(constant, CodeType)}
    quick = _quick(rules, bounds)
    known = (type, int, *(_rows(quick).values() if quick else ()))  # as parameters: nothing is read faster
    passes = FunctionType(codes["passes"], {"__builtins__": {}}, "passes", known)
    sees = {
        "astuple": msgspec.structs.astuple,
        "type": type,
        "int": int,
        "Exception": Exception,
        "passes": passes,
        "interpreted": lambda facts: interpret.mask(rules, facts, bounds),
        "__builtins__": {},  # the functions see nothing else
    }
    return cast("Mask", FunctionType(codes["mask"], sees))


def syntax(rules: tuple[Rule, ...], bounds: Bounds) -> ast.Module:
    """The module that holds the two functions and nothing else; `ast.unparse` shows it to a person."""
    functions: list[ast.stmt] = [
        _passes(_quick(rules, bounds)),
        function("mask", ("facts",), [_answer_at_once(), *_hear_all(rules, bounds)]),
    ]
    return ast.fix_missing_locations(ast.Module(functions, type_ignores=[]))


def function(name: str, parameters: Iterable[str], body: list[ast.stmt]) -> ast.stmt:
    arguments = [ast.arg(parameter) for parameter in parameters]
    signature = ast.arguments(posonlyargs=[], args=arguments, kwonlyargs=[], kw_defaults=[], defaults=[])
    fields: dict[str, Any] = {"name": name, "args": signature, "body": body, "decorator_list": []}
    if "type_params" in ast.FunctionDef._fields:  # since Python 3.12
        fields["type_params"] = []
    return ast.FunctionDef(**fields)


# What passes at once.


def _quick(rules: tuple[Rule, ...], bounds: Bounds) -> Passing | None:
    return passing(rules, bounds, USUAL)


def _answer_at_once() -> ast.stmt:
    """`try: if passes(*astuple(facts)): return 0`; whatever a strange value raises, it is heard in full."""
    asked = ast.Call(_load("passes"), [ast.Starred(_call("astuple", "facts"), ast.Load())], [])
    attempt = ast.If(asked, [ast.Return(ast.Constant(0))], [])
    return ast.Try([attempt], [ast.ExceptHandler(_load("Exception"), None, [ast.Pass()])], [], [])


def _passes(quick: Passing | None) -> ast.stmt:
    yes, no = ast.Return(ast.Constant(True)), ast.Return(ast.Constant(False))
    rows = [] if quick is None else _rows(quick)
    # An `if`, not the value of the expression: the interpreter specialises comparisons that are followed by a jump.
    body: list[ast.stmt] = [no] if quick is None else [ast.If(_conjunction(_checks(quick)), [yes], []), no]
    return function("passes", (*Facts.__struct_fields__, "type", "int", *rows), body)


def _is_small(bound: Bound) -> bool:
    """Whether the fact is looked up in a row of small integers. A count that is larger than the row is heard in full."""
    return bound.low >= 0 and (bound.high <= SMALL or (bound.unit == COUNT and bound.low <= SMALL))


def _row_name(bound: Bound) -> str:
    low, high = bound.low, min(bound.high, SMALL)
    return f"exactly_{low}" if low == high else f"from_{low}_to_{high}"


def _rows(quick: Passing) -> dict[str, object]:
    """By name: for each small interval the row in which `row[n] is n` where n lies in it; a lone integer is itself."""
    return {
        _row_name(bound): _row(bound.low, min(bound.high, SMALL)) for bound in quick.within.values() if _is_small(bound)
    }


def _row(low: int, high: int) -> object:
    return low if low == high else (*(None for _ in range(low)), *range(low, high + 1))


def _checks(quick: Passing) -> list[ast.expr]:
    """Types before values: nothing is compared that is not known to be an int."""
    small = {name: bound for name, bound in quick.within.items() if _is_small(bound)}
    others = [name for name in quick.within if name not in small]
    return [
        *(_stands_in_row(name, bound) for name, bound in small.items()),
        *(ast.Compare(_call("type", name), [ast.Is()], [_load("int")]) for name in others),
        *(_end(name, quick.within[name], upper=upper) for name, upper in ends_to_check(quick, others)),
        *(_disjunction([comparison(way) for way in ways]) for ways in quick.ways),
    ]


def _stands_in_row(name: str, bound: Bound) -> ast.expr:
    row: ast.expr = _load(_row_name(bound))
    member = row if bound.low == bound.high else ast.Subscript(row, _load(name), ast.Load())
    return ast.Compare(_load(name), [ast.Is()], [member])


def _end(name: str, bound: Bound, *, upper: bool) -> ast.expr:
    if upper:
        return ast.Compare(_load(name), [ast.LtE()], [_number(bound.high)])
    return ast.Compare(_load(name), [ast.GtE()], [_number(bound.low)])


def _conjunction(checks: list[ast.expr]) -> ast.expr:
    return ast.BoolOp(ast.And(), checks) if len(checks) > 1 else (checks or [ast.Constant(True)])[0]


def _disjunction(ways: list[ast.expr]) -> ast.expr:
    return ast.BoolOp(ast.Or(), ways) if len(ways) > 1 else ways[0]


# What hears every clause.


def _hear_all(rules: tuple[Rule, ...], bounds: Bounds) -> list[ast.stmt]:
    read = {name for rule in rules for name in rule.facts_read}
    names = [name for name in Facts.__struct_fields__ if name in read]
    clauses = [(bit, clause) for bit, (_, _, clause) in enumerate(numbered(rules))]
    return [
        _unpack(read),
        *([_fall_back(names, bounds)] if names else []),
        ast.Assign([_store("violated")], ast.Constant(0)),
        *_scoped(clauses, "opening"),
        *_scoped(clauses, "order"),
        *(_violation(bit, clause) for bit, clause in clauses if clause.scope == "every"),
        ast.Return(_load("violated")),
    ]


def _scoped(clauses: list[tuple[int, Clause]], scope: Scope) -> list[ast.stmt]:
    body = [_violation(bit, clause) for bit, clause in clauses if clause.scope == scope]
    return [ast.If(_load(SCOPE_FACTS[scope]), body, [])] if body else []


def _unpack(read: set[str]) -> ast.stmt:
    targets: list[ast.expr] = [_store(name if name in read else "_") for name in Facts.__struct_fields__]
    return ast.Assign([ast.Tuple(targets, ast.Store())], _call("astuple", "facts"))


def _fall_back(names: list[str], bounds: Bounds) -> ast.stmt:
    """`if not (every fact is an int inside its bounds): return interpreted(facts)`."""
    checks: list[ast.expr] = []
    for name in names:
        # Two comparisons, not a chain: the interpreter specialises each when it is followed by a jump.
        checks += (
            ast.Compare(_call("type", name), [ast.Is()], [_load("int")]),
            _end(name, bounds[name], upper=False),
            _end(name, bounds[name], upper=True),
        )
    admissible = ast.UnaryOp(ast.Not(), ast.BoolOp(ast.And(), checks))
    return ast.If(admissible, [ast.Return(_call("interpreted", "facts"))], [])


def _violation(bit: int, clause: Clause) -> ast.stmt:
    """`if not (it holds): note it`, inside an `if` for each condition."""
    note = ast.AugAssign(_store("violated"), ast.BitOr(), ast.Constant(1 << bit))
    statement: ast.stmt = ast.If(ast.UnaryOp(ast.Not(), comparison(clause)), [note], [])
    for condition in reversed(clause.when):
        statement = ast.If(comparison(condition), [statement], [])
    return statement


# Terms and comparisons.


def comparison(it: Clause | Condition) -> ast.expr:
    measured = _term(it.measured) if it.scale == 1 else _term(Mul(it.scale, it.measured))
    return ast.Compare(measured, [_OPERATORS[it.relation]()], [_term(it.limit)])


def _term(term: Term) -> ast.expr:
    match term:
        case Const(value):
            return _number(value)
        case Fact(name):
            return _load(name)
        case Add(left, right):
            return ast.BinOp(_term(left), ast.Add(), _term(right))
        case Sub(left, right):
            return ast.BinOp(_term(left), ast.Sub(), _term(right))
        case Mul(factor, inner):
            return ast.BinOp(_number(factor), ast.Mult(), _term(inner))
        case _:
            assert_never(term)


def _number(value: int) -> ast.expr:
    if type(value) is not int:
        raise MalformedRule(f"`{value!r:.40}` is not an integer")
    return ast.Constant(value) if value >= 0 else ast.UnaryOp(ast.USub(), ast.Constant(-value))


def _load(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())


def _store(name: str) -> ast.Name:
    return ast.Name(name, ast.Store())


def _call(function: str, argument: str) -> ast.expr:
    return ast.Call(_load(function), [_load(argument)], [])
