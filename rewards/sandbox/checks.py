"""Takes the expected values out of a test's code, so that the program under test never sees them.

    hide(make_runnable("assert add(1, 2) == 3"))  # ("__seen__(0, add(1, 2))", (Check("==", 3),))

What stays in the code, because it has to be computed there: right sides that are no literals,
chained comparisons, and asserts inside `try`. A program can read those in its memory.
"""

import ast
from collections.abc import Sequence
from typing import Any

from rewards.sandbox.equal_values import Check
from rewards.sandbox.literals import literal, near
from rewards.sandbox.runnable import Runnable

_OPERATORS: dict[type, str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
}
_SWAPPED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_COMPUTED = {"==": "same", "!=": "differs"}


def _truth(node: ast.expr) -> ast.expr:
    twice = ast.UnaryOp(ast.Not(), node)
    return ast.UnaryOp(ast.Not(), twice)


def _always_run(module: ast.Module, always: Sequence[ast.FunctionDef]) -> set[int]:
    """The asserts of the module and of what it always calls, outside any branch."""
    bodies = [module.body, *(function.body for function in always)]
    return {id(line) for body in bodies for line in body if isinstance(line, ast.Assert)}


class _Hide(ast.NodeTransformer):
    def __init__(self, always: set[int]) -> None:
        self.checks: list[Check] = []
        self.always = always
        self.required = False

    def visit_Try(self, node: ast.AST) -> ast.AST:
        return node  # it may wait for the AssertionError

    visit_TryStar = visit_Try

    def visit_Assert(self, node: ast.Assert) -> list[ast.stmt]:
        self.required = id(node) in self.always
        return self._lines(node.test)

    def _lines(self, test: ast.expr) -> list[ast.stmt]:
        found = near(test)
        if found is not None:
            return self._seen("near", found[1], found[0])
        match test:
            case ast.BoolOp(op=ast.And(), values=values):
                return [line for value in values for line in self._lines(value)]
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return self._seen("false", None, _truth(operand))
            case ast.Compare(left=left, ops=[one], comparators=[right]):
                return self._compared(test, _OPERATORS[type(one)], left, right)
        return self._seen("true", None, _truth(test))

    def _compared(
        self, whole: ast.expr, name: str, left: ast.expr, right: ast.expr
    ) -> list[ast.stmt]:
        given, expected = literal(right)
        if given:
            return self._seen(name, expected, left)
        given, expected = literal(left)
        if given and name in _SWAPPED:
            return self._seen(_SWAPPED[name], expected, right)
        if name in _COMPUTED:
            return self._seen(_COMPUTED[name], None, left, right)
        return self._seen("true", None, _truth(whole))

    def _seen(self, name: str, expected: Any, *values: ast.expr) -> list[ast.stmt]:
        number = ast.Constant(len(self.checks))
        self.checks.append(Check(name, expected, self.required))
        call = ast.Call(ast.Name("__seen__", ast.Load()), [number, *values], [])
        return [ast.Expr(call)]


def hide(runnable: Runnable) -> tuple[str, tuple[Check, ...]]:
    """The code to run in the sandbox and what must hold of its reports."""
    hidden = _Hide(_always_run(runnable.module, runnable.always))
    module = ast.fix_missing_locations(hidden.visit(runnable.module))
    return ast.unparse(module), tuple(hidden.checks)
