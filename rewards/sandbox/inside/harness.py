"""Runs one program of the model's against one test, and says what happened. Judges nothing.

    run("def f(x): return x + 1", {"source": "__seen__(0, f(1))", "mark": "x"}, say)
    # say({"compiled": True}), say({"check": 0, "left": 2}), say({"done": "x"})

No expected value comes here: a program that tampers with all of this can only report values of
its own, and whoever compares them is in another process. The file is also sent as text to a remote
sandbox, so it imports the standard library alone and asks for Python 3.10, no more.
"""

import builtins
import collections
import importlib
import json
import os
import sys
import types
from collections.abc import Callable
from typing import Any

DEEPEST = 60  # levels of a reported value
LONG = 10_000  # bits; a longer integer travels in hexadecimal: Python reads no 4,300 digits of JSON
# competitive code leaves these imports out; the modules come last, so that bisect is the module
_STARS = ("typing", "collections", "functools", "itertools", "heapq", "bisect", "math")
_MODULES = (
    *("bisect", "collections", "copy", "datetime", "decimal", "fractions", "functools", "heapq"),
    *("itertools", "json", "math", "operator", "os", "random", "re", "statistics", "string"),
    *("sys", "time", "typing"),
)
Say = Callable[[dict[str, Any]], None]


def prelude() -> dict[str, Any]:
    """The names a program may use without importing them. None hides a builtin (math.pow would)."""
    names: dict[str, Any] = {}
    for star in _STARS:
        module = importlib.import_module(star)
        public = getattr(module, "__all__", None) or dir(module)
        names.update({name: getattr(module, name) for name in public if name[0] != "_"})
    for name in dir(builtins):
        names.pop(name, None)
    names.update(exit=sys.exit, quit=sys.exit)  # builtins only where `site` is imported
    names.update({name: importlib.import_module(name) for name in _MODULES})
    return names


def plain(value: Any, depth: int = 0) -> Any:
    """The value as JSON that keeps its type: (1, {2}) is ["t", [1, ["s", [2]]]]."""
    if value is None or isinstance(value, (bool, str)):
        return value if type(value) in (type(None), bool) else str.__str__(value)
    if isinstance(value, int):
        number = int.__index__(value)
        return number if number.bit_length() < LONG else ["i", hex(number)]
    if isinstance(value, float):
        return float.__float__(value)
    if depth < DEEPEST:
        deeper = depth + 1
        if isinstance(value, (bytes, bytearray)):
            return ["b", bytes(value).hex()]
        if isinstance(value, (list, tuple)):
            return ["lt"[isinstance(value, tuple)], [plain(one, deeper) for one in value]]
        if isinstance(value, (set, frozenset)):
            return ["s", sorted((plain(one, deeper) for one in value), key=repr)]
        if isinstance(value, (dict, collections.UserDict)):
            pairs = [[plain(key, deeper), plain(one, deeper)] for key, one in value.items()]
            return ["d", sorted(pairs, key=repr)]
    return ["o", type(value).__name__]


def _reporter(say: Say) -> Callable[..., None]:
    def seen(check: int, left: Any, *right: Any) -> None:
        said: dict[str, Any] = {"check": check, "left": plain(left)}
        for other in right:  # a right side that had to be computed here as well
            said["right"] = plain(other)
            said["equal"] = bool(left == other)
        say(said)

    return seen


def run(program: str, task: dict[str, Any], say: Say) -> int:
    """The exit code. task: "source" is a test's code, None when stdin and stdout are the test;
    "mark" is what to say when the test's code has come to its end.
    """
    source: str | None = task.get("source")
    name = "__main__" if source is None else "program"
    module = types.ModuleType(name)
    for alias in (name, *task.get("modules", ())):  # `from solution import add` in a test
        sys.modules[alias] = module
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)  # judges' inputs have long integers; time is limited anyway
    sys.argv = ["program.py"]
    names = module.__dict__
    names.update(prelude())
    try:
        code = compile(program, "<program>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):
        say({"compiled": False})
        return 1
    say({"compiled": True})
    try:
        exec(code, names)
        if source is not None:
            names.update(__seen__=_reporter(say), __args__=task.get("args"))
            exec(compile(source, "<test>", "exec", dont_inherit=True), names)
            say({"done": task.get("mark")})
    except SystemExit as end:
        return 0 if end.code is None else end.code & 255 if isinstance(end.code, int) else 1
    except BaseException:
        return 1
    return 0


def run_remote(mark: str, request: str) -> None:
    """For a sandbox that gives back stdout only: reports are lines that begin with the mark."""
    job = json.loads(request)
    write = os.write

    def say(said: dict[str, Any]) -> None:
        sys.stdout.flush()
        lines: list[str] = ["", mark + json.dumps(said), ""]
        left = "\n".join(lines).encode()
        while left:
            left = left[write(1, left) :]

    raise SystemExit(run(job["program"], job["task"], say))
