"""Whether a test checks the program at all, and whether it needs a name that is nowhere.

    require_checks(ast.parse("print(add(1, 2))"))                          # BadTest: check nothing
    require_names(ast.parse("assert np.all(add(1, 2))"), None, ())         # BadTest: np is nowhere

What is nowhere: the usual short name of a package that is not imported, and beside functions that
are called a small name that is only a value: no program is told of it. Nothing is run here.
"""

import ast
import builtins
from collections.abc import Iterator
from symtable import symtable

from rewards.sandbox.inside.harness import prelude

PACKAGES = {"np": "numpy", "pd": "pandas", "plt": "matplotlib", "nx": "networkx"}
PACKAGES |= {"tf": "tensorflow", "pytest": "pytest"}
_REACHING = {"globals", "locals", "vars", "eval", "exec", "getattr", "sys", "importlib"}
_REACHING |= {"__import__"}
_LEAVING = {"exit", "quit", "_exit", "fail", "skipTest"}


class BadTest(ValueError):
    """The test checks nothing, or cannot run whatever the program is."""


def _reached(module: ast.Module) -> Iterator[ast.AST]:
    """Every node of the code that runs: the module's own, what it names, and what that names."""
    defined = {
        line.name: line
        for line in module.body
        if isinstance(line, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    waiting: list[ast.AST] = [
        line for line in module.body if getattr(line, "name", "") not in defined
    ]
    waiting += [node for line in defined.values() for node in line.decorator_list]
    seen: set[str] = set()
    while waiting:
        for node in ast.walk(waiting.pop()):
            yield node
            if isinstance(node, ast.Name) and node.id in defined and node.id not in seen:
                seen.add(node.id)
                waiting.append(defined[node.id])


def _is_check(node: ast.AST) -> bool:
    match node:
        case ast.Assert(test=test):
            return any(isinstance(inner, ast.Name) for inner in ast.walk(test))
        case ast.Raise(exc=exc):
            return exc is not None
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name in _LEAVING or name.startswith("assert")
    return False


def require_checks(module: ast.Module) -> None:
    if not any(map(_is_check, _reached(module))):
        raise BadTest("check nothing: no assert is reached, so that any program would pass")


def free_names(module: ast.Module) -> set[str]:
    """The names that the text reads and nowhere sets, by Python's own scopes."""
    top = symtable(ast.unparse(module), "<test>", "exec")
    tables, read, made = [top], set[str](), set[str]()
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in table.get_symbols():
            is_outer = table is top or symbol.is_global()
            if is_outer and (symbol.is_assigned() or symbol.is_imported()):
                made.add(symbol.get_name())
            elif is_outer and symbol.is_referenced():
                read.add(symbol.get_name())
    return read - made


def require_names(module: ast.Module, name: str | None, modules: tuple[str, ...]) -> None:
    """Raises BadTest where a name is nowhere, or where nothing of the program is used."""
    free = free_names(module)
    if not free and not modules:
        raise BadTest("use nothing of the program, so that any program would pass")
    own = free - set(dir(builtins)) - {name}
    for alias in sorted(own & PACKAGES.keys()):
        raise BadTest(
            f"use the name {alias}, which is nowhere; is the package {PACKAGES[alias]} meant?"
        )
    for one in sorted(_never_called(module, own - prelude().keys())):
        if not free & _REACHING:
            raise BadTest(f"use the name {one}, which is nowhere")


def _never_called(module: ast.Module, own: set[str]) -> set[str]:
    """Beside names that are called, small ones that are values only: no program is told of them."""
    called: set[str] = set()
    given: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            called |= {node.func.id} if isinstance(node.func, ast.Name) else set()
            given |= {arg.id for arg in node.args if isinstance(arg, ast.Name)}
    values = {one for one in own - called - given if one.islower()}
    return values if own & called else set()
