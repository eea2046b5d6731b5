"""One cell of a row, whatever a file made of it: structures kept as text, numbers, dates.

    loaded('{"a": [1]}')           # {"a": [1]}; so is what Python prints: "{'a': [1]}"
    text_of(Decimal("1.50"))       # "1.50"

Left out on purpose: what a cell means; that is for rows.py and prompt.py.
"""

import ast
import json
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from math import isfinite, isnan
from typing import Any

MOST_AS_PYTHON = 100_000  # characters; Python's own parser takes half a kilobyte for each


def loaded(value: Any) -> Any:
    """The list or map that a text holds, as JSON or as Python prints it; else `value` itself."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("[", "{"):
        return value
    found = _parsed(value)
    return found if isinstance(found, (list, dict)) else value


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    if len(text) > MOST_AS_PYTHON or not text.rstrip().endswith(("]", "}")):
        return None
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return None


def mapping(value: Any) -> Mapping[str, Any]:
    """A map, also as text or as the pairs that Spark and DuckDB write; else an empty one."""
    value = loaded(value)
    if isinstance(value, (list, tuple)) and value and all(map(_is_pair, value)):
        return {key: item for key, item in map(_pair, value)}
    return value if isinstance(value, Mapping) else {}


def _is_pair(item: Any) -> bool:
    if isinstance(item, Mapping):
        return set(item) == {"key", "value"} and isinstance(item["key"], str)
    return isinstance(item, (list, tuple)) and len(item) == 2 and isinstance(item[0], str)


def _pair(item: Any) -> tuple[str, Any]:
    return (item["key"], item["value"]) if isinstance(item, Mapping) else tuple(item)


def is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def plain(value: Any) -> str | None:
    """For json, of what it cannot write: numbers and dates as their text, bytes as nothing."""
    if isinstance(value, (bytes, bytearray)):
        return None
    return format(value, "f") if isinstance(value, Decimal) and value.is_finite() else str(value)


def text_of(value: Any) -> str:
    """An answer or label as text: 42 and 42.0 are "42", a list is JSON, nothing is "".

    Tables write NaN where a cell is empty.
    """
    if value is None or (isinstance(value, (float, Decimal)) and isnan(value)):
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and isfinite(value) and value.is_integer():
        return str(int(value))
    if isinstance(value, (Decimal, date, datetime, time)):
        return plain(value) or ""
    if isinstance(value, (bytes, bytearray)):
        return value.decode("utf-8", "replace")
    return json.dumps(value, ensure_ascii=False, default=plain)
