"""Tables of rules: pattern of data_source -> a rule, and the options that are bound to it.

    math_reasoning: math_reasoning:compute_score
    strict_math: {rule: math_reasoning:compute_score, method: strict}
    ours/*: {rule: my_rules.py:politeness, words: [please, thanks]}    # a file beside the table

A user's table is checked as a whole when it is read, so that one message names all that is wrong.
Left out on purpose: a process of its own for the rules of a user's table. They run where the
built-in ones do; `--reward_fn file.py:function` is what survives a hang.
"""

import ast
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints

from rewards import option_types, yaml_file
from rewards.functions.user import ARGUMENTS, LoadError, called, load_function

RULES = Path(__file__).with_name("rules")
FORM = "module:function, file.py:function, or {rule: module:function, option: value}"


class BadTable(ValueError):
    """The table, or a rule by its name, cannot be used; the message lists everything wrong."""


@dataclass(frozen=True)
class Entry:
    """target: `module:function` in rewards/rules/, or `file.py:function` below `folder`."""

    target: str
    options: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None

    def rule(self) -> Callable:
        """Imports it and binds its options. Raises BadTable."""
        function = self._function()
        for name, given in self.options.items():
            _check_option(self.target, function, name, given)
        bound = partial(function, **self.options) if self.options else function
        return bound if self._is_builtin() else _narrowed(bound)

    def _is_builtin(self) -> bool:
        return ".py:" not in self.target

    def _function(self) -> Callable:
        if not self._is_builtin():
            try:
                return load_function(str((self.folder or Path()) / self.target))
            except LoadError as error:
                raise BadTable(str(error)) from None
        module, _, name = self.target.partition(":")
        modules = {path.stem for path in RULES.glob("*.py") if _functions(path)}
        if module not in modules:
            there = ", ".join(sorted(modules))
            raise BadTable(
                f"no rule {self.target!r}; files of rules: {there} (or file.py:function)"
            )
        name = name or "compute_score"
        rules = _functions(RULES / f"{module}.py")
        if name not in rules:
            raise BadTable(f"no function {name!r} in the rule {module}; there: {', '.join(rules)}")
        return getattr(importlib.import_module(f"rewards.rules.{module}"), name)


def _functions(path: Path) -> list[str]:
    """Rules of one file: what takes the four arguments of a reward. Imports nothing."""
    return [
        node.name
        for node in ast.parse(path.read_bytes()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and tuple(argument.arg for argument in node.args.args) == ARGUMENTS
    ]


def _check_option(target: str, function: Callable, name: str, given: Any) -> None:
    parameters = inspect.signature(function).parameters
    allowed = [key for key in parameters if key not in ARGUMENTS]
    if name not in allowed:
        there = f"its options: {', '.join(allowed)}" if allowed else "it has no options"
        raise BadTable(f"{target} takes no option {name!r}; {there}")
    kind = _kinds(function).get(name)
    if not option_types.fits(given, kind):
        raise BadTable(f"{target}: {name} is {option_types.said(kind)}, not {given!r}")


def _kinds(function: Callable) -> dict[str, Any]:
    try:
        return get_type_hints(function)
    except (NameError, TypeError):  # a user's annotations may name what is not imported
        return {}


def _narrowed(function: Callable) -> Callable:
    """A user's function may take any of the four arguments."""

    def rule(data_source: str, solution_str: str, ground_truth: Any, extra_info: Any = None) -> Any:
        return called(function, data_source, solution_str, ground_truth, extra_info)

    inner = function.func if isinstance(function, partial) else function
    rule.__module__ = inner.__module__  # whose rule it is, for the plan
    return rule


def _entry(written: Any, folder: Path) -> Entry:
    options = dict(written) if isinstance(written, dict) else {"rule": written}
    target = options.pop("rule", None)
    if not isinstance(target, str):
        raise BadTable(f"{written!r} is no rule; write {FORM}")
    return Entry(target, options, folder)


def _read(path: Path) -> dict[Any, Any]:
    try:
        written = yaml_file.read(path)
    except yaml_file.BadYaml as error:
        raise BadTable(str(error)) from None
    if not isinstance(written, dict) or not written:
        raise BadTable(f"{path} must hold lines `pattern: rule`; a rule is {FORM}")
    return written


def read_table(path: Path, check: bool = True) -> dict[str, Entry]:
    """Pattern -> entry, in the order of the file. `check` imports every rule. Raises BadTable."""
    table: dict[str, Entry] = {}
    problems = []
    for pattern, written in _read(path).items():
        try:
            table[str(pattern)] = entry = _entry(written, path.parent)
            if check:
                entry.rule()
        except BadTable as error:
            problems.append(f"{pattern}: {error}")
    if problems:
        if len(problems) == 1:
            raise BadTable(f"{path}: {problems[0]}")
        raise BadTable("\n".join([f"{path} has {len(problems)} bad lines:", *problems]))
    return table
