"""A test text made to run by itself, with its checks in sight; or why nobody can pass it.

    runnable = make_runnable("class TestAdd:\\n    def test_one(self): assert add(1, 2) == 3", None)
    ast.unparse(runnable.module)   # ... __case__ = TestAdd(); __case__.test_one()

unittest's classes, pytest's classes and functions are called, each assertion of unittest's becomes
an `assert`, and modules that mean the program (`from solution import add`) are named. Raises
BadTest for a text without a check that is reached, and for one that needs a package or a name that
is not there. Nothing is run here.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from rewards.sandbox.called import calls, uses
from rewards.sandbox.needed import BadTest, free_names, require_checks, require_names
from rewards.sandbox.unittests import Assertions

# what tests of other people's call the module with the program
PROGRAM = {
    *("solution", "solutions", "program", "submission", "answer", "candidate", "main", "task"),
    *("impl", "implementation", "student", "your_module", "my_module", "mymodule", "module"),
    *("your_code", "user_code", "target", "sol", "source", "src", "app"),
}


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
    called = list(calls(module, name))
    module.body += [line for _, lines in called for line in lines]
    if name and "candidate" in free_names(module) and name != "candidate":
        module.body[:0] = ast.parse(f"candidate = {name}").body
    module = ast.fix_missing_locations(module)
    require_checks(module)
    require_names(module, name, modules)
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
            if top in sys.stdlib_module_names or (top == "pytest" and not uses(module, "pytest")):
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


def _imports_only(line: ast.stmt, package: str) -> bool:
    return isinstance(line, ast.Import) and [alias.name for alias in line.names] == [package]
