"""The names of the tensors in a model folder, from the headers of its files: nothing is loaded.

    tensor_names(Path("reward-model"))  # {"model.embed_tokens.weight", ..., "score.weight"}

Left out on purpose: shapes and values; whether a head was trained is asked by sanity.py.
"""

import json
import struct
from pathlib import Path

from rewards.part import CannotStart

INDEX = "model.safetensors.index.json"
LONGEST_HEADER = 100_000_000  # bytes; safetensors itself accepts no longer one


def _header(path: Path) -> set[str]:
    try:
        with path.open("rb") as file:
            size = struct.unpack("<Q", file.read(8))[0]
            if size > LONGEST_HEADER:
                raise ValueError(f"a header of {size} bytes")
            found = json.loads(file.read(size))
    except (ValueError, struct.error):
        raise CannotStart(
            f"{path} is no safetensors file, perhaps a Git LFS pointer or half a download. "
            "Download it again."
        ) from None
    return set(found) - {"__metadata__"}


def tensor_names(folder: Path) -> set[str] | None:
    """None where only loading tells: weights in *.bin files. Raises CannotStart without any."""
    if (folder / INDEX).is_file():
        return set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"])
    files = sorted(folder.glob("*.safetensors"))
    if files:
        return set().union(*map(_header, files))
    if any(folder.glob("*.bin")):
        return None
    raise CannotStart(f"{folder} has no weights (*.safetensors or *.bin).")
