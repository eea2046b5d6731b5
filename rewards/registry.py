"""data_source -> the rule that scores its rows, as a user's table and `rewards/rules.yaml` say.

    rule_for("qa/trivia")("qa/trivia", "It is Paris. The answer is Paris.", ["Paris", "Lutetia"])
    # {"score": 1.0, "exact": 1.0, "f1": 1.0}
    rule_named("length", {"limit": 2000})("any", "A short response.", "")  # {"score": 1.0}

A rule is imported when it is first asked for. What it returns is awaited where it is awaitable.
A user's own function without a table is not here: `rewards.functions.user`.
"""

import difflib
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

from rewards.spec import RuleSpec
from rewards.table import Entry, read_table

TABLE = Path(__file__).with_name("rules.yaml")


class UnknownDataSource(ValueError):
    """No pattern of the tables matches; the message lists those that exist and the closest."""


@lru_cache(maxsize=8)
def _entries(table: str | None) -> tuple[tuple[str, Entry], ...]:
    own = read_table(Path(table).expanduser().resolve()).items() if table else ()
    return (*own, *read_table(TABLE, check=False).items())


def _path(table: str | Path | None) -> str | None:
    return None if table is None else str(table)


def known_sources(table: str | Path | None = None) -> tuple[str, ...]:
    """The patterns in the order in which they are tried, the user's first. Raises BadTable."""
    return tuple(pattern for pattern, _ in _entries(_path(table)))


def _unknown(data_source: str, known: tuple[str, ...]) -> UnknownDataSource:
    lower = {pattern.lower(): pattern for pattern in reversed(known)}
    close = difflib.get_close_matches(data_source.lower(), lower, 1)
    hint = f" Did you mean {lower[close[0]]!r}?" if close else ""
    names = ", ".join(dict.fromkeys(known))
    return UnknownDataSource(f"no rule for data_source {data_source!r}; known: {names}.{hint}")


@lru_cache(maxsize=1024)
def _found(data_source: str, table: str | None) -> Callable:
    for pattern, entry in _entries(table):
        if fnmatchcase(data_source, pattern):
            return entry.rule()
    raise _unknown(data_source, known_sources(table))


def rule_for(data_source: str, table: str | Path | None = None) -> Callable:
    """The first rule whose pattern matches, a user's table before the built-in one.

    Raises UnknownDataSource when none does, BadTable for a table that cannot be used.
    """
    return _found(data_source, _path(table))


def rule_of(rules: RuleSpec, data_source: str) -> Callable:
    """The rule that scores the rows of this source. Raises UnknownDataSource, BadTable."""
    if rules.rule:
        return rule_named(rules.rule, rules.options)
    return rule_for(data_source, rules.table)


def rule_named(
    name: str, options: Mapping[str, Any] | None = None, folder: str | Path | None = None
) -> Callable:
    """`length`, `length:compute_score`, or `file.py:function` below `folder`. Raises BadTable."""
    return Entry(name, dict(options or {}), None if folder is None else Path(folder)).rule()
