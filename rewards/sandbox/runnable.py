"""A test text made to run by itself, with its checks in sight; or why nobody can pass it.

    runnable = make_runnable("class TestAdd:\\n    def test_one(self): assert add(1, 2) == 3", None)
    ast.unparse(runnable.module)   # ... __case__ = TestAdd(); __case__.test_one()

unittest's classes, pytest's classes and functions are called, each assertion of unittest's becomes
an `assert`, and modules that mean the program (`from solution import add`) are named. Raises
BadTest for a text without a check that is reached, and for one that needs a package or a name that
is not there. Nothing is run here.
"""

import ast
import builtins
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from symtable import symtable

from rewards.sandbox.inside.harness import prelude
from rewards.sandbox.unittests import Assertions, is_unittest

# what tests of other people's call the module with the program
PROGRAM = {
    *(
        "solution",
        "solutions",
        "program",
        "submission",
        "answer",
        "candidate",
        "main",
        "task",
        "impl",
    ),
    *("implementation", "student", "your_module", "my_module", "mymodule", "module", "your_code"),
    *("user_code", "target", "sol", "source", "src", "app"),
}
PACKAGES = {
    "pytest": "pytest",
    "np": "numpy",
    "pd": "pandas",
    "plt": "matplotlib",
    "tf": "tensorflow",
    "nx": "networkx",
}
_GIVEN = (
    "candidate",
    "func",
    "function",
    "fn",
    "f",
    "solution",
)  # a test's parameter: the function
_REACHING = {
    "globals",
    "locals",
    "vars",
    "eval",
    "exec",
    "getattr",
    "__import__",
    "sys",
    "importlib",
}
_LEAVING = {"exit", "quit", "_exit", "fail", "skipTest"}


class BadTest(ValueError):
    """The test checks nothing, or cannot run whatever the program is."""


@dataclass(frozen=True)
class Runnable:
    """always: the functions and methods that are called outside of any branch."""

    module: ast.Module
    modules: tuple[str, ...]
    always: tuple[ast.FunctionDef, ...]


def make_runnable(test: str, name: str | None = None) -> Runnable:
    """name: the function under test, where the row has it. Raises BadTest, SyntaxError."""
    module = Assertions().visit(ast.parse(test))
    module.body = [line for line in _unguarded(module.body) if not _starts_a_runner(line)]
    modules = _satisfied(module, name)
    called = list(_calls(module, name))
    module.body += [line for _, lines in called for line in lines]
    if name and "candidate" in _free(module) and name != "candidate":
        module.body[:0] = ast.parse(f"candidate = {name}").body
    module = ast.fix_missing_locations(module)
    _require_checks(module)
    _require_names(module, name, modules)
    direct = {line.value.func.id for line in module.body if _is_call_of_name(line)}
    functions = [n for n in module.body if isinstance(n, ast.FunctionDef) and n.name in direct]
    return Runnable(module, modules, (*functions, *(function for function, _ in called)))


def _is_call_of_name(line: ast.stmt) -> bool:
    match line:
        case ast.Expr(value=ast.Call(func=ast.Name())):
            return True
    return False


def _unguarded(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """`if __name__ == "__main__":` is no branch."""
    for line in body:
        match line:
            case ast.If(test=ast.Compare(left=ast.Name(id="__name__")), body=inner):
                yield from inner
            case _:
                yield line


def _starts_a_runner(line: ast.stmt) -> bool:
    """unittest.main() ends the process."""
    match line:
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=tool), attr="main"))):
            return tool in ("unittest", "pytest")
    return False


# ---- what is imported --------------------------------------------------------------------------


def _satisfied(module: ast.Module, name: str | None) -> tuple[str, ...]:
    """The modules that stand for the program. Raises BadTest for a package that is not there."""
    waiting = {id(n) for t in ast.walk(module) if isinstance(t, ast.Try) for n in ast.walk(t)}
    found: list[str] = []
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and node.level:
            node.level, node.module = 0, node.module or "solution"
            found.append(node.module)
            continue
        asked = (
            [a.name for a in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        )
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else asked
        for one in names:
            top = one.partition(".")[0]
            if top in sys.stdlib_module_names or (top == "pytest" and not _uses(module, "pytest")):
                continue
            is_program = top in PROGRAM or one.rpartition(".")[2] in PROGRAM
            if is_program or (name in asked and isinstance(node, ast.ImportFrom)):
                found.append(one)
            elif id(node) not in waiting:
                raise BadTest(
                    f"need the package {top}, and programs have Python's standard library only"
                )
    module.body = [line for line in module.body if not _imports_only(line, "pytest")]
    return tuple(dict.fromkeys(found))


def _uses(module: ast.Module, name: str) -> bool:
    return any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(module))


def _imports_only(line: ast.stmt, package: str) -> bool:
    return isinstance(line, ast.Import) and [alias.name for alias in line.names] == [package]


# ---- what is called ----------------------------------------------------------------------------


def _calls(
    module: ast.Module, name: str | None
) -> Iterator[tuple[ast.FunctionDef, list[ast.stmt]]]:
    """Each test that nobody calls, with the lines that do."""
    for line in list(module.body):
        if isinstance(line, ast.ClassDef):
            yield from _methods(line)
        elif isinstance(line, ast.FunctionDef) and not _uses(module, line.name):
            given = _arguments(line, name)
            if given is not None and (line.name.startswith("test") or line.name == "check"):
                yield line, ast.parse(f"{line.name}({', '.join(given)})").body


def _arguments(function: ast.FunctionDef, name: str | None) -> list[str] | None:
    """None for one that needs what nobody gives."""
    needed = function.args.args[: len(function.args.args) - len(function.args.defaults)]
    if function.decorator_list or function.args.posonlyargs:
        return None
    if not needed:
        return [] if function.name != "check" else None
    is_given = name and len(needed) == 1 and (needed[0].arg in _GIVEN or function.name == "check")
    return [str(name)] if is_given else None


def _methods(owner: ast.ClassDef) -> Iterator[tuple[ast.FunctionDef, list[ast.stmt]]]:
    defined = {line.name: line for line in owner.body if isinstance(line, ast.FunctionDef)}
    cased = is_unittest(owner)
    if not cased and not owner.name.startswith("Test"):
        return
    before = ["setUpClass", "setUp"] if cased else ["setup_class", "setup_method", "setup"]
    after = ["tearDown", "tearDownClass"] if cased else ["teardown_method", "teardown_class"]
    for method in defined.values():
        alone = len(method.args.args) == 1 and not method.decorator_list
        if not method.name.startswith("test") or not alone:
            continue
        made = f"{owner.name}({method.name!r})" if cased else f"{owner.name}()"
        steps = [one for one in (*before, method.name, *after) if one in defined]
        lines = [f"__case__ = {made}"]
        for step in steps:
            takes_method = "_method" in step and len(defined[step].args.args) == 2
            lines.append(f"__case__.{step}({'None' if takes_method else ''})")
        yield method, ast.parse("\n".join(lines)).body


# ---- what is checked ---------------------------------------------------------------------------


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


def _require_checks(module: ast.Module) -> None:
    if not any(map(_is_check, _reached(module))):
        raise BadTest("check nothing: no assert is reached, so that any program would pass")


# ---- which names there are ---------------------------------------------------------------------


def _free(module: ast.Module) -> set[str]:
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


def _require_names(module: ast.Module, name: str | None, modules: tuple[str, ...]) -> None:
    """Raises BadTest where a name is nowhere, or where nothing of the program is used."""
    free = _free(module)
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
