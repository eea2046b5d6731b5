"""The tensors of a folder by name, read from the disk when they are used, whatever holds them.

    tensors = load(Path("Starling-RM-7B-alpha"))       # {"transformer.embed_tokens.weight": ...}

Safetensors and pickled files alike; no code in a file is run. An adapter (peft) is merged into its
base model, which then stands in memory.
"""

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rewards.models.fetch import fetch
from rewards.models.headers import INDEX, read_json
from rewards.models.refuse import VALUE_HEADS

PICKLED_INDEX = "pytorch_model.bin.index.json"
NOT_WEIGHTS = {"training_args.bin", "optimizer.pt", "scheduler.pt", "scheduler.bin"}
ADAPTER = "adapter_config.json"

Tensors = dict[str, Any]


class CannotConvert(Exception):
    """The message says why, and what mends it."""


def _files(source: Path) -> list[Path]:
    heads = [source / name for name in VALUE_HEADS if (source / name).is_file()][:1]
    for index in (source / INDEX, source / PICKLED_INDEX):
        if index.is_file():
            named = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
            return [source / name for name in sorted(set(named))] + heads
    for patterns in (("*.safetensors",), ("*.bin", "*.pt")):
        found = sorted(path for pattern in patterns for path in source.glob(pattern))
        found = [path for path in found if path.name not in (*NOT_WEIGHTS, *VALUE_HEADS)]
        if found:
            return found + heads
    raise CannotConvert(
        f"{source} has no weights (*.safetensors, *.bin or *.pt). Download all of its files."
    )


def _pickled(path: Path) -> Any:
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError:  # the older format of torch.save
        return torch.load(path, map_location="cpu", weights_only=True)


def _read(path: Path) -> Tensors:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = load_file(path) if path.suffix == ".safetensors" else _pickled(path)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError, SafetensorError) as error:
        first = str(error).strip().split("\n", 1)[0]
        raise CannotConvert(f"{path} holds no plain weights ({first}). Get it again.") from None
    if isinstance(found, dict) and all(torch.is_tensor(value) for value in found.values()):
        return found
    raise CannotConvert(f"{path} holds more than named tensors; it is no file of weights.")


def base_of(source: Path) -> Path:
    """The folder whose config.json counts: an adapter's base model, else the source itself."""
    if not (source / ADAPTER).is_file() or (source / "config.json").is_file():
        return source
    base = read_json(source / ADAPTER).get("base_model_name_or_path")
    return fetch(base or "its base model", f"{source / ADAPTER}: base_model_name_or_path")


def _merged(source: Path, base: Path) -> Tensors:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
    dtype = model.dtype
    merged = PeftModel.from_pretrained(model.float(), source).merge_and_unload()
    heads: list[Path] = [source / name for name in VALUE_HEADS if (source / name).is_file()]
    with torch.no_grad():
        body = {name: tensor.to(dtype) for name, tensor in merged.state_dict().items()}
    return body | (_read(heads[0]) if heads else {})


def load(source: Path) -> Tensors:
    """Raises CannotConvert."""
    base = base_of(source)
    if base != source:
        return _merged(source, base)
    return dict(_named(_files(source)))


def _named(paths: list[Path]) -> Iterator[tuple[str, Any]]:
    for path in paths:
        yield from _read(path).items()
