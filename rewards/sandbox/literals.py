"""The expected values in a test's code: literals, and numbers with a tolerance. Nothing is run.

near(ast.parse("abs(f(2) - 1.41) < 0.01", mode="eval").body)  # f(2), (1.41, 0.0, 0.01)
"""

import ast
from collections.abc import Callable
from typing import Any

# set([1, 2]) on the right is as good as a literal, and a program could put its own `set` there
_MADE: dict[str, Callable[[Any], Any]] = {
    "set": set,
    "frozenset": frozenset,
    "tuple": tuple,
    "list": list,
    "dict": dict,
    "sorted": sorted,
    "float": float,
    "str": str,
}


def literal(node: ast.expr) -> tuple[bool, Any]:
    """(True, value), or (False, None) for what has to be computed."""
    try:
        match node:
            case ast.Call(func=ast.Name(id=name), args=[one], keywords=[]) if name in _MADE:
                return True, _MADE[name](ast.literal_eval(one))
        return True, ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False, None


def _number(node: ast.expr) -> float | None:
    value = literal(node)[1]
    return value if type(value) in (int, float) else None


def _by_difference(test: ast.expr) -> tuple[ast.expr, Any] | None:
    """abs(x - 0.5) < 1e-6: x, and what it must be near to."""
    match test:
        case ast.Compare(
            left=ast.Call(
                func=ast.Name(id="abs"),
                args=[ast.BinOp(left=left, op=ast.Sub(), right=right)],
                keywords=[],
            ),
            ops=[ast.Lt() | ast.LtE()],
            comparators=[tolerance],
        ):
            value, swapped, most = _number(right), _number(left), _number(tolerance)
            if most is not None and value is not None:
                return left, (value, 0.0, most)
            if most is not None and swapped is not None:
                return right, (swapped, 0.0, most)
    return None


def _by_isclose(test: ast.expr) -> tuple[ast.expr, Any] | None:
    """math.isclose(x, 0.5, abs_tol=1e-6): the same."""
    match test:
        case ast.Call(
            func=ast.Name(id="isclose") | ast.Attribute(value=ast.Name(id="math"), attr="isclose"),
            args=[left, right],
            keywords=keywords,
        ):
            value = _number(right)
            given = {keyword.arg: _number(keyword.value) for keyword in keywords}
            if value is None or None in given.values() or given.keys() - {"rel_tol", "abs_tol"}:
                return None
            return left, (value, given.get("rel_tol", 1e-9), given.get("abs_tol", 0.0))
    return None


def near(test: ast.expr) -> tuple[ast.expr, Any] | None:
    """What is compared, and (value, relative, absolute tolerance); None for other tests."""
    return _by_difference(test) or _by_isclose(test)
