"""Weight files that are not whole, or not such that can be trained.

    [finding.text for finding in check(scene)]
    ->  ["--model ./m: model-00002-of-00002.safetensors is missing (named in
          model.safetensors.index.json). Download the model again: ..."]

Reads names, sizes and headers, never weights. Left out on purpose: models on the hub that are not
here yet (the hub's client checks what it downloads), and whether the numbers are any good.
"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from verlaunch.errors import Finding
from verlaunch.inputs import models
from verlaunch.inputs.models import Model
from verlaunch.plan.guards.scene import Scene
from verlaunch.text import MIB

# In the order in which transformers looks for them (modeling_utils.py).
WHOLE = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
         "pytorch_model.bin.index.json")  # fmt: skip
POINTER = b"version https://git-lfs"
LARGEST_HEADER = 100 * MIB  # bytes; what safetensors itself allows
SUFFIXES = ("-GPTQ", "-AWQ", "-FP8", "-bnb", "-quantized", "-Int4", "-Int8", "-w8a8", "-w4a16")


def check(scene: Scene) -> Iterator[Finding]:
    for flag, model in scene.models:
        yield from _quantized(flag, model)
        if model.folder is not None:
            problem = next(_files(model.folder), None)
            if problem:
                yield Finding(f"{flag} {model.name}: {problem}")


def _quantized(flag: str, model: Model) -> Iterator[Finding]:
    """FSDP shards and updates floating-point weights; packed integers have no gradient."""
    settings = model.config.get("quantization_config")
    if not settings:
        return
    kind = settings.get("quant_method", "unknown") if isinstance(settings, dict) else "unknown"
    cut = min((model.name.find(s) for s in SUFFIXES if s in model.name), default=-1)
    instead = f"{flag} {model.name[:cut]}" if cut > 0 else "the model that it was made from"
    yield Finding(
        f"{flag} {model.name} is quantized ({kind}): its weights cannot be trained. Use {instead}."
    )


def _files(folder: Path) -> Iterator[str]:
    """The first thing that is wrong; the way to mend it is the same for all."""
    chosen = next((name for name in WHOLE if (folder / name).is_file()), None)
    if chosen is None:
        there = sorted(path.name for pattern in models.WEIGHTS for path in folder.glob(pattern))
        yield (
            f"it has {', '.join(there[:3])}, and loading looks for model.safetensors or its index. "
            "Rename a single file; of several, download the index as well."
        )
        return
    if not chosen.endswith(".json"):
        yield from _file(folder / chosen)
        return
    names = _shards(folder / chosen)
    if names is None:
        yield f"{chosen} cannot be read. {_again(folder, chosen)}"
        return
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        yield (
            f"{_few(missing)} {'is' if len(missing) == 1 else 'are'} missing (named in {chosen}). "
            f"{_again(folder, *missing)}"
        )
    for name in names:
        if name not in missing:
            yield from _file(folder / name)


def _few(names: list[str]) -> str:
    rest = len(names) - 2
    return ", ".join(names[:2]) + (f" and {rest} more" if rest > 0 else "")


def _again(folder: Path, *names: str) -> str:
    return f"Download it again: hf download NAME {names[0]} --local-dir {folder}"


def _shards(index: Path) -> list[str] | None:
    """The files that an index names, None where it names none."""
    try:
        found: Any = json.loads(index.read_text(encoding="utf-8"))
        return sorted(set(map(str, found["weight_map"].values()))) or None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _file(path: Path) -> Iterator[str]:
    """A file that is not what its name says."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(len(POINTER))
        if start == POINTER:
            yield (
                f"{path.name} is a git-LFS pointer, not the weights. Get them: "
                f"git -C {path.parent} lfs pull"
            )
            return
        wanted = _length(start, size, path) if path.suffix == ".safetensors" else 1
    if wanted is None:
        yield f"{path.name} is not a safetensors file. {_again(path.parent, path.name)}"
    elif size < wanted:
        yield (
            f"{path.name} has {size:,} of {wanted:,} bytes: it is cut off. "
            f"{_again(path.parent, path.name)}"
        )


def _length(start: bytes, size: int, path: Path) -> int | None:
    """Bytes that the header promises: 8 for its length, itself, the tensors. None: no header."""
    if size < 8:
        return 8 if size == 0 else None
    header = struct.unpack("<Q", start[:8])[0]
    if header > LARGEST_HEADER:
        return None
    if size < 8 + header:
        return 8 + int(header)
    try:
        with path.open("rb") as file:
            file.seek(8)
            tensors = json.loads(file.read(header))
        ends = [entry["data_offsets"][1] for key, entry in tensors.items() if key != "__metadata__"]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None
    return 8 + int(header) + max(ends, default=0)
