r"""The tests of a row, from its ground truth or its extra_info, as the sandbox needs them.

    {"inputs": ["1 2\n"], "outputs": ["3\n"]}                        stdin and stdout
    {"fn_name": "add", "inputs": [[1, 2]], "outputs": [3]}           a function's arguments, result
    {"assert_case": ["assert add(1, 2) == 3"]}                       or the list alone
    {"functional": "def check(f): ...\ncheck(add)"}                  one test, all of its asserts

as JSON text or as such, in extra_info["tests"], else in ground_truth. Each pair and each assert is
one test. Arguments may be a list, or text with one JSON value per line (then the output is JSON
text too). `Solution().add` is found where `add` is not. A functional test that defines `check` and
does not call it is given `fn_name` (or `entry_point`). Left out: set-up code and files.
"""

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rewards.part import Failure
from rewards.sandbox.checks import hide
from rewards.sandbox.values import Check

_FORMS = "inputs with outputs, assert_case, or functional"
_CALL = "__seen__(0, (globals().get({0!r}) or getattr(Solution(), {0!r}))(*__args__))"


@dataclass(frozen=True)
class Case:
    """source None: stdin and expected stdout are the test. Else its code, and what must hold."""

    source: str | None = None
    stdin: str = ""
    expected: str = ""
    args: tuple[Any, ...] = ()
    checks: tuple[Check, ...] = ()

    def task(self) -> dict[str, Any]:
        """What goes into the sandbox: nothing that is expected."""
        return {"source": self.source, "stdin": self.stdin, "args": list(self.args)}


def _bad(reason: str) -> Failure:
    return Failure("data", f"the tests of a code row {reason}")


def _plain(value: Any) -> Any:
    """Parquet gives arrays where JSON had lists."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items() if one is not None}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _loaded(value: Any) -> Any:
    value = _plain(value)
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise _bad(f"are no JSON: {value[:40]!r}; they are {_FORMS}") from None


def _text(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    if not isinstance(value, str):
        raise _bad(f"have {str(value)[:40]!r} for stdin or stdout; it is text or a list of lines")
    return value


def _arguments(value: Any) -> list[Any]:
    if isinstance(value, str):
        try:
            return [json.loads(line) for line in value.splitlines() if line.strip()]
        except ValueError:
            raise _bad(f"have arguments that are no JSON lines: {value[:40]!r}") from None
    if not isinstance(value, list):
        raise _bad(f"have {str(value)[:40]!r} for arguments; they are a list")
    return value


def _result(value: Any, as_text: bool) -> Any:
    if not (as_text and isinstance(value, str)):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _by_call(name: Any, given: Any, result: Any) -> Case:
    if not isinstance(name, str) or not name.isidentifier():
        raise _bad(f"have fn_name {str(name)[:40]!r}, which names no function")
    check = Check("returns", _result(result, as_text=isinstance(given, str)))
    return Case(_CALL.format(name), args=tuple(_arguments(given)), checks=(check,))


def _pairs(tests: dict[str, Any]) -> Iterator[Case]:
    inputs, outputs = tests["inputs"], tests.get("outputs")
    if not isinstance(inputs, list) or not isinstance(outputs, list) or len(inputs) != len(outputs):
        raise _bad("need inputs and outputs as two lists of the same length")
    for given, result in zip(inputs, outputs, strict=True):
        if tests.get("fn_name"):
            yield _by_call(tests["fn_name"], given, result)
        else:
            yield Case(stdin=_text(given), expected=_text(result))


def _by_code(test: Any) -> Case:
    if not isinstance(test, str) or not test.strip():
        raise _bad(f"have {str(test)[:40]!r} where test code belongs")
    try:
        source, checks = hide(test)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _bad(f"have test code that is no Python ({error}): {test[:40]!r}") from None
    return Case(source, checks=checks)


def _with_call(test: Any, name: Any) -> Any:
    """HumanEval's tests define check(candidate) and leave the call to whoever runs them."""
    if not isinstance(test, str) or not isinstance(name, str) or not name.isidentifier():
        return test
    try:
        body = ast.parse(test).body
    except (SyntaxError, ValueError):
        return test
    defined = any(isinstance(line, ast.FunctionDef) and line.name == "check" for line in body)
    called = any(isinstance(line, ast.Expr) and "check(" in ast.unparse(line) for line in body)
    return f"{test}\ncheck({name})\n" if defined and not called else test


def _cases(tests: Any) -> Iterator[Case]:
    if isinstance(tests, list):
        tests = {"assert_case": tests}
    if not isinstance(tests, dict) or not {"inputs", "assert_case", "functional"} & tests.keys():
        raise _bad(f"are {str(tests)[:60]!r}; they are {_FORMS}")
    if "inputs" in tests:
        yield from _pairs(tests)
    listed = tests.get("assert_case", [])
    for test in listed if isinstance(listed, list) else [listed]:
        yield _by_code(test)
    if "functional" in tests:
        name = tests.get("fn_name") or tests.get("entry_point")
        yield _by_code(_with_call(tests["functional"], name))


def read_cases(ground_truth: Any, extra_info: Mapping[str, Any] | None, most: int) -> list[Case]:
    """At most `most`, the first ones. Raises Failure of the kind "data"."""
    tests = (extra_info or {}).get("tests")
    cases = list(_cases(_loaded(ground_truth if tests is None else tests)))
    if not cases:
        raise _bad("are empty")
    return cases[:most]
