"""The fast reader of the rules: one generated Python function for all of them, a bit per violated clause.

The function is built from syntax nodes, never from text, and its code object is taken as it is: nothing is
evaluated or executed on the way. It reads each fact once. Where every fact is an int inside its bounds it answers
alone; where one is missing or absurd the plain interpreter answers.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any, assert_never, cast

import msgspec

from graveyard import interpret
from graveyard.errors import MalformedRule
from graveyard.ethics import Rule, numbered, validated
from graveyard.expressions import Add, Bounds, Clause, Const, Fact, Mul, Relation, Sub, Term
from graveyard.words import Facts

Mask = Callable[[Facts], int]

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
    code = next(constant for constant in module.co_consts if isinstance(constant, CodeType))
    scope = {
        "astuple": msgspec.structs.astuple,
        "type": type,
        "int": int,
        "interpreted": lambda facts: interpret.mask(rules, facts, bounds),
        "__builtins__": {},  # the function sees nothing else
    }
    return cast("Mask", FunctionType(code, scope, "mask"))


def syntax(rules: tuple[Rule, ...], bounds: Bounds) -> ast.Module:
    """The module that holds the function and nothing else; `ast.unparse` shows it to a person."""
    read = {name for rule in rules for name in rule.facts_read}
    names = [name for name in Facts.__struct_fields__ if name in read]
    clauses = [(bit, clause) for bit, (_, _, clause) in enumerate(numbered(rules))]
    opening = [_violation(bit, clause) for bit, clause in clauses if clause.scope == "opening"]
    every = [_violation(bit, clause) for bit, clause in clauses if clause.scope == "every"]
    body: list[ast.stmt] = [
        _unpack(read),
        *([_fall_back(names, bounds)] if names else []),
        _assign("violated", ast.Constant(0)),
        *([ast.If(_load("is_opening"), opening, [])] if opening else []),
        *every,
        ast.Return(_load("violated")),
    ]
    arguments = ast.arguments(posonlyargs=[], args=[ast.arg("facts")], kwonlyargs=[], kw_defaults=[], defaults=[])
    fields: dict[str, Any] = {"name": "mask", "args": arguments, "body": body, "decorator_list": []}
    if "type_params" in ast.FunctionDef._fields:  # since Python 3.12
        fields["type_params"] = []
    return ast.fix_missing_locations(ast.Module([ast.FunctionDef(**fields)], type_ignores=[]))


def _unpack(read: set[str]) -> ast.stmt:
    targets: list[ast.expr] = [_store(name if name in read else "_") for name in Facts.__struct_fields__]
    return ast.Assign([ast.Tuple(targets, ast.Store())], _call("astuple", "facts"))


def _fall_back(names: list[str], bounds: Bounds) -> ast.stmt:
    """`if not (every fact is an int inside its bounds): return interpreted(facts)`."""
    checks: list[ast.expr] = []
    for name in names:
        low, high, _ = bounds[name]
        checks += (
            ast.Compare(_call("type", name), [ast.Is()], [_load("int")]),
            # Two comparisons, not a chain: the interpreter specialises each when it is followed by a jump.
            ast.Compare(_load(name), [ast.GtE()], [_number(low)]),
            ast.Compare(_load(name), [ast.LtE()], [_number(high)]),
        )
    admissible = ast.UnaryOp(ast.Not(), ast.BoolOp(ast.And(), checks))
    return ast.If(admissible, [ast.Return(_call("interpreted", "facts"))], [])


def _violation(bit: int, clause: Clause) -> ast.stmt:
    measured = _term(clause.measured) if clause.scale == 1 else _term(Mul(clause.scale, clause.measured))
    comparison = ast.Compare(measured, [_OPERATORS[clause.relation]()], [_term(clause.limit)])
    note = ast.AugAssign(_store("violated"), ast.BitOr(), ast.Constant(1 << bit))
    return ast.If(ast.UnaryOp(ast.Not(), comparison), [note], [])


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


def _assign(name: str, value: ast.expr) -> ast.stmt:
    return ast.Assign([_store(name)], value)


def _call(function: str, argument: str) -> ast.expr:
    return ast.Call(_load(function), [_load(argument)], [])
