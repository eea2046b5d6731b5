"""The splits of a JSON file that is one object: what to train on, what to hold out, what is left.

    of(Path("my.json"))     # {"train": "train", "val": "test"}: kind -> key

Keys are read as the names of a folder's files are (folders.py): rows of validation are held out,
else those of test. Nothing where the object is no such file, or holds one split.
"""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from verlaunch.inputs.data.folders import WORDS
from verlaunch.inputs.data.jsonlist import LARGEST_ROW

HEAD = 256  # characters in which the first key stands
FIRST_KEY = re.compile(r'\s*\{\s*"([A-Za-z_]{1,20})"\s*:')


def of(path: Path) -> Mapping[str, str]:
    """Of "train", "val" and "others" (joined by commas), those that are there."""
    try:
        stat = path.stat()
        with path.open(encoding="utf-8-sig") as file:
            first = FIRST_KEY.match(file.read(HEAD))
        if first is None or first[1].lower() not in WORDS or stat.st_size > LARGEST_ROW:
            return {}
        return _read(path, stat.st_mtime_ns)
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
    if "train" not in kinds or held is None:
        return {}
    others = [key for key in value if key not in (kinds["train"], held)]
    found = {"train": kinds["train"], "val": held, "others": ", ".join(others)}
    return {kind: key for kind, key in found.items() if key}
