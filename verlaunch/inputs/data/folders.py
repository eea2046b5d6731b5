"""A folder's files by what their names say: to train on, to validate on, or neither.

    parts = of(root, [root / "main/train-0.parquet", root / "main/test-0.parquet"])
    parts.train, parts.val      # (.../train-0.parquet,), (.../test-0.parquet,)

verl's layout, clones of the hub, folders named train and test. Where no name says anything, every
file is trained on. Left out on purpose: files that are named one by one; they are what was asked.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from verlaunch.errors import UserError

WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
FIRST = ("main", "default")  # of several configurations of a clone, what it is known for
SHOWN = 6  # names


@dataclass(frozen=True)
class Parts:
    """val: of validation, else of test. others: what is used for neither."""

    train: tuple[Path, ...]
    val: tuple[Path, ...] = ()
    others: tuple[Path, ...] = ()


def split_of(file: Path, root: Path) -> str | None:
    """ "test" of test-00000-of-00001.parquet and of test/algebra/1.json; None: nothing is said."""
    inside = file.relative_to(root).with_suffix("").parts
    for name in reversed(inside):
        words = [word for word in re.split(r"[^a-z]+", name.lower()) if word in WORDS]
        if words:
            return WORDS[words[-1]]
    return None


def of(root: Path, files: Sequence[Path]) -> Parts:
    """Raises UserError where there is nothing but test data."""
    kinds = {file: split_of(file, root) for file in files}
    if not any(kinds.values()):
        return Parts(tuple(files))
    by = {
        kind: [file for file in files if kinds[file] == kind] for kind in ("train", "val", "test")
    }
    unsaid = [file for file in files if kinds[file] is None]
    train = _configuration(root, by["train"] or unsaid)
    if not train:
        named = ", ".join(str(file) for file in files[:3])
        raise UserError(
            f"{root} holds only files of validation or test: {told(root, files)}. To train on "
            f"them, name them: --data {named.replace(', ', ',')}"
        )
    places = {_place(root, file) for file in train}
    held = by["val"] or by["test"]
    val = [file for file in held if _place(root, file) in places] or held
    used = {*train, *val}
    return Parts(tuple(train), tuple(val), tuple(file for file in files if file not in used))


def _place(root: Path, file: Path) -> tuple[str, ...]:
    """The folders in which it is, without those that name a split."""
    inside = file.relative_to(root).parts[:-1]
    return tuple(name for name in inside if name.lower() not in WORDS)


def _configuration(root: Path, files: list[Path]) -> list[Path]:
    places = {_place(root, file)[:1] for file in files}
    first = next(((name,) for name in FIRST if (name,) in places), None)
    if first is None or len(places) == 1:
        return files
    return [file for file in files if _place(root, file)[:1] == first]


def told(root: Path, files: Sequence[Path]) -> str:
    """Their names inside the folder, some of them."""
    names = [str(file.relative_to(root)) for file in files]
    more = f" and {len(names) - SHOWN} more" * (len(names) > SHOWN)
    return f"{', '.join(names[:SHOWN])}{more}"
