"""A user's own reward, `path.py:function`: found, imported, called, and its result checked.

    function = load_function("my_reward.py:score")
    call(function, "math_reasoning", "so 42", "42", None)  # {"score": 1.0}

The function takes any of data_source, solution_str, ground_truth, extra_info and may be async.
It runs in this process: `rewards.functions.killable` is what runs it where it can be killed.
"""

import ast
import asyncio
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from rewards.checks import check

ARGUMENTS = ("data_source", "solution_str", "ground_truth", "extra_info")
PACKAGE = "user_reward"  # the outermost folder of a user's file, as a package
_SHOWN = 200  # characters of an error message


class LoadError(Exception):
    """The spec names no function that can be called; the message says why and what is there."""


def _functions(path: Path) -> list[str]:
    try:
        body = ast.parse(path.read_bytes()).body
    except (SyntaxError, ValueError):
        return []
    return [node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def _look(path: Path, wanted: str) -> None:
    """Raises LoadError for what reading shows: no Python, or no such name anywhere in the file."""
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except SyntaxError as error:
        raise LoadError(f"cannot import {path}: {describe(error, path)}") from None
    except ValueError as error:
        raise LoadError(f"cannot import {path}: {error}") from None
    words = {getattr(node, "name", None) or getattr(node, "id", None) for node in ast.walk(tree)}
    words |= {node.asname for node in ast.walk(tree) if isinstance(node, ast.alias)}
    there = ", ".join(_functions(path))
    if there and wanted not in words and "*" not in words:
        raise LoadError(f"no function {wanted!r} in {path}; functions there: {there}")


def resolve(spec: str) -> str:
    """The spec with an absolute path, so that it holds in every process. Imports nothing."""
    name, colon, function = spec.rpartition(":")
    path = Path(name if colon else spec).expanduser().resolve()
    if not path.is_file():
        raise LoadError(f"{path} not found; a reward is given as path.py:function")
    if not colon or not function.isidentifier():
        there = ", ".join(_functions(path)) or "none"
        raise LoadError(f"{spec!r} names no function; functions in {path.name}: {there}")
    _look(path, function)
    return f"{path}:{function}"


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # a user's own exception class may be broken as well
        return ""


def describe(error: BaseException, path: Path | None) -> str:
    """`my_reward.py:12: ZeroDivisionError: division by zero`, with the last line of the user's."""
    if isinstance(error, SyntaxError) and error.filename:
        where, text = f"{Path(error.filename).name}:{error.lineno}", error.msg
    else:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if path and Path(frame.filename) == path] or frames
        where = f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else "?"
        text = _text(error)
    head = text.strip().split("\n", 1)[0][:_SHOWN]
    return f"{where}: {type(error).__name__}" + (f": {head}" if head else "")


def _run(name: str, file: Path, search: list[str] | None = None) -> Any:
    """The file as a module of this name, or as a package that searches there."""
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=search)
    if spec is None or spec.loader is None:
        raise LoadError(f"{file} is not a Python file (.py)")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look a class's module up by name
    try:
        spec.loader.exec_module(module)
    except BaseException as error:  # SystemExit too: nothing in a user's file may end us
        raise LoadError(f"cannot import {file}: {describe(error, file)}") from None
    return module


def _package(path: Path) -> str:
    """What `from .helpers import f` and `from ..common import g` start from: its folder, and those
    above as far as each has an __init__.py. By names of their own, as one may be called like ours.
    """
    folders = [path.parent]
    while (folders[0] / "__init__.py").is_file():
        folders.insert(0, folders[0].parent)
    name = ""
    for folder in folders:
        name = f"{name}.{folder.name}" if name else PACKAGE
        if (init := folder / "__init__.py").is_file():
            _run(name, init, [str(folder)])
        else:
            sys.modules[name] = ModuleType(name)
            sys.modules[name].__path__ = [str(folder)]
    return name


def _import(path: Path) -> Any:
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))  # as `python my_reward.py` would, for its helpers
    return _run(f"{_package(path)}.{path.stem.replace('.', '_')}", path)


def _check_parameters(function: Callable, spec: str) -> None:
    for parameter in inspect.signature(function).parameters.values():
        optional = parameter.default is not parameter.empty or parameter.kind in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        )
        if parameter.name not in ARGUMENTS and not optional:
            raise LoadError(
                f"{spec} needs a parameter {parameter.name!r}, which no reward is given; "
                f"it may take any of: {', '.join(ARGUMENTS)}"
            )


def load_function(spec: str) -> Callable:
    """Imports `path.py:function` (relative to the current folder). Raises LoadError."""
    spec = resolve(spec)
    name, _, wanted = spec.rpartition(":")
    path = Path(name)
    function = getattr(_import(path), wanted, None)
    if not callable(function):
        there = ", ".join(_functions(path)) or "none"
        raise LoadError(f"no function {wanted!r} in {path}; functions there: {there}")
    _check_parameters(function, spec)
    return function


@lru_cache(maxsize=1)
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()  # one for all calls: a kept HTTP client is bound to its loop


async def _awaited(result: Any) -> Any:
    return await result


@lru_cache(maxsize=64)
def _parameters(function: Callable) -> dict[str, Any]:
    return dict(inspect.signature(function).parameters)


def called(function: Callable, *row: Any) -> Any:
    """What it returns for those of the row's ARGUMENTS that it takes."""
    given = dict(zip(ARGUMENTS, row, strict=True))
    parameters = _parameters(function)
    kinds = {parameter.kind for parameter in parameters.values()}
    positional = [
        given.pop(name)
        for name, parameter in parameters.items()
        if parameter.kind is parameter.POSITIONAL_ONLY and name in given
    ]
    if inspect.Parameter.VAR_KEYWORD not in kinds:
        given = {name: value for name, value in given.items() if name in parameters}
    return function(*positional, **given)


def call(function: Callable, *row: Any) -> dict[str, Any]:
    """row: ARGUMENTS. Waits if the function is async, and checks the result."""
    result = called(function, *row)
    if inspect.isawaitable(result):
        result = _loop().run_until_complete(_awaited(result))
    return check(result)
