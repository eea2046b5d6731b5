"""What a program's functions returned against what was expected. In our process, on plain data.

    holds(Check("==", [1, 2]), {"left": ["l", [1, 2]]})  # True

Reports come from the sandbox (`plain` in inside/harness.py) and may be any JSON at all.
"""

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rewards.sandbox.output import close

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Check:
    """One assertion: `assert f(1) == 2` has the operator "==" and expects 2.

    operator: ==, !=, <, <=, >, >=, is, is not, in, not in; "true" and "false" for `assert x` and
    `assert not x`; "near" expects (value, relative, absolute tolerance); "returns" is for a call's
    result (JSON, tolerant); "same" and "differs" where the sandbox had to compute both sides.
    required: it must be seen at least once.
    """

    operator: str
    expected: Any = None
    required: bool = True


def _kind(report: Any) -> tuple[str, Any]:
    """("l", [...]) for a reported list; ("", value) for a plain one; "?" for what is neither."""
    if not isinstance(report, list):
        return ("?", None) if isinstance(report, dict) else ("", report)
    if len(report) == 2 and report[0] == "i" and isinstance(report[1], str):
        return "", int(report[1], 16)
    if len(report) == 2 and isinstance(report[0], str) and isinstance(report[1], list | str):
        return report[0], report[1]
    return "?", None


def _all_equal(reports: Any, expected: Any, loose: bool) -> bool:
    return (
        isinstance(reports, list)
        and len(reports) == len(expected)
        and all(equal(one, other, loose) for one, other in zip(reports, expected, strict=True))
    )


def _equal_pairs(pairs: Any, expected: dict, loose: bool) -> bool:
    if not isinstance(pairs, list) or len(pairs) != len(expected):
        return False
    found = {}
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2:
            return False
        key = _hashable(pair[0])
        found[str(key) if loose else key] = pair[1]
    return len(found) == len(expected) and all(
        key in found and equal(found[key], value, loose) for key, value in expected.items()
    )


def _hashable(report: Any) -> Any:
    kind, value = _kind(report)
    if kind == "b":
        return bytes.fromhex(value)
    if kind in ("t", "s") and isinstance(value, list):
        return (tuple if kind == "t" else frozenset)(_hashable(one) for one in value)
    if kind == "":
        return value
    raise ValueError("a reported key or member that cannot be one")


def equal(report: Any, expected: Any, loose: bool = False) -> bool:
    """Whether the reported value == expected. loose: as JSON, tuples are lists and floats close."""
    kind, value = _kind(report)
    if isinstance(expected, dict):
        return kind == "d" and _equal_pairs(value, expected, loose)
    if isinstance(expected, set | frozenset):
        return kind == "s" and len(value) == len(expected) and _hashable(report) == expected
    if isinstance(expected, list | tuple):
        kinds = "lt" if loose else "lt"[isinstance(expected, tuple)]
        return kind != "" and kind in kinds and _all_equal(value, expected, loose)
    if isinstance(expected, bytes):
        return kind == "b" and value == expected.hex()
    if kind != "" or isinstance(value, str) != isinstance(expected, str):
        return False
    if loose and isinstance(value, int | float) and isinstance(expected, float):
        return close(value, expected)
    return bool(value == expected)


def _returns(report: Any, expected: Any) -> bool:
    """Many data sets wrap a single result into a list of one."""
    if equal(report, expected, loose=True):
        return True
    return isinstance(expected, list) and len(expected) == 1 and equal(report, expected[0], True)


def _is(report: Any, expected: Any) -> bool:
    kind, value = _kind(report)
    return kind == "" and type(value) is type(expected) and value == expected


def _in(report: Any, expected: Any) -> bool:
    if isinstance(expected, str):
        return isinstance(report, str) and report in expected
    return any(equal(report, one) for one in expected)


def _ordered(name: str, report: Any, expected: Any) -> bool:
    kind, value = _kind(report)
    return kind == "" and value is not None and _ORDER[name](value, expected)


def _near(report: Any, expected: tuple[float, float, float]) -> bool:
    value, relative, absolute = expected
    kind, number = _kind(report)
    if kind != "" or not isinstance(number, int | float):
        return False
    return math.isclose(number, value, rel_tol=relative, abs_tol=absolute)


def _holds(check: Check, said: dict[str, Any]) -> bool:
    report, expected = said.get("left"), check.expected
    match check.operator:
        case "==":
            return equal(report, expected)
        case "!=":
            return not equal(report, expected)
        case "is":
            return _is(report, expected)
        case "is not":
            return not _is(report, expected)
        case "in":
            return _in(report, expected)
        case "not in":
            return not _in(report, expected)
        case "true" | "false":
            return report is (check.operator == "true")
        case "near":
            return _near(report, expected)
        case "returns":
            return _returns(report, expected)
        case "same" | "differs":
            opaque = _kind(report)[0] == _kind(said.get("right"))[0] == "o"
            found = said.get("equal") is True if opaque else report == said.get("right")
            return found is (check.operator == "same")
        case name:
            return _ordered(name, report, expected)


def holds(check: Check, said: dict[str, Any]) -> bool:
    """Whether a report fulfils the check. Never raises."""
    try:
        return _holds(check, said)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return False  # what was reported has no such order, or is no report at all
