"""Numbers that stand for words: the columns of `datasets` that are a ClassLabel.

    names = label_names(schema)                         # {"answer": ["A", "B", "C", "D"]}
    with_labels({"question": "Which?", "answer": 1}, names)["answer"]    # "B"

Read from the file's own description, which `datasets` writes into parquet and Arrow files.
"""

import json
from collections.abc import Mapping
from typing import Any

Names = Mapping[str, list[str]]


def label_names(schema: Any) -> Names:
    """Column -> its words; nothing where a file does not say."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: found for name, kind in features.items() if (found := _words(kind))}
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}


def names_of(features: Mapping[str, Any] | None) -> Names:
    """The same of a dataset that is open already."""
    kinds = (features or {}).items()
    return {
        name: list(kind.names)
        for name, kind in kinds
        if type(kind).__name__ == "ClassLabel" and kind.names
    }


def _words(kind: Any) -> list[str]:
    is_label = isinstance(kind, Mapping) and kind.get("_type") == "ClassLabel"
    return list(kind.get("names") or []) if is_label else []


def with_labels(row: dict[str, Any], names: Names) -> dict[str, Any]:
    """The row with words for numbers; a -1 is a label that nobody gave."""
    for column, words in names.items():
        at = row.get(column)
        if type(at) is int and at < len(words):
            row[column] = words[at] if at >= 0 else None
    return row
