"""What the weight files of a folder hold, from their headers: nothing is loaded.

    files(Path("rm"))      # {"score.weight": Path("rm/model.safetensors"), ...}
    shape(Path("rm/model.safetensors"), "score.weight")    # (1, 4096)

Left out on purpose: pickled *.bin files, which tell only when they are loaded.
"""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from rewards.part import CannotStart

INDEX = "model.safetensors.index.json"


def read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CannotStart(f"{path} is not JSON: {error}.") from None
    if not isinstance(found, dict):
        raise CannotStart(f"{path} holds a {type(found).__name__}, not an object.")
    return found


def _open(path: Path) -> Any:
    try:
        return safe_open(path, "np")
    except SafetensorError:
        raise CannotStart(
            f"{path} is no safetensors file, perhaps a Git LFS pointer or half a download. "
            "Download it again."
        ) from None


def names_in(path: Path) -> set[str]:
    with _open(path) as file:
        return set(file.keys())


def shape(path: Path, name: str) -> tuple[int, ...]:
    with _open(path) as file:
        return tuple(file.get_slice(name).get_shape())


def files(folder: Path) -> dict[str, Path] | None:
    """Each tensor's file. None where only loading tells: *.bin. Raises CannotStart without any."""
    if (folder / INDEX).is_file():
        named = read_json(folder / INDEX)["weight_map"]
        return {name: folder / file for name, file in named.items()}
    if found := sorted(folder.glob("*.safetensors")):
        return {name: path for path in found for name in names_in(path)}
    if any(folder.glob("*.bin")):
        return None
    raise CannotStart(f"{folder} has no weights (*.safetensors or *.bin).")
