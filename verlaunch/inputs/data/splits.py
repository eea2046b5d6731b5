"""The splits of a JSON file that is one object: what to train on, what to hold out, what is left.

    of(Path("my.json"))     # {"train": "train", "val": "test"}: kind -> key

Keys are read as the names of a folder's files are (folders.py): rows of validation are held out,
else those of test. Without rows to train on only "val" is there. Nothing where the object is no
such file, or holds only rows to train on.
"""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from verlaunch.inputs.data.folders import WORDS

HEAD = 256  # characters in which the first key stands that holds anything
FIRST_KEY = re.compile(r'\s*\{[^\[{]*?"([A-Za-z_]{1,20})"\s*:\s*[\[{]')


def of(path: Path) -> Mapping[str, str]:
    """Of "train", "val" and "others" (joined by commas), those that are there."""
    try:
        stat = path.stat()
        with path.open(encoding="utf-8-sig") as file:
            first = FIRST_KEY.match(file.read(HEAD))
        is_split = first is not None and first[1].lower() in WORDS
        return _read(path, stat.st_mtime_ns) if is_split else {}
    except (OSError, ValueError, RecursionError):
        return {}  # whoever reads the rows says what is wrong


@lru_cache(8)
def _read(path: Path, changed: int) -> Mapping[str, str]:
    value = json.loads(path.read_text(encoding="utf-8-sig"))
    kinds: dict[str, str] = {}
    for key, items in value.items():
        kind = WORDS.get(key.lower())
        if kind and items and isinstance(items, list | dict):
            kinds.setdefault(kind, key)
    held = kinds.get("val") or kinds.get("test")
    train = kinds.get("train")
    if held is None or (train is None and not _is_all(value, held)):
        return {}
    others = ", ".join(key for key in value if key not in (train, held))
    found = {"train": train, "val": held, "others": others}
    return {kind: key for kind, key in found.items() if key}


def _is_all(value: Mapping[str, Any], key: str) -> bool:
    """Whether the only rows are under this key; a row's list of tests is no rows."""
    nested = [name for name, items in value.items() if items and isinstance(items, list | dict)]
    return nested == [key] and all(isinstance(item, dict) for item in value[key])
