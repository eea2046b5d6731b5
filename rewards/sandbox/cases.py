r"""The tests of a row, from its ground truth or its extra_info, as the sandbox needs them.

    {"inputs": ["1 2\n"], "outputs": ["3\n"]}                        stdin and stdout
    {"fn_name": "add", "inputs": [[1, 2]], "outputs": [3]}           a function's arguments, result
    {"assert_case": ["assert add(1, 2) == 3"]}                       or the list alone
    {"functional": "def check(f): ...\ncheck(add)"}                  one test, all of its asserts
    [{"input": "1 2\n", "output": "3\n", "testtype": "stdin"}]       LiveCodeBench's list

as JSON text or as such, in extra_info["tests"], else in its columns of MBPP (`test_list`, with
`test_imports`) or HumanEval (`test`), else in ground_truth. Each pair and each assert is one test.
Arguments may be a list, or text with one JSON value per line (then the output is JSON text too).
`Solution().add` is found where `add` is not. `fn_name`, or `entry_point`, is what a test's `check`
is given. Left out: files, and LiveCodeBench's private tests while they are pickled.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rewards.part import Failure
from rewards.sandbox.checks import hide
from rewards.sandbox.equal_values import Check
from rewards.sandbox.needed import BadTest
from rewards.sandbox.runnable import make_runnable

_FORMS = "inputs with outputs, assert_case, or functional"
_LARGE = "which cannot be read here; write it as text, for a program's stdin or stdout"
_IS_CODE = re.compile(
    r"^\s*(?:assert\b|def (?:test|check)|class \w*Test|from |import )", re.MULTILINE
)
_CALL = "__seen__(0, (globals().get({0!r}) or getattr(Solution(), {0!r}))(*__args__))"


@dataclass(frozen=True)
class Case:
    """source None: stdin and expected stdout are the test. Else its code, and what must hold.

    modules: names under which the test imports the program.
    """

    source: str | None = None
    stdin: str = ""
    expected: str = ""
    args: tuple[Any, ...] = ()
    checks: tuple[Check, ...] = ()
    modules: tuple[str, ...] = ()

    def task(self) -> dict[str, Any]:
        """What goes into the sandbox: nothing that is expected."""
        told = {"source": self.source, "stdin": self.stdin, "args": list(self.args)}
        return {**told, "modules": list(self.modules)} if self.modules else told


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
    except (ValueError, RecursionError) as error:
        if "4300 digits" in str(error):
            raise _bad(f"hold an integer of more than 4,300 digits, {_LARGE}") from None
        if _IS_CODE.search(value):
            return {"functional": value}
        raise _bad(f"are no JSON: {value[:40]!r}; they are {_FORMS}") from None


def _text(value: Any) -> str:
    value = "" if value is None else value
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    if not isinstance(value, str):
        raise _bad(f"have {str(value)[:40]!r} for stdin or stdout; it is text or a list of lines")
    return value


def _arguments(value: Any) -> list[Any]:
    value = [] if value is None else value
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


def _by_code(test: Any, name: Any = None, setup: str = "") -> Case:
    """name: the function under test. setup: lines that stand before it."""
    if not isinstance(test, str) or not test.strip():
        raise _bad(f"have {str(test)[:40]!r} where test code belongs")
    known = name if isinstance(name, str) and name.isidentifier() else None
    try:
        runnable = make_runnable(setup + test, known)
        source, checks = hide(runnable)
    except BadTest as error:
        raise _bad(f"{error}: {test[:60]!r}") from None
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        why = f"an integer of more than 4,300 digits, {_LARGE}"
        why = why if "4300 digits" in str(error) else f"test code that is no Python ({error})"
        raise _bad(f"have {why}: {test[:40]!r}") from None
    return Case(source, checks=checks, modules=runnable.modules)


def _of_list(tests: list[Any], name: Any) -> Iterator[Case]:
    """LiveCodeBench's: each with its input and output, of a program or of a function."""
    for test in tests:
        if not isinstance(test, Mapping) or "input" not in test:
            raise _bad(f"have {str(test)[:40]!r} in a list of tests with input and output")
        if test.get("testtype") == "functional":
            own = _named(test.get("metadata")) or name
            yield _by_call(own, str(test["input"]), str(test.get("output", "null")))
        else:
            yield Case(stdin=_text(test["input"]), expected=_text(test.get("output")))


def _named(metadata: Any) -> Any:
    """The function that LiveCodeBench's metadata name."""
    try:
        given = json.loads(metadata) if isinstance(metadata, str) else metadata
    except ValueError:
        return None
    return given.get("func_name") if isinstance(given, Mapping) else None


def _is_padding(tests: dict[str, Any]) -> bool:
    """verl's tables have empty inputs and outputs beside asserts."""
    return bool(tests.get("assert_case")) and not any(
        one is not None for one in tests.get("outputs") or []
    )


def _cases(tests: Any, extra: Mapping[str, Any]) -> Iterator[Case]:
    named = extra.get("fn_name") or extra.get("entry_point") or _named(extra.get("metadata"))
    if isinstance(tests, list):
        if any(isinstance(test, Mapping) for test in tests):
            yield from _of_list(tests, named)
            return
        tests = {"assert_case": tests}
    if not isinstance(tests, dict) or not {"inputs", "assert_case", "functional"} & tests.keys():
        raise _bad(f"are {str(tests)[:60]!r}; they are {_FORMS}")
    name = tests.get("fn_name") or tests.get("entry_point") or named
    if "inputs" in tests and not _is_padding(tests):
        yield from _pairs(tests)
    listed = tests.get("assert_case", [])
    for test in listed if isinstance(listed, list) else [listed]:
        yield _by_code(test, name, _setup(extra))
    if "functional" in tests:
        yield _by_code(tests["functional"], name, _setup(extra))


def _setup(extra: Mapping[str, Any]) -> str:
    """MBPP's imports and set-up code."""
    parts = [_plain(extra.get(name)) for name in ("test_imports", "test_setup_code")]
    lines = [line for part in parts for line in (part if isinstance(part, list) else [part])]
    return "".join(f"{line}\n" for line in lines if isinstance(line, str) and line.strip())


def _given(ground_truth: Any, extra: Mapping[str, Any]) -> Any:
    for name in ("tests", "test_list"):
        if extra.get(name) is not None:
            return extra[name]
    test = extra.get("test")
    return {"functional": test} if isinstance(test, str) and _IS_CODE.search(test) else ground_truth


def read_cases(ground_truth: Any, extra_info: Mapping[str, Any] | None, most: int) -> list[Case]:
    """At most `most`, the first ones. Raises Failure of the kind "data"."""
    extra = extra_info or {}
    cases = list(_cases(_loaded(_given(ground_truth, extra)), extra))
    if not cases:
        raise _bad("are empty")
    return cases[:most]
