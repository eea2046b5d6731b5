"""Rows in a file that is one JSON object, however it is laid out.

    rows_inside({"data": [{"prompt": "2+3?"}]}, "a.json")           # [{"prompt": "2+3?"}]
    rows_inside({"prompt": ["2+3?"], "answer": ["5"]}, "a.json")    # [{"prompt": ..., ...}]

A list under a key, splits (train is taken, or the one that `split` names), columns, rows by their
ids, and pandas' and the hub's own forms. Left out: a list deeper inside, such as SQuAD's.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from verlaunch.errors import UserError
from verlaunch.inputs.data.rows import PROMPT_NAMES

TRAIN = ("train", "training")
Found = list[Any] | None


def rows_inside(value: Any, path: str, split: str | None = None) -> Found:
    """None where the object is a row itself. Raises UserError where several lists are there."""
    if not isinstance(value, Mapping) or not value:
        return None
    if split is not None:
        return _of_split(value, path, split)
    for form in (_pandas_split, _columns, _by_id):
        if (found := form(value)) is not None:
            return found
    if _has_prompt(value):
        return None
    lists = [key for key, items in value.items() if _inside(items, path) is not None]
    chosen = [key for key in lists if str(key).lower() in TRAIN] or lists
    if len(chosen) > 1:
        raise UserError(
            f"{path} is one object with rows under several keys: {', '.join(map(str, chosen))}. "
            f"Say which in YAML: {{path: {path}, split: {chosen[0]}}}."
        )
    return _inside(value[chosen[0]], path) if chosen else None


def _of_split(value: Mapping[str, Any], path: str, split: str) -> list[Any]:
    found = _inside(value.get(split), path)
    if found is None:
        keys = ", ".join(map(str, value))
        raise UserError(f"{path} has no rows under {split!r}; its keys: {keys}.")
    return found


def _inside(items: Any, path: str) -> Found:
    """Rows under a key: a list of them, or an object in which they are."""
    if isinstance(items, list) and items and all(isinstance(item, Mapping) for item in items):
        return [item["row"] if "row_idx" in item and "row" in item else item for item in items]
    return rows_inside(items, path) if isinstance(items, Mapping) else None


def _has_prompt(value: Mapping[str, Any]) -> bool:
    return any(str(key).lower() in PROMPT_NAMES for key in value)


def _pandas_split(value: Mapping[str, Any]) -> Found:
    names, data = value.get("columns"), value.get("data")
    if not isinstance(names, list) or not isinstance(data, list):
        return None
    fits = all(isinstance(row, list) and len(row) == len(names) for row in data)
    return [dict(zip(names, row, strict=True)) for row in data] if fits else None


def _columns(value: Mapping[str, Any]) -> Found:
    """Each key a column, as a list or by the rows' ids; a list of messages is no column."""
    prompts = [items for key, items in value.items() if str(key).lower() in PROMPT_NAMES]
    kinds = {type(items) for items in value.values()}
    if not prompts or kinds not in ({list}, {dict}) or _is_message_list(prompts[0]):
        return None
    sizes = {len(items) for items in value.values()}
    if kinds == {list}:
        is_table = len(sizes) == 1
        return list(_turned(value, range(len(prompts[0])))) if is_table else None
    is_table = all(set(items) == set(prompts[0]) for items in value.values())
    return list(_turned(value, prompts[0])) if is_table else None


def _turned(value: Mapping[str, Any], ids: Any) -> Iterator[dict[str, Any]]:
    return ({name: items[at] for name, items in value.items()} for at in ids)


def _is_message_list(items: Any) -> bool:
    return isinstance(items, list) and any(isinstance(item, Mapping) for item in items)


def _by_id(value: Mapping[str, Any]) -> Found:
    rows = list(value.values())
    if _has_prompt(value) or not all(isinstance(row, Mapping) and _has_prompt(row) for row in rows):
        return None
    are_tables = all(_columns(row) is not None for row in rows)  # one for each split
    return None if are_tables else rows
