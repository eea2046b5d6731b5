"""data_source -> the built-in rule that scores its rows, as `rewards/rules.yaml` says.

    rule_for("math_reasoning")("math_reasoning", "so 42", "42", None)

A rule is imported when it is first asked for. A user's own function is not here: `rewards.user`.
"""

import difflib
import importlib
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

import yaml

TABLE = Path(__file__).with_name("rules.yaml")


class UnknownDataSource(ValueError):
    """No pattern of the table matches; the message lists those that exist and the closest."""


@lru_cache(maxsize=1)
def _table() -> dict[str, str]:
    return yaml.safe_load(TABLE.read_text(encoding="utf-8"))


def known_sources() -> tuple[str, ...]:
    """The patterns of the table, in its order."""
    return tuple(_table())


def _unknown(data_source: str) -> UnknownDataSource:
    known = known_sources()
    lower = {pattern.lower(): pattern for pattern in reversed(known)}
    close = difflib.get_close_matches(data_source.lower(), lower, 1)
    hint = f" Did you mean {lower[close[0]]!r}?" if close else ""
    return UnknownDataSource(
        f"no rule for data_source {data_source!r}; known: {', '.join(known)}.{hint}"
    )


@lru_cache(maxsize=1024)
def rule_for(data_source: str) -> Callable:
    """The first rule whose pattern matches. Raises UnknownDataSource when none does."""
    for pattern, target in _table().items():
        if fnmatchcase(data_source, pattern):
            module, _, function = target.partition(":")
            return getattr(importlib.import_module(f"rewards.rules.{module}"), function)
    raise _unknown(data_source)
