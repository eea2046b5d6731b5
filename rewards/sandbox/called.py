"""The tests in a text that nobody calls, with the lines that do: unittest's, and pytest's.

    for function, lines in calls(ast.parse("def test_add(): assert add(1, 2) == 3"), None): ...

Left out: tests with fixtures, with decorators, or `async`: what they need is not there.
"""

import ast
from collections.abc import Iterator

from rewards.sandbox.unittests import is_unittest

# a test's parameter that means the function under test
_GIVEN = ("candidate", "func", "function", "fn", "f", "solution")


def calls(module: ast.Module, name: str | None) -> Iterator[tuple[ast.FunctionDef, list[ast.stmt]]]:
    """Each test that nobody calls, with the lines that do."""
    for line in list(module.body):
        if isinstance(line, ast.ClassDef):
            yield from _methods(line)
        elif isinstance(line, ast.FunctionDef) and not uses(module, line.name):
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


def uses(module: ast.Module, name: str) -> bool:
    return any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(module))
